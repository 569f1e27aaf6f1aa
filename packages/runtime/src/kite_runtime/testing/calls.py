"""For tests: a program's command line, every call a process of its own.

Loading a program's libraries takes seconds of CPU. So one process loads them once and forks for
each call; the child gets the arguments, environment, folder and files of its call and runs the
entry point::

    with CommandLine("hist_merge", load) as line:   # load imports the program, returns its main
        done = line("plan", "--json", cwd=tmp_path, env={"POSTGRES_DSN": dsn})
        running = line.start("run")                 # goes on while the test does something else
        running.until(lambda: "ready" in running.stderr, "ready")

``load`` is in a module of the tests (not in conftest.py, whose name is no module's own) and must
not start threads or Kafka clients, which do not survive a fork. ``Place`` is a folder with settings
to call it in. One test of an app should show that ``python -m APP.cli`` does alike.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from kite_runtime.testing.call_server import serve
from kite_runtime.testing.programs import PATIENCE_S, import_path

_POLL_S: Final = 0.02


@dataclass(frozen=True)
class Finished:
    """What a call of ``program`` left: exit code and what it printed."""

    program: str
    code: int
    stdout: str
    stderr: str

    @property
    def sentences(self) -> list[str]:
        """The lines with which the program gave up, without its name."""
        begin = f"{self.program}: "
        lines = self.stderr.splitlines()
        return [line.removeprefix(begin) for line in lines if line.startswith(begin)]

    @property
    def sentence(self) -> str:
        """The one line with which the program gave up, without its name."""
        assert "Traceback" not in self.stderr
        (sentence,) = self.sentences
        return sentence

    def json(self) -> list[Any]:
        return [json.loads(line) for line in self.stdout.splitlines()]


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
        """Wait for the condition; fails when the call ends before, or after PATIENCE_S."""
        ends_s, pause = time.monotonic() + PATIENCE_S, threading.Event()
        while not condition():
            ended = self._line.ended(self.pid) is not None
            assert not ended or condition(), f"ended before {what}: {self.stderr}"
            late = time.monotonic() > ends_s
            assert not late, f"no {what} within {PATIENCE_S:.0f} s: {self.stderr}"
            pause.wait(_POLL_S)

    def finish(self, number: signal.Signals | None = None) -> Finished:
        """Send a signal, if one is given, and wait for the end."""
        if number is not None:
            os.kill(self.pid, number)
        code = self._line.wait(self.pid)
        return Finished(self._line.program, code, self.stdout, self.stderr)


class CommandLine:
    """Forks calls of ``program``; a context manager, not thread-safe.

    ``load`` is a function of an importable module that imports the program and returns its entry
    point.
    """

    def __init__(self, program: str, load: Callable[[], Callable[[], object]]) -> None:
        self.program = program
        self._scratch = tempfile.TemporaryDirectory(prefix=f"{program}-calls-")
        self._calls = 0
        self._codes: dict[int, int] = {}
        self._started: list[int] = []
        name = serve.__name__
        start = f"from {serve.__module__} import {name}; {name}(*__import__('sys').argv[1:])"
        self._server = subprocess.Popen(
            [sys.executable, "-P", "-c", start, load.__module__, load.__name__],
            env={**os.environ, "PYTHONPATH": import_path()},
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
        stdin: bytes | str = b"",
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
        (folder / "stdin").write_bytes(stdin.encode() if isinstance(stdin, str) else stdin)
        for name in ("stdout", "stderr"):
            (folder / name).touch()
        base = {"PATH": os.environ["PATH"], "HOME": str(folder / "home"), "COLUMNS": "200"}
        answer = self._ask(
            start=[self.program, *arguments],
            folder=str(folder),
            cwd=str(cwd or folder / "home"),
            env=base | dict(env or {}),
            file_bytes_max=file_bytes_max,
            stdout_closed=stdout_closed,
        )
        self._started.append(int(answer["pid"]))
        return Running(self, self._started[-1], folder)

    def __call__(self, *arguments: str, **options: Any) -> Finished:
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
        ends_s, pause = time.monotonic() + PATIENCE_S, threading.Event()
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
        line = self._server.stdout.readline()
        assert line, f"{self.program} could not be loaded: see the standard error of the tests"
        answer: dict[str, Any] = json.loads(line)
        return answer


@dataclass
class Place:
    """A folder with settings, in which commands are called."""

    folder: Path
    line: CommandLine
    env: dict[str, str] = field(default_factory=dict)

    def __call__(self, *arguments: str, stdin: bytes | str = "", **env: str) -> Finished:
        return self.start(*arguments, stdin=stdin, **env).finish()

    def start(self, *arguments: str, stdin: bytes | str = "", **env: str) -> Running:
        return self.line.start(*arguments, env={**self.env, **env}, cwd=self.folder, stdin=stdin)

    def write(self, name: str, content: str | bytes) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def read(self, name: str) -> str:
        return (self.folder / name).read_text("utf-8")
