"""The pictures of docs/dead-letters-page.md, from the page itself in a real Chromium.

    python packages/dead_letters/tests/page_pictures.py docs/images

Needs the local stack's Postgres, Chromium and its driver, and the sources on PYTHONPATH.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import Final

from page_browser import Person, open_chromium, running
from page_stage import TOKEN, app_of, failures, make_site, store_mixed

from kite_bars_store.failures import Decision, Group, Selection
from kite_contracts.migrations import runner
from kite_dead_letters.page.calls import Site
from kite_devstack import stack
from kite_devstack.databases import database
from kite_devstack.reporter import ConsoleReporter
from kite_kafka_io.settings import KafkaSettings

LETTERS: Final = 2_000
NOBODY: Final = KafkaSettings.from_env({"KAFKA_BOOTSTRAP": "127.0.0.1:9"})
"""A dry run asks Kafka nothing."""


def main(folder: Path) -> None:
    """Leave the pictures in the folder."""
    server = stack.ensure([stack.POSTGRES], os.environ, ConsoleReporter()).postgres
    assert server is not None
    with database(server) as dsn:
        runner.upgrade(dsn)
        store_mixed(dsn, LETTERS)
        mendable = _decide(dsn)
        site = make_site(dsn, kafka=NOBODY)
        _take(site, dsn, folder, mendable, dark=False)
        _take(site, dsn, folder, mendable, dark=True)


def _decide(dsn: str) -> Group:
    """What people have decided so far; returns a group that can be redriven."""
    with failures(dsn) as store:
        groups = store.groups()
        half = Selection(fingerprint=groups[0].fingerprint, up_to=LETTERS // 2)
        store.decide(half, Decision.RESOLVE, "asha", "vendor file of 14 January")
        some = Selection(fingerprint=groups[3].fingerprint, up_to=LETTERS // 3)
        store.decide(some, Decision.IGNORE, "ravi", "noise of the load test")
        ours = Selection(fingerprint=groups[1].fingerprint)
        store.decide(ours, Decision.ASSIGN, "asha", assignee="meera")
        return next(each for each in groups if each.reason == "SINK_TRANSIENT")


def _take(site: Site, dsn: str, folder: Path, mendable: Group, *, dark: bool) -> None:
    with (
        tempfile.TemporaryDirectory() as profile,
        open_chromium(Path(profile), dark=dark) as browser,
        running(app_of(site)) as address,
    ):
        person = Person(browser, address)
        person.go(f"/login?token={TOKEN}")
        person.until_text("Dead letters by cause")
        person.press("j", "j")
        if dark:
            person.picture(folder / "dead-letters-dark.png")
            return
        person.picture(folder / "dead-letters-groups.png")
        person.go(f"/groups/{mendable.fingerprint}")
        person.picture(folder / "dead-letters-group.png")
        person.go(f"/redrive?group={mendable.fingerprint}&which=open&up_to={mendable.last_id}")
        person.picture(folder / "dead-letters-dry-run.png")
        with failures(dsn) as store:
            chosen = store.summaries(Selection(reasons=("SEMANTIC_RANGE",)))
        found = next(each for each in chosen if each.error_path == "/ts_event_ns")
        person.go(f"/failures/{found.failure_id}")
        person.picture(folder / "dead-letters-failure.png")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
