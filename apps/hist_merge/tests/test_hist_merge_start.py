"""What holds before a command runs."""

from __future__ import annotations

from kite_hist_merge import cli
from kite_runtime.testing import LARGE, carried, heavy_starts, leaf_commands


def test_help_version_and_a_wrong_option_load_nothing_heavy() -> None:
    assert heavy_starts(cli.__name__, leaf_commands(cli.PROGRAM.app())) == {}


def test_its_file_carries_only_what_it_uses() -> None:
    assert carried("kite_hist_merge") & LARGE == set(
        "exchange_calendars jinja2 jsonschema_rs kiteconnect numpy psycopg pyarrow".split()
    )
