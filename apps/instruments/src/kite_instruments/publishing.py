"""The current master into its compacted topic, and refused rows as dead letters."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import chain
from typing import Any, Final

import pyarrow as pa  # type: ignore[import-untyped]

from kite_bars_store.instruments import KITE, Batch, InstrumentStore
from kite_broker_zerodha.instrument_dump import CONTRACT, RefusedRow
from kite_kafka_io.codec import AvroCodec
from kite_kafka_io.dead_letters import DeadLetter
from kite_kafka_io.record_sender import Message, send_records
from kite_kafka_io.registry import writing_framing
from kite_kafka_io.settings import KafkaSettings
from kite_kafka_io.topics import check_topics

SUBJECT: Final = "instrument"
_ROWS_A_BLOCK: Final = 2_000

Progress = Callable[[int, int], None]
"""Called with the records acknowledged so far, and how many there are."""


@dataclass(frozen=True, slots=True)
class Published:
    """What the topic got: instruments, tombstones, and the batches that this was for."""

    listed: int
    gone: int
    batches: tuple[int, ...]


def publish(
    store: InstrumentStore,
    settings: KafkaSettings,
    topic: str,
    day: date,
    *,
    everything: bool = False,
    letters: Callable[[tuple[int, ...]], list[Message]] = lambda batches: [],
    progress: Progress = lambda done, total: None,
) -> Published:
    """Publish what no batch before has, as it holds on ``day``, and note that it was done.

    ``everything`` publishes each instrument that holds, also without a new batch. ``letters``
    gives further messages for the batches that are published now. Raises BrokerUnreachable,
    UnknownTopic and the other errors of kafka_io; then nothing is noted, and the same call
    publishes it again.
    """
    pending = store.pending(day)
    rows = store.at(day) if everything else pending.rows
    further = letters(pending.batch_ids)
    if not rows.num_rows and not pending.gone and not further:
        if pending.batch_ids:
            store.mark_published(pending.batch_ids, topic)
        return Published(0, 0, pending.batch_ids)
    check_topics(settings, {topic, *(message[0] for message in further)})
    framing = writing_framing(settings, {topic: "instrument"})
    messages = _messages(rows, pending.gone, topic, _days(store.days(), day), AvroCodec(framing))
    total = rows.num_rows + len(pending.gone) + len(further)
    send_records(settings, chain(messages, further), lambda done: progress(done, total))
    if pending.batch_ids:
        store.mark_published(pending.batch_ids, topic, total - len(further))
    return Published(rows.num_rows, len(pending.gone), pending.batch_ids)


def _messages(
    rows: pa.Table,
    gone: Iterable[tuple[str, str]],
    topic: str,
    observed_on: dict[str, date],
    codec: AvroCodec,
) -> Iterator[Message]:
    for block in rows.to_batches(max_chunksize=_ROWS_A_BLOCK):
        for row in block.to_pylist():
            record = record_of(row, observed_on[row["exchange"]])
            key = _key(row["exchange"], row["tradingsymbol"])
            yield topic, key, codec.encode(SUBJECT, record), None
    for exchange, tradingsymbol in gone:
        yield topic, _key(exchange, tradingsymbol), None, None


def record_of(row: dict[str, Any], observed_on: date) -> dict[str, Any]:
    """A row of the history as an Instrument record."""
    expiry = row["expiry"]
    return {
        **row,
        "expiry": None if expiry is None else expiry.isoformat(),
        "observed_on": observed_on.isoformat(),
        "source": KITE,
    }


def _key(exchange: str, tradingsymbol: str) -> bytes:
    return f"{exchange}:{tradingsymbol}".encode()


def _days(batches: Iterable[Batch], day: date) -> dict[str, date]:
    """The day of the newest dump of each exchange."""
    found: dict[str, date] = {}
    for batch in batches:
        if batch.observed_on <= day:
            found.update(dict.fromkeys(batch.exchanges, batch.observed_on))
    return found


def letter_messages(rows: Sequence[RefusedRow], source: str, topic: str) -> list[Message]:
    """Refused rows as messages of the dead-letter topic."""
    now_ns = time.time_ns()
    letters = ((row, letter_of(row, source, now_ns)) for row in rows)
    return [(topic, key_of(row), letter.raw, letter.headers()) for row, letter in letters]


def letter_of(row: RefusedRow, source: str, found_ns: int) -> DeadLetter:
    """The row as a dead letter; ``source`` names the dump, ``found_ns`` is now (UTC)."""
    return DeadLetter(
        raw=row.raw,
        reason=str(row.reason),
        message=f"{source}, line {row.line}: {row.message}",
        error_path=row.error_path,
        contract=CONTRACT,
        first_failure_ns=found_ns,
        unit="record",
    )


def key_of(row: RefusedRow) -> bytes | None:
    """The key of the topic: EXCHANGE:TRADINGSYMBOL, or none where the row has no symbol."""
    if not row.exchange or not row.tradingsymbol:
        return None
    return f"{row.exchange}:{row.tradingsymbol}".encode()


def as_lines(rows: Iterable[RefusedRow], source: str, found_ns: int) -> bytes:
    """One JSON object a line: the DeadLetter contract's fields, the row's bytes as base64."""
    letters = (letter_of(row, source, found_ns).record() for row in rows)
    return "".join(json.dumps(letter) + "\n" for letter in letters).encode()
