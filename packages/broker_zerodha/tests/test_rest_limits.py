"""The pace never lets more calls into a second than Kite allows; waits grow, and are bounded."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import platformdirs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kite_broker_zerodha.errors import (
    AuthRefused,
    BadAnswer,
    InputRefused,
    KiteUnavailable,
    RateLimited,
)
from kite_broker_zerodha.rest.limits import CALLS_A_SECOND, CallKind, Pace, host_pace
from kite_broker_zerodha.rest.retries import Retries, surely_undone, worth_another_try


@given(
    st.sampled_from(CallKind),
    st.lists(st.floats(0.0, 2.0), min_size=2, max_size=60),
)
def test_no_second_has_more_calls_than_kite_allows(kind: CallKind, pauses: list[float]) -> None:
    pace, now_s, starts = Pace(), 0.0, []
    for pause in pauses:
        now_s += pause
        now_s += pace.reserve(kind, now_s)
        starts.append(now_s)
    for place, start in enumerate(starts):
        inside = [other for other in starts[place:] if other < start + 1.0 - 1e-6]
        assert len(inside) <= CALLS_A_SECOND[kind]


@given(st.sampled_from(CallKind), st.integers(2, 40))
def test_whoever_never_stops_gets_the_whole_rate(kind: CallKind, calls: int) -> None:
    pace = Pace()
    last = [pace.reserve(kind, 0.0) for _ in range(calls)][-1]
    assert last == pytest.approx((calls - 1) / CALLS_A_SECOND[kind])


def test_the_kinds_are_counted_apart() -> None:
    pace = Pace()
    assert [pace.reserve(kind, 5.0) for kind in CallKind] == [0.0, 0.0, 0.0]
    assert pace.reserve(CallKind.QUOTE, 5.0) == 1.0
    assert pace.reserve(CallKind.OTHER, 5.0) == pytest.approx(0.1)


def test_a_pace_of_nothing_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="more than 0"):
        Pace({CallKind.QUOTE: 0.0})


def test_processes_take_their_slots_from_one_file(tmp_path: Path) -> None:
    first, second = (Pace(file=tmp_path / "made" / "pace") for _ in range(2))
    waits = [pace.reserve(CallKind.HISTORICAL, 50.0) for pace in (first, second, second, first)]
    assert waits == pytest.approx([0.0, 1 / 3, 2 / 3, 1.0])
    assert second.reserve(CallKind.QUOTE, 50.0) == 0.0
    assert first.reserve(CallKind.QUOTE, 50.5) == 0.5


SLOTS = """
import json, sys, time
from pathlib import Path
from kite_broker_zerodha.rest import CallKind, Pace
pace, slots = Pace(file=Path(sys.argv[1])), []
print("ready", flush=True)
sys.stdin.readline()
for _ in range(40):
    now_s = time.monotonic()
    slots.append(now_s + pace.reserve(CallKind.HISTORICAL, now_s))
print(json.dumps(slots))
"""


def test_two_processes_together_stay_below_kites_limit(tmp_path: Path) -> None:
    file, began_s = tmp_path / "pace", time.monotonic()
    command = [sys.executable, "-c", SLOTS, str(file)]
    both = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    for each in both:
        assert each.stdout is not None
        assert each.stdout.readline() == "ready\n"
    for each in both:
        assert each.stdin is not None
        each.stdin.write("\n")
        each.stdin.flush()
    slots = [slot for each in both for slot in json.loads(each.communicate(timeout=60)[0])]
    slots.sort()
    assert len(slots) == 80
    assert slots[0] >= began_s
    for place, start in enumerate(slots):
        inside = [other for other in slots[place:] if other < start + 1.0 - 1e-6]
        assert len(inside) <= CALLS_A_SECOND[CallKind.HISTORICAL]


@pytest.mark.parametrize("held", [b"", b"half", b"\xff" * 24])
def test_a_damaged_file_costs_no_call(held: bytes, tmp_path: Path) -> None:
    file = tmp_path / "pace"
    file.write_bytes(held)
    pace = Pace(file=file)
    assert pace.reserve(CallKind.HISTORICAL, 7.0) == 0.0
    assert Pace(file=file).reserve(CallKind.HISTORICAL, 7.0) == pytest.approx(1 / 3)


def test_slots_from_before_a_restart_of_the_host_do_not_count(tmp_path: Path) -> None:
    Pace(file=tmp_path / "pace").reserve(CallKind.HISTORICAL, 1_000_000.0)
    assert Pace(file=tmp_path / "pace").reserve(CallKind.HISTORICAL, 3.0) == 0.0


def test_without_a_file_to_write_a_process_still_keeps_its_own_pace(tmp_path: Path) -> None:
    (tmp_path / "taken").write_bytes(b"")
    pace = Pace(file=tmp_path / "taken" / "pace")
    assert [pace.reserve(CallKind.QUOTE, 5.0) for _ in range(3)] == [0.0, 1.0, 2.0]


def test_a_key_has_one_file_on_a_host_and_is_not_readable_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platformdirs, "user_state_path", lambda name: tmp_path / name)
    root = "https://api.example.com"
    host_pace("dummykey", root).reserve(CallKind.QUOTE, 5.0)
    assert host_pace("dummykey", root).reserve(CallKind.QUOTE, 5.0) == 1.0
    assert host_pace("otherkey", root).reserve(CallKind.QUOTE, 5.0) == 0.0
    assert host_pace("dummykey", "https://other.example.com").reserve(CallKind.QUOTE, 5.0) == 0.0
    names = [path.name for path in tmp_path.rglob("*") if path.is_file()]
    assert len(names) == 3
    assert not any("key" in name for name in names)


@given(st.integers(1, 1000), st.floats(0.0, 1.0))
def test_waits_double_up_to_the_cap_and_half_of_each_is_chance(
    failures: int, chance: float
) -> None:
    retries = Retries(first_s=0.5, cap_s=8.0)
    whole = min(8.0, 0.5 * 2.0 ** min(failures - 1, 10))
    wait_s = retries.wait_s(failures, KiteUnavailable("away"), chance)
    assert wait_s == pytest.approx(whole * (0.5 + 0.5 * chance))


def test_a_wait_that_kite_asks_for_is_kept() -> None:
    assert Retries().wait_s(1, RateLimited("slow down", retry_after_s=20.0), 0.0) == 20.0


@pytest.mark.parametrize("wrong", [{"attempts": 0}, {"first_s": 0.0}, {"first_s": 9.0}])
def test_impossible_retries_are_a_mistake(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="retries need"):
        Retries(**wrong)  # type: ignore[arg-type]


def test_a_refusal_is_never_tried_again() -> None:
    for error in (AuthRefused("no"), InputRefused("no"), BadAnswer("page", again=False)):
        assert not worth_another_try(error)
    for again in (KiteUnavailable("away"), RateLimited("slow"), BadAnswer("cut")):
        assert worth_another_try(again)
    assert surely_undone(RateLimited("slow"))
    assert not surely_undone(KiteUnavailable("away"))
