"""The names of feeds: one of a simulated market carries a mark, which is on each of its events."""

from __future__ import annotations

from typing import Final

_MARK: Final = "simulated."


def simulated(name: str) -> str:
    """The name under which a simulated market goes into ``feed.events``."""
    return name if is_simulated(name) else f"{_MARK}{name}"


def is_simulated(feed: str) -> bool:
    """Whether the events of this feed are of a simulated market."""
    return feed.startswith(_MARK)
