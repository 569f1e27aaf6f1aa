"""``smoke``: the seeded producer into ``ticks`` and ``bars``, with faults and their ledger."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from kite_live_feed.topics import Topics
from kite_runtime.console import say, stderr, stdout
from kite_runtime.errors import EXIT_FAILED, UsageError
from kite_runtime.options import Bootstrap, Root
from kite_simulator.cli import Seed, fault_script
from kite_ws_bridge.commands.demo import report_ledger
from kite_ws_bridge.commands.options import AllowRemote, kafka_settings, keep_simulated_here

if TYPE_CHECKING:
    from kite_live_feed.rehearsal.smoke import SmokeResult


def command(
    bootstrap: Bootstrap = None,
    ticks: Annotated[int, typer.Option("--ticks", min=1, help="Moves of the market.")] = 20_000,
    instruments: Annotated[
        int, typer.Option("--instruments", min=1, max=3_000, help="Instruments.")
    ] = 60,
    seed: Seed = 1,
    faults: Annotated[
        bool,
        typer.Option(
            "--faults/--no-faults",
            help="Every fault of the script once, and a dead letter of every other reason code, "
            "as the stages behind the feed write them.",
        ),
    ] = True,
    script: Annotated[
        Path | None,
        typer.Option("--script", metavar="FILE", help="A fault script instead of the built-in."),
    ] = None,
    letters: Annotated[
        Path | None,
        typer.Option(
            "--letters",
            metavar="FILE",
            help="Write where each dead letter lies and the reason intended for it, as JSON lines.",
        ),
    ] = None,
    allow_remote: AllowRemote = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the ledger as one JSON object.")
    ] = False,
    root: Root = Path(),
) -> int:
    """Send a seeded market with faults into ticks, ticks.dlq, feed.events and bars.

    The same seed sends the same bytes. Everything is read back and compared with what the fault
    script must cause: exit code 0 only when the ledger balances.
    """
    from kite_kafka_io.registry import open_framing
    from kite_live_feed.rehearsal.smoke import SmokeOptions, run_smoke
    from kite_runtime.logs import configure_logs

    configure_logs(quiet=True)
    chosen = str(script) if script is not None else ("all" if faults else "none")
    options = SmokeOptions(
        ticks, instruments, seed, fault_script(chosen), stages=faults and script is None
    )
    kafka, topics = kafka_settings(bootstrap, root), Topics()
    keep_simulated_here(kafka, "the smoke", allow_remote)
    say(f"sending {ticks:,} seeded ticks to Kafka at {kafka.bootstrap}, then reading them back")
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with (
        tempfile.TemporaryDirectory(prefix="ws-bridge-smoke-") as folder,
        Progress(
            *columns, console=stderr, transient=True, disable=not stderr.is_terminal
        ) as progress,
    ):
        task = progress.add_task("packets", total=ticks)
        result = run_smoke(
            options,
            kafka,
            open_framing(kafka, {**topics.subjects, topics.bars: "bar"}),
            topics,
            Path(folder) / "journal",
            lambda count: progress.update(task, completed=min(count, ticks)),
        )
    if letters is not None:
        _write_letters(result, letters)
    if as_json:
        return _print_json(result)
    code = report_ledger(f"ws_bridge smoke, seed {seed}, faults: {chosen}", result.ledger)
    stdout.print(f"bars: {result.bars_sent:,} sent, {result.bars_read:,} read back")
    stdout.print(f"bytes of ticks and bars: sha256 {result.sha256}", soft_wrap=True)
    stdout.print(
        f"dead letters: {result.letters_sent:,} intended, {_as_intended(result):,} found as "
        f"intended, of {len({each.found for each in result.letters}):,} reasons"
    )
    if result.ledger.balanced and not result.balanced:
        for problem in result.problems():
            stdout.print(f"  - {problem}", markup=False)
    return code if result.balanced else EXIT_FAILED


def _as_intended(result: SmokeResult) -> int:
    return sum(each.found == each.intended for each in result.letters)


def _write_letters(result: SmokeResult, path: Path) -> None:
    try:
        path.write_text("".join(json.dumps(each.line()) + "\n" for each in result.letters))
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UsageError(f"--letters {path} cannot be written ({reason})") from error


def _print_json(result: SmokeResult) -> int:
    ledger = result.ledger
    print(
        json.dumps(
            {
                "balanced": result.balanced,
                "ledger": dict(ledger.lines()),
                "dead_letters": dict(sorted(ledger.read_back.reasons.items())),
                "feed_events": dict(sorted(ledger.read_back.events.items())),
                "bars": {"sent": result.bars_sent, "read_back": result.bars_read},
                "sha256": result.sha256,
                "letters": {"sent": result.letters_sent, "as_intended": _as_intended(result)},
                "problems": result.problems(),
            }
        )
    )
    return 0 if result.balanced else EXIT_FAILED
