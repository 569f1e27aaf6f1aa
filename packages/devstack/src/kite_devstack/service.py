"""One server process under its supervisor: start, stop, and the faults a test may need.

The supervisor (`kite_devstack.supervisor`) is a process of its own, so that a server outlives the
command that started it and ends when the last lease is gone.
"""

from __future__ import annotations

import contextlib
import importlib.resources
import json
import os
import signal
import subprocess
import sys
import threading
import time
from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from kite_devstack.errors import StartError
from kite_devstack.layout import Layout, ServiceFiles
from kite_devstack.leases import Lease, is_locked, wait_unlocked
from kite_devstack.reporter import Reporter
from kite_runtime.files import write_whole

_POLL_S = 0.05
_STOP_POLL_S = 0.005
_AT_REST = frozenset("TtZX")
"""States, as ps shows them, of a thread that is stopped or has ended."""


@dataclass(frozen=True)
class Command:
    """What a supervisor runs. ``stop_signal`` ends the server in order; times in seconds."""

    argv: list[str]
    stop_signal: int
    stop_timeout_s: float
    tcp_port: int | None = None
    unix_socket: str | None = None
    user: int | None = None
    group: int | None = None
    env: Mapping[str, str] = field(default_factory=dict)


class Service:
    """A server named ``name`` in ``layout``; many processes may look at the same one."""

    def __init__(self, name: str, home: Path | Layout, grace_s: float) -> None:
        self.name = name
        self.layout = home if isinstance(home, Layout) else Layout(home)
        self.grace_s = grace_s
        self._lease: Lease | None = None

    @abstractmethod
    def start(self, report: Reporter | None = None) -> str:
        """Starts the server and returns its endpoint as soon as it answers."""

    def __enter__(self) -> Self:
        self._lease = Lease(self.layout.leases)
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        if self._lease is not None:
            self._lease.release()

    @property
    def files(self) -> ServiceFiles:
        return self.layout.service(self.name)

    @property
    def running(self) -> bool:
        """Whether its supervisor lives (the server may be starting or stopping)."""
        return is_locked(self.files.lock)

    @property
    def endpoint(self) -> str | None:
        """What clients connect to, or None while it is not ready."""
        try:
            text = self.files.ready.read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        return text if self.running else None

    def _running_at(self, title: str) -> str:
        endpoint = self.endpoint
        if endpoint is None:
            raise StartError(f"{title} does not run")
        return endpoint

    @property
    def pid(self) -> int | None:
        """The server's process id, or None when it does not run."""
        pids = self._pids()
        return pids[0] if pids and self.running else None

    def launch(self, command: Command) -> None:
        """Starts the supervisor, which starts the server.

        The server exists when this returns; whether it becomes ready is for the caller to see.
        Raises StartError when the process could not be made.
        """
        files = self.files
        files.run.mkdir(parents=True, exist_ok=True)
        self.layout.leases.mkdir(parents=True, exist_ok=True)
        self._end_orphan()
        if files.log.exists():
            os.replace(files.log, files.log.with_suffix(".log.1"))
        files.spec.write_text(json.dumps(self._spec(command), indent=1), encoding="utf-8")
        source = importlib.resources.files("kite_devstack").joinpath("supervisor.py")
        write_whole(self.layout.supervisor, source.read_bytes())
        supervisor = [_plain_python(), "-I", "-S", str(self.layout.supervisor), str(files.spec)]
        if run_logged(supervisor, files.supervisor_log, cwd="/", start_new_session=True) != 0:
            raise StartError(f"{self.name} could not be started: {last_line(files.supervisor_log)}")

    def _spec(self, command: Command) -> dict[str, object]:
        files = self.files
        return {
            **asdict(command),
            "name": self.name,
            "cwd": str(files.folder),
            "log": str(files.log),
            "lock": str(files.lock),
            "pid_file": str(files.pid),
            "ready_file": str(files.ready),
            "stack_lock": str(self.layout.stack_lock),
            "leases": str(self.layout.leases),
            "grace_s": self.grace_s,
        }

    def wait_ready(self, answers: Callable[[], bool], timeout_s: float) -> None:
        """Returns when ``answers()`` is true; raises StartError if the server ends before."""
        deadline = time.monotonic() + timeout_s
        pause = threading.Event()
        while not answers():
            if not self.running:
                raise StartError(f"{self.name} did not start: {last_line(self.files.log)}")
            if time.monotonic() > deadline:
                self.stop()
                raise StartError(
                    f"{self.name} did not answer within {timeout_s:.0f} s: "
                    f"{last_line(self.files.log)}"
                )
            pause.wait(_POLL_S)

    def publish(self, endpoint: str) -> None:
        """Lets clients come to ``endpoint``."""
        write_whole(self.files.ready, endpoint.encode())

    def stop(self) -> None:
        """Ends the server in order and waits for it; nothing to do when it does not run."""
        self.files.ready.unlink(missing_ok=True)
        pids = self._pids()
        if pids and self.running:
            signal_process(pids[1], signal.SIGTERM)
        wait_unlocked(self.files.lock)

    def kill(self) -> None:
        """SIGKILLs the server, as a fault, and waits until it is gone."""
        self._signal_server(signal.SIGKILL)
        wait_unlocked(self.files.lock)

    def suspend(self) -> None:
        """SIGSTOPs the server and waits until every thread of it has stopped: it holds its
        connections and answers nothing. A server that ends instead is no error."""
        pid = self.pid
        if pid is None:
            return
        signal_process(pid, signal.SIGSTOP)
        pause = threading.Event()
        while states := thread_states(pid):
            if states <= _AT_REST:
                return
            pause.wait(_STOP_POLL_S)

    def resume(self) -> None:
        """Ends `suspend`."""
        self._signal_server(signal.SIGCONT)

    def _signal_server(self, number: int) -> None:
        if (pid := self.pid) is not None:
            signal_process(pid, number)

    def _pids(self) -> tuple[int, int] | None:
        try:
            server, supervisor = self.files.pid.read_text(encoding="ascii").split()
        except (FileNotFoundError, ValueError):
            return None
        return int(server), int(supervisor)

    def _end_orphan(self) -> None:
        """Ends a server whose supervisor was killed, where the system did not do it already."""
        pids = self._pids()
        if pids is None:
            return
        if str(self.files.folder) in command_of(pids[0]):
            signal_process(pids[0], signal.SIGKILL)
        self.files.pid.unlink(missing_ok=True)


def run_logged(argv: list[str], log: Path, **options: Any) -> int:
    """Runs a program, its output in ``log``; its exit code. ``options`` go to `subprocess.run`."""
    with log.open("w") as out:
        return subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            check=False,
            **options,
        ).returncode


def last_line(log: Path) -> str:
    """The last line of a log with a text, for the sentence of an error."""
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return f"there is no log {log}"
    telling = [line.strip() for line in lines if line.strip() and not line.startswith("\tat ")]
    return f"{telling[-1][:300]} ({log})" if telling else f"its log is empty ({log})"


def command_of(pid: int) -> str:
    """The command line of a process, empty when there is none."""
    return _ps("-p", str(pid), "-o", "command=").strip()


def children_of(pid: int) -> list[int]:
    """The process ids whose parent is ``pid``."""
    pairs = (line.split() for line in _ps("-A", "-o", "pid=,ppid=").splitlines())
    return [int(child) for child, parent in pairs if int(parent) == pid]


def thread_states(pid: int) -> set[str]:
    """The states of a process's threads, a letter each as ps shows them; empty when it is gone.

    Where there is no /proc, the state of the process as a whole.
    """
    threads = Path(f"/proc/{pid}/task")
    if not threads.parent.parent.joinpath("self").exists():
        return set(_ps("-p", str(pid), "-o", "state=").strip()[:1])
    found = set()
    with contextlib.suppress(FileNotFoundError):
        for each in threads.iterdir():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # this one has ended
                found.add((each / "stat").read_text().rpartition(")")[2].split()[0])
    return found


def _ps(*arguments: str) -> str:
    done = subprocess.run(["ps", *arguments], capture_output=True, text=True, check=False)
    return done.stdout


def _plain_python() -> str:
    """The interpreter itself, not a link of a virtual environment that may go away."""
    return os.path.realpath(sys.executable)


def signal_process(pid: int, number: int) -> None:
    """Sends a signal; a process that is gone already is no error."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
