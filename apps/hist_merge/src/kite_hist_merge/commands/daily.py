"""`daily`: the periodic job, vendor's files and Kite's candles of the universe to golden bars."""

from __future__ import annotations

from pathlib import Path

from kite_bar_history.summary import print_summary
from kite_bars_store.stores import days_of
from kite_hist_merge.commands.merging import (
    INTERVALS,
    AcceptAdjusted,
    Intervals,
    LayoutName,
    Live,
    NoKite,
    Order,
    Run,
    Vendor,
    ended,
)
from kite_hist_merge.commands.options import (
    AsJson,
    DryRun,
    From,
    Root,
    Symbols,
    To,
    open_stores,
    settings_of,
)


def command(
    first: From,
    last: To,
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

    The instruments are those of configs/tokens.csv, or those named by --symbols. Everything that a
    source says is kept; which word becomes golden is said by configs/merge.toml. The same call
    again writes nothing; after Ctrl-C it goes on where it was. Lines that are no bars are listed
    by reason and put into a file to be mended and given as --vendor again.
    """
    order = Order(
        days_of(first, last),
        tuple(vendor or ()),
        symbols,
        layout,
        accept_adjusted,
        not no_kite,
        tuple(interval or INTERVALS),
        dry_run,
        live,
    )
    order.check()
    settings = settings_of(root)
    with open_stores(settings) as stores:
        summary = Run(settings, stores, order).to_end()
    code = print_summary(summary, as_json)
    ended(summary)
    return code
