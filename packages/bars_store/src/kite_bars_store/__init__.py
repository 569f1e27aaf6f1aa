"""What this project keeps in Postgres: bars, instrument history, stored dead letters."""

from typing import TYPE_CHECKING

from kite_runtime.lazy import lazy

if TYPE_CHECKING:
    from kite_bars_store.bars import BarStore as BarStore  # pants: no-infer-dep
    from kite_bars_store.bars import MergeRules as MergeRules  # pants: no-infer-dep
    from kite_bars_store.bars import load_rules as load_rules  # pants: no-infer-dep
    from kite_bars_store.database import Connection as Connection  # pants: no-infer-dep
    from kite_bars_store.database import connect as connect  # pants: no-infer-dep
    from kite_bars_store.errors import NotConfigured as NotConfigured  # pants: no-infer-dep
    from kite_bars_store.errors import StoreError as StoreError  # pants: no-infer-dep
    from kite_bars_store.errors import TryAgain as TryAgain  # pants: no-infer-dep
    from kite_bars_store.failures import FailureStore as FailureStore  # pants: no-infer-dep
    from kite_bars_store.instruments import (
        InstrumentStore as InstrumentStore,  # pants: no-infer-dep
    )

__getattr__, __dir__, __all__ = lazy(
    __name__,
    {
        "bars": "BarStore MergeRules load_rules",
        "database": "Connection connect",
        "errors": "NotConfigured StoreError TryAgain",
        "failures": "FailureStore",
        "instruments": "InstrumentStore",
    },
)
