"""The acknowledged position survives anything that a crash can do to its file."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kite_live_feed.journal import AckCursor, Position
from kite_live_feed.journal.cursor import SLOT_BYTES
from kite_live_feed.journal.layout import START


def reopened(path: Path) -> AckCursor:
    cursor = AckCursor(path)
    cursor.close()
    return cursor


def test_a_new_cursor_is_before_everything(tmp_path: Path) -> None:
    cursor = reopened(tmp_path / "cursor")
    assert cursor.position == START
    assert not cursor.found
    assert not cursor.damaged


def test_it_only_moves_forward(tmp_path: Path) -> None:
    cursor = AckCursor(tmp_path / "cursor")
    assert cursor.advance(Position(3, 100))
    assert not cursor.advance(Position(3, 100))
    assert not cursor.advance(Position(2, 999))
    assert cursor.advance(Position(4, 0))
    cursor.close()
    cursor.close()
    again = reopened(tmp_path / "cursor")
    assert again.position == Position(4, 0)
    assert again.found


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2**40), st.integers(0, 2**40)), max_size=10))
def test_what_was_advanced_is_found_again(steps: list[tuple[int, int]]) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "cursor"
        cursor = AckCursor(path)
        for step in steps:
            cursor.advance(Position(*step))
        # No close: a killed process closes nothing.
        assert reopened(path).position == max([START, *steps])
        cursor.close()


@settings(deadline=None, max_examples=100)
@given(st.integers(1, 9), st.data())
def test_a_torn_slot_falls_back_to_the_one_before(writes: int, data: st.DataObject) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "cursor"
        cursor = AckCursor(path)
        for number in range(1, writes):
            cursor.advance(Position(number, number * 10))
        before = path.read_bytes()
        cursor.advance(Position(writes, writes * 10))
        cursor.close()
        after = path.read_bytes()
        at = (writes & 1) * SLOT_BYTES
        cut = data.draw(st.integers(0, 32))
        path.write_bytes(before[:at] + after[at : at + cut] + before[at + cut :])
        previous = Position(writes - 1, (writes - 1) * 10)
        assert reopened(path).position in (previous, Position(writes, writes * 10))
        if cut < 8:
            assert reopened(path).position == previous


@settings(deadline=None)
@given(st.integers(0, 2 * SLOT_BYTES - 1), st.integers(1, 255))
def test_any_wrong_byte_gives_one_of_the_last_two(at: int, flip: int) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "cursor"
        cursor = AckCursor(path)
        cursor.advance(Position(1, 5))
        cursor.advance(Position(2, 6))
        cursor.close()
        content = bytearray(path.read_bytes())
        content[at] ^= flip
        path.write_bytes(content)
        assert reopened(path).position in (Position(1, 5), Position(2, 6))


def test_rubbish_means_from_the_start_and_says_so(tmp_path: Path) -> None:
    path = tmp_path / "cursor"
    path.write_bytes(b"\xff" * 100)
    cursor = AckCursor(path)
    assert cursor.position == START
    assert cursor.damaged
    cursor.advance(Position(1, 1))
    cursor.close()
    assert reopened(path).position == Position(1, 1)


def test_a_disk_that_refuses_is_told_and_made_good(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    path = tmp_path / "cursor"
    cursor = AckCursor(path)
    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", refuse)
        assert cursor.advance(Position(1, 1))
        assert cursor.problem is not None
        assert cursor.position == Position(1, 1)
    cursor.persist()
    assert cursor.problem is None
    cursor.close()
    assert reopened(path).position == Position(1, 1)
