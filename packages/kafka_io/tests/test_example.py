"""The program of docs/reading-ticks.md, run as its readers run it."""

from __future__ import annotations

import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from kite_kafka_io import settings
from kite_kafka_io.producer import Delivery, RecordProducer
from kite_kafka_io.testing import Broker, full_batch

EXAMPLE = Path(__file__).parents[3] / "docs/examples/read_ticks.py"


def _run(bootstrap: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "KAFKA_BOOTSTRAP": bootstrap,
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    return subprocess.run(
        [sys.executable, str(EXAMPLE), *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_the_example_prints_exact_prices(broker: Broker) -> None:
    topic = broker.make_topic()
    batch = full_batch(10, instruments=2)
    batch.values[-1, 6] = 1_234_550
    batch.values[-1, 21], batch.values[-1, 36] = 1_234_545, 1_234_560
    producer = RecordProducer(broker.settings, ticks_topic=topic)
    producer.produce_ticks(batch, Delivery())
    assert producer.flush(30) == 0
    producer.close()
    token = str(batch.values[-1, 0])
    run = _run(broker.settings.bootstrap, token, "--topic", topic, "--from-start")
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout.splitlines()[-1] == f"{token} last 12345.50  spread 0.15"


@pytest.mark.parametrize(
    ("bootstrap", "words"), [("", "KAFKA_BOOTSTRAP is not set"), ("nonsense", "'nonsense'")]
)
def test_the_example_says_what_is_wrong(bootstrap: str, words: str) -> None:
    run = _run(bootstrap, "1")
    assert run.returncode == 1
    assert words in run.stderr
    assert "Traceback" not in run.stderr


def test_the_settings_are_all_in_the_page() -> None:
    page = (EXAMPLE.parent.parent / "reference" / "environment.md").read_text()
    source = inspect.getsource(settings)
    names = set(re.findall(r'"((?:KAFKA|SCHEMA_REGISTRY)_[A-Z_]+)"', source))
    assert len(names) >= 15
    assert names - set(re.findall(r"[A-Z_]+", page)) == set()
