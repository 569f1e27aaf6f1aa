"""The command line for tests: every call is a process of its own.

Loading the libraries takes seconds, so one process, run with this file, loads them once and forks
for each call. ``test_instruments_cli`` shows that a plain ``python -m instruments.cli`` does alike.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

PATIENCE_S: Final = 90.0
_POLL_S: Final = 0.02


@dataclass(frozen=True)
class Finished:
    """What a call left: exit code and what it printed."""

    code: int
    stdout: str
    stderr: str

    @property
    def sentence(self) -> str:
        """The one line with which the program gave up."""
        (line,) = (line for line in self.stderr.splitlines() if line.startswith("instruments: "))
        assert "Traceback" not in self.stderr
        return line.removeprefix("instruments: ")

    def json(self) -> list[dict[str, Any]]:
        """The objects on stdout, one a line."""
        return [json.loads(line) for line in self.stdout.splitlines()]


class Running:
    """A call that has not ended yet."""

    def __init__(self, calls: Calls, pid: int, folder: Path) -> None:
        self._calls, self._pid, self._folder = calls, pid, folder

    def read(self, name: str) -> str:
        return (self._folder / name).read_text("utf-8")

    def until(self, condition: Callable[[], bool], what: str) -> None:
        """Wait until the condition holds; fails after PATIENCE_S."""
        ends_s, pause = time.monotonic() + PATIENCE_S, threading.Event()
        while not condition():
            assert time.monotonic() < ends_s, f"no {what}: {self.read('stderr')}"
            pause.wait(_POLL_S)

    def finish(self, number: signal.Signals | None = None) -> Finished:
        """Send a signal, if one is given, and wait for the end."""
        if number is not None:
            os.kill(self._pid, number)
        code = self._calls.ask(wait=self._pid)["code"]
        return Finished(code, self.read("stdout"), self.read("stderr"))


class Calls:
    """Forks calls of ``instruments``; a context manager."""

    def __init__(self, scratch: Path) -> None:
        self._scratch = scratch
        self._count = 0
        path = os.pathsep.join(map(os.path.abspath, filter(None, sys.path)))
        self._server = subprocess.Popen(
            [sys.executable, __file__],
            env={**os.environ, "PYTHONPATH": path},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Calls:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.communicate(timeout=PATIENCE_S)

    def start(self, *arguments: str, env: Mapping[str, str], cwd: Path, stdin: str = "") -> Running:
        """Begin a call with exactly this environment, HOME and PATH aside."""
        self._count += 1
        folder = self._scratch / str(self._count)
        (folder / "home").mkdir(parents=True)
        (folder / "stdin").write_text(stdin)
        for name in ("stdout", "stderr"):
            (folder / name).touch()
        base = {"PATH": os.environ["PATH"], "HOME": str(folder / "home"), "COLUMNS": "220"}
        answer = self.ask(start=arguments, folder=str(folder), cwd=str(cwd), env={**base, **env})
        return Running(self, int(answer["pid"]), folder)

    def ask(self, **request: Any) -> dict[str, Any]:
        """One request to the process that forks, and its answer."""
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.write(json.dumps(request) + "\n")
        self._server.stdin.flush()
        answer: dict[str, Any] = json.loads(self._server.stdout.readline())
        return answer


@dataclass
class Place:
    """A folder with settings, in which commands are called."""

    folder: Path
    calls: Calls
    env: dict[str, str] = field(default_factory=dict)

    def __call__(self, *arguments: str, stdin: str = "", **env: str) -> Finished:
        return self.start(*arguments, stdin=stdin, **env).finish()

    def start(self, *arguments: str, stdin: str = "", **env: str) -> Running:
        return self.calls.start(*arguments, env={**self.env, **env}, cwd=self.folder, stdin=stdin)

    def write(self, name: str, content: str | bytes) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def read(self, name: str) -> str:
        return (self.folder / name).read_text("utf-8")


def _serve() -> None:
    from instruments import cli

    for line in sys.stdin:
        request = json.loads(line)
        if "wait" in request:
            _, status = os.waitpid(request["wait"], 0)
            print(json.dumps({"code": os.waitstatus_to_exitcode(status)}), flush=True)
            continue
        pid = os.fork()
        if pid == 0:
            _become(request)
            _end_with(cli.main)
        print(json.dumps({"pid": pid}), flush=True)


def _end_with(main: Callable[[], None]) -> None:
    """Run it and leave with its exit code; anything but SystemExit is a defect."""
    code = 99
    try:
        main()
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 99
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
        flags = os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_APPEND
        os.dup2(os.open(folder / name, flags), number)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 (lives as long as we do)
    sys.argv = ["instruments", *request["start"]]
    os.environ.clear()
    os.environ.update(request["env"])
    os.chdir(request["cwd"])


if __name__ == "__main__":
    _serve()
