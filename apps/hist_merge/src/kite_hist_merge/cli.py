"""The command line of the golden bars."""

from __future__ import annotations

from kite_hist_merge.commands import (
    backfill,
    daily,
    export,
    heal,
    rebuild,
    reconcile,
    report,
    revisions,
    show,
)
from kite_runtime.command_line import make_app, run, with_any_reader

app = make_app(
    "hist_merge",
    "Golden bars: the history of a vendor and of the broker, merged by stated rules; every value "
    "can be explained.",
    away="the database, Kafka or Kite",
)

app.command("daily")(with_any_reader(daily.command))
app.command("reconcile")(with_any_reader(reconcile.command))
app.command("backfill")(with_any_reader(backfill.command))
app.command("heal")(with_any_reader(heal.command))
app.command("show")(with_any_reader(show.command))
app.command("revisions")(with_any_reader(revisions.command))
app.command("accept")(with_any_reader(revisions.accept))
app.command("reject")(with_any_reader(revisions.reject))
app.command("export")(with_any_reader(export.command))
app.command("report")(with_any_reader(report.command))
app.command("rebuild")(with_any_reader(rebuild.command))


def main() -> None:
    """Entry point; never returns."""
    run(app)


if __name__ == "__main__":
    main()
