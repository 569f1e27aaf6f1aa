"""``replay``: journal segments into Kafka again."""

from __future__ import annotations

import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from kite_kafka_io.settings import KafkaSettings
from kite_live_feed.counters import Counters
from kite_live_feed.errors import KafkaUnreachable
from kite_live_feed.topics import TICKS, Topics
from kite_runtime.clock import SystemClock
from kite_runtime.console import say
from kite_runtime.errors import EXIT_FINDINGS, UsageError
from kite_runtime.options import Bootstrap, Root
from kite_ws_bridge.commands.options import COMPILING, kafka_settings

if TYPE_CHECKING:
    from kite_kafka_io.framing import Framing

PROGRESS_S: Final = 2.0
UNACKED_S: Final = 60.0
WAIT_S: Final = 0.01


def command(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="Journal segments, oldest first.")
    ],
    speed: Annotated[
        float,
        typer.Option(
            "--speed", min=0, help="1 as recorded, 10 ten times as fast, 0 as fast as possible."
        ),
    ] = 1.0,
    topic: Annotated[str, typer.Option("--topic", help="Where the ticks go.")] = TICKS,
    bootstrap: Bootstrap = None,
    root: Root = Path(),
) -> int:
    """Publish the frames of journal segments again.

    Ticks keep their feed_session and feed_seq, so a consumer with the duplicate filter drops those
    that it has had. Feed events in the segments are not sent again.
    """
    from kite_kafka_io.registry import writing_framing
    from kite_kafka_io.topics import check_topics
    from kite_live_feed.bridge import warm_up
    from kite_live_feed.journal.reader import read_file
    from kite_runtime.logs import configure_logs

    configure_logs(quiet=True)
    for path in files:
        next(read_file(path), None)  # a wrong file is reported before anything is sent
    kafka = kafka_settings(bootstrap, root)
    topics = Topics(ticks=topic)
    if topic.endswith((".dlq", "_dlq")):
        raise UsageError(f"--topic {topic} is for dead letters; give a topic of ticks")
    check_topics(kafka, (topics.ticks, topics.dead))
    say(COMPILING)
    warm_up()
    counters = Counters()
    framing = writing_framing(kafka, {topics.ticks: "tick"})
    framing.prepare()
    frames = _publish(files, speed, kafka, framing, topics, counters)
    say(
        f"{frames:,} frames: {counters.ticks_acked:,} ticks and {counters.dead_acked:,} "
        f"dead letters acknowledged in {topics.ticks} and {topics.dead}"
    )
    return EXIT_FINDINGS if counters.dead_acked else 0


def _publish(
    files: list[Path],
    speed: float,
    kafka: KafkaSettings,
    framing: Framing,
    topics: Topics,
    counters: Counters,
) -> int:
    from kite_live_feed.pump import Pump
    from kite_live_feed.replay import ReplayCursor, ReplayReader

    reader = ReplayReader(files, speed, SystemClock())
    shown_s = progress_s = time.monotonic()
    acked = 0
    with closing(Pump(reader, ReplayCursor(), kafka, framing, topics, counters)) as pump:
        while not (reader.finished and pump.idle):
            if not pump.step():
                pump.wait(WAIT_S)
            pump.collect()
            now_s = time.monotonic()
            if counters.ticks_acked > acked or pump.idle:
                acked, progress_s = counters.ticks_acked, now_s
            if now_s - progress_s > UNACKED_S:
                raise KafkaUnreachable(
                    f"Kafka at {kafka.bootstrap} has acknowledged nothing for {UNACKED_S:.0f} s; "
                    "run the same replay again when it answers (consumers drop the repeats)"
                )
            if now_s - shown_s > PROGRESS_S:
                shown_s = now_s
                say(f"{reader.frames:,} frames read, {acked:,} ticks acknowledged")
    return reader.frames
