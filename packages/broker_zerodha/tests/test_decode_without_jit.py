"""Without the compiler the same loops run as plain Python, with numpy checking every index."""

from __future__ import annotations

import os
import subprocess
import sys

from kite_broker_zerodha.testing.fuzzing import fuzz
from kite_contracts.bounds import tick_bounds

PROGRAM = """
import numba
from kite_broker_zerodha.testing.fuzzing import fuzz
from kite_contracts.bounds import tick_bounds
assert numba.config.DISABLE_JIT
result = fuzz(300, seed=7, bounds=tick_bounds(), frames_per_call=20)
print(result)
"""


def test_plain_python_decodes_like_the_reference() -> None:
    paths = os.pathsep.join(path for path in sys.path if path)
    run = subprocess.run(
        [sys.executable, "-W", "error::RuntimeWarning", "-c", PROGRAM],
        env={**os.environ, "NUMBA_DISABLE_JIT": "1", "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip() == str(fuzz(300, seed=7, bounds=tick_bounds(), frames_per_call=20))
