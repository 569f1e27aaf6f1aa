"""Fixtures: the real Postgres and Kafka, and the session calendar."""

from __future__ import annotations

import hypothesis
import pytest

from kite_contracts.sessions import SessionCalendar
from kite_devstack.testing import (  # noqa: F401
    fresh_dsn,
    kafka_bootstrap,
    make_topic,
    migrated_dsn,
    migrated_template,
    postgres_server,
)

hypothesis.settings.register_profile("bar_history", deadline=None)
hypothesis.settings.load_profile("bar_history")


@pytest.fixture(scope="session")
def calendar() -> SessionCalendar:
    """The packaged session calendar, loaded once."""
    return SessionCalendar.load()
