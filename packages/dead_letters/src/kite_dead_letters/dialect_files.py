"""Dialects of one's own: a TOML file that says what headers mean.

[gateway]
"x-gw-topic" = { field = "origin_topic" }
"x-gw-offset" = { field = "origin_offset", as = "binary" }
"x-gw-tries" = { field = "attempt" }
"x-gw-host" = {}                                   # of this dialect, and fills no field
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from kite_dead_letters.dialects import (
    FIELDS,
    STACK,
    TABLE,
    Known,
    Parse,
    Table,
    attempts,
    binary,
    decimal,
    text,
)
from kite_dead_letters.records import Dialect
from kite_runtime.errors import ConfigurationError, reason_of

NUMBERS: Final = MappingProxyType(
    {
        "origin_partition": decimal,
        "origin_offset": decimal,
        "feed_session": decimal,
        "feed_seq": decimal,
        "first_failure_ns": decimal,
        "attempt": attempts,
    }
)
TEXTS: Final = (
    "reason", "message", "error_path", "exception", "component", "origin_topic", "contract",
    "unit", STACK,
)  # fmt: skip
AS: Final[Mapping[str, Parse]] = MappingProxyType({"decimal": decimal, "binary": binary})


def read_table(path: Path | None) -> Table:
    """The known dialects with those of the file, which are tried before all but ours.

    Raises ConfigurationError.
    """
    if path is None:
        return TABLE
    try:
        document = tomllib.loads(path.read_text("utf-8"))
    except OSError as exc:
        raise ConfigurationError(f"{path} cannot be read: {reason_of(exc)}") from exc
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as exc:
        raise ConfigurationError(f"{path} is no TOML: {exc}") from exc
    own: dict[str, Known] = {}
    for name, headers in document.items():
        if name in FIELDS or name == Dialect.NONE:
            raise ConfigurationError(f"{path}: the dialect {name} is known already: rename it")
        if not isinstance(headers, dict) or not headers:
            raise ConfigurationError(f"{path}: [{name}] needs headers, one a line")
        own[name] = {
            header: _field(f"{path}: [{name}] {header}", given) for header, given in headers.items()
        }
    return Table({Dialect.KITE: FIELDS[Dialect.KITE], **own, **FIELDS})


def _field(place: str, given: Any) -> tuple[str, Parse]:
    if not isinstance(given, dict) or not given.keys() <= {"field", "as"}:
        raise ConfigurationError(
            f'{place}: write it like {{ field = "origin_offset", as = "binary" }}'
        )
    field, form = given.get("field", ""), given.get("as")
    known = sorted((*TEXTS, *NUMBERS))
    if field not in ("", *known):
        raise ConfigurationError(f"{place}: {field!r} is no field; there are {', '.join(known)}")
    if form is None:
        return field, NUMBERS.get(field, text)
    if form not in AS or field not in NUMBERS:
        raise ConfigurationError(f'{place}: "as" is decimal or binary, and of numbers alone')
    return field, AS[form]
