"""What stands in an address or a form, as filters and places in a list (pure)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlencode

from starlette.exceptions import HTTPException

from kite_bars_store.failures import GroupFilter, GroupPlace, Selection, Status

TEXT_CHARS_MAX: Final = 200
_FIELDS: Final = ("reason", "topic", "status", "text", "since", "until")
_ID_MAX: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Filter:
    """The fields of the filter form, as they were typed; '' is any."""

    reason: str = ""
    topic: str = ""
    status: str = ""
    text: str = ""
    since: str = ""
    until: str = ""

    @property
    def given(self) -> dict[str, str]:
        """The fields that hold something."""
        values = {name: str(getattr(self, name)) for name in _FIELDS}
        return {name: value for name, value in values.items() if value}

    def groups(self) -> GroupFilter:
        """The groups that it means. Raises HTTPException."""
        return GroupFilter(**self._common(), reason=self.reason or None, text=self.text or None)

    def failures(self) -> Selection:
        """The failures that it means; the text is not asked for. Raises HTTPException."""
        return Selection(**self._common(), reasons=(self.reason,) if self.reason else None)

    def _common(self) -> dict[str, Any]:
        return {
            "topic": self.topic or None,
            "status": status_of(self.status),
            "since": time_of(self.since),
            "until": time_of(self.until),
        }


def filter_of(query: Mapping[str, str]) -> Filter:
    """The filter of an address. Raises HTTPException."""
    values = {name: query.get(name, "").strip() for name in _FIELDS}
    for name, value in values.items():
        if len(value) > TEXT_CHARS_MAX or "\0" in value:
            raise HTTPException(400, f"{name} is no text of up to {TEXT_CHARS_MAX} characters")
    return Filter(**values)


def status_of(text: str) -> Status | None:
    """A status; None for ''. Raises HTTPException."""
    try:
        return Status(text) if text else None
    except ValueError:
        known = ", ".join(Status)
        raise HTTPException(
            400, f"there is no status {text[:40]!r}; it is one of {known}"
        ) from None


def time_of(text: str) -> datetime | None:
    """A time in ISO form, in UTC where it names no zone; None for ''. Raises HTTPException."""
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text)
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        raise HTTPException(
            400, f"{text[:40]!r} is no time such as 2026-01-31T09:15 (UTC)"
        ) from None


def id_of(text: str | None) -> int | None:
    """The id of a failure; None for none. Raises HTTPException."""
    if not text:
        return None
    if not (text.isascii() and text.isdigit()) or len(text) > 19 or int(text) > _ID_MAX:
        raise HTTPException(400, f"{text[:40]!r} is no number of a failure")
    return int(text)


def place_text(place: GroupPlace) -> str:
    """A place in the list of groups, for an address."""
    return f"{place.open}~{place.last_seen.isoformat()}~{place.fingerprint}"


def place_of(text: str | None) -> GroupPlace | None:
    """The place again; None for none. Raises HTTPException."""
    if not text:
        return None
    count, _, rest = text.partition("~")
    seen, _, fingerprint = rest.partition("~")
    at = time_of(seen)
    found = id_of(count)
    if at is None or found is None or not is_fingerprint(fingerprint):
        raise HTTPException(400, "the address names no place in the list; begin at its first page")
    return GroupPlace(found, at, fingerprint)


def is_fingerprint(text: str) -> bool:
    """Whether it can be one: short, and letters and digits alone."""
    return 0 < len(text) <= 64 and text.isascii() and text.isalnum()


def address(path: str, **query: str | int | None) -> str:
    """A path with those parts of a query that hold something."""
    given = {name: value for name, value in query.items() if value not in (None, "")}
    return f"{path}?{urlencode(given)}" if given else path
