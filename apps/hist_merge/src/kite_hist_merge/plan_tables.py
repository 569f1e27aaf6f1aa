"""Plans as tables on stderr, and the question whether to begin."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import typer
from rich.table import Table

from kite_bar_history.backfill_plan import CALLS_A_SECOND_MAX, Plan, Work
from kite_contracts.sessions import IST
from kite_runtime.console import say, stderr, stdout
from kite_runtime.errors import Interrupted, UsageError


def show_plan(plan: Plan, work: Work, as_json: bool) -> None:
    """The plan: on stderr before it is carried out, on stdout as JSON when nothing else follows."""
    first, last = work.since.astimezone(IST), (work.until - timedelta(days=1)).astimezone(IST)
    facts: dict[str, Any] = {
        "instruments": plan.instruments,
        "interval": work.interval,
        "from": f"{first:%Y-%m-%d}",
        "to": f"{last:%Y-%m-%d}",
        "calls": plan.calls,
        "seconds": round(plan.seconds, 1),
        "rows": plan.rows,
        "done_before": plan.done,
        "without_token": list(plan.without_token),
    }
    if as_json:
        print_facts(facts)
        return
    rows = {
        "instruments": f"{plan.instruments:,}",
        "bars": f"{work.interval} of {first:%Y-%m-%d} to {last:%Y-%m-%d}",
        "calls": f"{plan.calls:,}, {plan.done:,} more are done",
        "time": pace(plan.calls),
        "bars expected": f"{plan.rows:,} by the calendar",
    }
    if plan.without_token:
        names = ", ".join(plan.without_token)
        rows["without a token"] = f"{names} (`instruments sync` records tokens)"
    show_table("Plan of the backfill", rows)
    if not plan.chunks:
        say("there is nothing to fetch")


def show_table(title: str, rows: Mapping[str, str]) -> None:
    """Names and values, on stderr."""
    table = Table(title=title, show_header=False)
    for name, value in rows.items():
        table.add_row(name, value)
    stderr.print(table)


def print_facts(facts: Mapping[str, Any]) -> None:
    """A plan as JSON, on stdout."""
    stdout.print(json.dumps(dict(facts)), markup=False, soft_wrap=True)


def ask_to_begin(calls: int, yes: bool) -> None:
    """Raises Interrupted for a no, and UsageError where nobody can be asked."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError("the plan has to be confirmed, and nobody is here: give --yes")
    if not typer.confirm(f"Make {calls:,} calls?", err=True):
        raise Interrupted


def pace(calls: int) -> str:
    """How long so many calls take."""
    if not calls:
        return "none"
    whole = max(1, round(calls / CALLS_A_SECOND_MAX))
    minutes, seconds = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    parts = [(hours, "h"), (minutes, "min"), (seconds, "s")]
    spent = " ".join(f"{value} {unit}" for value, unit in parts if value)
    return f"{spent} at {CALLS_A_SECOND_MAX:g} calls a second"
