"""A vendor's file as UTF-8, however it is packed: gzip, zstd, zip with one file, UTF-16."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import Any, Final

import pyarrow as pa  # type: ignore[import-untyped]

from kite_runtime.errors import InputUnusable

BOM: Final = b"\xef\xbb\xbf"
UNREADABLE: Final = (
    OSError, pa.ArrowInvalid, zipfile.BadZipFile, zlib.error, UnicodeDecodeError, EOFError
)  # fmt: skip
"""What a damaged file raises while it is read."""
_PACKED: Final = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
_ZIP: Final = b"PK\x03\x04"
_UTF16: Final = {b"\xff\xfe": "utf-16-le", b"\xfe\xff": "utf-16-be"}
_ENCRYPTED: Final = 0x1


class CutShort(Exception):
    """No more can be read of a file. The arguments are those of the `Fault` that explains it."""


def place_of(path: Path) -> Path:
    """The file, or the one inside a zip, by whose name its layout is found. Raises InputUnusable,
    and CutShort for a zip that holds none or several."""
    try:
        with path.open("rb") as file:
            if file.read(len(_ZIP)) != _ZIP:
                return path
        with zipfile.ZipFile(path) as archive:
            return path / PurePosixPath(_only(archive).filename).name
    except zipfile.BadZipFile as exc:
        raise CutShort("NOT_TEXT", "is a damaged or cut zip: copy it again") from exc
    except OSError as exc:
        raise InputUnusable(path, exc) from exc


@contextmanager
def open_text(path: Path) -> Iterator[Any]:
    """A stream of bytes in UTF-8, without a BOM. Raises InputUnusable and CutShort when it is
    opened, and what `UNREADABLE` lists while it is read."""
    start = b""
    with _unpacked(path) as stream, suppress(*UNREADABLE):
        start = bytes(stream.read(len(BOM)))
    encoding = _UTF16.get(start[:2])
    with _unpacked(path) as stream:
        if encoding is not None:
            stream.read(2)
            stream = pa.transcoding_input_stream(stream, encoding, "utf-8")
        elif start == BOM:
            stream.read(len(BOM))
        yield stream


@contextmanager
def _unpacked(path: Path) -> Iterator[Any]:
    try:
        with path.open("rb") as file:
            start = file.read(4)
        if start == _ZIP:
            with zipfile.ZipFile(path) as archive, archive.open(_only(archive)) as member:
                yield pa.PythonFile(member, mode="r")
            return
        packing = next((kind for magic, kind in _PACKED.items() if start.startswith(magic)), None)
        stream = pa.input_stream(str(path), compression=packing)
    except OSError as exc:
        raise InputUnusable(path, exc) from exc
    with stream:
        yield stream


def _only(archive: zipfile.ZipFile) -> zipfile.ZipInfo:
    """Folders, hidden files and what macOS adds do not count."""
    inside = [
        each
        for each in archive.infolist()
        if not each.is_dir()
        and not PurePosixPath(each.filename).name.startswith(".")
        and not each.filename.startswith("__MACOSX/")
    ]
    if len(inside) != 1:
        raise CutShort(
            "NOT_TEXT", f"is a zip with {len(inside)} files: unpack it and name the folder"
        )
    if inside[0].flag_bits & _ENCRYPTED:
        raise CutShort("NOT_TEXT", "is a zip with a password: unpack it")
    return inside[0]
