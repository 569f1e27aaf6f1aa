"""What a reconciliation leaves besides the golden bars: Parquet files and a page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from kite_bars_store.bars import BarSurvey
from kite_bars_store.bars.export import Wish, export, pieces
from kite_bars_store.report import render
from kite_bars_store.report.gather import gather
from kite_hist_merge.commands.options import Days, Stores, progress_bar
from kite_hist_merge.commands.report import write_page


def hand_on(
    stores: Stores, names: Sequence[str], days: Days, intervals: Sequence[str], folder: Path
) -> list[str]:
    """Write the golden bars of the months of these days, and the report on ``names``, below
    ``folder``; a sentence for each. Raises OutputUnusable."""
    told = []
    for interval in intervals:
        survey = BarSurvey(stores.connection, interval)
        months = tuple(
            month
            for _, month in stores.bars.months(interval)
            if days.first.replace(day=1) <= month <= days.last
        )
        for piece in pieces(survey, Wish(interval, months, None, None)):
            done = export(stores, piece, folder / "parquet", dry_run=False)
            if done is not None:
                told.append(f"{folder / 'parquet' / piece.path}: {done.rows:,} bars, {done.state}")
    found = BarSurvey(stores.connection).instruments(days.since, days.until, names)
    chosen = sorted(each.name for each in found)
    if chosen:
        with progress_bar() as bar:
            task = bar.add_task("report", total=(days.last - days.first).days + 1)
            report = gather(stores, chosen, days, lambda _: bar.advance(task))
        path = folder / "report.html"
        write_page(path, render(report))
        told.append(f"{path}: what differed, what lacks and why, of {len(chosen):,} instruments")
    return told
