"""The contracts of the market-data topics: schemas, topics, reasons and the tick batch.

The compiled bounds, the sessions and the migrations are imported from their modules: they need
numba, numpy and alembic.
"""

from typing import TYPE_CHECKING

from kite_runtime.lazy import lazy

if TYPE_CHECKING:
    from kite_contracts.errors import ContractError as ContractError  # pants: no-infer-dep
    from kite_contracts.errors import RecordError as RecordError  # pants: no-infer-dep
    from kite_contracts.errors import SchemaError as SchemaError  # pants: no-infer-dep
    from kite_contracts.errors import (
        UnknownContractError as UnknownContractError,  # pants: no-infer-dep
    )
    from kite_contracts.reasons import ReasonCode as ReasonCode  # pants: no-infer-dep
    from kite_contracts.store import Contract as Contract  # pants: no-infer-dep
    from kite_contracts.store import SchemaStore as SchemaStore  # pants: no-infer-dep
    from kite_contracts.tick_batch import ABSENT as ABSENT  # pants: no-infer-dep
    from kite_contracts.tick_batch import Group as Group  # pants: no-infer-dep
    from kite_contracts.tick_batch import TickBatch as TickBatch  # pants: no-infer-dep
    from kite_contracts.tick_batch import TickMode as TickMode  # pants: no-infer-dep
    from kite_contracts.tick_batch import Verdict as Verdict  # pants: no-infer-dep
    from kite_contracts.topics import TopicSpec as TopicSpec  # pants: no-infer-dep
    from kite_contracts.topics import load_topics as load_topics  # pants: no-infer-dep
    from kite_contracts.validate import Violation as Violation  # pants: no-infer-dep
    from kite_contracts.validate import explain as explain  # pants: no-infer-dep

__getattr__, __dir__, __all__ = lazy(
    __name__,
    {
        "errors": "ContractError RecordError SchemaError UnknownContractError",
        "reasons": "ReasonCode",
        "store": "Contract SchemaStore",
        "tick_batch": "ABSENT Group TickBatch TickMode Verdict",
        "topics": "TopicSpec load_topics",
        "validate": "Violation explain",
    },
)
