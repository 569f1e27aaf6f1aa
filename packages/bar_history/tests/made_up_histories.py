"""Instrument histories as the store would answer, of a few instruments each."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime

from kite_bars_store.instruments import Batch, Validity


def validity(symbol: str, token: int, since: date, until: date | None, segment: str) -> Validity:
    exchange = "NFO" if segment.startswith("NFO") else "NSE"
    return Validity(
        *(exchange, symbol, token, token >> 8, None, None, None, 2, 5, 1, "EQ", segment),
        *(since, until, 1),
    )


def dump(day: date) -> Batch:
    when = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return Batch(1, "kite", ("NSE", "NFO"), day, when, b"", None, 0, 0, 0, 0, 0, 0, 0, {})


class FakeMaster:
    """A history of three instruments; SBIN had another token until 2024."""

    known: tuple[Validity, ...] = (
        validity("SBIN", 1, date(2023, 1, 1), date(2024, 1, 1), "NSE"),
        validity("SBIN", 2, date(2024, 1, 1), None, "NSE"),
        validity("NIFTY 50", 256265, date(2023, 1, 1), None, "INDICES"),
        validity("NIFTY24JANFUT", 13244674, date(2023, 11, 1), date(2024, 1, 26), "NFO-FUT"),
    )

    def by_symbol(
        self, tradingsymbol: str, exchange: str | None = None, as_of: date | None = None
    ) -> list[Validity]:
        return [e for e in self.known if (e.tradingsymbol, e.exchange) == (tradingsymbol, exchange)]

    def by_token(self, token: int, as_of: date | None = None) -> list[Validity]:
        return [each for each in self.known if each.instrument_token == token]

    def days(self) -> list[Batch]:
        return [dump(date(2022, 1, 3)), dump(date(2026, 8, 3))]


JULY, AUGUST, NOVEMBER = date(2025, 7, 1), date(2026, 8, 3), date(2026, 11, 20)


def contract(symbol: str, token: int, since: date, until: date | None, expiry: date) -> Validity:
    plain = validity(symbol, token, since, until, "NFO-FUT")
    return replace(plain, expiry=expiry)


class ReusedTokens(FakeMaster):
    """Masters of July 2025 and August 2026, between which Kite gave tokens to other contracts."""

    known: tuple[Validity, ...] = (
        contract("BANKNIFTY25JULFUT", 13622530, JULY, AUGUST, date(2025, 7, 31)),
        contract("BANKNIFTY26DEC45000PE", 13622530, AUGUST, None, date(2026, 12, 29)),
        contract("NIFTY26DECFUT", 19714, AUGUST, None, date(2026, 12, 29)),
        contract("NIFTY26OCTFUT", 19970, AUGUST, None, date(2026, 10, 27)),
        validity("SBIN", 779521, JULY, None, "NSE"),
        validity("DELISTED", 513, JULY, AUGUST, "NSE"),
    )

    def days(self) -> list[Batch]:
        return [dump(JULY), dump(AUGUST)]
