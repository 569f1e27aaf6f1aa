"""``merge.toml`` → rules. Everything is checked; a mistake is one sentence with a remedy. Pure but
for `load_rules`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from kite_bars_store.bars.columns import VALUES
from kite_bars_store.bars.records import Role
from kite_bars_store.errors import RulesFaulty
from kite_contracts.sessions.model import PhaseName
from kite_runtime.toml_files import Fault, parse_toml, read_text

FILE: Final = "merge.toml"
_TABLES: Final = {
    "precedence", "source", "field", "tolerance", "quality", "revision", "exchange"
}  # fmt: skip
NUMBER_MAX: Final = 90_000  # so that no product with a price or a volume leaves 64 bits
SOURCES_MAX: Final = 16
CODE: Final = 3
"""Counted up when the code makes other golden bars of the same rules: they are then recomputed."""


@dataclass(frozen=True)
class Limits:
    """Tolerances of one exchange: prices in ticks or basis points, volume in units or points."""

    price_ticks: int
    price_bps: int
    volume_units: int
    volume_bps: int
    jump_bps: int


@dataclass(frozen=True)
class MergeRules:
    """All rules of one file; values of the same kind as in it. ``sources`` are by precedence."""

    sources: tuple[str, ...]
    roles: Mapping[str, Role]
    fields: Mapping[str, tuple[str, ...]]
    limits: Limits
    exchanges: Mapping[str, Limits]
    cumulative_after: int
    phases: tuple[PhaseName, ...]
    revision_min_bars: int
    revision_min_change_bps: int

    def rank(self, source: str) -> int:
        """Its place by precedence, from 0. Raises RulesFaulty for a source that has none."""
        try:
            return self.sources.index(source)
        except ValueError:
            raise RulesFaulty(
                f"The merge rules have no source {source!r}: add it to precedence and [source]."
            ) from None

    def limits_of(self, exchange: str) -> Limits:
        return self.exchanges.get(exchange, self.limits)

    def field_ranks(self, field: str) -> tuple[int, ...]:
        """The place of each source, in the order of ``sources``, for this field."""
        order = self.fields.get(field, self.sources)
        return tuple(order.index(source) for source in self.sources)

    @cached_property
    def canonical(self) -> str:
        """The rules as JSON, equal for equal rules; what a batch's rules are kept as."""
        content = {"code": CODE, **asdict(self)}
        return json.dumps(content, sort_keys=True, separators=(",", ":"))

    @cached_property
    def sha256(self) -> bytes:
        return hashlib.sha256(self.canonical.encode()).digest()


def default_text() -> str:
    """The packaged file; configs/merge.toml of a checkout has the same text."""
    return (files("kite_bars_store.bars") / FILE).read_text("utf-8")


def load_rules(path: Path | None = None) -> MergeRules:
    """The rules of the file, or the packaged ones. Raises RulesFaulty, one sentence."""
    if path is None:
        return parse_rules(default_text(), FILE)
    name = str(path)
    return parse_rules(read_text(path, _fault_of(name)), name)


def _fault_of(name: str) -> Fault:
    return lambda problem: RulesFaulty(f"{name} {problem}.")


def parse_rules(content: str, name: str) -> MergeRules:
    """The rules of a file's text; ``name`` is how messages call the file."""
    return _Reader(name, parse_toml(content, _fault_of(name))).rules()


class _Reader:
    def __init__(self, name: str, tables: Mapping[str, Any]) -> None:
        self._name = name
        self._tables = tables

    def rules(self) -> MergeRules:
        self._only("", self._tables, _TABLES)
        sources = self._names("precedence", self._tables.get("precedence"))
        if len(sources) > SOURCES_MAX:
            raise self._wrong("precedence", f"names more than {SOURCES_MAX} sources")
        quality = self._table("quality", {"jump_bps", "cumulative_after", "phases"})
        tolerance = self._table("tolerance", {each.name for each in fields(Limits)} - {"jump_bps"})
        limits = {
            **{key: self._number("tolerance", key, tolerance) for key in tolerance},
            "jump_bps": self._number("quality", "jump_bps", quality),
        }
        revision = self._table("revision", {"min_bars", "min_change_bps"})
        return MergeRules(
            sources=sources,
            roles=self._roles(sources),
            fields=self._fields(sources),
            limits=Limits(**limits),
            exchanges=self._exchanges(Limits(**limits)),
            cumulative_after=self._number("quality", "cumulative_after", quality),
            phases=self._phases(quality["phases"]),
            revision_min_bars=self._number("revision", "min_bars", revision),
            revision_min_change_bps=self._number("revision", "min_change_bps", revision),
        )

    def _roles(self, sources: tuple[str, ...]) -> dict[str, Role]:
        roles = self._table("source", set(sources))
        known = {role.name.lower(): role for role in Role}
        for source, role in roles.items():
            if not isinstance(role, str) or role not in known:
                raise self._wrong(f"[source] {source}", f"is {role!r}: write {' or '.join(known)}")
        return {source: known[roles[source]] for source in sources}

    def _fields(self, sources: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
        given = self._tables.get("field", {})
        self._only("field", given, set(VALUES))
        found = {}
        for key, order in given.items():
            found[key] = self._names(f"[field] {key}", order)
            if sorted(found[key]) != sorted(sources):
                raise self._wrong(
                    f"[field] {key}", "must name the sources of precedence, each once"
                )
        return found

    def _exchanges(self, limits: Limits) -> dict[str, Limits]:
        given = self._tables.get("exchange", {})
        if not isinstance(given, dict):
            raise self._wrong("exchange", "must be tables like [exchange.NFO]")
        found = {}
        for exchange, values in given.items():
            where = f"exchange.{exchange}"
            self._only(where, values, {each.name for each in fields(Limits)})
            numbers = {key: self._number(where, key, values) for key in values}
            found[exchange] = replace(limits, **numbers)
        return found

    def _phases(self, given: object) -> tuple[PhaseName, ...]:
        names = self._names("[quality] phases", given)
        for name in names:
            if name not in set(PhaseName):
                raise self._wrong(
                    "[quality] phases", f"names {name!r}: there are {', '.join(PhaseName)}"
                )
        return tuple(map(PhaseName, names))

    def _names(self, where: str, given: object) -> tuple[str, ...]:
        if not (isinstance(given, list) and given and all(isinstance(e, str) and e for e in given)):
            raise self._wrong(where, "must be a list of names")
        if len(set(given)) != len(given):
            raise self._wrong(where, "names something twice")
        return tuple(given)

    def _number(self, table: str, key: str, values: Mapping[str, Any]) -> int:
        value = values[key]
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= NUMBER_MAX:
            raise self._wrong(
                f"[{table}] {key}", f"is {value!r}: it must be an integer from 0 to {NUMBER_MAX}"
            )
        return value

    def _table(self, name: str, keys: set[str]) -> dict[str, Any]:
        """The table with all of these keys."""
        given = self._tables.get(name)
        self._only(name, given, keys)
        assert isinstance(given, dict)
        missing = sorted(keys - set(given))
        if missing:
            raise self._wrong(f"[{name}]", f"is missing {missing[0]}")
        return given

    def _only(self, name: str, given: object, keys: set[str]) -> None:
        if not isinstance(given, dict):
            raise self._wrong(f"[{name}]", "is missing or no table")
        unknown = sorted(set(given) - keys)
        if unknown:
            where = f"[{name}] {unknown[0]}" if name else unknown[0]
            raise self._wrong(where, f"is unknown: there are {', '.join(sorted(keys))}")

    def _wrong(self, where: str, what: str) -> RulesFaulty:
        return RulesFaulty(f"{self._name}: {where} {what}.")
