"""The small process that owns one server and ends it when it is no longer used.

It is copied to the cache folder and run there by the plain interpreter (``-I -S``), so that it
outlives the sandbox, PEX or virtual environment of the process that asked for the server. For
that reason it uses the standard library alone and imports nothing of this package.

One argument: the spec file that `kite_devstack.service` writes. It forks once; the first process
ends with 0 as soon as the server process exists, 1 if it could not be made.

In use means: a lease is held (an flock that dies with its process), the kept lease has not run
out, or a client is connected (where /proc tells).
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

TICK_S = 0.5
KEPT = "kept"
_PR_SET_PDEATHSIG = 1
_ESTABLISHED_TCP = "01"
_CONNECTED_UNIX = "03"


def main(argv: list[str]) -> int:
    spec = json.loads(Path(argv[1]).read_text(encoding="utf-8"))
    reader, writer = os.pipe()
    if os.fork():
        os.close(writer)
        return 0 if os.read(reader, 1) else 1
    os.close(reader)
    os.setsid()
    supervise(spec, started=lambda: os.write(writer, b"1"))
    return 0


def supervise(spec: dict[str, Any], started: Callable[[], object]) -> None:
    """Runs the server of ``spec`` until it ends, is asked to end, or is no longer used."""
    # Blocking: others look at this lock for a moment to see whether the server lives.
    lock = os.open(spec["lock"], os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    wake = _wake_on_signals()
    server = _start(spec)
    Path(spec["pid_file"]).write_text(f"{server.pid}\n{os.getpid()}\n", encoding="ascii")
    started()
    stop_asked = _serve(spec, server, wake)
    _withdraw(spec)
    if server.poll() is None:
        _end(server, spec)
    _say(f"{spec['name']} ended with {server.returncode}{' as asked' if stop_asked else ''}")
    with contextlib.suppress(FileNotFoundError):
        Path(spec["pid_file"]).unlink()
    os.close(lock)


def _serve(spec: dict[str, Any], server: subprocess.Popen[bytes], wake: int) -> bool:
    """Waits; True if a signal asked it to end."""
    idle_since: float | None = None
    while server.poll() is None:
        if select.select([wake], [], [], TICK_S)[0]:
            signals = set(os.read(wake, 64)) & {signal.SIGTERM, signal.SIGINT}
            if signals:
                return True
        if in_use(spec, server.pid):
            idle_since = None
            continue
        now = time.monotonic()
        idle_since = now if idle_since is None else idle_since
        if now - idle_since >= spec["grace_s"] and _withdraw_if_idle(spec, server.pid):
            _say(f"{spec['name']} was not used for {spec['grace_s']} s")
            return False
    return False


def in_use(spec: dict[str, Any], server: int) -> bool:
    """Whether anybody holds a lease or is connected to the process ``server``.

    Dead leases are removed; while clients are connected, the kept one is renewed.
    """
    leases = Path(spec["leases"])
    connected = _connected(spec, server)
    used = connected
    try:
        names = os.listdir(leases)
    except FileNotFoundError:
        return False  # the whole folder was deleted: end, whoever is connected
    for name in names:
        path = leases / name
        if name == KEPT:
            if connected:
                with contextlib.suppress(FileNotFoundError):
                    os.utime(path)
            used = _kept(path) or used
        else:
            used = _held(path) or used
    return used


def _kept(path: Path) -> bool:
    """Whether the kept lease (seconds, counted from the file's time) still runs."""
    try:
        return time.time() < path.stat().st_mtime + float(path.read_text(encoding="ascii"))
    except (FileNotFoundError, ValueError):
        return False


def _held(path: Path) -> bool:
    """Whether a living process holds the lease; a dead one's is removed."""
    lock = _lock(path)
    if lock is None:
        return True
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
    os.close(lock)
    return False


def _connected(spec: dict[str, Any], server: int) -> bool:
    """Whether a client is connected, by Linux's socket tables; False where there are none."""
    port, unix = spec.get("tcp_port"), spec.get("unix_socket")
    if port:
        return _tcp_client(f":{port:04X}", server)
    if unix:
        return any(f[-1] == unix and f[5] == _CONNECTED_UNIX for f in _proc_net("unix"))
    return False


def _tcp_client(port: str, server: int) -> bool:
    """Whether a process other than ``server`` is connected to ``port`` (``:`` and hexadecimal).

    Kafka's coordinators are clients of their own broker, so the other end of each connection is
    looked up among the server's own sockets.
    """
    rows = [f for table in ("tcp", "tcp6") for f in _proc_net(table) if f[3] == _ESTABLISHED_TCP]
    peers = {_port(f[2]) for f in rows if _port(f[1]) == port}
    if not peers:
        return False
    own = _sockets(server)
    ours = {_port(f[1]) for f in rows if _port(f[2]) == port and f"socket:[{f[9]}]" in own}
    return bool(peers - ours)


def _port(address: str) -> str:
    return address[address.rindex(":") :]


def _sockets(pid: int) -> set[str]:
    """What the descriptors of a process point to, sockets among them."""
    found = set()
    with contextlib.suppress(OSError):
        for path in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                found.add(os.readlink(path))
    return found


def _proc_net(table: str) -> list[list[str]]:
    try:
        lines = Path("/proc/net", table).read_text(encoding="utf-8").splitlines()[1:]
    except OSError:
        return []
    return [fields for line in lines if len(fields := line.split()) > 5]


def _withdraw_if_idle(spec: dict[str, Any], server: int) -> bool:
    """Takes the endpoint away under the stack's lock, unless a user came in between."""
    lock = _lock(spec["stack_lock"])
    if lock is None:
        return not Path(spec["leases"]).exists()
    try:
        if in_use(spec, server):
            return False
        _withdraw(spec)
        return True
    finally:
        os.close(lock)


def _withdraw(spec: dict[str, Any]) -> None:
    with contextlib.suppress(FileNotFoundError):
        Path(spec["ready_file"]).unlink()


def _start(spec: dict[str, Any]) -> subprocess.Popen[bytes]:
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None
    supervisor = os.getpid()

    def die_with_supervisor() -> None:
        if libc is not None:
            libc.prctl(_PR_SET_PDEATHSIG, spec["stop_signal"])
            if os.getppid() != supervisor:
                os._exit(1)

    with open(spec["log"], "ab") as log:
        return subprocess.Popen(
            spec["argv"],
            env=spec["env"],
            cwd=spec["cwd"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            user=spec.get("user"),
            group=spec.get("group"),
            extra_groups=[] if spec.get("user") is not None else None,
            preexec_fn=die_with_supervisor,
        )


def _end(server: subprocess.Popen[bytes], spec: dict[str, Any]) -> None:
    server.send_signal(signal.SIGCONT)  # a suspended server could not hear the next one
    server.send_signal(spec["stop_signal"])
    try:
        server.wait(spec["stop_timeout_s"])
    except subprocess.TimeoutExpired:
        _say(f"{spec['name']} did not stop within {spec['stop_timeout_s']} s: killed")
        server.kill()
        server.wait()


def _wake_on_signals() -> int:
    """A descriptor that becomes readable at SIGTERM, SIGINT and SIGCHLD."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
        signal.signal(number, lambda *_: None)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    return reader


def _lock(path: str | Path) -> int | None:
    """The descriptor of an exclusive flock, or None if another process has it."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def _say(text: str) -> None:
    print(time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), text, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv))
