"""The database behind the page, and redrives: what would be done, and doing exactly that."""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from starlette.exceptions import HTTPException

from kite_bars_store.database import Connection, connect
from kite_bars_store.errors import DatabaseBusy
from kite_bars_store.failures import FailureStore, RedriveLedger, Selection
from kite_contracts.topics import load_topics
from kite_dead_letters.dialects import TABLE, Table
from kite_dead_letters.redrive import Action, Planner, Redriver, Report, Rules, Step, Targets
from kite_dead_letters.redrive.corrections import Corrector
from kite_dead_letters.redrive.outbox import Outbox
from kite_kafka_io.errors import KafkaIoError
from kite_kafka_io.framing import Framing
from kite_kafka_io.settings import KafkaSettings
from kite_runtime.errors import TryAgainLater
from kite_runtime.retry import Pace

CONNECTIONS_MAX: Final = 8
WAIT_S: Final = 20.0
CONNECT_TIMEOUT_S: Final = 5
LOCK_TIMEOUT_S: Final = 5


class Database:
    """The store of dead letters at ``dsn``. A connection for each request, few at a time: a page
    that is left open holds none. Thread-safe."""

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
                    lock_timeout_s=LOCK_TIMEOUT_S,
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


RECORDS_MAX: Final = 1000
"""Records of one dry run or redrive: a person at a browser waits for it."""
SHOWN_MAX: Final = 100
RATE: Final = 500.0
"""Records a second at most, so that a live topic's readers are not flooded."""


@dataclass(frozen=True, slots=True)
class Line:
    """Records of a dry run with one and the same outcome."""

    action: Action
    target: str | None
    why: str
    count: int


@dataclass(frozen=True, slots=True)
class Preview:
    """What a redrive would do. ``steps`` are the first ones, ``lines`` sum up all of them.

    ``up_to`` is the id of the last one; ``more``: there are failures behind it.
    """

    steps: list[Step]
    lines: list[Line]
    up_to: int
    more: bool

    @property
    def total(self) -> int:
        """How many failures were looked at."""
        return sum(line.count for line in self.lines)

    @property
    def sent(self) -> int:
        """How many records would be produced, quarantined ones included."""
        return sum(line.count for line in self.lines if line.target is not None)


@dataclass(frozen=True)
class Desk:
    """Dry runs and redrives over the database; ``kafka`` None leaves only dry runs. Thread-safe.

    ``targets`` are the topics that records may go to; the default is made from topics.toml.
    Set ``ending`` to end a redrive early: what is in doubt then is sent first by the next one.
    """

    database: Database
    kafka: KafkaSettings | None
    framing: Framing | None
    targets: Targets = field(default_factory=lambda: Targets(load_topics()))
    ending: threading.Event = field(default_factory=threading.Event)
    table: Table = TABLE

    def preview(self, chosen: Selection, give_up: bool = False) -> Preview:
        """Decide for each failure, and do nothing. With ``give_up`` all go into quarantine. Raises
        StoreError."""
        with self.database.connection() as opened:
            return _previewed(self._redriver(opened, give_up), chosen)

    def execute(self, chosen: Selection, who: str, note: str, give_up: bool = False) -> Report:
        """Do it. Raises HTTPException and StoreError; called again it goes on where it was."""
        if self.kafka is None:
            raise HTTPException(503, "KAFKA_BOOTSTRAP is not set: nothing can be sent back")
        outbox = Outbox(self.kafka, Pace(RATE), self.ending.wait)
        try:
            with self.database.connection() as opened:
                return self._redriver(opened, give_up).execute(
                    chosen, outbox, who, note=note, stopped=self.ending.is_set
                )
        except (TryAgainLater, KafkaIoError) as exc:
            raise HTTPException(503, str(exc)) from exc
        finally:
            outbox.close()

    def _redriver(self, opened: Connection, give_up: bool) -> Redriver:
        rules = Rules(attempts_max=0) if give_up else Rules()
        planner = Planner(self.targets, Corrector(self.framing), rules, self.table)
        return Redriver(FailureStore(opened), RedriveLedger(opened), planner)


def _previewed(redriver: Redriver, chosen: Selection) -> Preview:
    found: Iterator[Step] = redriver.preview(chosen)
    counts: Counter[tuple[Action, str | None, str]] = Counter()
    steps: list[Step] = []
    up_to = 0
    for step in islice(found, RECORDS_MAX):
        counts[step.action, step.target, step.why] += 1
        up_to = step.failure.failure_id
        if len(steps) < SHOWN_MAX:
            steps.append(step)
    lines = [Line(*key, count) for key, count in counts.most_common()]
    return Preview(steps, lines, up_to, next(found, None) is not None)
