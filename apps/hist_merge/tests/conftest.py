"""Fixtures: the real Postgres and Kafka, a simulated Kite, and calls in processes of their own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
from hist_merge_calls import load

from kite_contracts.sessions import SessionCalendar
from kite_devstack.testing import (  # noqa: F401
    fresh_dsn,
    kafka_bootstrap,
    make_topic,
    migrated_dsn,
    migrated_template,
    postgres_server,
)
from kite_runtime.testing import CommandLine, Place
from kite_simulator import RestSimulator

hypothesis.settings.register_profile("hist_merge", deadline=None)
hypothesis.settings.load_profile("hist_merge")

TOKENS = """\
instrument_token,mode,exchange,tradingsymbol
779521,full,NSE,SBIN
408065,full,NSE,INFY
"""


@pytest.fixture(scope="session")
def calendar() -> SessionCalendar:
    """The packaged session calendar, loaded once."""
    return SessionCalendar.load()


@pytest.fixture(scope="session")
def calls() -> Iterator[CommandLine]:
    with CommandLine("hist_merge", load) as line:
        yield line


@pytest.fixture()
def kite() -> Iterator[RestSimulator]:
    """A Kite with a seeded master of today."""
    with RestSimulator() as simulator:
        yield simulator


@pytest.fixture()
def bare(tmp_path: Path, calls: CommandLine) -> Place:
    """A place without settings but for its own state folder; a universe of SBIN and INFY."""
    place = Place(tmp_path, calls, {"HIST_MERGE_STATE_DIR": str(tmp_path / "state")})
    place.write("configs/tokens.csv", TOKENS)
    return place


@pytest.fixture()
def place(bare: Place, migrated_dsn: str) -> Place:  # noqa: F811
    """A place with a migrated database, without Kite and Kafka."""
    bare.env["POSTGRES_DSN"] = migrated_dsn
    return bare


@pytest.fixture()
def kite_place(place: Place, kite: RestSimulator) -> Place:
    """A place with a database and the simulated Kite; its token is not minted yet."""
    place.env |= {
        "KITE_API_URL": kite.root,
        "KITE_API_KEY": "dummy",
        "KITE_API_SECRET": "dummy",
    }
    return place
