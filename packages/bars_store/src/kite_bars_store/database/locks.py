"""One writer at a time, without blocking readers."""

from __future__ import annotations

import hashlib
from typing import Final

from kite_bars_store.database.connection import Cursor

LOCK_TIMEOUT_S: Final = 120


def lock(cursor: Cursor, name: str, *, timeout_s: int = LOCK_TIMEOUT_S) -> None:
    """Wait until no other transaction holds the lock ``name``; it ends with this transaction.

    Whoever writes a projection takes it first, before any read whose answer decides what is
    written. After ``timeout_s`` `transaction` raises DatabaseBusy.
    """
    cursor.execute("SELECT set_config('lock_timeout', %s, true)", [f"{timeout_s}s"])
    cursor.execute("SELECT pg_advisory_xact_lock(%s)", [lock_key(name)])


def lock_key(name: str) -> int:
    """Postgres's 64-bit number for ``name``. Pure."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big", signed=True)
