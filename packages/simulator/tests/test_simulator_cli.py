"""The simulator's own command: it serves both protocols until it is stopped."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from kite_broker_zerodha.rest import KiteRest
from kite_runtime.testing.programs import PATIENCE_S, import_path
from kite_simulator import cli

COMMAND = (sys.executable, "-m", cli.__name__)


@contextmanager
def child(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """The command with these arguments; killed if it has not ended by itself."""
    process = subprocess.Popen(
        [*COMMAND, *arguments],
        env={**os.environ, "PYTHONPATH": import_path()},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def test_without_a_command_it_serves_until_sigterm_and_prints_its_counts() -> None:
    with child("--port", "0", "--rest-port", "0", "--faults", "all") as simulator:
        assert simulator.stderr is not None
        lines = [simulator.stderr.readline() for _ in range(3)]
        assert re.search(r"Kite simulator at ws://127\.0\.0\.1:\d+/", lines[0])
        found = re.search(r"its REST API at (http://127\.0\.0\.1:\d+)", lines[1])
        assert found is not None
        with KiteRest("dummy", "dummy", root=found[1]) as rest:
            assert rest.profile().user_id == "SIM001"
        simulator.send_signal(signal.SIGTERM)
        out, _ = simulator.communicate(timeout=PATIENCE_S)
    assert simulator.returncode == 0
    assert json.loads(out)["connections"] == 0


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--faults", "/no/such"), "--faults /no/such: no such script can be read"),
        (("--instruments", "/no/such"), "--instruments /no/such cannot be read"),
        (("--history", "/no/such"), "--history /no/such: no such script can be read"),
    ],
)
def test_a_file_that_is_not_there_is_wrong_usage(arguments: tuple[str, str], sentence: str) -> None:
    with child("serve", "--port", "0", *arguments) as simulator:
        _, error = simulator.communicate(timeout=PATIENCE_S)
    assert simulator.returncode == 2
    assert error.startswith(f"kite-simulator: {sentence}")


def test_it_shows_its_version() -> None:
    with child("--version") as simulator:
        out, _ = simulator.communicate(timeout=PATIENCE_S)
    assert simulator.returncode == 0
    assert re.match(r"kite-simulator \S+ \(revision [^,]+, \w+ 3\.\d+", out)
