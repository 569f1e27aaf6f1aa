"""Fault 13: the topic of the dead letters is gone, and comes back later."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys

from faults.outcome import Fault, Outcome
from faults.scene import Scene, Watcher, create_topics, until, watched
from kite_devstack import topics as devstack_topics
from kite_devstack.kafka import KafkaServer
from kite_kafka_io.offsets import end_offsets
from kite_kafka_io.settings import KafkaSettings
from kite_live_feed.proof.read_topics import Mark
from kite_live_feed.refused import RefusedStore
from kite_live_feed.topics import FEED_EVENTS, TICKS, TICKS_DLQ
from kite_runtime.testing import import_path
from kite_simulator import parse_script

SCRIPT = "120 violation; 140 garbage; 160 unknown-length; 180 truncate; 200 violation; 220 trailing"


def no_dead_letters(scene: Scene) -> Outcome:
    """Ticks go on; the dead letters wait half a minute, then lie in a file, then are sent."""
    outcome = Outcome()
    kafka = KafkaSettings(bootstrap=scene.broker.bootstrap)
    offsets = {name: end_offsets(kafka, name) for name in (TICKS, FEED_EVENTS)}
    sent, bad, watcher = asyncio.run(_play(scene))
    store = RefusedStore(scene.journal)
    outcome.note("packets sent", sent)
    outcome.demand(
        "dead letters put aside",
        watcher.newest.value("records_refused_total", topic=TICKS_DLQ),
        bad,
    )
    outcome.demand("dead letters acknowledged", watcher.newest.total("dead_acked"), 0)
    outcome.demand_least("refusals counted", watcher.newest.total("side_refusals"), bad)
    outcome.demand("ticks acknowledged meanwhile", watcher.newest.total("ticks_acked"), sent - bad)
    outcome.demand("producer restarts", watcher.newest.total("producer_restarts"), 0)
    outcome.demand(
        "journal backlog at the end, bytes", watcher.newest.value("journal_backlog_bytes"), 0
    )
    create_topics(scene.broker)
    outcome.demand("exit code of ws_bridge refused --send", _send(scene), 0)
    outcome.demand("bytes that are still put aside", store.size_bytes, 0)
    proof = scene.prove(
        Mark({**offsets, TICKS_DLQ: dict.fromkeys(end_offsets(kafka, TICKS_DLQ), 0)})
    )
    outcome.demand("packets journaled", sum(proof.back.sessions.values()), sent)
    outcome.demand("dead letters read back", proof.back.dead, bad)
    proof.demand_nothing_lost(outcome)
    return outcome


async def _play(scene: Scene) -> tuple[int, int, Watcher]:
    async with scene.market(600 * 30, 400.0, parse_script(SCRIPT)) as kite:
        bridge = scene.bridge(kite.url)
        async with watched(bridge) as watcher:
            await bridge.start()
            await until(lambda: kite.ledger.frames > 50)
            await asyncio.to_thread(_delete, scene.broker, TICKS_DLQ)
            await asyncio.wait_for(kite.finished.wait(), 120)
            await until(lambda: _settled(watcher, kite.ledger.frames), 90)
            assert await bridge.end(signal.SIGTERM) == 3, bridge.lines
        return kite.ledger.rows, kite.ledger.bad.total(), watcher


def _settled(watcher: Watcher, frames: int) -> bool:
    newest = watcher.newest
    return newest.total("frames_received") == frames and not newest.value("journal_backlog_bytes")


def _delete(server: KafkaServer, topic: str) -> None:
    client = devstack_topics.admin(server.bootstrap, os.environ)
    client.delete_topics([topic])[topic].result(timeout=30)


def _send(scene: Scene) -> int:
    command = (sys.executable, "-m", "kite_ws_bridge.cli", "refused", "--send")
    return subprocess.run(
        [*command, "--journal-dir", str(scene.journal), "--bootstrap", scene.broker.bootstrap],
        env={**os.environ, "PYTHONPATH": import_path()},
        check=False,
    ).returncode


FAULTS = [
    Fault(
        13,
        "dead-topic-gone",
        "The topic ticks.dlq is deleted under load and created later",
        "ticks go on; each dead letter is put aside, counted, and in Kafka after "
        "`ws_bridge refused --send`; lost = duplicated = reordered = 0",
        no_dead_letters,
    )
]
