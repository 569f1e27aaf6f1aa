"""``redrive`` and ``quarantine``: send failures where they belong, or show what they would do."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from kite_bars_store.failures import Selection, Status
from kite_dead_letters.defaults import ATTEMPTS_MAX, STALE_AFTER_S
from kite_dlq_triage.commands.database import (
    Before,
    Group,
    Ids,
    Json,
    Note,
    Reasons,
    Since,
    Topic,
    Who,
    database,
    selection,
    user,
)
from kite_dlq_triage.commands.options import settings_of
from kite_kafka_io.settings import KafkaSettings
from kite_runtime.console import say
from kite_runtime.errors import EXIT_DONE, EXIT_FINDINGS, EXIT_INTERRUPTED, UsageError
from kite_runtime.options import Bootstrap, Root
from kite_runtime.retry import Pace
from kite_runtime.stopping import stop_on_signals

if TYPE_CHECKING:
    from kite_dead_letters.redrive import Redriver, Report, Rules, Step
    from kite_dead_letters.redrive.transforms import Transform

RATE: Final = 1_000.0

Yes = Annotated[bool, typer.Option("--yes", help="Do it. Without it nothing is written anywhere.")]
TopicsFile = Annotated[
    Path | None,
    typer.Option(
        "--topics-file",
        metavar="FILE",
        help="Another topics.toml: its topics with a dead-letter topic are the allow-list.",
    ),
]


def command(
    ids: Ids = None,
    group: Group = None,
    reason: Reasons = None,
    topic: Topic = None,
    since: Since = None,
    until: Before = None,
    yes: Yes = False,
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
    topics_file: TopicsFile = None,
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
    from kite_dead_letters.redrive import Rules

    fix = _transform(transform, mapping, put)
    return _work(
        ids,
        {"group": group, "reasons": reason, "topic": topic, "since": since, "until": until},
        Rules(attempts, stale_after),
        yes=yes,
        fix=fix,
        rate=rate,
        topics_file=topics_file,
        note=note,
        who=who,
        as_json=as_json,
        bootstrap=bootstrap,
        root=root,
    )


def quarantine(
    ids: Ids = None,
    group: Group = None,
    reason: Reasons = None,
    topic: Topic = None,
    since: Since = None,
    until: Before = None,
    yes: Yes = False,
    topics_file: TopicsFile = None,
    note: Note = "",
    who: Who = None,
    as_json: Json = False,
    bootstrap: Bootstrap = None,
    root: Root = Path(),
) -> int:
    """Show where open failures would be kept that nobody is to send again.

    With --yes do it: bytes and headers go to the topic's quarantine as they are, once, and the
    failures are settled as quarantined; `reopen` takes one back. Exit code 3: that some were
    quarantined, or refused because their topic has no quarantine.
    Example: dlq_triage quarantine --group 1f2e3d4c5b6a7988 --yes --note "cut by the proxy"
    """
    from kite_dead_letters.redrive import Rules

    return _work(
        ids,
        {"group": group, "reasons": reason, "topic": topic, "since": since, "until": until},
        Rules(attempts_max=0),
        yes=yes,
        fix=None,
        rate=RATE,
        topics_file=topics_file,
        note=note,
        who=who,
        as_json=as_json,
        bootstrap=bootstrap,
        root=root,
    )


def _work(
    ids: list[str] | None,
    chosen_by: Mapping[str, Any],
    rules: Rules,
    *,
    yes: bool,
    fix: Transform | None,
    rate: float,
    topics_file: Path | None,
    note: str,
    who: str | None,
    as_json: bool,
    bootstrap: str | None,
    root: Path,
) -> int:
    from kite_bars_store.failures import FailureStore, RedriveLedger
    from kite_contracts.topics import load_topics
    from kite_dead_letters.dialect_files import read_table
    from kite_dead_letters.redrive import Planner, Redriver, Targets
    from kite_dead_letters.redrive.corrections import Corrector
    from kite_kafka_io.registry import open_framing
    from kite_runtime.logs import configure_logs

    configure_logs(quiet=True)
    settings = settings_of(root, bootstrap)
    kafka = settings.require_kafka() if yes else settings.kafka
    targets = Targets(load_topics(topics_file))
    framing = open_framing(kafka, targets.subjects) if kafka is not None else None
    planner = Planner(targets, Corrector(framing, fix), rules, read_table(settings.dialects))
    with database(root) as connection:
        store = FailureStore(connection)
        chosen = selection(store, ids, **chosen_by)
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
    from kite_dead_letters.redrive.transforms import from_settings, load_function, load_mapping

    if sum(each is not None for each in (function, mapping, settings or None)) > 1:
        raise UsageError("give one of --transform, --mapping and --set, not several")
    if function is not None:
        return load_function(function)
    if mapping is not None:
        return load_mapping(mapping)
    return from_settings(settings) if settings else None


def _preview(redriver: Redriver, chosen: Selection, as_json: bool) -> int:
    from kite_dead_letters.redrive import Report
    from kite_dlq_triage.redrive_lines import print_step, print_summary

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
    from kite_dead_letters.redrive.outbox import Outbox
    from kite_dlq_triage.redrive_lines import Progress, print_step, print_summary

    stop = threading.Event()
    outbox = Outbox(kafka, Pace(rate), stop.wait)
    progress = Progress(redriver.store.count(chosen))

    def on_step(step: Step) -> None:
        print_step(step, as_json, done=True)
        progress.step()

    with closing(outbox), stop_on_signals(stop.set):
        report = redriver.execute(
            chosen, outbox, who, note=note, transform=fix, on_step=on_step, stopped=stop.is_set
        )
    print_summary(report, as_json, done=True)
    return EXIT_INTERRUPTED if report.stopped else _exit_code(report)


def _exit_code(report: Report) -> int:
    from kite_dead_letters.redrive import Action

    if report.actions[Action.REFUSE] or report.actions[Action.QUARANTINE]:
        return EXIT_FINDINGS
    return EXIT_DONE
