"""`daily`: the periodic job, vendor's files and Kite's candles of the universe to golden bars."""

from __future__ import annotations

from pathlib import Path

from kite_hist_merge.commands.options import (
    AcceptAdjusted,
    DryRun,
    Intervals,
    LayoutName,
    Live,
    NoKite,
    Symbols,
    Vendor,
    ended,
    open_resources,
    settings_of,
)
from kite_runtime.clock import today
from kite_runtime.options import AsJson, Day, From, Root, To


def command(
    first: From = None,
    last: To = None,
    day: Day = None,
    vendor: Vendor = None,
    symbols: Symbols = None,
    no_kite: NoKite = False,
    live: Live = False,
    interval: Intervals = None,
    layout: LayoutName = None,
    accept_adjusted: AcceptAdjusted = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
    root: Root = Path(),
) -> int:
    """Merge vendor's files and Kite's history of these days into golden bars.

    The instruments are those of configs/tokens.csv, or those named by --symbol. Everything that a
    source reports is kept; configs/merge.toml decides which value becomes golden. The same call
    again writes nothing; after Ctrl-C it goes on where it was. Lines that are no bars are listed
    by reason and put into a file to be fixed and given as --vendor again.
    """
    from kite_bar_history.run import INTERVALS, Order, Run
    from kite_bar_history.summary import print_summary
    from kite_bars_store.stores import days_of

    order = Order(
        days_of(first, last, day),
        tuple(vendor or ()),
        symbols,
        layout,
        accept_adjusted,
        not no_kite,
        tuple(interval or INTERVALS),
        dry_run,
        live,
    )
    order.check(today())
    settings = settings_of(root)
    if live:
        settings.require_kafka()
    with open_resources(settings) as resources:
        summary = Run(resources, order).to_end()
    code = print_summary(summary, as_json)
    ended(summary)
    return code
