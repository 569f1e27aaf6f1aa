"""What holds before a command runs."""

from __future__ import annotations

from pathlib import Path

from kite_hist_merge import cli
from kite_hist_merge.settings import Settings
from kite_runtime.settings import variables_table
from kite_runtime.testing import heavy_starts, leaf_commands

PAGE = Path(__file__).parents[3] / "docs" / "settings.md"


def test_the_page_of_the_settings_is_as_the_code() -> None:
    assert variables_table(Settings) in PAGE.read_text("utf-8")


def test_help_version_and_a_wrong_option_load_nothing_heavy() -> None:
    assert heavy_starts(cli.__name__, leaf_commands(cli.PROGRAM.app())) == {}
