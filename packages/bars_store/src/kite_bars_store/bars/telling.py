"""All about one bar as a document: what was said, what is golden and why, the bars around. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from kite_bars_store.bars import Field, Flag, MergeRules, Observation, Verdict
from kite_bars_store.bars.explain import Judged, flag_lines, price, why
from kite_contracts.sessions import IST

_PRICES: Final = ("open", "high", "low", "close")
_MAY_BE_MISSING: Final = "the segment trades then, so it may be missing; `report` tells why"


@dataclass(frozen=True)
class Asked:
    """What a person wants to know of; ``as_of`` None: as it is now."""

    symbol: str
    ts_open: datetime
    interval: str
    as_of: datetime | None = None

    @property
    def exchange(self) -> str:
        return self.symbol.partition(":")[0]


def tell(
    asked: Asked,
    observations: Sequence[Observation],
    around: Sequence[Mapping[str, Any]],
    rules: MergeRules,
    absent: str,
) -> dict[str, Any]:
    """The document of `show`. ``around`` are rows of ``BarStore.read_bars`` on both sides of the
    bar and itself; ``absent`` says why no bar belongs here, or is empty where one does.

    What was recorded after ``as_of`` is left out. Prices are decimals as text, times in India's.
    """
    said = [each for each in observations if asked.as_of is None or each.recorded_at <= asked.as_of]
    golden = next((row for row in around if row["ts_open"] == asked.ts_open), None)
    return {
        "symbol": asked.symbol,
        "ts_open": _time(asked.ts_open),
        "interval": asked.interval,
        "as_of": None if asked.as_of is None else _time(asked.as_of),
        "golden": None if golden is None else _bar(golden),
        "why": list(_why(asked, said, golden, rules, absent)),
        "flags": [] if golden is None else flag_lines(Flag(golden["flags"])),
        "observations": [_observation(each, said, golden) for each in said],
        "around": [_bar(row) for row in around],
    }


def _why(
    asked: Asked,
    said: Sequence[Observation],
    golden: Mapping[str, Any] | None,
    rules: MergeRules,
    absent: str,
) -> Iterator[str]:
    if golden is None:
        if said and absent:
            yield f"not golden: {absent}"
        elif said:
            yield "not golden: no word of it counts, or the bar had not ended at that time"
        else:
            yield f"no source has it: {absent or _MAY_BE_MISSING}"
        return
    by_batch = {each.batch_id: each for each in said}
    won, other = by_batch[golden["batch_id"]], by_batch.get(golden["other_batch_id"])
    judged = Judged(
        Verdict[golden["verdict"]],
        Flag(golden["flags"]),
        Field(golden["from_other"]),
        won,
        other,
        price(won.tick_size, won.price_scale),
    )
    yield from why(judged, rules, rules.limits_of(asked.exchange))
    replaced = [each for each in said if each.source == won.source and each.batch_id < won.batch_id]
    if replaced:
        yield f"{won.source} said otherwise before: of one source the last recorded word counts"


def _observation(
    each: Observation, said: Sequence[Observation], golden: Mapping[str, Any] | None
) -> dict[str, Any]:
    return {
        "source": each.source,
        "batch_id": each.batch_id,
        "recorded_at": _time(each.recorded_at),
        "purpose": each.purpose,
        "file": each.file_name,
        "status": _status(each, said, golden),
        **_values(vars(each)),
        "tick": _text(price(each.tick_size, each.price_scale)) if each.tick_size else None,
    }


def _status(
    each: Observation, said: Sequence[Observation], golden: Mapping[str, Any] | None
) -> str:
    """What became of the word."""
    used = {} if golden is None else {golden["batch_id"]: "golden"}
    if golden is not None and golden["other_batch_id"] is not None:
        used[golden["other_batch_id"]] = "compared"
    if each.batch_id in used:
        return used[each.batch_id]
    own = [one.batch_id for one in said if one.source == each.source]
    counting = [batch for batch in own if batch in used]
    if counting and each.batch_id > counting[0]:
        return "a revision that does not count"
    if each.batch_id != max(own):
        return "replaced"
    return "not golden" if golden is None else "not needed"


def _bar(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "ts_open": _time(row["ts_open"]),
        **_values(row),
        "verdict": row["verdict"],
        "flags": [flag.name for flag in Flag if flag & row["flags"]],
        "differs": [str(bit.name).lower() for bit in Field if bit & row["differs"]],
        "from_other": [str(bit.name).lower() for bit in Field if bit & row["from_other"]],
        "batch_id": row["batch_id"],
        "other_batch_id": row["other_batch_id"],
    }


def _values(row: Mapping[str, Any]) -> dict[str, Any]:
    prices = {name: _text(price(row[name], row["price_scale"])) for name in _PRICES}
    return {**prices, "volume": row["volume"], "oi": row["oi"]}


def _text(value: Decimal) -> str:
    return f"{value:f}"


def _time(when: datetime) -> str:
    """In India's time, as ISO 8601."""
    return when.astimezone(IST).isoformat()
