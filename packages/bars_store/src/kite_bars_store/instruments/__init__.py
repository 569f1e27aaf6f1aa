"""The instrument master as history: what a symbol, or a token, was on a day."""

from kite_bars_store.instruments.changes import Changes, diff
from kite_bars_store.instruments.records import (
    KITE,
    SCHEMA,
    Batch,
    Pending,
    Snapshot,
    SyncResult,
    Validity,
    price,
)
from kite_bars_store.instruments.store import REVISION, InstrumentStore

__all__ = [
    "KITE",
    "REVISION",
    "SCHEMA",
    "Batch",
    "Changes",
    "InstrumentStore",
    "Pending",
    "Snapshot",
    "SyncResult",
    "Validity",
    "diff",
    "price",
]
