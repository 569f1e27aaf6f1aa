"""The bridge, a process, on a Kite that shares no code with it and is mute, hostile or flooding."""

from __future__ import annotations

import asyncio
import json
import random
import signal
import socket
import struct
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from foreign_kite import (
    BINARY,
    CLOSE,
    TEXT,
    ForeignKite,
    Peer,
    full_packet,
    refusal,
    tick_frame,
    wire_frame,
)

from faults.broker import MEMORY_MAX_MIB
from faults.kafka import PlayKafka, real_broker
from faults.proof import Proof
from faults.scene import MIB, Scene, Watcher, until, watched
from faults.shifted import MODULE, OPEN_HOURS, clock_settings
from kite_broker_zerodha.subscriptions import Subscription, make_plan
from kite_contracts.tick_batch import TickMode
from kite_kafka_io.consumer import RecordReader, TickReader
from kite_live_feed.proof import Mark, mark_topics
from kite_live_feed.topics import Topics

SPEED = 4
"""How much faster the bridge's clocks run where it waits: its five seconds of silence are more than
one of ours."""
PATIENCE_S = 120.0
TOKENS = [(2_000 + number) << 8 | 1 for number in range(20)]
PLAN = make_plan([Subscription(token, TickMode.FULL) for token in TOKENS])

Act = Callable[[Peer], Awaitable[None]]


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PlayKafka]:
    """A real Kafka of these tests."""
    with real_broker(tmp_path_factory.mktemp("kafka")) as server:
        yield server


@pytest.fixture()
def scene(broker: PlayKafka, tmp_path: Path) -> Scene:
    """A stage on it."""
    return Scene(broker, tmp_path, full=False)


class Run:
    """A bridge on a foreign Kite, from its start to its end."""

    def __init__(
        self, scene: Scene, kite: ForeignKite, settings: dict[str, str] | None, speed: int
    ) -> None:
        self.kite = kite
        self.code = -1
        self.watcher = Watcher()
        self._scene = scene
        self._settings = {**clock_settings(scene.home, OPEN_HOURS, speed), **(settings or {})}
        self._mark: Mark = scene.mark()

    async def play(self, story: Callable[[Run], Awaitable[None]]) -> None:
        """Start both, let the story happen, and end the bridge when it has published everything."""
        async with self.kite:
            bridge = self._scene.bridge(
                self.kite.url, plan=PLAN, module=MODULE, settings=self._settings
            )
            async with watched(bridge) as self.watcher:
                await bridge.start()
                await story(self)
                assert bridge.running, bridge.lines[-5:]
                self.code = await bridge.end(signal.SIGTERM)
            self.lines = bridge.lines
        assert not self.kite.errors

    async def settled(self) -> None:
        """Until what the server sent is received and in Kafka."""
        await until(self._is_settled, PATIENCE_S)

    def _is_settled(self) -> bool:
        newest = self.watcher.newest
        taken = newest["packets_journaled"] + newest["packets_lost"]
        return taken >= self.kite.sent and not newest["journal_backlog_bytes"]

    def proof(self) -> Proof:
        """What a consumer reads, by the bridge's own numbers."""
        return self._scene.prove(self._mark)

    def published(self) -> set[int]:
        """The server's numbers, which the bridge does not know, of all ticks in Kafka."""
        topic, found = Topics().ticks, set[int]()
        with TickReader(
            self._scene.reader, topic, from_offsets=self._mark.offsets[topic], until_end=True
        ) as ticks:
            for columns in ticks:
                found.update(np.asarray(columns.column("volume_day")).tolist())
        return found


def run(
    scene: Scene,
    kite: ForeignKite,
    story: Callable[[Run], Awaitable[None]],
    settings: dict[str, str] | None = None,
    speed: int = 1,
) -> Run:
    """Play it."""
    played = Run(scene, kite, settings, speed)
    asyncio.run(played.play(story))
    return played


def assert_nothing_lost(played: Run, proof: Proof) -> None:
    """Each good tick is in Kafka once, and each silence is in a gap event."""
    numbers = {number % 2**32 for number in range(played.kite.sent)}
    assert numbers - played.published() == set()
    back = proof.back
    assert (back.lost(), back.duplicated, back.reordered) == (0, 0, 0)
    assert back.ticks >= played.kite.sent


# Mute.


def test_a_kite_that_is_mute_is_a_problem_a_gap_and_another_connection(scene: Scene) -> None:
    async def play(peer: Peer) -> None:
        if peer.number > 0:  # the first one gets heartbeats alone
            await peer.ticks(20, frames=50)

    async def story(played: Run) -> None:
        loop = asyncio.get_running_loop()
        kite, watcher = played.kite, played.watcher
        await until(lambda: kite.peers and kite.peers[0].subscribed.is_set())
        began_s = loop.time()
        await until(lambda: any("no ticks" in line for line in watcher.problems))
        assert loop.time() - began_s < 30 / SPEED + 5
        await until(lambda: len(kite.peers) == 2, 60 / SPEED + 20)
        assert loop.time() - began_s > 50 / SPEED
        await played.settled()
        await until(lambda: not watcher.newest["gaps_open"])

    played = run(scene, ForeignKite(play), story, speed=SPEED)
    proof = played.proof()
    assert_nothing_lost(played, proof)
    [gap] = [gap for gap in proof.gaps if gap.cause == "stalled"]
    assert gap.tokens == len(TOKENS)
    assert gap.to_ns is not None
    assert gap.to_ns - gap.from_ns > 60 * 10**9
    assert played.code == 0


# Hostile: what a connection survives.


async def _garbage(peer: Peer) -> None:
    source = random.Random(5)
    for size in (2, 3, 7, 100, 5_000):
        await peer.send(BINARY, source.randbytes(size))


async def _wrong_lengths(peer: Peer) -> None:
    good = full_packet(TOKENS[0], 100_000, 2**32 - 1, 1)
    for packets in ([good[:183]], [good + b"\0"], [good[:45]], [b""], [good[:8], good[:9]]):
        await peer.send(BINARY, tick_frame(packets))
    whole = tick_frame([good] * 3)
    await peer.send(BINARY, whole[:-1])
    await peer.send(BINARY, struct.pack(">H", 9) + whole[2:])
    await peer.send(BINARY, struct.pack(">H", 0) + whole[2:])
    await peer.send(BINARY, b"")


async def _empty_packets(peer: Peer) -> None:
    await peer.send(BINARY, tick_frame([b""] * 65_535))


async def _nested_texts(peer: Peer) -> None:
    for text in ("[" * 480 + "]" * 480, '{"a":' * 600, "[" * 100_000, '{"type":' * 5_000 + "1"):
        await peer.text(text)


async def _texts(peer: Peer) -> None:
    for text in (
        '{"type":"error","data":"too many instruments"}',
        '{"type":"error","data":{"deep":[1,2]}}',
        '{"type":"order","data":{"user_id":"AB1234","access_token":"SECRETtoken"}}',
        '{"type":"message","data":"\\u001b]52;c;aGk=\\u0007\\u202e\\u0085"}',
        *("null", "true", "0", "NaN", "", " ", "{}", '{"type":null}', '"\\ud800"', "not JSON"),
    ):
        await peer.text(text)


async def _flood_of_texts(peer: Peer) -> None:
    for number in range(20_000):
        peer.writer.write(wire_frame(TEXT, b'{"type":"message","data":"%d"}' % number))
    await peer.writer.drain()


async def _fragments(peer: Peer) -> None:
    """One tick frame in three WebSocket frames, with a heartbeat's worth of ping between."""
    payload = peer.good_frame(10)
    await peer.raw(
        wire_frame(BINARY, payload[:100], first=0)
        + wire_frame(0x9, b"ping")
        + wire_frame(0x0, payload[100:1_000], first=0)
        + wire_frame(0x0, payload[1_000:])
    )


SURVIVED = {
    "garbage": _garbage,
    "wrong lengths": _wrong_lengths,
    "empty packets": _empty_packets,
    "nested texts": _nested_texts,
    "texts": _texts,
    "flood of texts": _flood_of_texts,
    "fragments": _fragments,
}


def test_one_connection_survives_everything_that_is_a_message(scene: Scene) -> None:
    done = asyncio.Event()

    async def play(peer: Peer) -> None:
        for act in SURVIVED.values():
            await peer.ticks(20, frames=5)
            await act(peer)
        await peer.ticks(20, frames=5)
        done.set()

    async def story(played: Run) -> None:
        async with asyncio.timeout(PATIENCE_S):
            await done.wait()
        await played.settled()
        assert played.watcher.newest["text_messages"]["message"] > 20_000

    played = run(scene, ForeignKite(play), story)
    proof = played.proof()
    assert_nothing_lost(played, proof)
    assert len(played.kite.peers) == 1, proof.events
    assert proof.back.dead >= 65_535 + 5 + 8
    [error, other] = [e["detail"] for e in proof.events if e["type"] == "BROKER_ERROR"]
    assert error == "too many instruments"
    assert "deep" not in other
    log = "\n".join(played.lines)
    assert "SECRETtoken" not in log
    assert "AB1234" not in log
    assert len(log) < 1_000_000
    assert played.watcher.peak_rss_bytes < MEMORY_MAX_MIB * MIB


def test_one_connection_survives_frames_of_12_mb(scene: Scene) -> None:
    async def play(peer: Peer) -> None:
        await peer.ticks(20, frames=5)
        await peer.ticks(65_535, frames=3)
        await peer.ticks(20, frames=5)

    async def story(played: Run) -> None:
        await until(lambda: played.kite.sent == 3 * 65_535 + 200, PATIENCE_S)
        await played.settled()

    played = run(scene, ForeignKite(play), story)
    proof = played.proof()
    assert_nothing_lost(played, proof)
    assert len(played.kite.peers) == 1, proof.events
    assert proof.back.dead == 0
    assert played.watcher.peak_rss_bytes < MEMORY_MAX_MIB * MIB


# Hostile: what ends a connection.


def _raw(data: bytes) -> Act:
    async def act(peer: Peer) -> None:
        peer.writer.write(data)

    return act


async def _mid_frame(peer: Peer) -> None:
    peer.writer.write(wire_frame(BINARY, bytes(5_000))[:2_000])
    peer.writer.close()


async def _reset(peer: Peer) -> None:
    await asyncio.sleep(0.5)  # an RST takes what the client has not read yet
    peer.writer.transport.abort()


ENDINGS: dict[str, Act] = {
    "text that is no UTF-8": _raw(wire_frame(TEXT, b"\xff\xfe{")),
    "an unknown opcode": _raw(wire_frame(0x3, b"what")),
    "a reserved bit": _raw(wire_frame(BINARY, b"\0\0", first=0xC0)),
    "a continuation of nothing": _raw(wire_frame(0x0, b"more")),
    "a message begun in another": _raw(
        wire_frame(BINARY, b"\0\1", first=0) + wire_frame(TEXT, b"")
    ),
    "a length of 2^62": _raw(struct.pack(">BBQ", 0x82, 127, 2**62)),
    "a message of 16 MB": _raw(wire_frame(BINARY, bytes(16_000_000))),
    "a ping of 126 bytes": _raw(wire_frame(0x9, bytes(126))),
    "a close code of one byte": _raw(wire_frame(CLOSE, b"\3")),
    "a close code that is reserved": _raw(wire_frame(CLOSE, struct.pack(">H", 1005))),
    "the end in mid frame": _mid_frame,
    "a reset": _reset,
}
GROUPS = [list(ENDINGS)[at : at + 4] for at in range(0, len(ENDINGS), 4)]


@pytest.mark.parametrize("names", GROUPS, ids=", ".join)
def test_a_connection_that_is_ended_costs_nothing_that_came_before(
    scene: Scene, names: list[str]
) -> None:
    async def play(peer: Peer) -> None:
        await peer.ticks(20, frames=10)
        if peer.number < len(names):
            await ENDINGS[names[peer.number]](peer)

    async def story(played: Run) -> None:
        await until(lambda: len(played.kite.peers) > len(names), PATIENCE_S)
        await until(lambda: played.kite.sent == 200 * (len(names) + 1))
        await played.settled()

    played = run(scene, ForeignKite(play), story, speed=SPEED)
    proof = played.proof()
    assert_nothing_lost(played, proof)
    proof_gaps = [gap for gap in proof.gaps if gap.cause == "disconnected"]
    assert len(proof_gaps) == len(names)
    assert all(gap.to_ns is not None and gap.tokens == len(TOKENS) for gap in proof_gaps)
    assert played.code == 0


def test_answers_that_open_no_connection_are_tried_again_and_none_is_followed(
    scene: Scene,
) -> None:
    async def play(peer: Peer) -> None:
        await peer.ticks(20, frames=10)

    async def story(played: Run) -> None:
        await until(lambda: played.kite.sent == 200, PATIENCE_S)
        await played.settled()

    with socket.create_server(("127.0.0.1", 0)) as elsewhere:
        elsewhere.setblocking(False)
        answers = [
            refusal("302 Found", f"Location: ws://127.0.0.1:{elsewhere.getsockname()[1]}/"),
            refusal("301 Moved Permanently", "Location: ws://127.0.0.1:1/"),
            refusal("429 Too Many Requests", "Retry-After: 4", body="Too many requests"),
            refusal("403 Forbidden", body="\x1b]0;title\x07token"),
            b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\nSec-WebSocket-Accept: bm90aGluZw==\r\n\r\n",
            refusal("503 Service Unavailable"),
        ]
        kite = ForeignKite(play, refusals=answers)
        played = run(scene, kite, story, speed=SPEED)
        with pytest.raises(BlockingIOError):
            elsewhere.accept()
    proof = played.proof()
    assert_nothing_lost(played, proof)
    assert len(kite.requests) == len(answers) + 1
    assert proof.counted("AUTH_EXPIRED") == 0
    causes = {event["detail"] for event in proof.events if event["type"] == "DISCONNECTED"}
    for status in ("302", "301", "429", "valid HTTP", "Accept", "503"):
        assert any(status in str(cause) for cause in causes), (status, causes)
    assert not any("\x1b" in line or "\x07" in line for line in played.lines)
    [gap] = [gap for gap in proof.gaps if gap.cause == "connect_failed"]
    assert gap.to_ns is not None


# What is private.

POSTBACK = {
    "order_id": "151220000000000",
    "user_id": "AB1234",
    "status": "COMPLETE",
    "average_price": 1470.35,
    "checksum": "CANARYchecksum",
    "access_token": "CANARYtoken",
}


def test_a_postback_goes_to_its_topic_and_nowhere_else(scene: Scene) -> None:
    topics = Topics()
    orders = mark_topics(scene.reader, (topics.orders,)).offsets[topics.orders]

    async def play(peer: Peer) -> None:
        await peer.text(json.dumps({"type": "order", "data": POSTBACK}))
        await peer.ticks(20, frames=10)

    async def story(played: Run) -> None:
        await until(lambda: played.kite.sent == 200, PATIENCE_S)
        await played.settled()

    played = run(scene, ForeignKite(play), story, settings={"WS_BRIDGE_ORDER_UPDATES": "on"})
    proof = played.proof()
    assert_nothing_lost(played, proof)
    with RecordReader(
        scene.reader, [topics.orders], from_offsets=orders, until_end=True
    ) as records:
        [record] = [each.decode().record for each in records]
    assert {name: record[name] for name in ("order_id", "user_id", "status", "average_price")} == {
        **{name: POSTBACK[name] for name in ("order_id", "user_id", "status")},
        "average_price": "1470.35",
    }
    elsewhere = [*played.lines, *map(str, proof.events), str(record)]
    assert not [text for text in elsewhere if "CANARY" in text]
    assert not [text for text in elsewhere[:-1] if "AB1234" in text or "151220000000000" in text]
    journal = b"".join(each.read_bytes() for each in scene.journal.rglob("*") if each.is_file())
    assert b"CANARY" not in journal


# Flooding.

FLOOD_FRAMES, FLOOD_PACKETS = 2_000, 300
"""600,000 ticks as fast as the socket takes them; Kite's ceiling is 18,000 a second."""


async def _flood(peer: Peer) -> None:
    assert peer.number == 0, "the bridge left the connection"
    await peer.ticks(FLOOD_PACKETS, FLOOD_FRAMES)


def test_a_flood_is_published_whole_where_the_journal_has_room(scene: Scene) -> None:
    async def story(played: Run) -> None:
        await until(lambda: played.kite.sent == FLOOD_FRAMES * FLOOD_PACKETS, PATIENCE_S)
        await played.settled()

    played = run(scene, ForeignKite(_flood), story)
    proof = played.proof()
    assert_nothing_lost(played, proof)
    assert len(played.kite.peers) == 1
    assert played.watcher.newest["frames_lost"] == 0
    assert played.watcher.peak_rss_bytes < MEMORY_MAX_MIB * MIB
    assert played.code == 0


def test_what_a_flood_costs_a_full_journal_is_counted_in_gap_events(scene: Scene) -> None:
    enough, ended = asyncio.Event(), asyncio.Event()

    async def play(peer: Peer) -> None:
        while not enough.is_set():
            await peer.ticks(FLOOD_PACKETS, frames=10)
        ended.set()

    async def story(played: Run) -> None:
        await until(lambda: played.kite.sent > 10 * FLOOD_PACKETS)
        await asyncio.to_thread(scene.broker.suspend)
        try:
            await until(partial(_has_lost, played.watcher), PATIENCE_S)
            enough.set()
            await ended.wait()
        finally:
            await asyncio.to_thread(scene.broker.resume)
        await played.settled()
        [peer] = played.kite.peers
        await peer.ticks(20)  # with room again, the loss is an event
        await played.settled()

    settings = {"WS_BRIDGE_JOURNAL_MAX_BYTES": "4MiB"}
    played = run(scene, ForeignKite(play), story, settings)
    published = len(played.published())
    newest = played.watcher.newest
    assert newest["packets_lost"] > 0
    assert published + newest["packets_lost"] == played.kite.sent
    events = played.proof().events
    losses = [event for event in events if event["type"] == "LOSS"]
    assert sum(event["count"] for event in losses) == newest["frames_lost"]
    closed = {event["from_ns"] for event in events if event["type"] == "GAP_CLOSED"}
    assert {event["from_ns"] for event in losses} <= closed
    assert played.code == 3


def _has_lost(watcher: Watcher) -> bool:
    return bool(watcher.newest["frames_lost"] > 50)
