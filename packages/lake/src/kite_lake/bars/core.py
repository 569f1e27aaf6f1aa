"""The bars of one partition of ticks: what is open, what is final, what is revised (pure)."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from kite_contracts.tick_batch import TickBatch
from kite_lake.bars import loops
from kite_lake.bars.gaps import Gap
from kite_lake.bars.loops import (
    BASE_FIELDS,
    CLOCK_FIELDS,
    FLAWED,
    FREE,
    LATE,
    OPEN_NS,
    OUT_FIELDS,
    OUT_RING,
    OUT_ROW,
    OUT_SLOT,
    SHARD,
    SHARD_EVENT,
    SHARDS,
    SLOT_FIELDS,
    VERSION,
    WATERMARK,
)

Ints = npt.NDArray[np.int64]

FORMAT: Final = 1
_S: Final = 1_000_000_000
INTERVALS: Final = {
    "s1": _S, "s5": 5 * _S, "s10": 10 * _S, "s15": 15 * _S, "s30": 30 * _S,
    "m1": 60 * _S, "m3": 180 * _S, "m5": 300 * _S, "m15": 900 * _S,
}  # fmt: skip
"""Those whose bars begin, counted from 1970 in UTC, where Kite's do, counted from 09:15."""
_NONE: Final[Ints] = np.empty((0, OUT_FIELDS), np.int64)
_ROWS: Final = 256


@dataclass(frozen=True)
class BarRules:
    """``intervals`` by name in ns. A bar is final ``lateness_ns`` after its end, by the watermark;
    for ``revise_ns`` more a late tick makes a revision. A shard that has sent nothing for
    ``idle_ns``, by the receive times of the others, does not hold the watermark back."""

    intervals: Mapping[str, int]
    lateness_ns: int = 2 * _S
    revise_ns: int = 30 * _S
    idle_ns: int = 5 * _S


class PartitionBars:
    """Takes the ticks of one partition in their order, and gives out bars.

    What it gives are rows of ``OUT_FIELDS`` integers, see ``encoding``. Each ring has its own
    clock and volumes, which are the same in all of them: rings may come and go.
    """

    def __init__(self, rules: BarRules) -> None:
        self.rules = rules
        self.names = list(rules.intervals)
        self.late = 0
        """Ticks that came after the last moment for a revision, by interval and tick."""
        self._lengths = list(rules.intervals.values())
        window = rules.lateness_ns + rules.revise_ns
        self._sizes = [window // each + 3 for each in self._lengths]
        self.tokens: list[int] = []
        self._row_of: dict[int, int] = {}
        self._bases = [np.full((0, BASE_FIELDS), -1, np.int64) for _ in self._lengths]
        self._rings = [np.full((0, SLOT_FIELDS), FREE, np.int64) for _ in self._lengths]
        self._clocks = [np.zeros(CLOCK_FIELDS, np.int64) for _ in self._lengths]
        self._due_ns = [0] * len(self._lengths)

    @property
    def watermark_ns(self) -> int:
        """The event time up to which all is expected to be there; 0 before the first tick."""
        return int(self._clocks[0][WATERMARK])

    @property
    def latest_ns(self) -> int:
        """The highest event time."""
        return int(self._clocks[0][SHARD_EVENT : SHARD_EVENT + SHARDS].max())

    def add(self, batch: TickBatch, picked: Ints) -> Ints:
        """Take the rows ``picked`` of a batch, in order; the bars that are final or revised."""
        rows = self._rows(batch.values[picked, 0])
        found = []
        rules = self.rules
        for number, interval_ns in enumerate(self._lengths):
            out = np.empty((3 * picked.size, OUT_FIELDS), np.int64)
            count = loops.fold(
                batch.values, batch.groups, picked, rows, self._bases[number],
                self._clocks[number], self._rings[number], self._sizes[number], number,
                interval_ns, rules.lateness_ns, rules.revise_ns, rules.idle_ns, out,
            )  # fmt: skip
            if count:
                found.append(out[:count])
        self.late += sum(int(clock[LATE]) for clock in self._clocks)
        for clock in self._clocks:
            clock[LATE] = 0
        found += self._closed()
        return np.concatenate(found) if found else _NONE

    def advance(self, to_ns: int) -> None:
        """Move the watermark on although no tick came; ``close`` gives out what is final then."""
        for clock in self._clocks:
            clock[WATERMARK] = max(int(clock[WATERMARK]), to_ns)

    def closes_by(self, to_ns: int) -> bool:
        """Whether a bar would be final if the watermark were there."""
        for ring, length in zip(self._rings, self._lengths, strict=True):
            until = to_ns - self.rules.lateness_ns - length
            opens = ring[:, OPEN_NS]
            if bool(((opens >= 0) & (opens <= until) & (ring[:, VERSION] == 0)).any()):
                return True
        return False

    def close(self) -> Ints:
        """The bars that the watermark has made final and that were not given out."""
        self._due_ns = [0] * len(self._lengths)
        found = self._closed()
        return np.concatenate(found) if found else _NONE

    def end_ns(self) -> int:
        """A watermark that makes every bar final."""
        return self.latest_ns + max(self._lengths) + self.rules.lateness_ns

    def _closed(self) -> list[Ints]:
        found = []
        for number, length in enumerate(self._lengths):
            mark = int(self._clocks[number][WATERMARK])
            if mark < self._due_ns[number] or not mark:
                continue
            # Bars open at multiples of their length, so nothing changes before the next one ends.
            until = mark - self.rules.lateness_ns - length + 1
            out = np.empty((256, OUT_FIELDS), np.int64)
            size = self._sizes[number]
            count = loops.due(self._rings[number], until, out, number, size)
            if count > len(out):
                out = np.empty((count, OUT_FIELDS), np.int64)
                loops.due(self._rings[number], until, out, number, size)
            if count:
                found.append(out[:count])
            passed = (mark - self.rules.lateness_ns) // length
            self._due_ns[number] = (passed + 1) * length + self.rules.lateness_ns
        return found

    def _rows(self, tokens: Ints) -> Ints:
        different, inverse = np.unique(tokens, return_inverse=True)
        known = self._row_of
        rows = np.empty(len(different), np.int64)
        for at, token in enumerate(different.tolist()):
            row = known.get(token)
            if row is None:
                row = known[token] = len(self.tokens)
                self.tokens.append(token)
            rows[at] = row
        if len(self.tokens) > len(self._bases[0]):
            self._grow()
        return rows[inverse.reshape(-1)]

    def _grow(self) -> None:
        have, want = len(self._bases[0]), max(_ROWS, 2 * len(self.tokens))
        for number, size in enumerate(self._sizes):
            base = np.full((want - have, BASE_FIELDS), -1, np.int64)
            self._bases[number] = np.concatenate((self._bases[number], base))
            free = np.full(((want - have) * size, SLOT_FIELDS), FREE, np.int64)
            self._rings[number] = np.concatenate((self._rings[number], free))

    # Gaps

    def mark(self, bars: Ints, gaps: Iterable[Gap]) -> None:
        """Note in bars that are given out, and for their revisions, that they lie in a gap."""
        for gap in gaps:
            hit = self._within(bars[:, OUT_RING], bars[:, OUT_ROW], bars[:, OUT_SLOT:], gap)
            bars[hit, OUT_SLOT + FLAWED] = 1
        for bar in bars[bars[:, OUT_SLOT + FLAWED] == 1]:
            number = int(bar[OUT_RING])
            at = int(bar[OUT_SLOT + OPEN_NS]) // self._lengths[number] % self._sizes[number]
            slot = self._rings[number][int(bar[OUT_ROW]) * self._sizes[number] + at]
            if slot[OPEN_NS] == bar[OUT_SLOT + OPEN_NS]:
                slot[FLAWED] = 1

    def revise(self, gap: Gap) -> Ints:
        """Revisions of the final bars that lie in a gap which was not known when they became so."""
        found = []
        for number, (ring, size) in enumerate(zip(self._rings, self._sizes, strict=True)):
            rows = np.arange(len(ring)) // size
            hit = self._within(np.full(len(ring), number), rows, ring, gap)
            chosen = np.flatnonzero(hit & (ring[:, VERSION] > 0) & (ring[:, FLAWED] == 0))
            ring[chosen, VERSION] += 1
            ring[chosen, FLAWED] = 1
            out = np.empty((len(chosen), OUT_FIELDS), np.int64)
            out[:, OUT_RING], out[:, OUT_ROW] = number, rows[chosen]
            out[:, OUT_SLOT:] = ring[chosen]
            found.append(out)
        return np.concatenate(found)

    def _within(self, numbers: Ints, rows: Ints, slots: Ints, gap: Gap) -> npt.NDArray[np.bool_]:
        lengths = np.array(self._lengths, np.int64)[numbers]
        opens = slots[:, OPEN_NS]
        hit = (opens >= 0) & (opens <= gap.to_ns) & (opens + lengths > gap.from_ns)
        if gap.tokens:
            of = [row for token in gap.tokens if (row := self._row_of.get(token)) is not None]
            return np.asarray(hit & np.isin(rows, of))
        return np.asarray(hit & ((slots[:, SHARD] == gap.shard) | (gap.shard < 0)))

    # At rest

    def dump(self, known: Mapping[str, Any]) -> bytes:
        """All of it as bytes, with what else the caller wants back (JSON)."""
        header = {"format": FORMAT, "known": known, "rules": asdict(self.rules)}
        count = len(self.tokens)
        arrays: dict[str, Any] = {"tokens": np.array(self.tokens, np.int64)}
        for name, ring, base, clock, size in zip(
            self.names, self._rings, self._bases, self._clocks, self._sizes, strict=True
        ):
            used = np.flatnonzero(ring[:, OPEN_NS] != FREE)
            arrays[f"{name}.row"] = used // size
            arrays[f"{name}.bar"] = ring[used]
            arrays[f"{name}.base"] = base[:count]
            arrays[f"{name}.clock"] = clock
        arrays["header"] = np.frombuffer(json.dumps(header).encode(), np.uint8)
        out = io.BytesIO()
        np.savez_compressed(out, **arrays)
        return out.getvalue()


def load(value: bytes, rules: BarRules) -> tuple[PartitionBars, dict[str, Any]]:
    """What ``dump`` wrote, under these rules. An interval that is new there begins with the volumes
    and the clock of another. Raises ValueError for bytes of another format."""
    with np.load(io.BytesIO(value), allow_pickle=False) as arrays:
        header = json.loads(arrays["header"].tobytes())
        if header["format"] != FORMAT:
            raise ValueError(f"format {header['format']}, this program knows {FORMAT}")
        found = PartitionBars(rules)
        found.tokens = arrays["tokens"].tolist()
        found._row_of = {token: row for row, token in enumerate(found.tokens)}
        found._grow()
        had: Sequence[str] = list(header["rules"]["intervals"])
        for number, name in enumerate(found.names):
            source = name if name in had else had[0]
            found._bases[number][: len(found.tokens)] = arrays[f"{source}.base"]
            found._clocks[number][:] = arrays[f"{source}.clock"]
            if name not in had:
                continue
            length, size = found._lengths[number], found._sizes[number]
            bars, rows = arrays[f"{name}.bar"], arrays[f"{name}.row"]
            order = np.argsort(bars[:, OPEN_NS], kind="stable")  # the latest one has the slot
            for row, bar in zip(rows[order].tolist(), bars[order], strict=True):
                found._rings[number][row * size + int(bar[OPEN_NS]) // length % size] = bar
    return found, header["known"]
