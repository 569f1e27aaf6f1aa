"""The budgets, measured: ``bench.py [PART…]`` prints a table of budget, figure and met or not.

Every ratio is taken between ways that took turns in one run. With ``--record FILE.json`` the
figures are kept, and a page FILE.md with the markers gets their tables and FILE.svg their picture;
parts that did not run keep their older figures. Exit code 3 when a budget is missed, 1 when a part
could not be measured.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import structlog
from rich.console import Console
from rich.table import Table

from benchmarks import archive, codec, live, live_bars, others, page, pipelines, reading, start
from benchmarks.measure import Figure, NotMeasured, say
from benchmarks.record import Part, load_record, machine, save_record
from kite_devstack.errors import DevstackError
from kite_live_feed.bridge import warm_up

EXIT_FAILED = 1
EXIT_MISSED = 3
EXIT_INTERRUPTED = 130


@dataclass(frozen=True)
class Job:
    """One part: what it is called, how many rounds are usual, and who measures."""

    title: str
    rounds: int
    run: Callable[[int], list[Figure]]
    usual: bool = True


JOBS = {
    "codec": Job(codec.TITLE, 9, codec.run),
    "pipelines": Job(pipelines.TITLE, 9, pipelines.run),
    "growth": Job("The bridge by instruments, partitions and settings", 5, pipelines.run_growth),
    "reading": Job(reading.TITLE, 5, reading.run),
    "archive": Job(archive.TITLE, 3, archive.run),
    "bars": Job(live_bars.TITLE, 3, live_bars.run),
    "start": Job(start.TITLE, 9, start.run),
    "live": Job(live.TITLE, 5, live.run),
    "others": Job(others.TITLE, 1, others.run),
    "latency": Job(live.LATENCY_TITLE, 3, live.run_latency, usual=False),
}


def main() -> int:
    """Run the parts; the exit code."""
    options = _options()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    about, parts = load_record(options.record) if options.record else ({}, {})
    ran: dict[str, Part] = {}
    failed: list[str] = []
    try:
        say("loading the compiled loops")
        warm_up()
        for name in options.parts or [each for each, job in JOBS.items() if job.usual]:
            try:
                ran[name] = _measure(name, options.rounds)
            except (NotMeasured, DevstackError) as error:
                say(f"{name}: not measured: {error}")
                failed.append(name)
                continue
            if options.record:
                parts[name] = ran[name]
                about = machine()
                _keep(options.record, about, {each: parts[each] for each in JOBS if each in parts})
    except KeyboardInterrupt:
        say("interrupted; the parts that were finished are kept")
        return EXIT_INTERRUPTED
    finally:
        _show(ran)
    if failed:
        say(f"not measured: {', '.join(failed)}")
        return EXIT_FAILED
    missed = [f for part in ran.values() for f in part.figures if f.met is False]
    return EXIT_MISSED if missed else 0


def _measure(name: str, rounds: int | None) -> Part:
    job = JOBS[name]
    say(f"{name}: {job.title}")
    load, started_s = os.getloadavg()[0], time.monotonic()
    taken = datetime.now(UTC).isoformat(timespec="seconds")
    figures = job.run(rounds or job.rounds)
    seconds = time.monotonic() - started_s
    say(f"{name}: {seconds:.0f} s")
    return Part(
        name, job.title, taken, round(seconds, 1), load, round(os.getloadavg()[0], 2), figures
    )


def _keep(record: Path, about: dict[str, str], parts: dict[str, Part]) -> None:
    save_record(record, about, parts)
    if page.PICTURE_PART in parts:
        picture = page.picture(parts[page.PICTURE_PART])
        record.with_suffix(".svg").write_text(picture, "utf-8")
    target = record.with_suffix(".md")
    if target.exists():
        text = page.with_tables(target.read_text("utf-8"), page.tables(about, parts))
        target.write_text(text, "utf-8")


def _show(parts: dict[str, Part]) -> None:
    """Every figure, then every budget."""
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 130)
    for part in parts.values():
        table = Table(title=f"{part.name}: {part.title}", title_justify="left")
        table.add_column("figure")
        table.add_column("median (smallest..largest)", justify="right")
        for figure in part.figures:
            table.add_row(figure.name, page.amount(figure))
        console.print(table)
    rows = page.budget_rows(parts.values())
    if not rows:
        return
    table = Table(title="Budgets", title_justify="left")
    for name in ("budget", "median (smallest..largest)", "must be", "met?"):
        table.add_column(name, justify="left" if name in ("budget", "met?") else "right")
    for what, figure_text, must, kept in rows:
        table.add_row(what, figure_text, must, kept.strip("*"))
    console.print(table)
    missed = sum(kept != "yes" for *_, kept in rows)
    console.print(f"{len(rows) - missed} of {len(rows)} budgets are met")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="bench",
        description="The budgets, measured as ratios within one run.",
        epilog="Parts: " + "; ".join(f"{name}: {job.title}" for name, job in JOBS.items()),
    )
    parser.add_argument(
        "parts", nargs="*", metavar="PART", help="which to run; all but latency without any"
    )
    parser.add_argument("--rounds", type=int, help="samples of each way; each part has its own")
    parser.add_argument("--record", type=Path, metavar="FILE.json", help="keep the figures there")
    options = parser.parse_args()
    unknown = [name for name in options.parts if name not in JOBS]
    if unknown:
        parser.error(f"no part {', '.join(unknown)}; there are {', '.join(JOBS)}")
    if options.rounds is not None and options.rounds < 1:
        parser.error("--rounds must be at least 1")
    return options


if __name__ == "__main__":
    sys.exit(main())
