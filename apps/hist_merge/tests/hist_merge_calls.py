"""The program as the command line of these tests loads it; see ``kite_runtime.testing.calls``."""

from __future__ import annotations

from collections.abc import Callable


def load() -> Callable[[], object]:
    """The entry point; with the holidays, which take seconds to load."""
    from kite_contracts.sessions import exchange_holidays
    from kite_hist_merge import cli

    exchange_holidays()
    cli.PROGRAM.app()  # imports every command
    return cli.main
