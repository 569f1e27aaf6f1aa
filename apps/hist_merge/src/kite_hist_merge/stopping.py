"""Ctrl-C and SIGTERM as a wish: the work ends after the step that it is in."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

from kite_runtime.console import say

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


class StopWish:
    """Whether somebody asked to stop."""

    asked = False


@contextmanager
def stop_between_steps(step: str) -> Iterator[StopWish]:
    """The first signal notes the wish and says that the ``step`` is finished first; after it the
    signals do what they did before."""
    wish = StopWish()
    before = {each: signal.getsignal(each) for each in _SIGNALS}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def note(number: int, frame: FrameType | None) -> None:
        wish.asked = True
        restore()
        say(f"stopping after this {step}; once more stops at once")

    for each in _SIGNALS:
        signal.signal(each, note)
    try:
        yield wish
    finally:
        restore()
