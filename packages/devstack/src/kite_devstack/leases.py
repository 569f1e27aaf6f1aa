"""Who uses the stack: one file for each user, read by the supervisors; and the locks under it.

A *held* lease is an flock: it ends with its process, also with one that was killed, and the
stack follows after ``GRACE_S``. The *kept* lease is a number of seconds counted from the time
of its file: ``up`` on the command line leaves it behind, and use of the stack renews it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

from kite_devstack.supervisor import KEPT

GRACE_S = 30.0
KEEP_S = 2 * 60 * 60.0


class Lease:
    """A held lease; `release` or the end of the process gives it back."""

    def __init__(self, leases: Path) -> None:
        leases.mkdir(parents=True, exist_ok=True)
        self._path = leases / f"{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self._descriptor = self._hold()

    def _hold(self) -> int:
        """The lock; again where a supervisor removed the file between opening and locking."""
        while True:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(descriptor), os.stat(self._path)):
                    return descriptor
            os.close(descriptor)

    def release(self) -> None:
        if self._descriptor >= 0:
            with contextlib.suppress(FileNotFoundError):
                self._path.unlink()
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> Lease:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def keep(leases: Path, seconds: float = KEEP_S) -> None:
    """Keeps the stack for ``seconds`` from now, whatever happens to this process."""
    leases.mkdir(parents=True, exist_ok=True)
    (leases / KEPT).write_text(f"{seconds:.0f}", encoding="ascii")


def renew(leases: Path) -> None:
    """Counts the kept lease from now again, if there is one."""
    with contextlib.suppress(FileNotFoundError):
        os.utime(leases / KEPT)


def forget(leases: Path) -> None:
    """Takes the kept lease back."""
    (leases / KEPT).unlink(missing_ok=True)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Holds ``path`` alone; waits for whoever has it (each holder bounds its own time)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def is_locked(path: Path) -> bool:
    """Whether another process holds ``path`` now. Shared, so that askers never see each other."""
    try:
        _lock_for_a_moment(path, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False


def wait_unlocked(path: Path) -> None:
    """Returns when no process holds ``path`` alone."""
    _lock_for_a_moment(path, fcntl.LOCK_SH)


def _lock_for_a_moment(path: Path, how: int) -> None:
    """Nothing to do where there is no such file."""
    with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
        fcntl.flock(file, how)
