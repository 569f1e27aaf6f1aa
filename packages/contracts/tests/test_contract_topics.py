"""topics.toml: what it says, what overrides it, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from kite_contracts.errors import SchemaError
from kite_contracts.topics import load_topics
from kite_runtime.errors import ConfigurationError

GOOD = """
[[topic]]
name = "ticks"
key = "token"
partitions = 2
retention_ms = 1000
cleanup_policy = "delete"
owner = "me"
"""


def test_the_topics_of_the_design_are_there() -> None:
    topics = {one.name: one for one in load_topics()}
    assert topics["ticks"].dlq == "ticks.dlq"
    assert {name: one.subject for name, one in topics.items()} == {
        "ticks": "tick",
        "ticks.dlq": None,
        "bars": "bar",
        "bars.seconds": "second_bar",
        "bars.state": None,
        "bars.dlq": None,
        "feed.events": "feed_event",
        "orders.updates": "order_update",
        "bridge.shards": None,
        "instruments": "instrument",
        "instruments.dlq": None,
        "ticks.repair": "tick",
        "ticks.quarantine": None,
        "bars.quarantine": None,
        "instruments.quarantine": None,
    }
    assert topics["feed.events"].partitions == 1
    assert [name for name, one in topics.items() if one.cleanup_policy != "delete"] == [
        "bars.state",
        "instruments",
    ]
    for one in topics.values():
        assert one.settings["retention.ms"] == str(one.retention_ms)
        assert one.settings["cleanup.policy"] == one.cleanup_policy
        if one.dlq is not None:
            assert topics[one.dlq].retention_ms >= one.retention_ms


def test_each_dead_letter_topic_is_of_one_topic_and_has_a_quarantine_that_outlasts_it() -> None:
    topics = {one.name: one for one in load_topics()}
    dead = [one.dlq for one in topics.values() if one.dlq is not None]
    assert len(set(dead)) == len(dead)
    for name in topics:
        base, dot, _ = name.rpartition(".dlq")
        if dot:
            assert topics[f"{base}.quarantine"].retention_ms > topics[name].retention_ms


def test_the_environment_overrides_the_retention() -> None:
    environ = {
        "TOPIC_TICKS_RETENTION_MS": "-1",
        "TOPIC_FEED_EVENTS_RETENTION_MS": "60000",
        "X": "1",
    }
    topics = {one.name: one.retention_ms for one in load_topics(environ=environ)}
    assert (topics["ticks"], topics["feed.events"]) == (-1, 60_000)
    assert topics["bars"] == load_topics()[2].retention_ms


@pytest.mark.parametrize("text", ["", "7d", "0", "-2", "1.5", "1e6", " 5", "9" * 30, "\u0665"])
def test_a_wrong_override_names_the_variable(text: str) -> None:
    with pytest.raises(
        ConfigurationError, match="TOPIC_TICKS_DLQ_RETENTION_MS must be milliseconds"
    ):
        load_topics(environ={"TOPIC_TICKS_DLQ_RETENTION_MS": text})


def test_an_override_of_no_topic_is_refused() -> None:
    with pytest.raises(
        ConfigurationError, match="TOPIC_TICK_RETENTION_MS names no topic; known are"
    ):
        load_topics(environ={"TOPIC_TICK_RETENTION_MS": "5"})


def test_a_file_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "topics.toml"
    path.write_text(GOOD)
    (topic,) = load_topics(path)
    assert (topic.name, topic.partitions, topic.config, topic.dlq) == ("ticks", 2, {}, None)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (GOOD.replace('owner = "me"', ""), "is missing owner"),
        (GOOD + "colour = 1", "unknown key 'colour'"),
        (GOOD.replace("= 2", '= "2"'), "partitions must be int"),
        (GOOD.replace("= 2", "= true"), "partitions must be int"),
        (GOOD.replace("= 2", "= 0"), "partitions must be 1 to 1000"),
        (GOOD.replace("= 2", "= 1001"), "partitions must be 1 to 1000"),
        (GOOD.replace("= 1000", "= 0"), "retention_ms must be -1 or positive"),
        (GOOD.replace('"delete"', '"purge"'), "cleanup_policy must be one of"),
        (GOOD.replace('"ticks"', '"ti cks"'), "name must be letters"),
        (GOOD.replace('"ticks"', '"a_b"'), "name must be letters"),
        (GOOD + 'subject = "ticks"', "subject must be one of the contracts"),
        (GOOD + 'dlq = "none"', "dlq 'none' is no topic"),
        (GOOD + 'dlq = "ticks"', "cannot be its own dlq"),
        (GOOD + 'config = { "max.message.bytes" = 5 }', "config values must be strings"),
        (GOOD + GOOD, "is there twice"),
        (
            GOOD.replace("ticks", "a.b") + GOOD.replace("ticks", "a-b"),
            "is there twice, or nearly so",
        ),
        ("nonsense", "is no TOML"),
        ("x = 1", "must hold"),
        ("topic = 1", "must hold"),
    ],
)
def test_a_faulty_file_is_refused(tmp_path: Path, text: str, what: str) -> None:
    path = tmp_path / "topics.toml"
    path.write_text(text)
    with pytest.raises(SchemaError, match=what):
        load_topics(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SchemaError, match="cannot be read: No such file"):
        load_topics(tmp_path / "none.toml")
