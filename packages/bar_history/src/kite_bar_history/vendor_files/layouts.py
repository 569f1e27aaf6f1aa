"""``vendor.toml`` → the layouts of files. Everything is checked; a mistake is one sentence.

Each key is explained in docs/configs.md. Pure but for reading the file.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Final, NoReturn
from zoneinfo import ZoneInfo

from kite_bar_history.errors import VendorFileError

FILE: Final = "vendor.toml"
CSV: Final = "csv"
PARQUET: Final = "parquet"
START: Final = "bar-start"
END: Final = "bar-end"
ISO: Final = "iso"
EPOCH: Final = "epoch"
PRICES: Final = ("open", "high", "low", "close")
FIELDS: Final = ("exchange", "symbol", "date", "time", *PRICES, "volume", "oi")
_REQUIRED: Final = ("format", "columns", "stamp", "adjusted")
_OPTIONAL: Final = (
    *("about", "source", "interval", "file_name", "header", "delimiter", "date_format"),
    *("time_format", "time_zone", "exchange", "price_decimals", "zero_oi_is_none", "rename"),
)
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
_DELIMITERS: Final = (",", ";", "\t", "|")
_DECIMALS_MAX: Final = 7


@dataclass(frozen=True)
class Layout:
    """One way in which files are written.

    ``columns`` is where each of `FIELDS` stands: a name where the file has a header (and in
    Parquet), else a position from 0. ``width`` is the count of columns where there is no header.
    ``price_decimals`` None: as many as the instrument's own prices have.
    """

    name: str
    about: str
    source: str
    interval: str
    format: str
    file_name: re.Pattern[str]
    header: bool
    delimiter: str
    columns: Mapping[str, str | int]
    width: int
    date_format: str
    time_format: str
    time_zone: ZoneInfo | None
    stamp: str
    adjusted: bool
    exchange: str
    price_decimals: int | None
    zero_oi_is_none: bool
    rename: Mapping[str, str]

    def names_of(self, file_name: str) -> Mapping[str, str] | None:
        """``symbol`` and ``exchange`` as far as the file's name says them; None if it is another
        layout's name. What compression adds to the name does not count."""
        bare = re.sub(r"\.(gz|zst)$", "", file_name)
        match = self.file_name.fullmatch(bare)
        if match is None:
            return None
        return {key: value for key, value in match.groupdict().items() if value}


def default_text() -> str:
    """The packaged file; configs/vendor.toml of a checkout has the same text."""
    return (files("kite_bar_history.vendor_files") / FILE).read_text("utf-8")


def load_layouts(path: Path | None) -> dict[str, Layout]:
    """The layouts of the file, or the packaged ones, by name. Raises VendorFileError."""
    if path is None:
        return parse_layouts(default_text(), Path(FILE))
    try:
        content = path.read_text("utf-8")
    except OSError as exc:
        reason = (exc.strerror or str(exc)).lower()
        raise VendorFileError(
            path, None, f"cannot be read ({reason}): copy configs/vendor.toml there"
        ) from exc
    except UnicodeDecodeError as exc:
        raise VendorFileError(path, None, "is no UTF-8 text: save it as UTF-8") from exc
    return parse_layouts(content, path)


def parse_layouts(content: str, path: Path) -> dict[str, Layout]:
    """The layouts of a file's text. Raises VendorFileError."""
    try:
        tables = tomllib.loads(content)
    except tomllib.TOMLDecodeError as exc:
        raise VendorFileError(path, None, f"is no TOML ({exc}): correct that place") from exc
    unknown = sorted(set(tables) - {"layout"})
    if unknown:
        raise VendorFileError(
            path, None, f"{unknown[0]} is unknown: write tables like [layout.NAME]"
        )
    layouts = tables.get("layout")
    if not isinstance(layouts, dict) or not layouts:
        raise VendorFileError(path, None, "has no layout: write a table like [layout.NAME]")
    return {name: _Reader(path, name, values).layout() for name, values in layouts.items()}


class _Reader:
    """Checks one table."""

    def __init__(self, path: Path, name: str, values: object) -> None:
        self._path = path
        self._name = name
        if not _NAME.fullmatch(name):
            self._wrong("its name must be small letters, digits, - and _")
        if not isinstance(values, dict):
            self._wrong("must be a table")
        self._values: dict[str, Any] = values

    def layout(self) -> Layout:
        known = {*_REQUIRED, *_OPTIONAL}
        for key in sorted(set(self._values) - known):
            self._wrong(f"{key} is unknown: there are {', '.join(sorted(known))}")
        for key in _REQUIRED:
            if key not in self._values:
                self._wrong(f"lacks {key}")
        form = self._one_of("format", (CSV, PARQUET))
        header = self._flag("header", True)
        if form == PARQUET and not header:
            self._wrong("header = false fits no Parquet file: leave it out")
        columns, width = self._columns(by_name=header)
        pattern = self._pattern()
        interval = self._one_of("interval", ("m1", "d1"), "m1")
        self._check_fields(columns, pattern, interval)
        date_format, time_format = self._formats(columns, form)
        return Layout(
            name=self._name,
            about=self._text("about", ""),
            source=self._text("source", "vendor"),
            interval=interval,
            format=form,
            file_name=pattern,
            header=header,
            delimiter=self._one_of("delimiter", _DELIMITERS, ","),
            columns=columns,
            width=width,
            date_format=date_format,
            time_format=time_format,
            time_zone=self._zone(time_format),
            stamp=self._one_of("stamp", (START, END)),
            adjusted=self._flag("adjusted", False),
            exchange=self._text("exchange", ""),
            price_decimals=self._decimals(),
            zero_oi_is_none=self._flag("zero_oi_is_none", True),
            rename=self._rename(),
        )

    def _columns(self, *, by_name: bool) -> tuple[dict[str, str | int], int]:
        given = self._values["columns"]
        if by_name:
            if not isinstance(given, dict) or not all(
                isinstance(each, str) and each for each in given.values()
            ):
                self._wrong('columns must say which column each field is, like open = "Open"')
            found: dict[str, str | int] = dict(given)
        else:
            if not isinstance(given, list) or not all(isinstance(each, str) for each in given):
                self._wrong('columns must list the fields in their order; "" for one to leave out')
            named = [each for each in given if each]
            if len(set(named)) != len(named):
                self._wrong("columns names a field twice")
            found = {each: at for at, each in enumerate(given) if each}
        for key in sorted(set(found) - set(FIELDS)):
            self._wrong(f"columns names {key!r}: the fields are {', '.join(FIELDS)}")
        return found, len(given)

    def _check_fields(
        self, columns: Mapping[str, object], pattern: re.Pattern[str], interval: str
    ) -> None:
        for key in (*PRICES, "volume"):
            if key not in columns:
                self._wrong(f"columns lacks {key}")
        if "symbol" not in columns and "symbol" not in pattern.groupindex:
            self._wrong("needs a column symbol, or (?P<symbol>…) in file_name")
        if (
            "exchange" not in columns
            and "exchange" not in pattern.groupindex
            and not self._text("exchange", "")
        ):
            self._wrong('needs exchange = "NSE", a column exchange, or it in file_name')
        if interval == "m1" and "time" not in columns:
            self._wrong("columns lacks time, which bars of a minute have")
        if not {"date", "time"} & set(columns):
            self._wrong("columns lacks date")

    def _formats(self, columns: Mapping[str, object], form: str) -> tuple[str, str]:
        """Those of the columns that are there; in Parquet a typed column needs none."""
        found = []
        for key in ("date", "time"):
            value = self._text(f"{key}_format", "")
            if key in columns and not value and form == CSV:
                self._wrong(f'lacks {key}_format, such as "%Y%m%d", "%H:%M", "iso" or "epoch"')
            if key not in columns and value:
                self._wrong(f"has {key}_format, but no column {key}")
            found.append(value)
        if "date" in columns and "time" in columns and {ISO, EPOCH} & set(found):
            self._wrong('"iso" and "epoch" are whole times: give one column time alone')
        return found[0], found[1]

    def _zone(self, time_format: str) -> ZoneInfo | None:
        name = self._text("time_zone", "")
        if not name:
            if time_format == EPOCH or "%z" in time_format:
                return None
            self._wrong('lacks time_zone, such as "Asia/Kolkata" or "UTC"')
        try:
            return ZoneInfo(name)
        except (OSError, ValueError, KeyError):
            self._wrong(f'time_zone is {name!r}: write one such as "Asia/Kolkata" or "UTC"')

    def _pattern(self) -> re.Pattern[str]:
        text = self._text("file_name", ".*")
        try:
            pattern = re.compile(text)
        except re.error as exc:
            self._wrong(f"file_name is no regular expression ({exc})")
        unknown = set(pattern.groupindex) - {"symbol", "exchange"}
        if unknown:
            self._wrong(f"file_name has a group {min(unknown)!r}: there are symbol and exchange")
        return pattern

    def _decimals(self) -> int | None:
        value = self._values.get("price_decimals")
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _DECIMALS_MAX:
            self._wrong(f"price_decimals is {value!r}: write a number from 0 to {_DECIMALS_MAX}")
        return value

    def _rename(self) -> dict[str, str]:
        given = self._values.get("rename", {})
        if not isinstance(given, dict) or not all(isinstance(e, str) and e for e in given.values()):
            self._wrong('rename must be a table like "NIFTY" = "NIFTY 50"')
        return dict(given)

    def _text(self, key: str, default: str) -> str:
        value = self._values.get(key, default)
        if not isinstance(value, str):
            self._wrong(f"{key} is {value!r}: write a text")
        return value

    def _flag(self, key: str, default: bool) -> bool:
        value = self._values.get(key, default)
        if not isinstance(value, bool):
            self._wrong(f"{key} is {value!r}: write true or false")
        return value

    def _one_of(self, key: str, known: tuple[str, ...], default: str = "") -> str:
        value = self._text(key, default)
        if value not in known:
            self._wrong(f"{key} is {value!r}: write {' or '.join(map(repr, known))}")
        return value

    def _wrong(self, problem: str) -> NoReturn:
        raise VendorFileError(self._path, self._name, problem)
