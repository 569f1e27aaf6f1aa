"""``dump`` against a real Kafka: what is written is what is there, however it is asked for."""

from __future__ import annotations

import base64
import os
import signal
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from mixed_letters import MAKERS, Mixed, mixed_letters, produce

from kite_dead_letters import dump as dumping
from kite_dead_letters.classify import Classifier
from kite_kafka_io.raw_reader import RawReader
from kite_kafka_io.settings import KafkaSettings
from kite_kafka_io.spans import Span
from kite_runtime.testing import import_path

COUNT = len(MAKERS) * 12
MakeTopic = Callable[..., str]


def triage(bootstrap: str, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        command(*arguments), env=_env(bootstrap), cwd=cwd, capture_output=True, timeout=120
    )


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "kite_dlq_triage.cli", *arguments]


def _env(bootstrap: str) -> dict[str, str]:
    own = {"PYTHONPATH": import_path(), "KAFKA_BOOTSTRAP": bootstrap, "COLUMNS": "160"}
    return {**os.environ, **own}


def lines_of(data: bytes) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in data.splitlines()]


@pytest.fixture()
def filled(kafka_bootstrap: str, make_topic: MakeTopic) -> tuple[str, list[Mixed]]:
    topic = make_topic(1)
    letters = list(mixed_letters(7, COUNT))
    produce(kafka_bootstrap, topic, letters)
    return topic, letters


def test_a_dump_is_what_is_there(
    kafka_bootstrap: str, filled: tuple[str, list[Mixed]], tmp_path: Path
) -> None:
    topic, letters = filled
    done = triage(kafka_bootstrap, "--topic", topic, "--dump", "out.jsonl", cwd=tmp_path)
    assert (done.returncode, done.stderr.count(b"Traceback")) == (3, 0), done.stderr
    lines = lines_of((tmp_path / "out.jsonl").read_bytes())
    assert [line["offset"] for line in lines] == list(range(COUNT))
    found = [None if line["value"] is None else base64.b64decode(line["value"]) for line in lines]
    assert found == [letter.value for letter in letters]
    assert [path.name for path in tmp_path.iterdir()] == ["out.jsonl"]
    table = done.stdout.decode()
    for reason, count in Counter(line["reason"] for line in lines).items():
        assert any(reason in row and f" {count} " in row for row in table.splitlines()), reason


def test_an_empty_topic_is_no_finding(
    kafka_bootstrap: str, make_topic: MakeTopic, tmp_path: Path
) -> None:
    done = triage(kafka_bootstrap, "--topic", make_topic(2), "--dump", "o.jsonl", cwd=tmp_path)
    assert done.returncode == 0
    assert b"no dead letters in" in done.stdout
    assert b" with " not in done.stdout
    assert (tmp_path / "o.jsonl").read_bytes() == b""


@pytest.mark.parametrize(
    "limits",
    [
        ("--until", "2000-01-01"),
        ("--from", "2000-01-01", "--until", "2000-01-02"),
        ("--until", "0", "--reason", "AUTH"),
    ],
)
def test_nothing_within_limits_is_not_an_empty_topic(
    kafka_bootstrap: str, filled: tuple[str, list[Mixed]], tmp_path: Path, limits: tuple[str, ...]
) -> None:
    done = triage(kafka_bootstrap, "--topic", filled[0], *limits, cwd=tmp_path)
    assert done.returncode == 0
    assert f"no dead letters in {filled[0]} with {' '.join(limits)} (" in done.stdout.decode()


def test_reasons_offsets_and_json(
    kafka_bootstrap: str, filled: tuple[str, list[Mixed]], tmp_path: Path
) -> None:
    topic, letters = filled
    asked = (
        "--topic",
        topic,
        "--dump",
        "-",
        "--reason",
        "too_large",
        "--from",
        "5",
        "--until",
        "99",
    )
    done = triage(kafka_bootstrap, *asked, "--json", cwd=tmp_path)
    lines = lines_of(done.stdout)
    assert {line["reason"] for line in lines} == {"TOO_LARGE"}
    wanted = [n for n in range(5, 99) if letters[n].intended == "TOO_LARGE"]
    assert [line["offset"] for line in lines] == wanted
    summary = orjson.loads(done.stderr.splitlines()[-1])
    assert (summary["read"], summary["count"]) == (94, len(lines))
    done = triage(
        kafka_bootstrap,
        "--topic",
        topic,
        "--reason",
        "AUTH",
        "--from",
        "99",
        "--until",
        "99",
        cwd=tmp_path,
    )
    assert done.returncode == 0


def test_times_and_partitions(kafka_bootstrap: str, make_topic: MakeTopic, tmp_path: Path) -> None:
    topic = make_topic(3)
    produce(kafka_bootstrap, topic, mixed_letters(1, 300))
    time.sleep(0.01)
    middle_ns = time.time_ns() // 1_000_000 * 1_000_000
    produce(kafka_bootstrap, topic, mixed_letters(2, 200))
    stamp = _iso(middle_ns)
    after = triage(kafka_bootstrap, "--topic", topic, "--dump", "-", "--from", stamp, cwd=tmp_path)
    before = triage(
        kafka_bootstrap, "--topic", topic, "--dump", "-", "--until", stamp, cwd=tmp_path
    )
    late, early = lines_of(after.stdout), lines_of(before.stdout)
    assert len(late) + len(early) == 500
    assert min(line["ts_ns"] for line in late) >= middle_ns > max(line["ts_ns"] for line in early)
    one = triage(kafka_bootstrap, "--topic", topic, "--dump", "-", "--partition", "1", cwd=tmp_path)
    wanted = Counter(line["partition"] for line in late + early)
    assert Counter(line["partition"] for line in lines_of(one.stdout)) == {1: wanted[1]}


def _iso(ns: int) -> str:
    second = datetime.fromtimestamp(ns // 10**9, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{second}.{ns % 10**9 // 1000:06d}"


def test_a_group_goes_on_where_the_last_dump_ended(
    kafka_bootstrap: str, filled: tuple[str, list[Mixed]], tmp_path: Path
) -> None:
    topic, _ = filled
    group = ("--topic", topic, "--group", f"g-{uuid.uuid4().hex}", "--dump")
    first = triage(kafka_bootstrap, *group, "a.jsonl", cwd=tmp_path)
    second = triage(kafka_bootstrap, *group, "b.jsonl", cwd=tmp_path)
    produce(kafka_bootstrap, topic, mixed_letters(3, 30))
    third = triage(kafka_bootstrap, *group, "c.jsonl", cwd=tmp_path)
    sizes = [len(lines_of((tmp_path / f"{name}.jsonl").read_bytes())) for name in "abc"]
    assert sizes == [COUNT, 0, 30]
    assert [done.returncode for done in (first, second, third)] == [3, 0, 3]


@pytest.mark.parametrize("group", [(), ("--group", f"follow-{uuid.uuid4().hex}")])
def test_following_ends_with_ctrl_c_and_a_whole_file(
    kafka_bootstrap: str, make_topic: MakeTopic, tmp_path: Path, group: tuple[str, ...]
) -> None:
    topic = make_topic(2)
    produce(kafka_bootstrap, topic, mixed_letters(1, 40))
    with subprocess.Popen(
        command("--topic", topic, "--follow", "--dump", "out.jsonl", *group),
        env=_env(kafka_bootstrap),
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        part = tmp_path / "out.jsonl.part"
        _wait_for(lambda: part.exists() and part.read_bytes().count(b"\n") == 40)
        produce(kafka_bootstrap, topic, mixed_letters(2, 25))
        _wait_for(lambda: part.read_bytes().count(b"\n") == 65)
        process.send_signal(signal.SIGINT)
        _, complaint = process.communicate(timeout=30)
    assert process.returncode == 3, complaint
    assert len(lines_of((tmp_path / "out.jsonl").read_bytes())) == 65
    assert not part.exists()


def _wait_for(condition: Callable[[], bool], within_s: float = 60.0) -> None:
    ends_s = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < ends_s
        time.sleep(0.05)


def test_ctrl_c_leaves_whole_lines_and_says_where(
    kafka_bootstrap: str, make_topic: MakeTopic, tmp_path: Path
) -> None:
    topic = make_topic(1)
    produce(kafka_bootstrap, topic, mixed_letters(1, 120_000))
    with subprocess.Popen(
        command("--topic", topic, "--dump", "out.jsonl"),
        env=_env(kafka_bootstrap),
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        part = tmp_path / "out.jsonl.part"
        _wait_for(lambda: part.exists() and part.stat().st_size > 0)
        process.send_signal(signal.SIGTERM)
        _, complaint = process.communicate(timeout=30)
    assert process.returncode == 130
    lines = lines_of(part.read_bytes())
    assert 0 < len(lines) < 120_000
    assert f"{len(lines):,} whole lines are in out.jsonl.part" in complaint.decode()
    assert not (tmp_path / "out.jsonl").exists()


STOPPED_WHILE_IT_PREPARES = """
import os, signal
from kite_dlq_triage.cli import main
from kite_kafka_io import registry
registry.open_framing = lambda settings: os.kill(os.getpid(), signal.{name})
main()
"""


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_who_stops_it_while_it_prepares_is_told(
    kafka_bootstrap: str, filled: tuple[str, list[Mixed]], tmp_path: Path, name: str
) -> None:
    done = subprocess.run(
        [
            *(sys.executable, "-c", STOPPED_WHILE_IT_PREPARES.format(name=name)),
            *("--topic", filled[0], "--dump", "out.jsonl"),
        ],
        env=_env(kafka_bootstrap),
        cwd=tmp_path,
        capture_output=True,
        timeout=120,
    )
    assert done.returncode == 130, done
    assert b"stopped before the end: 0 whole lines are in out.jsonl.part" in done.stderr
    assert (tmp_path / "out.jsonl.part").read_bytes() == b""
    assert not (tmp_path / "out.jsonl").exists()


def test_records_that_the_times_leave_out_are_no_silence(
    kafka_bootstrap: str, filled: tuple[str, list[Mixed]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dumping, "SILENCE_S", 0.0)
    kafka = KafkaSettings(bootstrap=kafka_bootstrap)
    with RawReader(kafka, [filled[0]], span=Span(until_ns=1)) as reader:
        work, arrived = dumping.Dump(reader, Classifier(), None), 0
        while not reader.finished:
            arrived += work.step(0.2)
        assert (arrived, work.summary.read) == (COUNT, 0)


WITHOUT_COMPILER = """
import sys
from kite_dlq_triage.cli import main
sys.modules["numba"] = None
main()
"""


def test_a_dump_needs_no_compiler(
    kafka_bootstrap: str, filled: tuple[str, list[Mixed]], tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_COMPILER, "--topic", filled[0], "--dump", "out.jsonl"],
        env=_env(kafka_bootstrap),
        cwd=tmp_path,
        capture_output=True,
        timeout=120,
    )
    assert done.returncode == 3, done.stderr
    assert (tmp_path / "out.jsonl").read_bytes().count(b"\n") == COUNT


def test_wrong_use_is_one_sentence(
    kafka_bootstrap: str, make_topic: MakeTopic, tmp_path: Path
) -> None:
    topic = make_topic(1)
    cases = {
        ("--topic", "nope"): (78, "topic nope does not exist"),
        ("--topic", "nope*"): (78, "matches nope*"),
        ("--reason", "x"): (2, "--reason x is no reason code"),
        ("--follow",): (2, "--follow writes lines"),
        ("--follow", "--dump", "-", "--until", "1h"): (2, "--follow has no end"),
        ("--topic", topic, "--from", "soon"): (2, "--from 'soon' is not an offset"),
        ("--topic", topic, "--dump", "/proc/nope"): (1, "/proc/nope.part cannot be written"),
    }
    for arguments, (code, sentence) in cases.items():
        done = triage(kafka_bootstrap, *arguments, cwd=tmp_path)
        last = done.stderr.decode().splitlines()[-1]
        assert (done.returncode, sentence in last) == (code, True), (arguments, last)
    away = triage("127.0.0.1:9", "--topic", "a", cwd=tmp_path)
    assert (away.returncode, away.stderr.count(b"\n")) == (75, 1)
    none = triage("", "--topic", "a", cwd=tmp_path)
    assert none.returncode == 78
