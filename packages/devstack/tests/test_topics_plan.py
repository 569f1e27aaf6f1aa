from __future__ import annotations

from typing import Any

from kite_contracts.topics import TopicSpec
from kite_devstack.topics import Action, TopicState, plan


def spec(**changes: Any) -> TopicSpec:
    values: dict[str, Any] = {
        "name": "ticks",
        "partitions": 6,
        "retention_ms": 1000,
        "cleanup_policy": "delete",
        "dlq": None,
        "owner": "market data",
        "key": "instrument token",
        "subject": "tick",
        "config": {},
    }
    return TopicSpec(**(values | changes))


SAME = {"retention.ms": "1000", "cleanup.policy": "delete", "segment.bytes": "1048576"}


def test_a_missing_topic_is_created_with_all_settings() -> None:
    [change] = plan([spec(config={"max.message.bytes": "2000"})], {})
    assert change.action is Action.CREATE
    assert change.partitions == 6
    assert {name: new for name, (_, new) in change.settings.items()} == {
        "retention.ms": "1000",
        "cleanup.policy": "delete",
        "max.message.bytes": "2000",
    }
    assert str(change) == (
        "create ticks: 6 partitions, cleanup.policy=delete, max.message.bytes=2000, "
        "retention.ms=1000"
    )


def test_an_equal_topic_is_kept_whatever_else_the_broker_says_of_it() -> None:
    [change] = plan([spec()], {"ticks": TopicState(6, SAME), "other": TopicState(1, {})})
    assert change.action is Action.KEEP
    assert str(change) == "keep   ticks"


def test_only_what_differs_is_altered() -> None:
    [change] = plan([spec(retention_ms=2000)], {"ticks": TopicState(6, SAME)})
    assert change.action is Action.ALTER
    assert change.settings == {"retention.ms": ("1000", "2000")}
    assert str(change) == "alter  ticks: retention.ms 1000 -> 2000"


def test_another_partition_count_is_reported_and_left() -> None:
    for found in (3, 12):
        [change] = plan([spec()], {"ticks": TopicState(found, SAME)})
        assert change.action is Action.KEEP
        assert change.partitions_differ
        assert f"it has {found} partitions and should have 6: left as it is" in str(change)


def test_the_order_is_that_of_the_specs() -> None:
    changes = plan([spec(name="b"), spec(name="a")], {"a": TopicState(6, SAME)})
    assert [(c.name, c.action) for c in changes] == [("b", Action.CREATE), ("a", Action.KEEP)]
