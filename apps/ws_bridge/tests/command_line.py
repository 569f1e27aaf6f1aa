"""The bridge's command line for tests: every call is a process of its own.

Loading the libraries takes seconds of CPU. So one process, run with this file, loads them once and
forks for each call; the child gets the arguments, environment, folder and files of its call, and
runs the entry point. ``test_bridge_cli`` shows that a plain ``python -m ws_bridge.cli`` does alike.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TextIO

PATIENCE_S: Final = 120.0
_POLL_S: Final = 0.02


@dataclass(frozen=True)
class Finished:
    """What a call left: exit code and what it printed."""

    code: int
    stdout: str
    stderr: str

    @property
    def sentences(self) -> list[str]:
        """The lines with which the program gave up."""
        return [line for line in self.stderr.splitlines() if line.startswith("ws_bridge: ")]


class Running:
    """A call that has not ended yet."""

    def __init__(self, line: CommandLine, pid: int, folder: Path) -> None:
        self._line = line
        self.pid = pid
        self._folder = folder

    @property
    def stdout(self) -> str:
        return (self._folder / "stdout").read_text("utf-8", errors="replace")

    @property
    def stderr(self) -> str:
        return (self._folder / "stderr").read_text("utf-8", errors="replace")

    def until(self, condition: Callable[[], bool], what: str) -> None:
        """Wait until ``condition`` holds; fails when the call ends before, or after PATIENCE_S."""
        ends_s = time.monotonic() + PATIENCE_S
        pause = threading.Event()
        while not condition():
            assert self._line.ended(self.pid) is None, f"ended before {what}: {self.stderr}"
            assert time.monotonic() < ends_s, f"no {what} within {PATIENCE_S:.0f} s: {self.stderr}"
            pause.wait(_POLL_S)

    def finish(self, number: signal.Signals | None = None) -> Finished:
        """Send a signal, if one is given, and wait for the end."""
        if number is not None:
            os.kill(self.pid, number)
        return Finished(self._line.wait(self.pid), self.stdout, self.stderr)


class CommandLine:
    """Forks calls of ``ws_bridge``; a context manager."""

    def __init__(self) -> None:
        self._scratch = tempfile.TemporaryDirectory(prefix="ws-bridge-calls-")
        self._calls = 0
        self._codes: dict[int, int] = {}
        self._started: list[int] = []
        self._server = subprocess.Popen(
            [sys.executable, __file__],
            env={**os.environ, "PYTHONPATH": python_path()},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> CommandLine:
        return self

    def __exit__(self, *_: object) -> None:
        for pid in self._started:  # a test that failed leaves its call behind
            if self.ended(pid) is None:
                os.kill(pid, signal.SIGKILL)
                self.wait(pid)
        self._server.communicate(timeout=PATIENCE_S)
        self._scratch.cleanup()

    def start(
        self,
        *arguments: str,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        stdin: bytes = b"",
        file_bytes_max: int | None = None,
        stdout_closed: bool = False,
    ) -> Running:
        """Begin a call with exactly this environment, HOME and PATH aside, in an empty folder.

        ``file_bytes_max`` is a disk that fills: no file of the call grows beyond it.
        ``stdout_closed`` makes stdout a pipe whose reader has left.
        """
        self._calls += 1
        folder = Path(self._scratch.name) / str(self._calls)
        (folder / "home").mkdir(parents=True)
        (folder / "stdin").write_bytes(stdin)
        for name in ("stdout", "stderr"):
            (folder / name).touch()
        base = {"PATH": os.environ["PATH"], "HOME": str(folder / "home"), "COLUMNS": "200"}
        answer = self._ask(
            start=arguments,
            folder=str(folder),
            cwd=str(cwd or folder / "home"),
            env=base | dict(env or {}),
            file_bytes_max=file_bytes_max,
            stdout_closed=stdout_closed,
        )
        self._started.append(int(answer["pid"]))
        return Running(self, self._started[-1], folder)

    def __call__(self, *arguments: str, **options: Any) -> Finished:
        """Run a call to its end."""
        return self.start(*arguments, **options).finish()

    def ended(self, pid: int) -> int | None:
        """The exit code, or None while it runs."""
        if pid not in self._codes:
            code = self._ask(ended=pid)["code"]
            if code is None:
                return None
            self._codes[pid] = int(code)
        return self._codes[pid]

    def wait(self, pid: int) -> int:
        """Wait for the end; after PATIENCE_S the call is killed and the test fails."""
        ends_s = time.monotonic() + PATIENCE_S
        pause = threading.Event()
        while (code := self.ended(pid)) is None:
            if time.monotonic() > ends_s:
                os.kill(pid, signal.SIGKILL)
                raise AssertionError(f"the call did not end within {PATIENCE_S:.0f} s")
            pause.wait(_POLL_S)
        return code

    def _ask(self, **request: Any) -> dict[str, Any]:
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.write(json.dumps(request) + "\n")
        self._server.stdin.flush()
        answer: dict[str, Any] = json.loads(self._server.stdout.readline())
        return answer


def python_path() -> str:
    """This process's import path for a child; absolute, because Pants gives relative folders."""
    return os.pathsep.join(map(os.path.abspath, filter(None, sys.path)))


def _serve(requests: TextIO) -> None:
    """Answer requests until there are none. Runs in the process that has loaded the program."""
    from contracts.bounds import tick_bounds
    from ws_bridge import bridge, cli, decode_input, journal

    bridge.warm_up()
    journal.warm_up()
    list(decode_input.decode_objects(b"\0\0", tick_bounds(), decode_input.DecodeSummary()))
    gc.freeze()  # a collection in a child would copy all of this memory
    for line in requests:
        request = json.loads(line)
        if "start" not in request:
            pid, status = os.waitpid(request["ended"], os.WNOHANG)
            code = os.waitstatus_to_exitcode(status) if pid else None
            print(json.dumps({"code": code}), flush=True)
            continue
        pid = os.fork()
        if pid == 0:
            _become(request)
            _end_with(cli.main)
        print(json.dumps({"pid": pid}), flush=True)


def _end_with(main: Callable[[], None]) -> None:
    """Run it and leave with its exit code at once: taking a large process apart takes long."""
    code = 1
    try:
        main()
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _become(request: dict[str, Any]) -> None:
    """Make this forked process the call that the request describes."""
    folder = Path(request["folder"])
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        flags = os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT | os.O_APPEND
        os.dup2(os.open(folder / name, flags, 0o600), number)
    if request["stdout_closed"]:
        reader, writer = os.pipe()
        os.close(reader)
        os.dup2(writer, 1)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 (lives as long as we do)
    sys.argv = ["ws_bridge", *request["start"]]
    os.environ.clear()
    os.environ.update(request["env"])
    os.chdir(request["cwd"])
    if request["file_bytes_max"] is not None:
        limit = request["file_bytes_max"]
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))


if __name__ == "__main__":
    _serve(sys.stdin)
