"""Read the ticks of a few instruments and keep the last price and the spread of each.

    KAFKA_BOOTSTRAP=127.0.0.1:9092 python docs/examples/read_ticks.py 256265 408065
    ... --from-start        everything that is in the topic, then stop

docs/reading-ticks.md explains it line by line.
"""

from __future__ import annotations

import argparse
import os
import sys
from decimal import Decimal

import numpy as np

from kite_kafka_io.columns import TickColumns
from kite_kafka_io.consumer import TickReader
from kite_kafka_io.registry import open_framing
from kite_kafka_io.settings import KafkaSettings
from kite_runtime.errors import KiteError


def last_rows(columns: TickColumns, tokens: list[int]) -> dict[int, int]:
    """The newest row of each wanted instrument: rows of one instrument are in feed order."""
    found = columns.column("instrument_token")
    rows = {token: np.flatnonzero(found == token) for token in tokens}
    return {token: int(of_token[-1]) for token, of_token in rows.items() if len(of_token)}


def describe(columns: TickColumns, row: int) -> str:
    """One line: last price and spread, exact."""
    price = columns.price(row)
    bid, ask = columns.price(row, "bid_0_price"), columns.price(row, "ask_0_price")
    spread: Decimal | str = "-" if bid is None or ask is None else ask - bid
    return f"last {price}  spread {spread}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tokens", nargs="+", type=int, help="instrument tokens")
    parser.add_argument("--topic", default="ticks")
    parser.add_argument("--from-start", action="store_true", help="read what there is, then stop")
    options = parser.parse_args()
    try:
        settings = KafkaSettings.from_env(os.environ)
        with TickReader(
            settings,
            options.topic,
            start="earliest" if options.from_start else "latest",
            until_end=options.from_start,
            framing=open_framing(settings),
        ) as reader:
            for columns in reader:
                for token, row in last_rows(columns, options.tokens).items():
                    print(token, describe(columns, row), flush=True)
    except KiteError as exc:
        print(exc, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
