"""Where bars come from: each source answers for one window at a time."""

from kite_bar_history.protocol import BarSource, Reading, RefusedLine, Window

__all__ = ["BarSource", "Reading", "RefusedLine", "Window"]
