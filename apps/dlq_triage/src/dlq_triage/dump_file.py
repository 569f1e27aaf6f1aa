"""The file of a dump: there under its name only when it is whole.

Lines go to ``NAME.part``, which is renamed at the end. Whatever happens on the way, the part holds
whole lines only.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final, Self

from dlq_triage.errors import DumpFailed

STDOUT: Final = "-"


class DumpFile:
    """Writes lines to ``name``, or to standard output for ``-``. Raises DumpFailed."""

    def __init__(self, name: str) -> None:
        self.lines = 0
        self._whole_bytes = 0
        self._target = None if name == STDOUT else Path(name)
        self.part = (
            None if self._target is None else self._target.with_name(self._target.name + ".part")
        )
        self._out: BinaryIO = sys.stdout.buffer
        if self.part is not None:
            try:
                self._out = self.part.open("wb", buffering=0)
            except OSError as error:
                raise DumpFailed(self.part, error) from error

    def write(self, lines: Sequence[bytes]) -> None:
        """Write whole lines."""
        data = memoryview(b"".join(lines))
        try:
            if self.part is None:
                self._out.write(data)
                self._out.flush()
            else:
                written = 0
                while written < len(data):
                    written += self._out.write(data[written:])
        except BrokenPipeError:
            raise
        except OSError as error:
            self._cut()
            raise DumpFailed(self.part or Path("standard output"), error) from error
        self._whole_bytes += len(data)
        self.lines += len(lines)

    def sync(self) -> None:
        """Put everything written on the disk."""
        if self.part is not None:
            os.fsync(self._out.fileno())

    def finish(self) -> None:
        """The dump is whole: give it its name, which may replace an older dump."""
        if self.part is None or self._target is None:
            return
        try:
            self.sync()
            self._out.close()
            self.part.replace(self._target)
        except OSError as error:
            raise DumpFailed(self._target, error) from error

    def close(self) -> None:
        """Leave the part as it is, with whole lines."""
        if self.part is not None and not self._out.closed:
            self._cut()
            self._out.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _cut(self) -> None:
        if self.part is not None:
            self._out.truncate(self._whole_bytes)
