"""The page as a person uses it: a real Chromium, the real Postgres and the real Kafka."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from page_browser import Person, open_chromium, running
from page_stage import TOKEN, app_of, failures, make_site, store_mixed, store_records
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from stage import Stage, open_stage, packet_letter

from kite_bars_store.failures import FailureRecord, Selection, Status
from kite_dead_letters.classify import Classifier
from kite_dead_letters.stored import to_store
from kite_kafka_io.settings import KafkaSettings

MENDABLE = 3


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    with open_chromium(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.fixture()
def person(chromium: webdriver.Chrome, migrated_dsn: str) -> Iterator[Person]:
    """Somebody before the page with dead letters of every kind, who has opened the link."""
    store_mixed(migrated_dsn, 400)
    with running(app_of(make_site(migrated_dsn))) as address:
        visitor = Person(chromium, address)
        visitor.go(f"/login?token={TOKEN}")
        visitor.until_text("Dead letters by cause")
        visitor.complaints()
        yield visitor
        assert visitor.complaints() == []


def test_from_the_groups_to_a_resolved_record_by_keys_alone(
    person: Person, migrated_dsn: str
) -> None:
    assert person.path() == "/", "the token is not in the address any more"
    person.press("j", "j", "k", "j")
    row = person.focused()
    assert row.get_attribute("href") == person.browser.find_elements(
        By.CSS_SELECTOR, "[data-row] td:first-child a"
    )[1].get_attribute("href")
    person.press(Keys.ENTER)
    person.until_path("/groups/")
    person.press("j", Keys.ENTER)
    person.until_path("/failures/")
    failure_id = int(person.path().rpartition("/")[2])
    person.press("r")
    assert person.focused().get_attribute("id") == "note"
    person.press("seen in a browser", Keys.ENTER)
    person.until_text("1 resolved.")
    with failures(migrated_dsn) as store:
        found = store.failure(failure_id)
        (event,) = store.history(failure_id)
    assert found is not None
    assert found.status is Status.RESOLVED
    assert (event.kind, event.who, event.note) == ("resolve", "asha", "seen in a browser")
    person.press("u")
    person.until_path("/groups/")
    person.press("u")
    person.until_text("Dead letters by cause")


def test_i_ignores_and_letters_in_a_field_are_letters(person: Person, migrated_dsn: str) -> None:
    person.go("/failures")
    person.press("j", Keys.ENTER)
    person.until_path("/failures/")
    failure_id = int(person.path().rpartition("/")[2])
    person.press("r", Keys.ESCAPE, "i", "jkr?d/", Keys.ENTER)
    person.until_text("1 ignored.")
    with failures(migrated_dsn) as store:
        (event,) = store.history(failure_id)
    assert (event.kind, event.note) == ("ignore", "jkr?d/")


def test_slash_filters_and_a_question_mark_helps(person: Person) -> None:
    person.press("/")
    assert person.focused().get_attribute("name") == "text"
    person.press("ends inside", Keys.ENTER)
    person.until_path("/?text=ends+inside")
    assert person.one("#filter").get_attribute("value") == "ends inside"
    person.press("?")
    assert person.one("#help").get_attribute("open") is not None
    assert "next and previous row" in person.text()
    person.press("j", Keys.ESCAPE)
    assert person.one("#help").get_attribute("open") is None


def test_the_field_at_fault_is_marked_beside_the_bytes(person: Person, migrated_dsn: str) -> None:
    with failures(migrated_dsn) as store:
        found = next(
            each
            for each in store.summaries(Selection(reasons=("SEMANTIC_RANGE",)))
            if each.error_path == "/ts_event_ns"
        )
    person.go(f"/failures/{found.failure_id}")
    fault = person.one("tr.fault")
    assert "ts_event_ns" in fault.text
    assert "at fault" in fault.text
    ground = fault.value_of_css_property("background-color")
    assert ground not in ("rgba(0, 0, 0, 0)", "transparent"), "the style sheet is there"
    assert person.one("table.hex").location["y"] == pytest.approx(
        person.one("table.tree").location["y"], abs=40
    ), "side by side"


def test_it_works_without_scripts(person: Person, migrated_dsn: str) -> None:
    person.browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        person.go("/failures")
        person.one("[data-row] a").click()
        person.until_path("/failures/")
        failure_id = int(person.path().rpartition("/")[2])
        person.one("#note").send_keys("no script")
        person.one('button[value="resolve"]').click()
        person.until_text("1 resolved.")
        with failures(migrated_dsn) as store:
            (event,) = store.history(failure_id)
        assert event.note == "no script"
    finally:
        person.browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def test_a_page_of_another_origin_changes_nothing(
    person: Person, chromium: webdriver.Chrome, migrated_dsn: str, tmp_path: Path
) -> None:
    """It even knows the secret of the form; the cookie and the origin stand against it."""
    person.go("/failures/1")
    csrf = person.one('input[name="csrf"]').get_attribute("value")
    foreign = tmp_path / "foreign.html"
    foreign.write_text(
        f'<form method="post" action="{person.address}/decide">'
        f'<input name="csrf" value="{csrf}"><input name="who" value="mallory">'
        '<input name="failure" value="1"><button name="decision" value="resolve">win</button>'
        "</form>"
    )
    chromium.get(foreign.as_uri())
    chromium.find_element(By.TAG_NAME, "button").click()
    person.until_text("a form of another page is not taken")
    chromium.get(person.address.replace("127.0.0.1", "localhost") + "/failures/1")
    assert "Log in to change" in person.text()
    with failures(migrated_dsn) as store:
        assert store.history(1) == []
    person.complaints()  # the refusal itself is told there


@pytest.fixture()
def stage(kafka_bootstrap: str) -> Iterator[Stage]:
    with open_stage(KafkaSettings.from_env({"KAFKA_BOOTSTRAP": kafka_bootstrap})) as made:
        yield made


def _dead(stage: Stage) -> list[FailureRecord]:
    """Good packets that were refused by mistake, and one that is no packet."""
    now_ns = time.time_ns()
    letters = [packet_letter(number, now_ns=now_ns, age_s=1.0) for number in range(MENDABLE)]
    letters.append(packet_letter(9, now_ns=now_ns, raw=b"no packet"))
    stage.dead(letters)
    classifier = Classifier()
    return [to_store(classifier.classify(each)) for each in stage.read(stage.dlq)]


def test_a_dry_run_and_then_the_redrive(
    chromium: webdriver.Chrome, migrated_dsn: str, stage: Stage
) -> None:
    store_records(migrated_dsn, _dead(stage))
    site = make_site(migrated_dsn, kafka=stage.settings, targets=stage.targets())
    with running(app_of(site)) as address:
        person = Person(chromium, address)
        person.go(f"/login?token={TOKEN}")
        person.until_text("Dead letters by cause")
        person.press("j", Keys.ENTER)
        person.until_path("/groups/")
        person.press("d")
        person.until_text(f"{MENDABLE} would be sent")
        assert f"redrive\n{stage.live}" in person.text().replace(" ", "\n")
        assert "Kite documents no packet of this length (9 bytes)" in person.text()
        assert stage.read(stage.live) == [], "a dry run sends nothing"
        person.one("#typed").send_keys("2", Keys.ENTER)
        person.until_text(f"type the number of records that go out, {MENDABLE}, to confirm")
        person.one('input[name="note"]').send_keys("decoder 0.2.1")
        person.one("#typed").send_keys(str(MENDABLE), Keys.ENTER)
        person.until_text(f"{MENDABLE} sent back, 1 refused.")
        sent = stage.read(stage.live)
        assert len(sent) == MENDABLE
        assert all("dlq.redrive_id" in dict(each.headers) for each in sent)
        with failures(migrated_dsn) as store:
            states = [each.status for each in store.summaries(Selection())]
            events = [each for number in range(1, 5) for each in store.history(number)]
        assert sorted(states) == [Status.OPEN, *[Status.REDRIVEN] * MENDABLE]
        assert {each.who for each in events} == {"asha"}
        person.press("d")
        person.until_text("0 would be sent")
        assert person.browser.find_elements(By.ID, "redrive") == []
        assert len(stage.read(stage.live)) == MENDABLE
        person.press("u")
        person.until_path("/groups/")
        person.one("#give-up").click()
        person.until_text("Dry run of a quarantine")
        person.until_text("1 would be sent")
        assert stage.read(stage.quarantine) == [], "a dry run sends nothing"
        person.one('#redrive input[name="note"]').send_keys("nothing to mend", Keys.ENTER)
        person.until_text("1 put into quarantine.")
        assert [each.value for each in stage.read(stage.quarantine)] == [b"no packet"]
        with failures(migrated_dsn) as store:
            assert {each.status for each in store.summaries(Selection())} == {
                Status.REDRIVEN,
                Status.QUARANTINED,
            }
