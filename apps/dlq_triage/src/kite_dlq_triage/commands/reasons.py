"""``reasons``: the codes, what each means, whose it is and what to do."""

from __future__ import annotations

from typing import Annotated

import orjson
import typer

from kite_runtime.console import stdout


def command(
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the codes as one JSON array.")
    ] = False,
) -> int:
    """Print the reason codes: meaning, whether a retry can help, owner, what to do."""
    from kite_contracts.reasons import ReasonCode
    from kite_contracts.tables import reasons_table

    if as_json:
        fields = ("meaning", "retryable", "owner", "action")
        codes = [
            {"code": str(code)} | {name: getattr(code, name) for name in fields}
            for code in ReasonCode
        ]
        print(orjson.dumps(codes).decode())
        return 0
    stdout.print(reasons_table(actions=True))
    return 0
