"""``decode`` against frames packed by hand: every packet kind, every kind of file, bad bytes."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest
from bridge_cases import Stage

from kite_live_feed.journal.layout import list_segments
from kite_runtime.testing import CommandLine, Finished

INFY, NIFTY, USDINR, MCX_SPREAD = 408065, 256265, 1000 << 8 | 3, 2000 << 8 | 7
TRADED, SEEN = 1_767_584_699, 1_767_584_700
TRADED_TEXT, SEEN_TEXT = "2026-01-05T03:44:59Z", "2026-01-05T03:45:00Z"

LTP = struct.pack(">Ii", INFY, 150_005)
NEGATIVE = struct.pack(">Ii", MCX_SPREAD, -3700)
CURRENCY = struct.pack(">Ii", USDINR, 833_275_001)
INDEX = struct.pack(">I6i", NIFTY, 2_435_010, 2_440_000, 2_430_000, 2_432_000, 2_431_005, 4_005)
INDEX_FULL = INDEX + struct.pack(">I", SEEN)
QUOTE = struct.pack(
    ">Ii I i 3I 4i", INFY, 150_005, 12, 149_990, 1_234_567, 1_000, 2_000, 149_000, 151_000, 148_500,
    149_500,
)  # fmt: skip
DEPTH = b"".join(struct.pack(">IiH2x", 10 + n, 149_995 - n, 1 + n) for n in range(5)) + b"".join(
    struct.pack(">IiH2x", 20 + n, 150_005 + n, 2 + n) for n in range(5)
)
FULL = QUOTE + struct.pack(">5I", TRADED, 11, 13, 7, SEEN) + DEPTH
FULL_WITHOUT_TIMES = QUOTE + struct.pack(">5I", 0, 11, 13, 7, 0) + DEPTH
EARLY = QUOTE + struct.pack(">5I", TRADED, 11, 13, 7, 5) + DEPTH


def frame(*packets: bytes) -> bytes:
    parts = [struct.pack(">H", len(packets))]
    for packet in packets:
        parts += [struct.pack(">H", len(packet)), packet]
    return b"".join(parts)


def decode_hex(command_line: CommandLine, *lines: str) -> Finished:
    return command_line("decode", "--hex", "-", stdin="\n".join(lines).encode())


def objects(finished: Finished) -> list[dict[str, Any]]:
    return [json.loads(line) for line in finished.stdout.splitlines()]


def decode(command_line: CommandLine, *frames: bytes) -> list[dict[str, Any]]:
    finished = decode_hex(command_line, *(each.hex() for each in frames))
    assert finished.code == 0, finished.stderr
    return objects(finished)


TRADE = {
    "last_quantity": 12,
    "average_price": "1499.90",
    "volume_day": 1_234_567,
    "total_buy_quantity": 1_000,
    "total_sell_quantity": 2_000,
    "open": "1490.00",
    "high": "1510.00",
    "low": "1485.00",
    "close": "1495.00",
}
OPEN_INTEREST = {"oi": 11, "oi_day_high": 13, "oi_day_low": 7}
BOOK = {
    "bids": [
        {"price": price, "quantity": 10 + n, "orders": 1 + n}
        for n, price in enumerate(["1499.95", "1499.94", "1499.93", "1499.92", "1499.91"])
    ],
    "asks": [
        {"price": price, "quantity": 20 + n, "orders": 2 + n}
        for n, price in enumerate(["1500.05", "1500.06", "1500.07", "1500.08", "1500.09"])
    ],
}
NOTHING: dict[str, Any] = dict.fromkeys(
    [*TRADE, *OPEN_INTEREST, "ts_event", "last_trade_time", "index_change"]
) | {"bids": [], "asks": []}
INDEX_VALUES = {
    "instrument_token": NIFTY,
    "last_price": "24350.10",
    "high": "24400.00",
    "low": "24300.00",
    "open": "24320.00",
    "close": "24310.05",
    "index_change": "40.05",
}
INFY_VALUES = {"instrument_token": INFY, "last_price": "1500.05"}
FULL_VALUES = {**INFY_VALUES, "mode": "full", **TRADE, **OPEN_INTEREST, **BOOK}


@pytest.mark.parametrize(
    ("packet", "expected"),
    [
        (LTP, {**INFY_VALUES, "mode": "ltp"}),
        (NEGATIVE, {"instrument_token": MCX_SPREAD, "mode": "ltp", "last_price": "-37.00"}),
        (CURRENCY, {"instrument_token": USDINR, "mode": "ltp", "last_price": "83.3275001"}),
        (INDEX, {**INDEX_VALUES, "mode": "quote"}),
        (INDEX_FULL, {**INDEX_VALUES, "mode": "full", "ts_event": SEEN_TEXT}),
        (QUOTE, {**INFY_VALUES, "mode": "quote", **TRADE}),
        (FULL, {**FULL_VALUES, "ts_event": SEEN_TEXT, "last_trade_time": TRADED_TEXT}),
        (FULL_WITHOUT_TIMES, FULL_VALUES),
    ],
    ids=["ltp", "negative", "currency", "index", "index-full", "quote", "full", "no-times"],
)
def test_every_packet_kind(
    command_line: CommandLine, packet: bytes, expected: dict[str, Any]
) -> None:
    assert decode(command_line, frame(packet)) == [NOTHING | expected]


def test_a_packet_means_the_same_alone_and_among_others(command_line: CommandLine) -> None:
    packets = [LTP, INDEX_FULL, FULL, QUOTE, NEGATIVE]
    together = decode(command_line, frame(*packets))
    apart = decode(command_line, *(frame(each) for each in packets))
    assert together == apart
    assert len(together) == 5


def test_hex_may_be_written_as_people_write_it(command_line: CommandLine) -> None:
    text = frame(LTP).hex()
    spaced = " ".join(text[at : at + 2] for at in range(0, len(text), 2))
    finished = decode_hex(command_line, f"0x{text}", "", text.upper(), f"  {spaced}\r", "\t")
    assert finished.code == 0
    assert objects(finished) == [NOTHING | INFY_VALUES | {"mode": "ltp"}] * 3


def test_heartbeats_are_no_fault(command_line: CommandLine) -> None:
    finished = decode_hex(command_line, "00", frame(LTP).hex(), "00")
    assert (finished.code, len(objects(finished))) == (0, 1)
    assert finished.stderr.strip() == "1 frames: 1 ticks, 0 faults, 2 heartbeats"


@pytest.mark.parametrize(
    ("line", "reasons", "ticks"),
    [
        (frame(LTP, LTP).hex()[:-2], ["DECODE_TRUNCATED"], 1),
        ("0005" + frame(LTP).hex()[4:], ["DECODE_TRUNCATED"], 1),
        (frame(LTP, b"four", LTP).hex(), ["DECODE_UNKNOWN_PACKET"], 2),
        (frame(LTP).hex() + "ffff", ["DECODE_TRAILING_BYTES"], 1),
        (frame(EARLY, LTP).hex(), ["SEMANTIC_RANGE"], 1),
        (frame(struct.pack(">Ii", 0, 5)).hex(), ["SEMANTIC_RANGE"], 0),
        ("this is not hex", ["NOT_HEX"], 0),
        ("abc", ["NOT_HEX"], 0),
        ("ünï", ["NOT_HEX"], 0),
        (frame(b"").hex(), ["DECODE_UNKNOWN_PACKET"], 0),
    ],
)
def test_a_bad_frame_prints_its_reason_and_ends_with_3(
    command_line: CommandLine, line: str, reasons: list[str], ticks: int
) -> None:
    finished = decode_hex(command_line, line, frame(QUOTE).hex())
    found = objects(finished)
    assert finished.code == 3
    assert [each["reason"] for each in found if "reason" in each] == reasons
    assert len([each for each in found if "last_price" in each]) == ticks + 1
    assert f"{len(reasons)} faults" in finished.stderr
    assert "Traceback" not in finished.stderr


def test_a_fault_shows_its_bytes(command_line: CommandLine) -> None:
    finished = decode_hex(command_line, "zz", frame(b"four").hex(), frame(EARLY).hex())
    assert objects(finished) == [
        {"reason": "NOT_HEX", "line": 1, "raw": "zz"},
        {"reason": "DECODE_UNKNOWN_PACKET", "raw": b"four".hex()},
        {
            "reason": "SEMANTIC_RANGE",
            "field": "ts_event_ns",
            "value": 5_000_000_000,
            "instrument_token": INFY,
            "raw": EARLY.hex(),
        },
    ]


def test_a_hex_file_and_a_raw_file(command_line: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "frames.txt").write_text(f"{frame(LTP).hex()}\n{frame(QUOTE).hex()}\n")
    (tmp_path / "frame.bin").write_bytes(frame(LTP, QUOTE))
    expected = [NOTHING | INFY_VALUES | {"mode": "ltp"}]
    expected += [NOTHING | INFY_VALUES | {"mode": "quote"} | TRADE]
    for arguments in (("--hex", "frames.txt"), ("frame.bin",)):
        finished = command_line("decode", *arguments, cwd=tmp_path)
        assert (finished.code, objects(finished)) == (0, expected)
    piped = command_line("decode", "-", stdin=frame(LTP, QUOTE))
    assert (piped.code, objects(piped)) == (0, expected)


def test_a_journal_segment(command_line: CommandLine, tmp_path: Path) -> None:
    """Frames of the journal in order; feed events in it are none."""
    with Stage(tmp_path) as stage:
        stage.connect()
        stage.receive(frame(LTP, NEGATIVE))
        stage.receive(frame(CURRENCY))
    [segment] = list_segments(tmp_path / "journal")
    finished = command_line("decode", str(segment.path))
    assert finished.code == 0
    assert [each["last_price"] for each in objects(finished)] == ["1500.05", "-37.00", "83.3275001"]


def test_a_damaged_journal_shows_what_is_left(command_line: CommandLine, tmp_path: Path) -> None:
    with Stage(tmp_path) as stage:
        stage.connect()
        for price in (100, 200, 300):
            stage.receive(frame(struct.pack(">Ii", INFY, price)))
    [segment] = list_segments(tmp_path / "journal")
    data = segment.path.read_bytes()
    at = data.index(struct.pack(">Ii", INFY, 200))
    segment.path.write_bytes(data[:at] + b"\xff" + data[at + 1 :])
    finished = command_line("decode", str(segment.path))
    found = objects(finished)
    assert finished.code == 3
    assert [each["last_price"] for each in found if "last_price" in each] == ["1.00", "3.00"]
    assert [each["reason"] for each in found if "reason" in each] == ["JOURNAL_CORRUPT"]


@pytest.mark.parametrize(
    "arguments", [("--hex", "gone.txt"), ("gone.bin",), (".",), ("--hex", ".")]
)
def test_a_file_that_cannot_be_read_is_wrong_usage(
    command_line: CommandLine, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    finished = command_line("decode", *arguments, cwd=tmp_path)
    assert finished.code == 2
    assert len(finished.sentences) == 1
    assert arguments[-1] in finished.sentences[0]
    assert "cannot be read" in finished.sentences[0]
    assert finished.stdout == ""


def test_a_reader_that_leaves_early_is_no_error(command_line: CommandLine, tmp_path: Path) -> None:
    """`decode … | head -1`: the pipe breaks, which is the reader's right."""
    (tmp_path / "many.txt").write_text(f"{frame(FULL).hex()}\n" * 500)
    finished = command_line("decode", "--hex", "many.txt", cwd=tmp_path, stdout_closed=True)
    assert "Traceback" not in finished.stderr
    assert finished.code == 0
