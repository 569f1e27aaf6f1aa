"""The intake as a service, in a thread of its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from kite_dead_letters.service import IntakeService

DEADLINE_S: Final = 90.0


@contextmanager
def running(service: IntakeService) -> Iterator[IntakeService]:
    """The service in a thread of its own; what it raised is raised at the end."""
    raised: list[BaseException] = []

    def run() -> None:
        try:
            service.run()
        except BaseException as exc:  # told by the thread that tests
            raised.append(exc)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield service
    finally:
        service.stop.set()
        thread.join(60)
    assert not thread.is_alive()
    if raised:
        raise raised[0]


def until(reached: Callable[[], bool], service: IntakeService) -> None:
    """Wait for it, for `DEADLINE_S` at most."""
    ends_s = time.monotonic() + DEADLINE_S
    while not reached():
        assert time.monotonic() < ends_s, service.counters
        assert not service.stop.wait(0.05)
