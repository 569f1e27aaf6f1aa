"""The commands on stored dead letters, from their words to what they print."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient
from stage import Stage, good_packet, open_stage, packet_letter, read_all

from kite_bars_store.database import connect
from kite_dlq_triage.cli import main
from kite_kafka_io.settings import KafkaSettings
from kite_runtime.testing import import_path

ENV = {"POSTGRES_DSN", "KAFKA_BOOTSTRAP", "SCHEMA_REGISTRY_URL"}


class Done(NamedTuple):
    """What a command printed."""

    stdout: str
    stderr: str


Command = Callable[..., Done]


@pytest.fixture()
def stage(kafka_bootstrap: str) -> Iterator[Stage]:
    with open_stage(KafkaSettings(bootstrap=kafka_bootstrap)) as opened:
        yield opened


@pytest.fixture()
def environ(tmp_path: Path, migrated_dsn: str, kafka_bootstrap: str) -> dict[str, str]:
    kept = {name: text for name, text in os.environ.items() if name not in ENV}
    own = {"POSTGRES_DSN": migrated_dsn, "KAFKA_BOOTSTRAP": kafka_bootstrap, "COLUMNS": "160"}
    return {**kept, "PYTHONPATH": import_path(), "HOME": str(tmp_path), **own}


@pytest.fixture()
def triage(
    environ: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Iterator[Command]:
    """Runs the command line in this process."""
    handlers = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)}

    def run(*words: str, code: int = 0, **more: str) -> Done:
        with monkeypatch.context() as patched:
            for name, text in {**environ, **more}.items():
                patched.setenv(name, text)
            patched.chdir(tmp_path)
            patched.setattr(sys, "argv", ["dlq_triage", *words])
            capsys.readouterr()
            with pytest.raises(SystemExit) as ended:
                main()
        done = Done(*capsys.readouterr())
        assert ended.value.code == code, done
        return done

    yield run
    for each, handler in handlers.items():
        signal.signal(each, handler)


def objects(done: Done) -> list[Any]:
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_morning_with_dead_letters(stage: Stage, triage: Command, tmp_path: Path) -> None:
    """Stored, looked at, assigned, fixed, redriven, settled."""
    now_ns = time.time_ns()
    bad = good_packet()[:60] + b"\x00\x00\x00\x05" + good_packet()[64:]
    path: dict[str, Any] = {"error_path": "/ts_event_ns", "message": "5 is less than 9"}
    letters = [packet_letter(n, now_ns=now_ns, raw=bad, **path) for n in range(3)]
    stage.dead([*letters, packet_letter(9, now_ns=now_ns, message="other")])
    group = ("--group", stage.live)
    stored = triage("consume", "--once", "--json", "-t", stage.dlq, *group, code=3)
    assert objects(stored)[0]["stored"] == 4
    assert triage("consume", "--once", "-t", stage.dlq, *group).stdout == ""

    first, second = objects(triage("groups", "--json", code=3))[0]
    assert (first["open"], first["error_path"], second["open"]) == (3, "/ts_event_ns", 1)
    table = triage("groups", code=3)
    assert first["fingerprint"] in table.stdout
    assert "2 groups; stored: 4 open" in table.stderr
    assert objects(triage("groups", "--json", "--reason", "AUTH")) == [[]]

    for columns in ("60", "80", "120", "200"):
        page = triage("groups", code=3, COLUMNS=columns).stdout
        assert first["fingerprint"] in page
        assert "…" not in page
        page = triage("show", str(first["sample_id"]), COLUMNS=columns).stdout
        assert "ts_event_ns: 5000000000  ◀ here" in page
    shown = triage("show", str(first["sample_id"]))
    assert "ts_event_ns: 5000000000  ◀ here" in shown.stdout
    assert good_packet()[:8].hex(" ") in shown.stdout
    assert "around it in the topic" in shown.stdout
    [document] = objects(triage("show", str(first["sample_id"]), "--json"))
    assert document["record"]["decoded"]["form"] == "packet"
    place = f"{stage.dlq}/{document['record']['partition']}/{document['record']['offset']}"
    assert document == objects(triage("show", place, "--json"))[0]

    chosen = ("--group", first["fingerprint"])
    assert "3 assigned" in triage("assign", *chosen, "--to", "ann", "--who", "bob").stdout
    dry = objects(triage("redrive", *chosen, "--json", code=3))
    assert [each["action"] for each in dry[:-1]] == ["refuse"] * 3
    assert dry[-1]["summary"]["dry_run"] is True
    fix = tmp_path / "fix.py"
    fix.write_text("def no_time(tick):\n    return {**tick, 'ts_event_ns': None}\n")
    topics = tmp_path / "topics.toml"
    topics.write_text(stage.topics_toml)
    rules = ("--topics-file", str(topics), "--stale-after", "3600")
    words = ("redrive", *chosen, *rules, "--transform", f"{fix}:no_time")
    would = triage(*words)
    assert f"would go to {stage.live} as try 2: {stage.dlq} holds the dead letters" in would.stdout
    assert "/ts_event_ns: 5000000000 becomes null" in would.stdout
    assert "nothing was written; --yes does it" in would.stderr
    assert stage.read(stage.live) == []
    assert "done: 3 redrive" in triage(*words, "--yes", "--who", "ann").stderr
    assert "done: no open failure is meant" in triage(*words, "--yes").stderr
    assert len(stage.read(stage.live)) == 3

    told = objects(triage("history", str(first["sample_id"]), "--json"))[0]
    assert [(each["kind"], each["who"]) for each in told] == [
        ("assign", "bob"),
        ("redriven", "ann"),
    ]
    assert "3 reopened" in triage("reopen", *chosen, "-m", "not quite").stdout
    assert "3 resolved" in triage("resolve", *chosen).stdout
    assert "0 resolved, 3 unchanged" in triage("resolve", *chosen).stdout
    assert objects(triage("ignore", str(second["sample_id"]), "--json")) == [
        {"changed": 1, "unchanged": 0}
    ]
    assert "4 failures rebuilt" in triage("rebuild").stdout
    after = objects(triage("groups", "--json"))[0]
    # Which of two settled groups stands first is for the time of their records to say.
    assert {each["fingerprint"]: (each["resolved"], each["ignored"]) for each in after} == {
        first["fingerprint"]: (3, 0),
        second["fingerprint"]: (0, 1),
    }


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["show", "12"], 1, "no failure 12 is stored"),
        (["show", "x/0/1"], 1, "no failure of x/0/1 is stored"),
        (["show", "what"], 2, "'what' is no failure"),
        (["history", "12"], 1, "no failure 12 is stored"),
        (["resolve"], 2, "name what is meant: IDs, --group"),
        (["resolve", "12"], 1, "no failure 12 is stored"),
        (["resolve", "--group", "abc"], 1, "no group abc is stored"),
        (["resolve", "12", "--who", " "], 1, "no failure 12 is stored"),
        (["redrive"], 2, "name what is meant"),
        (["quarantine"], 2, "name what is meant: IDs, --group or a filter"),
        (["redrive", "--reason", "NO"], 2, "--reason NO is no reason code"),
        (["redrive", "--reason", "AUTH", "--set", "x"], 2, "write it like --set /price_scale=2"),
        (["redrive", "1", "--set", "/a=1", "--mapping", "f"], 2, "give one of --transform"),
        (["redrive", "1", "--topics-file", "none.toml"], 1, "none.toml cannot be read"),
        (["groups", "--from", "yesterday"], 2, "--from 'yesterday' is not"),
        (["groups", "--from", "12"], 2, "an offset has a meaning in one topic only"),
        (["assign", "12", "--to", "x" * 300], 2, "--to has 300 letters"),
        (["consume", "--once", "-t", "nowhere"], 78, "topic nowhere does not exist"),
    ],
)
def test_a_mistake_is_one_sentence(triage: Command, words: list[str], code: int, says: str) -> None:
    done = triage(*words, code=code)
    assert says in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_what_is_not_set_or_away_is_said(triage: Command) -> None:
    unset = triage("groups", code=78, POSTGRES_DSN="")
    assert "POSTGRES_DSN is not set" in unset.stderr
    away = triage("groups", code=75, POSTGRES_DSN="postgresql://127.0.0.1:9/kite")
    assert "cannot be reached" in away.stderr
    dry = ("redrive", "--reason", "AUTH", "--yes")
    assert "KAFKA_BOOTSTRAP is not set" in triage(*dry, code=78, KAFKA_BOOTSTRAP="").stderr


FREEZING = """
import signal, time
from pathlib import Path
from kite_dlq_triage.cli import main

def freeze(*_):
    while not Path("thaw").exists():
        time.sleep(0.05)

signal.signal(signal.SIGUSR1, freeze)  # its handler runs in the loop's thread
main()
"""


@contextmanager
def consuming(
    stage: Stage,
    environ: dict[str, str],
    folder: Path,
    program: tuple[str, ...] = ("-m", "kite_dlq_triage.cli"),
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The service as a process, and the address of its pages."""
    words = ("consume", "-t", stage.dlq, "--group", stage.live, "--port", "0", "--json")
    with subprocess.Popen(
        [sys.executable, *program, *words],
        env=environ,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as service:
        try:
            assert service.stderr is not None
            yield service, service.stderr.readline().split()[-1]
        finally:
            service.kill()


def until_page(address: str, said: Callable[[int, str], bool]) -> str:
    """The page once it is so; at most 30 s."""
    for _ in range(300):
        status, text = page(address)
        if said(status, text):
            return text
        time.sleep(0.1)
    raise AssertionError(f"{address}: {status} {text}")


def test_the_service_tells_of_itself_and_ends_in_order(
    stage: Stage, environ: dict[str, str], tmp_path: Path
) -> None:
    stage.dead([packet_letter(1, now_ns=time.time_ns())])
    with consuming(stage, environ, tmp_path) as (service, address):
        until_page(f"{address}/metrics", lambda _, text: "dlq_triage_stored_total 1.0" in text)
        assert page(f"{address}/healthz") == (200, "ok\n")
        assert page(f"{address}/readyz") == (200, "ready\n")
        service.send_signal(signal.SIGTERM)
        out, _ = service.communicate(timeout=30)
    assert service.returncode == 0
    assert json.loads(out)["stored"] == 1


def test_the_service_behind_a_lock_is_not_ready_says_so_and_ends(
    stage: Stage, environ: dict[str, str], tmp_path: Path, migrated_dsn: str
) -> None:
    with (
        closing(connect(migrated_dsn, application_name="tests", autocommit=False)) as other,
        consuming(stage, environ, tmp_path) as (service, address),
    ):
        until_page(f"{address}/readyz", lambda status, _: status == 200)
        other.execute(b"LOCK TABLE dlq_failure")
        stage.dead([packet_letter(1, now_ns=time.time_ns())])
        problem = until_page(f"{address}/readyz", lambda status, _: status == 503)
        assert "another session holds a lock" in problem
        assert page(f"{address}/healthz") == (200, "ok\n")
        service.send_signal(signal.SIGTERM)
        out, said = service.communicate(timeout=15)
    assert service.returncode == 0
    assert json.loads(out)["stored"] == 0
    assert "Traceback" not in said


def test_the_service_whose_loop_stands_still_is_not_healthy(
    stage: Stage, environ: dict[str, str], tmp_path: Path
) -> None:
    with consuming(stage, environ, tmp_path, ("-c", FREEZING)) as (service, address):
        until_page(f"{address}/readyz", lambda status, _: status == 200)
        service.send_signal(signal.SIGUSR1)
        until_page(f"{address}/healthz", lambda status, _: status == 503)
        (tmp_path / "thaw").touch()
        until_page(f"{address}/healthz", lambda status, _: status == 200)
        service.send_signal(signal.SIGTERM)
        service.communicate(timeout=30)
    assert service.returncode == 0


def page(address: str) -> tuple[int, str]:
    """Status and text."""
    try:
        with urllib.request.urlopen(address, timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_neighbours_in_the_topic(
    stage: Stage, triage: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What Kafka has around a failure, stored or not; else the stored ones, and why."""
    now_ns = time.time_ns()
    one: dict[str, Any] = {"now_ns": now_ns, "raw": good_packet()}  # all of one partition
    stage.dead([packet_letter(n, message=f"letter {n}", **one) for n in range(4)])
    triage("consume", "--once", "-t", stage.dlq, "--group", stage.live, code=3)
    [stored] = objects(triage("groups", "--json", code=3))[0]
    [shown] = objects(triage("show", str(stored["sample_id"]), "--json"))
    place = shown["record"]
    stage.dead([packet_letter(9, message="too new to be stored", **one)])

    [shown] = objects(triage("show", str(stored["sample_id"]), "--json"))
    around = shown["topic_neighbours"]
    assert shown["topic_neighbours_problem"] is None
    assert [each["offset"] for each in around] == [
        offset for offset in range(len(around) + 1) if offset != place["offset"]
    ]
    new = [each for each in around if each["failure_id"] is None]
    assert [each["message"] for each in new] == ["too new to be stored"]
    known = {each["failure_id"] for each in shown["neighbours"]}
    assert {each["failure_id"] for each in around if each not in new} == known
    table = triage("show", str(stored["sample_id"])).stdout
    assert "around it in the topic" in table
    assert "not stored" in table

    monkeypatch.setattr("kite_dead_letters.stored.ANSWER_S", 2.0)
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        no_answer = f"127.0.0.1:{silent.getsockname()[1]}"
        for bootstrap in ("", "127.0.0.1:9", no_answer):
            why = "no Kafka broker" if bootstrap else "names no broker"
            more: dict[str, str] = {"KAFKA_BOOTSTRAP": bootstrap}
            [alone] = objects(triage("show", str(stored["sample_id"]), "--json", **more))
            assert (alone["topic_neighbours"], alone["neighbours"]) == ([], shown["neighbours"])
            assert why in alone["topic_neighbours_problem"]
            assert bootstrap in alone["topic_neighbours_problem"]
            table = triage("show", str(stored["sample_id"]), **more).stdout
            assert "its topic cannot be read" in table
            assert why in table


def test_neighbours_that_kafka_no_longer_has(
    stage: Stage, triage: Command, kafka_bootstrap: str
) -> None:
    """What is stored of them is still there, beside what Kafka has kept."""
    one: dict[str, Any] = {"now_ns": time.time_ns(), "raw": good_packet()}  # all of one partition
    stage.dead([packet_letter(n, message=f"letter {n}", **one) for n in range(6)])
    triage("consume", "--once", "-t", stage.dlq, "--group", stage.live, code=3)
    stage.dead([packet_letter(9, message="too new to be stored", **one)])
    partition = next(each.partition for each in read_all(stage.settings, stage.dlq))
    middle = f"{stage.dlq}/{partition}/3"
    admin = AdminClient({"bootstrap.servers": kafka_bootstrap})

    def around_it(low: int) -> list[list[str]]:
        place = TopicPartition(stage.dlq, partition, low)
        for done in admin.delete_records([place]).values():
            done.result(30)
        table = triage("show", middle).stdout.partition("around it")[2].partition("sent back")[0]
        rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in table.splitlines()]
        return [[row[0], row[1], row[-1]] for row in rows if row and row[0].isdigit()]

    old = [[str(n), "Postgres", f"letter {n}"] for n in range(6) if n != 3]
    new = ["6", "Kafka", "too new to be stored"]
    both = [[number, "both", text] for number, _, text in old]
    assert around_it(0) == [*both, new]
    assert around_it(4) == [*old[:3], *both[3:], new]
    assert around_it(7) == old


def test_a_failure_that_stands_alone(stage: Stage, triage: Command) -> None:
    stage.dead([packet_letter(0, now_ns=time.time_ns())])
    triage("consume", "--once", "-t", stage.dlq, "--group", stage.live, code=3)
    [group] = objects(triage("groups", "--json", code=3))[0]
    shown = triage("show", str(group["sample_id"])).stdout
    assert "around it nothing is stored, and Kafka has nothing within 5 offsets" in shown
