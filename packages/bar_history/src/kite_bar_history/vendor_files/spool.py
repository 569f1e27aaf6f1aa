"""The bars of all files, sorted, on disk: so that windows can be read in any order.

A piece is a nameless temporary file, which vanishes with the process however that ends. Memory
holds what the next piece will be, and of the others where each instrument stands.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

import numpy as np

from kite_bar_history.vendor_files.blocks import NAMES, Matrix
from kite_runtime.errors import OutputUnusable

ROWS: Final = len(NAMES) + 1
"""`NAMES`, then the number of the file."""
PIECE_ROWS: Final = 250_000
_ROW_BYTES: Final = ROWS * 8


@dataclass(frozen=True)
class _Piece:
    """Bars by instrument and time in a file, a row each."""

    file: IO[bytes]
    numbers: Matrix
    """The instruments in it, ascending; ``starts`` has one more, the end."""
    starts: Matrix

    def rows(self, number: int) -> Matrix:
        """Of one instrument. Read instead of mapped: mapped pages would count as memory for as
        long as it lives."""
        at = int(np.searchsorted(self.numbers, number))
        if at == len(self.numbers) or self.numbers[at] != number:
            return np.empty((0, ROWS), np.int64)
        low, high = int(self.starts[at]), int(self.starts[at + 1])
        found = os.pread(self.file.fileno(), (high - low) * _ROW_BYTES, low * _ROW_BYTES)
        return np.frombuffer(found, np.int64).reshape(-1, ROWS)


class Spool:
    """Takes blocks of bars, gives those of some instruments and a span."""

    def __init__(self, folder: Path, piece_rows: int = PIECE_ROWS) -> None:
        self._folder = folder
        self._piece_rows = piece_rows
        self._waiting: list[Matrix] = []
        self._pieces: list[_Piece] = []
        self.numbers: set[int] = set()
        """The instruments that have bars."""

    def add(self, bars: Matrix, file: int) -> None:
        """Bars (`NAMES`) of a file. Raises OutputUnusable, when the disk is full for example."""
        column = np.full((1, bars.shape[1]), file, np.int64)
        self.numbers.update(np.unique(bars[0]).tolist())
        self._waiting.append(np.concatenate([bars, column]))
        if sum(each.shape[1] for each in self._waiting) >= self._piece_rows:
            self._flush()

    def take(self, numbers: list[int], since_ns: int, until_ns: int) -> Matrix:
        """The bars of these instruments in ``[since_ns, until_ns)``, in the order they came."""
        self._flush()
        parts = [np.empty((0, ROWS), np.int64)]
        for piece in self._pieces:
            for number in numbers:
                rows = piece.rows(number)
                first, last = np.searchsorted(rows[:, 1], [since_ns, until_ns])
                parts.append(rows[first:last])
        found = np.concatenate(parts)
        order = np.lexsort((found[:, ROWS - 2], found[:, ROWS - 1]))
        return np.ascontiguousarray(found[order].T)

    def close(self) -> None:
        """Give the disk space back."""
        for piece in self._pieces:
            piece.file.close()
        self._pieces.clear()

    def _flush(self) -> None:
        data = np.concatenate([np.empty((ROWS, 0), np.int64), *self._waiting], axis=1)
        self._waiting = []
        if not data.size:
            return
        order = np.lexsort((data[1], data[0]))
        data = np.ascontiguousarray(data.T[order])
        numbers, starts = np.unique(data[:, 0], return_index=True)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            file = tempfile.TemporaryFile(dir=self._folder)
            self._pieces.append(_Piece(file, numbers, np.append(starts, len(data))))
            file.write(data.data)
            file.flush()
        except OSError as exc:
            raise OutputUnusable(self._folder, exc) from exc
