"""Dumping and classifying dead letters, as a ratio against plainly consuming the same records.

    KAFKA_BOOTSTRAP=127.0.0.1:9092 python benchmarks/dlq_dump.py [RECORDS] [ROUNDS]

``plain`` is a program of its own: one process with confluent-kafka's ``consume(500)`` in a loop,
which takes the key, the value and the headers of each record and drops them, with the fetch
settings of ``dump``. ``dump`` is `dlq_triage --dump FILE`: a line of JSON for each record, on the
disk at the end. Both are timed as programs, in turns, less the least that the program took for a
topic of one record, so that what counts is the reading; the median of the rounds' ratios counts.
Processor time is that of the program, without the broker's. The last run dumps records of 900 kB,
for the peak memory.
"""

from __future__ import annotations

import json
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from kite_broker_zerodha.packets import PacketKind
from kite_broker_zerodha.testing.fuzzing import random_packet
from kite_kafka_io.dead_letters import DeadLetter
from kite_kafka_io.raw_reader import FETCH_BYTES, PREFETCH_KIB
from kite_kafka_io.settings import KafkaSettings
from kite_runtime.testing import import_path

RECORDS = 300_000
LARGE = 400
LARGE_BYTES = 900_000
BUDGET_RATIO = 0.2
BUDGET_MIB = 200
LOOK_S = 0.1

FETCHING = {
    "fetch.queue.backoff.ms": 10,
    "queued.max.messages.kbytes": PREFETCH_KIB,
    "max.partition.fetch.bytes": FETCH_BYTES,
    "fetch.max.bytes": 8 * FETCH_BYTES,
}
"""What the reader of ``dump`` sets."""

PLAIN = """
import json, sys
from confluent_kafka import Consumer, TopicPartition
bootstrap, topic, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "bench",
                     "auto.offset.reset": "earliest", "enable.auto.commit": False,
                     **json.loads(sys.argv[4])})
consumer.assign([TopicPartition(topic, 0, 0)])
seen = 0
while seen < count:
    for message in consumer.consume(500, 0.1):
        message.key(), message.value(), message.headers()
        seen += 1
consumer.close()
"""


def letters(count: int) -> Iterator[DeadLetter]:
    """What a bad day of a feed leaves: every fault of the smoke's script in turn."""
    source = random.Random(1)
    for number in range(count):
        full = random_packet(PacketKind.FULL, source)
        reason, unit, raw, message, path = (
            ("DECODE_TRUNCATED", "frame-tail", full[:99], "the frame ends inside", None),
            ("DECODE_UNKNOWN_PACKET", "packet", full[:13], "no packet of 13 bytes", None),
            ("DECODE_TRAILING_BYTES", "frame-tail", full[:7], "7 bytes follow the last", None),
            ("SEMANTIC_RANGE", "packet", full[:8], "0 is less than the minimum of 1", "/token"),
            ("SEMANTIC_RANGE", "packet", full, f"{number} is less than 315513", "/ts_event_ns"),
            ("DECODE_TRUNCATED", "frame-tail", full[:30], "the frame ends inside", None),
        )[number % 6]
        yield DeadLetter(
            raw=raw,
            reason=reason,
            message=message,
            contract="tick.v1",
            first_failure_ns=1_795_000_000_000_000_000 + number,
            unit=unit,
            error_path=path,
            feed_session=1_795_000_000_000_000_000,
            feed_seq=number,
        )


def large(count: int) -> Iterator[DeadLetter]:
    """Records near the limit of the topic."""
    for number in range(count):
        yield DeadLetter(
            raw=random.Random(number).randbytes(LARGE_BYTES),
            reason="TOO_LARGE",
            message=f"the first {LARGE_BYTES} bytes",
            contract="tick.v1",
            first_failure_ns=1,
            unit="record",
        )


def fill(settings: KafkaSettings, admin: AdminClient, found: Iterator[DeadLetter]) -> str:
    """A topic of these dead letters."""
    topic = f"bench-{uuid.uuid4().hex[:8]}.dlq"
    admin.create_topics([NewTopic(topic, 1, 1)])[topic].result(30)
    producer = Producer(
        {
            **settings.client_config(),
            "linger.ms": 20,
            "compression.type": "lz4",
            "queue.buffering.max.kbytes": 131_072,
        }
    )
    for number, letter in enumerate(found):
        while True:
            try:
                producer.produce(topic, letter.raw, letter.key(), headers=letter.headers())
                break
            except BufferError:
                producer.poll(0.1)
        if number % 500 == 0:
            producer.poll(0)
    if producer.flush(120):
        raise SystemExit("the topic could not be filled")
    return topic


@dataclass(frozen=True)
class Sample:
    """What a program took: seconds, those of the processors, and its peak memory in MiB."""

    wall_s: float
    cpu_s: float
    peak_mib: float = 0.0

    def less(self, other: Sample) -> Sample:
        """Without what another run took."""
        return Sample(self.wall_s - other.wall_s, self.cpu_s - other.cpu_s, self.peak_mib)


def timed(command: list[str], expected: int) -> Sample:
    """Run a program to its end."""
    cpu_s = -processor_s()
    start = time.perf_counter()
    environment = {**os.environ, "PYTHONPATH": import_path()}
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment
    ) as running:
        peak = [0.0]
        done = threading.Event()
        watcher = threading.Thread(target=watch, args=(running.pid, peak, done))
        watcher.start()
        _, complaint = running.communicate()
        seconds = time.perf_counter() - start
        done.set()
        watcher.join()
    if running.returncode != expected:
        raise SystemExit(f"{command} ended with {running.returncode}: {complaint[-500:]}")
    return Sample(seconds, cpu_s + processor_s(), peak[0])


def processor_s() -> float:
    """Processor seconds of all programs that have ended, and of their children."""
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime


def watch(process: int, peak: list[float], done: threading.Event) -> None:
    """The peak of the resident memory, as the kernel keeps it."""
    while not done.wait(LOOK_S):
        try:
            status = Path(f"/proc/{process}/status").read_text()
            peak[0] = int(status.partition("\nVmHWM:")[2].split()[0]) / 1024
        except (OSError, IndexError):
            return  # it has just ended


@dataclass(frozen=True)
class Way:
    """A program, for a topic with so many records, and the exit code that is due."""

    command: Callable[[str, int], list[str]]
    code: int


def ways(settings: KafkaSettings, file: Path) -> dict[str, Way]:
    """What is compared."""
    plain = [sys.executable, "-c", PLAIN, settings.bootstrap]
    dump = [sys.executable, "-m", "kite_dlq_triage.cli", "--dump", str(file)]
    return {
        "plain": Way(lambda topic, count: [*plain, topic, str(count), json.dumps(FETCHING)], 0),
        "dump": Way(lambda topic, _: [*dump, "--topic", topic], 3),
    }


def in_turns(
    compared: dict[str, Way], topics: list[str], count: int, rounds: int
) -> dict[str, list[Sample]]:
    """Every way in every round, less the least that it took for one record."""
    names = [*compared] * rounds
    starts: dict[str, list[Sample]] = {name: [] for name in compared}
    found: dict[str, list[Sample]] = {name: [] for name in compared}
    for name in names:
        way = compared[name]
        starts[name].append(timed(way.command(topics[2], 1), way.code))
        found[name].append(timed(way.command(topics[0], count), way.code))
    for name, samples in found.items():
        least = Sample(
            min(each.wall_s for each in starts[name]), min(each.cpu_s for each in starts[name])
        )
        found[name] = [each.less(least) for each in samples]
        rates = ", ".join(f"{count / each.wall_s:,.0f}/s" for each in found[name])
        cpu_us = statistics.median(each.cpu_s for each in found[name]) / count * 1e6
        print(f"{name} — {rates}; {cpu_us:.1f} µs of processors a record")
    return found


def median_ratio(above: list[Sample], below: list[Sample], what: str = "wall_s") -> float:
    """The median of the rounds' ratios."""
    pairs = zip(above, below, strict=True)
    return statistics.median(
        float(getattr(one, what) / getattr(other, what)) for one, other in pairs
    )


def main() -> int:
    settings = KafkaSettings.from_env(os.environ)
    count = int(sys.argv[1]) if len(sys.argv) > 1 else RECORDS
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    admin = AdminClient({"bootstrap.servers": settings.bootstrap})
    topics = [fill(settings, admin, each) for each in (letters(count), large(LARGE), letters(1))]
    try:
        with tempfile.TemporaryDirectory(prefix="dlq-dump-") as folder:
            compared = ways(settings, Path(folder) / "out.jsonl")
            found = in_turns(compared, topics, count, rounds)
            dump = compared["dump"]
            memory = timed(dump.command(topics[1], LARGE), dump.code).peak_mib
    finally:
        for done in admin.delete_topics(topics).values():
            done.result(30)
    plain, dumped = found["plain"], found["dump"]
    ratio = median_ratio(plain, dumped)
    memory = max(memory, *(each.peak_mib for each in dumped))
    print(f"dump and classify: {ratio:.2f} of plainly consuming (budget {BUDGET_RATIO})")
    cpu = median_ratio(plain, dumped, "cpu_s")
    print(f"processor time: plainly consuming takes {cpu:.2f} of a dump's")
    print(f"peak memory: {memory:.0f} MiB, records of 900 kB included (budget {BUDGET_MIB})")
    return 0 if ratio >= BUDGET_RATIO and memory <= BUDGET_MIB else 1


if __name__ == "__main__":
    sys.exit(main())
