"""Fixtures: brokers with topics of their own, and the command line in processes of its own."""

from __future__ import annotations

from collections.abc import Iterator

import hypothesis
import pytest
from command_line import load
from feed_fixtures import (  # noqa: F401
    kafka_bootstrap,
    make_topic,
    mock_broker,
    mock_kafka,
    mock_topics,
    real_kafka,
    real_topics,
)

from kite_runtime.testing import CommandLine

# The first example of a test may compile the loops; a time limit would only measure the machine.
hypothesis.settings.register_profile("ws_bridge", deadline=None)
hypothesis.settings.load_profile("ws_bridge")


@pytest.fixture(scope="session")
def command_line() -> Iterator[CommandLine]:
    """Runs ``ws_bridge`` with the arguments given, each time in a new process."""
    with CommandLine("ws_bridge", load) as line:
        yield line
