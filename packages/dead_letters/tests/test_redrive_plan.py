"""What a redrive decides for one failure: allow-list, attempts, contract, age, known fixes."""

from __future__ import annotations

import copy
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mixed_letters import bar_value
from stage import Stage, good_packet

from kite_bars_store.failures import Failure, FailureRecord, Run, Status
from kite_broker_zerodha.packet_records import packet_record
from kite_contracts.topics import load_topics
from kite_dead_letters.redrive import Action, Planner, Rules, Step, Targets
from kite_dead_letters.redrive.corrections import Corrector
from kite_dead_letters.redrive.transforms import (
    MISSING,
    PointerError,
    Transform,
    TransformFailed,
    TransformInvalid,
    differences,
    from_mapping,
    from_settings,
    get,
    load_function,
    load_mapping,
    put,
    remove,
)
from kite_kafka_io.codec import AvroCodec
from kite_kafka_io.settings import KafkaSettings
from kite_runtime.errors import UsageError
from kite_runtime.retry import Pace

NOW_NS = 1_795_000_100_000_000_000
RUN = Run(7, NOW_NS | 15)
TARGETS = Targets(load_topics())


def failed(**fields: Any) -> Failure:
    values: dict[str, Any] = {
        "topic": "ticks.dlq",
        "partition": 0,
        "offset": 5,
        "ts_ns": NOW_NS,
        "key": None,
        "value": good_packet(),
        "headers": [(b"dlq.reason", b"AUTH"), (b"mine", b"1"), (b"__connect.errors.x", None)],
        "dialect": "kite",
        "reason": "SEMANTIC_RANGE",
        "reason_source": "header",
        "message": "",
        "fingerprint": "f",
        "contract": "tick.v1",
        "unit": "packet",
        "first_failure_ns": NOW_NS - 10**9,
    }
    status = fields.pop("status", Status.OPEN)
    at = datetime.fromtimestamp(0, UTC)
    return Failure(1, FailureRecord(**{**values, **fields}), at, at, status, "")


def step(failure: Failure, sent: int = 0, corrector: Corrector | None = None, **rules: Any) -> Step:
    return Planner(TARGETS, corrector or Corrector(), Rules(**rules)).step(failure, sent, NOW_NS)


def test_targets_are_topics_with_a_dead_letter_topic_and_never_one_of_those() -> None:
    assert "ticks" in TARGETS.names
    assert {"ticks.repair", "bars"} <= set(TARGETS.names)
    assert not [name for name in TARGETS.names if name.endswith((".dlq", ".quarantine"))]
    circle = Stage(KafkaSettings("x:1"), "a").specs()
    circle[1] = replace(circle[1], dlq="a", subject="tick")  # a dead-letter topic with one itself
    assert "a.dlq" not in Targets(circle).names


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ({}, "ticks"),
        ({"origin_topic": "ticks"}, "ticks"),
        ({"contract": None}, "ticks"),
        ({"topic": "bars.dlq", "contract": "bar.v1"}, "bars"),
        (
            {"topic": "bars.dlq"},
            "it names no origin, and bars.dlq is the dead-letter topic of none",
        ),
        ({"topic": "orders_dlq"}, "it names no origin, and orders_dlq is the dead-letter topic of"),
        ({"origin_topic": "ticks.dlq"}, "its origin ticks.dlq is not on the allow-list (ticks, "),
        ({"origin_topic": "feed.events"}, "its origin feed.events is not on the allow-list"),
        ({"origin_topic": ""}, "its origin  is not on the allow-list"),
    ],
)
def test_where_a_failure_may_go(fields: dict[str, Any], found: str) -> None:
    target = TARGETS.find(failed(**fields).record)
    assert (target if isinstance(target, str) else target.topic).startswith(found)


@pytest.mark.parametrize("status", [each for each in Status if each is not Status.OPEN])
def test_what_is_settled_is_passed_over(status: Status) -> None:
    found = step(failed(status=status))
    assert (found.action, found.why) == (Action.SKIP, f"it is {status}; reopen it to redrive it")


@pytest.mark.parametrize(
    ("attempt", "sent", "action", "target"),
    [
        (1, 0, Action.REDRIVE, "ticks"),
        (1, 1, Action.REDRIVE, "ticks"),
        (2, 0, Action.REDRIVE, "ticks"),
        (3, 0, Action.QUARANTINE, "ticks.quarantine"),
        (1, 2, Action.QUARANTINE, "ticks.quarantine"),
        (2**63 - 1, 5, Action.QUARANTINE, "ticks.quarantine"),
    ],
)
def test_three_tries_and_then_the_quarantine(
    attempt: int, sent: int, action: Action, target: str
) -> None:
    found = step(failed(attempt=attempt), sent)
    assert (found.action, found.target) == (action, target)


def test_what_is_in_quarantine_stays_there() -> None:
    found = step(failed(topic="ticks.quarantine", attempt=9))
    assert found.action is Action.REFUSE
    assert found.why.endswith("it is in ticks.quarantine already")


def test_a_stale_tick_goes_to_the_repair_topic_and_a_bar_has_no_age() -> None:
    old = failed(first_failure_ns=NOW_NS - 61 * 10**9)
    assert step(old).target == "ticks.repair"
    assert step(old, stale_after_s=61.0).target == "ticks"
    bar = failed(topic="bars.dlq", contract="bar.v1", value=bar_value(5), unit="record")
    assert step(bar).target == "bars"


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"value": None}, "its value is null"),
        ({"value": b""}, "it has no bytes"),
        ({"value": b"123"}, "Kite documents no packet of this length (3 bytes)"),
        ({"value": b"123", "unit": "frame-tail"}, "it is a piece of a frame and no record"),
        ({"value": b"123", "unit": "journal"}, "it is a piece of the journal"),
        ({"value": b"\x7fabc", "unit": "record"}, "its 4 bytes are no tick in any form"),
        ({"value": b"{", "unit": "record"}, "it is no JSON"),
        (
            {"value": b'{"a":' * 600 + b"1" + b"}" * 600, "unit": "record"},
            "it is no JSON to correct: nested deeper than 128 levels",
        ),
        ({"value": b'{"a": 1}', "unit": "record"}, "tick.v1 refuses it: (record): "),
        ({"value": bar_value(5), "unit": "record"}, "it is a bar, not a tick"),
        (
            {"value": b"\xc3\x01" + bytes(8), "unit": "record"},
            "The value has a schema unknown here",
        ),
        ({"value": bytes(5), "unit": "record"}, "the value is no Avro single object"),
    ],
)
def test_what_is_no_good_record_today_is_refused_with_the_reason(
    fields: dict[str, Any], why: str
) -> None:
    found = step(failed(**fields))
    assert found.action is Action.REFUSE
    assert found.why.startswith(why)


def test_what_a_person_gives_up_is_quarantined_whatever_it_is() -> None:
    for fields in ({}, {"value": bytes(5), "unit": "record"}):
        found = step(failed(**fields), attempts_max=0)
        assert (found.action, found.why) == (Action.QUARANTINE, "it is given up")
    assert step(failed(status=Status.RESOLVED), attempts_max=0).action is Action.SKIP


def test_the_record_to_produce() -> None:
    planner = Planner(TARGETS)
    entry = planner.entry(step(failed()), RUN, 9)
    record = AvroCodec().decode(entry.value or b"").record
    assert (record["feed_session"], record["feed_seq"]) == (RUN.feed_session, 9)
    assert record["ts_recv_ns"] == NOW_NS - 10**9
    assert entry.key == b"%d" % record["instrument_token"]
    names = [name for name, _ in entry.headers]
    assert names == [
        b"mine",
        b"dlq.redrive_id",
        b"dlq.redriven_from",
        b"dlq.attempt",
        b"dlq.first_failure_ns",
    ]
    assert (entry.kind, entry.attempt, entry.position) == ("redriven", 2, 9)
    again = planner.entry(step(failed()), Run(8, 1), 1)
    assert again.redrive_id == entry.redrive_id
    other = planner.entry(step(failed(), sent=1), RUN, 9)
    assert other.redrive_id != entry.redrive_id


def test_a_quarantined_record_is_as_it_was() -> None:
    failure = failed(attempt=3, key=b"k")
    entry = Planner(TARGETS).entry(step(failure), RUN, 1)
    assert (entry.key, entry.value, entry.kind) == (b"k", good_packet(), "quarantined")
    assert entry.headers[:3] == failure.record.headers


def test_json_and_older_forms_become_todays_avro() -> None:
    record = AvroCodec().decode(bar_value(5)).record
    failure = failed(
        topic="bars.dlq", contract="bar.v1", unit="record", value=orjson.dumps(record), key=b"old"
    )
    entry = Planner(TARGETS).entry(step(failure), RUN, 1)
    assert entry.value == AvroCodec().encode("bar", record) != bar_value(5)
    assert entry.key == b"408065"


def test_fields_that_may_be_left_out_get_their_default() -> None:
    record = packet_record(good_packet(), ts_recv_ns=NOW_NS, feed_session=1, feed_seq=2)
    assert record is not None
    record["trade"]["last_trade_time_ns"] = None
    full = AvroCodec().decode(AvroCodec().encode("tick", record)).record
    short = {name: value for name, value in record.items() if name != "index_change"}
    short["trade"] = {k: v for k, v in record["trade"].items() if k != "last_trade_time_ns"}
    corrector = Corrector()
    corrected = corrector.correct(failed(unit="record", value=orjson.dumps(short)).record, "tick")
    assert AvroCodec().decode(corrector.encode("tick", corrected.record)).record == full
    assert "index_change" not in short
    entry = Planner(TARGETS).entry(step(failed(unit="record", value=orjson.dumps(short))), RUN, 1)
    assert AvroCodec().decode(entry.value or b"").record["depth"] == full["depth"]
    lacking = {name: value for name, value in record.items() if name != "last_price"}
    assert step(failed(unit="record", value=orjson.dumps(lacking))).action is Action.REFUSE


def test_a_fix_is_applied_before_the_check_and_told() -> None:
    bad = good_packet()[:60] + b"\x00\x00\x00\x05" + good_packet()[64:]
    failure = failed(value=bad)
    assert step(failure).action is Action.REFUSE
    found = step(failure, corrector=Corrector(transform=from_settings(["/ts_event_ns=null"])))
    assert found.action is Action.REDRIVE
    assert [(each.path, each.before, each.after) for each in found.changes] == [
        ("/ts_event_ns", 5_000_000_000, None)
    ]


def test_a_fix_gets_the_bytes_where_they_do_not_decode() -> None:
    given_to: list[Any] = []

    def cut(record: Any) -> Any:
        given_to.append(record)
        return record[2:] if isinstance(record, bytes) else record

    transform = Transform("cut", bytes(32), cut)
    failure = failed(unit="frame-tail", value=b"\x00\xb8" + good_packet())
    refused = step(failure, corrector=Corrector(transform=transform))
    assert given_to == [failure.record.value]
    assert refused.action is Action.REFUSE  # a packet, and a frame's tail is no packet
    whole = step(replace_unit(failure), corrector=Corrector(transform=transform))
    assert whole.action is Action.REDRIVE


def replace_unit(failure: Failure) -> Failure:
    return replace(failure, record=replace(failure.record, unit=None))


def test_a_fix_that_fails_or_declines_refuses_that_record() -> None:
    def raises(record: Any) -> Any:
        raise TransformFailed("the transform failed: KeyError: 'x'")

    why = step(failed(), corrector=Corrector(transform=Transform("t", bytes(32), raises))).why
    assert why == "the transform failed: KeyError: 'x'"
    declines = Transform("t", bytes(32), lambda record: None)
    assert step(failed(), corrector=Corrector(transform=declines)).why == (
        "the transform leaves it as it is"
    )


def test_functions_of_files(tmp_path: Path) -> None:
    path = tmp_path / "fix.py"
    path.write_text(
        "def fix(r):\n    r['a'] = 1 / r['b']\n    return r if r['b'] > 1 else 5\nx = 3\n"
    )
    fix = load_function(f"{path}:fix")
    assert fix.name == "fix.py:fix"
    assert fix.apply({"b": 2}) == {"b": 2, "a": 0.5}
    with pytest.raises(TransformFailed, match="ZeroDivisionError: division by zero"):
        fix.apply({"b": 0})
    with pytest.raises(TransformFailed, match="returned int; dict, bytes or None is due"):
        fix.apply({"b": 1})
    path.write_text(path.read_text() + "# another source\n")
    assert load_function(f"{path}:fix").sha256 != fix.sha256
    broken = tmp_path / "broken.py"
    broken.write_text("import no_such_module_at_all")
    for named, says in {
        str(path): "write it like --transform fix.py:function",
        f"{path}:no": "has no function no",
        f"{path}:x": "has no function x",
        f"{tmp_path / 'none.py'}:f": "cannot be read",
        f"{broken}:f": "does not load: ModuleNotFoundError",
    }.items():
        with pytest.raises(UsageError, match=says):
            load_function(named)


def test_mappings_set_copy_and_remove_under_a_condition(tmp_path: Path) -> None:
    path = tmp_path / "fix.toml"
    path.write_text(
        '[[change]]\npath = "/a/b"\nvalue = 2\n'
        '[[change]]\npath = "/c"\ncopy = "/a/b"\n'
        '[[change]]\npath = "/d"\nremove = true\nwhen = { "/c" = 2 }\n'
        '[[change]]\npath = "/l/0"\nvalue = "x"\nwhen = { "/c" = 3 }\n'
    )
    fix = load_mapping(path)
    assert fix.apply({"a": {"b": 1}, "d": 4, "l": [1]}) == {"a": {"b": 2}, "c": 2, "l": [1]}
    with pytest.raises(TransformFailed, match="/a/b leads nowhere"):
        fix.apply({"d": 4})
    with pytest.raises(TransformFailed, match="do not decode"):
        fix.apply(b"bytes")
    with pytest.raises(UsageError, match="cannot be read"):
        load_mapping(tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("x", "no TOML"),
        ("", "must hold .*change"),
        ("[[change]]\npath='/a'", "change 1 needs path and one of"),
        ("[[change]]\npath='/a'\nvalue=1\nremove=true", "change 1 needs path and one of"),
        ("[[change]]\npath='/a'\nremove=false", "remove must be true"),
        ("[[change]]\npath='a'\nvalue=1", "'a' is no JSON Pointer"),
        ("[[change]]\npath='/a'\nvalue=1\nhow=2", "unknown key 'how'"),
        ("[[change]]\npath='/a'\nvalue=1\nwhen=2", "when must be a table"),
        ("[[change]]\npath='/a'\nvalue=1\n[other]", "and nothing else"),
    ],
)
def test_a_wrong_mapping_is_one_sentence(text: str, says: str) -> None:
    with pytest.raises(TransformInvalid, match=says):
        from_mapping(text, "fix.toml")


def test_settings_are_json_or_text() -> None:
    fix = from_settings(["/a=1", "/b=word", '/c={"d": null}', "/e=a=b"])
    assert fix.apply({}) == {"a": 1, "b": "word", "c": {"d": None}, "e": "a=b"}
    for wrong in ("/a", "a=1"):
        with pytest.raises(TransformInvalid, match="--set"):
            from_settings([wrong])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)


@given(before=JSON, after=JSON)
def test_differences_lead_from_one_to_the_other(before: Any, after: Any) -> None:
    before, after = {"r": before}, {"r": after}
    found = list(differences(before, after))
    assert (found == []) == (before == after and repr(before) == repr(after))
    made = copy.deepcopy(before)
    for path, old, new in found:
        assert get(before, path) is MISSING or get(before, path) == old
        if new is MISSING:
            remove(made, path)
        else:
            put(made, path, copy.deepcopy(new))
    assert made == after


def test_pointers_that_lead_nowhere() -> None:
    for pointer in ("/a/b", "/l/2", "/l/x", "/l/0/z"):
        with pytest.raises(PointerError, match="leads nowhere"):
            put({"l": [1, 2]}, pointer, 1)
    assert get({"l": [1]}, "/l/5") is MISSING
    record = {"a~b": {"c/d": 1}}
    assert get(record, "/a~0b/c~1d") == 1
    remove(record, "/a~0b/nothing")
    assert record == {"a~b": {"c/d": 1}}


def test_the_pace_spreads_records_and_never_makes_up_for_a_pause() -> None:
    pace = Pace(10)
    assert [pace.wait_s(5.0) for _ in range(3)] == pytest.approx([0.0, 0.1, 0.2])
    assert pace.wait_s(60.0) == 0.0
    assert pace.wait_s(60.0) == pytest.approx(0.1)
    free = Pace(0)
    assert [free.wait_s(1.0) for _ in range(3)] == [0.0, 0.0, 0.0]
    with pytest.raises(ValueError, match="-1"):
        Pace(-1)
