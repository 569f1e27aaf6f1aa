"""``lookup``, ``diff``, ``days`` and ``export`` in processes, on a real Postgres."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from dumps import IST, dump, future, option, row

from kite_runtime.testing import Place
from kite_simulator import RestSimulator
from kite_simulator.master import Master

TODAY = datetime.now(IST).date()
EARLY = TODAY - timedelta(days=400)
ENDED = EARLY + timedelta(days=10)
SOON = TODAY + timedelta(days=6)
OLD = dump(
    row("NIFTY 50", 1001),
    row("M&M", 7),
    option("NIFTY", ENDED, "20000", "CE", 55),
    option("HINDPETRO", SOON, "480", "CE", 66),
    future("M&M", SOON, 77),
)
NEW = dump(
    row("NIFTY 50", 1001),
    row("M&M", 8),
    option("NIFTY", SOON, "24000", "CE", 55),
    option("HINDPETRO", SOON, "460.75", "CE", 66),
    future("M&M", SOON, 77).replace(",65,FUT", ",75,FUT"),
    option("NIFTY", SOON, "24100", "PE", 88),
)


@pytest.fixture()
def filled(place: Place) -> Place:
    """A history of two days, more than a year apart."""
    place.write("old.csv", OLD)
    place.write("new.csv", NEW)
    first = place("sync", "--file", "old.csv", "--date", str(EARLY))
    second = place("sync", "--file", "new.csv")
    assert (first.code, second.code) == (0, 0), first.stderr + second.stderr
    return place


def test_a_token_by_day(filled: Place) -> None:
    token = str(55 << 8 | 2)
    both = filled("lookup", token, "--json").json()
    assert [(line["strike"], line["valid_from"], line["valid_to"]) for line in both] == [
        ("20000", str(EARLY), str(ENDED + timedelta(days=1))),
        ("24000", str(TODAY), str(SOON + timedelta(days=1))),
    ]
    then = filled("lookup", token, "--as-of", str(EARLY), "--json").json()
    assert [(line["strike"], line["of"]) for line in then] == [
        ("20000", "term"),
        ("24000", "token"),
    ]
    between = filled("lookup", token, "--as-of", str(ENDED + timedelta(days=5)))
    assert between.code == 1
    assert f"named nothing on {ENDED + timedelta(days=5)}" in between.sentence


@pytest.mark.parametrize("columns", ["60", "80", "120", "200"])
def test_no_width_cuts_a_number_or_a_symbol(filled: Place, columns: str) -> None:
    token = str(55 << 8 | 2)
    [line, *_] = filled("lookup", token, "--as-of", str(EARLY), "--json").json()
    shown = filled("lookup", token, "--as-of", str(EARLY), COLUMNS=columns).stdout
    assert {token, line["tradingsymbol"], line["expiry"], line["strike"]} <= set(shown.split())
    days = filled("days", COLUMNS=columns).stdout
    assert {str(EARLY), str(TODAY), "added", "good"} <= set(days.replace("┃", "").split())
    assert "…" not in shown + days


@pytest.mark.parametrize(
    "terms", [("NIFTY 50",), ("NIFTY", "50"), ("NSE:NIFTY 50",), ("nifty 50",)], ids=str
)
def test_a_symbol_with_a_space(filled: Place, terms: tuple[str, ...]) -> None:
    (line,) = filled("lookup", *terms, "--json").json()
    assert (line["exchange"], line["tradingsymbol"]) == ("NSE", "NIFTY 50")


def test_a_symbol_and_what_its_tokens_named_besides(filled: Place) -> None:
    shown = filled("lookup", "M&M")
    assert shown.code == 0
    assert shown.stdout.count("M&M") == 2
    renamed = filled("lookup", f"HINDPETRO{SOON:%y%m%d}480CE")
    assert "At other times the same token named:" in renamed.stdout
    assert "460.75" in renamed.stdout


def test_expressions_flags_and_what_is_not_found(filled: Place) -> None:
    words = filled("lookup", "NIFTY", "front", "24000:24050", "CE", "--json").json()
    flags = filled(
        *("lookup", "--underlying", "NIFTY", "--expiry", "front"),
        *("--strike", "24000:24050", "--type", "ce", "--json"),
    ).json()
    assert words == flags
    assert [line["strike"] for line in words] == ["24000"]
    then = filled("lookup", "NIFTY", "--as-of", str(EARLY), "--json").json()
    assert [line["strike"] for line in then] == ["20000"]
    limited = filled("lookup", "--exchange", "NFO", "--limit", "1")
    assert "3 more: --limit 0" in limited.stderr
    unknown = filled("lookup", "NIFTI")
    assert unknown.code == 1
    assert "near: NIFTY" in unknown.sentence
    assert filled("lookup", "999").sentence.startswith("no instrument has or had the token 999")
    assert filled("lookup", "NIFTY", "99999").code == 1
    assert filled("lookup").code == 2
    before = filled("lookup", "NIFTY", "front", "--as-of", "2001-01-01")
    assert "run `instruments sync`" in before.sentence


def test_diff_of_days_and_of_files_agree(filled: Place) -> None:
    days = filled("diff", "--json")
    files = filled("diff", "old.csv", "new.csv", "--json")
    named = filled("diff", str(EARLY), str(TODAY), "--json")
    assert days.stdout == files.stdout == named.stdout
    assert "2 added, 1 expired, 0 removed, 1 renamed, 1 moved, 1 reused, 1 changed" in days.stderr
    (renamed,) = (line for line in days.json() if line["kind"] == "renamed")
    assert (renamed["strike"], renamed["before"]["strike"]) == ("460.75", "480")
    (changed,) = (line for line in days.json() if line["kind"] == "changed")
    assert (changed["differs"], changed["before"]) == (["lot_size"], {"lot_size": 65})


TATA = dump(row("TATAMOTORS", 3456, name="TATA MOTORS"), row("ZOMATO", 5097, name="ZOMATO"))
TMPV = dump(row("TMPV", 3456, name="TATA MOTORS PV"), row("ETERNAL", 5097, name="ETERNAL"))
ENDS = future("NIFTY", SOON, 77)


@pytest.mark.parametrize(
    ("first", "second", "contract", "renamed"),
    [
        ("nse-2025-10-23.csv", "nse-2025-10-24.csv", False, 2),
        ("20251023_instruments.csv", "20251030_instruments.csv", False, 2),
        ("nse-2025-10-24.csv", "nse-2025-10-23.csv", False, 2),  # the later one first
        ("nse-2025-10-23.csv", "nse-2025-10-31.csv", False, 0),  # eight days
        ("nse-2025-10-23.csv", "nse-2024-10-23.csv", False, 0),
        ("nse-2025-10-23.csv", "today.csv", False, 0),
        ("a.csv", "b.csv", False, 0),  # whose days are not known
        ("a.csv", "b.csv", True, 2),  # the next expiry tells them
        ("nse-2024-10-23.csv", "nse-2025-10-24.csv", True, 0),  # a name tells more
        ("nse-2025-99-23.csv", "nse-2025-99-24.csv", False, 0),
    ],
)
def test_shares_are_renamed_between_files_that_are_days_apart_for_certain(
    bare: Place, first: str, second: str, contract: bool, renamed: int
) -> None:
    more = f"{ENDS}\n".encode() if contract else b""
    bare.write(first, TATA + more)
    bare.write(second, TMPV + more)
    found = bare("diff", first, second)
    assert found.code == 0, found.stderr
    assert f" {renamed} renamed, 0 moved, {2 - renamed} reused" in found.stdout
    hint = "2 tokens of shares count as reused, as it is not known how far apart the files are"
    unknown = not contract and second in ("today.csv", "b.csv", "nse-2025-99-24.csv")
    assert (hint in found.stderr) is unknown


def test_shares_are_renamed_between_two_dumps_of_the_history_not_between_two_days(
    place: Place,
) -> None:
    """A dump is the master of all days until the next one, so the days may be near and it old."""
    place.write("old.csv", TATA)
    place.write("new.csv", TMPV)

    def sync(file: str, day: str) -> int:
        done = place("sync", "--file", file, "--date", day, "--exchange", "NSE", "--json")
        assert done.code == 0, done.stderr
        (counts,) = done.json()
        return int(counts["renamed"])

    assert sync("old.csv", "2025-10-23") == 0
    assert sync("new.csv", "2025-11-23") == 0
    near = place("diff", "2025-11-22", "2025-11-23")
    assert "0 renamed, 0 moved, 2 reused" in near.stdout
    assert sync("old.csv", "2025-11-24") == 2
    assert "2 renamed, 0 moved, 0 reused" in place("diff", "2025-11-23", "2025-11-24").stdout


def test_diff_as_table_and_csv_and_parts_of_it(filled: Place) -> None:
    table = filled("diff", "--kind", "moved")
    assert "moved: 1 (the same symbol on another token)" in table.stdout
    assert "token was 1793" in table.stdout
    assert "renamed:" not in table.stdout
    sheet = filled("diff", "--csv", "--exchange", "NFO").stdout.splitlines()
    assert sheet[0].startswith("kind,exchange,tradingsymbol,instrument_token")
    assert [line.split(",")[0] for line in sheet[1:]] == [
        *("added", "added", "expired", "renamed", "reused", "changed")
    ]
    filled.write("nse.csv", dump(row("M&M", 7)))
    part = filled("diff", "old.csv", "nse.csv")
    assert "NFO is in one of the two alone and left out" in part.stderr


OPTION = "universe_calls.csv"
TOML = """
[universe.cash]
exchange = "NSE"
symbols = ["NIFTY 50", "M&M"]
[universe.calls]
exchange = "NFO"
underlying = "NIFTY"
expiries = 1
strikes = 0
spot = "NSE:NIFTY 50"
"""


def test_export_writes_what_changed_and_nothing_else(filled: Place) -> None:
    filled.write("configs/universes.toml", TOML)
    missing = filled("export")
    assert missing.code == 1
    assert missing.sentence.startswith("universe calls: no price of NSE:NIFTY 50 (not logged")
    assert filled.read("configs/universe_cash.csv").endswith("NSE,M&M,full\nNSE,NIFTY 50,full\n")
    checked = filled("export", "--check", "--spot", "NIFTY 50=24010")
    assert checked.code == 3
    assert not (filled.folder / "configs" / OPTION).exists()
    done = filled("export", "--spot", "NIFTY 50=24010")
    assert done.code == 0, done.stderr
    assert f"{OPTION}: +1 -0" in done.stdout
    assert f"{55 << 8 | 2},full,NFO,NIFTY{SOON:%y%m%d}24000CE" in filled.read("configs/tokens.csv")
    before = {path: path.stat().st_mtime_ns for path in (filled.folder / "configs").iterdir()}
    again = filled("export", "--spot", "NSE:NIFTY 50=24010")
    assert again.stdout.count("as it was") == 3
    assert before == {
        path: path.stat().st_mtime_ns for path in (filled.folder / "configs").iterdir()
    }
    assert filled("export", "--check", "--spot", "NIFTY 50=24010").code == 0
    moved = filled("export", "--spot", "NIFTY 50=24090", "--only", "calls", "--out", "configs")
    assert f"{OPTION}: +1 -1" in moved.stdout
    assert "universe_cash" not in moved.stdout


def test_export_asks_kite_for_the_spot(place: Place, kite: RestSimulator) -> None:
    place.write("configs/universes.toml", TOML)
    assert place("sync", "--exchange", "NSE", "--exchange", "NFO").code == 0
    place("auth", "exchange", kite.account.log_in("dummy"))
    done = place("export")
    assert done.code == 0, done.stderr
    assert f"{OPTION}: +2 -0" in done.stdout


def test_an_old_master_is_said(place: Place, kite: RestSimulator) -> None:
    yesterday = TODAY - timedelta(days=1)
    place.write("configs/universes.toml", '[universe.cash]\nexchange="NSE"\nsymbols=["M&M"]\n')
    place.write("d.csv", dump(row("M&M", 7)))
    place("sync", "--file", "d.csv", "--date", str(yesterday))
    done = place("export")
    assert done.code == 0
    assert f"the master of NSE is of {yesterday}" in done.stderr
    kite.service.master = Master(dump(row("M&M", 7), row("X", 8)))
    place("sync", "--exchange", "NSE")
    assert "the master of" not in place("export").stderr


def test_days_of_nothing(place: Place) -> None:
    assert "no dump is recorded yet" in place("days").stdout
    assert place("diff").sentence.startswith("the history has 0 of the two days")
