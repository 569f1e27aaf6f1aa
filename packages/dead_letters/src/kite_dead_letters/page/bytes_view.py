"""Bytes for a person: rows of hex with the characters beside them (pure)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

ROW_BYTES: Final = 16
PAGE_BYTES: Final = 4096

_SHOWN: Final = bytes(each if 32 <= each < 127 else ord(".") for each in range(256))


@dataclass(frozen=True, slots=True)
class HexRow:
    """One row: where it begins, two groups of up to eight bytes in hex, and the characters."""

    at: str
    left: str
    right: str
    text: str


@dataclass(frozen=True, slots=True)
class HexPage:
    """A piece of a value. ``before`` and ``after`` are where the pieces beside it begin."""

    rows: list[HexRow]
    size: int
    start: int
    before: int | None
    after: int | None

    @property
    def end(self) -> int:
        """Where it ends, exclusive."""
        return min(self.start + PAGE_BYTES, self.size)


def hex_page(value: bytes, start: int) -> HexPage:
    """The piece that holds the byte at ``start``, the last one where that lies behind the end."""
    last = max(len(value) - 1, 0)
    start = min(max(start, 0), last) // PAGE_BYTES * PAGE_BYTES
    end = start + PAGE_BYTES
    rows = [
        _row(at, value[at : min(at + ROW_BYTES, end)])
        for at in range(start, min(end, len(value)), ROW_BYTES)
    ]
    return HexPage(
        rows,
        len(value),
        start,
        start - PAGE_BYTES if start else None,
        end if end < len(value) else None,
    )


def _row(at: int, piece: bytes) -> HexRow:
    half = ROW_BYTES // 2
    return HexRow(
        f"{at:06x}",
        piece[:half].hex(" "),
        piece[half:].hex(" "),
        piece.translate(_SHOWN).decode("ascii"),
    )


def readable(content: bytes | None) -> str:
    """A header or a key: text where it is text, else its bytes in hex."""
    if content is None:
        return "(null)"
    if not content:
        return "(empty)"
    try:
        text = content.decode()
    except UnicodeDecodeError:
        text = ""
    return text if text and _printable(text) else f"0x{content.hex()}"


def _printable(text: str) -> bool:
    return all(each.isprintable() or each in "\n\t" for each in text)
