"""Runs ruff's formatter from the lock: ``./pants run build-support/ruff_format.py -- --check .``

Pants 2.17 knows ruff's lint but not its formatter.
"""

from __future__ import annotations

import os
import sys

from ruff.__main__ import find_ruff_bin

if __name__ == "__main__":
    ruff = os.fsdecode(find_ruff_bin())
    os.execv(ruff, [ruff, "format", *sys.argv[1:]])
