"""For tests: what a program loads before a command does its work."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from typing import Final

from kite_runtime.testing.programs import PATIENCE_S, import_path

HEAVY: Final = ("numba", "pandas", "pyarrow")
_DRIVER: Final = """
import json, os, sys
from importlib import import_module
import typer
main = import_module(sys.argv[1]).main
for number, line in enumerate(json.loads(sys.argv[2])):
    pid = os.fork()
    if pid == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.argv = ["program", *line]
        code = None
        try:
            main()
        except SystemExit as ended:
            code = ended.code
        loaded = sorted({name.partition(".")[0] for name in sys.modules})
        print(json.dumps([line, code, loaded]), file=sys.stderr, flush=True)
        os._exit(0)
    os.waitpid(pid, 0)
"""


def starts(module: str, commands: Sequence[Sequence[str]]) -> dict[str, tuple[int, list[str]]]:
    """The exit code and the libraries loaded by ``--help``, ``--version``, a wrong option and the
    help of each command, for the program whose ``main`` is in ``module``.

    One process is forked for each, so that the interpreter and Typer start once.
    """
    lines = [["--help"], ["--version"], ["--wrong"], *([*each, "--help"] for each in commands)]
    done = subprocess.run(
        [sys.executable, "-c", _DRIVER, module, json.dumps(lines)],
        env={"PYTHONPATH": import_path()},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=True,
    )
    answers = [json.loads(line) for line in done.stderr.splitlines() if line.startswith("[")]
    return {" ".join(line): (code, loaded) for line, code, loaded in answers}


def heavy_starts(module: str, commands: Sequence[Sequence[str]]) -> dict[str, object]:
    """Of ``starts`` those with another exit code than they should have or a heavy library."""
    found = starts(module, commands)
    assert len(found) == len(commands) + 3, found
    wrong: dict[str, object] = {}
    for line, (code, loaded) in found.items():
        if code != (2 if line == "--wrong" else 0):
            wrong[line] = code
        elif heavy := set(HEAVY) & set(loaded):
            wrong[line] = heavy
    return wrong


def heavy_interface(package: str) -> set[str]:
    """The heavy libraries that ``import package`` loads; each name of its interface must exist."""
    code = (
        f"import sys, {package} as package; print(*sys.modules); "
        "[getattr(package, name) for name in package.__all__]"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": import_path()},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=True,
    )
    return set(HEAVY) & set(done.stdout.split())
