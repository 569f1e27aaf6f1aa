"""The command line of triage. ``dlq_triage`` alone means ``dlq_triage dump``."""

from __future__ import annotations

from app_kit.command_line import make_app, run, with_any_reader
from dlq_triage.commands import (
    assign,
    consume,
    dump,
    groups,
    history,
    ignore,
    note,
    reasons,
    rebuild,
    redrive,
    reopen,
    resolve,
    serve,
    show,
)
from dlq_triage.errors import FORESEEN

app = make_app(
    "dlq_triage",
    "What could not be published, and why: dead-letter topics read, classified, dumped, stored "
    "and redriven. Without a command it dumps: dlq_triage --topic ticks.dlq --dump out.jsonl.",
    away="Kafka or Postgres",
    no_args_is_help=False,
)

_MODULES = (
    *(dump, reasons, consume, groups, show, history),
    *(resolve, ignore, assign, reopen, note, redrive, rebuild, serve),
)
for _module in _MODULES:
    app.command(_module.__name__.rpartition(".")[2])(with_any_reader(_module.command))


def main() -> None:
    """Entry point; never returns."""
    run(app, foreseen=FORESEEN, default="dump")


if __name__ == "__main__":
    main()
