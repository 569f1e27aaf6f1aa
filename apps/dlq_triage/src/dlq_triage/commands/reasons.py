"""``reasons``: the codes, what each means, whose it is and what to do."""

from __future__ import annotations

from typing import Annotated

import orjson
import typer
from rich.table import Table

from app_kit.console import stdout
from contracts.reasons import ReasonCode


def command(
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the codes as one JSON array.")
    ] = False,
) -> int:
    """Print the reason codes: meaning, whether a retry can help, owner, what to do."""
    if as_json:
        print(orjson.dumps([reason_object(code) for code in ReasonCode]).decode())
        return 0
    table = Table()
    for column in ("code", "meaning", "retryable", "owner", "what to do"):
        table.add_column(column, overflow="fold")
    for code in ReasonCode:
        table.add_row(
            code, code.meaning, "yes" if code.retryable else "no", code.owner, code.action
        )
    stdout.print(table)
    return 0


def reason_object(code: ReasonCode) -> dict[str, object]:
    """One code as machines read it."""
    return {
        "code": str(code),
        "meaning": code.meaning,
        "retryable": code.retryable,
        "owner": code.owner,
        "action": code.action,
    }
