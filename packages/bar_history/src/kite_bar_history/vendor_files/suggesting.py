"""A table for vendor.toml to start from, from what a file shows.

What the file does not show (whose prices they are, whether 09:16 is an end or a beginning, whether
the day or the month comes first) is left out with a remark, so that the table is refused until a
person has written it: a guess would be wrong bars.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any, Final

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]

from kite_bar_history.vendor_files.input import bare_name, blocks_of
from kite_bar_history.vendor_files.layouts import (
    END,
    LAST_SECOND,
    PRICES,
    START,
    load_layouts,
    parse_layouts,
)
from kite_bar_history.vendor_files.lines import is_grouped
from kite_bar_history.vendor_files.looking import Look, Opened, look
from kite_bar_history.vendor_files.opening import CutShort
from kite_bar_history.vendor_files.times import EPOCHS, formats_of
from kite_bar_history.vendor_files.values import Fault
from kite_bars_store.bars.out_of_session import SessionJudge
from kite_contracts.sessions import SEGMENTS

ROWS: Final = 20_000
_TEXTS: Final = 2_000
_HERE: Final = Path("suggestion")
_ZONES: Final = ("Asia/Kolkata", "UTC")
_KNOWN: Final[Mapping[str, Sequence[str]]] = {
    "symbol": ("symbol", "ticker", "tradingsymbol", "scrip", "stock", "instrument", "tckrsymb"),
    "exchange": ("exchange", "exch"),
    "open": ("open", "o", "openprice", "opnpric"),
    "high": ("high", "h", "highprice", "hghpric"),
    "low": ("low", "l", "lowprice", "lwpric"),
    "close": ("close", "c", "closeprice", "clspric"),
    "volume": ("volume", "vol", "v", "tradedqty", "tottrdqty", "ttltradgvol"),
    "oi": ("oi", "openinterest", "openint", "opnintrst"),
}
_TIMED: Final = ("date", "time", "datetime", "timestamp", "day", "tradedate", "dtyyyymmdd", "ts")
_NUMBER: Final = re.compile(r"\s*-?([0-9]+(,[0-9]{2,3})*)?(\.[0-9]*)?([eE][-+]?[0-9]+)?\s*")
_ZONED: Final = re.compile(r"[0-9](Z|[-+][0-9]{2}:?[0-9]{2})$")
_SUFFIX: Final = re.compile(r".+\.(NSE|BSE|NFO|BFO|CDS|MCX)(_IDX)?")


@dataclass
class Suggestion:
    """``known`` and ``columns`` are what the file shows, ``open`` what it does not: key to what to
    write. ``columns`` is by field, or without a header a list."""

    name: str
    known: dict[str, Any] = field(default_factory=dict)
    columns: dict[str, str] | list[str] = field(default_factory=dict)
    open: dict[str, str] = field(default_factory=dict)
    zoned: bool = False
    """Whether each time states its zone, so that the table's does not count."""

    def text(self, more: Mapping[str, Any] | None = None) -> str:
        """The table; with ``more`` values in place of what is open."""
        values = {**self.known, **(more or {})}
        lines = [f"[layout.{self.name}]"]
        if isinstance(self.columns, list):
            values["columns"] = self.columns
        lines += [f"{key} = {_toml(value)}" for key, value in values.items()]
        lines += [f"# {key}: {text}" for key, text in self.open.items() if key not in values]
        if isinstance(self.columns, dict):
            lines.append(f"[layout.{self.name}.columns]")
            lines += [f"{key} = {_toml(value)}" for key, value in self.columns.items()]
        return "\n".join(lines) + "\n"


@dataclass(frozen=True)
class _Sample:
    """The first rows by column, as text. ``typed`` are columns of times in Parquet, by whether
    they have a zone."""

    names: Sequence[str] | None
    columns: Sequence[Sequence[str]]
    delimiter: str = ","
    typed: Mapping[int, bool] = field(default_factory=dict)


def suggest(file: Opened, judge: SessionJudge) -> Suggestion | Fault:
    """What the file shows, or the first thing in it that no table can make bars of."""
    sample = _parquet(file) if file.names is not None else _text(file)
    if isinstance(sample, Fault):
        return sample
    fields = _by_name(sample) if sample.names is not None else _by_values(sample)
    if isinstance(fields, Fault):
        return fields
    found = Suggestion(_name_of(file.name))
    found.known = {
        "format": "csv" if file.names is None else "parquet",
        "adjusted": False,
        "file_name": re.compile(_file_pattern(file.name, fields)),
    }
    if file.names is None and sample.delimiter != ",":
        found.known["delimiter"] = sample.delimiter
    cells = [sample.columns[fields[key]] for key in (*PRICES, "volume", "oi") if key in fields]
    if any(is_grouped(cell) for column in cells for cell in column):
        found.known["thousands"] = ","
    wrong = _prices(sample, fields) or _times(sample, fields, found)
    if wrong is not None:
        return wrong
    _instruments(sample, fields, found)
    if sample.names is None:
        found.known["header"] = False
        at = {place: key for key, place in fields.items()}
        found.columns = [at.get(place, "") for place in range(len(sample.columns))]
    else:
        found.columns = {key: sample.names[place] for key, place in fields.items()}
    return _judged(file, found, judge)


def _name_of(file_name: str) -> str:
    bare = re.sub(r"[^a-z0-9]+", "-", file_name.lower().partition(".")[0]).strip("-")
    return bare[:30].strip("-") or "mine"


def _file_pattern(file_name: str, fields: Mapping[str, int]) -> str:
    bare = re.sub(r"\.(gz|zst|zip)$", "", file_name)
    stem, dot, suffix = bare.rpartition(".")
    ending = re.escape(dot + suffix)
    if "symbol" in fields:
        return f".*{ending}"
    return f"(?P<symbol>[^_]+)_.*{ending}" if "_" in stem else f"(?P<symbol>.+){ending}"


def _text(file: Opened) -> _Sample | Fault:
    lines: list[str] = []
    try:
        for _, some in blocks_of(file.path):
            lines += [line.decode("utf-8", "replace") for line in some[: ROWS - len(lines)]]
            if len(lines) >= ROWS:
                break
    except CutShort as exc:
        return Fault(*exc.args)
    lines = [line for line in lines if line.strip()]
    best: list[list[str]] = []
    delimiter = ","
    for each in (",", ";", "\t", "|"):
        rows = list(csv.reader(lines, delimiter=each))
        width = max((len(row) for row in rows[:50]), default=0)
        own = [row for row in rows if len(row) == width]
        if width > len(best[0] if best else ()) and len(own) > len(rows) * 0.8:
            best, delimiter = own, each
    if not best or len(best[0]) < len(PRICES) + 1:
        return Fault("NOT_A_TABLE", "has no lines of columns with , ; tab or | between")
    header = best[0] if sum(_is_number(cell) for cell in best[0]) < len(PRICES) else None
    rows = best[1:] if header else best
    if not rows:
        return Fault("EMPTY_FILE", "has no line below that of the column names")
    return _Sample(header, list(zip(*rows, strict=True)), delimiter)


def _parquet(file: Opened) -> _Sample | Fault:
    try:
        with pq.ParquetFile(str(file.path)) as opened:
            batch = next(opened.iter_batches(ROWS), None)
    except (pa.ArrowException, OSError):
        return Fault("NOT_PARQUET", "is damaged: copy it again")
    if batch is None or not batch.num_rows:
        return Fault("EMPTY_FILE", "has no row")
    typed = {
        at: pa.types.is_timestamp(each.type) and each.type.tz is not None
        for at, each in enumerate(batch.schema)
        if pa.types.is_temporal(each.type)
    }
    texts = [["" if v is None else str(v) for v in column.to_pylist()] for column in batch.columns]
    return _Sample(batch.schema.names, texts, typed=typed)


def _is_number(cell: str) -> bool:
    return bool(cell.strip()) and bool(_NUMBER.fullmatch(cell))


def _by_name(sample: _Sample) -> dict[str, int] | Fault:
    """Where each field stands by the names of columns; columns of time as ``date`` and ``time``,
    or the first of them alone as ``time``."""
    names = [re.sub(r"[ _/.-]", "", bare_name(each)) for each in sample.names or ()]
    found = {
        key: names.index(name)
        for key, known in _KNOWN.items()
        for name in reversed(known)
        if name in names
    }
    for key in PRICES:
        if key not in found:
            return Fault("COLUMN_MISSING", f"has no column that is the {key} by its name")
    timed = [at for at, name in enumerate(names) if name in _TIMED]
    if not timed:
        others = [at for at in range(len(names)) if at not in found.values()]
        timed = [at for at in others if _is_timed(_few(sample.columns[at])[:200], False)]
    return _with_times(found, timed, sample)


def _with_times(found: dict[str, int], timed: list[int], sample: _Sample) -> dict[str, int] | Fault:
    if not timed:
        return Fault("COLUMN_MISSING", "has no column of dates or times")
    if len(timed) == 1:
        return {**found, "time": timed[0]}
    days = [at for at in timed if formats_of(_few(sample.columns[at])[:50], "date")]
    if len(timed) > 2 or not days:
        return Fault("COLUMN_MISSING", "has several columns of times: it is unclear which counts")
    rest = [at for at in timed if at != days[0]]
    return {**found, "date": days[0], "time": rest[0]}


def _by_values(sample: _Sample) -> dict[str, int] | Fault:
    """Without names: text is the symbol, the first four columns of numbers are the prices."""
    found: dict[str, int] = {}
    timed: list[int] = []
    numbers: list[int] = []
    for at, column in enumerate(sample.columns):
        texts = _few(column)[:200]
        after_day = len(timed) == 1 and timed[0] == at - 1
        if _is_timed(texts, after_day):
            timed.append(at)
        elif all(_is_number(text) or not text.strip() for text in texts):
            numbers.append(at)
        elif all(text.strip() in SEGMENTS for text in texts):
            found["exchange"] = at
        elif "symbol" not in found:
            found["symbol"] = at
        else:
            return Fault("NOT_A_TABLE", f"has text in column {at + 1}, of which the use is unclear")
    if len(numbers) not in (4, 5, 6):
        return Fault(
            "NOT_A_TABLE",
            f"has {len(numbers)} columns of numbers and no names for them: it is unclear which of "
            "them are prices",
        )
    found |= dict(zip((*PRICES, "volume"), numbers, strict=False))
    return _with_times(found, timed, sample)


def _is_timed(texts: Sequence[str], after_day: bool) -> bool:
    """Numbers alone count as times only where nothing else could be meant."""
    if not all(text.strip() for text in texts):
        return False
    plain = all(_is_number(text) for text in texts)
    if not plain:
        return any(formats_of(texts, kind) for kind in ("date", "time", "moment"))
    if after_day and {"%H%M", "%H%M%S"} & set(formats_of(texts, "time")):
        return True
    known = set(formats_of(texts, "date")) | set(formats_of(texts, "moment"))
    return bool(known - {"excel"})


def _few(column: Sequence[str]) -> list[str]:
    """Different texts of the column, from all parts of it."""
    texts = list(dict.fromkeys(column))
    return texts[:: len(texts) // _TEXTS + 1]


def _prices(sample: _Sample, fields: Mapping[str, int]) -> Fault | None:
    """Whether the columns can be the prices at all."""
    good = bad = 0
    columns = [sample.columns[fields[key]] for key in PRICES]
    for row in zip(*columns, strict=True):
        try:
            opens, high, low, close = (float(cell.replace(",", "")) for cell in row)
        except ValueError:
            continue
        fits = high >= max(opens, close) and low <= min(opens, close)
        good, bad = good + fits, bad + (not fits and any((opens, high, low)))
    if good and bad <= good // 20:
        return None
    if not good and not bad:
        return Fault("NOT_A_PRICE", f"has no numbers as prices, but such as {columns[0][0]!r}")
    return Fault("OHLC_CONTRADICTS", "has columns in another order than open, high, low, close")


def _times(sample: _Sample, fields: dict[str, int], found: Suggestion) -> Fault | None:
    """The formats of times, and whether these are bars of a day."""
    found.zoned = any(sample.typed.values())
    if "date" not in fields and not sample.typed:
        texts = _few(sample.columns[fields["time"]])
        if formats_of(texts, "date") and not set(formats_of(texts, "moment")) - {"iso", "excel"}:
            fields["date"] = fields.pop("time")
            found.known["interval"] = "d1"
    for key in ("date", "time"):
        if key not in fields or fields[key] in sample.typed:
            continue
        texts = _few(sample.columns[fields[key]])
        kind = key if key == "date" or "date" in fields else "moment"
        forms = formats_of(texts, kind)
        if not forms:
            return Fault("NOT_A_TIME", f"has times such as {texts[0]!r}, of no known format")
        found.zoned |= forms[0] in EPOCHS or all(_ZONED.search(text) for text in texts)
        if len(forms) == 1:
            found.known[f"{key}_format"] = forms[0]
        else:
            found.open[f"{key}_format"] = f"{texts[0]!r} is {' or '.join(map(repr, forms))}"
    return None


def _instruments(sample: _Sample, fields: Mapping[str, int], found: Suggestion) -> None:
    symbols = _few(sample.columns[fields["symbol"]]) if "symbol" in fields else []
    if symbols and all(_SUFFIX.fullmatch(text.strip()) for text in symbols):
        known = load_layouts(None)["gdfl"]
        found.known["symbol_patterns"] = list(known.symbol_patterns)
        found.known["expiry_format"] = known.expiry_format
    elif "exchange" not in fields:
        found.open["exchange"] = 'write exchange = "NSE", or the one that it is'


def _judged(file: Opened, found: Suggestion, judge: SessionJudge) -> Suggestion | Fault:
    """Zone and stamp, as far as only one reading puts every bar into the session."""
    is_days = found.known.get("interval") == "d1"
    if is_days:
        found.known |= {"time_zone": _ZONES[0], "stamp": START}
        return found
    perfect: list[tuple[str, str]] = []
    zones = _ZONES[:1] if found.zoned else _ZONES
    more: dict[str, Any] = {"exchange": "NSE"} if "exchange" in found.open else {}
    if set(found.open) <= {"exchange"}:
        for zone, stamp in product(zones, (START, END, LAST_SECOND)):
            seen = _seen(file, found, {**more, "time_zone": zone, "stamp": stamp}, judge)
            if seen.bars and not seen.refused and seen.inside == seen.bars:
                perfect.append((zone, stamp))
    fitting, stamps = ({each[at] for each in perfect} for at in (0, 1))
    if found.zoned or len(fitting) == 1:
        found.known["time_zone"] = zones[0] if found.zoned else fitting.pop()
    else:
        found.open["time_zone"] = 'write time_zone = "Asia/Kolkata" or "UTC": the file fits both'
    if len(stamps) == 1:
        found.known["stamp"] = stamps.pop()
    else:
        found.open["stamp"] = (
            'write stamp = "bar-start" or "bar-end": does 09:16 mean the minute that begins or the '
            "one that ends then?"
        )
    return found


def _seen(file: Opened, found: Suggestion, more: Mapping[str, Any], judge: SessionJudge) -> Look:
    layout = parse_layouts(found.text(more), _HERE)[found.name]
    seen = look(file, layout, judge)
    assert isinstance(seen, Look)  # the columns are those of the file
    return seen


def _toml(value: Any) -> str:
    if isinstance(value, re.Pattern):
        return f"'{value.pattern}'"
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    return json.dumps(value, ensure_ascii=False)


def explained(found: Suggestion, why: Iterable[str]) -> str:
    """The table with the reasons why no layout fits above it, as comments."""
    lines = [f"# {each}" for each in why]
    if found.open:
        lines.append("# Not shown by the file, and to be written: " + ", ".join(found.open))
    return "\n".join([*lines, found.text()])
