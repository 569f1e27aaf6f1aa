"""The program as the command line of these tests loads it; see ``app_kit.testing.calls``."""

from __future__ import annotations

from collections.abc import Callable


def load() -> Callable[[], object]:
    """The entry point."""
    from hist_merge import cli

    return cli.main
