"""``vendor.toml`` → the layouts of files. Everything is checked; a mistake is one sentence.

Each key is explained in docs/configs.md. Pure but for reading the file.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any, Final, NoReturn
from zoneinfo import ZoneInfo

from kite_bar_history.errors import VendorFileError
from kite_bar_history.vendor_files.times import EPOCHS, WHOLE
from kite_runtime.errors import UsageError
from kite_runtime.toml_files import parse_toml, read_text

FILE: Final = "vendor.toml"
CSV: Final = "csv"
PARQUET: Final = "parquet"
START: Final = "bar-start"
END: Final = "bar-end"
LAST_SECOND: Final = "last-second"
PRICES: Final = ("open", "high", "low", "close")
CONTRACT: Final = ("underlying", "expiry", "strike", "type")
"""Columns that together name a derivative."""
IDENTITY: Final = ("exchange", "symbol", *CONTRACT)
FIELDS: Final = (*IDENTITY, "date", "time", *PRICES, "volume", "lot", "oi")
OPTIONAL: Final = ("volume", "oi")
"""Columns that a file may be without: an index has no volume."""
KEEP: Final = "keep:"
"""Before the name of a column that is there to choose rows by."""
_DEFAULTS: Final[Mapping[str, Any]] = {
    "about": "", "source": "vendor", "interval": "m1", "file_name": ".*", "header": True,
    "delimiter": ",", "date_format": "", "time_format": "", "time_zone": "", "exchange": "",
    "price_decimals": None, "zero_oi_is_none": True, "rename": {}, "keep": {},
    "symbol_patterns": [], "expiry_format": "", "thousands": "", "untraded": "",
}  # fmt: skip
_REQUIRED: Final = ("format", "columns", "stamp", "adjusted")
_FLAGS: Final = ("header", "adjusted", "zero_oi_is_none")
_CHOICES: Final[Mapping[str, Sequence[str]]] = {
    "format": (CSV, PARQUET),
    "stamp": (START, END, LAST_SECOND),
    "interval": ("m1", "d1"),
    "delimiter": (",", ";", "\t", "|"),
    "thousands": ("", ","),
    "untraded": ("", "close"),
}
_TABLES: Final = ("columns", "price_decimals", "rename", "keep", "symbol_patterns")
_GROUPS: Final = ("exchange", "symbol", *CONTRACT, "rank")
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
_DECIMALS_MAX: Final = 7
_Wrong = Callable[[str], NoReturn]


@dataclass(frozen=True)
class Layout:
    """One way in which files are written.

    ``columns`` is where each of `FIELDS` stands: its names where the file has a header (and in
    Parquet), else a position from 0. ``width`` is the count of columns where there is no header.
    ``price_decimals`` None: as many as the instrument's own prices have. ``keep`` has the values
    of the rows that count, by `KEEP` and the column, which is in ``columns`` too.
    """

    name: str
    about: str
    source: str
    interval: str
    format: str
    file_name: re.Pattern[str]
    header: bool
    delimiter: str
    columns: Mapping[str, Sequence[str] | int]
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
    keep: Mapping[str, frozenset[str]]
    symbol_patterns: Sequence[re.Pattern[str]]
    expiry_format: str
    thousands: str
    untraded: str

    def is_text(self, field: str) -> bool:
        """Whether a column holds no number."""
        return field in (*IDENTITY, "date", "time") or field in self.keep

    def names_of(self, file_name: str) -> Mapping[str, str] | None:
        """``symbol`` and ``exchange`` as far as the file's name says them; None if it is another
        layout's name. What compression adds to the name does not count."""
        bare = re.sub(r"\.(gz|zst|zip)$", "", file_name)
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
    """Those of the file, or the one of this name, for which the names of files then count only
    where the instrument is taken from them. Raises VendorFileError and UsageError."""
    layouts = load_layouts(path)
    if name is None:
        return layouts
    if name not in layouts:
        raise UsageError(
            f"there is no layout {name!r} in {path or FILE}: take one of {', '.join(layouts)}"
        )
    chosen = layouts[name]
    if not chosen.file_name.groupindex:
        chosen = replace(chosen, file_name=re.compile(".*"))
    return {name: chosen}


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
    for key in sorted(known - set(_TABLES)):
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
    columns, values["keep"] = values["columns"], _keep(values["keep"], wrong)
    values["columns"] = _columns(columns, values["keep"], values["header"], wrong)
    values["symbol_patterns"] = _patterns(values["symbol_patterns"], wrong)
    values["file_name"] = _pattern("file_name", values["file_name"], ("symbol", "exchange"), wrong)
    _check_fields(values, wrong)
    _check_formats(values, wrong)
    values["time_zone"] = _zone(values["time_zone"], values["time_format"], wrong)
    return Layout(name=name, width=len(columns), **values)


def _columns(
    given: object, keep: Mapping[str, frozenset[str]], by_name: bool, wrong: _Wrong
) -> dict[str, tuple[str, ...] | int]:
    found: dict[str, tuple[str, ...] | int]
    chosen = {key.removeprefix(KEEP): key for key in keep}
    if by_name:
        if not isinstance(given, dict):
            wrong('columns must say which column each field is, like open = "Open"')
        found = {key: _names(name, wrong) for key, name in given.items()}
        found |= {key: (name,) for name, key in chosen.items()}
    else:
        if not isinstance(given, list) or not all(isinstance(each, str) for each in given):
            wrong('columns must list the fields in their order; "" for one to leave out')
        found = {chosen.get(each, each): at for at, each in enumerate(given) if each}
        if len(found) != len([each for each in given if each]):
            wrong("columns names a field twice")
        for name, key in chosen.items():
            if key not in found:
                wrong(f"keep names {name!r}, which is not in columns")
    for key in sorted(set(found) - set(FIELDS) - set(keep)):
        wrong(f"columns names {key!r}: the fields are {', '.join(FIELDS)}")
    return found


def _names(given: object, wrong: _Wrong) -> tuple[str, ...]:
    """One name of a column, or several of which a file has one."""
    names = given if isinstance(given, list) else [given]
    if not names or not all(isinstance(each, str) and each for each in names):
        wrong('columns must say which column each field is, like open = "Open"')
    return tuple(names)


def _keep(given: object, wrong: _Wrong) -> dict[str, frozenset[str]]:
    found = {}
    for name, values in given.items() if isinstance(given, dict) else [("", None)]:
        if not isinstance(values, list) or not all(isinstance(each, str) for each in values):
            wrong('keep must be a table like SERIES = ["EQ", "BE"]')
        found[KEEP + name] = frozenset(values)
    return found


def _patterns(given: object, wrong: _Wrong) -> list[re.Pattern[str]]:
    if not isinstance(given, list) or not all(isinstance(each, str) for each in given):
        wrong("symbol_patterns must be a list of regular expressions")
    found = []
    for text in given:
        pattern = _pattern("symbol_patterns", text, _GROUPS, wrong)
        groups = set(pattern.groupindex)
        if "symbol" not in groups and not ({"underlying"} < groups and groups & {"expiry", "rank"}):
            wrong(
                f"symbol_patterns has {text!r}: it needs a group symbol, or underlying with expiry "
                "or rank"
            )
        found.append(pattern)
    return found


def _check_fields(values: Mapping[str, Any], wrong: _Wrong) -> None:
    columns, in_name = values["columns"], values["file_name"].groupindex
    for key in PRICES:
        if key not in columns:
            wrong(f"columns needs {key}")
    for key in ("expiry", "strike", "type"):
        if (key in columns) != ("underlying" in columns):
            wrong("columns needs underlying, expiry, strike and type together")
    dated = any("expiry" in each.groupindex for each in values["symbol_patterns"])
    if (dated or "expiry" in columns) and not values["expiry_format"]:
        wrong('needs expiry_format, such as "%d%b%y"')
    if not {"symbol", "underlying"} & {*columns, *in_name}:
        wrong("needs a column symbol, or (?P<symbol>…) in file_name")
    patterns = values["symbol_patterns"]
    in_symbol = bool(patterns) and all("exchange" in each.groupindex for each in patterns)
    somewhere = "exchange" in columns or "exchange" in in_name or in_symbol
    if not somewhere and not values["exchange"]:
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
    whole = set(WHOLE) & {values["date_format"], values["time_format"]}
    if "date" in columns and "time" in columns and whole:
        wrong('"iso" and "epoch" are whole times: give one column time alone')
    if set(EPOCHS) & {values["date_format"]}:
        wrong('"epoch" is a whole time: give it as time_format, with a column time alone')


def _zone(name: str, time_format: str, wrong: _Wrong) -> ZoneInfo | None:
    if not name:
        if time_format in EPOCHS or "%z" in time_format:
            return None
        wrong('needs time_zone, such as "Asia/Kolkata" or "UTC"')
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, KeyError):
        wrong(f'time_zone is {name!r}: write one such as "Asia/Kolkata" or "UTC"')


def _pattern(key: str, text: str, groups: Sequence[str], wrong: _Wrong) -> re.Pattern[str]:
    try:
        pattern = re.compile(text)
    except re.error as exc:
        wrong(f"{key} is no regular expression ({exc})")
    unknown = set(pattern.groupindex) - set(groups)
    if unknown:
        wrong(f"{key} has a group {min(unknown)!r}: there are {' and '.join(groups)}")
    return pattern
