"""Session events as records of the ``FeedEvent`` contract (pure)."""

from __future__ import annotations

from typing import Any


def feed_event(
    feed: str,
    kind: str,
    ts_ns: int,
    shard: int,
    *,
    feed_session: int | None = None,
    tokens: tuple[int, ...] = (),
    from_ns: int | None = None,
    to_ns: int | None = None,
    cause: str | None = None,
    detail: str | None = None,
    count: int | None = None,
) -> dict[str, Any]:
    """One record of ``feed.events``. ``gap_id`` joins a gap's opening, closing and healing."""
    in_gap = kind in ("GAP_OPENED", "GAP_CLOSED") and from_ns is not None
    return {
        "feed": feed,
        "type": kind,
        "ts_ns": ts_ns,
        "shard": shard,
        "feed_session": feed_session,
        "tokens": list(tokens),
        "from_ns": from_ns,
        "to_ns": to_ns,
        "cause": cause,
        "detail": detail,
        "count": count,
        "gap_id": f"{feed}-{shard}-{from_ns}" if in_gap else None,
    }
