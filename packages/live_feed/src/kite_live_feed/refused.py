"""Dead letters and feed events that Kafka refuses for good: put aside in files, whole.

A topic that is missing or may not be written must neither hold the journal's position until the
journal is full and ticks are lost, nor swallow a record. So a record that is refused for
a while goes into a file a topic, beside the journal, and ``ws_bridge refused --send`` sends it when
the topic is right again. The files are bounded; when they are full the position waits after all.

One record is one JSON line: topic, key, value and headers in base64, when and why.
"""

from __future__ import annotations

import base64
import errno
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote

from kite_kafka_io.dead_letters import Headers
from kite_live_feed.errors import RefusedFileError

FOLDER: Final = "refused"
SUFFIX: Final = ".jsonl"
BYTES_MAX: Final = 256 * 1024 * 1024
"""All files of a journal together."""


@dataclass(frozen=True)
class RefusedRecord:
    """One record that was put aside. ``refused_ns`` is since the epoch (UTC)."""

    topic: str
    key: bytes | None
    value: bytes
    headers: Headers
    error: str
    refused_ns: int


class RefusedStore:
    """The files of one journal folder; ``problem`` is why the last record was not taken."""

    def __init__(self, journal_dir: Path, bytes_max: int = BYTES_MAX) -> None:
        self.directory = journal_dir / FOLDER
        self.problem: str | None = None
        self._bytes_max = bytes_max

    @property
    def size_bytes(self) -> int:
        """What the files hold; 0 when nothing was refused, or all of it has been sent."""
        total = 0
        for path in self.files():
            with suppress(FileNotFoundError):  # sent this moment
                total += path.stat().st_size
        return total

    def files(self) -> list[Path]:
        """The files, by topic; those of an interrupted ``--send`` too."""
        return sorted(self.directory.glob(f"*{SUFFIX}*"))

    def put_all(self, topic: str, records: Iterable[RefusedRecord]) -> bool:
        """Store all of these by one write to the disk, or none of them.

        False, and a ``problem``, when they were not stored.
        """
        lines = b"".join(map(_pack, records))
        try:
            if self.size_bytes + len(lines) > self._bytes_max:
                self.problem = f"{self.directory} is full ({self._bytes_max} bytes)"
                return False
            self.directory.mkdir(mode=0o700, exist_ok=True)
            _append(self.directory / f"{quote(topic, safe='')}{SUFFIX}", lines)
        except OSError as exc:
            self.problem = f"{self.directory} cannot be written ({exc.strerror})"
            return False
        self.problem = None
        return True


def read_refused(path: Path) -> Iterator[RefusedRecord]:
    """The records of one file, in the order in which they were refused. Raises RefusedFileError."""
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                yield _unpack(line)
            except (ValueError, KeyError, TypeError) as exc:
                raise RefusedFileError(
                    f"{path}, line {number}: this is no refused record; take the line out and "
                    "keep it, then send the others"
                ) from exc


def _append(path: Path, lines: bytes) -> None:
    """All of the lines or none, on the disk when this returns. Raises OSError."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        size = os.fstat(fd).st_size
        if os.write(fd, lines) != len(lines):
            os.ftruncate(fd, size)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.fdatasync(fd)
    finally:
        os.close(fd)


def _pack(record: RefusedRecord) -> bytes:
    headers = [[name, _text(value)] for name, value in record.headers]
    fields = {
        "topic": record.topic,
        "key": _text(record.key),
        "value": _text(record.value),
        "headers": headers,
        "error": record.error,
        "refused_ns": record.refused_ns,
    }
    return json.dumps(fields).encode() + b"\n"


def _unpack(line: bytes) -> RefusedRecord:
    fields = json.loads(line)
    value = _bytes(fields["value"])
    if value is None:
        raise ValueError("no value")
    headers: Headers = [(str(name), _bytes(text)) for name, text in fields["headers"]]
    return RefusedRecord(
        str(fields["topic"]),
        _bytes(fields["key"]),
        value,
        headers,
        str(fields["error"]),
        int(fields["refused_ns"]),
    )


def _text(data: bytes | str | None) -> str | None:
    if data is None:
        return None
    return base64.b64encode(data.encode() if isinstance(data, str) else data).decode()


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else base64.b64decode(text, validate=True)
