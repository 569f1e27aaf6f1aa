"""``sync`` and ``publish`` in processes: real Postgres, real Kafka, simulated Kite."""

from __future__ import annotations

import base64
import gzip
import json
import signal
from collections.abc import Callable
from contextlib import closing
from datetime import date, datetime, timedelta
from typing import Any

import psycopg
import pytest
from confluent_kafka import Consumer, Message
from dumps import IST, dump, future, option, row

from kite_bars_store.database.connection import lock_key
from kite_kafka_io.codec import AvroCodec
from kite_kafka_io.dead_letters import read_dead_letter
from kite_runtime.testing import Place
from kite_simulator import RestFault, RestSimulator
from kite_simulator.master import Master

TODAY = datetime.now(IST).date()
LATER = TODAY + timedelta(days=20)
ROWS = [
    future("NIFTY", LATER, 1),
    future("M&M", LATER, 2),
    option("BAJAJ-AUTO", LATER, "9000.5", "CE", 3),
    *(option("NIFTY", LATER, str(24000 + 50 * step), "PE", 10 + step) for step in range(10)),
]

ODD = row("ODD", 50, exchange="NFO").replace(",1,EQ", ",many,EQ")


def kite_has(kite: RestSimulator, *rows: str) -> None:
    kite.service.master = Master(dump(*rows))


def count(dsn: str, table: str) -> int:
    with closing(psycopg.connect(dsn)) as connection:
        (found,) = connection.execute(f"SELECT count(*) FROM {table}").fetchone() or (0,)
    return int(found)


def records(place: Place, topic: str) -> list[Message]:
    """Everything in a topic of one partition, to its end."""
    config = {"group.id": topic, "auto.offset.reset": "earliest", "enable.partition.eof": True}
    reader = Consumer({"bootstrap.servers": place.env["KAFKA_BOOTSTRAP"], **config})
    reader.subscribe([topic])
    found = []
    while True:
        message = reader.poll(30)
        assert message is not None
        if message.error():
            break
        found.append(message)
    reader.close()
    return found


def key(message: Message) -> str | None:
    found: Any = message.key()
    return None if found is None else found.decode()


def reason(message: Message) -> str:
    headers: Any = message.headers()
    return read_dead_letter(message.value(), headers).reason


def test_the_master_is_recorded_once(place: Place) -> None:
    first = place("sync", "--json")
    assert first.code == 0, first.stderr
    (outcome,) = first.json()
    assert (outcome["exchanges"], outcome["new"], outcome["rows_refused"]) == (["NFO"], True, 0)
    assert outcome["added"] == outcome["rows_read"] > 1_000
    assert outcome["observed_on"] == TODAY.isoformat()
    second = place("sync")
    assert second.code == 0
    assert "nothing new" in second.stdout
    assert count(place.env["POSTGRES_DSN"], "instrument_batch") == 1


def test_several_exchanges_and_all_of_them(place: Place) -> None:
    both = place("sync", "--exchange", "nse", "--exchange", "NFO", "--json")
    assert [outcome["exchanges"] for outcome in both.json()] == [["NSE"], ["NFO"]]
    everything = place("sync", "--all", "--json")
    assert everything.code == 0, everything.stderr
    assert {"NSE", "NFO", "CDS", "MCX"} <= set(everything.json()[0]["exchanges"])
    listed = place("days", "--json").json()
    assert [batch["batch_id"] for batch in listed] == [1, 2, 3]
    assert "Kite" in place("days").stdout


def test_changes_are_counted_and_published(
    place: Place, kite: RestSimulator, topics: tuple[str, str]
) -> None:
    kite_has(kite, *ROWS)
    first = place("sync")
    assert first.code == 0, first.stderr
    assert f"{len(ROWS)} instruments, 0 gone" in first.stderr
    moved = option("NIFTY", LATER, "24450", "PE", 77)  # the last of ROWS on another token
    renamed = ROWS[2].replace("9000.5", "8950.25")
    kite_has(kite, *ROWS[:2], renamed, *ROWS[4:-1], moved, row("NEW", 99, exchange="NFO"))
    second = place("sync", "--json", "--max-drop", "50%")
    (outcome,) = second.json()
    assert {name: outcome[name] for name in ("added", "changed", "removed", "unchanged")} == {
        "added": 2,
        "changed": 1,
        "removed": 2,
        "unchanged": len(ROWS) - 3,
    }
    assert (outcome["renamed"], outcome["moved"]) == (1, 1)
    assert "3 instruments, 2 gone" in second.stderr
    found = records(place, topics[0])
    codec = AvroCodec()
    last: dict[str | None, dict[str, Any] | None] = {}
    for message in found:
        value = message.value()
        last[key(message)] = None if value is None else codec.decode(value).record
    assert len(found) == len(ROWS) + 5
    listed = last[f"NFO:M&M{f'{LATER:%y%b}'.upper()}FUT"]
    assert listed is not None
    assert listed["observed_on"] == TODAY.isoformat()
    gone = [name for name, record in last.items() if record is None]
    assert len(gone) == 2
    assert place("publish").stderr.strip().endswith("nothing new")
    assert f"{len(last) - 2} instruments, 0 gone" in place("publish", "--all").stderr


def test_refused_rows_are_dead_letters_and_their_instruments_stay(
    place: Place, kite: RestSimulator, topics: tuple[str, str]
) -> None:
    kite_has(kite, *ROWS)
    place("sync")
    bad = ROWS[1].replace(f"{2 << 8 | 2},", "0,")
    kite_has(kite, ROWS[0], bad, *ROWS[2:], ODD)
    done = place("sync", "--dead-letters", "dead.jsonl", "--json")
    assert done.code == 3, done.stderr
    (outcome,) = done.json()
    assert (outcome["rows_refused"], outcome["kept"], outcome["removed"]) == (2, 1, 0)
    assert outcome["refused_by_reason"] == {"SCHEMA_INVALID": 1, "SEMANTIC_RANGE": 1}
    letters = [json.loads(line) for line in place.read("dead.jsonl").splitlines()]
    assert base64.b64decode(letters[0]["raw"]).decode() == bad
    assert "line 3: /instrument_token: 0 is less than the minimum" in letters[0]["message"]
    again = place("sync", "--dead-letters", "dead.jsonl")
    assert again.code == 3
    found = records(place, topics[1])  # twice in a row is one letter a row
    symbol = f"NFO:M&M{f'{LATER:%y%b}'.upper()}FUT"
    assert [key(each) for each in found] == [symbol, "NFO:ODD"]
    assert [reason(each) for each in found] == ["SEMANTIC_RANGE", "SCHEMA_INVALID"]
    assert place("lookup", symbol).code == 0


def test_without_kafka_nothing_is_lost(
    place: Place, kite: RestSimulator, topics: tuple[str, str]
) -> None:
    kite_has(kite, *ROWS)
    away = place("sync", KAFKA_BOOTSTRAP="127.0.0.1:9")
    assert away.code == 75
    assert away.sentence.startswith("recorded but not published (no Kafka broker answers")
    assert away.sentence.endswith("run it again")
    unset = place("sync", KAFKA_BOOTSTRAP="")
    assert unset.code == 0
    assert "KAFKA_BOOTSTRAP is not set); 1 batches wait" in unset.stderr
    missing = place("sync", INSTRUMENTS_TOPIC="nowhere-at-all")
    assert missing.code == 78
    assert "topic nowhere-at-all does not exist" in missing.sentence
    assert place("days", "--json").json()[0]["published"] is False
    assert place("sync").code == 0
    assert len(records(place, topics[0])) == len(ROWS)
    assert place("days", "--json").json()[0]["published"] is True


def test_a_dry_run_writes_nothing(place: Place, kite: RestSimulator) -> None:
    kite_has(kite, *ROWS, ODD, ROWS[0].replace("NIFTY", "OTHER"))
    dry = place("sync", "--dry-run", "--json")
    assert dry.code == 3
    assert dry.json()[0]["added"] == len(ROWS) + 1
    assert dry.json()[0]["batch_id"] is None
    assert "line 15: SCHEMA_INVALID" in dry.stderr
    assert count(place.env["POSTGRES_DSN"], "instrument_batch") == 0
    assert not (place.folder / "state").exists()


def test_a_file_plain_or_packed_with_its_day(place: Place) -> None:
    day = date(2026, 8, 12)
    rows = dump(option("NIFTY", date(2026, 8, 25), "24000", "CE", 1))
    place.write("dump.csv.gz", gzip.compress(rows))
    place.write("dump.csv", rows)
    done = place("sync", "--file", "dump.csv.gz", "--date", str(day), "--json")
    assert done.json()[0]["observed_on"] == "2026-08-12"
    assert "nothing new" in place("sync", "--file", "dump.csv", "--date", str(day)).stdout
    found = place("lookup", "--underlying", "NIFTY", "--as-of", "2026-08-20", "--json")
    assert [line["strike"] for line in found.json()] == ["24000"]


@pytest.mark.parametrize(
    ("fault", "code", "says"),
    [
        (RestFault.HTML, 75, "text/html"),
        (RestFault.EMPTY, 75, "empty file"),
        (RestFault.CUT_GZIP, 75, "ends in the middle"),
        (RestFault.SERVER, 75, "Kite is not available"),
        (RestFault.INPUT, 1, "Kite refuses the call"),
        (RestFault.REFUSE, 1, "Kite refuses the login"),
    ],
)
def test_what_kite_answers_wrongly(
    place: Place, kite: RestSimulator, fault: RestFault, code: int, says: str
) -> None:
    kite_has(kite, *ROWS)
    assert place("sync").code == 0
    kite.service.fail_next(fault, 9)
    done = place("sync")
    assert done.code == code, done.stderr
    assert says in done.sentence
    assert place("days", "--json").json()[0]["rows_good"] == len(ROWS)


def test_passing_trouble_is_waited_out(place: Place, kite: RestSimulator) -> None:
    kite_has(kite, *ROWS)
    kite.service.fail_next(RestFault.TOO_MANY, 2)
    done = place("sync")
    assert done.code == 0
    assert done.stderr.count("again in") == 2


def test_ctrl_c_in_the_middle_leaves_nothing_half_written(
    place: Place, kite: RestSimulator
) -> None:
    kite_has(kite, *ROWS)
    dsn = place.env["POSTGRES_DSN"]
    with psycopg.connect(dsn) as holder:  # another writer, so that the sync has to wait
        holder.execute("SELECT pg_advisory_xact_lock(%s)", [lock_key("instruments of kite")])
        running = place.start("sync")
        running.until(lambda: waits_for_lock(dsn), "waiting for the lock")
        done = running.finish(signal.SIGINT)
    assert done.code == 130
    assert done.sentence == "stopped by Ctrl-C"
    assert count(dsn, "instrument_batch") == count(dsn, "instrument_observation") == 0
    assert place("sync").code == 0


def waits_for_lock(dsn: str) -> bool:
    with closing(psycopg.connect(dsn)) as connection:
        found = connection.execute(
            "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted "
            "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        ).fetchone()
    return found is not None


def test_the_projection_is_made_anew(place: Place, kite: RestSimulator) -> None:
    kite_has(kite, *ROWS)
    place("sync")
    before = place("lookup", "--exchange", "NFO", "--json").stdout
    done = place("rebuild")
    assert done.stdout == f"{len(ROWS)} validity ranges rebuilt\n"
    assert place("lookup", "--exchange", "NFO", "--json").stdout == before


def test_a_token_is_used_only_when_kite_asks_for_it(place: Place, kite: RestSimulator) -> None:
    kite_has(kite, *ROWS)
    make: Callable[..., str] = kite.account.log_in
    exchanged = place("auth", "exchange", make("dummy"))
    assert exchanged.code == 0
    kite.account.expire()  # a dead token would be refused
    assert place("sync").code == 0
    kite.service.fail_next(RestFault.REFUSE, 1)
    refused = place("sync")
    assert refused.code == 1
    assert "Kite refuses the login" in refused.sentence
