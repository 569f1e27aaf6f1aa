"""The sum over pytest's closing lines, as Pants prints them."""

from __future__ import annotations

from pathlib import Path

import pytest
from summarise_tests import main

PASSED = "============================== 7 passed in 1.53s ==============================="
WARNED = "\x1b[33m==== \x1b[32m30 passed\x1b[0m, 2 warnings in 61.02s (0:01:01) ====\x1b[0m"
SKIPPED = "========================= 3 passed, 1 skipped in 0.10s ========================="


@pytest.mark.parametrize(
    ("lines", "code", "sentence"),
    [
        ([PASSED, WARNED], 0, "37 passed in 2 test files"),
        ([PASSED, SKIPPED], 1, "10 passed, 1 skipped in 2 test files"),
        (["1 passed in spirit"], 1, "no test ran in 0 test files"),
    ],
)
def test_sum(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    lines: list[str],
    code: int,
    sentence: str,
) -> None:
    log = tmp_path / "log"
    log.write_text("\n".join(lines))
    assert main(log) == code
    assert capsys.readouterr().out.strip() == sentence
