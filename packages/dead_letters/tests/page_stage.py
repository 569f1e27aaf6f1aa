"""The page over a database of its own, with dead letters in it, for tests."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from mixed_letters import Mixed, mixed_letters
from starlette.testclient import TestClient

from kite_bars_store.database import connect
from kite_bars_store.failures import FailureRecord, FailureStore
from kite_dead_letters.classify import Classifier
from kite_dead_letters.page.access import Access
from kite_dead_letters.page.app import make_app
from kite_dead_letters.page.calls import Site
from kite_dead_letters.page.guard import Guard, Names, names_of
from kite_dead_letters.page.redriving import Database, Desk
from kite_dead_letters.page.rendering import Pages
from kite_dead_letters.page.views import Reader
from kite_dead_letters.redrive import Targets
from kite_dead_letters.stored import to_store
from kite_kafka_io.raw_reader import RawRecord
from kite_kafka_io.settings import KafkaSettings

TOKEN: Final = "a-token-of-twenty-four-c"
ADDRESS: Final = "http://127.0.0.1:9480"
COOKIE: Final = "dlq_triage_9480"
TOPIC: Final = "ticks.dlq"
_CSRF: Final = re.compile(r'name="csrf" value="([^"]+)"')


def make_site(
    dsn: str,
    *,
    kafka: KafkaSettings | None = None,
    targets: Targets | None = None,
    open_to_read: bool = True,
) -> Site:
    """The page's parts over this database."""
    database = Database(dsn)
    desk = Desk(database, kafka, None)
    if targets is not None:
        desk = Desk(database, kafka, None, targets)
    return Site(database, Access(TOKEN, "asha"), Reader(), desk, Pages(), open_to_read, COOKIE)


def app_of(site: Site, names: Names | None = None) -> Guard:
    """The application, as `serve` makes it."""
    return make_app(site, names or names_of("127.0.0.1"))


@dataclass
class Browser:
    """A client that follows no redirect and sends an Origin with forms, as browsers do."""

    client: TestClient
    csrf: str = ""

    def get(self, path: str, status: int = 200) -> str:
        """The page at this path."""
        answer = self.client.get(path)
        assert answer.status_code == status, answer.text
        return answer.text

    def post(self, path: str, status: int = 303, **fields: object) -> str:
        """Send a form of this session."""
        data = {"csrf": self.csrf, "who": "asha", **{k: str(v) for k, v in fields.items()}}
        answer = self.client.post(path, data=data, headers={"Origin": ADDRESS})
        assert answer.status_code == status, answer.text
        return answer.headers.get("location", "") if status == 303 else answer.text

    def log_in(self) -> Browser:
        """Open the link that the command prints."""
        self.get(f"/login?token={TOKEN}")
        match = _CSRF.search(self.get("/reasons"))
        assert match is not None
        self.csrf = match[1]
        return self


def browser(site: Site, names: Names | None = None) -> Browser:
    """A new browser."""
    return Browser(TestClient(app_of(site, names), base_url=ADDRESS, follow_redirects=False))


@contextlib.contextmanager
def failures(dsn: str) -> Iterator[FailureStore]:
    """The store itself."""
    with contextlib.closing(connect(dsn, application_name="tests")) as opened:
        yield FailureStore(opened)


def store_mixed(dsn: str, count: int, seed: int = 1) -> list[Mixed]:
    """Dead letters of every kind, classified and stored as `consume` does."""
    letters = list(mixed_letters(seed, count))
    classifier = Classifier()
    store_records(
        dsn,
        [
            to_store(classifier.classify(_raw(letter, offset)))
            for offset, letter in enumerate(letters)
        ],
    )
    return letters


def store_records(dsn: str, records: Sequence[FailureRecord]) -> None:
    """Store these."""
    with failures(dsn) as store:
        store.record(records)


def _raw(letter: Mixed, offset: int) -> RawRecord:
    ts_ns = 1_795_000_000_000_000_000 + offset * 1_000_000_000
    return RawRecord(TOPIC, 0, offset, ts_ns, letter.key, letter.value, letter.headers)
