"""Dumping and classifying dead letters, as a ratio against plainly consuming the same records.

    KAFKA_BOOTSTRAP=127.0.0.1:9092 python benchmarks/dlq_dump.py [RECORDS] [ROUNDS]

``plain`` is a program of its own that consumes the topic with confluent-kafka and looks at the key,
the value and the headers of each record. ``dump`` is `dlq_triage --dump FILE`. Both are timed as
programs, in turns, so that a change of the machine's load meets both, less what the program takes
for a topic of one record; the median of the rounds' ratios counts. Peak memory is that of all
processes of a dump together. The last run dumps records of 900 kB.
"""

from __future__ import annotations

import os
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from broker_zerodha.fuzzing import random_packet
from broker_zerodha.packets import PacketKind
from kafka_io.dead_letters import DeadLetter
from kafka_io.settings import KafkaSettings

RECORDS = 500_000
LARGE = 400
LARGE_BYTES = 900_000
BUDGET_RATIO = 0.5
BUDGET_MIB = 300
LOOK_S = 0.1

PLAIN = """
import sys
from confluent_kafka import Consumer, TopicPartition
bootstrap, topic, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "bench",
                     "auto.offset.reset": "earliest", "enable.auto.commit": False})
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


def timed(command: list[str], expected: int) -> tuple[float, float]:
    """Seconds that a program takes, and the peak memory of it and its children in MiB."""
    start = time.perf_counter()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
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
    return seconds, peak[0]


def watch(process: int, peak: list[float], done: threading.Event) -> None:
    """Pages that processes share count once: proportional set size."""
    while not done.wait(LOOK_S):
        children = Path(f"/proc/{process}/task/{process}/children")
        total_kib = 0
        try:
            for each in (process, *map(int, children.read_text().split())):
                text = Path(f"/proc/{each}/smaps_rollup").read_text()
                total_kib += int(text.partition("\nPss:")[2].split()[0])
        except (OSError, IndexError):
            continue  # it has just ended
        peak[0] = max(peak[0], total_kib / 1024)


def main() -> int:
    settings = KafkaSettings.from_env(os.environ)
    count = int(sys.argv[1]) if len(sys.argv) > 1 else RECORDS
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    admin = AdminClient({"bootstrap.servers": settings.bootstrap})
    topics = [fill(settings, admin, each) for each in (letters(count), large(LARGE), letters(1))]
    try:
        with tempfile.TemporaryDirectory(prefix="dlq-dump-") as folder:
            file = Path(folder) / "out.jsonl"
            ratios, peaks = [], []
            for _ in range(rounds):
                plain_s = timed(plain(settings, topics[0], count), 0)[0]
                plain_s -= timed(plain(settings, topics[2], 1), 0)[0]
                dump_s, peak = timed(dump(topics[0], file), 3)
                dump_s -= timed(dump(topics[2], file), 3)[0]
                ratios.append(plain_s / dump_s)
                peaks.append(peak)
                print(f"plain {count / plain_s:,.0f}/s, dump {count / dump_s:,.0f}/s", flush=True)
            _, peak = timed(dump(topics[1], file), 3)
            peaks.append(peak)
    finally:
        for done in admin.delete_topics(topics).values():
            done.result(30)
    ratio, memory = statistics.median(ratios), max(peaks)
    print(f"dump and classify: {ratio:.2f} of plainly consuming (budget {BUDGET_RATIO})")
    print(f"peak memory: {memory:.0f} MiB, records of 900 kB included (budget {BUDGET_MIB})")
    return 0 if ratio >= BUDGET_RATIO and memory <= BUDGET_MIB else 1


def plain(settings: KafkaSettings, topic: str, count: int) -> list[str]:
    return [sys.executable, "-c", PLAIN, settings.bootstrap, topic, str(count)]


def dump(topic: str, file: Path) -> list[str]:
    return [sys.executable, "-m", "dlq_triage.cli", "--topic", topic, "--dump", str(file)]


if __name__ == "__main__":
    sys.exit(main())
