"""Redrives on the real Kafka and Postgres: each record reaches its target once."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest
from stage import Stage, good_packet, open_stage, packet_letter, read_all

from kite_bars_store.database import connect
from kite_bars_store.errors import ConnectionLost, DatabaseBusy
from kite_bars_store.failures import Decision, FailureStore, RedriveLedger, Selection, Status
from kite_dead_letters.redrive import Action, Planner, Redriver, Rules
from kite_dead_letters.redrive.corrections import Corrector
from kite_dead_letters.redrive.outbox import Outbox
from kite_dead_letters.redrive.transforms import from_settings
from kite_dead_letters.service import IntakeService
from kite_kafka_io.codec import AvroCodec
from kite_kafka_io.consumer import TickReader
from kite_kafka_io.redrives import (
    ATTEMPT,
    FIRST_FAILURE_NS,
    REDRIVE_ID,
    REDRIVEN_FROM,
    RedriveFilter,
)
from kite_kafka_io.settings import KafkaSettings
from kite_runtime.errors import TryAgainLater
from kite_runtime.retry import Pace

EVERYTHING = Selection(status=Status.OPEN)


@pytest.fixture()
def stage(kafka_bootstrap: str) -> Iterator[Stage]:
    with open_stage(KafkaSettings(bootstrap=kafka_bootstrap)) as opened:
        yield opened


class Bench:
    """A store with what the stage's dead-letter topic holds, and redrives over it."""

    def __init__(self, stage: Stage, dsn: str) -> None:
        self.stage = stage
        self.dsn = dsn
        self.connection = connect(dsn, application_name="tests")
        self.store = FailureStore(self.connection)
        self.ledger = RedriveLedger(self.connection)

    def take_in(self) -> int:
        """Store what is there; how many were new."""
        service = IntakeService(
            self.stage.settings, self.dsn, [self.stage.dlq], group=self.stage.live, once=True
        )
        return service.run().stored

    def redriver(self, **rules: Any) -> Redriver:
        corrector = Corrector(transform=rules.pop("transform", None))
        planner = Planner(self.stage.targets(), corrector, Rules(**rules))
        return Redriver(self.store, self.ledger, planner)

    def outbox(self, rate: float = 0.0) -> Outbox:
        return Outbox(self.stage.settings, Pace(rate), lambda seconds: False)

    def run(self, chosen: Selection = EVERYTHING, **rules: Any) -> Counter[Action]:
        """Redrive, and what became of it."""
        outbox = self.outbox()
        try:
            return self.redriver(**rules).execute(chosen, outbox, "tests").actions
        finally:
            outbox.close()

    def ticks(self, topic: str) -> list[int]:
        """The last prices that a reader of the topic sees, repeats dropped."""
        seen: list[int] = []
        with TickReader(self.stage.settings, topic, start="earliest", until_end=True) as reader:
            for columns in reader:
                seen += columns.column("last_price").tolist()
        return seen


@pytest.fixture()
def bench(stage: Stage, migrated_dsn: str) -> Iterator[Bench]:
    made = Bench(stage, migrated_dsn)
    with closing(made.connection):
        yield made


def test_a_good_packet_reaches_the_live_topic_once(bench: Bench) -> None:
    now_ns = time.time_ns()
    bench.stage.dead([packet_letter(n, now_ns=now_ns) for n in range(20)])
    assert bench.take_in() == 20
    steps = list(bench.redriver().preview(EVERYTHING))
    assert {(step.action, step.target) for step in steps} == {(Action.REDRIVE, bench.stage.live)}
    assert bench.stage.read(bench.stage.live) == []
    assert bench.run() == {Action.REDRIVE: 20}
    assert bench.run() == {}
    found = bench.stage.read(bench.stage.live)
    assert len(found) == 20
    records = [AvroCodec().decode(each.value or b"").record for each in found]
    assert {each["ts_recv_ns"] for each in records} == {now_ns - 1_000_000_000}
    assert [each.key for each in found] == [b"%d" % r["instrument_token"] for r in records]
    headers = dict(found[0].headers)
    assert set(headers) == {REDRIVE_ID, REDRIVEN_FROM, ATTEMPT, FIRST_FAILURE_NS}
    assert headers[ATTEMPT] == b"2"
    assert headers[REDRIVEN_FROM].startswith(f"{bench.stage.dlq}/".encode())  # type: ignore[union-attr]
    assert len({dict(each.headers)[REDRIVE_ID] for each in found}) == 20
    assert len(bench.ticks(bench.stage.live)) == 20
    assert bench.store.overview().by_status[Status.REDRIVEN] == 20


def test_a_tick_of_an_old_number_is_not_taken_for_a_repeat(bench: Bench) -> None:
    """Readers have seen higher numbers of its feed session long ago."""
    now_ns = time.time_ns()
    for numbers in ([7], [3], [5]):
        bench.stage.dead([packet_letter(n, now_ns=now_ns) for n in numbers])
        assert bench.take_in() == 1
        assert bench.run() == {Action.REDRIVE: 1}
    assert len(bench.ticks(bench.stage.live)) == 3


def test_what_is_stale_goes_to_the_repair_topic(bench: Bench) -> None:
    now_ns = time.time_ns()
    bench.stage.dead([packet_letter(1, now_ns=now_ns), packet_letter(2, now_ns=now_ns, age_s=90)])
    bench.take_in()
    assert bench.run() == {Action.REDRIVE: 1, Action.REPAIR: 1}
    assert [len(bench.ticks(t)) for t in (bench.stage.live, bench.stage.repair)] == [1, 1]


def test_what_is_not_good_today_is_refused_and_a_known_fix_mends_it(bench: Bench) -> None:
    bad = good_packet()[:60] + b"\x00\x00\x00\x05" + good_packet()[64:]
    now_ns = time.time_ns()
    bench.stage.dead([packet_letter(1, now_ns=now_ns, raw=bad)])
    bench.take_in()
    assert bench.run() == {Action.REFUSE: 1}
    [failure] = bench.store.page(EVERYTHING)
    [event] = bench.store.history(failure.failure_id)
    assert (event.kind, event.who) == ("refused", "tests")
    assert event.note.startswith("tick.v1 refuses it: /ts_event_ns: 5000000000 is less than")
    fix = from_settings(["/ts_event_ns=null"])
    [step] = bench.redriver(transform=fix).preview(EVERYTHING)
    assert [(each.path, each.before, each.after) for each in step.changes] == [
        ("/ts_event_ns", 5_000_000_000, None)
    ]
    outbox = bench.outbox()
    redriver = bench.redriver(transform=fix)
    report = redriver.execute(EVERYTHING, outbox, "tests", transform=fix)
    outbox.close()
    assert report.actions == {Action.REDRIVE: 1}
    [line] = bench.ledger.lines(failure.failure_id)
    assert (line.transform, line.transform_sha256) == (fix.name, fix.sha256)


def test_only_topics_of_the_allow_list_are_targets(bench: Bench) -> None:
    now_ns = time.time_ns()
    origins = ["orders", bench.stage.dlq, bench.stage.quarantine, bench.stage.live]
    bench.stage.dead(
        [packet_letter(n, now_ns=now_ns, origin_topic=name) for n, name in enumerate(origins)]
    )
    bench.take_in()
    assert bench.run() == {Action.REFUSE: 3, Action.REDRIVE: 1}
    notes = {
        event.note.partition(" (")[0]
        for each in bench.store.page(EVERYTHING)
        for event in bench.store.history(each.failure_id)
    }
    assert notes == {f"its origin {name} is not on the allow-list" for name in origins[:3]}


def test_a_poison_record_is_tried_so_often_and_then_quarantined(bench: Bench) -> None:
    """A consumer of the live topic fails at it each time, and dead-letters it with its attempt."""
    stage, now_ns = bench.stage, time.time_ns()
    stage.dead([packet_letter(1, now_ns=now_ns)])
    rounds: list[Counter[Action]] = []
    for _ in range(6):
        if not bench.take_in():
            break
        rounds.append(bench.run())
        for record in stage.read(stage.live)[len(rounds) - 1 :]:
            attempt = int(dict(record.headers)[ATTEMPT] or b"")
            again = packet_letter(1, now_ns=now_ns, attempt=attempt, origin_topic=stage.live)
            stage.dead([again])
    assert rounds == [{Action.REDRIVE: 1}, {Action.REDRIVE: 1}, {Action.QUARANTINE: 1}]
    [kept] = stage.read(stage.quarantine)
    assert kept.value == good_packet(1)
    assert dict(kept.headers)["dlq.reason"] == b"SEMANTIC_RANGE"
    assert bench.store.overview().by_status[Status.QUARANTINED] == 1


def test_what_is_given_up_is_kept_as_it_is_once_with_its_event(bench: Bench) -> None:
    letters = [packet_letter(n, now_ns=time.time_ns()) for n in (1, 2)]
    bench.stage.dead(letters)
    bench.take_in()
    assert bench.run(attempts_max=0) == {Action.QUARANTINE: 2}
    assert bench.run(attempts_max=0) == {}
    assert [each.value for each in bench.stage.read(bench.stage.quarantine)] == [
        each.raw for each in letters
    ]
    for failure in bench.store.page(Selection()):
        assert failure.status is Status.QUARANTINED
        assert "quarantined" in [str(each.kind) for each in bench.store.history(failure.failure_id)]


def test_the_same_failure_opened_again_comes_to_its_end_too(bench: Bench) -> None:
    bench.stage.dead([packet_letter(1, now_ns=time.time_ns())])
    bench.take_in()
    seen = []
    for _ in range(4):
        seen += list(bench.run())
        bench.store.decide(Selection(), Decision.REOPEN, "tests")
    assert seen == [Action.REDRIVE, Action.REDRIVE, Action.QUARANTINE, Action.QUARANTINE]
    assert len({dict(e.headers)[REDRIVE_ID] for e in bench.stage.read(bench.stage.live)}) == 2


class Killed(BaseException):
    """The process dies here."""


def test_killed_between_produce_and_commit_it_has_no_second_effect(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_ns = time.time_ns()
    bench.stage.dead([packet_letter(n, now_ns=now_ns) for n in range(50)])
    bench.take_in()

    def die(*_: object) -> int:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(RedriveLedger, "settle", die)
        with pytest.raises(Killed):
            bench.run()
    assert len(bench.stage.read(bench.stage.live)) == 50
    assert bench.store.overview().by_status[Status.OPEN] == 50
    assert bench.ledger.count_reserved() == 50
    outbox = bench.outbox()
    report = bench.redriver().execute(EVERYTHING, outbox, "tests")
    outbox.close()
    assert (report.resent, report.actions, report.in_doubt) == (50, {}, 0)
    found = bench.stage.read(bench.stage.live)
    assert len(found) == 100
    fresh = RedriveFilter()
    assert sum(fresh.is_fresh(each.headers) for each in found) == 50
    prices = bench.ticks(bench.stage.live)
    assert len(prices) == 50
    assert bench.store.overview().by_status[Status.REDRIVEN] == 50


def test_one_redrive_at_a_time(bench: Bench) -> None:
    with closing(connect(bench.dsn, application_name="other")) as other:
        with RedriveLedger(other).alone(), pytest.raises(DatabaseBusy, match="Another redrive"):
            bench.run()
        assert bench.run() == {}


def test_a_lost_database_leaves_nothing_done_twice(bench: Bench) -> None:
    bench.stage.dead([packet_letter(n, now_ns=time.time_ns()) for n in range(5)])
    bench.take_in()
    outbox = bench.outbox()
    send = outbox.send

    def send_and_lose(entries: Any) -> Any:
        done = send(entries)
        with closing(connect(bench.dsn, application_name="tests killer")) as killer:
            killer.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name = 'tests' AND datname = current_database()"
            )
        return done

    outbox.send = send_and_lose  # type: ignore[method-assign]
    with pytest.raises(ConnectionLost):
        bench.redriver().execute(EVERYTHING, outbox, "tests")
    outbox.close()
    again = Bench(bench.stage, bench.dsn)
    with closing(again.connection):
        assert again.run() == {}
        assert again.ledger.count_reserved() == 0
        assert len(again.ticks(bench.stage.live)) == 5


def test_a_broker_that_is_away_is_said_and_nothing_is_lost(bench: Bench) -> None:
    bench.stage.dead([packet_letter(1, now_ns=time.time_ns())])
    bench.take_in()
    outbox = bench.outbox()
    outbox.check([bench.stage.live])
    outbox.settings = KafkaSettings(bootstrap="127.0.0.1:9")
    outbox.ack_timeout_s = 0.5
    with pytest.raises(TryAgainLater, match="does not acknowledge.*run the redrive again"):
        bench.redriver().execute(EVERYTHING, outbox, "tests")
    outbox.close()
    assert bench.ledger.count_reserved() == 1
    assert bench.run() == {}
    assert len(bench.ticks(bench.stage.live)) == 1


def test_a_record_that_kafka_never_takes_is_refused_and_the_others_go_on(bench: Bench) -> None:
    now_ns = time.time_ns()
    bench.stage.dead([packet_letter(n, now_ns=now_ns) for n in range(3)])
    bench.take_in()
    redriver = bench.redriver()
    entry_of = redriver.planner.entry

    def large_second(step: Any, run: Any, position: int) -> Any:
        entry = entry_of(step, run, position)
        return replace(entry, value=bytes(1_500_000)) if position == 2 else entry

    object.__setattr__(redriver.planner, "entry", large_second)
    outbox = bench.outbox()
    report = redriver.execute(EVERYTHING, outbox, "tests")
    outbox.close()
    assert report.actions == {Action.REDRIVE: 2, Action.REFUSE: 1}
    assert "too large" in next(iter(report.refusals))
    assert bench.ledger.count_reserved() == 0
    assert bench.store.overview().by_status[Status.OPEN] == 1


def test_records_keep_the_pace(bench: Bench) -> None:
    bench.stage.dead([packet_letter(n, now_ns=time.time_ns()) for n in range(11)])
    bench.take_in()
    waited: list[float] = []

    def wait(seconds: float) -> bool:
        waited.append(seconds)
        clock[0] += seconds
        return False

    clock = [100.0]
    outbox = Outbox(bench.stage.settings, Pace(50), wait, clock=lambda: clock[0])
    bench.redriver().execute(EVERYTHING, outbox, "tests")
    outbox.close()
    assert sum(waited) == pytest.approx(10 / 50)
    assert read_all(bench.stage.settings, bench.stage.live)


def test_what_the_broker_refuses_concerns_no_other_record(bench: Bench) -> None:
    """Many refusals in one page, between records that are taken: each is settled by itself."""
    now_ns = time.time_ns()
    bench.stage.dead([packet_letter(n, now_ns=now_ns) for n in range(60)])
    bench.take_in()
    bench.stage.limit(bench.stage.live, 2_000)
    redriver = bench.redriver()
    entry_of = redriver.planner.entry

    def large_tenth(step: Any, run: Any, position: int) -> Any:
        entry = entry_of(step, run, position)
        return replace(entry, value=random.randbytes(5_000)) if position % 10 == 0 else entry

    object.__setattr__(redriver.planner, "entry", large_tenth)
    outbox = bench.outbox()
    report = redriver.execute(EVERYTHING, outbox, "tests")
    outbox.close()
    assert report.actions == {Action.REDRIVE: 54, Action.REFUSE: 6}
    [why] = report.refusals
    assert why.startswith("Kafka refuses it: MSG_SIZE_TOO_LARGE")
    assert (report.in_doubt, bench.ledger.count_reserved()) == (0, 0)
    assert len(bench.ticks(bench.stage.live)) == 54, "none is taken for a repeat"
    assert bench.run() == {Action.REDRIVE: 6}, "the next run sends what was refused"
    assert len(bench.ticks(bench.stage.live)) == 60
