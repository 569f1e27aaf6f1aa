"""What Kite did not answer is not ticked off: the same call asks for it, and for that alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from kite_bar_history.backfill import Plan, Work, carry_out, plan_of
from kite_bar_history.kite_history import KiteHistory
from kite_bar_history.protocol import Window
from kite_bar_history.run import Resources, Unfinished, merge_windows
from kite_bar_history.summary import RunSummary
from kite_bar_history.universe import Listed
from kite_bars_store.bars import (
    NO_OI,
    BarInstrument,
    GoldenCount,
    MergeResult,
    SourceBars,
    load_rules,
)
from kite_bars_store.bars.out_of_session import SessionJudge
from kite_bars_store.bars.sql import nanoseconds
from kite_broker_zerodha.errors import InputRefused, KiteUnavailable
from kite_broker_zerodha.rest import Candles
from kite_contracts.sessions import SessionCalendar
from kite_runtime.checkpoint import Checkpoint
from kite_runtime.clock import IST

MIDNIGHT = datetime(2026, 1, 5, tzinfo=IST)
NOW = MIDNIGHT + timedelta(hours=20)
SBIN = Listed(BarInstrument("NSE", "SBIN", 2, 5), "NSE", 1)
INFY = Listed(BarInstrument("NSE", "INFY", 2, 5), "NSE", 2)
UNKNOWN = Listed(BarInstrument("NSE", "NEW", 2, 5), "NSE", None)
DAY = timedelta(1)


class Kite:
    """Answers with the minutes of the day asked for; ``trouble`` is what is wrong, by token."""

    def __init__(self, trouble: dict[int, object]) -> None:
        self.trouble = trouble
        self.asked: list[int] = []

    def historical(self, token: int, _: str, since: datetime, *__: Any, **___: Any) -> Candles:
        self.asked.append(token)
        wrong = self.trouble.get(token)
        if isinstance(wrong, Exception):
            raise wrong
        step = wrong if isinstance(wrong, int) else 1
        opens = since.astimezone(IST).replace(hour=9, minute=15)
        times = [nanoseconds(opens + timedelta(minutes=at)) for at in range(0, 375, step)]
        hundred, oi = np.full(len(times), 100, np.int64), np.full(len(times), NO_OI, np.int64)
        place = np.arange(1, len(times) + 1)
        opened = np.array(times, np.int64)
        return Candles(opened, hundred, hundred, hundred, hundred, hundred, oi, place, 2)


class Taken:
    """A store that has what it was given, by name."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def merge(self, sources: Sequence[SourceBars]) -> MergeResult:
        self.names += [one.tradingsymbol for each in sources for one in each.instruments]
        return MergeResult((), GoldenCount(), (), 0)


TROUBLE: list[tuple[object, str, bool]] = [
    (None, "", False),
    (5, "WRONG_INTERVAL", True),
    (15, "WRONG_INTERVAL", True),
    (KiteUnavailable("Kite answers with HTTP 502"), "NO_ANSWER", True),
    (KiteUnavailable("Kite's answer has no candles: data is null"), "NO_ANSWER", True),
    (InputRefused("Kite refuses the token"), "REQUEST_REFUSED", False),  # as it will tomorrow
]


def resources(kite: Kite, calendar: SessionCalendar, folder: Path, store: Taken) -> Resources:
    stores = SimpleNamespace(bars=store, calendar=calendar, rules=load_rules())
    nothing = folder / "none"
    log_in: Callable[..., Any] = lambda *_: nullcontext(kite)  # noqa: E731
    found = Resources(cast(Any, stores), nothing, None, folder, log_in, None, "", "")
    return replace(found, now=lambda: NOW)


@pytest.mark.parametrize(("trouble", "reason", "again"), TROUBLE)
def test_a_backfill_asks_again_for_what_was_not_answered(
    calendar: SessionCalendar, tmp_path: Path, trouble: object, reason: str, again: bool
) -> None:
    kite, store = Kite({1: trouble}), Taken()
    work = Work("m1", MIDNIGHT, MIDNIGHT + DAY, ("NSE:INFY", "NSE:NEW", "NSE:SBIN"), NOW)

    def run(checkpoint: Checkpoint) -> tuple[Plan, RunSummary]:
        plan = plan_of(work, [INFY, UNKNOWN, SBIN], checkpoint.done, calendar, NOW)
        summary = RunSummary()
        carry_out(resources(kite, calendar, tmp_path, store), plan, checkpoint, summary)
        return plan, summary

    path = tmp_path / "unfinished.jsonl"
    with Checkpoint(path) as checkpoint:
        checkpoint.begin(work.as_json())
        _, first = run(checkpoint)
    assert first.refused == ({reason: 1} if reason else {}) | {"NO_TOKEN": 1}
    assert path.exists() is again
    if not again:
        return
    kite.asked.clear()
    kite.trouble.clear()
    with Checkpoint(path) as checkpoint:
        assert checkpoint.work == work.as_json()
        plan, second = run(checkpoint)
    assert (kite.asked, second.refused, plan.done) == ([1], {"NO_TOKEN": 1}, 1)
    assert store.names == ["INFY", "SBIN"]
    assert not path.exists()


@pytest.mark.parametrize(("trouble", "reason", "again"), TROUBLE)
def test_daily_asks_again_for_the_windows_that_were_not_answered(
    calendar: SessionCalendar, tmp_path: Path, trouble: object, reason: str, again: bool
) -> None:
    kite, store = Kite({1: trouble}), Taken()
    windows = [Window([each], "m1", MIDNIGHT, MIDNIGHT + DAY) for each in (INFY, SBIN)]
    path, later = tmp_path / "unfinished.jsonl", MIDNIGHT + 2 * DAY

    def run(now: datetime) -> int:
        source = KiteHistory(cast(Any, kite), calendar, now=lambda: now)
        judge = SessionJudge(calendar, load_rules().phases)
        with Checkpoint(path) as checkpoint:
            unfinished = Unfinished(checkpoint, now)
            left = unfinished.left(windows)
            merge_windows(
                *(store, [source], left, RunSummary(), judge), keep=None, done=unfinished.note
            )
            return unfinished.finish()

    assert run(later) == int(again)
    assert path.exists() is again
    kite.asked.clear()
    kite.trouble.clear()
    assert run(later) == 0
    assert kite.asked == ([1] if again else [2, 1])
    assert not path.exists()


def test_a_day_that_goes_on_is_asked_for_again_as_a_whole(
    calendar: SessionCalendar, tmp_path: Path
) -> None:
    """Merged at ten, a window of today has not the bars of the afternoon."""
    window = Window([SBIN], "m1", MIDNIGHT, MIDNIGHT + DAY)
    for now, left in ((MIDNIGHT + timedelta(hours=10), 1), (MIDNIGHT + DAY, 0)):
        with Checkpoint(tmp_path / f"{now:%H}.jsonl") as checkpoint:
            interrupted = Unfinished(checkpoint, now)
            interrupted.left([window])
            interrupted.note(window)
        with Checkpoint(tmp_path / f"{now:%H}.jsonl") as checkpoint:
            assert len(Unfinished(checkpoint, now).left([window])) == left
