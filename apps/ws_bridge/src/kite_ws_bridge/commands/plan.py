"""``plan``: how the subscription spreads over Kite's connections, without connecting."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from kite_live_feed.options import SHARDS_MAX
from kite_runtime.console import say, stdout
from kite_runtime.errors import EXIT_DONE, EXIT_FINDINGS
from kite_runtime.options import Root
from kite_ws_bridge.settings import BridgeSettings


def command(
    root: Root = Path(),
    tokens: Annotated[
        Path | None,
        typer.Option(
            "--tokens", metavar="FILE", help="Subscription file. Default: configs/tokens.csv."
        ),
    ] = None,
    universe: Annotated[
        list[Path] | None,
        typer.Option(
            "--universe",
            metavar="FILE",
            help="Subscribe only to the symbols of this universe file; may be repeated.",
        ),
    ] = None,
    shards: Annotated[
        int | None,
        typer.Option(
            "--shards",
            metavar="N",
            min=1,
            max=SHARDS_MAX,
            help="Share out in N shards among several bridges. Default: WS_BRIDGE_SHARDS, else one "
            "bridge carries all.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> int:
    """Show which connection carries how many instruments in which modes. Nothing is sent.

    Exit code 3 when contracts of the files have expired (column expiry of tokens.csv).
    """
    from kite_broker_zerodha.subscriptions import describe
    from kite_ws_bridge.subscription_watch import SubscriptionWatch

    settings = BridgeSettings.load(root, os.environ)
    files = tuple(universe) if universe else settings.universe_files
    source = tokens or settings.tokens_file
    count = shards or (settings.shards.shards if settings.shards else None)
    watch = SubscriptionWatch(source, files, count)
    facts = describe(watch.load())
    code = EXIT_DONE if watch.warning is None else EXIT_FINDINGS
    if watch.warning is not None:
        say(f"warning: {watch.warning}")
    if as_json:
        print(json.dumps(facts))
        return code
    table = Table(title=f"{facts['tokens']:,} instruments from {source}", title_justify="left")
    for name in (
        "connection" if count is None else "shard",
        "instruments",
        "free",
        "modes",
        "segments",
        "kB a round",
    ):
        table.add_column(name, justify="right" if name != "modes" else "left")
    for shard in facts["shards"]:
        table.add_row(
            str(shard["shard"]),
            f"{shard['tokens']:,}",
            f"{shard['free']:,}",
            _counts(shard["modes"]),
            _counts(shard["segments"]),
            f"{shard['bytes_a_round'] / 1000:,.1f}",
        )
    stdout.print(table)
    return code


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items())
