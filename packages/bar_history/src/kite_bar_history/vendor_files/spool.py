"""The bars of all files, sorted, on disk: so that windows can be read in any order.

A piece is a nameless temporary file, which vanishes with the process however that ends. Memory
holds the piece that is being filled, and of the others where each instrument stands.
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
    """Bars by instrument and time, a row each, in memory or in a file."""

    data: Matrix | IO[bytes]
    numbers: Matrix
    """The instruments in it, ascending; ``starts`` has one more, the end."""
    starts: Matrix

    def rows(self, low: int, high: int) -> Matrix:
        """Read instead of mapped: mapped pages would count as memory for as long as it lives."""
        if isinstance(self.data, np.ndarray):
            return self.data[low:high]
        size = (high - low) * _ROW_BYTES
        found = os.pread(self.data.fileno(), size, low * _ROW_BYTES)
        return np.frombuffer(found, np.int64).reshape(-1, ROWS)


class Spool:
    """Takes blocks of bars, gives those of some instruments and a span."""

    def __init__(self, folder: Path, piece_rows: int = PIECE_ROWS) -> None:
        self._folder = folder
        self._piece_rows = piece_rows
        self._waiting: list[Matrix] = []
        self._rows = 0
        self._pieces: list[_Piece] = []
        self._files: list[IO[bytes]] = []

    def add(self, bars: Matrix, file: int) -> None:
        """Bars (`NAMES`) of a file."""
        if not bars.shape[1]:
            return
        column = np.full((1, bars.shape[1]), file, np.int64)
        self._waiting.append(np.concatenate([bars, column]))
        self._rows += int(bars.shape[1])
        if self._rows >= self._piece_rows:
            self._flush(on_disk=True)

    def take(self, numbers: list[int], since_ns: int, until_ns: int) -> Matrix:
        """The bars of these instruments in ``[since_ns, until_ns)``, in the order they came."""
        self._flush(on_disk=False)
        parts = []
        for piece in self._pieces:
            at = np.searchsorted(piece.numbers, numbers)
            for place, number in zip(at.tolist(), numbers, strict=True):
                if place == len(piece.numbers) or piece.numbers[place] != number:
                    continue
                rows = piece.rows(int(piece.starts[place]), int(piece.starts[place + 1]))
                first, last = np.searchsorted(rows[:, 1], [since_ns, until_ns])
                parts.append(rows[first:last])
        if not parts:
            return np.empty((ROWS, 0), np.int64)
        found = np.concatenate(parts)
        order = np.lexsort((found[:, ROWS - 2], found[:, ROWS - 1]))
        return np.ascontiguousarray(found[order].T)

    def close(self) -> None:
        """Give the disk space back."""
        self._pieces.clear()
        for file in self._files:
            file.close()

    def _flush(self, *, on_disk: bool) -> None:
        if not self._waiting:
            return
        data = np.concatenate(self._waiting, axis=1)
        self._waiting, self._rows = [], 0
        order = np.lexsort((data[1], data[0]))
        data = np.ascontiguousarray(data.T[order])
        numbers, starts = np.unique(data[:, 0], return_index=True)
        ends = np.append(starts, len(data))
        self._pieces.append(_Piece(self._kept(data) if on_disk else data, numbers, ends))

    def _kept(self, data: Matrix) -> IO[bytes]:
        """Raises OutputUnusable, when the disk is full for example."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            file = tempfile.TemporaryFile(dir=self._folder)
            self._files.append(file)
            file.write(data.data)
            file.flush()
        except OSError as exc:
            raise OutputUnusable(self._folder, exc) from exc
        return file
