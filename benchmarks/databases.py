"""What benchmarks on a database share: the server, an empty database, and ways as processes.

A way runs in a process of its own, so that its peak memory is its own: a module starts itself
again with ``arguments``, and prints what it measured as one line of JSON.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

from kite_contracts.migrations import runner
from kite_devstack.databases import database


def server() -> str:
    """The one to make databases on. Raises SystemExit, with the remedy."""
    found = os.environ.get("POSTGRES_DSN")
    if not found:
        raise SystemExit("POSTGRES_DSN names no database; 'make bench' starts one and sets it")
    return found


@contextlib.contextmanager
def fresh(on: str) -> Iterator[str]:
    """A database with all tables and no rows."""
    with database(on) as dsn:
        runner.upgrade(dsn)
        yield dsn


def in_a_process(file: str, dsn: str, *arguments: object, **settings: str) -> Any:
    """What ``file`` prints when it is called so. Raises SystemExit where it fails."""
    environ = {**os.environ, "POSTGRES_DSN": dsn, "PYTHONPATH": os.pathsep.join(sys.path)}
    argv = [sys.executable, file, *map(str, arguments)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, env=environ | settings)
    if done.returncode:
        called = " ".join(argv[1:])
        raise SystemExit(f"{called} ended with {done.returncode}:\n{done.stderr}")
    return json.loads(done.stdout)
