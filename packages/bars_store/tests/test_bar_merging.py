"""The merge, as a table: what two sources say of a bar, and what becomes of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date

import pytest
from bar_samples import (
    Bar,
    merged,
    rising,
    rules,
    source,
    values,
    verdicts,
)
from hypothesis import given
from hypothesis import strategies as st

from kite_bars_store.bars import BarInstrument, Field, Flag, MergeRules, SourceBars

O, H, L, C, V, OI = Field  # noqa: E741
BASE: Bar = (10_000, 10_050, 9_950, 10_020, 1_000)

PAIRS = [
    # kite, vendor, verdict, what differs; prices at scale 2, a tick is 5
    (BASE, BASE, "AGREED", Field(0)),
    (BASE, (10_000, 10_055, 9_950, 10_020, 1_000), "WITHIN_TOLERANCE", H),
    (BASE, (10_005, 10_055, 9_945, 10_015, 1_000), "WITHIN_TOLERANCE", O | H | L | C),
    (BASE, (10_000, 10_060, 9_950, 10_020, 1_000), "CONFLICT_BROKER_WON", H),
    (BASE, (10_000, 10_050, 9_950, 10_020, 1_010), "WITHIN_TOLERANCE", V),
    (BASE, (10_000, 10_050, 9_950, 10_020, 1_011), "CONFLICT_BROKER_WON", V),
    (BASE, (10_000, 10_050, 9_950, 10_020, 990), "WITHIN_TOLERANCE", V),
    # a basis point of 200,000 is 20, which is more than a tick
    ((200_000,) * 4 + (50,), (200_020,) * 4 + (50,), "WITHIN_TOLERANCE", O | H | L | C),
    ((200_000,) * 4 + (50,), (200_025,) * 4 + (50,), "CONFLICT_BROKER_WON", O | H | L | C),
    ((-3_700,) * 4 + (50,), (-3_700,) * 4 + (50,), "AGREED", Field(0)),
    ((-3_700,) * 4 + (50,), (-3_710,) * 4 + (50,), "CONFLICT_BROKER_WON", O | H | L | C),
    # open interest is compared where both have it
    ((*BASE, 500), BASE, "AGREED", Field(0)),
    ((*BASE, 500), (*BASE, 505), "WITHIN_TOLERANCE", OI),
    ((*BASE, 500), (*BASE, 600), "CONFLICT_BROKER_WON", OI),
    (BASE, None, "BROKER_ONLY", Field(0)),
    (None, BASE, "VENDOR_ONLY", Field(0)),
]


@pytest.mark.parametrize(("kite", "vendor", "verdict", "differs"), PAIRS)
def test_pairs(kite: Bar | None, vendor: Bar | None, verdict: str, differs: Field) -> None:
    bars = {"kite": kite, "vendor": vendor}
    golden = merged([source(name, {0: bar}) for name, bar in bars.items() if bar])
    assert verdicts(golden) == {0: verdict}
    assert golden[0]["differs"] == differs
    assert values(golden[0]) == (kite or vendor)
    assert bool(golden[0]["other_batch"]) == bool(kite and vendor)


def test_the_order_of_the_sources_does_not_matter() -> None:
    kite, vendor = source("kite", rising(30)), source("vendor", rising(20, start=10_015))
    one, two = merged([kite, vendor]), merged([vendor, kite])
    for bars in (*one.values(), *two.values()):
        del bars["batch"], bars["other_batch"]
    assert one == two


@pytest.mark.parametrize(
    ("order", "won", "verdict"),
    [
        (("kite", "vendor", "live"), "kite", "CONFLICT_BROKER_WON"),
        (("vendor", "live", "kite"), "vendor", "CONFLICT_VENDOR_WON"),
        (("live", "vendor", "kite"), "live", "CONFLICT_LIVE_WON"),
    ],
)
def test_the_first_by_precedence_wins_and_the_next_is_what_it_is_compared_with(
    order: tuple[str, ...], won: str, verdict: str
) -> None:
    prices = {"kite": 10_000, "vendor": 10_100, "live": 10_200}
    bars = [source(name, {0: (price,) * 4 + (10,)}) for name, price in prices.items()]
    golden = merged(bars, replace(rules(), sources=order))
    assert values(golden[0])[0] == prices[won]
    assert verdicts(golden) == {0: verdict}
    batches = {name: number for number, name in enumerate(prices, 1)}
    assert (golden[0]["batch"], golden[0]["other_batch"]) == (batches[won], batches[order[1]])


def test_a_single_source_is_named_by_its_role() -> None:
    assert verdicts(merged([source("live", {0: BASE})])) == {0: "LIVE_ONLY"}
    assert verdicts(merged([source("kite", {0: BASE}, purpose="heal")])) == {0: "HEALED"}
    pair = [source("kite", {0: BASE}, purpose="heal"), source("vendor", {0: BASE})]
    assert verdicts(merged(pair)) == {0: "AGREED"}


FLAT: Bar = (10_000, 10_000, 10_000, 10_000, 0)


def test_padding_is_no_trade_where_the_other_source_has_bars_around_it() -> None:
    kite = source("kite", {0: BASE, 1: FLAT, 2: BASE, 3: FLAT})
    vendor = source("vendor", {0: BASE, 2: BASE})
    golden = merged([kite, vendor])
    # After the vendor's last bar nobody confirms that there was no trade: half a file says less.
    expected = {0: "AGREED", 1: "AGREED_NO_TRADE", 2: "AGREED", 3: "BROKER_ONLY"}
    assert verdicts(golden) == expected
    assert golden[1]["flags"] == golden[3]["flags"] == Flag.FLAT
    assert verdicts(merged([kite]))[1] == "BROKER_ONLY"


def test_no_volume_is_no_sign_where_no_bar_of_the_day_has_one() -> None:
    """An index has none, and minutes of one price."""
    index = (*BASE[:4], 0)
    kite = source("kite", {0: index, 1: FLAT, 2: index})
    vendor = source("vendor", {0: index, 2: index})
    assert verdicts(merged([kite, vendor])) == {0: "AGREED", 1: "BROKER_ONLY", 2: "AGREED"}
    assert verdicts(merged([vendor, source("live", {1: FLAT})]))[1] == "LIVE_ONLY"


def with_field(name: str) -> MergeRules:
    by: MergeRules = replace(rules(), fields={name: ("vendor", "kite", "live")})
    return by


@pytest.mark.parametrize(
    ("name", "vendor", "golden", "taken"),
    [
        ("open", (10_010, 10_050, 9_950, 10_020, 9), (10_010, 10_050, 9_950, 10_020, 1_000), O),
        ("volume", (10_010, 10_050, 9_950, 10_020, 9), (*BASE[:4], 9), V),
        # an open above the winner's high would contradict it: the winner's prices stay
        ("open", (10_060, 10_070, 9_950, 10_020, 9), BASE, Field(0)),
        ("open", (10_000, 10_070, 9_950, 10_020, 9), BASE, Field(0)),
    ],
)
def test_a_field_can_follow_another_precedence(
    name: str, vendor: Bar, golden: Bar, taken: Field
) -> None:
    found = merged([source("kite", {0: BASE}), source("vendor", {0: vendor})], with_field(name))
    assert values(found[0]) == golden
    assert found[0]["from_other"] == taken


def test_open_interest_comes_from_whoever_has_it() -> None:
    found = merged([source("kite", {0: BASE}), source("vendor", {0: (*BASE, 500)})])
    assert values(found[0]) == (*BASE, 500)
    assert found[0]["from_other"] == OI


def test_prices_off_the_grid_are_flagged_and_kept() -> None:
    off = (10_001, 10_050, 9_950, 10_020, 1_000)
    assert merged([source("kite", {0: off})])[0]["flags"] == Flag.OFF_TICK
    either = merged([source("kite", {0: BASE}), source("vendor", {0: off})])
    assert either[0]["flags"] == Flag.OFF_TICK
    unknown = BarInstrument("NSE", "SBIN", 2, 0)
    assert merged([source("kite", {0: off}, unknown)])[0]["flags"] == 0


def test_a_jump_is_flagged_within_a_day() -> None:
    flat = {0: (10_000,) * 4 + (7,), 1: (12_000,) * 4 + (9,), 2: (14_405,) * 4 + (8,)}
    golden = merged([source("kite", flat)])
    assert [bar["flags"] for bar in golden.values()] == [0, 0, Flag.JUMP]


def test_a_cumulative_volume_is_flagged_and_the_other_s_taken() -> None:
    bars = rising(20)
    total = sum(bar[4] for bar in list(bars.values())[:16])
    wrong = {**bars, 15: (*bars[15][:4], total)}
    golden = merged([source("vendor", bars), source("kite", wrong)])
    assert golden[15]["flags"] == Flag.CUMULATIVE_VOLUME
    assert values(golden[15]) == bars[15]
    assert golden[15]["from_other"] == V
    assert {golden[n]["flags"] for n in golden if n != 15} == {0}
    alone = merged([source("kite", wrong)])
    assert (alone[15]["flags"], values(alone[15])) == (Flag.CUMULATIVE_VOLUME, wrong[15])

    assert verdicts(golden)[15] == "VOLUME_REPLACED"

    both = merged(
        [source("vendor", {**bars, 15: (*bars[15][:4], total + 9)}), source("kite", wrong)]
    )
    assert (both[15]["from_other"], values(both[15])) == (0, wrong[15])


def with_volume(bars: Mapping[int, Bar], minute: int, volume: int) -> dict[int, Bar]:
    return {**bars, minute: (*bars[minute][:4], volume)}


@pytest.mark.parametrize(
    ("kites", "vendors", "golden", "taken", "flag"),
    [
        # a block trade that both have, in neighbouring minutes: none of it is lost
        ({15: 250_000}, {16: 250_000}, {15: 250_000, 16: 105}, {}, {}),
        # the same minute, one of them larger
        ({15: 250_000}, {15: 240_000}, {15: 250_000}, {}, {}),
        # a block as large as all before it: the other's volume proves nothing
        ({15: 1_560}, {16: 1_700}, {15: 1_560, 16: 105}, {}, {15: 4, 16: 4}),
        # the day so far, up to 1 %: replaced
        ({15: 1_645}, {}, {15: 106}, {15: V}, {15: 4}),
        ({15: 1_600}, {15: 70}, {15: 70}, {15: V}, {15: 4}),
        ({15: 1_600}, {15: 80}, {15: 1_600}, {}, {15: 4}),
        # the day so far in the source that does not precede: nothing to replace
        ({}, {15: 1_648}, {15: 106}, {}, {15: 4}),
        # too early in the day to know
        ({3: 415}, {}, {3: 415}, {}, {}),
    ],
)
def test_a_volume_is_replaced_by_proof_alone(
    kites: dict[int, int],
    vendors: dict[int, int],
    golden: dict[int, int],
    taken: dict[int, Field],
    flag: dict[int, int],
) -> None:
    kite, vendor = rising(20), rising(20)
    for minute, volume in kites.items():
        kite = with_volume(kite, minute, volume)
    for minute, volume in vendors.items():
        vendor = with_volume(vendor, minute, volume)
    found = merged([source("kite", kite), source("vendor", vendor)])
    assert {n: found[n]["volume"] for n in golden} == golden
    assert {n: found[n]["from_other"] for n in found if found[n]["from_other"]} == taken
    assert {n: int(found[n]["flags"]) for n in found if found[n]["flags"]} == flag
    replaced = [n for n, verdict in verdicts(found).items() if verdict == "VOLUME_REPLACED"]
    assert replaced == list(taken)


def test_a_whole_day_of_cumulative_volumes_is_flagged() -> None:
    total = 0
    day: dict[int, Bar] = {}
    for minute, bar in rising(20).items():
        total += bar[4]
        day[minute] = (*bar[:4], total)
    assert {bar["flags"] for bar in merged([source("vendor", day)]).values()} == {4}


def test_what_is_outside_the_session_is_never_golden() -> None:
    bars = {-10: BASE, -1: BASE, 0: BASE, 374: BASE, 375: BASE, 500: BASE}
    golden = merged([source("kite", bars)])
    assert set(golden) == {0, 374}
    assert [golden[n]["session_minute"] for n in (0, 374)] == [0, 374]


def test_scales_are_brought_together() -> None:
    fine = BarInstrument("NSE", "SBIN", 4, 500)
    vendor = source("vendor", {0: (*(p * 100 for p in BASE[:4]), 1_000)}, fine)
    golden = merged([source("kite", {0: BASE}), vendor])
    assert verdicts(golden) == {0: "AGREED"}
    assert (golden[0]["scale"], values(golden[0])[0]) == (4, 1_000_000)


def test_an_exchange_can_have_limits_of_its_own() -> None:
    wide = replace(rules().limits, price_ticks=100)
    by = replace(rules(), exchanges={"NSE": wide})
    pair = [
        source("kite", {0: BASE}),
        source("vendor", {0: (10_000, 10_100, 9_900, 10_020, 1_000)}),
    ]
    assert verdicts(merged(pair)) == {0: "CONFLICT_BROKER_WON"}
    assert verdicts(merged(pair, by)) == {0: "WITHIN_TOLERANCE"}


@st.composite
def days(draw: st.DrawFn) -> dict[int, Bar]:
    bars: dict[int, Bar] = {}
    for minute in draw(st.sets(st.integers(0, 30), max_size=25)):
        price = draw(st.integers(9_900, 10_100))
        up, down = draw(st.integers(0, 30)), draw(st.integers(0, 30))
        volume = draw(st.sampled_from([0, 10, 11, 10_000]))
        bars[minute] = (price, price + up, price - down, price + up // 2, volume)
    return bars


@given(days(), days(), days())
def test_the_merge_of_any_day_is_explained_whole(
    kite: dict[int, Bar], vendor: dict[int, Bar], live: dict[int, Bar]
) -> None:
    """The plain definition, bar by bar, against the columns."""
    said: dict[str, dict[int, Bar]] = {"kite": kite, "vendor": vendor, "live": live}
    sources: list[SourceBars] = [source(name, bars) for name, bars in said.items() if bars]
    if not sources:
        return
    golden = merged(sources[::-1])
    assert set(golden) == {minute for bars in said.values() for minute in bars}
    for minute, bar in golden.items():
        words = [bars[minute] for bars in said.values() if minute in bars]
        won, other = words[0], words[min(1, len(words) - 1)]
        differs = sum(
            1 << bit for bit, pair in enumerate(zip(won, other, strict=True)) if pair[0] != pair[1]
        )
        assert bar["differs"] == differs
        assert values(bar)[:4] == won[:4]
        assert values(bar)[4] == (other[4] if bar["from_other"] & V else won[4])
        within = all(abs(a - b) <= 5 for a, b in zip(won[:4], other[:4], strict=True))
        within &= abs(won[4] - other[4]) <= max(won[4], other[4]) // 100
        name = verdicts(golden)[minute]
        if len(words) > 1:
            assert (name == "AGREED") == (differs == 0)
            assert name.startswith("CONFLICT") == (not within)
        else:
            assert name.endswith("_ONLY") or (name == "AGREED_NO_TRADE" and won[4] == 0)


@pytest.mark.parametrize(
    ("day", "minute", "flags"),
    [
        (date(2015, 11, 11), 8 * 60 + 30, 32),  # 17:45, Muhurat, in no calendar here
        (date(2014, 3, 22), 0, 32),  # a Saturday
        (date(2015, 12, 31), 0, 0),  # a usual minute of an old day
        (date(2015, 12, 31), -60, 32),
        (date(2016, 1, 1), 0, 0),
        (date(2016, 1, 1), -60, None),  # 08:15 is outside, and that is certain
        (date(2016, 1, 2), 0, None),  # so is a Saturday
    ],
)
def test_bars_of_unverified_days_are_golden_with_a_flag(
    day: date, minute: int, flags: int | None
) -> None:
    bars = source("kite", {minute: BASE}, day=day)
    found = merged([bars])
    assert [int(bar["flags"]) for bar in found.values()] == ([] if flags is None else [flags])
    if flags is not None:
        assert [bar["session_minute"] for bar in found.values()] == [minute]
