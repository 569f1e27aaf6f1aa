"""The program as the command line of these tests loads it; see ``app_kit.testing.calls``.

``test_instruments_bad_input`` shows that a plain ``python -m instruments.cli`` does alike.
"""

from __future__ import annotations

from collections.abc import Callable


def load() -> Callable[[], object]:
    """The entry point."""
    from instruments import cli

    return cli.main
