"""Adds up the closing lines of all test files in a log of ``./pants test ::``.

Prints the sum, and fails when a test was skipped or expected to fail: in CI nothing is.

Exit codes: 0 all passed, 1 something was skipped, failed or not run at all.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from pathlib import Path

CLOSING = re.compile(r"^=+ (?P<counts>.*) in [0-9.]+s.*=+$")
COUNT = re.compile(r"(\d+) (passed|failed|errors?|skipped|xfailed|xpassed|deselected)")
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def sum_up(log: str) -> tuple[int, Counter[str]]:
    """The number of test files that pytest closed, and the count of each outcome."""
    files, totals = 0, Counter[str]()
    for line in COLOUR.sub("", log).splitlines():
        closing = CLOSING.match(line)
        if closing is None:
            continue
        files += 1
        for count, outcome in COUNT.findall(closing["counts"]):
            totals[outcome] += int(count)
    return files, totals


def main(path: Path) -> int:
    files, totals = sum_up(path.read_text(errors="replace"))
    parts = ", ".join(f"{count} {outcome}" for outcome, count in totals.items())
    print(f"{parts or 'no test ran'} in {files} test files")
    return 0 if totals and set(totals) == {"passed"} else 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
