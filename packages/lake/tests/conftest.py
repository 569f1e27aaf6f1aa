"""Fixtures: a lake in a folder of the test, and topics on the real Kafka."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from archive_stage import Stage

from kite_devstack.testing import (  # noqa: F401
    MakeTopic,
    fresh_dsn,
    kafka_bootstrap,
    make_topic,
    postgres_server,
)
from kite_kafka_io.settings import KafkaSettings
from kite_lake.catalog import Lake, open_lake


@pytest.fixture()
def lake(tmp_path: Path) -> Iterator[Lake]:
    opened = open_lake(tmp_path / "lake")
    yield opened
    opened.close()


@pytest.fixture()
def stage(kafka_bootstrap: str, make_topic: MakeTopic, tmp_path: Path) -> Stage:  # noqa: F811
    """Topics of this test, and where its archive is."""
    topics = make_topic(6), make_topic(1), make_topic(1)
    return Stage(KafkaSettings(bootstrap=kafka_bootstrap), *topics, tmp_path / "lake")
