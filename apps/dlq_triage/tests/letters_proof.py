"""The whole way of mixed dead letters, with everything killed once, and its ledger.

Produced, stored, redriven where they are mendable, read from the targets: in = stored + refused,
and a reader of a target sees each record once after the filter. Small in the tests, a million in
``benchmarks/dlq_proof.py``.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final

from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from mixed_letters import Mixed, mixed_letters, produce
from stage import wait_for_leaders

from kite_bars_store.database import connect
from kite_bars_store.errors import StoreError
from kite_contracts.migrations import runner
from kite_contracts.topics import load_topics
from kite_devstack.kafka import KafkaServer
from kite_devstack.postgres import PostgresServer
from kite_kafka_io.consumer import TickReader
from kite_kafka_io.raw_reader import RawReader
from kite_kafka_io.redrives import REDRIVE_ID, REDRIVEN_FROM, RedriveFilter
from kite_kafka_io.settings import KafkaSettings
from kite_runtime.testing import import_path

DLQ: Final = "ticks.dlq"
HEADLESS_DLQ: Final = "others_dlq"
"""For records without headers: what is right for one topic is wrong for another."""
TICK_TARGETS: Final = ("ticks", "ticks.repair")
OTHER_TARGETS: Final = ("bars", "ticks.quarantine", "bars.quarantine")
PAUSE_S: Final = 0.2
Report = Callable[[str], None]


@dataclass
class Ledger:
    """What was counted, and how long each part took."""

    counts: dict[str, int] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    peaks_mb: dict[str, int] = field(default_factory=dict)
    """The most memory of each command."""
    faults: list[str] = field(default_factory=list)

    def check(self, what: str, holds: bool) -> None:
        """Note what should hold and does not."""
        if not holds:
            self.faults.append(what)


@dataclass
class Proof:
    """One run over servers of its own, which it kills on the way."""

    kafka: KafkaServer
    postgres: PostgresServer
    count: int
    large_every: int = 0
    seed: int = 1
    kill_kafka: bool = True
    say: Report = lambda line: None
    deadline_s: float = 3600.0
    ledger: Ledger = field(default_factory=Ledger)

    def run(self) -> Ledger:
        """All of it; ``faults`` of the ledger is empty when everything holds."""
        runner.upgrade(self.postgres.dsn)
        self._make_topics()
        intended = self._timed("produce", self._produce)
        self._timed("store", self._store)
        self._check_stored(intended)
        self._timed("redrive", self._redrive)
        self._timed("read the targets", self._check_targets)
        return self.ledger

    def _make_topics(self) -> None:
        admin = AdminClient({"bootstrap.servers": self.kafka.bootstrap})
        new = [NewTopic(each.name, each.partitions, 1) for each in load_topics()]
        new.append(NewTopic(HEADLESS_DLQ, 1, 1))
        for answer in admin.create_topics(new).values():
            answer.result(timeout=60)
        wait_for_leaders(admin, [each.topic for each in new])

    def _produce(self) -> Counter[str]:
        intended: Counter[str] = Counter()
        headless: list[Mixed] = []

        def with_headers() -> Iterator[Mixed]:
            for letter in mixed_letters(self.seed, self.count, large_every=self.large_every):
                intended[str(letter.intended)] += 1
                if letter.kind == "headless":
                    headless.append(letter)
                else:
                    yield letter

        produced = produce(self.kafka.bootstrap, DLQ, with_headers())
        produced += produce(self.kafka.bootstrap, HEADLESS_DLQ, headless)
        self.ledger.counts["produced"] = produced
        return intended

    def _store(self) -> None:
        """The service, killed three ways, and then once more to the end."""
        share = self.count // 5
        with self._command("consume", "--port", "0") as service:
            self._until(lambda: self._stored() >= share, service)
            self._crash(self.postgres)
            self._until(lambda: self._stored() >= 2 * share, service)
            if self.kill_kafka:
                self._crash(self.kafka)
            self._until(lambda: self._stored() >= 3 * share, service)
            service.send_signal(signal.SIGKILL)
            self.say("killed consume")
        done = self._result("consume", "--once", "--json", codes=(0, 3))
        self.ledger.counts["refused"] = int(done["refused"])
        again = self._result("consume", "--once", "--json", codes=(0, 3))
        self.ledger.check("stored twice", again["stored"] == 0)

    def _check_stored(self, intended: Counter[str]) -> None:
        rows = self._rows(
            "SELECT reason, count(*), count(DISTINCT (topic, partition_id, record_offset))"
            " FROM dlq_failure GROUP BY reason"
        )
        stored = {reason: count for reason, count, _ in rows}
        self.ledger.counts["stored"] = sum(stored.values())
        self.ledger.counts["reasons"] = len(stored)
        self.ledger.check("a place is stored twice", all(n == places for _, n, places in rows))
        self.ledger.check(
            "in = stored + refused",
            self.count == self.ledger.counts["stored"] + self.ledger.counts["refused"],
        )
        self.ledger.check("the reasons are those intended", stored == dict(intended))

    def _redrive(self) -> None:
        """Everything, killed in the middle, twice more; and then there is nothing left to do."""
        words = ("redrive", "--from", "3650d", "--yes", "--rate", "0", "--json", "--who", "proof")
        with self._command(*words) as redrive:
            some = max(1, self.count // 20)
            self._until(lambda: self._lines("produced") >= some, redrive)
            redrive.send_signal(signal.SIGKILL)
        self.ledger.counts["in doubt after the kill"] = self._lines("reserved")
        self.say("killed redrive")
        first = self._summary(*words)
        self.ledger.counts["sent again"] = first["resent"]
        second = self._summary(*words)
        self.ledger.check("a second redrive sends", not _sent(second))
        self.ledger.check("records are left in doubt", self._lines("reserved") == 0)
        states = dict(self._rows("SELECT status, count(*) FROM dlq_state GROUP BY status"))
        for status in ("redriven", "quarantined", "open"):
            self.ledger.counts[status] = states.get(status, 0)
        self.ledger.check("all stored have a state", sum(states.values()) == self.count)

    def _check_targets(self) -> None:
        settings = KafkaSettings(bootstrap=self.kafka.bootstrap)
        lines = dict(
            self._rows(
                "SELECT target, count(*) FROM dlq_redrive WHERE status = 'produced' GROUP BY 1"
            )
        )
        for target in (*TICK_TARGETS, *OTHER_TARGETS):
            written, ids, places = self._redriven(settings, target)
            seen = _ticks_seen(settings, target) if target in TICK_TARGETS else ids
            self.ledger.counts[f"{target}: records written"] = written
            self.ledger.counts[f"{target}: seen after the filter"] = seen
            due = lines.get(target, 0)
            self.ledger.check(f"{target}: each exactly once", seen == due == ids == places)

    def _redriven(self, settings: KafkaSettings, target: str) -> tuple[int, int, int]:
        """Records, those that the filter of redrives lets pass, and dead letters they come from."""
        chosen = RedriveFilter(ids_max=self.count)
        written = passed = 0
        places: set[bytes | None] = set()
        with RawReader(settings, [target]) as reader:
            while not reader.finished:
                for record in reader.read(1.0):
                    written += 1
                    headers = dict(record.headers)
                    self.ledger.check(f"{target}: a record has no id", REDRIVE_ID in headers)
                    if chosen.is_fresh(record.headers):
                        passed += 1
                        places.add(headers.get(REDRIVEN_FROM))
        return written, passed, len(places)

    def _stored(self) -> int:
        return int(self._rows("SELECT coalesce(sum(total), 0) FROM dlq_group")[0][0])

    def _lines(self, status: str) -> int:
        return int(self._rows("SELECT count(*) FROM dlq_redrive WHERE status = %s", [status])[0][0])

    def _crash(self, server: KafkaServer | PostgresServer) -> None:
        server.kill()
        time.sleep(PAUSE_S)  # the service is to meet it dead
        server.start()
        self.say(f"killed and started {server.name}")

    def _rows(self, query: str, params: list[Any] | None = None) -> list[Any]:
        with closing(connect(self.postgres.dsn, application_name="proof")) as connection:
            return connection.execute(query.encode(), params).fetchall()

    def _timed(self, name: str, work: Callable[[], Any]) -> Any:
        self.say(name)
        start_s = time.monotonic()
        done = work()
        self.ledger.seconds[name] = time.monotonic() - start_s
        return done

    def _until(self, reached: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
        ends_s = time.monotonic() + self.deadline_s
        while process.poll() is None:
            self._measure(process)
            try:
                if reached():
                    return
            except StoreError as exc:
                self.say(f"not yet: {exc}")
            assert time.monotonic() < ends_s, "it takes too long"
            time.sleep(PAUSE_S)
        assert process.returncode in (0, 3), f"{process.args!r} ended with {process.returncode}"

    def _measure(self, process: subprocess.Popen[bytes]) -> None:
        """Note the most memory that a command has had."""
        with suppress(OSError, StopIteration):
            status = Path(f"/proc/{process.pid}/status").read_text().splitlines()
            line = next(each for each in status if each.startswith("VmHWM"))
            peaks = self.ledger.peaks_mb
            name = str(list(process.args)[3])  # type: ignore[arg-type]
            peaks[name] = max(peaks.get(name, 0), int(line.split()[1]) // 1024)

    def _command(
        self, *words: str, out: IO[str] | int = subprocess.DEVNULL
    ) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [
                sys.executable,
                "-m",
                "kite_dlq_triage.cli",
                *words,
                "--bootstrap",
                self.kafka.bootstrap,
            ],
            env=self._env(),
            stdout=out,
            stderr=subprocess.DEVNULL,
        )

    def _result(self, *words: str, codes: tuple[int, ...]) -> dict[str, Any]:
        """The last JSON object that a command prints."""
        with tempfile.TemporaryFile("w+") as out, self._command(*words, out=out) as process:
            self._until(lambda: False, process)
            assert process.wait() in codes, f"{words} ended with {process.returncode}"
            out.seek(0)
            *_, last = out
        result: dict[str, Any] = json.loads(last)
        return result

    def _summary(self, *words: str) -> dict[str, Any]:
        summary: dict[str, Any] = self._result(*words, codes=(0, 3))["summary"]
        return summary

    def _env(self) -> dict[str, str]:
        return {**os.environ, "PYTHONPATH": import_path(), "POSTGRES_DSN": self.postgres.dsn}


def _sent(summary: dict[str, Any]) -> int:
    return int(summary["redrive"] + summary["repair"] + summary["quarantine"])


def _ticks_seen(settings: KafkaSettings, topic: str) -> int:
    with TickReader(settings, topic, start="earliest", until_end=True) as reader:
        return sum(len(columns) for columns in reader)
