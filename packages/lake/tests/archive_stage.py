"""Topics with ticks, events and dead letters, an archive of them, and what it should hold."""

from __future__ import annotations

import sys
import threading
from collections import Counter
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
from pyiceberg.manifest import DataFile
from pyiceberg.table import Table

from kite_contracts.tick_batch import (
    FEED_SEQ,
    FEED_SESSION,
    INSTRUMENT_TOKEN,
    TS_RECV_NS,
    TickBatch,
)
from kite_kafka_io.codec import AvroCodec
from kite_kafka_io.columns import TickColumns
from kite_kafka_io.consumer import TickReader
from kite_kafka_io.dead_letters import DeadLetter
from kite_kafka_io.producer import Delivery, RecordProducer
from kite_kafka_io.settings import KafkaSettings
from kite_kafka_io.testing import NOW_NS, full_batch
from kite_lake.catalog import Lake, open_lake
from kite_lake.commits import append, write_parts
from kite_lake.counters import ArchiveCounters
from kite_lake.progress import Place, Progress, progress_of
from kite_lake.rows import Part, conform, tick_parts
from kite_lake.service import ArchiveService
from kite_lake.tables import DEAD_LETTERS, FEED_EVENTS, TICKS, TableSpec

WAIT_S = 30.0
SESSION = NOW_NS & ~15

Tick = tuple[int, int]
"""Feed session and sequence."""


@dataclass(frozen=True)
class Stage:
    """Topics on a Kafka, and a folder for the lake."""

    kafka: KafkaSettings
    ticks: str
    events: str
    letters: str
    warehouse: Path
    catalog: str | None = None

    @property
    def tables(self) -> dict[str, TableSpec | None]:
        return {self.ticks: None, self.events: FEED_EVENTS, self.letters: DEAD_LETTERS}

    def open(self) -> Lake:
        return open_lake(self.warehouse, self.catalog)

    def service(self, **options: object) -> ArchiveService:
        given: dict[str, Any] = {"flush_s": 0.3, "flush_rows": 20_000, **options}
        return ArchiveService(self.kafka, self.open, topics=self.tables, **given)

    def archive(self, **options: object) -> ArchiveCounters:
        """Archive what is there now."""
        return self.service(once=True, group=f"once-{self.ticks}", **options).run()

    def command(self, flush_s: float = 0.2) -> list[str]:
        """A process that archives until it is stopped."""
        words = [self.kafka.bootstrap, self.ticks, self.events, self.letters, str(self.warehouse)]
        return [sys.executable, __file__, *words, self.catalog or "", str(flush_s)]

    def send(self, batch: TickBatch) -> None:
        producer = RecordProducer(self.kafka, ticks_topic=self.ticks)
        delivery = Delivery()
        producer.produce_ticks(batch, delivery)
        assert producer.flush(WAIT_S) == 0
        assert delivery.ok
        producer.close()

    def send_record(self, topic: str, value: bytes, letter: DeadLetter | None = None) -> None:
        producer = RecordProducer(self.kafka)
        delivery = Delivery()
        headers = letter.headers() if letter else []
        producer.produce_record(topic, b"1", value, delivery, headers=headers)
        assert producer.flush(WAIT_S) == 0
        assert delivery.ok
        producer.close()

    def send_event(self, **fields: object) -> None:
        event = {"feed": "kite", "ts_ns": NOW_NS, "shard": 0, "tokens": [], **fields}
        self.send_record(self.events, AvroCodec().encode("feed_event", event))

    def in_kafka(self) -> Counter[Tick]:
        """Every tick of the topic, repeats too."""
        found: Counter[Tick] = Counter()
        with TickReader(
            self.kafka,
            self.ticks,
            duplicates=None,
            start="earliest",
            until_end=True,
            on_malformed=lambda *_: None,
        ) as reader:
            for columns in reader:
                pairs = (columns.column(name).tolist() for name in ("feed_session", "feed_seq"))
                found.update(zip(*pairs, strict=True))
        return found

    def archived(self) -> Counter[Tick]:
        """Every tick of the table."""
        lake = self.open()
        table = lake.existing(TICKS)
        assert table is not None
        rows = table.scan(selected_fields=("feed_session", "feed_seq")).to_arrow()
        lake.close()
        return Counter(
            zip(rows["feed_session"].to_pylist(), rows["feed_seq"].to_pylist(), strict=True)
        )


def ticks(
    count: int, first_seq: int = 0, *, session: int = SESSION, start_ns: int = NOW_NS
) -> TickBatch:
    """Full ticks of 50 instruments, a millisecond apart."""
    batch = full_batch(count, first_seq=first_seq)
    seq = np.arange(first_seq, first_seq + count)
    batch.values[:, FEED_SESSION] = session
    batch.values[:, FEED_SEQ] = seq
    batch.values[:, TS_RECV_NS] = start_ns + seq * 1_000_000
    batch.values[:, INSTRUMENT_TOKEN] = 256_265 + 256 * (seq % 50)
    return batch


def without(batch: TickBatch, *seqs: int) -> TickBatch:
    """The batch without ticks of these numbers."""
    keep = ~np.isin(batch.values[: batch.size, FEED_SEQ], seqs)
    left = TickBatch(int(keep.sum()))
    left.size = left.capacity
    for name in ("values", "mode", "groups", "verdict", "start", "end"):
        getattr(left, name)[:] = getattr(batch, name)[: batch.size][keep]
    return left


def fill(lake: Lake, batch: TickBatch, after: dict[Place, Progress] | None = None) -> None:
    """Commit ticks without Kafka, with the progress ``after``."""
    table = lake.table(TICKS)
    none = np.zeros(batch.size, np.int64)
    parts = tick_parts(table, [TickColumns(batch, "ticks", none, none)])
    _append(table, write_parts(table, parts), after)


def _append(
    table: Table, files: list[DataFile], after: dict[Place, Progress] | None = None
) -> None:
    before = progress_of(table.metadata)
    if after is None:
        place = ("none", 0)
        after = {place: Progress(before[place].offset + 1 if place in before else 1)}
    append(table, files, before, after)


def fill_records(lake: Lake, spec: TableSpec, *rows: dict[str, Any]) -> None:
    """Commit rows of another table; what is not given is null."""
    table = lake.table(spec)
    schema = table.schema().as_arrow()
    given = [{"trading_day": date(2026, 11, 18), **row} for row in rows]
    columns = {each.name: [row.get(each.name) for row in given] for each in schema}
    part = Part(date(2026, 11, 18), None, conform(schema, columns, len(rows)))
    _append(table, write_parts(table, [part]))


def archived_rows(lake: Lake) -> pa.Table:
    """All ticks by sequence."""
    table = lake.existing(TICKS)
    assert table is not None
    return table.scan().to_arrow().sort_by("feed_seq").combine_chunks()


def main() -> None:
    """``Stage.command``."""
    from kite_runtime.stopping import stop_on_signals

    bootstrap, ticks, events, letters, warehouse, catalog, flush_s = sys.argv[1:]
    kafka = KafkaSettings(bootstrap=bootstrap)
    stage = Stage(kafka, ticks, events, letters, Path(warehouse), catalog or None)
    service = stage.service(
        group=f"group-{stage.ticks}", flush_s=float(flush_s), stop=threading.Event()
    )
    with stop_on_signals(service.stop.set):
        service.run()


if __name__ == "__main__":
    main()
