"""What holds before a command runs."""

from __future__ import annotations

from pathlib import Path

from kite_hist_merge.settings import Settings
from kite_runtime.settings import variables_table

PAGE = Path(__file__).parents[3] / "docs" / "settings.md"


def test_the_page_of_the_settings_is_as_the_code() -> None:
    assert variables_table(Settings) in PAGE.read_text("utf-8")
