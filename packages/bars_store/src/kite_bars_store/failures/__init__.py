"""Dead letters as data: each failure once, what was decided about it, what was sent back."""

from typing import TYPE_CHECKING

from kite_runtime.lazy import lazy

if TYPE_CHECKING:
    from kite_bars_store.failures.ledger import Entry as Entry
    from kite_bars_store.failures.ledger import LedgerLine as LedgerLine
    from kite_bars_store.failures.ledger import Outcome as Outcome
    from kite_bars_store.failures.ledger import RedriveLedger as RedriveLedger
    from kite_bars_store.failures.ledger import Run as Run
    from kite_bars_store.failures.records import NO_TOPIC_ID as NO_TOPIC_ID
    from kite_bars_store.failures.records import Decided as Decided
    from kite_bars_store.failures.records import Decision as Decision
    from kite_bars_store.failures.records import Event as Event
    from kite_bars_store.failures.records import Failure as Failure
    from kite_bars_store.failures.records import FailureRecord as FailureRecord
    from kite_bars_store.failures.records import Group as Group
    from kite_bars_store.failures.records import GroupFilter as GroupFilter
    from kite_bars_store.failures.records import GroupPlace as GroupPlace
    from kite_bars_store.failures.records import Headers as Headers
    from kite_bars_store.failures.records import Overview as Overview
    from kite_bars_store.failures.records import Selection as Selection
    from kite_bars_store.failures.records import Status as Status
    from kite_bars_store.failures.records import Stored as Stored
    from kite_bars_store.failures.records import Summary as Summary
    from kite_bars_store.failures.store import REVISION as REVISION
    from kite_bars_store.failures.store import FailureStore as FailureStore

__getattr__, __dir__, __all__ = lazy(
    __name__,
    {
        "ledger": "Entry LedgerLine Outcome RedriveLedger Run",
        "records": (
            "NO_TOPIC_ID Decided Decision Event Failure FailureRecord Group GroupFilter "
            "GroupPlace Headers Overview Selection Status Stored Summary"
        ),
        "store": "REVISION FailureStore",
    },
)
