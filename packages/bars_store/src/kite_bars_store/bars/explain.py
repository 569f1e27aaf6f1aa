"""All about one bar as a document: the observations, what is golden, and why in sentences. Pure.

The numbers in them are those of ``configs/merge.toml``; what decides is the same as in
``kite_bars_store.bars.merging``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from kite_bars_store.bars import (
    Field,
    Flag,
    Limits,
    MergeRules,
    Observation,
    ObservedBar,
    SourceBars,
    Verdict,
)
from kite_bars_store.bars.carried_opens import CarriedOpens, carried_rows, field_open
from kite_bars_store.bars.missing.day_sheet import Cause
from kite_bars_store.bars.sql import nanoseconds
from kite_bars_store.instruments import price
from kite_runtime.clock import IST

_POINTS: Final = 10_000
_PRICES: Final = ("open", "high", "low", "close")
_MAY_BE_MISSING: Final = "the segment trades then, so it may be missing; `findings` shows why"
FLAGS: Final = {
    Flag.OFF_TICK: "a price is no multiple of the tick, as after an adjustment",
    Flag.JUMP: "open or close lies far from the close before it on that day",
    Flag.CUMULATIVE_VOLUME: "the volume of a source is about the sum of all before it that day",
    Flag.FLAT: "one price and no volume: a source pads a minute without a trade like this",
    Flag.UNVERIFIED_HOURS: "trading is not verified at this time: a special session, or a halt",
    Flag.REVISION_RATIO: "a source restated it by a ratio, which waits for `accept` or `reject`",
}
"""What each flag means."""

MEANINGS: Final = {
    Verdict.AGREED: "both sources agree",
    Verdict.WITHIN_TOLERANCE: "they differ by no more than the rules allow",
    Verdict.AGREED_NO_TRADE: "one source pads the minute flat, the other has bars before and after",
    Verdict.HEALED: "fetched to close a gap of the feed; no other source has it",
    Verdict.BROKER_ONLY: "only the broker has it",
    Verdict.VENDOR_ONLY: "only a vendor has it",
    Verdict.LIVE_ONLY: "only the live feed has it",
    Verdict.CONFLICT_BROKER_WON: "they differ by more than the rules allow; the broker precedes",
    Verdict.CONFLICT_VENDOR_WON: "they differ by more than the rules allow; the vendor precedes",
    Verdict.CONFLICT_LIVE_WON: "they differ by more than the rules allow; the live feed precedes",
    Verdict.VOLUME_REPLACED: "a volume is the day's so far, as the other's proves, which is taken",
}
"""What each verdict means."""

CAUSES: Final = {
    Cause.NO_BARS: "the instrument has no bar on this day at all",
    Cause.UNEXPLAINED: "nothing explains it: fetch it again, or ask the source",
    Cause.UNVERIFIED_DAY: "the session of this day is not known with certainty",
    Cause.OUTAGE: "an outage of the live feed that is not healed yet: hist_merge heal fetches it",
    Cause.NO_TRADE: "nothing was traded: two sources agree, or so long a silence is usual here",
    Cause.NOT_LISTED: "before the listing, or after the expiry",
    Cause.OUTSIDE_SESSION: "the session of this day is shorter than usual",
    Cause.HOLIDAY: "the exchange was closed",
}
"""What each cause of a missing minute means, the worst first."""


Observed = Observation | ObservedBar
"""One source's observation of a bar; prices are times ``10**price_scale``."""


@dataclass(frozen=True)
class Judged:
    """The verdict on a bar and the two observations that it is about; ``tick`` 0: not known."""

    verdict: Verdict
    flags: Flag
    from_other: Field
    won: Observed
    other: Observed | None
    tick: Decimal


@dataclass(frozen=True)
class Difference:
    """How far apart two latest are in one field. ``ticks`` is None where the tick is not known, and
    for volume and open interest; ``is_beyond``: further than the rules allow."""

    field: str
    won: Decimal
    other: Decimal
    ticks: Decimal | None
    bps: Decimal
    is_beyond: bool

    def __str__(self) -> str:
        apart = f"{self.bps:.1f} bps"
        if self.ticks is not None:
            apart = f"{_ticks(self.ticks)}, {apart}"
        return f"{self.field} {self.won:f} against {self.other:f} ({apart})"


def _ticks(count: Decimal) -> str:
    whole = count == count.to_integral_value()
    return f"{count:.0f} tick{'' if count == 1 else 's'}" if whole else f"{count:.1f} ticks"


def differences(won: Observed, other: Observed, tick: Decimal, limits: Limits) -> list[Difference]:
    """The fields in which the two differ, with by how much; as the merge judges them."""
    found = []
    for name in _PRICES:
        ours = price(getattr(won, name), won.price_scale)
        theirs = price(getattr(other, name), other.price_scale)
        gap = abs(ours - theirs)
        if gap:
            bps = gap * _POINTS / max(abs(ours), price(1, won.price_scale))
            far = gap > limits.price_ticks * tick and bps > limits.price_bps
            ticks = gap / tick if tick else None
            found.append(Difference(name, ours, theirs, ticks, bps, far))
    for name in ("volume", "oi"):
        first, second = getattr(won, name), getattr(other, name)
        if first is None or second is None or first == second:
            continue
        apart = Decimal(abs(first - second))
        bps = apart * _POINTS / max(first, second, 1)
        far = apart > limits.volume_units and bps > limits.volume_bps
        found.append(Difference(name, Decimal(first), Decimal(second), None, bps, far))
    return found


def why(judged: Judged, rules: MergeRules, limits: Limits) -> list[str]:
    """The verdict in sentences: what differs by how much, which rule decided, what was mixed in."""
    won, other = judged.won, judged.other
    if other is None:
        return [_alone(judged)]
    apart = differences(won, other, judged.tick, limits)
    lines = [_together(judged, other, apart, rules, limits)]
    if judged.from_other:
        lines.append(_mixed(judged, other, rules))
    return lines


def flag_lines(flags: Flag) -> list[str]:
    """A sentence for each flag."""
    return [f"{flag.name}: {FLAGS[flag]}" for flag in Flag if flag & flags]


def _alone(judged: Judged) -> str:
    source = judged.won.source
    if judged.verdict is Verdict.AGREED_NO_TRADE:
        return (
            f"{source} pads it flat with no volume, and another source has bars before and after "
            "it but none here: nothing was traded"
        )
    if judged.verdict is Verdict.HEALED:
        return f"{source} was asked for it to close a gap of the feed; no other source has it"
    return f"only {source} has it, so nothing could be compared"


def _together(
    judged: Judged,
    other: Observed,
    apart: Sequence[Difference],
    rules: MergeRules,
    limits: Limits,
) -> str:
    won = judged.won
    if not apart:
        return f"{won.source} and {other.source} say the same"
    beyond = [each for each in apart if each.is_beyond]
    found = "; ".join(map(str, beyond or apart))
    allowed = ", ".join(_allowed(beyond or apart, limits))
    order = ", ".join(rules.sources)
    how, verb = ("more than", "won") if beyond else ("within", "counts")
    return (
        f"{won.source} differs from {other.source} in {found}, which is {how} {allowed}; "
        f"{won.source} {verb}, because precedence is {order}"
    )


def _allowed(apart: Sequence[Difference], limits: Limits) -> Iterator[str]:
    if any(each.field in _PRICES for each in apart):
        yield f"price_ticks = {limits.price_ticks} or price_bps = {limits.price_bps}"
    if any(each.field not in _PRICES for each in apart):
        yield f"volume_units = {limits.volume_units} or volume_bps = {limits.volume_bps}"


def _mixed(judged: Judged, other: Observed, rules: MergeRules) -> str:
    reasons = []
    for bit in Field:
        if not bit & judged.from_other:
            continue
        name = str(bit.name).lower()
        if bit is Field.VOLUME and judged.verdict is Verdict.VOLUME_REPLACED:
            reasons.append(
                f"volume (that of {judged.won.source} is the day's so far: with all before it, the "
                f"one of {other.source} makes it up, or its volumes never fall on that day)"
            )
        elif name in rules.fields:
            reasons.append(f"{name} ([field] {name} = {', '.join(rules.fields[name])})")
        else:
            reasons.append(f"{name} ({judged.won.source} has none)")
    return f"from {other.source}: {', '.join(reasons)}"


@dataclass(frozen=True)
class Asked:
    """What is asked about; ``as_of`` None: as it is now."""

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
    day: Sequence[SourceBars] = (),
) -> dict[str, Any]:
    """The document of `show`. ``around`` are rows of ``BarStore.read_bars`` on both sides of the
    bar and itself; ``absent`` is why no bar belongs here, or is empty where one does; ``day`` is
    what the sources have on its day.

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
        "why": list(_why(asked, said, golden, rules, absent, day)),
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
    day: Sequence[SourceBars],
) -> Iterator[str]:
    if golden is None:
        if said and absent:
            yield f"not golden: {absent}"
        elif said:
            yield "not golden: no observation of it counts, or the bar had not ended at that time"
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
    yield from _carried(asked, day, rules)
    replaced = [each for each in said if each.source == won.source and each.batch_id < won.batch_id]
    if replaced:
        yield f"{won.source} had other values before: of one source the last recorded one counts"


def _carried(asked: Asked, day: Sequence[SourceBars], rules: MergeRules) -> Iterator[str]:
    """Where the opens of sources differ: that one is its source's own previous close."""
    opens, opens_ns = CarriedOpens(), nanoseconds(asked.ts_open)
    opens.look(day)
    for each, carried in zip(day, carried_rows(day), strict=True):
        if (carried & (each.bars.ts_open_ns == opens_ns)).any():
            usual = opens.of(asked.symbol, each.source)
            field = field_open(each.source, rules.sources)
            yield (
                f"the open of {each.source} is its own previous close, as are {usual.carried:,} of "
                f"the {usual.differ:,} that differ on this day"
                + (f": {field} in merge.toml takes the other's" if usual.is_usual else "")
            )


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
    """What became of the observation."""
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
