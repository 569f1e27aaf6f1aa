"""Stacks of their own for tests, with the jars of the user's cache folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol

import pytest

from kite_devstack import leases, stack
from kite_devstack.jars import ensure_jars
from kite_devstack.layout import HOME_VARIABLE, Layout, layout_of
from kite_devstack.reporter import ConsoleReporter
from kite_devstack.testing import (
    fresh_dsn,
    kafka_bootstrap,
    make_topic,
    migrated_dsn,
    migrated_template,
    postgres_dsn,
    postgres_server,
)

__all__ = [
    "fresh_dsn",
    "kafka_bootstrap",
    "make_topic",
    "migrated_dsn",
    "migrated_template",
    "postgres_dsn",
    "postgres_server",
]


class RunDevstack(Protocol):
    """Runs the command line in a process of its own."""

    def __call__(
        self, environ: Mapping[str, str], working_folder: Path, *arguments: str
    ) -> subprocess.CompletedProcess[str]: ...


@pytest.fixture(scope="session")
def jars() -> Path:
    """Kafka's jars, fetched at most once for all stacks."""
    shared = layout_of(os.environ)
    with leases.locked(shared.stack_lock):
        ensure_jars(shared.jars, ConsoleReporter())
    return shared.jars


@pytest.fixture()
def folder() -> Iterator[Path]:
    """An empty folder with a short path that Postgres's user may pass (pytest's own may not)."""
    path = Path(tempfile.mkdtemp(prefix="kite-"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="session")
def run_devstack() -> RunDevstack:
    def run(
        environ: Mapping[str, str], working_folder: Path, *arguments: str
    ) -> subprocess.CompletedProcess[str]:
        # Absolute, because Pants gives folders relative to the sandbox.
        path = os.pathsep.join(map(os.path.abspath, sys.path))
        return subprocess.run(
            [sys.executable, "-m", "kite_devstack", *arguments],
            env=dict(environ) | {"PYTHONPATH": path},
            cwd=working_folder,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return run


@pytest.fixture(scope="session")
def own_stack(jars: Path) -> Iterator[dict[str, str]]:
    """The environment of a stack of its own that ends a second after its last user."""
    home = Path(tempfile.mkdtemp(prefix="kite-"))
    link = Layout(home).jars
    link.parent.mkdir(parents=True)
    link.symlink_to(jars)
    environ = {k: v for k, v in os.environ.items() if k not in stack.VARIABLES.values()}
    environ |= {HOME_VARIABLE: str(home), stack.GRACE_VARIABLE: "1"}
    yield environ
    stack.down(environ)
    shutil.rmtree(home)
