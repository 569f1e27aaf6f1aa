"""A source that reads the next windows while the last one is merged.

A call of Kite takes longer than the third of a second that its pace allows. So several clients ask
at once, under one pace, and the answers are given out in the order of the windows.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue
from types import TracebackType
from typing import Self

from kite_bar_history.protocol import BarSource, Reading, Window


class ReadAhead:
    """One window ahead for each of ``sources``, which are alike; a context manager.

    `read` takes the windows in the order given, each once. ``on_leave`` is called first when the
    block ends, to cut short what still waits there.
    """

    def __init__(
        self,
        sources: Sequence[BarSource],
        windows: Sequence[Window],
        on_leave: Callable[[], object] = lambda: None,
    ) -> None:
        self.name = sources[0].name
        self._free: SimpleQueue[BarSource] = SimpleQueue()
        for each in sources:
            self._free.put(each)
        self._ahead = len(sources)
        self._windows: Iterator[Window] = iter(windows)
        self._begun: deque[tuple[Window, Future[Reading]]] = deque()
        self._pool = ThreadPoolExecutor(self._ahead, thread_name_prefix="read-ahead")
        self._on_leave = on_leave
        self._held = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._on_leave()
        self._pool.shutdown(cancel_futures=True)

    def hold(self) -> bool:
        """Begin nothing new; whether there is a window that was begun and not given out."""
        self._held = True
        return bool(self._begun)

    def read(self, window: Window) -> Reading:
        """The window's reading; raises what its source raised."""
        self._begin()
        begun, future = self._begun.popleft()
        if begun is not window:
            raise ValueError("windows are read in the order in which they were announced")
        reading = future.result()
        self._begin()
        return reading

    def _begin(self) -> None:
        while not self._held and len(self._begun) < self._ahead:
            window = next(self._windows, None)
            if window is None:
                return
            self._begun.append((window, self._pool.submit(self._ask, window)))

    def _ask(self, window: Window) -> Reading:
        source = self._free.get()
        try:
            return source.read(window)
        finally:
            self._free.put(source)
