"""How librdkafka's threads wake the bridge's loop: a byte through a pipe."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import Final

_DRAIN_BYTES: Final = 4096


class Waker:
    """Calls ``wake`` in the running loop when something was written to ``descriptor``."""

    def __init__(self, wake: Callable[[], None]) -> None:
        """Made in a coroutine. Raises OSError when there are no more file descriptors."""
        self._wake = wake
        self._read, self.descriptor = os.pipe()
        os.set_blocking(self._read, False)
        os.set_blocking(self.descriptor, False)  # a full pipe wakes as well as one more byte
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._read, self._ready)

    def close(self) -> None:
        """Whoever writes must have ended before."""
        self._loop.remove_reader(self._read)
        os.close(self._read)
        os.close(self.descriptor)

    def _ready(self) -> None:
        os.read(self._read, _DRAIN_BYTES)
        self._wake()
