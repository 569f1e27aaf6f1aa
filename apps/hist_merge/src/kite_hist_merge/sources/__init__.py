"""Where bars come from: each source answers for one window at a time."""

from kite_hist_merge.sources.protocol import BarSource, Reading, RefusedLine, Window

__all__ = ["BarSource", "Reading", "RefusedLine", "Window"]
