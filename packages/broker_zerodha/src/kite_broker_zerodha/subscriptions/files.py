"""``tokens.csv`` and ``universe_*.csv``: the one reader of both, and the writer.

``tokens.csv`` has the columns ``instrument_token`` and, if wanted, ``mode`` (ltp, quote or full;
default full), ``exchange``, ``tradingsymbol`` and ``expiry``. A ``universe_*.csv`` has
``exchange``, ``tradingsymbol`` and, if wanted, ``mode``; its tokens are looked up in
``tokens.csv``. What is accepted, and why, is in docs/configs.md. ``parse_*``, ``choose`` and
``*_csv`` are pure; paths given to them only name the file in errors.
"""

from __future__ import annotations

import csv
import io
import os
import re
import stat
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Final, NamedTuple

from kite_broker_zerodha.errors import BrokerError
from kite_broker_zerodha.packets import Segment, segment_of
from kite_broker_zerodha.subscriptions.planner import TOKEN_MAX, Subscription
from kite_contracts.tick_batch import TickMode
from kite_runtime.errors import ConfigurationError

FILE_BYTES_MAX: Final = 64 * 1024 * 1024
TOKEN_COLUMNS: Final = ("instrument_token", "mode", "exchange", "tradingsymbol", "expiry")
MEMBER_COLUMNS: Final = ("exchange", "tradingsymbol", "mode")
_NAME: Final = ("exchange", "tradingsymbol")

_SEGMENTS: Final = {int(segment): segment.name for segment in Segment}
_ONLY_INDICES: Final = ("GLOBAL", "NSEIX")
EXCHANGES: Final = tuple(sorted({*_SEGMENTS.values(), *_ONLY_INDICES} - {Segment.INDICES.name}))
"""Those of Kite's instrument master; an index has that of its market."""

_MODES: Final = {mode.name.lower(): mode for mode in TickMode}
_LINE_END: Final = re.compile(r"\r\n|\r|\n")
_TOKEN: Final = re.compile(r"[0-9]{1,10}")


class SubscriptionFileError(BrokerError, ConfigurationError):
    """A subscription file is wrong: names file, line, problem and remedy."""

    def __init__(self, path: Path, line: int | None, problem: str, remedy: str) -> None:
        place = f"{path}" if line is None else f"{path}, line {line}"
        super().__init__(f"{place}: {problem}; {remedy}")
        self.path = path
        self.line = line


class Instrument(NamedTuple):
    """One row of tokens.csv; exchange and symbol are both empty where the file does not say."""

    token: int
    mode: TickMode
    exchange: str
    tradingsymbol: str
    expiry: date | None = None
    """The last day of a contract; Kite then gives its token to another one."""

    @property
    def name(self) -> tuple[str, str]:
        """Exchange and symbol."""
        return self.exchange, self.tradingsymbol

    @property
    def subscription(self) -> Subscription:
        """For ``make_plan``."""
        return Subscription(self.token, self.mode)


class Member(NamedTuple):
    """One row of a universe."""

    exchange: str
    tradingsymbol: str
    mode: TickMode


def load_subscriptions(
    tokens_file: Path, universe_files: Sequence[Path] = ()
) -> tuple[Instrument, ...]:
    """What the files ask for, in their order: all of ``tokens_file``, or what universes name.

    Raises SubscriptionFileError.
    """
    known = parse_tokens(tokens_file, read_bytes(tokens_file), named=bool(universe_files))
    if not universe_files:
        return tuple(known.values())
    universes = {path: parse_universe(path, read_bytes(path)) for path in universe_files}
    return choose(known.values(), universes, tokens_file)


def load_tokens(path: Path) -> list[Instrument]:
    """The instruments of a tokens.csv. Raises SubscriptionFileError."""
    return list(parse_tokens(path, read_bytes(path)).values())


def parse_tokens(path: Path, data: bytes, *, named: bool = False) -> dict[int, Instrument]:
    """The rows of a tokens.csv by their line; ``named`` requires the columns of the names.

    No token and no name is there twice. Raises SubscriptionFileError.
    """
    found: dict[int, Instrument] = {}
    lines: dict[int, int] = {}
    tokens: dict[tuple[str, str], int] = {}
    for row in _rows(path, data, ("instrument_token", *(_NAME if named else ()))):
        each = _instrument(row)
        if each.token in lines:
            raise row.wrong(
                f"token {each.token} stands on line {lines[each.token]} too",
                "remove one: duplicates count for Kite's limit",
            )
        other = tokens.setdefault(each.name, each.token) if each.tradingsymbol else each.token
        if other != each.token:
            raise row.wrong(
                f"{each.exchange}:{each.tradingsymbol} has two tokens, {other} and {each.token}",
                "remove the one that is out of date",
            )
        lines[each.token] = row.line
        found[row.line] = each
    if not found:
        raise SubscriptionFileError(
            path, None, "holds no instrument", "add lines such as 408065,full,NSE,INFY"
        )
    return found


def parse_universe(path: Path, data: bytes) -> dict[int, Member]:
    """The rows of a universe by their line; none is there twice. Raises SubscriptionFileError."""
    found: dict[int, Member] = {}
    lines: dict[tuple[str, str], int] = {}
    for row in _rows(path, data, _NAME):
        name = exchange, symbol = _exchange(row), _symbol(row)
        if not exchange or not symbol:
            raise row.wrong(
                f"unknown instrument {exchange}:{symbol}", "write both, exchange and tradingsymbol"
            )
        if name in lines:
            raise row.twice(name, path, lines[name])
        lines[name] = row.line
        found[row.line] = Member(exchange, symbol, _mode(row))
    if not found:
        raise SubscriptionFileError(
            path, None, "holds no instrument", "add lines such as NSE,INFY,full"
        )
    return found


def choose(
    known: Iterable[Instrument],
    universes: Mapping[Path, Mapping[int, Member]],
    tokens_file: Path,
) -> tuple[Instrument, ...]:
    """The universes' instruments with their tokens; what several name alike counts once.

    Raises SubscriptionFileError for a symbol that is not known, or in two modes.
    """
    tokens = {each.name: each for each in known if each.tradingsymbol}
    chosen: dict[int, tuple[Instrument, Path, int]] = {}
    for path, members in universes.items():
        for line, (exchange, symbol, mode) in members.items():
            row = _Row(path, line, {})
            listed = tokens.get((exchange, symbol))
            if listed is None:
                raise row.wrong(
                    f"unknown instrument {exchange}:{symbol}",
                    f"add it to {tokens_file} or correct its spelling",
                )
            requested = listed._replace(mode=mode)
            earlier = chosen.setdefault(listed.token, (requested, path, line))
            if earlier[0] != requested:
                raise row.twice((exchange, symbol), earlier[1], earlier[2])
    return tuple(instrument for instrument, _, _ in chosen.values())


def tokens_csv(instruments: Sequence[Instrument], comment: str = "") -> bytes:
    """A tokens.csv that reads back as these rows, in this order, below the comment's lines.

    Raises SubscriptionFileError for rows that the reader would refuse or read otherwise.
    """
    rows = [(each.token, each.mode.name.lower(), *each.name, each.expiry) for each in instruments]
    data = _csv(comment, TOKEN_COLUMNS, rows)
    path = Path("tokens.csv")
    _check_written(path, instruments, parse_tokens(path, data).values())
    return data


def universe_csv(name: str, members: Sequence[Member], comment: str = "") -> bytes:
    """The same for universe_NAME.csv."""
    rows = [(*each[:2], each.mode.name.lower()) for each in members]
    data = _csv(comment, MEMBER_COLUMNS, rows)
    path = Path(f"universe_{name}.csv")
    _check_written(path, members, parse_universe(path, data).values())
    return data


def _csv(comment: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    out = io.StringIO()
    out.writelines(f"# {line}\n" for line in comment.splitlines())
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return out.getvalue().encode("utf-8", "replace")


def _check_written(path: Path, rows: Sequence[object], found: Iterable[object]) -> None:
    kept = set(found)
    lost = [row for row in rows if row not in kept]
    if lost:
        raise SubscriptionFileError(
            path, None, f"cannot hold {lost[0]!r}"[:300], "correct the name of the instrument"
        )


class _Row(NamedTuple):
    """A line of a file, its cells by column."""

    path: Path
    line: int
    cells: Mapping[str, str]

    def wrong(self, problem: str, remedy: str) -> SubscriptionFileError:
        """The error about this line."""
        return SubscriptionFileError(self.path, self.line, problem, remedy)

    def twice(self, name: tuple[str, str], path: Path, line: int) -> SubscriptionFileError:
        """The error about a name that another line has too."""
        return self.wrong(
            f"{':'.join(name)} stands in {path}, line {line} too", "remove one of the two"
        )


def _rows(path: Path, data: bytes, required: Sequence[str]) -> Iterator[_Row]:
    """The data lines. One line is one row."""
    header: list[str] | None = None
    for number, text in enumerate(_LINE_END.split(_text(path, data)), start=1):
        if not text.strip() or text.lstrip().startswith("#"):
            continue
        line = _Row(path, number, {})
        cells = _cells(line, text)
        if not any(cells):
            continue
        if header is None:
            header = [cell.lower() for cell in cells]
            _check_header(line, header, required)
        elif len(cells) != len(header):
            raise line.wrong(
                f"{len(cells)} value{'s' * (len(cells) > 1)} for {len(header)} columns",
                f"write one for each of {_shown(header)}",
            )
        else:
            yield line._replace(cells=dict(zip(header, cells, strict=True)))
    if header is None:
        raise SubscriptionFileError(
            path, None, "the file is empty", f"begin it with the line {','.join(required)}"
        )


def _cells(line: _Row, text: str) -> list[str]:
    try:
        # A quote that is still open at the end of the line is an error of this line.
        (cells,) = csv.reader([text], strict=True, skipinitialspace=True)
    except csv.Error as exc:
        raise line.wrong(f"malformed CSV ({exc})", "correct the quotes of this line") from exc
    return [cell.strip() for cell in cells]


def _check_header(line: _Row, header: list[str], required: Sequence[str]) -> None:
    missing = [name for name in required if name not in header]
    if missing:
        raise line.wrong(
            f"the column {' and '.join(missing)} is missing, found {_shown(header)}",
            f"begin the file with the line {','.join(required)}",
        )
    twice = next((name for name, count in Counter(filter(None, header)).items() if count > 1), None)
    if twice is not None:
        raise line.wrong(f"the column {twice[:40]!r} is there twice", "remove one")


def _shown(header: list[str]) -> str:
    """What cannot be seen is escaped."""
    return repr(",".join(header)[:120])[1:-1]


def _instrument(row: _Row) -> Instrument:
    text = row.cells["instrument_token"]
    token = int(text) if _TOKEN.fullmatch(text) else 0
    if not 1 <= token <= TOKEN_MAX:
        raise row.wrong(
            f"{text[:40]!r} is no instrument token",
            f"write a whole number from 1 to {TOKEN_MAX}, such as 408065",
        )
    segment = _SEGMENTS.get(segment_of(token))
    if segment is None:
        known = ", ".join(f"{number} {name}" for number, name in _SEGMENTS.items())
        raise row.wrong(
            f"unknown token {token}: Kite has no segment {segment_of(token)}, only {known}",
            "take instrument_token, not exchange_token, from Kite's instruments list",
        )
    exchange, symbol = _exchange(row), _symbol(row)
    if exchange and exchange != segment != Segment.INDICES.name:
        raise row.wrong(
            f"token {token} is of {segment}, not of {exchange}",
            "copy token and names from one line of Kite's instruments list",
        )
    if not exchange or not symbol:
        exchange = symbol = ""  # half a name is none: the token says what is meant
    return Instrument(token, _mode(row), exchange, symbol, _expiry(row))


def _expiry(row: _Row) -> date | None:
    text = row.cells.get("expiry", "")
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        raise row.wrong(
            f"the expiry {text[:40]!r} is no day", "write it like 2026-08-25, or leave it empty"
        ) from None


def _exchange(row: _Row) -> str:
    text = row.cells.get("exchange", "")
    if text and text.upper() not in EXCHANGES:
        raise row.wrong(
            f"Kite has no exchange {text[:40]!r}", f"write one of {', '.join(EXCHANGES)}"
        )
    return text.upper()


def _symbol(row: _Row) -> str:
    symbol = row.cells.get("tradingsymbol", "")
    if not symbol.isprintable():
        raise row.wrong(
            f"the tradingsymbol {symbol[:40]!r} has a character that cannot be seen",
            "type it again",
        )
    return symbol


def _mode(row: _Row) -> TickMode:
    text = row.cells.get("mode", "")
    mode = _MODES.get(text.lower() or "full")
    if mode is None:
        raise row.wrong(f"unknown mode {text[:40]!r}", "write ltp, quote or full")
    return mode


def _text(path: Path, data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        line = data[: exc.start].count(b"\n") + 1
        raise SubscriptionFileError(
            path, line, "is not UTF-8 text", "save the file as UTF-8 CSV"
        ) from exc


def read_bytes(path: Path) -> bytes:
    """A file's content. Raises SubscriptionFileError."""
    try:
        # Not waited for, as a FIFO would be: a bridge reads its files again while it works.
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
            regular = stat.S_ISREG(os.fstat(file.fileno()).st_mode)
            data = file.read(FILE_BYTES_MAX + 1) if regular else b""
    except FileNotFoundError as exc:
        raise SubscriptionFileError(
            path,
            None,
            "the file does not exist",
            "create it with `instruments export`, or by hand (docs/configs.md)",
        ) from exc
    except OSError as exc:
        problem = f"cannot be read ({(exc.strerror or 'failed').lower()})"
        raise SubscriptionFileError(path, None, problem, "make it a readable file") from exc
    if not regular:
        raise SubscriptionFileError(path, None, "is no regular file", "give a subscription file")
    if len(data) > FILE_BYTES_MAX:
        raise SubscriptionFileError(
            path, None, f"is larger than {FILE_BYTES_MAX} bytes", "give a subscription file"
        )
    return data
