"""Dead letters as data: each failure once, what was decided about it, what was sent back."""

from kite_bars_store.failures.ledger import Entry, LedgerLine, Outcome, RedriveLedger, Run
from kite_bars_store.failures.records import (
    NO_TOPIC_ID,
    Decided,
    Decision,
    Event,
    Failure,
    FailureRecord,
    Group,
    GroupFilter,
    GroupPlace,
    Headers,
    Overview,
    Selection,
    Status,
    Stored,
    Summary,
)
from kite_bars_store.failures.store import REVISION, FailureStore

__all__ = [
    "NO_TOPIC_ID",
    "REVISION",
    "Decided",
    "Decision",
    "Entry",
    "Event",
    "Failure",
    "FailureRecord",
    "FailureStore",
    "Group",
    "GroupFilter",
    "GroupPlace",
    "Headers",
    "LedgerLine",
    "Outcome",
    "Overview",
    "RedriveLedger",
    "Run",
    "Selection",
    "Status",
    "Stored",
    "Summary",
]
