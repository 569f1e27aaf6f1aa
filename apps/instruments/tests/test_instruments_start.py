"""What holds before a command runs."""

from __future__ import annotations

from pathlib import Path

from kite_bars_store.instruments.selection import TYPES
from kite_instruments import cli
from kite_instruments.commands import lookup
from kite_runtime.testing import LARGE, carried, heavy_starts, leaf_commands


def test_help_version_and_a_wrong_option_load_nothing_heavy() -> None:
    assert heavy_starts(cli.__name__, leaf_commands(cli.PROGRAM.app())) == {}


def test_the_help_of_lookup_names_the_types() -> None:
    assert f"One of {' '.join(TYPES)}." in Path(lookup.__file__).read_text("utf-8")


def test_its_file_carries_only_what_it_uses() -> None:
    assert carried("kite_instruments") & LARGE == set(
        "exchange_calendars kiteconnect numpy psycopg pyarrow".split()
    )
