"""Configuration files in TOML: read, or refused with a sentence that says what to do."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

Fault = Callable[[str], Exception]
"""Makes the error of a problem such as "is no UTF-8 text: save it as UTF-8"; it names the file."""


def read_text(path: Path, fault: Fault) -> str:
    """The text of the file, without a byte order mark. Raises what ``fault`` makes."""
    try:
        return path.read_text("utf-8-sig")
    except OSError as exc:
        raise fault(f"cannot be read: {exc.strerror or exc}") from exc
    except UnicodeDecodeError as exc:
        raise fault("is no UTF-8 text: save it as UTF-8") from exc


def parse_toml(
    text: str, fault: Fault, parse_float: Callable[[str], Any] = float
) -> dict[str, Any]:
    """The tables of a file's text. Raises what ``fault`` makes."""
    try:
        return tomllib.loads(text, parse_float=parse_float)
    except tomllib.TOMLDecodeError as exc:
        raise fault(f"is no TOML ({exc}): correct that place") from exc
