"""``refused``: what Kafka refused for good and the bridge put aside; shows it, and sends it."""

from __future__ import annotations

import fcntl
import json
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.table import Table

from kite_kafka_io.errors import QueueFull, RecordTooLarge
from kite_live_feed.errors import KafkaUnreachable
from kite_runtime.console import say, stdout
from kite_runtime.errors import EXIT_DONE, EXIT_FINDINGS, ConfigurationError
from kite_runtime.options import Bootstrap, Root
from kite_ws_bridge.settings import BridgeSettings

if TYPE_CHECKING:
    from kite_kafka_io.producer import Delivery, RecordProducer
    from kite_live_feed.refused import RefusedRecord, RefusedStore

DEADLINE_S: Final = 30.0
WINDOW: Final = 1_000
SENDING: Final = ".sending"


def command(
    send: Annotated[
        bool, typer.Option("--send", help="Send the records to their topics; files that are in go.")
    ] = False,
    journal_dir: Annotated[
        Path | None,
        typer.Option(
            "--journal-dir",
            metavar="DIR",
            help="The bridge's journal. Default: WS_BRIDGE_JOURNAL_DIR.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    bootstrap: Bootstrap = None,
    root: Root = Path(),
) -> int:
    """Show, or send, the dead letters and feed events that Kafka refused for good.

    Exit code 0: there are none, or all were sent; 3: some are there. A running bridge need not be
    stopped. A record that was sent before the command was interrupted is sent again.
    """
    from kite_kafka_io.producer import RecordProducer
    from kite_kafka_io.topics import check_topics
    from kite_live_feed.refused import RefusedStore
    from kite_runtime.logs import configure_logs

    configure_logs(quiet=True)
    settings = BridgeSettings.load(root, os.environ, bootstrap=bootstrap)
    store = RefusedStore(journal_dir or settings.journal_dir)
    found = [_describe(path) for path in store.files()]
    sent = 0
    if send and found:
        kafka = settings.require_kafka()
        check_topics(kafka, tuple(sorted({str(each["topic"]) for each in found})))
        producer = RecordProducer(kafka, gapless=False, batched=False)
        try:
            # Those that an interrupted call has left come first; their names are needed again.
            for path in sorted(store.files(), key=lambda each: each.suffix != SENDING):
                sent += _send_file(path, producer)
        finally:
            producer.close()
    if as_json:
        print(json.dumps({"folder": str(store.directory), "files": found, "sent": sent}))
    else:
        _print(store, found, sent if send else None)
    return EXIT_FINDINGS if found and not send else EXIT_DONE


def _describe(path: Path) -> dict[str, Any]:
    from kite_live_feed.refused import read_refused

    records = list(read_refused(path))
    errors = Counter(record.error for record in records)
    return {
        "file": str(path),
        "topic": records[0].topic if records else None,
        "records": len(records),
        "bytes": path.stat().st_size,
        "first": _time(records[0].refused_ns) if records else None,
        "last": _time(records[-1].refused_ns) if records else None,
        "error": errors.most_common(1)[0][0] if errors else None,
    }


def _send_file(path: Path, producer: RecordProducer) -> int:
    """Send one file and remove it; how many records it held. The bridge begins a new file."""
    from kite_live_feed.refused import read_refused

    taken = path if path.suffix == SENDING else path.with_name(path.name + SENDING)
    if taken != path:
        path.rename(taken)
    with _alone(taken):
        records, count = read_refused(taken), 0
        while some := list(islice(records, WINDOW)):
            sent = [_produce(producer, record) for record in some]
            producer.flush(DEADLINE_S)
            for delivery in sent:
                if not delivery.ok:
                    raise KafkaUnreachable(
                        f"Kafka has not taken the records of {taken}: "
                        f"{delivery.error or 'no answer'}; they stay there, send them again later"
                    )
            count += len(some)
        taken.unlink()
    return count


def _produce(producer: RecordProducer, record: RefusedRecord) -> Delivery:
    from kite_kafka_io.producer import Delivery

    delivery = Delivery()
    arguments = (record.topic, record.key, record.value, delivery)
    try:
        try:
            producer.produce_record(*arguments, headers=record.headers)
        except QueueFull:
            producer.flush(DEADLINE_S)
            producer.produce_record(*arguments, headers=record.headers)
    except RecordTooLarge as error:
        raise ConfigurationError(f"{error}; raise KAFKA_MESSAGE_MAX_BYTES") from error
    return delivery


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """No other process sends this file meanwhile. Raises ConfigurationError."""
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            raise ConfigurationError(f"another process sends {path} just now: wait for it") from exc
        yield


def _print(store: RefusedStore, found: list[dict[str, Any]], sent: int | None) -> None:
    if not found:
        say(f"nothing was refused: {store.directory} is empty")
        return
    if sent is not None:
        say(f"{sent:,} records sent; {sum(each['records'] for each in found) - sent:,} are left")
        return
    table = Table(title=str(store.directory), title_justify="left")
    for name in ("topic", "records", "bytes", "first", "last", "error"):
        table.add_column(name)
    for each in found:
        table.add_row(*(str(each[name]) for name in ("topic", "records", "bytes")),
                      *(str(each[name]) for name in ("first", "last", "error")))  # fmt: skip
    stdout.print(table)
    say("send them with `ws_bridge refused --send` when the topics are right")


def _time(ns: int) -> str:
    return datetime.fromtimestamp(ns / 1e9, UTC).isoformat(timespec="seconds")
