"""The source ``kite``: minutes and days of Kite's history, as whole bars alone.

Kite gives the running bar, too, and goes on changing it for some seconds after its end. So a bar
counts from ``SETTLED_S`` after its end on. Open interest is asked for where there can be any: for
stocks and indices Kite tells 0, which is not the same as none.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

import numpy as np

from kite_bar_history.protocol import Reading, RefusedLine, Window
from kite_bar_history.refused import PLAIN_HEADER
from kite_bar_history.summary import NO_ANSWER, WRONG_INTERVAL
from kite_bar_history.timing import WidthCheck
from kite_bar_history.universe import Listed
from kite_bars_store.bars import BarColumns, SourceBars
from kite_bars_store.bars.columns import Int64s
from kite_bars_store.bars.quality import Bools
from kite_bars_store.bars.sql import nanoseconds
from kite_broker_zerodha.errors import InputRefused, KiteUnavailable, RateLimited
from kite_broker_zerodha.spans import spans
from kite_contracts.sessions import SessionCalendar
from kite_contracts.sessions.model import midnight_ns
from kite_runtime.clock import IST

if TYPE_CHECKING:
    from kite_broker_zerodha.rest import Candles, KiteRest

SOURCE: Final = "kite"
SETTLED_S: Final = 10
"""Source: Kite's staff, https://kite.trade/forum/discussion/6011."""
INTERVALS: Final = {"m1": "minute", "d1": "day"}
NO_TOKEN: Final = "NO_TOKEN"
REQUEST_REFUSED: Final = "REQUEST_REFUSED"
NOT_LISTED: Final = "NOT_LISTED"
TO_ASK_AGAIN: Final = frozenset({NO_ANSWER, WRONG_INTERVAL})
"""Reasons for which the same call may bring bars later."""
UNANSWERED: Final = TO_ASK_AGAIN | {REQUEST_REFUSED, NO_TOKEN, NOT_LISTED}
"""Reasons for which Kite gave no answer for an instrument: also those that only another token or
master changes."""

_WITHOUT_OI: Final = ("NSE", "BSE", "INDICES")
_COLUMNS: Final = ("ts_open_ns", "open", "high", "low", "close", "volume", "oi")
_MINUTE_NS: Final = 60_000_000_000
_AWAY: Final = 5
"""Instruments one after the other without an answer, after which Kite counts as away."""


class KiteHistory:
    """Kite's candles, one call for each instrument and ``rest.spans`` of its window.

    ``purpose`` goes with the bars: history or heal. ``calls`` counts the calls. `read` raises
    AuthRefused and KiteUnavailable; what Kite refuses of one instrument is a refused line. So is an
    instrument to which it gives no usable answer, time and again, while others have theirs: it is
    put aside for the rest of the run.
    """

    def __init__(
        self,
        kite: KiteRest,
        calendar: SessionCalendar,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        purpose: str = "history",
    ) -> None:
        self._kite = kite
        self._calendar = calendar
        self._now = now
        self._purpose = purpose
        self.calls = 0
        self._aside: dict[str, str] = {}
        """Instruments without an answer, and why."""
        self._failing = 0
        """How many of the last instruments that were asked for had none, one after the other."""
        self._good: Listed | None = None
        """The last one that had an answer."""

    @property
    def name(self) -> str:
        return SOURCE

    def read(self, window: Window) -> Reading:
        """The whole bars of the window; what is still to come is not asked for."""
        parts: list[Int64s] = []
        refused: list[RefusedLine] = []
        tokens: dict[str, int] = {}
        not_asked = 0
        found: list[Listed] = []
        until = min(window.until, self._now())
        if window.since < until:
            for each in window.listed:
                if each.token is None or each.problem:
                    refused.append(_not_to_be_asked(each))
                    continue
                tokens[each.instrument.name] = each.token
                answers = self._answers(each, each.token, window, until, refused)
                own = []
                for candles in answers:
                    asked = _within(candles, window)
                    not_asked += len(asked) - int(asked.sum())
                    own.append(self._whole(candles, each, window.interval, asked, len(found)))
                width = WidthCheck(window.interval)
                for part in own:
                    width.look(part[0], part[1])
                if width.width() > 1:
                    refused.append(_too_wide(each, window, width.width()))
                elif any(part.shape[1] for part in own):
                    parts += own
                    found.append(each)
        is_final = not any(line.reason in TO_ASK_AGAIN for line in refused)
        if not parts:
            return Reading((), refused, not_asked=not_asked, is_final=is_final)
        table = np.concatenate(parts, axis=1)
        bars = SourceBars(
            SOURCE,
            window.interval,
            [each.instrument for each in found],
            BarColumns(*(np.ascontiguousarray(column) for column in table)),
            self._purpose,
            rows_refused=len(refused),
            parameters={
                "from": _text(window.since),
                "to": _text(until),
                "tokens": tokens,
            },
        )
        return Reading((bars,), refused, not_asked=not_asked, is_final=is_final)

    def _answers(
        self,
        each: Listed,
        token: int,
        window: Window,
        until: datetime,
        refused: list[RefusedLine],
    ) -> Sequence[Candles]:
        """All candles of an instrument; none of one that is put aside. Raises KiteUnavailable where
        the ones before had no answer either: then Kite is away."""
        name = each.instrument.name
        if name not in self._aside:
            try:
                answers = list(self._candles(each, token, window, until, refused))
            except RateLimited:
                raise
            except KiteUnavailable as error:
                self._failing += 1
                if self._failing >= _AWAY and not self._answers_again(window, until):
                    raise
                self._aside[name] = str(error)
            else:
                self._failing, self._good = 0, each
                return answers
        message = f"{name} is put aside, others go on: {self._aside[name]}"
        refused.append(RefusedLine(SOURCE, 0, NO_ANSWER, message, name))
        return ()

    def _answers_again(self, window: Window, until: datetime) -> bool:
        """Whether Kite still answers for the instrument that had an answer last."""
        if self._good is None or self._good.token is None:
            return False
        try:
            list(self._candles(self._good, self._good.token, window, until, []))
        except KiteUnavailable:
            return False
        self._failing = 0
        return True

    def _candles(
        self,
        listed: Listed,
        token: int,
        window: Window,
        until: datetime,
        refused: list[RefusedLine],
    ) -> Iterable[Candles]:
        name, interval = listed.instrument.name, INTERVALS[window.interval]
        for since, end in spans(interval, window.since, until):
            place = f"kite {name} {interval} from {_text(since)} to {_text(end)}"
            self.calls += 1
            try:
                candles = self._kite.historical(
                    *(token, interval, since, end),
                    oi=listed.segment not in _WITHOUT_OI,
                    price_scale=listed.instrument.price_scale,
                )
            except InputRefused as error:
                message = f"{place}: {error}"
                refused.append(RefusedLine(SOURCE, 0, REQUEST_REFUSED, message, name))
                continue
            refused.extend(
                RefusedLine(
                    *(place, each.number, str(each.reason), each.message),
                    _plain(listed, each.raw),
                    PLAIN_HEADER,
                )
                for each in candles.refused
            )
            yield candles

    def _whole(
        self, candles: Candles, listed: Listed, interval: str, asked: Bools, number: int
    ) -> Int64s:
        """The bars asked for that have ended, as rows of BarColumns."""
        settled_ns = int((self._now() - timedelta(seconds=SETTLED_S)).timestamp() * 1e9)
        opens = candles.ts_open_ns
        if interval == "m1":
            keep = asked & (opens + _MINUTE_NS <= settled_ns)
        else:
            keep = asked & (opens < self._first_running_day_ns(listed, settled_ns))
        columns = [getattr(candles, name)[keep] for name in _COLUMNS]
        return np.stack([np.full(int(keep.sum()), number, np.int64), *columns])

    def _first_running_day_ns(self, listed: Listed, settled_ns: int) -> int:
        """The beginning of the first day whose bar may still change: today, until it closes."""
        today = datetime.fromtimestamp(settled_ns // 10**9, IST).date()
        phases = self._calendar.day(listed.segment, today).phases
        over = bool(phases) and phases[-1].closes_ns <= settled_ns
        return midnight_ns(today + timedelta(days=int(over)))


def _within(candles: Candles, window: Window) -> Bools:
    """Which candles are of the window: Kite has answered with other days than those asked for."""
    opens = candles.ts_open_ns
    inside: Bools = opens >= nanoseconds(window.since)
    inside &= opens < nanoseconds(window.until)
    return inside


def _too_wide(each: Listed, window: Window, width: int) -> RefusedLine:
    name, unit = each.instrument.name, INTERVALS[window.interval]
    return RefusedLine(
        *(SOURCE, 0, WRONG_INTERVAL),
        f"Kite was asked for {unit} bars of {name} from {_text(window.since)} and answered with "
        f"bars of {width} {unit}s, as their distances show: try again later",
        name,
    )


def _not_to_be_asked(each: Listed) -> RefusedLine:
    name = each.instrument.name
    if each.problem:
        message = f"Kite was not asked for {name}: it {each.problem}"
        return RefusedLine(SOURCE, 0, NOT_LISTED, message, name)
    message = f"Kite's token of {name} is not known: run `instruments sync`"
    return RefusedLine(SOURCE, 0, NO_TOKEN, message, name)


def _plain(listed: Listed, raw: str) -> str:
    """A refused candle as a line of the layout ``plain``, as far as it has the form of one."""
    try:
        candle = json.loads(raw)
    except ValueError:
        return raw
    if not isinstance(candle, list) or any(isinstance(each, list | dict) for each in candle):
        return raw
    values = ["" if each is None else str(each) for each in candle]
    return ",".join((listed.instrument.exchange, listed.instrument.tradingsymbol, *values))


def _text(time: datetime) -> str:
    return time.astimezone(IST).isoformat(timespec="seconds")
