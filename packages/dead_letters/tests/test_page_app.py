"""The page over the real Postgres: what it shows, what it does, what it does not let through."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing

import pytest
from page_stage import TOPIC, Browser, browser, failures, make_site, store_mixed, store_records

from kite_bars_store.database import connect
from kite_bars_store.failures import FailureRecord, Group, Selection, Status
from kite_contracts.reasons import ReasonCode
from kite_dead_letters.page import changing, reading, redriving
from kite_devstack.databases import database

HOSTILE = "<script>alert(1)</script>\"'&{{ 7*7 }}"


def letter(offset: int = 0, **fields: object) -> FailureRecord:
    values: dict[str, object] = {
        "topic": TOPIC,
        "partition": 0,
        "offset": offset,
        "ts_ns": 1_790_000_000_000_000_000 + offset * 1_000_000_000,
        "key": b"256265",
        "value": b"\x00\x01raw",
        "headers": [(b"dlq.reason", b"SEMANTIC_RANGE")],
        "dialect": "kite",
        "reason": "SEMANTIC_RANGE",
        "reason_source": "header",
        "message": "-1 is less than the minimum of 0",
        "fingerprint": "f" * 16,
        "origin_topic": "ticks",
    }
    return FailureRecord(**{**values, **fields})  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def one_letter_dsn(postgres_server: str, migrated_template: str) -> Iterator[str]:
    """A database that no test changes, with failure 1 in it."""
    with database(postgres_server, migrated_template) as dsn:
        store_records(dsn, [letter(0)])
        yield dsn


def test_every_kind_of_dead_letter_has_its_group_and_its_page(migrated_dsn: str) -> None:
    letters = store_mixed(migrated_dsn, 100)
    page = browser(make_site(migrated_dsn))
    front = page.get("/")
    with failures(migrated_dsn) as store:
        groups = store.groups()
        ids = [each.failure_id for each in store.summaries(Selection())]
    assert len(groups) > 15
    for group in groups[: reading.PAGE_GROUPS]:
        assert f'href="/groups/{group.fingerprint}"' in front
    for group in groups:
        assert group.reason in page.get(f"/groups/{group.fingerprint}")
    for failure_id, each in zip(ids, letters, strict=True):
        shown = page.get(f"/failures/{failure_id}")
        assert str(each.intended) in shown
    assert "dlq_triage" in page.get("/failures")
    for code in ReasonCode:
        assert code in page.get("/reasons")


def test_the_bytes_and_what_they_are_stand_side_by_side(migrated_dsn: str) -> None:
    store_mixed(migrated_dsn, 400)
    with failures(migrated_dsn) as store:
        found = next(
            each
            for each in store.summaries(Selection(reasons=("SEMANTIC_RANGE",)))
            if each.error_path == "/ts_event_ns"
        )
        stored = store.failure(found.failure_id)
    assert stored is not None
    assert stored.record.value is not None
    page = browser(make_site(migrated_dsn))
    shown = page.get(f"/failures/{found.failure_id}")
    assert stored.record.value[:8].hex(" ") in shown
    fault = re.search(r'<tr class="fault">.*?</tr>', shown, re.DOTALL)
    assert fault is not None
    assert "ts_event_ns" in fault[0]
    assert shown.count("at fault</span>") == 1
    answer = page.client.get(f"/failures/{found.failure_id}/value")
    assert answer.content == stored.record.value
    assert answer.headers["content-disposition"] == (
        f'attachment; filename="ticks.dlq-0-{found.offset}.bin"'
    )
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in answer.headers["content-security-policy"]
    line = page.client.get(f"/failures/{found.failure_id}/line")
    assert line.json()["decoded"]["form"] == "packet"
    assert "attachment" in line.headers["content-disposition"]


def test_a_lock_on_the_tables_is_an_answer(
    migrated_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redriving, "LOCK_TIMEOUT_S", 1)
    store_records(migrated_dsn, [letter()])
    page = browser(make_site(migrated_dsn))
    with closing(connect(migrated_dsn, application_name="tests", autocommit=False)) as other:
        other.execute(b"LOCK TABLE dlq_failure")
        for path in ("/", "/failures", "/failures/1"):
            assert "another session holds a lock" in page.get(path, status=503)
    page.get("/failures/1")


@pytest.mark.parametrize("depth", [128, 253, 600, 1_000, 100_000])
@pytest.mark.parametrize("opening", ["[", '{"a":'])
def test_nested_letters_have_their_pages(migrated_dsn: str, depth: int, opening: str) -> None:
    ending = "]" if opening == "[" else "}"
    value = (opening * depth + "1" + ending * depth).encode()
    store_records(migrated_dsn, [letter(value=value, headers=[]), letter(1)])
    page = browser(make_site(migrated_dsn))
    for path in ("/", f"/groups/{'f' * 16}", "/failures", "/failures/1", "/failures/2"):
        page.get(path)
    form = "json" if depth <= 128 else "text"
    assert page.client.get("/failures/1/line").json()["decoded"]["form"] == form
    assert page.client.get("/failures/1/value").content == value


def test_large_values_are_shown_in_pieces(migrated_dsn: str) -> None:
    value = bytes(range(256)) * 40
    store_records(migrated_dsn, [letter(value=value), letter(1, value=None), letter(2, value=b"")])
    page = browser(make_site(migrated_dsn))
    first = page.get("/failures/1")
    assert "10,240 bytes, shown are 0 to 4,096" in first
    assert 'href="/failures/1?at=4096"' in first
    last = page.get("/failures/1?at=9000")
    assert "shown are 8,192 to 10,240" in last
    assert len(first) < 100_000
    page.get("/failures/1?at=10241", 400)
    assert "The value is null" in page.get("/failures/2")
    page.get("/failures/2/value", 404)
    assert "There are no bytes" in page.get("/failures/3")


def test_what_others_wrote_is_never_markup(migrated_dsn: str) -> None:
    store_records(
        migrated_dsn,
        [
            letter(
                topic=HOSTILE,
                message=HOSTILE,
                reason=HOSTILE,
                error_path=f"/{HOSTILE}",
                origin_topic=HOSTILE,
                component=HOSTILE,
                exception=HOSTILE,
                contract=HOSTILE,
                key=HOSTILE.encode(),
                value=b'{"' + HOSTILE.replace('"', "").encode() + b'": "<b>"}',
                headers=[(HOSTILE.encode(), HOSTILE.encode()), (b"\xff", b"\xff<i>")],
                problems=(HOSTILE,),
            )
        ],
    )
    page = browser(make_site(migrated_dsn)).log_in()
    page.post("/decide", failure=1, decision="assign", assignee=HOSTILE, note=HOSTILE)
    for path in ("/", f"/groups/{'f' * 16}", "/failures", "/failures/1", "/redrive?failure=1"):
        shown = page.get(path)
        assert "<script>alert" not in shown, path
        assert "49" not in re.findall(r"&amp;(\d+)", shown), path
        assert "&lt;script&gt;" in shown, path
    name = page.client.get("/failures/1/value").headers["content-disposition"]
    assert re.fullmatch(r'attachment; filename="[A-Za-z0-9._-]+"', name)


def test_groups_are_filtered_and_paged(migrated_dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "PAGE_GROUPS", 2)
    store_records(
        migrated_dsn,
        [
            letter(number, fingerprint=f"{number:016x}", reason=reason, message=f"cause {number}")
            for number, reason in enumerate(["AUTH", "AUTH", "TOO_LARGE", "AUTH", "AUTH"])
        ],
    )
    page = browser(make_site(migrated_dsn))

    def found(shown: str) -> list[int]:
        rows = re.findall(r'<tr data-row>\s*<td><a href="/groups/(\w+)"', shown)
        return [int(each, 16) for each in rows]

    first = page.get("/?reason=AUTH")
    assert found(first) == [4, 3]
    after = re.search(r'href="(/\?after=[^"]+)" data-key="n"', first)
    assert after is not None
    second = page.get(after[1].replace("&amp;", "&"))
    assert found(second) == [1, 0]
    assert 'data-key="n"' not in second
    assert found(page.get("/?text=CAUSE+2")) == [2]
    assert "No group fits" in page.get("/?status=resolved")
    assert found(page.get("/?since=2026-09-21T14:13:23")) == [4, 3]
    assert found(page.get("/?until=2026-09-21T14:13:21")) == [0]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/?status=odd", 400),
        ("/?since=yesterday", 400),
        ("/?since=9999-12-31T23:59-12:00", 400),
        ("/?after=1~x~y", 400),
        ("/?after=-1", 400),
        (f"/?text={'a' * 201}", 400),
        ("/?text=%00", 400),
        ("/?text=%ff%fe", 200),
        ("/groups/nothing", 404),
        ("/groups/..%2f..", 404),
        ("/groups/" + "f" * 16 + "?status=odd", 400),
        ("/failures?before=x", 400),
        ("/failures?before=99999999999999999999", 400),
        ("/failures/0", 404),
        ("/failures/x", 400),
        ("/failures/%D9%A3", 400),
        ("/failures/9223372036854775807", 404),
        ("/nothing", 404),
        ("/assets/..%2fapp.py", 404),
        ("/healthz", 200),
        ("/readyz", 200),
    ],
)
def test_addresses_that_make_no_sense_get_a_sentence(
    one_letter_dsn: str, path: str, status: int
) -> None:
    answer = browser(make_site(one_letter_dsn)).client.get(path)
    assert answer.status_code == status
    assert "Traceback" not in answer.text


def test_a_decision_is_kept_with_who_and_why(migrated_dsn: str) -> None:
    store_records(migrated_dsn, [letter(0), letter(1)])
    page = browser(make_site(migrated_dsn)).log_in()
    assert page.post("/decide", failure=1, decision="resolve", who="ravi", note="a test") == (
        "/failures/1"
    )
    shown = page.get("/failures/1")
    assert "1 resolved." in shown
    assert re.search(r"<strong>ravi</strong>: resolve . a test", shown)
    assert 'name="who" value="ravi"' in shown, "the name is remembered"
    assert "1 resolved." not in page.get("/failures/1"), "said once"
    page.post("/decide", failure=1, decision="reopen")
    page.post("/decide", failure=1, decision="assign", assignee="meera")
    page.post("/decide", failure=1, decision="note", note="look again")
    assert "to meera" in page.get("/failures/1")
    with failures(migrated_dsn) as store:
        found = store.failure(1)
        kinds = [each.kind for each in store.history(1)]
    assert found is not None
    assert (found.status, found.assignee) == (Status.OPEN, "meera")
    assert kinds == ["resolve", "reopen", "assign", "note"]


def test_a_decision_about_a_group_is_about_what_was_shown(migrated_dsn: str) -> None:
    store_records(migrated_dsn, [letter(number) for number in range(4)])
    page = browser(make_site(migrated_dsn)).log_in()
    group = "f" * 16
    up_to = re.search(r'name="up_to" value="(\d+)"', page.get(f"/groups/{group}"))
    assert up_to is not None
    store_records(migrated_dsn, [letter(9)])
    page.post("/decide", failure=1, decision="ignore")
    page.post("/decide", group=group, which="open", up_to=up_to[1], decision="resolve")
    with failures(migrated_dsn) as store:
        states = [each.status for each in store.summaries(Selection())]
    assert states == [Status.IGNORED, *[Status.RESOLVED] * 3, Status.OPEN]
    page.post("/decide", group=group, which="open", up_to=up_to[1], decision="reopen")
    with failures(migrated_dsn) as store:
        assert {each.status for each in store.summaries(Selection())} == {Status.OPEN}


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"decision": "resolve"}, 400),
        ({"decision": "drop", "failure": 1}, 400),
        ({"decision": "resolve", "failure": 1, "who": " "}, 400),
        ({"decision": "resolve", "failure": 1, "who": "x" * 101}, 400),
        ({"decision": "resolve", "failure": 1, "note": "x" * 2001}, 400),
        ({"decision": "assign", "failure": 1, "assignee": "x" * 101}, 400),
        ({"decision": "note", "failure": 1}, 400),
        ({"decision": "resolve", "failure": "1;"}, 400),
        ({"decision": "resolve", "failure": 99}, 404),
        ({"decision": "resolve", "group": "nobody"}, 404),
        ({"decision": "resolve", "group": "f" * 16, "which": "odd"}, 400),
        ({"decision": "resolve", "failure": 1, "csrf": "wrong"}, 403),
        ({"decision": "resolve", "failure": 1, "csrf": ""}, 403),
    ],
)
def test_forms_that_make_no_sense_change_nothing(
    one_letter_dsn: str, fields: dict[str, object], status: int
) -> None:
    page = browser(make_site(one_letter_dsn)).log_in()
    page.post("/decide", status, **fields)
    with failures(one_letter_dsn) as store:
        assert store.history(1) == []


def test_nothing_is_changed_without_the_token(migrated_dsn: str) -> None:
    store_records(migrated_dsn, [letter(0)])
    site = make_site(migrated_dsn)
    stranger = browser(site)
    assert "Log in to change" in stranger.get("/failures/1")
    assert "csrf" not in stranger.get("/failures/1")
    for path in ("/decide", "/redrive/run", "/logout"):
        stranger.post(path, 401, failure=1, decision="resolve")
    stranger.get("/redrive?failure=1", 401)
    member = browser(site).log_in()
    stranger.csrf = member.csrf
    stranger.post("/decide", 401, failure=1, decision="resolve")
    other = browser(site).log_in()
    other.csrf = member.csrf
    other.post("/decide", 403, failure=1, decision="resolve")
    assert member.post("/logout") == "/"
    member.post("/decide", 401, failure=1, decision="resolve")
    with failures(migrated_dsn) as store:
        assert store.history(1) == []


def test_reading_needs_the_token_where_others_can_reach_the_page(migrated_dsn: str) -> None:
    store_records(migrated_dsn, [letter(0)])
    site = make_site(migrated_dsn, open_to_read=False)
    stranger = browser(site)
    paths = ("/", "/failures", "/failures/1", "/failures/1/value", "/failures/1/line", "/reasons")
    for path in (*paths, f"/groups/{'f' * 16}"):
        assert "SEMANTIC_RANGE" not in stranger.get(path, 401)
    stranger.get("/healthz")
    stranger.get("/login")
    member = browser(site).log_in()
    for path in paths:
        member.get(path)


def test_a_dry_run_does_nothing_and_says_what_it_would_do(migrated_dsn: str) -> None:
    store_mixed(migrated_dsn, 120)
    page = browser(make_site(migrated_dsn)).log_in()
    with failures(migrated_dsn) as store:
        groups = store.groups()
        before = store.overview()
    said = "".join(
        page.get(f"/redrive?group={each.fingerprint}&which=open&up_to={each.last_id}")
        for each in groups
    )
    assert "Nothing has been done." in said
    assert ">refuse<" in said
    assert ">repair<" in said
    assert "KAFKA_BOOTSTRAP is not set" in said
    with failures(migrated_dsn) as store:
        assert store.overview() == before
    page.get("/redrive", 400)
    page.get("/redrive?failure=999999", 404)
    page.get("/redrive?group=nobody", 404)


def test_a_redrive_that_would_be_another_one_is_not_done(migrated_dsn: str) -> None:
    store_mixed(migrated_dsn, 120)
    page = browser(make_site(migrated_dsn)).log_in()
    with failures(migrated_dsn) as store:
        ids = [each.failure_id for each in store.summaries(Selection(reasons=("SCHEMA_INVALID",)))]
    shown = page.post("/redrive/run", 409, failure=ids[0], expected=7)
    assert "no longer be the same" in shown
    page.post("/redrive/run", 400, failure=ids[0], expected=0, who="")


def test_a_typed_number_confirms_a_redrive_of_many(migrated_dsn: str) -> None:
    store_mixed(migrated_dsn, 400)
    page = browser(make_site(migrated_dsn)).log_in()
    group, count = _mendable(page, migrated_dsn)
    fields = {"group": group.fingerprint, "which": "open", "up_to": group.last_id}
    shown = page.post("/redrive/run", 400, **fields, expected=count, typed=count + 1)
    assert f"type the number of records that go out, {count}" in shown
    shown = page.post("/redrive/run", 503, **fields, expected=count, typed=count)
    assert "KAFKA_BOOTSTRAP is not set" in shown


def _mendable(page: Browser, dsn: str) -> tuple[Group, int]:
    """A group of which more than one record can be sent back, and how many."""
    with failures(dsn) as store:
        groups = store.groups()
    for group in groups:
        shown = page.get(f"/redrive?group={group.fingerprint}&which=open&up_to={group.last_id}")
        match = re.search(r"<strong>([\d,]+) would be sent", shown)
        if match and int(match[1]) > 1:
            return group, int(match[1])
    raise AssertionError("none of the groups can be redriven")


def test_a_database_that_is_away_is_said_and_does_not_end_the_page(migrated_dsn: str) -> None:
    store_records(migrated_dsn, [letter(0)])
    away = browser(make_site("postgresql://kite:CANARYsecret@127.0.0.1:9/kite"))
    for path in ("/", "/failures", "/failures/1", f"/groups/{'f' * 16}"):
        answer = away.client.get(path)
        assert answer.status_code == 503
        assert "Postgres cannot be reached at 127.0.0.1:9/kite" in answer.text
        assert "CANARY" not in answer.text
        assert answer.headers["retry-after"] == "5"
    assert away.client.get("/readyz").status_code == 503
    assert away.client.get("/healthz").status_code == 200
    away.log_in().post("/decide", 503, failure=1, decision="resolve")


def test_functions_of_the_forms_are_reached_by_forms_alone(migrated_dsn: str) -> None:
    page = browser(make_site(migrated_dsn)).log_in()
    for path in ("/decide", "/redrive/run", "/logout"):
        page.get(path, 405)
    assert changing.WHO_CHARS_MAX == 100
