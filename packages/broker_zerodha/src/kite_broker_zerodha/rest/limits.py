"""How fast Kite may be called: a slot for each call, evenly spaced. Time is an argument.

Kite counts calls per API key. All threads that share a ``Pace`` share its slots, and so do all
processes of one user on this host that take theirs from `host_pace`. What several hosts do together
Kite answers with HTTP 429, which the client retries.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import struct
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from threading import Lock
from types import MappingProxyType
from typing import Final

import platformdirs


class CallKind(StrEnum):
    """The kinds of calls that Kite counts apart."""

    QUOTE = "quote"
    HISTORICAL = "historical"
    OTHER = "other"


CALLS_A_SECOND: Final[Mapping[CallKind, float]] = MappingProxyType(
    {CallKind.QUOTE: 1.0, CallKind.HISTORICAL: 3.0, CallKind.OTHER: 10.0}
)
"""Source: "Rate limits" in the documentation of Kite Connect 3 and staff answers in its forum."""


QUEUE_S_MAX: Final = 60.0
"""A slot further ahead was reserved before the host restarted and its clock began at 0."""


class Pace:
    """Hands out slots. A call may start a whole interval after the one before it, and unused slots
    are not saved up: so no second, wherever it begins, has more calls than Kite allows.

    With ``file`` the slots are shared by all processes that use it. Their clock is that of the host
    (``time.monotonic`` counts from its start). Where the file cannot be used, this one keeps the
    pace of its own calls, and Kite's 429 does the rest.
    """

    # pyrate-limiter's multiprocess bucket keeps a row a call in SQLite and lets the whole allowance
    # of a second go at once; even slots need one number a kind under a lock, and no dependency.

    def __init__(
        self,
        calls_a_second: Mapping[CallKind, float] = CALLS_A_SECOND,
        file: Path | None = None,
    ) -> None:
        if any(rate <= 0 for rate in calls_a_second.values()):
            raise ValueError("a pace needs more than 0 calls a second of each kind")
        self._interval_s = {kind: 1.0 / rate for kind, rate in calls_a_second.items()}
        self._free_s = dict.fromkeys(calls_a_second, float("-inf"))
        self._lock = Lock()
        self._file = file
        self._form = struct.Struct(f"<{len(self._free_s)}d")

    def reserve(self, kind: CallKind, now_s: float) -> float:
        """Take the next slot; how many seconds after ``now_s`` it is. Safe from many threads."""
        with self._lock:
            if self._file is None:
                return self._take(kind, now_s)
            try:
                self._file.parent.mkdir(parents=True, exist_ok=True)
                descriptor = os.open(self._file, os.O_RDWR | os.O_CREAT, 0o600)
            except OSError:
                return self._take(kind, now_s)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)  # until it is closed
                held = os.pread(descriptor, self._form.size, 0)
                if len(held) == self._form.size:
                    self._free_s = dict(zip(self._free_s, self._form.unpack(held), strict=True))
                wait_s = self._take(kind, now_s)
                os.pwrite(descriptor, self._form.pack(*self._free_s.values()), 0)
                return wait_s
            finally:
                os.close(descriptor)

    def _take(self, kind: CallKind, now_s: float) -> float:
        free_s = self._free_s[kind]
        start_s = free_s if now_s < free_s <= now_s + QUEUE_S_MAX else now_s
        self._free_s[kind] = start_s + self._interval_s[kind]
        return start_s - now_s


def host_pace(api_key: str, root: str) -> Pace:
    """The pace of all processes of this user that call ``root`` with this key. The key is not in
    the file's name, only its digest."""
    digest = hashlib.sha256(f"{root} {api_key}".encode()).hexdigest()
    folder = platformdirs.user_state_path("kite-ingest")
    return Pace(file=folder / "pace" / digest[:16])
