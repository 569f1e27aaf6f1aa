"""``sessions.toml`` → rules. Everything is checked; what is wrong is one sentence with a remedy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date
from importlib.resources import files
from pathlib import Path
from typing import Any, Final, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from kite_contracts.sessions import entries
from kite_contracts.sessions.entries import EntryProblem
from kite_contracts.sessions.model import CLASSES, SEGMENTS, DayKind
from kite_contracts.sessions.rules import VERIFIED_SINCE, DayRule, Evening, Regime, Rules
from kite_runtime.errors import ConfigurationError
from kite_runtime.toml_files import Fault, parse_toml, read_text

FILE: Final = "sessions.toml"
OWN_KINDS: Final = ("muhurat", "special", "half", "halt", "holiday")
_TABLES: Final = ("regime", "day", "own_holidays", "evening", "verified_since")
_HOURS: Final = ("phases", "from", "until", "hours")
_Result = TypeVar("_Result")
_Value = TypeVar("_Value")


def default_text() -> str:
    """The packaged file; configs/sessions.toml of a checkout has the same text."""
    return (files("kite_contracts.sessions") / FILE).read_text("utf-8")


def load_rules(path: Path | None = None) -> Rules:
    """The rules of the file, or the packaged ones. Raises ConfigurationError, one sentence."""
    if path is None:
        return parse_rules(default_text(), FILE)
    name = str(path)
    return parse_rules(read_text(path, _fault_of(name)), name)


def _fault_of(name: str) -> Fault:
    return lambda problem: ConfigurationError(f"{name} {problem}")


def parse_rules(content: str, name: str) -> Rules:
    """The rules of a file's text; ``name`` is how messages call the file."""
    tables = parse_toml(content, _fault_of(name))
    unknown = sorted(set(tables) - set(_TABLES))
    if unknown:
        raise ConfigurationError(
            f"{name}: the table {unknown[0]!r} is unknown, there are [[regime]], [[day]], "
            "[[own_holidays]], [evening] and verified_since: see docs/calendar.md"
        )
    if not tables.get("regime"):
        raise ConfigurationError(
            f"{name} has no [[regime]]: copy the delivered file and edit the copy"
        )
    return _Reader(name, tables).rules()


class _Reader:
    """One file; knows where it reads, so that each message names the entry."""

    def __init__(self, name: str, tables: dict[str, Any]) -> None:
        self._name = name
        self._tables = tables
        self._evening: Evening | None = None

    def rules(self) -> Rules:
        if "evening" in self._tables:
            self._evening = self._at("[evening]", self._read_evening, self._tables["evening"])
        own: dict[str, frozenset[int]] = {}
        for where, entry in self._entries("own_holidays"):
            self._at(where, lambda entry: own.update(_own_holidays(entry, own)), entry)
        regimes: dict[tuple[str, str | None], tuple[Regime, ...]] = {}
        for where, entry in self._entries("regime"):
            self._at(where, lambda entry: self._add_regime(regimes, entry), entry)
        days: dict[tuple[str, date], DayRule] = {}
        for where, entry in self._entries("day"):
            self._at(where, lambda entry: self._add_days(days, entry), entry)
        since = self._tables.get("verified_since", VERIFIED_SINCE)
        verified = self._at("verified_since", lambda given: entries.day(given, "it"), since)
        return Rules(regimes, days, own, self._evening, verified)

    def _entries(self, table: str) -> Iterator[tuple[str, Any]]:
        found = self._tables.get(table, [])
        if not isinstance(found, list):
            raise ConfigurationError(
                f"{self._name}: write [[{table}]] with two brackets, not [{table}]"
            )
        for number, entry in enumerate(found, 1):
            yield f"[[{table}]] number {number}{_label(entry)}", entry

    def _at(self, where: str, read: Callable[[Any], _Result], entry: object) -> _Result:
        try:
            return read(entry)
        except EntryProblem as exc:
            raise ConfigurationError(f"{self._name}: {where}: {exc}") from exc

    def _read_evening(self, entry: object) -> Evening:
        values = entries.check_keys(entry, ("zone", "daylight", "standard"), ())
        try:
            zone = ZoneInfo(entries.text(values, "zone"))
        except (ZoneInfoNotFoundError, ValueError) as exc:
            raise EntryProblem(
                f"zone is {values['zone']!r}: it must be a zone such as America/New_York"
            ) from exc
        daylight = entries.clock(values["daylight"], "daylight")
        return Evening(zone, daylight, entries.clock(values["standard"], "standard"))

    @property
    def _evenings(self) -> tuple[int, int] | None:
        evening = self._evening
        return None if evening is None else (evening.daylight, evening.standard)

    def _add_regime(
        self, regimes: dict[tuple[str, str | None], tuple[Regime, ...]], entry: object
    ) -> None:
        values = entries.check_keys(
            entry, ("segments", "since", "phases", "source"), ("classes", "note")
        )
        since = entries.day(values["since"], "since")
        phases = entries.phases(values, self._evenings)
        source, note = entries.text(values, "source"), entries.text(values, "note", "")
        classes: list[str | None] = [None]
        if "classes" in values:
            names = _some(entries.many(values, "classes", str), "classes")
            classes = [entries.choice(each, CLASSES, "a class") for each in names]
        for segment in _segments(values):
            for stock_class in classes:
                before = regimes.get((segment, stock_class), ())
                if any(each.since == since for each in before):
                    raise EntryProblem(
                        f"{segment} has a regime from {since} already: keep one of them"
                    )
                regime = Regime(segment, stock_class, since, phases, source, note)
                ordered = sorted((*before, regime), key=lambda each: each.since)
                regimes[segment, stock_class] = tuple(ordered)

    def _add_days(self, days: dict[tuple[str, date], DayRule], entry: object) -> None:
        values = entries.check_keys(
            entry, ("dates", "segments", "kind", "source"), (*_HOURS, "note")
        )
        dates = _some(entries.many(values, "dates", date), "dates")
        kind = DayKind(entries.choice(values["kind"], OWN_KINDS, "kind"))
        phases, opens_from, until = self._hours(values, kind)
        source, note = entries.text(values, "source"), entries.text(values, "note", "")
        for segment in _segments(values):
            for day in dates:
                if (segment, day) in days:
                    raise EntryProblem(
                        f"{segment} has an entry for {day} already: keep one of them"
                    )
                rule = DayRule(segment, day, kind, phases, opens_from, until, source, note)
                days[segment, day] = rule

    def _hours(
        self, values: dict[str, Any], kind: DayKind
    ) -> tuple[tuple[Any, ...] | None, int | None, int | None]:
        """Phases (None: the usual ones), the beginning and the end that cut the usual ones."""
        given = [key for key in _HOURS if key in values]
        if kind is DayKind.HOLIDAY:
            if given:
                raise EntryProblem(f"a holiday has no {given[0]}: remove it, or change the kind")
            return (), None, None
        if len(given) > 1 and given != ["from", "until"]:
            raise EntryProblem(f"{given[0]} and {given[1]} exclude each other: keep one of them")
        if "hours" in given:
            entries.choice(values["hours"], ("unknown",), "hours")
            return (), None, None
        if "phases" in given:
            return entries.phases(values, self._evenings), None, None
        opens_from, until = (
            entries.clock(values[key], key) if key in given else None for key in ("from", "until")
        )
        if opens_from is not None and until is not None and opens_from >= until:
            raise EntryProblem("until is not after from: correct one of them")
        return None, opens_from, until


def _segments(values: dict[str, Any]) -> list[str]:
    names = _some(entries.many(values, "segments", str), "segments")
    return [entries.choice(each, SEGMENTS, "a segment") for each in names]


def _some(values: list[_Value], key: str) -> list[_Value]:
    if not values:
        raise EntryProblem(f"{key} is empty: name at least one")
    return values


def _own_holidays(entry: object, known: dict[str, frozenset[int]]) -> dict[str, frozenset[int]]:
    values = entries.check_keys(entry, ("segments", "years"), ())
    years = frozenset(entries.many(values, "years", int))
    for segment in (segments := _segments(values)):
        if segment in known:
            raise EntryProblem(f"{segment} has an entry already: put all its years into one")
    return dict.fromkeys(segments, years)


def _label(entry: object) -> str:
    """What a person recognises the entry by, as far as it is there."""
    if not isinstance(entry, dict):
        return ""
    segments, since = entry.get("segments"), entry.get("since", entry.get("dates"))
    names = "+".join(map(str, segments)) if isinstance(segments, list) else ""
    first = since[0] if isinstance(since, list) and since else since
    label = " ".join(str(each) for each in (names, first) if each)
    return f" ({label})" if label else ""
