"""Fault 13: Kafka refuses dead letters or feed events, in every way that it can; ticks go on."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any
from unittest.mock import patch

from confluent_kafka.admin import (  # type: ignore[attr-defined]  # re-exports unsaid
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourcePatternType,
    ResourceType,
)

from faults.kafka import BRIDGE
from faults.outcome import Fault, Outcome
from faults.scene import Scene, Watcher, create_topics, until, watched
from kite_devstack import topics as devstack_topics
from kite_devstack.kafka import KafkaServer
from kite_kafka_io.topics import end_offsets
from kite_live_feed.proof import Mark
from kite_live_feed.refused import RefusedStore
from kite_live_feed.topics import FEED_EVENTS, TICKS, TICKS_DLQ
from kite_runtime.testing import import_path
from kite_simulator import faults as simulator_faults
from kite_simulator import parse_script

SCRIPT = "120 violation; 140 garbage; 160 unknown-length; 180 truncate; 200 violation; 220 trailing"
SIDE = (TICKS_DLQ, FEED_EVENTS)
RATE = 400.0
WAIT_MOST_S = 3.0
"""A request for metrics waits for a busy machine, too."""

Change = Callable[[KafkaServer], None]


@dataclass(frozen=True)
class Refusal:
    """One way in which Kafka refuses: how it comes about, and how it is over."""

    begin: Change
    end: Change
    topics: tuple[str, ...]
    """Of these nothing is taken, or only what fits."""
    at_start: bool = False
    restart: bool = False
    """The broker is restarted while it refuses."""
    by_size: bool = False
    """Each record is refused for what it is: the topic itself is no problem."""
    some: int | None = None
    """So many records are put aside, where it is not all of them."""
    large_packet: bool = False


def play(scene: Scene, refusal: Refusal) -> Outcome:
    """Ticks go on; what is refused lies in a file at last, and is sent when the topic is right."""
    outcome = Outcome()
    kafka = scene.reader
    offsets = {name: end_offsets(kafka, name) for name in (TICKS, *SIDE)}
    gone = refusal.begin is _delete_all or refusal.begin is _delete_dead
    try:
        sent, bad, watcher, newest, code = asyncio.run(_play(scene, refusal))
    finally:
        refusal.end(scene.broker)
    store = RefusedStore(scene.journal)
    outcome.note("packets sent", sent)
    outcome.demand("ticks acknowledged meanwhile", newest["ticks_acked"], sent - bad)
    limit = 30.0 if refusal.restart else WAIT_MOST_S
    outcome.demand_most(
        "longest wait for acknowledged ticks, s", round(watcher.longest_wait_s, 1), limit
    )
    if not refusal.restart:
        outcome.demand("producer restarts", newest["producer_restarts"], 0)
    for topic in refusal.topics:
        aside = newest["records_refused"].get(topic, 0)
        if topic == TICKS_DLQ:
            expected = bad if refusal.some is None else refusal.some
            outcome.demand("dead letters put aside", aside, expected)
            outcome.demand("dead letters acknowledged", newest["dead_acked"], bad - expected)
        else:
            outcome.demand("events put aside", aside, newest["events_journaled"])
        if not refusal.by_size:
            told = any(line.startswith(topic) for line in watcher.problems)
            outcome.demand(f"{topic} told by /readyz", "yes" if told else "no", "yes")
    outcome.demand_least("refusals counted", newest["side_refusals"], 1)
    backlog = newest["journal_backlog_bytes"]
    outcome.demand("journal backlog at the end, bytes", backlog, 0)
    outcome.demand("exit code", code, 3)
    outcome.demand("exit code of ws_bridge refused --send", _send(scene), 0)
    outcome.demand("bytes that are still put aside", store.size_bytes, 0)
    for topic in refusal.topics if refusal.by_size else ():
        _limit(scene.broker, topic, None)  # the next play is on the same broker
    if gone:
        offsets |= {t: dict.fromkeys(end_offsets(kafka, t), 0) for t in refusal.topics}
    proof = scene.prove(Mark(offsets))
    outcome.demand("packets journaled", sum(proof.back.sessions.values()), sent)
    outcome.demand("dead letters read back", proof.back.dead, bad)
    events = newest["events_journaled"]
    outcome.demand_least("events read back", len(proof.events), 0 if refusal.restart else events)
    proof.demand_nothing_lost(outcome)
    return outcome


async def _play(scene: Scene, refusal: Refusal) -> tuple[int, int, Watcher, dict[str, Any], int]:
    broker, script = scene.broker, parse_script(SCRIPT)
    ticks = int(RATE * (45 if scene.full else 22))
    with _packets_of(2_000 if refusal.large_packet else None):
        async with scene.market(ticks, RATE, script) as kite:
            if refusal.at_start:
                await asyncio.to_thread(refusal.begin, broker)
            bridge = scene.bridge(kite.url)
            async with watched(bridge) as watcher:
                await bridge.start()
                await until(lambda: kite.ledger.frames > 50)
                if not refusal.at_start:
                    await asyncio.to_thread(refusal.begin, broker)
                if refusal.restart:
                    await until(lambda: kite.ledger.frames > 230)
                    await asyncio.to_thread(broker.kill)
                    await asyncio.to_thread(broker.start)
                await asyncio.wait_for(kite.finished.wait(), 120)
                await until(lambda: _settled(watcher, kite.ledger.frames), 90)
                newest = watcher.newest
                code = await bridge.end(signal.SIGTERM)
            return kite.ledger.rows, kite.ledger.bad.total(), watcher, newest, code


def _packets_of(size: int | None) -> AbstractContextManager[object]:
    """The packet of a length that Kite does not document has this one."""
    if size is None:
        return nullcontext()
    return patch.object(simulator_faults, "UNKNOWN_LENGTH_BYTES", size)


def _settled(watcher: Watcher, frames: int) -> bool:
    newest = watcher.newest
    return newest["frames_received"] == frames and not newest["journal_backlog_bytes"]


def _delete_dead(server: KafkaServer) -> None:
    _delete(server, TICKS_DLQ)


def _delete_all(server: KafkaServer) -> None:
    _delete(server, *SIDE)


def _delete(server: KafkaServer, *topics: str) -> None:
    client = devstack_topics.admin(server.bootstrap, {})
    for answer in client.delete_topics(list(topics)).values():
        answer.result(timeout=30)


def _rules() -> list[AclBinding]:
    """Nobody may write the side topics; all else is allowed there."""
    who = (ResourcePatternType.LITERAL, "User:*", "*")
    return [
        AclBinding(ResourceType.TOPIC, topic, *who, operation, permission)
        for topic in SIDE
        for operation, permission in (
            (AclOperation.WRITE, AclPermissionType.DENY),
            (AclOperation.ALL, AclPermissionType.ALLOW),
        )
    ]


def _deny(server: KafkaServer) -> None:
    client = devstack_topics.admin(server.bootstrap, {})
    for answer in client.create_acls(_rules()).values():
        answer.result(timeout=30)


def _allow(server: KafkaServer) -> None:
    """Take back what ``_deny`` made, and nothing else."""
    client = devstack_topics.admin(server.bootstrap, {})
    made = [
        AclBindingFilter(
            each.restype,
            each.name,
            each.resource_pattern_type,
            each.principal,
            each.host,
            each.operation,
            each.permission_type,
        )
        for each in _rules()
    ]
    for answer in client.delete_acls(made).values():
        answer.result(timeout=30)


def _limit(server: KafkaServer, topic: str, size: int | None) -> None:
    """Set ``max.message.bytes``, or take the setting away."""
    client = devstack_topics.admin(server.bootstrap, {})
    kind = AlterConfigOpType.DELETE if size is None else AlterConfigOpType.SET
    entry = ConfigEntry(
        "max.message.bytes", None if size is None else str(size), incremental_operation=kind
    )
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
    for answer in client.incremental_alter_configs([resource]).values():
        answer.result(timeout=30)


def _send(scene: Scene) -> int:
    command = (sys.executable, "-m", "kite_ws_bridge.cli", "refused", "--send")
    return subprocess.run(
        [*command, "--journal-dir", str(scene.journal)],
        env={**os.environ, **scene.broker.variables(BRIDGE), "PYTHONPATH": import_path()},
        check=False,
    ).returncode


def _fault(name: str, title: str, refusal: Refusal) -> Fault:
    pause = "when the broker is back" if refusal.restart else "without a pause"
    promise = (
        f"ticks go on {pause}; each refused record is put aside, counted, and in Kafka "
        "after `ws_bridge refused --send`; lost = duplicated = reordered = 0"
    )
    return Fault(13, name, title, promise, partial(play, refusal=refusal))


FAULTS = [
    _fault(
        "dead-topic-gone",
        "The topic ticks.dlq is deleted under load and created later",
        Refusal(_delete_dead, create_topics, (TICKS_DLQ,)),
    ),
    _fault(
        "side-topics-missing",
        "ticks.dlq and feed.events are not there when the bridge starts",
        Refusal(_delete_all, create_topics, SIDE, at_start=True),
    ),
    _fault(
        "side-rights-missing",
        "The bridge's user may not write ticks.dlq and feed.events",
        Refusal(_deny, _allow, SIDE, at_start=True),
    ),
    _fault(
        "side-rights-restart",
        "The same, and the broker is killed and restarted meanwhile",
        Refusal(_deny, _allow, SIDE, at_start=True, restart=True),
    ),
    _fault(
        "events-limit",
        "feed.events has max.message.bytes=10",
        Refusal(
            partial(_limit, topic=FEED_EVENTS, size=10),
            partial(_limit, topic=FEED_EVENTS, size=None),
            (FEED_EVENTS,),
            at_start=True,
            by_size=True,
        ),
    ),
    _fault(
        "letters-limit",
        "ticks.dlq has max.message.bytes=1000, and a packet has 2 kB",
        Refusal(
            partial(_limit, topic=TICKS_DLQ, size=1000),
            # So large that each fits, and not all of them in one batch.
            partial(_limit, topic=TICKS_DLQ, size=3000),
            (TICKS_DLQ,),
            by_size=True,
            some=1,
            large_packet=True,
        ),
    ),
]
