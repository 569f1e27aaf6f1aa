"""``vendor.toml`` → the layouts of files. Everything is checked; a mistake is one sentence.

Each key is explained in docs/configs.md. Pure but for reading the file.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any, Final, NoReturn
from zoneinfo import ZoneInfo

from kite_bar_history.errors import VendorFileError
from kite_runtime.errors import UsageError
from kite_runtime.toml_files import parse_toml, read_text

FILE: Final = "vendor.toml"
CSV: Final = "csv"
PARQUET: Final = "parquet"
START: Final = "bar-start"
END: Final = "bar-end"
ISO: Final = "iso"
EPOCH: Final = "epoch"
PRICES: Final = ("open", "high", "low", "close")
FIELDS: Final = ("exchange", "symbol", "date", "time", *PRICES, "volume", "oi")
_DEFAULTS: Final[Mapping[str, Any]] = {
    "about": "", "source": "vendor", "interval": "m1", "file_name": ".*", "header": True,
    "delimiter": ",", "date_format": "", "time_format": "", "time_zone": "", "exchange": "",
    "price_decimals": None, "zero_oi_is_none": True, "rename": {},
}  # fmt: skip
_REQUIRED: Final = ("format", "columns", "stamp", "adjusted")
_FLAGS: Final = ("header", "adjusted", "zero_oi_is_none")
_CHOICES: Final[Mapping[str, Sequence[str]]] = {
    "format": (CSV, PARQUET),
    "stamp": (START, END),
    "interval": ("m1", "d1"),
    "delimiter": (",", ";", "\t", "|"),
}
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
_DECIMALS_MAX: Final = 7
_Wrong = Callable[[str], NoReturn]


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
    return parse_layouts(read_text(path, partial(VendorFileError, path, None)), path)


def chosen_layouts(path: Path | None, name: str | None) -> dict[str, Layout]:
    """Those of the file, or the one of this name. Raises VendorFileError and UsageError."""
    layouts = load_layouts(path)
    if name is None:
        return layouts
    if name not in layouts:
        raise UsageError(
            f"there is no layout {name!r} in {path or FILE}: take one of {', '.join(layouts)}"
        )
    return {name: layouts[name]}


def parse_layouts(content: str, path: Path) -> dict[str, Layout]:
    """The layouts of a file's text. Raises VendorFileError."""
    tables = parse_toml(content, partial(VendorFileError, path, None))
    unknown = sorted(set(tables) - {"layout"})
    if unknown:
        raise VendorFileError(
            path, None, f"{unknown[0]} is unknown: write tables like [layout.NAME]"
        )
    layouts = tables.get("layout")
    if not isinstance(layouts, dict) or not layouts:
        raise VendorFileError(path, None, "has no layout: write a table like [layout.NAME]")
    return {name: _layout(path, name, values) for name, values in layouts.items()}


def _layout(path: Path, name: str, given: object) -> Layout:
    def wrong(problem: str) -> NoReturn:
        raise VendorFileError(path, name, problem)

    if not _NAME.fullmatch(name):
        wrong("its name must be small letters, digits, - and _")
    if not isinstance(given, dict):
        wrong("must be a table")
    values = {**_DEFAULTS, **given}
    known = {*_REQUIRED, *_DEFAULTS}
    for key in sorted(set(given) - known):
        wrong(f"{key} is unknown: there are {', '.join(sorted(known))}")
    for key in _REQUIRED:
        if key not in given:
            wrong(f"needs {key}")
    for key in sorted(known - {"columns", "price_decimals", "rename"}):
        value, is_flag = values[key], key in _FLAGS
        if not isinstance(value, bool if is_flag else str):
            wrong(f"{key} is {value!r}: write {'true or false' if is_flag else 'a text'}")
        if key in _CHOICES and value not in _CHOICES[key]:
            wrong(f"{key} is {value!r}: write {' or '.join(map(repr, _CHOICES[key]))}")
    if values["format"] == PARQUET and not values["header"]:
        wrong("header = false fits no Parquet file: leave it out")
    decimals, rename = values["price_decimals"], values["rename"]
    if decimals is not None and repr(decimals) not in map(repr, range(_DECIMALS_MAX + 1)):
        wrong(f"price_decimals is {decimals!r}: write a number from 0 to {_DECIMALS_MAX}")
    if not isinstance(rename, dict) or not all(isinstance(e, str) and e for e in rename.values()):
        wrong('rename must be a table like "NIFTY" = "NIFTY 50"')
    columns = values["columns"]
    values["columns"] = _columns(columns, values["header"], wrong)
    values["file_name"] = _pattern(values["file_name"], wrong)
    _check_fields(values, wrong)
    _check_formats(values, wrong)
    values["time_zone"] = _zone(values["time_zone"], values["time_format"], wrong)
    return Layout(name=name, width=len(columns), **values)


def _columns(given: object, by_name: bool, wrong: _Wrong) -> dict[str, str | int]:
    found: dict[str, str | int]
    if by_name:
        if not isinstance(given, dict) or not all(isinstance(e, str) and e for e in given.values()):
            wrong('columns must say which column each field is, like open = "Open"')
        found = dict(given)
    else:
        if not isinstance(given, list) or not all(isinstance(each, str) for each in given):
            wrong('columns must list the fields in their order; "" for one to leave out')
        found = {each: at for at, each in enumerate(given) if each}
        if len(found) != len([each for each in given if each]):
            wrong("columns names a field twice")
    for key in sorted(set(found) - set(FIELDS)):
        wrong(f"columns names {key!r}: the fields are {', '.join(FIELDS)}")
    return found


def _check_fields(values: Mapping[str, Any], wrong: _Wrong) -> None:
    columns, in_name = values["columns"], values["file_name"].groupindex
    for key in (*PRICES, "volume"):
        if key not in columns:
            wrong(f"columns needs {key}")
    if "symbol" not in columns and "symbol" not in in_name:
        wrong("needs a column symbol, or (?P<symbol>…) in file_name")
    if "exchange" not in columns and "exchange" not in in_name and not values["exchange"]:
        wrong('needs exchange = "NSE", a column exchange, or it in file_name')
    if values["interval"] == "m1" and "time" not in columns:
        wrong("columns needs time, which bars of a minute have")
    if not {"date", "time"} & set(columns):
        wrong("columns needs date")


def _check_formats(values: Mapping[str, Any], wrong: _Wrong) -> None:
    """Of the columns that are there; in Parquet a typed column needs none."""
    columns = values["columns"]
    for key in ("date", "time"):
        form = values[f"{key}_format"]
        if key in columns and not form and values["format"] == CSV:
            wrong(f'needs {key}_format, such as "%Y%m%d", "%H:%M", "iso" or "epoch"')
        if key not in columns and form:
            wrong(f"has {key}_format, but no column {key}")
    whole = {ISO, EPOCH} & {values["date_format"], values["time_format"]}
    if "date" in columns and "time" in columns and whole:
        wrong('"iso" and "epoch" are whole times: give one column time alone')


def _zone(name: str, time_format: str, wrong: _Wrong) -> ZoneInfo | None:
    if not name:
        if time_format == EPOCH or "%z" in time_format:
            return None
        wrong('needs time_zone, such as "Asia/Kolkata" or "UTC"')
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, KeyError):
        wrong(f'time_zone is {name!r}: write one such as "Asia/Kolkata" or "UTC"')


def _pattern(text: str, wrong: _Wrong) -> re.Pattern[str]:
    try:
        pattern = re.compile(text)
    except re.error as exc:
        wrong(f"file_name is no regular expression ({exc})")
    unknown = set(pattern.groupindex) - {"symbol", "exchange"}
    if unknown:
        wrong(f"file_name has a group {min(unknown)!r}: there are symbol and exchange")
    return pattern
