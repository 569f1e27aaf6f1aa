"""The supervisor with a server that does nothing: who keeps it alive, and what ends it."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kite_devstack import leases
from kite_devstack.errors import StartError
from kite_devstack.layout import Layout
from kite_devstack.reporter import Reporter
from kite_devstack.service import Command, Service, command_of, thread_states

SLEEP = "import time; time.sleep(600)"
DEAF = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {SLEEP}"
LISTEN = """
import socket, sys
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
kept = [listener.accept() for _ in iter(int, 1)]
"""
SELF_CONNECTED = """
import socket, sys, time
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
client = socket.create_connection(listener.getsockname())
kept = listener.accept()
print("connected", flush=True)
time.sleep(600)
"""
HOLD_LEASE = """
import sys, time
from pathlib import Path
from kite_devstack.leases import Lease
lease = Lease(Path(sys.argv[1]))
print("held", flush=True)
time.sleep(600)
"""
WAIT_S = 15.0


def until(true: Callable[[], bool], timeout_s: float = WAIT_S) -> bool:
    deadline = time.monotonic() + timeout_s
    pause = threading.Event()
    while not true():
        if time.monotonic() > deadline:
            return False
        pause.wait(0.02)
    return True


def command(program: str = SLEEP, *arguments: str, port: int | None = None) -> Command:
    argv = [sys.executable, "-c", program, *arguments]
    return Command(argv, signal.SIGTERM, stop_timeout_s=1.0, tcp_port=port)


@contextlib.contextmanager
def ended(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """SIGKILLs ``process`` at the end, however that comes."""
    try:
        yield
    finally:
        process.kill()


class Idle(Service):
    """A service whose process a test launches itself."""

    def start(self, report: Reporter | None = None) -> str:
        raise AssertionError("not started in these tests")


@pytest.fixture()
def service(folder: Path) -> Iterator[Service]:
    made = Idle("idle", Layout(folder), grace_s=0.2)
    made.files.folder.mkdir()
    yield made
    made.stop()


def test_a_held_lease_keeps_it_and_the_last_one_ends_it(service: Service) -> None:
    with leases.Lease(service.layout.leases):
        service.launch(command())
        service.publish("somewhere")
        assert service.running
        assert service.pid is not None
        assert not until(lambda: not service.running, 1.0)
        assert service.endpoint == "somewhere"
    leases.wait_unlocked(service.files.lock)
    assert not service.running
    assert service.endpoint is None
    assert service.pid is None


def test_the_lease_of_a_killed_process_counts_no_more(service: Service) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD_LEASE, str(service.layout.leases)],
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    with holder, ended(holder):
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        service.launch(command())
        assert not until(lambda: not service.running, 1.0)
    assert until(lambda: not service.running)
    assert list(service.layout.leases.iterdir()) == []


def test_a_kept_lease_outlives_its_process_and_runs_out(service: Service) -> None:
    leases.keep(service.layout.leases, 60)
    service.launch(command())
    assert not until(lambda: not service.running, 1.0)
    leases.keep(service.layout.leases, 0)
    assert until(lambda: not service.running)


def test_a_connected_client_keeps_it(service: Service) -> None:
    port = free_port()
    with leases.Lease(service.layout.leases):
        service.launch(command(LISTEN, str(port), port=port))
        assert until(lambda: _accepts(port))
        client = socket.create_connection(("127.0.0.1", port))
    with client:
        assert not until(lambda: not service.running, 1.0)
    assert until(lambda: not service.running)


def test_a_server_connected_to_itself_is_not_in_use(service: Service) -> None:
    """Kafka's coordinators are clients of their own broker."""
    port = free_port()
    with leases.Lease(service.layout.leases):
        service.launch(command(SELF_CONNECTED, str(port), port=port))
        assert until(lambda: "connected" in service.files.log.read_text())
    assert until(lambda: not service.running)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    return port


def _accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except ConnectionRefusedError:
        return False
    return True


def test_stop_ends_a_deaf_server_too(service: Service) -> None:
    with leases.Lease(service.layout.leases):
        service.launch(command(DEAF))
        pid = service.pid
        assert pid is not None
        service.suspend()
        assert thread_states(pid) == {"T"}, "it has stopped when the call returns"
        service.stop()
        assert not service.running
        assert not _alive(pid)


def test_a_killed_supervisor_takes_its_server_along(service: Service) -> None:
    with leases.Lease(service.layout.leases):
        service.launch(command())
        server, supervisor = map(int, service.files.pid.read_text().split())
        os.kill(supervisor, signal.SIGKILL)
        assert until(lambda: not service.running)
        assert until(lambda: not _alive(server))
        service.launch(command())
        assert service.running


def test_deleting_the_folder_ends_it(service: Service) -> None:
    leases.keep(service.layout.leases, 60)
    service.launch(command())
    pid = service.pid
    assert pid is not None
    for path in service.layout.leases.iterdir():
        path.unlink()
    service.layout.leases.rmdir()
    assert until(lambda: not _alive(pid))


def test_a_server_that_ends_at_once_is_quoted(service: Service) -> None:
    with leases.Lease(service.layout.leases):
        service.launch(command("raise SystemExit('first\\nthe reason\\n')"))
        with pytest.raises(StartError, match=r"idle did not start: the reason \(.*idle.log\)"):
            service.wait_ready(lambda: False, 10)


def test_a_silent_server_is_ended(service: Service) -> None:
    with leases.Lease(service.layout.leases):
        service.launch(command())
        with pytest.raises(StartError, match="did not answer within 0 s: its log is empty"):
            service.wait_ready(lambda: False, 0.1)
        assert not service.running


def test_a_program_that_does_not_exist_is_one_sentence(service: Service) -> None:
    with pytest.raises(StartError, match="No such file or directory"):
        service.launch(Command(["/nowhere/java"], signal.SIGTERM, 1.0))


def _alive(pid: int) -> bool:
    shown = command_of(pid)
    return bool(shown) and "<defunct>" not in shown
