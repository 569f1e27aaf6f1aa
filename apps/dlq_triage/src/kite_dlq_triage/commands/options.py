"""Options that several commands share."""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from kite_dlq_triage.settings import TriageSettings
from kite_runtime.errors import UsageError

if TYPE_CHECKING:
    from kite_kafka_io.spans import Span

Topics = Annotated[
    list[str] | None,
    typer.Option(
        "--topic",
        "-t",
        metavar="NAME",
        help="Dead-letter topic or pattern such as '*.dlq' (quote it); may be given several "
        "times. Default: every topic that matches *.dlq or *_dlq.",
    ),
]

From = Annotated[
    str | None,
    typer.Option(
        "--from",
        metavar="PLACE",
        help="Begin here: an offset (12000), a time (2026-11-23T09:15+05:30; UTC without a zone) "
        "or an age (2h, 7d). Default: the oldest record.",
    ),
]
Until = Annotated[
    str | None,
    typer.Option(
        "--until",
        metavar="PLACE",
        help="End before this offset, time or age. Default: where the topic ends now.",
    ),
]
Partitions = Annotated[
    list[int] | None,
    typer.Option(
        "--partition", metavar="N", help="Only this partition; may be given several times."
    ),
]
DEFAULT_PATTERNS: Final = ("*.dlq", "*_dlq")


def topics_of(topics: list[str] | None) -> list[str]:
    """The names and patterns asked for."""
    return topics if topics else list(DEFAULT_PATTERNS)


def settings_of(root: Path, bootstrap: str | None = None) -> TriageSettings:
    """The settings of the files and the environment, ``--bootstrap`` winning."""
    return TriageSettings.load(root, os.environ, bootstrap=bootstrap)


_NS: Final = 1_000_000_000
_UNITS_S: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_AGE: Final = re.compile(r"([0-9]{1,9})([smhdw])")
_OFFSET_DIGITS_MAX: Final = 18
_EXAMPLES: Final = (
    "an offset (12000), a time (2026-11-23T09:15+05:30; UTC without a zone) or an age (2h, 7d)"
)


def span_of(
    partitions: list[int] | None, start: str | None, end: str | None, *, topics: int, now_ns: int
) -> Span:
    """The span that the options mean, for so many topics. Raises UsageError."""
    from kite_kafka_io.spans import Span

    from_offset, from_ns = _place("--from", start, now_ns)
    until_offset, until_ns = _place("--until", end, now_ns)
    if topics > 1 and (from_offset is not None or until_offset is not None):
        raise UsageError("an offset has a meaning in one topic only: name one, or give a time")
    if partitions is not None and any(number < 0 for number in partitions):
        raise UsageError("--partition counts from 0")
    return Span(
        partitions=frozenset(partitions) if partitions else None,
        from_offset=from_offset,
        from_ns=from_ns,
        until_offset=until_offset,
        until_ns=until_ns,
    )


def _place(option: str, text: str | None, now_ns: int) -> tuple[int | None, int | None]:
    """(offset, epoch ns), one of them at most."""
    if text is None:
        return None, None
    if text.isascii() and text.isdigit() and len(text) <= _OFFSET_DIGITS_MAX:
        return int(text), None
    age = _AGE.fullmatch(text)
    if age is not None:
        return None, max(0, now_ns - int(age[1]) * _UNITS_S[age[2]] * _NS)
    try:
        if text.isdigit():
            raise ValueError("more digits than an offset has")
        when = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"{option} {text[:60]!r} is not {_EXAMPLES}") from None
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    whole = int(when.replace(microsecond=0).timestamp())
    return None, max(0, whole * _NS + when.microsecond * 1000)


def code(reason: str) -> str:
    """The reason code, in capitals or not. Raises UsageError."""
    from kite_contracts.reasons import ReasonCode

    if reason.upper() not in ReasonCode.__members__:
        raise UsageError(
            f"--reason {reason[:60]} is no reason code; `dlq_triage reasons` lists them"
        )
    return reason.upper()
