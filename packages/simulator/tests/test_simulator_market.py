"""The seeded market: the same each time, and always what Kite could have sent."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from kite_broker_zerodha.packets import PacketKind, Segment, price_scale_of
from kite_broker_zerodha.testing.reference import Row, decode_frame
from kite_broker_zerodha.wire import encode_frame
from kite_contracts.bounds import tick_bounds
from kite_contracts.tick_batch import TickMode
from kite_simulator.book import ClientBook, Feed
from kite_simulator.market import START_EPOCH_S, Market

TOKENS = [number << 8 | segment for number in range(1, 41) for segment in Segment]
TICKS = {3: 25_000, 6: 25, 7: 100, 8: 100, 12: 100}
"""Segment -> distance of two prices on the wire; 5 elsewhere."""
BOUNDS = tick_bounds()


def decoded(packets: Sequence[bytes]) -> list[Row]:
    return decode_frame(
        encode_frame(packets), ts_recv_ns=1, feed_session=0, first_seq=0, bounds=BOUNDS
    )


def traded(seed: int, rounds: int) -> list[list[bytes]]:
    market = Market(seed)
    market.add(TOKENS)
    return [market.advance(TOKENS, float(second)) for second in range(rounds)]


def test_the_same_seed_gives_the_same_bytes_and_another_one_others() -> None:
    assert traded(7, 5) == traded(7, 5)
    assert traded(7, 5)[0] != traded(8, 5)[0]


def test_listing_more_instruments_disturbs_nobody() -> None:
    one, two = Market(1), Market(1)
    one.add(TOKENS[:3])
    two.add([*TOKENS[:3], *TOKENS[50:400]])
    assert one.advance(TOKENS[:3], 1.0) == two.advance(TOKENS[:3], 1.0)


@pytest.mark.parametrize("mode", TickMode)
def test_every_packet_is_a_valid_tick_of_its_mode(mode: TickMode) -> None:
    market = Market(3)
    market.add(TOKENS)
    market.advance(TOKENS, 5.0)
    rows = decoded([market.packet(token, mode) for token in TOKENS])
    assert {row.verdict for row in rows} == {0}
    assert {row.mode for row in rows} == {mode}
    for token, row in zip(TOKENS, rows, strict=True):
        assert row.values["instrument_token"] == token
        assert row.values["price_scale"] == price_scale_of(token)


def test_prices_move_on_the_grid_and_every_packet_is_a_change() -> None:
    before: dict[int, int] = {}
    for packets in traded(5, 200):
        for token, row in zip(TOKENS, decoded(packets), strict=True):
            values, tick = row.values, TICKS.get(token & 0xFF, 5)
            last = values["last_price"]
            assert last > 0
            assert last % tick == 0
            assert values["low"] <= last <= values["high"]
            assert values["low"] <= values["open"] <= values["high"]
            if token in before:
                assert 0 < abs(last - before[token]) <= 3 * tick
            before[token] = last


def test_volume_grows_depth_is_a_book_and_time_passes() -> None:
    volume: dict[int, int] = {}
    tradables = [token for token in TOKENS if token & 0xFF != Segment.INDICES]
    market = Market(9)
    market.add(tradables)
    for second in range(50):
        for row in decoded(market.advance(tradables, float(second))):
            values = row.values
            token = values["instrument_token"]
            assert values["volume_day"] > volume.get(token, 0)
            volume[token] = values["volume_day"]
            bids = [values[f"bid_{level}_price"] for level in range(5)]
            asks = [values[f"ask_{level}_price"] for level in range(5)]
            assert bids == sorted(bids, reverse=True)
            assert asks == sorted(asks)
            assert bids[0] < values["last_price"] < asks[0]
            assert values["oi_day_low"] <= values["oi"] <= values["oi_day_high"]
            assert values["ts_event_ns"] == (START_EPOCH_S + second) * 10**9
    by_token = {
        row.values["instrument_token"]: row.values["oi"]
        for row in decoded([market.packet(token) for token in (257, 258)])
    }
    assert by_token[257] == 0  # stocks have no open interest
    assert by_token[258] > 0


def test_prices_stay_in_range_for_ever() -> None:
    market = Market(1)
    tokens = [259, 258, 265]
    market.add(tokens)
    state = market._full["last"]
    state[:] = np.where(np.arange(len(state)) % 2, 60, 2**31 - 1 - 10 * 25_000 * 5)
    for second in range(2000):
        market.advance(tokens, float(second))
    rows = decoded([market.packet(token) for token in tokens])
    assert {row.verdict for row in rows} == {0}
    assert all(0 < row.values["last_price"] < 2**31 for row in rows)


def test_the_feed_deals_each_instrument_once_a_round_and_shares_frames() -> None:
    market = Market(2)
    market.add(TOKENS)
    feed = Feed(market)
    books = [dict.fromkeys(TOKENS[:300], TickMode.FULL), dict.fromkeys(TOKENS[200:], TickMode.LTP)]
    feed.regroup(books)
    seen: dict[tuple[int, ...], list[int]] = {}
    for _ in range(200):
        updates = feed.next_updates(20, 0.0)
        assert len(set(updates.tokens)) == len(updates.tokens) <= 20
        seen.setdefault(updates.clients, []).extend(updates.tokens)
        assert all(
            int.from_bytes(p[:4], "big") == t
            for t, p in zip(updates.tokens, updates.packets, strict=True)
        )
    assert set(seen) == {(0,), (0, 1), (1,)}
    assert sorted(seen[0, 1][:100]) == sorted(TOKENS[200:300])
    rounds = {clients: len(tokens) / len(set(tokens)) for clients, tokens in seen.items()}
    assert max(rounds.values()) - min(rounds.values()) < 0.5  # the same rate for each instrument


def test_a_book_starts_in_quote_mode_and_keeps_kites_limit() -> None:
    book = ClientBook(tokens_max=3)
    assert book.handle('{"a":"subscribe","v":[257,513]}').tokens == [257, 513]
    assert set(book.modes.values()) == {TickMode.QUOTE}
    reply = book.handle('{"a":"subscribe","v":[513,769]}')
    assert (reply.tokens, reply.errors) == (
        [],
        ["1 instruments refused: at most 3 on a connection"],
    )
    assert book.handle('{"a":"mode","v":["full",[257,999]]}').tokens == [257]
    assert book.handle('{"a":"mode","v":["full",[257]]}').tokens == []
    assert book.handle('{"a":"unsubscribe","v":[513]}').errors == []
    assert book.modes == {257: TickMode.FULL}


@pytest.mark.parametrize(
    "text",
    ['{"a":"subscribe","v":["257"]}', '{"a":"subscribe","v":[true,0,-1,4294967296,1.5,null]}'],
)
def test_what_is_no_numeric_token_delivers_nothing(text: str) -> None:
    book = ClientBook()
    reply = book.handle(text)
    assert (reply.tokens, reply.errors, book.modes) == ([], [], {})


@pytest.mark.parametrize(
    "text", ["", "[", "1", "{}", '{"a":"subscribe"}', '{"a":"mode","v":["deep",[1]]}', "[" * 10**5]
)
def test_what_is_not_understood_is_an_error_and_nothing_else(text: str) -> None:
    book = ClientBook()
    assert len(book.handle(text).errors) == 1
    assert book.modes == {}


def test_the_largest_packets_are_cut_to_the_mode() -> None:
    market = Market(1)
    market.add([257, 265])
    lengths = [[len(market.packet(token, mode)) for mode in TickMode] for token in (257, 265)]
    assert lengths == [
        [PacketKind.LTP, PacketKind.QUOTE, PacketKind.FULL],
        [PacketKind.LTP, PacketKind.INDEX_QUOTE, PacketKind.INDEX_FULL],
    ]
