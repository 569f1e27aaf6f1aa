"""The file of a dump: there under its name only when it is whole.

Lines go to ``NAME.part``, which is renamed at the end. Whatever happens on the way, the part holds
whole lines only.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from kite_dead_letters.errors import DumpFailed

STDOUT: Final = "-"


class DumpFile:
    """Writes whole lines to ``name``, or to standard output for ``-``. Raises DumpFailed."""

    def __init__(self, name: str) -> None:
        self._target = Path(name)
        self.part = None if name == STDOUT else Path(f"{name}.part")
        self._whole_bytes = 0
        if self.part is None:
            return
        try:
            self._file = self.part.open("wb", buffering=0)
        except OSError as error:
            raise DumpFailed(self.part, error) from error

    def write(self, lines: Sequence[bytes]) -> None:
        """Write whole lines; if the disk takes only some, none of them is in the file."""
        data = memoryview(b"".join(lines))
        if self.part is None:
            self._print(data)
            return
        try:
            written = 0
            while written < len(data):
                written += self._file.write(data[written:])
        except OSError as error:
            self._cut()
            raise DumpFailed(self.part, error) from error
        self._whole_bytes += len(data)

    def sync(self) -> None:
        """Put everything written on the disk."""
        if self.part is None:
            return
        try:
            os.fsync(self._file.fileno())
        except OSError as error:
            raise DumpFailed(self.part, error) from error

    def finish(self) -> None:
        """The dump is whole: give it its name, which may replace an older dump."""
        if self.part is None:
            return
        self.sync()
        self.close()
        try:
            self.part.replace(self._target)
        except OSError as error:
            raise DumpFailed(self._target, error) from error

    def close(self) -> None:
        """Leave the part as it is, with whole lines."""
        if self.part is not None and not self._file.closed:
            self._cut()
            self._file.close()

    def _cut(self) -> None:
        with suppress(OSError):  # a pipe or a device cannot be cut; the first error is reported
            self._file.truncate(self._whole_bytes)
            self._file.seek(self._whole_bytes)

    @staticmethod
    def _print(data: memoryview) -> None:
        try:
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
        except BrokenPipeError:
            raise  # the reader has seen enough
        except OSError as error:
            raise DumpFailed(Path("standard output"), error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
