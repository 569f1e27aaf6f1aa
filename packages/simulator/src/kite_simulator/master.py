"""The simulator's instruments: a seeded master that agrees with the market, or a file. Pure.

A few thousand rows with what makes real masters hard: symbols with ``&``, spaces and dashes, an
index without a tick size, strikes with decimals, weekly and monthly names. Tokens follow Kite's
arithmetic (256 x exchange token + segment); a symbol keeps its token from day to day. Strikes lie
around the price at which the market opens.
"""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterator, Sequence
from datetime import date
from decimal import Decimal
from hashlib import sha256
from itertools import product
from typing import Final, NamedTuple

from kite_broker_zerodha.packets import Segment, price_scale_of
from kite_simulator import symbols
from kite_simulator.market import origin_of, tick_of
from kite_simulator.symbols import THURSDAY, TUESDAY, contract_name, monthlies, weeklies

COLUMNS: Final = tuple(
    "instrument_token,exchange_token,tradingsymbol,name,last_price,expiry,strike,tick_size,"
    "lot_size,instrument_type,segment,exchange".split(",")
)

_TOKEN_RANGES: Final = {
    Segment.NSE: (1, 34_000),
    Segment.NFO: (35_000, 180_000),
    Segment.BFO: (820_000, 1_100_000),
    Segment.CDS: (1_000, 30_000),
    Segment.MCX: (430_000, 580_000),
}


class Listing(NamedTuple):
    """One row; ``strike`` and ``tick_size`` are in rupees, 0 where there is none."""

    instrument_token: int
    tradingsymbol: str
    name: str
    expiry: date | None
    strike: Decimal
    tick_size: Decimal
    lot_size: int
    instrument_type: str
    segment: str
    exchange: str


def build_master(seed: int, day: date) -> list[Listing]:
    """Everything that is listed on this day, sorted by exchange and symbol."""
    lister = _Lister(seed)
    rows = list(_indices())
    rows += [lister.stock(symbol) for symbol in symbols.stocks()]
    for future in symbols.UNDERLYINGS:
        rows += _contracts(lister, future, day)
    return sorted(rows, key=lambda row: (row.exchange, row.tradingsymbol))


def master_csv(rows: Sequence[Listing]) -> bytes:
    """As Kite writes it: the name quoted when there is one, ``last_price`` always 0."""
    lines = [",".join(COLUMNS)]
    for row in rows:
        quoted = f'"{row.name}"' if row.name else ""
        lines.append(
            f"{row.instrument_token},{row.instrument_token >> 8},{row.tradingsymbol},{quoted},0,"
            f"{row.expiry or ''},{row.strike:f},{row.tick_size:f},{row.lot_size},"
            f"{row.instrument_type},{row.segment},{row.exchange}"
        )
    return ("\n".join(lines) + "\n").encode()


class Master:
    """A master as the REST side serves it: parts of an exchange, packed, and tokens by key."""

    def __init__(self, data: bytes) -> None:
        """``data`` is CSV with Kite's columns, packed or not; its lines are served as they are."""
        plain = gzip.decompress(data) if data.startswith(b"\x1f\x8b") else data
        self._all = plain
        self._parts: dict[str, list[str]] = {}
        self.tokens: dict[str, int] = {}
        """``EXCHANGE:TRADINGSYMBOL`` to instrument token."""
        lines = plain.decode("utf-8", "replace").splitlines(keepends=True)
        self._head = lines[0] if lines else ""
        names = next(csv.reader([self._head]), [])
        for line in lines[1:]:
            self._index(line, dict(zip(names, next(csv.reader([line]), []), strict=False)))
        self._packed: dict[str | None, bytes] = {}

    @classmethod
    def seeded(cls, seed: int, day: date) -> Master:
        return cls(master_csv(build_master(seed, day)))

    @property
    def exchanges(self) -> tuple[str, ...]:
        return tuple(sorted(self._parts))

    def csv(self, exchange: str | None = None) -> bytes:
        """All of it, or the lines of one exchange under the head. Raises KeyError."""
        if exchange is None:
            return self._all
        return "".join([self._head, *self._parts[exchange]]).encode()

    def packed(self, exchange: str | None = None) -> bytes:
        """The same through gzip, the same bytes each time. Raises KeyError."""
        if exchange not in self._packed:
            self._packed[exchange] = gzip.compress(self.csv(exchange), 6, mtime=0)
        return self._packed[exchange]

    def _index(self, line: str, found: dict[str, str]) -> None:
        exchange, token = found.get("exchange", "").strip(), found.get("instrument_token", "")
        self._parts.setdefault(exchange, []).append(line)
        if token.isdigit():
            self.tokens[f"{exchange}:{found.get('tradingsymbol', '')}"] = int(token)


class _Lister:
    """Gives each symbol its token: from its name alone, unless another one has it already."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._taken: set[int] = {token for token, _, _ in symbols.INDICES}
        self._taken |= set(symbols.KNOWN_TOKENS.values())

    def token(self, symbol: str, segment: Segment) -> int:
        known = symbols.KNOWN_TOKENS.get(symbol) if segment == Segment.NSE else None
        if known is not None:
            return known
        low, high = _TOKEN_RANGES[segment]
        number = int.from_bytes(sha256(f"{self.seed}/{segment}/{symbol}".encode()).digest()[:8])
        place = number % (high - low)
        while True:
            token = (low + place) << 8 | segment
            if token not in self._taken:
                self._taken.add(token)
                return token
            place = (place + 1) % (high - low)

    def price(self, token: int) -> Decimal:
        """Where the market opens, in rupees."""
        return Decimal(origin_of(self.seed, token).opening).scaleb(-price_scale_of(token))

    def stock(self, symbol: str) -> Listing:
        token = self.token(symbol, Segment.NSE)
        name = symbols.NAMES.get(symbol, "")
        return Listing(token, symbol, name, None, Decimal(0), _tick(token), 1, "EQ", "NSE", "NSE")


def _indices() -> Iterator[Listing]:
    for token, symbol, exchange in symbols.INDICES:
        yield Listing(
            token, symbol, symbol, None, Decimal(0), Decimal(0), 0, "EQ", "INDICES", exchange
        )


def _contracts(lister: _Lister, of: symbols.Underlying, day: date) -> Iterator[Listing]:
    """Futures and options of one underlying, around its opening price."""
    weekday = THURSDAY if of.segment == Segment.BFO else TUESDAY
    months = monthlies(day, weekday, 3)
    spot = lister.price(of.token) if of.token else None
    for expiry in months:
        row = _contract(lister, of, expiry, "FUT", Decimal(0))
        spot = lister.price(row.instrument_token) if spot is None else spot
        yield row
    if not of.strikes or spot is None:
        return
    step = of.step or Decimal(1).scaleb(spot.adjusted() - 1)
    middle = (spot / step).to_integral_value() * step
    ends = sorted({*weeklies(day, weekday, of.weeks), *months[: of.months]})
    for expiry, number in product(ends, range(-of.strikes, of.strikes + 1)):
        strike = middle + number * step
        if strike > 0:
            yield _contract(lister, of, expiry, "CE", strike)
            yield _contract(lister, of, expiry, "PE", strike)


def _contract(
    lister: _Lister, of: symbols.Underlying, expiry: date, kind: str, strike: Decimal
) -> Listing:
    exchange = of.segment.name
    plain = f"{strike.normalize():f}" if strike else ""
    symbol = contract_name(of.symbol, expiry, f"{plain}{kind}")
    token = lister.token(symbol, of.segment)
    return Listing(
        token,
        symbol,
        of.symbol,
        expiry,
        Decimal(plain or 0),
        _tick(token),
        of.lot,
        kind,
        f"{exchange}-{'FUT' if kind == 'FUT' else 'OPT'}",
        exchange,
    )


def _tick(token: int) -> Decimal:
    return Decimal(f"{Decimal(tick_of(token)).scaleb(-price_scale_of(token)).normalize():f}")
