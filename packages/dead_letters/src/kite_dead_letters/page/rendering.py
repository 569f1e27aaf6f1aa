"""Templates into pages. Everything that is put in is escaped."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib import resources
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.responses import HTMLResponse, Response

from kite_bars_store.failures import Group, Status
from kite_contracts.reasons import ReasonCode
from kite_dead_letters.page.filters import address
from kite_dead_letters.page.views import readable
from kite_runtime.clock import IST

PACKAGE: Final = "kite_dead_letters.page"
ASSETS: Final = {
    "page.css": "text/css; charset=utf-8",
    "page.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}
BAR_WIDTH: Final = 120
_UNITS: Final = ((86_400, "d"), (3_600, "h"), (60, "min"))


@dataclass(frozen=True, slots=True)
class Asset:
    """A file of the page; its address changes with its content, so that browsers may keep it."""

    content: bytes
    media_type: str
    address: str


@dataclass(frozen=True, slots=True)
class Share:
    """A piece of a group's bar: where it begins and how wide it is."""

    status: Status
    count: int
    x: float
    width: float


class Pages:
    """Renders the templates of this package."""

    def __init__(self) -> None:
        self.assets = _load_assets()
        self._templates = Environment(
            loader=PackageLoader(PACKAGE),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters.update(
            utc=utc, ist=ist, iso=iso, number=number, readable=readable, ago=ago
        )
        self._templates.globals.update(
            address=address,
            reason=reason_of,
            reasons=list(ReasonCode),
            shares=shares,
            statuses=list(Status),
            bar_width=BAR_WIDTH,
            assets={name: asset.address for name, asset in self.assets.items()},
        )

    def render(self, template: str, values: Mapping[str, Any], status: int = 200) -> Response:
        """A page of HTML."""
        return HTMLResponse(self._templates.get_template(template).render(values), status)


def utc(time: datetime) -> str:
    """To the second, with the zone."""
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def ist(time: datetime) -> str:
    """The same on the exchange's clock."""
    return f"{time.astimezone(IST):%Y-%m-%d %H:%M:%S} IST"


def iso(time: datetime) -> str:
    """For machines."""
    return time.astimezone(UTC).isoformat()


def ago(time: datetime, now: datetime) -> str:
    """How long ago, in the largest unit of which it is one or more."""
    seconds = max(now - time, timedelta()).total_seconds()
    for unit_s, name in _UNITS:
        if seconds >= unit_s:
            return f"{seconds // unit_s:.0f} {name} ago"
    return "just now"


def number(count: int) -> str:
    """With commas."""
    return f"{count:,}"


def reason_of(code: str) -> ReasonCode | None:
    """A code's meaning, owner and remedy; None for one that this version does not know."""
    return ReasonCode(code) if code in ReasonCode.__members__ else None


def shares(group: Group) -> list[Share]:
    """A group's counts as pieces of a bar; what is there is at least two wide."""
    counts = {status: int(getattr(group, status)) for status in Status}
    there = {status: count for status, count in counts.items() if count}
    room = BAR_WIDTH - 2 * len(there)
    found: list[Share] = []
    at = 0.0
    for status, count in there.items():
        width = 2 + room * count / group.total
        found.append(Share(status, count, round(at, 1), round(width, 1)))
        at += width
    return found


def _load_assets() -> dict[str, Asset]:
    found = {}
    for name, media_type in ASSETS.items():
        content = resources.files(PACKAGE).joinpath("assets", name).read_bytes()
        version = hashlib.sha256(content).hexdigest()[:16]
        found[name] = Asset(content, media_type, f"/assets/{name}?v={version}")
    return found
