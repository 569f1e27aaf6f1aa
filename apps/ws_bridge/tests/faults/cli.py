"""Plays staged faults: ``./pants script apps/ws_bridge/tests/faults/cli.py -- NAME…|--all|--list``.

Each prints its ledger as a table and, with ``--record docs/reliability.jsonl``, writes its line
there and docs/reliability.md from all of them. Exit code 0: every promise
was kept; 1: one was broken; 2: wrong usage.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import traceback
from pathlib import Path

from rich.console import Console

from faults import broker, clock, feed, fuzz, journal, process, replies, shards, soak, topics
from faults.kafka import Kind
from faults.outcome import Fault, Outcome, Record, append_record, make_record, show
from faults.page import write_page
from faults.scene import Scene, create_topics, real_broker

COMMAND = "./pants script apps/ws_bridge/tests/faults/cli.py --"
FAMILIES = (broker, replies, process, journal, feed, fuzz, clock, topics, shards, soak)
FAULTS: dict[str, Fault] = {
    fault.name: fault
    for fault in sorted(
        (fault for family in FAMILIES for fault in family.FAULTS), key=lambda each: each.number
    )
}
NOT_IN_ALL = ("soak",)
"""Has a verb of its own, `make soak`."""


def play(fault: Fault, scene: Scene, kind: Kind = Kind.PLAIN) -> Record:
    """Play one fault. A play that breaks off is a broken promise, not the end of the others."""
    began_s = time.monotonic()
    try:
        outcome = fault.play(scene)
    except Exception as error:
        traceback.print_exc()
        outcome = Outcome(problems=[f"the play broke off: {type(error).__name__}: {error}"])
    command = f"{COMMAND} {fault.name} --seed {scene.seed}" + " --short" * (not scene.full)
    if kind is not Kind.PLAIN:
        command += f" --kafka {kind}"
    if fault.name == "soak":
        command += f" --minutes {soak.minutes():g}"
    return make_record(fault, outcome, command, scene.seed, time.monotonic() - began_s, kind)


def main() -> None:
    """Entry point."""
    options = _options()
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    if options.list:
        for fault in FAULTS.values():
            print(f"{fault.number:3} {fault.name:22} {fault.title}")
        return
    names = [n for n in FAULTS if n not in NOT_IN_ALL] if options.all else options.names
    soak.set_minutes(options.minutes)
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 100)
    broken = 0
    with (
        tempfile.TemporaryDirectory(prefix="faults-", ignore_cleanup_errors=True) as scratch,
        real_broker(Path(scratch) / "kafka", options.kafka) as server,
    ):
        for name in names:
            home = Path(scratch) / name
            home.mkdir()
            if not server.running:
                server.start()
            create_topics(server)
            scene = Scene(server, home, options.seed, full=not options.short)
            record = play(FAULTS[name], scene, options.kafka)
            show(console, record)
            broken += not record.passed
            if options.record is not None:
                append_record(options.record, record)
                write_page(options.record)
    print(f"{len(names) - broken} of {len(names)} faults kept their promises")
    sys.exit(1 if broken else 0)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, prog="faults")
    parser.add_argument("names", nargs="*", metavar="NAME", help="faults to play; see --list")
    parser.add_argument("--all", action="store_true", help="all of them, the soak excepted")
    parser.add_argument("--list", action="store_true", help="name them and end")
    parser.add_argument("--short", action="store_true", help="the short forms, as the tests do")
    parser.add_argument(
        "--kafka", type=Kind, choices=list(Kind), default=Kind.PLAIN,
        help="the broker: everybody may do everything, or TLS, rights by user and 256 KiB a batch",
    )  # fmt: skip
    parser.add_argument("--seed", type=int, default=7, help="seed of market and moments")
    parser.add_argument("--minutes", type=float, default=30.0, help="length of the soak")
    parser.add_argument("--record", type=Path, metavar="FILE", help="write figures and page there")
    options = parser.parse_args()
    unknown = [name for name in options.names if name not in FAULTS]
    if unknown:
        parser.error(f"no fault {', '.join(unknown)}; --list names them")
    if not (options.list or options.all or options.names):
        parser.error("name a fault, or give --all or --list")
    return options


if __name__ == "__main__":
    main()
