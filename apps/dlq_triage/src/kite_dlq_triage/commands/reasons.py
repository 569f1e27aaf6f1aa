"""``reasons``: the codes, what each means, whose it is and what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

import orjson
import typer
from rich.table import Table

from kite_runtime.console import stdout

if TYPE_CHECKING:
    from kite_contracts.reasons import ReasonCode

_HEAD: Final = """\
# Reason codes

Why something became a dead letter: the header `dlq.reason`, or what `dlq_triage` finds by decoding
the bytes. Retryable means: the same bytes can succeed later without anybody changing code or data.
The owner is the place in this repository whose owner looks into it.

This page is made by `dlq_triage reasons --markdown`; a test compares the two.

| Code | Meaning | Retryable | Owner | What to do |
|---|---|---|---|---|"""


def command(
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the codes as one JSON array.")
    ] = False,
    as_markdown: Annotated[
        bool, typer.Option("--markdown", help="Print the page docs/reasons.md.")
    ] = False,
) -> int:
    """Print the reason codes: meaning, whether a retry can help, owner, what to do."""
    from kite_contracts.reasons import ReasonCode

    if as_json:
        print(orjson.dumps([reason_object(code) for code in ReasonCode]).decode())
        return 0
    if as_markdown:
        print(page(), end="")
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


def page() -> str:
    """The codes as docs/reasons.md has them."""
    from kite_contracts.reasons import ReasonCode

    rows = [
        f"| `{code}` | {code.meaning} | {'yes' if code.retryable else 'no'} | {code.owner} "
        f"| {code.action} |"
        for code in ReasonCode
    ]
    return "\n".join([_HEAD, *rows]) + "\n"


def reason_object(code: ReasonCode) -> dict[str, object]:
    """One code as machines read it."""
    return {
        "code": str(code),
        "meaning": code.meaning,
        "retryable": code.retryable,
        "owner": code.owner,
        "action": code.action,
    }
