"""Runs ruff's formatter from the lock: ``./pants script build-support/ruff_format.py -- --check .``

Pants 2.17 knows ruff's lint but not its formatter.
"""

from __future__ import annotations

import os
import sys

from ruff.__main__ import find_ruff_bin  # type: ignore[import-untyped]

if __name__ == "__main__":
    ruff = os.fsdecode(find_ruff_bin())
    os.execv(ruff, [ruff, "format", *sys.argv[1:]])
