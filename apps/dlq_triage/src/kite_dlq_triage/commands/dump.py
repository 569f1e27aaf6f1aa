"""``dump``: dead-letter topics into JSON lines; the command meant where none is named."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import orjson
import typer
from rich.console import Console

from kite_dlq_triage.commands.options import (
    From,
    Partitions,
    Topics,
    Until,
    code,
    settings_of,
    span_of,
    topics_of,
)
from kite_kafka_io.settings import KafkaSettings
from kite_runtime.console import progress_bar, say, stderr, stdout
from kite_runtime.errors import EXIT_DONE, EXIT_FINDINGS, EXIT_INTERRUPTED, UsageError
from kite_runtime.options import Bootstrap, Root
from kite_runtime.stopping import stop_on_signals
from kite_runtime.tables import make_table

if TYPE_CHECKING:
    from kite_dead_letters.dump import DumpFile, Summary

_HINTS_MAX: Final = 5
_TIMES: Final = ("first", "last")


def command(
    topic: Topics = None,
    dump_to: Annotated[
        str | None,
        typer.Option(
            "--dump",
            "-o",
            metavar="FILE",
            help="Write one JSON object a line to FILE, or to standard output for -. "
            "Without it only the summary is printed.",
        ),
    ] = None,
    start: From = None,
    until: Until = None,
    partition: Partitions = None,
    reason: Annotated[
        list[str] | None,
        typer.Option(
            "--reason", metavar="CODE", help="Only this reason code; may be given several times."
        ),
    ] = None,
    group: Annotated[
        str | None,
        typer.Option(
            "--group",
            metavar="NAME",
            help="Consumer group: begin where it left off, and save the progress when the dump "
            "is safe. --from then counts only where the group has no progress.",
        ),
    ] = None,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with what comes, until Ctrl-C.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the summary as one JSON object.")
    ] = False,
    bootstrap: Bootstrap = None,
    root: Root = Path(),
) -> int:
    """Read dead-letter topics up to where they end now, classify each record, write JSON lines.

    Then a summary by reason and topic. Exit code 3 when there was something, 0 when there was not.
    """
    from kite_dead_letters.classify import Classifier
    from kite_dead_letters.dialect_files import read_table
    from kite_dead_letters.dump import STDOUT, Dump, DumpFile
    from kite_kafka_io.raw_reader import RawReader
    from kite_kafka_io.registry import open_framing
    from kite_kafka_io.spans import match_topics
    from kite_runtime.logs import configure_logs

    configure_logs(quiet=True)
    reasons = frozenset(map(code, reason or ()))
    _check(dump_to, until, follow, group)
    settings = settings_of(root, bootstrap)
    kafka, table = settings.require_kafka(), read_table(settings.dialects)
    names = match_topics(kafka, topics_of(topic))
    span = span_of(partition, start, until, topics=len(names), now_ns=time.time_ns())
    # From here on there is a part to report.
    with (
        stop_on_signals() as stop,
        DumpFile(dump_to) if dump_to is not None else nullcontext() as out,
    ):
        classifier = Classifier(open_framing(kafka), table)
        with RawReader(kafka, names, span=span, group=group, follow=follow) as reader:
            total = reader.total
            say(_beginning(total, names, kafka, follow))
            commit_each = follow and group is not None
            work = Dump(reader, classifier, out, reasons, commit_each=commit_each)
            with progress_bar() as bar:
                task = bar.add_task("records", total=total)
                summary = work.run(stop, lambda count: bar.update(task, completed=count))
            stopped = bool(stop) and not follow
            if not stopped:
                if out is not None:
                    out.finish()
                if group is not None:
                    reader.commit()
    limits = {
        "--from": start,
        "--until": until,
        "--partition": partition,
        "--reason": reason,
        "--group": group,
    }
    _report(summary, names, limits, as_json=as_json, to_stderr=dump_to == STDOUT)
    if stopped:
        _say_stopped(out, summary)
        return EXIT_INTERRUPTED
    if out is not None and dump_to != STDOUT:
        say(f"{summary.lines:,} lines in {dump_to}")
    return EXIT_FINDINGS if summary.count else EXIT_DONE


def _report(
    summary: Summary,
    topics: list[str],
    limits: Mapping[str, object],
    *,
    as_json: bool,
    to_stderr: bool,
) -> None:
    """Print the summary: to standard output, unless the lines went there.

    ``limits`` are the options that leave records out: nothing found within them is not nothing.
    """
    if as_json:
        found = {
            "topics": topics,
            "read": summary.read,
            "count": summary.count,
            "classified_by_decoding": summary.decoded,
            "with_header_problems": summary.with_problems,
            "reasons": summary.rows(),
        }
        print(orjson.dumps(found).decode(), file=sys.stderr if to_stderr else sys.stdout)
        return
    console = stderr if to_stderr else stdout
    if not summary.count:
        given = " ".join(f"{name} {_shown(value)}" for name, value in limits.items() if value)
        chosen = f" with {given}" if given else ""
        console.print(
            f"no dead letters in {', '.join(topics)}{chosen} ({summary.read:,} records read)",
            markup=False,
            soft_wrap=True,
        )
        return
    _print_table(console, summary)


def _shown(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def _print_table(console: Console, summary: Summary) -> None:
    from kite_contracts.reasons import ReasonCode

    table = make_table(
        *("reason", "topic", "count", "first (UTC)", "last (UTC)", "owner"),
        title=f"{summary.count:,} dead letters",
        right={"count"},
        whole={"reason", "count"},
    )
    rows = summary.rows()
    for row in rows:
        times = [str(row[name] or "").removesuffix("Z").replace("T", " ") for name in _TIMES]
        table.add_row(row["reason"], row["topic"], f"{row['count']:,}", *times, row["owner"])
    console.print(table)
    for found in list(dict.fromkeys(row["reason"] for row in rows))[:_HINTS_MAX]:
        console.print(f"{found}: {ReasonCode(found).action}", soft_wrap=True, markup=False)
    if summary.decoded:
        console.print(f"{summary.decoded:,} classified by decoding: no header gives the reason")
    if summary.with_problems:
        console.print(
            f"{summary.with_problems:,} with headers that cannot be read as they should: "
            "see `problems` of their lines",
            soft_wrap=True,
        )


def _check(dump_to: str | None, until: str | None, follow: bool, group: str | None) -> None:
    from kite_dead_letters.dump import STDOUT

    if follow and dump_to is None:
        raise UsageError(
            "--follow writes lines as they come: name the file, --dump FILE or --dump -"
        )
    if follow and until is not None:
        raise UsageError("--follow has no end: leave out --until, or --follow")
    if group is None or dump_to in (None, STDOUT):
        return
    part = Path(f"{dump_to}.part")
    if part.exists() and part.stat().st_size:
        raise UsageError(
            f"{part} is left from a dump that was cut short, and the group's progress may be "
            "behind it: move it away first"
        )


def _beginning(total: int | None, names: Sequence[str], kafka: KafkaSettings, follow: bool) -> str:
    where = f"{', '.join(names)} at {kafka.bootstrap}"
    if follow:
        return f"following {where}; Ctrl-C ends it"
    return f"reading up to {total or 0:,} records of {where}"


def _say_stopped(out: DumpFile | None, summary: Summary) -> None:
    if out is None or out.part is None:
        say("stopped before the end: the summary covers what was read")
    else:
        say(f"stopped before the end: {summary.lines:,} whole lines are in {out.part}")
