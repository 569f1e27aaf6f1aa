"""Frame to acknowledged record on the real broker: the bridge against the plain pipeline, the
quickest libraries, and the ready-made bytes."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack

from benchmarks.bridge_way import JournaledBridge, UnjournaledBridge
from benchmarks.measure import Figure, Spread, Task, in_turns, rate, ratios, say
from benchmarks.stage import PARTITIONS, full_frames, kafka_settings, topic
from benchmarks.ways import Plain, Quick, Ready, Way
from kite_kafka_io.settings import KafkaSettings

TITLE = "Frame to acknowledged record, broker and bridge on the same cores"
SIZES = (1, 10, 30, 100, 500)
TICKS = 60_000
FRAMES_MAX = 10_000
PLAIN_TICKS = 500
QUICK_TICKS = 3_000
PLAIN_MIN = 80.0
READY_MIN = {10: 0.6, 30: 0.8, 100: 0.8, 500: 0.8}
INSTRUMENTS = (100, 1_000, 3_000, 9_000)
PARTITION_COUNTS = (1, 3, 6, 12, 24)
COMPRESSIONS = ("lz4", "zstd", "snappy", "none")
LINGERS_MS = (0, 1, 5)
USUAL_PACKETS = 100

NAMES = {
    "step": "bridge, frame by frame",
    "queue": "bridge, frames queue",
    "bare": "bridge without journal, frame by frame",
    "ready": "ready-made bytes, produce_batch",
    "single": "ready-made bytes, produce",
    "quick": "struct + jsonschema-rs + fastavro",
    "plain": "KiteTicker + jsonschema + fastavro",
}


def run(rounds: int) -> list[Figure]:
    """Every way at every size, then the ratios that have budgets."""
    found: list[Figure] = []
    for packets in SIZES:
        say(f"  {packets} packets a frame")
        rates, costs = _measured(packets, rounds)
        found += figures_of(packets, rates, costs)
    return found


def figures_of(
    packets: int, rates: dict[str, list[float]], costs: dict[str, list[float]]
) -> list[Figure]:
    """The figures of one size of frame (pure): rates, what has a budget, and costs."""
    where = f"{packets} packets a frame"
    found = [
        Figure.of(f"{NAMES[name]}, {where}", "ticks/s", Spread.of(values), at=packets)
        for name, values in rates.items()
    ]
    for name in ("step", "queue"):
        against = ratios(rates[name], rates["plain"])
        found.append(
            Figure.of(
                f"{NAMES[name]}, against the plain pipeline, {where}", "x", against, PLAIN_MIN
            )
        )
    for name in ("step", "queue"):
        against, least = ratios(rates[name], rates["ready"]), READY_MIN.get(packets)
        found.append(
            Figure.of(f"{NAMES[name]}, against ready-made bytes, {where}", "x", against, least)
        )
    kept = ratios(rates["step"], rates["bare"])
    found.append(Figure.of(f"with journal against without, {where}", "x", kept))
    for name in ("step", "queue", "bare", "ready", "quick", "plain"):
        cost = Spread.of(costs[name])
        found.append(Figure.of(f"{NAMES[name]}, CPU a thousand ticks, {where}", "ms", cost))
    for name in ("step", "queue"):
        share = ratios(costs["ready"], costs[name])
        label = f"CPU of ready-made bytes against {NAMES[name]}, {where}"
        found.append(Figure.of(label, "x", share))
    return found


def _measured(packets: int, rounds: int) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Ticks a second, and processor milliseconds for 1,000 ticks, of each way in each round.

    The processor time is that of this process with librdkafka's threads, without the broker.
    """
    settings = kafka_settings()
    frames = full_frames(packets, max(8, min(FRAMES_MAX, TICKS // packets)))
    with topic(settings) as name, ExitStack() as ways:
        ready, single = Ready(settings, name), Ready(settings, name, batched=False)
        for each in (ready, single):
            each.prepare(frames)
        open_ways: dict[str, tuple[Way, Sequence[bytes]]] = {
            "step": (JournaledBridge(settings, name), frames),
            "queue": (JournaledBridge(settings, name, queued=True), frames),
            "bare": (UnjournaledBridge(settings, name), frames),
            "ready": (ready, frames),
            "single": (single, frames),
            "quick": (Quick(settings, name), frames[: max(1, QUICK_TICKS // packets)]),
            "plain": (Plain(settings, name), frames[: max(1, PLAIN_TICKS // packets)]),
        }
        for way, _ in open_ways.values():
            ways.callback(way.close)
        costs: dict[str, list[float]] = {key: [] for key in open_ways}
        rates = in_turns(
            rounds,
            {
                key: _sample(way, some, packets, costs[key])
                for key, (way, some) in open_ways.items()
            },
        )
    return rates, {key: each[1:] for key, each in costs.items()}


def _sample(way: Way, frames: Sequence[bytes], packets: int, costs: list[float]) -> Task:
    ticks = packets * len(frames)
    timed = rate(lambda: way.run(frames), ticks)

    def sample() -> float:
        before_s = time.process_time()
        found = timed()
        costs.append((time.process_time() - before_s) / ticks * 1e6)
        return found

    return sample


def run_growth(rounds: int) -> list[Figure]:
    """The bridge by instruments, by partitions, and by the settings of its producer."""
    usual = full_frames(USUAL_PACKETS, TICKS // USUAL_PACKETS)
    found: list[Figure] = []
    say("  instruments")
    frames = {
        count: full_frames(USUAL_PACKETS, TICKS // USUAL_PACKETS, count) for count in INSTRUMENTS
    }
    found += _compared(
        rounds,
        {
            f"{count:,} instruments": (kafka_settings(), PARTITIONS, frames[count])
            for count in frames
        },
    )
    say("  partitions")
    found += _compared(
        rounds,
        {f"{count} partitions": (kafka_settings(), count, usual) for count in PARTITION_COUNTS},
    )
    say("  settings of the producer")
    codecs = {f"compression {name}": {"KAFKA_COMPRESSION": name} for name in COMPRESSIONS}
    lingers = {f"linger {ms} ms": {"KAFKA_LINGER_MS": str(ms)} for ms in LINGERS_MS}
    for choices in (codecs, lingers):
        found += _compared(
            rounds,
            {name: (kafka_settings(**env), PARTITIONS, usual) for name, env in choices.items()},
        )
    return found


def _compared(
    rounds: int, cases: dict[str, tuple[KafkaSettings, int, Sequence[bytes]]]
) -> list[Figure]:
    """The bridge in turns under different conditions; ratios against the first of them."""
    with ExitStack() as stack:
        tasks: dict[str, Callable[[], float]] = {}
        for name, (settings, partitions, frames) in cases.items():
            place = stack.enter_context(topic(settings, partitions))
            way = JournaledBridge(settings, place)
            stack.callback(way.close)
            tasks[name] = _sample(way, frames, USUAL_PACKETS, [])
        rates = in_turns(rounds, tasks)
    first, *others = rates
    found = [Figure.of(f"bridge, {name}", "ticks/s", Spread.of(rates[name])) for name in rates]
    return found + [
        Figure.of(f"{name} against {first}", "x", ratios(rates[name], rates[first]))
        for name in others
    ]
