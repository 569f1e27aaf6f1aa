"""``sync``: the instrument master of a day into the history, and what changed into Kafka.

``publish`` does the second half alone.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from kite_bars_store.errors import DumpRefused
from kite_instruments.commands.options import Exchanges, open_store, settings_of
from kite_instruments.errors import NotPublished
from kite_instruments.fetching import Fetched, fetch, read_file
from kite_instruments.settings import Settings
from kite_instruments.shown import show, tell_published
from kite_kafka_io.errors import BrokerUnreachable, KafkaIoError, RegistryError, UnknownTopic
from kite_runtime.clock import today
from kite_runtime.console import progress_bar, say
from kite_runtime.errors import (
    EXIT_DONE,
    EXIT_FINDINGS,
    ConfigurationError,
    TryAgainLater,
    UsageError,
)
from kite_runtime.files import write_whole
from kite_runtime.logs import configure_logs
from kite_runtime.options import AsJson, Root, a_date

if TYPE_CHECKING:
    from kite_bars_store.instruments import InstrumentStore
    from kite_instruments.syncing import Outcome
    from kite_kafka_io.record_sender import Message

DEFAULT_EXCHANGES: Final = ("NFO",)
_PERCENT: Final = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,4})?)%?")


def a_share(text: str) -> float:
    """A share such as ``20%``, as 0.2. Raises BadParameter."""
    match = _PERCENT.fullmatch(text)
    if match is None or not float(match[1]) <= 100:
        raise typer.BadParameter(f"{text!r} is no share such as 20%")
    return float(match[1]) / 100


File = Annotated[
    Path | None,
    typer.Option(
        "--file", metavar="DUMP.csv[.gz]", help="Take this file instead of asking Kite; all its "
        "exchanges unless --exchange names some.",
    ),
]  # fmt: skip
Everything = Annotated[
    bool, typer.Option("--all", help="All exchanges. Without it and --exchange: NFO.")
]
Day = Annotated[
    date | None,
    typer.Option(
        "--date", metavar="DATE", parser=a_date, help="The day in India for which the dump holds. "
        "Default: today; an old file needs its own.",
    ),
]  # fmt: skip
MaxDrop = Annotated[
    float,
    typer.Option(
        "--max-drop", metavar="SHARE", parser=a_share, help="Refuse a dump in which an exchange "
        "has lost more than this share of its instruments.",
    ),
]  # fmt: skip
DeadLetters = Annotated[
    Path | None,
    typer.Option(
        "--dead-letters", metavar="FILE", help="Where refused rows go, as JSON lines. Default: a "
        "file in the state folder, named by day and dump.",
    ),
]  # fmt: skip


def command(
    exchange: Exchanges = None,
    everything: Everything = False,
    file: File = None,
    day: Day = None,
    max_drop: MaxDrop = "20%",  # type: ignore[assignment]  # Typer parses the default
    dead_letters: DeadLetters = None,
    no_publish: Annotated[
        bool, typer.Option("--no-publish", help="Leave Kafka alone; `publish` makes up for it.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would change; write nothing.")
    ] = False,
    root: Root = Path(),
    as_json: AsJson = False,
) -> int:
    """Record the instrument master of today, or of a file, and publish what changed.

    Each row is checked against the Instrument contract; refused rows go to the dead letters and
    their instruments stay as they were. A dump that looks wrong as a whole is refused, and the last
    good master stays. The same dump again writes nothing. Needs no login.
    """
    import pyarrow as pa  # type: ignore[import-untyped]

    if exchange and everything:
        raise UsageError("--all and --exchange exclude each other: give one of them")
    configure_logs(quiet=True)
    pa.set_memory_pool(pa.system_memory_pool())  # Arrow's own pool keeps what is freed
    settings = settings_of(root)
    asked = () if everything else tuple(dict.fromkeys(exchange or ()))
    the_day = _day(day)
    with open_store(settings) as store:
        if file is not None:
            sources = iter([read_file(file, asked)])
        else:
            sources = fetch(settings, () if everything else asked or DEFAULT_EXCHANGES)
        outcomes: list[Outcome] = []
        problems: list[DumpRefused] = []
        for fetched in sources:
            try:
                outcomes.append(_one(store, fetched, the_day, max_drop, dry_run))
            except DumpRefused as refusal:
                problems.append(refusal)
            else:
                show(outcomes[-1], as_json)
        letters = _write_letters(settings, outcomes, dead_letters, dry_run)
        if not dry_run and outcomes:
            _publish(store, settings, outcomes, no_publish)
    for problem in problems[:-1]:
        say(f"instruments: {problem}")
    if problems:
        raise problems[-1]
    return EXIT_FINDINGS if letters else EXIT_DONE


def _day(day: date | None) -> date:
    now = today()
    if day is not None and day > now:
        raise UsageError(f"--date {day} is in the future, today is {now} in India: give a past day")
    return day or now


def _one(
    store: InstrumentStore, fetched: Fetched, day: date, max_drop: float, dry_run: bool
) -> Outcome:
    from kite_instruments.syncing import check, record

    began_s = time.monotonic()
    checked = check(store, fetched, day, max_drop)
    if checked.ended:
        say(
            f"{checked.label} still holds {checked.ended} contracts that expired before {day}: it "
            "is the dump of an earlier day; Kite makes the new one by about 08:30"
        )
    if checked.ignored:
        say(f"columns that are not used: {', '.join(checked.ignored)}")
    say(f"recording {checked.rows.num_rows:,} instruments of {', '.join(checked.exchanges)}")
    parameters = {"by": "instruments sync", "max_drop": max_drop}
    outcome = record(store, checked, parameters, dry_run=dry_run)
    return replace(outcome, took_s=time.monotonic() - began_s)


def _write_letters(
    settings: Settings, outcomes: Sequence[Outcome], path: Path | None, dry_run: bool
) -> int:
    """Refused rows into the file; returns how many there are."""
    from kite_instruments.publishing import as_lines

    bad = [each for each in outcomes if each.refused]
    count = sum(len(each.refused) for each in bad)
    if not bad:
        return 0
    if dry_run:
        for each in bad:
            for row in each.refused[:10]:
                say(f"{each.label}, line {row.line}: {row.reason}: {row.message}")
        return count
    now_ns = time.time_ns()
    data = b"".join(as_lines(each.refused, each.label, now_ns) for each in bad)
    target = path or settings.state_dir / "dead-letters" / _letters_name(bad)
    if path is not None or not target.exists():  # the same dump has the same dead letters
        write_whole(target, data)
    say(f"{count:,} refused rows are in {target}")
    return count


def _letters_name(outcomes: Sequence[Outcome]) -> str:
    digests = b"".join(each.content_sha256 for each in outcomes)
    return f"{outcomes[0].day}-{hashlib.sha256(digests).hexdigest()[:12]}.jsonl"


def _publish(
    store: InstrumentStore,
    settings: Settings,
    outcomes: Sequence[Outcome],
    no_publish: bool,
) -> None:
    from kite_instruments.publishing import letter_messages, publish

    if no_publish or settings.kafka is None:
        why = "--no-publish" if no_publish else "KAFKA_BOOTSTRAP is not set"
        waiting = len(store.unpublished())
        if waiting:
            say(f"not published ({why}); {waiting} batches wait for `instruments publish`")
        return

    def letters(batches: tuple[int, ...]) -> list[Message]:
        return [
            message
            for each in outcomes
            if each.batch_id in batches
            for message in letter_messages(each.refused, each.label, settings.dead_topic)
        ]

    with progress_bar() as bar:
        task = bar.add_task("publishing", total=None)
        try:
            published = publish(
                *(store, settings.kafka, settings.topic, today()),
                letters=letters,
                progress=lambda done, total: bar.update(task, completed=done, total=total),
            )
        except (BrokerUnreachable, RegistryError) as error:
            raise NotPublished(f"recorded but not published ({error}): run it again") from error
        except (UnknownTopic, ConfigurationError) as error:
            raise ConfigurationError(
                f"recorded but not published ({error}): correct that and run it again"
            ) from error
        except KafkaIoError as error:
            raise TryAgainLater(f"recorded but not published ({error}): run it again") from error
    tell_published(published, settings.topic)


def publish_command(
    everything: Annotated[
        bool,
        typer.Option("--all", help="Every instrument that is listed, also what was published."),
    ] = False,
    root: Root = Path(),
) -> int:
    """Publish what Kafka does not have of the master: after --no-publish, or when Kafka was away.

    The topic is compacted: the key is EXCHANGE:TRADINGSYMBOL, a record without a value means that
    the instrument is no longer listed. --all fills a new topic.
    """
    from kite_instruments.publishing import publish

    configure_logs(quiet=True)
    settings = settings_of(root)
    kafka = settings.require_kafka()
    with open_store(settings) as store, progress_bar() as bar:
        task = bar.add_task("publishing", total=None)
        published = publish(
            *(store, kafka, settings.topic, today()),
            everything=everything,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    tell_published(published, settings.topic)
    return 0
