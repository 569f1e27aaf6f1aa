"""``redrive``: sends failures back where they belong, or shows what it would do."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Final

import orjson
import typer
from rich.markup import escape

from kite_bars_store.failures import FailureStore, RedriveLedger, Selection, Status
from kite_contracts.topics import load_topics
from kite_dead_letters.json_lines import to_json
from kite_dead_letters.redrive import Action, Planner, Redriver, Report, Rules, Step, Targets
from kite_dead_letters.redrive.corrections import Corrector
from kite_dead_letters.redrive.outbox import Outbox
from kite_dead_letters.redrive.plan import ATTEMPTS_MAX, STALE_AFTER_S
from kite_dead_letters.redrive.transforms import (
    MISSING,
    Transform,
    from_settings,
    load_function,
    load_mapping,
)
from kite_dlq_triage.commands.database import (
    Before,
    Group,
    Ids,
    Json,
    Note,
    Reason,
    Since,
    Topic,
    Who,
    database,
    selection,
    user,
)
from kite_dlq_triage.commands.options import Bootstrap, Root, settings_of, stop_on_signals
from kite_kafka_io.registry import open_framing
from kite_kafka_io.settings import KafkaSettings
from kite_runtime.console import say, stdout
from kite_runtime.errors import EXIT_DONE, EXIT_FINDINGS, EXIT_INTERRUPTED, UsageError
from kite_runtime.logs import configure_logs
from kite_runtime.retry import Pace

RATE: Final = 1_000.0


def command(
    ids: Ids = None,
    group: Group = None,
    reason: Reason = None,
    topic: Topic = None,
    since: Since = None,
    until: Before = None,
    yes: Annotated[
        bool, typer.Option("--yes", help="Do it. Without it nothing is written anywhere.")
    ] = False,
    transform: Annotated[
        str | None,
        typer.Option(
            "--transform",
            metavar="FILE.py:FUNCTION",
            help="A known fix, run on each record: dict or bytes in; dict, bytes or None out.",
        ),
    ] = None,
    mapping: Annotated[
        Path | None,
        typer.Option("--mapping", metavar="FILE.toml", help="A known fix as [[change]] tables."),
    ] = None,
    put: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="/PATH=VALUE",
            help="A known fix: set this field; may be given several times.",
        ),
    ] = None,
    attempts: Annotated[
        int,
        typer.Option(
            "--max-attempts", min=1, max=100, help="Tries in all; the next one is quarantined."
        ),
    ] = ATTEMPTS_MAX,
    stale_after: Annotated[
        float,
        typer.Option(
            "--stale-after",
            min=0,
            metavar="SECONDS",
            help="Ticks older than this go to the repair topic and never to the live one.",
        ),
    ] = STALE_AFTER_S,
    rate: Annotated[
        float, typer.Option("--rate", min=0, help="Records a second at most; 0 is no limit.")
    ] = RATE,
    topics_file: Annotated[
        Path | None,
        typer.Option(
            "--topics-file",
            metavar="FILE",
            help="Another topics.toml: its topics with a dead-letter topic are the allow-list.",
        ),
    ] = None,
    note: Note = "",
    who: Who = None,
    as_json: Json = False,
    bootstrap: Bootstrap = None,
    root: Root = Path(),
) -> int:
    """Show for each open failure what a redrive would do: where it goes, why it may, what changes.

    With --yes do it: each is held against today's contract, sent once, and settled. Stopped or
    killed, run it again: what is in doubt is sent first, under the same ids. Exit code 3 means that
    some were refused or quarantined.
    """
    configure_logs(quiet=True)
    settings = settings_of(root, bootstrap)
    fix = _transform(transform, mapping, put)
    kafka = settings.require_kafka() if yes else settings.kafka
    framing = open_framing(kafka) if kafka is not None else None
    planner = Planner(
        Targets(load_topics(topics_file)), Corrector(framing, fix), Rules(attempts, stale_after)
    )
    with database(root) as connection:
        store = FailureStore(connection)
        chosen = selection(
            store, ids, group=group, reason=reason, topic=topic, since=since, until=until
        )
        if not ids:  # ids that are settled are shown as skipped
            chosen = replace(chosen, status=Status.OPEN)
        redriver = Redriver(store, RedriveLedger(connection), planner)
        if not yes:
            return _preview(redriver, chosen, as_json)
        assert kafka is not None
        return _execute(redriver, chosen, kafka, user(who), note, fix, rate, as_json)


def _transform(
    function: str | None, mapping: Path | None, settings: list[str] | None
) -> Transform | None:
    if sum(each is not None for each in (function, mapping, settings or None)) > 1:
        raise UsageError("give one of --transform, --mapping and --set, not several")
    if function is not None:
        return load_function(function)
    if mapping is not None:
        return load_mapping(mapping)
    return from_settings(settings) if settings else None


def _preview(redriver: Redriver, chosen: Selection, as_json: bool) -> int:
    report = Report()
    for step in redriver.preview(chosen):
        report.add(step)
        print_step(step, as_json, done=False)
    doubt = redriver.ledger.count_reserved()
    if doubt:
        say(f"{doubt:,} records of an earlier redrive are in doubt; --yes sends them first")
    print_summary(report, as_json, done=False)
    return _exit_code(report)


def _execute(
    redriver: Redriver,
    chosen: Selection,
    kafka: KafkaSettings,
    who: str,
    note: str,
    fix: Transform | None,
    rate: float,
    as_json: bool,
) -> int:
    stop = threading.Event()
    stop_on_signals(stop)
    outbox = Outbox(kafka, Pace(rate), stop.wait)
    progress = Progress(redriver.store.count(chosen))

    def on_step(step: Step) -> None:
        print_step(step, as_json, done=True)
        progress.step()

    try:
        report = redriver.execute(
            chosen, outbox, who, note=note, transform=fix, on_step=on_step, stopped=stop.is_set
        )
    finally:
        outbox.close()
    print_summary(report, as_json, done=True)
    return EXIT_INTERRUPTED if report.stopped else _exit_code(report)


def _exit_code(report: Report) -> int:
    if report.actions[Action.REFUSE] or report.actions[Action.QUARANTINE]:
        return EXIT_FINDINGS
    return EXIT_DONE


CHANGES_SHOWN: Final = 8
SAY_EVERY_S: Final = 2.0
_WOULD: Final = {
    Action.REDRIVE: ("sent to", "would go to"),
    Action.REPAIR: ("sent to", "would go to"),
    Action.QUARANTINE: ("quarantined in", "would be quarantined in"),
    Action.REFUSE: ("refused", "would be refused"),
    Action.SKIP: ("passed over", "would be passed over"),
}


class Progress:
    """A line now and then on stderr."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._done = 0
        self._next_s = time.monotonic() + SAY_EVERY_S

    def step(self) -> None:
        """One more is done."""
        self._done += 1
        if time.monotonic() >= self._next_s:
            self._next_s = time.monotonic() + SAY_EVERY_S
            say(f"{self._done:,} of {self._total:,}")


def print_step(step: Step, as_json: bool, *, done: bool) -> None:
    """One line of results, and the changes below it."""
    if as_json:
        print(orjson.dumps(step_object(step), to_json).decode())
        return
    record = step.failure.record
    said = _WOULD[step.action][0 if done else 1]
    target = f" {step.target}" if step.target else ""
    attempt = f" as try {step.attempt}" if step.attempt else ""
    place = f"{record.topic}/{record.partition}/{record.offset}"
    line = f"{step.failure.failure_id} ({place}) {said}{target}{attempt}: {step.why}"
    stdout.print(escape(line), soft_wrap=True)
    for change in step.changes[:CHANGES_SHOWN]:
        before, after = _value(change.before), _value(change.after)
        stdout.print(escape(f"    {change.path}: {before} becomes {after}"), soft_wrap=True)
    if len(step.changes) > CHANGES_SHOWN:
        stdout.print(f"    … and {len(step.changes) - CHANGES_SHOWN} more changes")


def step_object(step: Step) -> dict[str, Any]:
    """One step as machines read it."""
    record = step.failure.record
    return {
        "failure_id": step.failure.failure_id,
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "action": step.action,
        "target": step.target,
        "attempt": step.attempt or None,
        "why": step.why,
        "changes": [
            {"path": each.path, "before": _plain(each.before), "after": _plain(each.after)}
            for each in step.changes
        ],
    }


def _value(value: Any) -> str:
    return "nothing" if value is MISSING else orjson.dumps(value, to_json).decode()


def _plain(value: Any) -> Any:
    return None if value is MISSING else value


def print_summary(report: Report, as_json: bool, *, done: bool) -> None:
    """The counts: the last JSON object, or lines on stderr."""
    counts = {str(action): report.actions[action] for action in Action}
    if as_json:
        document = {
            **counts,
            "refusals": dict(report.refusals.most_common(20)),
            "resent": report.resent,
            "in_doubt": report.in_doubt,
            "dry_run": not done,
        }
        print(orjson.dumps({"summary": document}).decode())
        return
    said = ", ".join(f"{count:,} {action}" for action, count in counts.items() if count)
    say(f"{'done' if done else 'dry run'}: {said or 'no open failure is meant'}")
    for why, count in report.refusals.most_common(5):
        say(f"  {count:,} refused: {why}")
    if report.resent:
        say(f"  {report.resent:,} that an earlier redrive had left in doubt were sent again")
    if report.in_doubt:
        say(f"  {report.in_doubt:,} are in doubt: run it again, and they are sent first")
    if not done and any(count for action, count in counts.items() if action != Action.SKIP):
        say("nothing was written; --yes does it")
