"""The process that loads a program once and forks for each call; ``calls`` talks to it.

A request is one line of JSON on standard input, and so is its answer on standard output.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import sys
import traceback
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, Final

DEFECT: Final = 99
"""Exit code of a call that raised anything but SystemExit: no program may do that."""


def serve(module: str, load: str) -> None:
    """Load the program and answer requests until there are none."""
    main: Callable[[], object] = getattr(import_module(module), load)()
    gc.freeze()  # a collection in a child would copy all of this memory
    for line in sys.stdin:
        request = json.loads(line)
        if "ended" in request:
            pid, status = os.waitpid(request["ended"], os.WNOHANG)
            _answer(code=os.waitstatus_to_exitcode(status) if pid else None)
            continue
        pid = os.fork()
        if pid == 0:
            _run(main, request)
        _answer(pid=pid)


def _answer(**answer: int | None) -> None:
    print(json.dumps(answer), flush=True)


def _run(main: Callable[[], object], request: dict[str, Any]) -> None:
    """Be the call, and leave at once: taking a large process apart takes long."""
    code = DEFECT
    try:
        _become(request)
        main()
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
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
    sys.argv = request["start"]
    os.environ.clear()
    os.environ.update(request["env"])
    os.chdir(request["cwd"])
    if request["file_bytes_max"] is not None:
        limit = request["file_bytes_max"]
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
