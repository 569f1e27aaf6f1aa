"""A connection for each request, few at a time: a page that is left open holds none."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Final

from kite_bars_store.database import Connection, connect
from kite_bars_store.errors import DatabaseBusy
from kite_bars_store.failures import FailureStore

CONNECTIONS_MAX: Final = 8
WAIT_S: Final = 20.0
CONNECT_TIMEOUT_S: Final = 5


class Database:
    """The store of dead letters at ``dsn``. Thread-safe."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._room = threading.BoundedSemaphore(CONNECTIONS_MAX)

    @contextlib.contextmanager
    def connection(self) -> Iterator[Connection]:
        """A connection until the end of the block. Raises TryAgain and NotConfigured."""
        if not self._room.acquire(timeout=WAIT_S):
            raise DatabaseBusy("Too many people look at this page at once; try again.")
        try:
            with contextlib.closing(
                connect(
                    self._dsn,
                    application_name="dlq_triage serve",
                    connect_timeout_s=CONNECT_TIMEOUT_S,
                )
            ) as opened:
                yield opened
        finally:
            self._room.release()

    @contextlib.contextmanager
    def failures(self) -> Iterator[FailureStore]:
        """The store, over a connection of its own. Raises TryAgain and NotConfigured."""
        with self.connection() as opened:
            yield FailureStore(opened)
