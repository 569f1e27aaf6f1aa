"""Texts of dates and times: how they are written, and what they mean. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from typing import Final

from kite_runtime.clock import IST

ISO: Final = "iso"
EXCEL: Final = "excel"
EPOCHS: Final = {"epoch": 1, "epoch-ms": 10**3, "epoch-us": 10**6, "epoch-ns": 10**9}
"""How many of each are a second."""
WHOLE: Final = (ISO, *EPOCHS)
"""Formats that are a date and a time at once."""

DATES: Final = (
    "%Y-%m-%d", "%Y%m%d", "%d-%m-%Y", "%m-%d-%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%b-%Y", "%d-%b-%y",
    "%d%b%Y", "%d%b%y", "%Y/%m/%d", "%d.%m.%Y",
)  # fmt: skip
TIMES: Final = ("%H:%M:%S", "%H:%M", "%H%M%S", "%H%M")
_SERIALS: Final = (36_000.0, 60_000.0)
"""Excel's days of 1998 to 2064."""
_ZERO: Final = datetime(1899, 12, 30)
"""Excel's day 0, for days after 1900-02-28."""
_DIGITS: Final = re.compile(r"[0-9]+")
_OF_FLOAT: Final = re.compile(r"([0-9]+)\.0+")
_SERIAL: Final = re.compile(r"[0-9]+(\.[0-9]+)?")
_LENGTHS: Final = {"%Y%m%d": (8,), "%H%M": (3, 4), "%H%M%S": (5, 6)}
"""Digits of formats without separators: a spreadsheet drops a leading zero of the hour."""


@lru_cache(maxsize=1 << 14)
def day_of_text(text: str, form: str) -> date:
    """Raises ValueError."""
    if form == ISO:
        return date.fromisoformat(text)
    if form == EXCEL:
        found = _excel(text)
        if found.time() != time():
            raise ValueError(text)
        return found.date()
    return _parsed(text, form).date()


@lru_cache(maxsize=1 << 14)
def time_of_text(text: str, form: str) -> time:
    """Raises ValueError."""
    return _excel(text).time() if form == EXCEL else _parsed(text, form).timetz()


def moment_of_text(text: str, form: str) -> datetime:
    """Raises ValueError, OverflowError and OSError."""
    if form == ISO:
        return datetime.fromisoformat(text)
    if form == EXCEL:
        return _excel(text)
    if form in EPOCHS:
        seconds, rest = divmod(int(_without_point(text)), EPOCHS[form])
        return datetime.fromtimestamp(seconds, IST) + timedelta(
            microseconds=rest * 10**6 // EPOCHS[form]
        )
    return _parsed(text, form)


def _parsed(text: str, form: str) -> datetime:
    try:
        return _strict(text, form)
    except ValueError:
        whole = _without_point(text)
        if whole == text:
            raise
        return _strict(whole, form)


def _strict(text: str, form: str) -> datetime:
    lengths = _LENGTHS.get(form)
    if lengths is not None:
        if not _DIGITS.fullmatch(text) or len(text) not in lengths:
            raise ValueError(text)
        text = text.zfill(lengths[-1])
    return datetime.strptime(text, form)


def _without_point(text: str) -> str:
    """``20240105.0`` is what is left of a number that passed through a table of floats."""
    match = _OF_FLOAT.fullmatch(text)
    return match[1] if match else text


def _excel(text: str) -> datetime:
    """Days since 1899-12-30 with a fraction; the fraction is rounded to the second."""
    if not _SERIAL.fullmatch(text):
        raise ValueError(text)
    days = float(text)
    if days >= 1 and not _SERIALS[0] <= days <= _SERIALS[1]:
        raise ValueError(text)
    return _ZERO + timedelta(seconds=round(days * 86_400))


_READERS: Final[Mapping[str, Callable[[str, str], date | time]]] = {
    "date": day_of_text,
    "time": time_of_text,
    "moment": moment_of_text,
}


def fits(texts: Iterable[str], form: str, kind: str) -> bool:
    """Whether all texts are of a format; ``kind`` is ``date``, ``time`` or ``moment``."""
    try:
        return all(_sane(_READERS[kind](text.strip(), form)) for text in texts)
    except (ValueError, OverflowError, OSError):
        return False


def _sane(found: date | time) -> bool:
    return isinstance(found, time) or 1990 <= found.year <= 2100


def formats_of(texts: Sequence[str], kind: str) -> list[str]:
    """The formats that read all of the texts; more than one where they can be read two ways."""
    shapes = {_GROUP.sub(_canonical, text.strip()) for text in texts}
    known = [form for form in _KNOWN[kind] if all(_may_be(each, form, kind) for each in shapes)]
    found = [form for form in known if fits(texts, form, kind)]
    if kind == "time" and not all(_is_fraction(text) for text in texts):
        found = [form for form in found if form != EXCEL]
    return [ISO] if kind == "moment" and ISO in found else found


_GROUP: Final = re.compile(r"[0-9]+")
_KNOWN: Final[Mapping[str, Sequence[str]]] = {
    "date": (*DATES, EXCEL),
    "time": (*TIMES, EXCEL),
    "moment": (
        *(ISO, *EPOCHS, EXCEL),
        *(f"{day}{gap}{clock}" for day in DATES for gap in " T" for clock in TIMES[:2]),
    ),
}


def _canonical(group: re.Match[str]) -> str:
    """Digits that are right in every place of a format with as many digits there."""
    if group[0] == "0":
        return "0"  # as behind the point of a float
    return {1: "1", 2: "01", 4: "2001"}.get(len(group[0]), group[0])


@lru_cache(maxsize=1 << 12)
def _may_be(shape: str, form: str, kind: str) -> bool:
    """Whether texts of this shape can be of a format: of 60 most cannot, whatever their digits."""
    if "%" not in form:
        return True
    return form in _LENGTHS if shape.isdigit() else fits([shape], form, kind)


def _is_fraction(text: str) -> bool:
    return bool(re.fullmatch(r"0?\.[0-9]+", text.strip()))


def swapped(form: str) -> str | None:
    """The format with day and month the other way round; None where a month is a name, or first
    comes the year."""
    if not re.search(r"%d(.)%m|%m(.)%d", form) or form.startswith("%Y"):
        return None
    return form.translate(str.maketrans("dm", "md"))
