"""The command line of the golden bars."""

from __future__ import annotations

from app_kit.command_line import make_app, run
from hist_merge.errors import FORESEEN

app = make_app(
    "hist_merge",
    "Golden bars: the history of a vendor and of the broker, merged by stated rules; every value "
    "can be explained.",
    away="the database, Kafka or Kite",
)


def main() -> None:
    """Entry point; never returns."""
    run(app, foreseen=FORESEEN)


if __name__ == "__main__":
    main()
