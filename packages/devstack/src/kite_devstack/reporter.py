"""Reports what is being done: a progress bar in a terminal, plain lines elsewhere."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator

from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from kite_runtime.console import say, stderr

Advance = Callable[[int], None]


class Reporter:
    """Where progress goes; this one is silent, for callers that have a report of their own."""

    def say(self, text: str) -> None:
        """One line."""

    @contextlib.contextmanager
    def fetching(self, text: str, size_bytes: int) -> Iterator[Advance]:
        """A fetch of about ``size_bytes``; the value counts bytes and may be called by threads."""
        yield lambda count: None


class ConsoleReporter(Reporter):
    """Writes to standard error, so that standard output holds results alone."""

    def say(self, text: str) -> None:
        say(text)

    @contextlib.contextmanager
    def fetching(self, text: str, size_bytes: int) -> Iterator[Advance]:
        if stderr.is_terminal:
            columns = (
                TextColumn("{task.description}"),
                BarColumn(),
                DownloadColumn(),
                TransferSpeedColumn(),
            )
            with Progress(*columns, console=stderr) as progress:
                task = progress.add_task(text, total=size_bytes)
                yield lambda count: progress.advance(task, count)
            return
        self.say(text)
        started, done, shown = time.monotonic(), 0, 0

        def advance(count: int) -> None:
            nonlocal done, shown
            done += count
            quarter = 4 * done // size_bytes
            if shown < quarter < 4:
                shown = quarter
                self.say(f"  {25 * quarter} %")

        yield advance
        self.say(f"  done: {done / 1e6:.0f} MB in {time.monotonic() - started:.0f} s")
