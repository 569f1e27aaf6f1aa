"""What holds before a command runs."""

from __future__ import annotations

from kite_runtime.testing import LARGE, carried, heavy_starts, leaf_commands
from kite_ws_bridge import cli


def test_help_version_and_a_wrong_option_load_nothing_heavy() -> None:
    assert heavy_starts(cli.__name__, leaf_commands(cli.PROGRAM.app())) == {}


def test_its_file_carries_only_what_it_uses() -> None:
    # kafka_io.columns offers pyarrow to readers; BUILD leaves it out of the file.
    assert carried("kite_ws_bridge") & LARGE == set(
        "exchange_calendars numba numpy pandas pyarrow websockets".split()
    )
