"""Fixtures: the real Postgres and Kafka, a simulated Kite, and calls in processes of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import pytest
from instruments_calls import load

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

hypothesis.settings.register_profile("instruments", deadline=None)
hypothesis.settings.load_profile("instruments")


@pytest.fixture(scope="session")
def calls() -> Iterator[CommandLine]:
    with CommandLine("instruments", load) as line:
        yield line


@pytest.fixture()
def kite() -> Iterator[RestSimulator]:
    """A Kite with a seeded master of today."""
    with RestSimulator() as simulator:
        yield simulator


@pytest.fixture()
def bare(tmp_path: Path, calls: CommandLine) -> Place:
    """A place without any settings."""
    return Place(tmp_path, calls, {"INSTRUMENTS_STATE_DIR": str(tmp_path / "state")})


@pytest.fixture()
def place(bare: Place, migrated_dsn: str, kite: RestSimulator) -> Place:  # noqa: F811
    """A place with a migrated database and a simulated Kite, without Kafka."""
    bare.env |= {
        "POSTGRES_DSN": migrated_dsn,
        "KITE_API_URL": kite.root,
        "KITE_LOGIN_URL": kite.login_page,
        "KITE_API_KEY": "dummy",
        "KITE_API_SECRET": "dummy",
    }
    return bare


@pytest.fixture()
def topics(
    place: Place,
    kafka_bootstrap: str,  # noqa: F811
    make_topic: Callable[..., str],  # noqa: F811
) -> tuple[str, str]:
    """The place publishes too: into these topics for the master and the dead letters."""
    names = make_topic(1, {"cleanup.policy": "compact"}), make_topic(1)
    place.env |= {
        "KAFKA_BOOTSTRAP": kafka_bootstrap,
        "INSTRUMENTS_TOPIC": names[0],
        "INSTRUMENTS_DLQ_TOPIC": names[1],
    }
    return names
