"""The pages of docs/reference, out of the code: commands, variables, metrics, contracts, reasons.

    ./pants script docs/generate.py -- "$PWD/docs/reference"      # = make docs-reference

A test compares each page with what this makes.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from inspect import cleandoc
from pathlib import Path
from typing import Any, Final

import typer
from rich.table import Table
from typer.main import get_command

import kite_contracts.cli
import kite_contracts.migrations.cli
import kite_devstack.cli
import kite_dlq_triage.cli
import kite_hist_merge.cli
import kite_instruments.cli
import kite_tick_archive.cli
import kite_ws_bridge.cli
from kite_contracts.mapping import load_mapping
from kite_contracts.reasons import ReasonCode
from kite_contracts.store import Contract, packaged
from kite_contracts.tables import fields_table, topics_table
from kite_contracts.topics import load_topics
from kite_dlq_triage.settings import TriageSettings
from kite_hist_merge.settings import Settings as MergeSettings
from kite_instruments.settings import Settings as InstrumentsSettings
from kite_kafka_io.settings import KafkaSettings
from kite_live_feed.counters import Counters
from kite_live_feed.metrics import BridgeMetrics
from kite_runtime.settings import variables_table
from kite_tick_archive.settings import ArchiveSettings
from kite_ws_bridge.settings import BridgeSettings

SETTINGS: Final = (
    (
        "Kafka and the schema registry",
        "All programs that use Kafka read these. How long topics keep records:"
        " `TOPIC_<NAME>_RETENTION_MS` ([topics](contracts.md)).",
        KafkaSettings,
    ),
    (
        "ws_bridge",
        "A killed process loses nothing with any `WS_BRIDGE_JOURNAL_SYNC`; a power failure may lose"
        " that long. In Kafka an acknowledged record is safe from a lost machine only with several"
        " replicas: replication factor 3 and `min.insync.replicas=2`.",
        BridgeSettings,
    ),
    ("hist_merge", "The golden bars.", MergeSettings),
    ("instruments", "The instrument master and the daily login.", InstrumentsSettings),
    ("dlq_triage", "Dead letters.", TriageSettings),
    ("tick_archive", "Ticks at rest.", ArchiveSettings),
)
"""Until the programs' settings are declared as tables in the code."""


@dataclass(frozen=True, slots=True)
class Program:
    """A command line and how it is started in a checkout."""

    place: str
    app: Callable[[], Any]


PROGRAMS: Final = (
    Program("apps/ws_bridge", kite_ws_bridge.cli.PROGRAM.app),
    Program("apps/instruments", kite_instruments.cli.PROGRAM.app),
    Program("apps/hist_merge", kite_hist_merge.cli.PROGRAM.app),
    Program("apps/dlq_triage", kite_dlq_triage.cli.PROGRAM.app),
    Program("apps/tick_archive", kite_tick_archive.cli.PROGRAM.app),
    Program("packages/contracts", lambda: kite_contracts.cli.app),
    Program("packages/contracts/migrate", lambda: kite_contracts.migrations.cli.app),
    Program("packages/devstack", lambda: kite_devstack.cli.app),
)


def pages() -> dict[str, str]:
    """Each page's file name and its text."""
    return {
        "commands.md": commands_page(),
        "environment.md": environment_page(),
        "metrics.md": metrics_page(),
        "contracts.md": contracts_page(),
        "reasons.md": reasons_page(),
    }


def commands_page() -> str:
    """Every command with its arguments and options."""
    lines = _head(
        "Commands",
        "`--help` and `--version` are everywhere; `--debug` shows the traceback of an error.",
        "Exit codes are [these](../operating.md#exit-codes).",
    )
    for program in PROGRAMS:
        root = get_command(program.app())
        lines += ["", f"## {root.name}", "", _text(root.help), ""]
        lines += [f"In a checkout: `./pants run {program.place} -- COMMAND`."]
        for words, command in _commands(root):
            lines += ["", f"### {root.name} {words}", "", _text(command.help)]
            rows = [row for param in command.params if (row := _parameter(command, param))]
            if rows:
                lines += ["", *_table(("Argument or option", "Default", "Meaning"), rows)]
    return "\n".join(lines) + "\n"


def environment_page() -> str:
    """Every variable with its default and meaning, from the declarations in the code."""
    lines = _head(
        "Environment variables",
        "A program reads the environment, then `.infra/.env` (endpoints, retention, ports), then",
        "`.env` (secrets), then `.infra/local.env`, which `make up` writes; the first one that has",
        "the variable counts, and an option of the command line wins over all. An empty value is",
        "none. Relative paths start at `--root`. A wrong value is exit code 78, a sentence. Times",
        "are written `10s`, `500ms`, `24h`, sizes `64MiB`, `8GiB`; `<state>` is the user's state",
        "folder, `~/.local/state/kite-ingest`.",
    )
    for title, note, declared in SETTINGS:
        lines += ["", f"## {title}", "", note, "", variables_table(declared).rstrip()]
    return "\n".join(lines) + "\n"


def metrics_page() -> str:
    """What each metric of a running bridge means."""
    lines = _head(
        "Metrics of the bridge",
        "`/metrics` on `WS_BRIDGE_PORT`. Counters begin at 0 with each process, so alerts use",
        "`increase` and `rate`. `kite_build_info{program,version,revision}` is always 1 and shows",
        "what runs. Those of `dlq_triage`: [there](../dead-letters.md#keeping-them-consume).",
    )
    return "\n".join([*lines, "", *metric_table()]) + "\n"


def metric_table() -> list[str]:
    """A row a metric: name, kind, sentence."""
    names = {"counter": "{}_total", "gauge": "{}", "histogram": "{}_bucket, _sum, _count"}
    rows = [
        (f"`{names[family.type].format(family.name)}`", family.type, family.documentation)
        for family in BridgeMetrics(Counters(), lambda: None).collect()
    ]
    return _table(("Metric", "Kind", "Meaning"), rows)


def contracts_page() -> str:
    """The topics, and every field of the newest version of every contract."""
    store = packaged()
    lines = _head(
        "Contracts and topics", "What they mean and how they change: [contracts](../contracts.md)."
    )
    lines += ["", "## Topics", ""]
    lines += _of_rich(topics_table(load_topics()))
    for contract in _newest(store):
        lines += ["", f"## {contract.name}", "", contract.avro.get("doc", ""), ""]
        lines += [f"A value begins with `{contract.single_object_prefix.hex(' ')}`.", ""]
        lines += _of_rich(fields_table(contract, load_mapping(store.directory, contract)))
    return "\n".join(lines) + "\n"


def reasons_page() -> str:
    """Every reason code of dead letters."""
    lines = _head(
        "Reason codes",
        "Why something became a dead letter: the header `dlq.reason`, or what `dlq_triage`",
        "finds by decoding the bytes. Retryable means: the same bytes can succeed later without a",
        "change of code or data. The owner is the place in this repository whose owner looks into",
        "it.",
    )
    rows = [
        (f"`{code}`", code.meaning, "yes" if code.retryable else "no", code.owner, code.action)
        for code in ReasonCode
    ]
    table = _table(("Code", "Meaning", "Retryable", "Owner", "What to do"), rows)
    return "\n".join([*lines, "", *table]) + "\n"


def _head(title: str, *text: str) -> list[str]:
    note = "Written by `make docs-reference` from the code; a test fails when they differ."
    return [f"# {title}", "", note, "", *text]


def _of_rich(table: Table) -> list[str]:
    """What a command shows as a table, in Markdown. Cells are code but for the last, a sentence."""
    columns = [[str(cell) for cell in column.cells] for column in table.columns]
    columns[:-1] = [[f"`{cell}`" if cell else "" for cell in column] for column in columns[:-1]]
    return _table(
        [str(column.header) for column in table.columns], list(zip(*columns, strict=True))
    )


def _newest(store: Any) -> list[Contract]:
    newest: dict[str, Contract] = {}
    for contract in store:
        newest[contract.subject] = contract
    return list(newest.values())


def _value_name(command: Any, param: Any) -> str:
    """What stands for an option's value, as --help shows it."""
    if param.metavar:
        return str(param.metavar)
    shown = str(param.display_type(typer.Context(command)))
    if "|" in shown:
        return shown.removeprefix("list[").removesuffix("]")
    kind = shown.strip("<>").removeprefix("list[").removesuffix("]").split()[0].lower()
    return {"int": "N", "float": "N", "str": "TEXT", "path": "PATH"}.get(kind, kind.upper())


def _commands(command: Any, before: str = "") -> Iterator[tuple[str, Any]]:
    """Every command below ``command`` with its words, groups opened."""
    for name, each in command.commands.items():
        if each.hidden:
            continue
        if hasattr(each, "commands"):
            yield from _commands(each, f"{before}{name} ")
        else:
            yield f"{before}{name}", each


def _parameter(command: Any, param: Any) -> tuple[str, str, str] | None:
    """The row of an argument or option; None for what every command has."""
    if getattr(param, "hidden", False) or "--help" in param.opts:
        return None
    if param.param_type_name == "argument":
        name = f"`{param.metavar or param.name.upper()}`"
    else:
        shown = "" if param.is_flag else " " + _value_name(command, param)
        name = ", ".join(f"`{each}{shown}`" for each in (*param.opts, *param.secondary_opts))
    return name, _default(param), _text(getattr(param, "help", None))


def _default(param: Any) -> str:
    if param.required:
        return "required"
    if param.default is None or callable(param.default) or param.default in ((), [], "", False):
        return ""
    return f"`{param.default}`"


def _text(text: str | None) -> str:
    """Help as one paragraph of Markdown."""
    return " ".join(cleandoc(text or "").split())


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [head, ["---"] * len(head), *rows]
    return ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in lines]


def write(folder: Path, texts: Mapping[str, str]) -> None:
    """Write the pages into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (folder / name).write_text(text, "utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]), pages())
