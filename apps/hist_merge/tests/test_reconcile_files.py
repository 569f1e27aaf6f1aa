"""`reconcile --files`: two files compared without a database."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from vendor_made_up import FIRST, kite_text, prices, rupees, vendor_line, vendor_text

from kite_runtime.testing import Finished, Place


def files_alone(place: Place, *names: str) -> Finished:
    return place("reconcile", "--files", "--json", *names)


def compared(finished: Finished) -> dict[str, Any]:
    (document,) = finished.json()
    found = document["comparison"]["m1"]
    assert isinstance(found, dict)
    return found


def test_two_files_are_compared_bar_by_bar(bare: Place) -> None:
    bare.write("kite_SBIN_2024-01-02.csv", kite_text(reversed(range(375)), higher=5))
    lines = [vendor_line("SBIN", at, volume=9 if at == 1 else None) for at in range(374)]
    bare.write("SBIN.txt", "\n".join(lines))
    finished = files_alone(bare, "kite_SBIN_2024-01-02.csv", "SBIN.txt")
    assert finished.code == 3
    volume = sum(prices(at)[4] for at in range(375))
    assert compared(finished) == {
        "bars": {"kite": 375, "vendor": 374},
        "volume": {"kite": volume, "vendor": volume - prices(374)[4] - prices(1)[4] + 9},
        "common": 374,
        "ohlc_equal": 299,
        "ohlc_volume_equal": 298,
        "within_one_tick": 374,
        "volume_equal": 373,
        "largest_difference": "0.05",
        "golden": 375,
        "outside": 0,
        "verdicts": {
            "AGREED": 298,
            "WITHIN_TOLERANCE": 75,
            "BROKER_ONLY": 1,
            "CONFLICT_BROKER_WON": 1,
        },
        "flags": {},
        "won": {"kite": 375},
        "second": "vendor",
        "carries_open": [],
        "better_shift_minutes": None,
    }
    again = bare("reconcile", "--files", "kite_SBIN_2024-01-02.csv", "SBIN.txt")
    assert "largest gap    0.05 between two prices" in again.stdout


def test_a_label_of_the_wrong_end_agrees_with_nothing(bare: Place) -> None:
    """What the stamp of a layout is for: without the shift no bar is the same."""
    bare.write("kite_SBIN_2024-01-02.csv", kite_text())
    shifted = "".join(
        vendor_line("SBIN", at).replace(rupees(prices(at)[0]), rupees(prices(at + 1)[0]), 1) + "\n"
        for at in range(374)
    )
    bare.write("SBIN.txt", shifted)
    found = compared(files_alone(bare, "kite_SBIN_2024-01-02.csv", "SBIN.txt"))
    assert (found["common"], found["ohlc_equal"]) == (374, 0)


@pytest.mark.parametrize(("minutes", "way"), [(1, "earlier"), (-1, "later")])
def test_the_shift_that_makes_two_files_equal_is_named(bare: Place, minutes: int, way: str) -> None:
    bare.write("kite_SBIN_2024-01-02.csv", kite_text())
    first = FIRST + timedelta(minutes=minutes)
    bare.write("SBIN.txt", vendor_text("SBIN", range(375), first))
    finished = files_alone(bare, "kite_SBIN_2024-01-02.csv", "SBIN.txt")
    found = compared(finished)
    assert finished.code == 3
    assert (found["common"], found["ohlc_equal"]) == (374, 0)
    assert found["better_shift_minutes"] == -minutes
    shown = bare("reconcile", "--files", "kite_SBIN_2024-01-02.csv", "SBIN.txt").stdout
    assert f"with vendor 1 minute {way}, 375 would be equal in OHLC" in shown


@pytest.mark.parametrize(("carried", "stated"), [(30, True), (19, False)])
def test_a_carried_open_is_stated_with_the_setting_that_follows(
    bare: Place, carried: int, stated: bool
) -> None:
    """On thin stocks Kite's open is its own previous close."""
    lines = kite_text().splitlines()
    for at in range(1, 1 + 2 * carried, 2):
        stamp, _, high, low, close, volume = lines[at + 1].split(", ")
        opens = rupees(prices(at - 1)[3])
        lines[at + 1] = ", ".join((stamp, opens, max(high, opens), low, close, volume))
    bare.write("kite_SBIN_2024-01-02.csv", "\n".join(lines) + "\n")
    bare.write("SBIN.txt", vendor_text("SBIN"))
    shown = bare("reconcile", "--files", "kite_SBIN_2024-01-02.csv", "SBIN.txt").stdout
    sentence = (
        f"{carried} of {carried} opens that differ are kite's own previous close: "
        '`[field] open = ["vendor", "live", "kite"]` in merge.toml takes the other\'s'
    )
    assert (sentence in shown) is stated


def test_wider_bars_are_no_minutes(bare: Place) -> None:
    """Bars of 5 minutes would overwrite true minutes, each with the values of five."""
    bare.write("kite_SBIN_2024-01-02.csv", kite_text())
    bare.write("SBIN.txt", vendor_text("SBIN", range(0, 375, 5)))
    finished = files_alone(bare, "kite_SBIN_2024-01-02.csv", "SBIN.txt")
    assert finished.code == 3
    (document,) = finished.json()
    assert [each["reason"] for each in document["files"]] == [None, "WRONG_INTERVAL"]
    assert "has bars of 5 minutes, as their distances show" in document["files"][1]["message"]
    assert compared(finished)["bars"] == {"kite": 375}


def test_bars_outside_the_session_are_explained(bare: Place) -> None:
    """A day of Muhurat, of which the calendar knows the phases."""
    times = ["18:08", *(f"{18 + at // 60}:{at % 60:02}" for at in range(16, 76)), "19:19", "19:26"]
    lines = [f"SBIN,20201114,{each},370,370,370,370,10,0" for each in times]
    bare.write("SBIN.txt", "\n".join(lines))
    finished = files_alone(bare, "SBIN.txt")
    (document,) = finished.json()
    assert finished.code == 0
    found = compared(finished)
    assert (found["golden"], found["outside"]) == (60, 3)
    assert document["outside"] == {"pre-open": 1, "break": 1, "post-close": 1}
    assert len(document["examples"]) == 3


def test_two_vendors_take_the_places_of_the_first_two_sources(bare: Place) -> None:
    bare.write("one.txt", vendor_text("SBIN"))
    bare.write("other.txt", vendor_text("SBIN", [at for at in range(375) if at % 3]))
    found = compared(files_alone(bare, "one.txt", "other.txt"))
    assert found["bars"] == {"kite": 375, "vendor": 250}
    assert found["ohlc_volume_equal"] == 250


def test_each_file_may_have_a_layout_of_its_own(bare: Place) -> None:
    """Both layouts fit the second file, whose days are all below 13."""
    bare.write("kite_SBIN_2024-01-02.csv", kite_text())
    lines = ["<ticker>,<date>,<time>,<open>,<high>,<low>,<close>,<vol>"]
    for at in range(375):
        *ohlc, volume = prices(at)
        said = ",".join(map(rupees, ohlc))
        lines.append(
            f"SBIN,02/01/2024,{9 + (15 + at) // 60:02}:{(15 + at) % 60:02}:00,{said},{volume}"
        )
    bare.write("SBIN.txt", "\n".join(lines) + "\n")
    files = ("kite_SBIN_2024-01-02.csv", "SBIN.txt")
    unclear = bare("reconcile", "--files", *files)
    assert unclear.code == 3
    assert "fits metastock and metastock-day-first: name the right one" in unclear.stdout
    named = ("--layout", "kite", "--layout", "metastock-day-first")
    found = compared(bare("reconcile", "--files", "--json", *files, *named))
    assert (found["common"], found["ohlc_volume_equal"]) == (375, 375)
    thrice = bare("reconcile", "--files", *files, *named, "--layout", "plain")
    assert (thrice.code, "--layout is given 3 times for 2 files" in thrice.sentence) == (2, True)


def test_wrong_calls_are_told(bare: Place) -> None:
    cases = {
        (): "--files compares one or two files, not 0",
        ("none.txt",): "none.txt cannot be read (no such file or directory)",
        ("--tick", "0.001", "none.txt"): "0.001 is no tick",
        ("--from", "20240101", "none.txt"): "--files compares files alone",
        ("--layout", "mine", "configs"): "there is no layout 'mine'",
    }
    for arguments, words in cases.items():
        finished = bare("reconcile", "--files", *arguments)
        assert (finished.code, words in finished.sentence) == (2, True), finished.sentence
    assert bare("reconcile").sentence.startswith("name the days with --from and --to")
    assert "feed.txt is named without an option" in bare("reconcile", "feed.txt").sentence
    bare.write("configs/vendor.toml", "[layout.x]\n")
    finished = bare("reconcile", "--files", "configs/tokens.csv")
    assert (finished.code, "layout x: needs format" in finished.sentence) == (78, True)
