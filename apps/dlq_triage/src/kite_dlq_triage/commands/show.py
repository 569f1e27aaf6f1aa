"""``show``: one failure, everything that is known of it; ``history``: the decisions about it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import orjson
import typer
from rich.console import Group as Stack

from kite_dlq_triage.commands.database import Json, One, database, failure_of
from kite_dlq_triage.commands.options import settings_of
from kite_runtime.console import clean_json, stdout
from kite_runtime.options import Root


def command(
    failure: One,
    whole: Annotated[
        bool, typer.Option("--all", help="Show 4 KiB of the bytes instead of the first rows.")
    ] = False,
    as_json: Json = False,
    root: Root = Path(),
) -> int:
    """Show a failure: its bytes beside what they decode to, the field at fault marked, its origin,
    the records around it in the topic, and what was decided."""
    from kite_bars_store.failures import FailureStore, RedriveLedger
    from kite_dead_letters.classify import Classifier
    from kite_dead_letters.dialect_files import read_table
    from kite_dead_letters.json_lines import LineMaker, to_json
    from kite_dead_letters.stored import NEIGHBOURS, read_around, to_raw
    from kite_dlq_triage.failure_view import (
        around_view,
        fields_of,
        neighbour_object,
        topic_neighbours,
        view,
    )
    from kite_kafka_io.registry import open_framing

    settings = settings_of(root)
    with database(root) as connection:
        store = FailureStore(connection)
        found = failure_of(store, failure)
        failure_id = found.failure_id
        around = store.neighbours(failure_id, count=NEIGHBOURS)
        events = store.history(failure_id)
        lines = RedriveLedger(connection).lines(failure_id)
    framing = open_framing(settings.kafka) if settings.kafka else None
    classifier = Classifier(framing, read_table(settings.dialects))
    record = found.record
    near = read_around(
        settings.kafka, record.topic, record.topic_id, record.partition, record.offset
    )
    seen = classifier.classify(to_raw(record))
    decoded = classifier.decoded(seen)
    if as_json:
        document = {
            "failure_id": failure_id,
            "status": found.status,
            "assignee": found.assignee,
            "record": orjson.Fragment(LineMaker(classifier).line(seen).rstrip()),
            "neighbours": [neighbour_object(each) for each in around],
            "topic_neighbours": topic_neighbours(near, around, classifier),
            "topic_neighbours_problem": near.problem,
            "history": [fields_of(event, without="failure_id") for event in events],
            "redrives": [fields_of(line, without="run_id") for line in lines],
        }
        print(clean_json(orjson.dumps(document, to_json).decode()))
        return 0
    neighbours = around_view(near, around, classifier)
    stdout.print(Stack(*view(found, decoded, neighbours, events, lines, whole)))
    return 0


def history(failure: One, as_json: Json = False, root: Root = Path()) -> int:
    """Print every decision about a failure, and every redrive, with who and when."""
    from kite_bars_store.failures import FailureStore
    from kite_dlq_triage.failure_view import event_table, fields_of

    with database(root) as connection:
        store = FailureStore(connection)
        failure_id = failure_of(store, failure).failure_id
        events = store.history(failure_id)
    if as_json:
        print(
            clean_json(
                orjson.dumps([fields_of(event, without="failure_id") for event in events]).decode()
            )
        )
    elif events:
        stdout.print(event_table(events))
    else:
        stdout.print(f"failure {failure_id}: nothing was decided yet")
    return 0
