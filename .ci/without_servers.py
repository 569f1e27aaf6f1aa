"""A pytest plugin: leaves out the tests that need a real Kafka or Postgres.

What a test needs is read from the fixtures it asks for, itself or through others, so a new test is
sorted without being listed anywhere. What is left out counts as deselected, never as passed.
"""

from __future__ import annotations

import pytest

SERVERS = frozenset({"kafka_bootstrap", "postgres_server", "private"})
"""The fixtures that start one."""


def needs_server(item: pytest.Item) -> bool:
    """Whether the test stands on one; of a parametrised broker, the real one only."""
    if SERVERS & set(getattr(item, "fixturenames", ())):
        return True
    call = getattr(item, "callspec", None)
    return call is not None and call.params.get("broker") == "kafka"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    left_out = [item for item in items if needs_server(item)]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in set(left_out)]
