"""The bridge with a wall clock that the play sets, as a process: ``python -m faults.shifted run …``

``time.time_ns`` and ``time.time`` are replaced before the bridge is imported; they add an offset
that a small shared file holds, so the play can make the clock jump while the bridge runs. The
monotonic clock is the machine's, as it would be when somebody sets a machine's clock. With a
``speed`` both run faster than the machine's, so that a minute of silence takes a part of one.
"""

from __future__ import annotations

import mmap
import os
import struct
import time
from datetime import UTC, datetime
from pathlib import Path

MODULE = "faults.shifted"
VARIABLE = "FAULTS_CLOCK_FILE"
SPEED_VARIABLE = "FAULTS_CLOCK_SPEED"
OPEN_HOURS = datetime(2026, 11, 23, 5, 0, tzinfo=UTC)
"""A Monday, 10:30 IST: every segment trades, so that every silence counts."""
_OFFSET = struct.Struct("<q")


def clock_settings(home: Path, begin: datetime, speed: int = 1) -> dict[str, str]:
    """The variables for a bridge whose clock stands at ``begin`` now."""
    path = home / "clock"
    path.write_bytes(_OFFSET.pack(int(begin.timestamp() * 1e9) - time.time_ns()))
    return {VARIABLE: str(path), SPEED_VARIABLE: str(speed)}


def jump(home: Path, seconds: float) -> None:
    """Let the bridge's clock jump, forward or back."""
    with (home / "clock").open("r+b") as file:
        (offset,) = _OFFSET.unpack(file.read(_OFFSET.size))
        file.seek(0)
        file.write(_OFFSET.pack(offset + int(seconds * 1e9)))


def _shift_clock() -> None:
    with Path(os.environ[VARIABLE]).open("rb") as file:
        shared = mmap.mmap(file.fileno(), _OFFSET.size, access=mmap.ACCESS_READ)
    real_ns, unpack = time.time_ns, _OFFSET.unpack_from
    speed, began_ns = int(os.environ[SPEED_VARIABLE]), real_ns()

    def time_ns() -> int:
        passed_ns = (real_ns() - began_ns) * speed
        return began_ns + passed_ns + int(unpack(shared)[0])

    time.time_ns = time_ns
    time.time = lambda: time_ns() / 1e9
    if speed > 1:
        monotonic, began_s = time.monotonic, time.monotonic()
        time.monotonic = lambda: began_s + (monotonic() - began_s) * speed


if __name__ == "__main__":
    _shift_clock()
    from kite_ws_bridge import cli

    cli.main()
