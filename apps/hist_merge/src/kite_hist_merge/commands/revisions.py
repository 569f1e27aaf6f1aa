"""``revisions``, ``accept`` and ``reject``: stretches that a source restated by one ratio."""

from __future__ import annotations

import getpass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import orjson
import typer
from rich.markup import escape
from rich.table import Table

from kite_hist_merge.commands.options import open_stores, settings_of
from kite_runtime.clock import IST
from kite_runtime.console import clean_json, stdout
from kite_runtime.errors import EXIT_DONE, EXIT_FINDINGS, NotFound, UsageError
from kite_runtime.options import AsJson, Root

if TYPE_CHECKING:
    from kite_bars_store.bars import GoldenCount, RestatedStretch

_INTERVALS: Final = {1: "m1", 1440: "d1"}

Batch = Annotated[
    int, typer.Argument(metavar="BATCH", min=1, help="The batch, as `revisions` shows it.")
]
Symbol = Annotated[str, typer.Argument(metavar="SYMBOL", help="Such as NSE:SBIN.")]
Note = Annotated[
    str,
    typer.Option("--note", "-m", metavar="TEXT", help="Why, for example 'bonus 1:1'; it is kept."),
]
Who = Annotated[
    str | None,
    typer.Option("--who", metavar="NAME", help="Who decides. Default: the user logged in."),
]


def command(
    everything: Annotated[
        bool, typer.Option("--all", help="Also those that somebody has decided on.")
    ] = False,
    as_json: AsJson = False,
    root: Root = Path(),
) -> int:
    """List the stretches that a source restated by one ratio, as after a bonus or a split.

    Their new values do not count until you `accept` them; the golden bars stay at the old level.
    Exit code 3 when any waits.
    """
    with open_stores(settings_of(root)) as stores:
        found = stores.bars.revisions(undecided=not everything)
    if as_json:
        for each in found:
            print(clean_json(orjson.dumps(revision_object(each)).decode()))
    elif found:
        stdout.print(_table(found))
    else:
        stdout.print("no revision waits for a decision" if not everything else "no revisions")
    return EXIT_FINDINGS if any(each.accepted is None for each in found) else EXIT_DONE


def accept(
    batch: Batch,
    symbol: Symbol,
    note: Note = "",
    who: Who = None,
    as_json: AsJson = False,
    root: Root = Path(),
) -> int:
    """Let a revision count: the golden bars of its stretch take the source's new values."""
    return _decide(batch, symbol, who, note, accepted=True, as_json=as_json, root=root)


def reject(
    batch: Batch,
    symbol: Symbol,
    note: Note = "",
    who: Who = None,
    as_json: AsJson = False,
    root: Root = Path(),
) -> int:
    """Let a revision not count: the golden bars of its stretch stay as they are."""
    return _decide(batch, symbol, who, note, accepted=False, as_json=as_json, root=root)


def revision_object(each: RestatedStretch) -> dict[str, Any]:
    """A revision as machines read it."""
    return {
        "batch_id": each.batch_id,
        "symbol": f"{each.exchange}:{each.tradingsymbol}",
        "source": each.source,
        "interval": _INTERVALS[each.minutes],
        "first_open": _time(each.first_open).isoformat(),
        "last_open": _time(each.last_open).isoformat(),
        "bars": each.bars,
        "ratio": str(each.ratio),
        "recorded_at": _time(each.recorded_at).isoformat(),
        "decision": decision_of(each),
        "who": each.who,
        "note": each.note,
    }


def decision_of(each: RestatedStretch) -> str:
    """In a word."""
    return "waits" if each.accepted is None else "accepted" if each.accepted else "rejected"


def _decide(
    batch: int,
    symbol: str,
    who: str | None,
    note: str,
    *,
    accepted: bool,
    as_json: bool,
    root: Path,
) -> int:
    from kite_bar_history.universe import symbol_of
    from kite_bars_store.bars import BarSurvey

    name = user(who)
    with open_stores(settings_of(root)) as stores:
        chosen = symbol_of(symbol, BarSurvey(stores.connection).names())
        try:
            count = stores.bars.decide(batch, chosen, accept=accepted, who=name, note=note)
        except ValueError:
            raise NotFound(
                f"batch {batch} restated no stretch of {chosen}: `revisions --all` lists them"
            ) from None
    done = "accepted" if accepted else "rejected"
    if as_json:
        decision = {
            "batch_id": batch,
            "symbol": chosen,
            "decision": done,
            "who": name,
            "note": note,
        }
        print(clean_json(orjson.dumps({**decision, "golden_written": count.written}).decode()))
    else:
        stdout.print(f"{done} by {name}: batch {batch}, {chosen}; {_written(count)}", markup=False)
    return EXIT_DONE


def user(who: str | None) -> str:
    """Who is at work. Raises UsageError when that is unknown."""
    if who is not None and not who.strip():
        raise UsageError("--who is empty: give a name")
    try:
        return who.strip() if who is not None else getpass.getuser()
    except (OSError, KeyError):
        raise UsageError("it is not known who you are: give --who NAME") from None


def _written(count: GoldenCount) -> str:
    if not count.written:
        return "the golden bars were already up to date"
    return f"{count.written:,} golden bars of that month changed"


def _table(found: list[RestatedStretch]) -> Table:
    table = Table(title="restated by one ratio", title_justify="left")
    for column in ("batch", "symbol", "source", "from (IST)", "to", "bars", "ratio", "decision"):
        right = column in ("batch", "bars", "ratio")
        table.add_column(column, justify="right" if right else "left", overflow="fold")
    table.add_column("by, why", overflow="fold")
    for each in found:
        day = each.minutes == 1440
        decided = ", ".join(filter(None, (each.who, each.note)))
        table.add_row(
            str(each.batch_id),
            escape(f"{each.exchange}:{each.tradingsymbol}"),
            each.source,
            _moment(each.first_open, day),
            _moment(each.last_open, day),
            f"{each.bars:,}",
            f"{each.ratio.normalize():f}",
            decision_of(each),
            escape(decided),
        )
    return table


def _time(when: datetime) -> datetime:
    return when.astimezone(IST)


def _moment(when: datetime, day: bool) -> str:
    return f"{_time(when):%Y-%m-%d}" if day else f"{_time(when):%Y-%m-%d %H:%M}"
