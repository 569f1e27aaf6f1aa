"""When each segment trades, for the watchdogs: silence outside these hours is no fault.

The hours are data, ``configs/sessions.toml``: for each segment, from which date on, open and close
in India's time. Where it is not sure that a segment trades, the file says closed, because a false
alarm costs more than a silence that the next tick ends anyway. Holidays come from
``exchange_calendars`` (XBOM); days beyond what it knows count as trading days.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta, timezone
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, NamedTuple

from broker_zerodha.packets import Segment, segment_of
from broker_zerodha.session.liveness import IsOpen
from ws_bridge.errors import ConfigurationError

IST: Final = timezone(timedelta(hours=5, minutes=30), "IST")
NS: Final = 1_000_000_000
MINUTE_NS: Final = 60 * NS
SATURDAY: Final = 5

IsHoliday = Callable[[date], bool]


class Hours(NamedTuple):
    """One rule: from this date on the segment trades between these times, India's time."""

    since: date
    opens: time
    closes: time


def load_hours(path: Path) -> dict[int, list[Hours]]:
    """Segment number → rules, oldest first. Raises ConfigurationError, one sentence."""
    try:
        rules = tomllib.loads(path.read_text("utf-8"))["session"]
        hours: dict[int, list[Hours]] = {}
        for rule in rules:
            for name in rule["segments"]:
                hours.setdefault(int(Segment[name]), []).append(_rule(rule))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigurationError(
            f"{path}: {error!s}; each [[session]] needs segments, since, opens and closes"
        ) from error
    return {segment: sorted(found) for segment, found in hours.items()}


def make_is_open(hours: dict[int, list[Hours]], is_holiday: IsHoliday) -> IsOpen:
    """The function that the session's watchdogs ask; answers are kept for each minute."""

    @lru_cache(maxsize=64)
    def open_in(segment: int, minute: int) -> bool:
        now = datetime.fromtimestamp(minute * 60, UTC).astimezone(IST)
        if now.weekday() >= SATURDAY or is_holiday(now.date()):
            return False
        rules = [each for each in hours.get(segment, []) if each.since <= now.date()]
        return bool(rules) and rules[-1].opens <= now.time() < rules[-1].closes

    return lambda token, now_ns: open_in(segment_of(token), now_ns // MINUTE_NS)


def load_holidays() -> None:
    """Load the exchange's calendar: seconds, which the event loop must not lose later."""
    _calendar()


def exchange_holiday(day: date) -> bool:
    """Whether the exchange is closed on this weekday, as far as XBOM's calendar goes."""
    calendar = _calendar()
    first, last = calendar.first_session.date(), calendar.last_session.date()
    return first <= day <= last and not calendar.is_session(day.isoformat())


@lru_cache(maxsize=1)
def _calendar() -> Any:
    import exchange_calendars  # takes seconds, and only the live bridge needs it

    return exchange_calendars.get_calendar("XBOM")


def _rule(rule: dict[str, Any]) -> Hours:
    since = rule["since"]
    if not isinstance(since, date):
        raise ValueError(f"since = {since!r} is no date such as 2026-08-03")
    return Hours(since, time.fromisoformat(rule["opens"]), time.fromisoformat(rule["closes"]))
