"""What an interrupted run has merged, so that no window is fetched twice."""

from __future__ import annotations

from collections.abc import Sequence

from kite_bar_history.protocol import Window
from kite_runtime.checkpoint import Checkpoint
from kite_runtime.console import say


class Unfinished:
    """Windows that an interrupted run has merged; without a checkpoint there are none."""

    def __init__(self, checkpoint: Checkpoint | None) -> None:
        self._checkpoint = checkpoint

    def left(self, windows: Sequence[Window]) -> list[Window]:
        """Those that are still to do."""
        if self._checkpoint is None:
            return list(windows)
        if self._checkpoint.work is None:
            self._checkpoint.begin({})
            return list(windows)
        left = [each for each in windows if _key(each) not in self._checkpoint.done]
        say(f"going on: {len(windows) - len(left)} of {len(windows)} windows are merged already")
        return left

    def note(self, window: Window) -> None:
        if self._checkpoint is not None:
            self._checkpoint.note(_key(window))

    def finish(self) -> None:
        if self._checkpoint is not None:
            self._checkpoint.finish()


def _key(window: Window) -> str:
    names = [each.instrument.name for each in window.listed]
    return f"{window.interval} {window.since:%Y-%m-%d} {names[0]} {names[-1]}"
