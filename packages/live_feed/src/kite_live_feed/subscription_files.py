"""The subscription files: which instruments, in which mode.

``tokens.csv`` has the columns ``instrument_token`` and, if wanted, ``mode`` (ltp, quote or full;
default full), ``exchange`` and ``tradingsymbol``. A ``universe_*.csv`` has ``exchange``,
``tradingsymbol`` and, if wanted, ``mode``; its tokens are looked up in ``tokens.csv``. Both are
UTF-8 CSV with a header line; other columns are ignored; blank lines and lines that begin with ``#``
are skipped.

Without universes all of ``tokens.csv`` is subscribed; with universes their symbols alone.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from kite_broker_zerodha.packets import Segment, segment_of
from kite_broker_zerodha.subscriptions import SHARD_TOKENS_MAX, SHARDS_MAX, TOKEN_MAX, Subscription
from kite_contracts.tick_batch import TickMode
from kite_live_feed.errors import SubscriptionFileError

TOKENS_MAX: Final = SHARDS_MAX * SHARD_TOKENS_MAX
FILE_BYTES_MAX: Final = 64 * 1024 * 1024

_MODES: Final = {mode.name.lower(): mode for mode in TickMode}
_SEGMENTS: Final = frozenset(int(segment) for segment in Segment)


class Instrument(NamedTuple):
    """One subscribed instrument; exchange and symbol are empty where the file does not say."""

    token: int
    mode: TickMode
    exchange: str
    tradingsymbol: str


@dataclass(frozen=True, slots=True)
class Subscriptions:
    """What the files ask for, in their order."""

    instruments: tuple[Instrument, ...]

    def wishes(self) -> list[Subscription]:
        """For ``kite_broker_zerodha.subscriptions.make_plan``."""
        return [Subscription(each.token, each.mode) for each in self.instruments]


class _Row(NamedTuple):
    line: int
    fields: dict[str, str]


def load_subscriptions(
    tokens_file: Path, universe_files: Sequence[Path] = (), connections: int = SHARDS_MAX
) -> Subscriptions:
    """Read and check all files. Raises SubscriptionFileError, one sentence."""
    contents = {path: read_bytes(path) for path in (tokens_file, *universe_files)}
    return parse_subscriptions(contents, tokens_file, universe_files, connections)


def parse_subscriptions(
    contents: dict[Path, bytes],
    tokens_file: Path,
    universe_files: Sequence[Path] = (),
    connections: int = SHARDS_MAX,
) -> Subscriptions:
    """The same for bytes that were read already (pure)."""
    known = _tokens(tokens_file, contents[tokens_file], symbols=bool(universe_files))
    chosen = _universe(contents, universe_files, tokens_file, known) if universe_files else known
    most = connections * SHARD_TOKENS_MAX
    if len(chosen) > most:
        where = universe_files[-1] if universe_files else tokens_file
        raise SubscriptionFileError(
            where,
            None,
            f"{len(chosen)} instruments are {len(chosen) - most} more than Kite takes "
            f"({connections} connections with {SHARD_TOKENS_MAX} each)",
            "remove some, name a universe file in WS_BRIDGE_UNIVERSE, or share them out among "
            "several bridges (WS_BRIDGE_SHARDS)",
        )
    return Subscriptions(tuple(chosen))


def _tokens(path: Path, data: bytes, symbols: bool) -> list[Instrument]:
    required = ("instrument_token", *(("exchange", "tradingsymbol") if symbols else ()))
    found: dict[int, int] = {}
    instruments = []
    for line, row in _rows(path, data, required):
        token = _token(path, line, row["instrument_token"])
        if token in found:
            raise SubscriptionFileError(
                path,
                line,
                f"token {token} stands on line {found[token]} too",
                "remove one: duplicates count for Kite's limit",
            )
        found[token] = line
        mode = _mode(path, line, row.get("mode", ""))
        instruments.append(
            Instrument(token, mode, row.get("exchange", ""), row.get("tradingsymbol", ""))
        )
    if not instruments:
        raise SubscriptionFileError(
            path, None, "holds no instrument", "add lines such as 408065,full,NSE,INFY"
        )
    return instruments


def _universe(
    contents: dict[Path, bytes], files: Sequence[Path], tokens_file: Path, known: list[Instrument]
) -> list[Instrument]:
    """The universes' instruments; one that several files name alike counts once."""
    by_symbol: dict[tuple[str, str], Instrument] = {}
    for each in known:
        other = by_symbol.setdefault((each.exchange, each.tradingsymbol), each)
        if other is not each and each.tradingsymbol:
            raise SubscriptionFileError(
                tokens_file,
                None,
                f"{each.exchange}:{each.tradingsymbol} has two tokens, "
                f"{other.token} and {each.token}",
                "remove the one that is out of date",
            )
    chosen: dict[int, tuple[Instrument, Path, int]] = {}
    for path in dict.fromkeys(files):
        rows = 0
        for line, row in _rows(path, contents[path], ("exchange", "tradingsymbol")):
            rows += 1
            symbol = (row["exchange"], row["tradingsymbol"])
            instrument = by_symbol.get(symbol) if all(symbol) else None
            if instrument is None:
                raise SubscriptionFileError(
                    path,
                    line,
                    f"unknown instrument {symbol[0]}:{symbol[1]}",
                    f"add it to {tokens_file} or correct its spelling",
                )
            mode = _mode(path, line, row.get("mode", ""))
            wish = instrument._replace(mode=mode)
            earlier = chosen.setdefault(wish.token, (wish, path, line))
            if earlier[1:] != (path, line) and (earlier[1] == path or earlier[0] != wish):
                raise SubscriptionFileError(
                    path,
                    line,
                    f"{symbol[0]}:{symbol[1]} stands in {earlier[1]}, line {earlier[2]} too",
                    "remove one of the two",
                )
        if not rows:
            raise SubscriptionFileError(
                path, None, "holds no instrument", "add lines such as NSE,INFY,full"
            )
    return [instrument for instrument, _, _ in chosen.values()]


def _rows(path: Path, data: bytes, required: Sequence[str]) -> Iterator[_Row]:
    """The data lines as dictionaries, with their numbers in the file."""
    reader = csv.reader(_text(path, data).splitlines(), strict=True)
    header: list[str] | None = None
    try:
        for cells in reader:
            if not any(cell.strip() for cell in cells) or cells[0].lstrip().startswith("#"):
                continue
            cells = [cell.strip() for cell in cells]
            if header is None:
                header = [cell.lower() for cell in cells]
                _check_header(path, reader.line_num, header, required)
            elif len(cells) != len(header):
                raise SubscriptionFileError(
                    path,
                    reader.line_num,
                    f"{len(cells)} values for {len(header)} columns",
                    f"write one for each of {','.join(header)}",
                )
            else:
                yield _Row(reader.line_num, dict(zip(header, cells, strict=True)))
    except csv.Error as exc:
        raise SubscriptionFileError(
            path, reader.line_num, f"malformed CSV ({exc})", "correct the quotes of this line"
        ) from exc
    if header is None:
        raise SubscriptionFileError(
            path, None, "the file is empty", f"begin it with the line {','.join(required)}"
        )


def _check_header(path: Path, line: int, header: list[str], required: Sequence[str]) -> None:
    missing = [name for name in required if name not in header]
    if missing:
        raise SubscriptionFileError(
            path,
            line,
            f"the column {' and '.join(missing)} is missing, found {','.join(header)[:120]}",
            f"begin the file with the line {','.join(required)}",
        )
    twice = next((name for name in header if name and header.count(name) > 1), None)
    if twice is not None:
        raise SubscriptionFileError(path, line, f"the column {twice} is there twice", "remove one")


def _token(path: Path, line: int, text: str) -> int:
    if not (text.isascii() and text.isdigit()) or not 1 <= int(text[:20]) <= TOKEN_MAX:
        raise SubscriptionFileError(
            path,
            line,
            f"{text[:40]!r} is no instrument token",
            f"write a whole number from 1 to {TOKEN_MAX}, such as 408065",
        )
    token = int(text)
    if segment_of(token) not in _SEGMENTS:
        raise SubscriptionFileError(
            path,
            line,
            f"unknown token {token}: Kite has no segment {segment_of(token)}",
            "take instrument_token, not exchange_token, from Kite's instruments list",
        )
    return token


def _mode(path: Path, line: int, text: str) -> TickMode:
    mode = _MODES.get(text.lower() or "full")
    if mode is None:
        raise SubscriptionFileError(
            path, line, f"unknown mode {text[:40]!r}", "write ltp, quote or full"
        )
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
        with path.open("rb") as file:
            data = file.read(FILE_BYTES_MAX + 1)
    except FileNotFoundError as exc:
        raise SubscriptionFileError(
            path, None, "the file does not exist", "create it, see configs/tokens.csv"
        ) from exc
    except OSError as exc:
        problem = f"cannot be read ({(exc.strerror or 'failed').lower()})"
        raise SubscriptionFileError(path, None, problem, "make it a readable file") from exc
    if len(data) > FILE_BYTES_MAX:
        raise SubscriptionFileError(
            path, None, f"is larger than {FILE_BYTES_MAX} bytes", "give a subscription file"
        )
    return data
