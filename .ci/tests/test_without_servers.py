"""Which tests run where there is no Kafka and no Postgres."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

TESTS = """
import pytest
@pytest.fixture
def kafka_bootstrap(): raise AssertionError("a server was started")
@pytest.fixture
def topic(kafka_bootstrap): pass
@pytest.fixture(params=["mock", "kafka"])
def broker(request): assert request.param == "mock"
def test_pure(): pass
def test_by_way_of_another(topic): pass
def test_both(broker): pass
"""


def test_a_test_on_a_server_is_left_out_and_counted(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))
    pytester.makepyfile(TESTS)
    result = pytester.runpytest_subprocess("-p", "without_servers")
    result.assert_outcomes(passed=2, deselected=2)
