"""The engine of historical bars: sources, vendor files, merge runs, healing, backfill."""

from typing import TYPE_CHECKING

from kite_runtime.lazy import lazy

if TYPE_CHECKING:
    from kite_bar_history.kite_history import KiteHistory as KiteHistory  # pants: no-infer-dep
    from kite_bar_history.live_bars import LiveBars as LiveBars  # pants: no-infer-dep
    from kite_bar_history.protocol import BarSource as BarSource  # pants: no-infer-dep
    from kite_bar_history.protocol import RefusedLine as RefusedLine  # pants: no-infer-dep
    from kite_bar_history.protocol import Window as Window  # pants: no-infer-dep
    from kite_bar_history.protocol import windows_of as windows_of  # pants: no-infer-dep
    from kite_bar_history.run import DryRun as DryRun  # pants: no-infer-dep
    from kite_bar_history.run import merge_windows as merge_windows  # pants: no-infer-dep
    from kite_bar_history.summary import RunSummary as RunSummary  # pants: no-infer-dep

__getattr__, __dir__, __all__ = lazy(
    __name__,
    {
        "kite_history": "KiteHistory",
        "live_bars": "LiveBars",
        "protocol": "BarSource RefusedLine Window windows_of",
        "run": "DryRun merge_windows",
        "summary": "RunSummary",
    },
)
