"""The program as the command line of these tests loads it; see ``kite_runtime.testing.calls``.

``test_instruments_bad_input`` shows that a plain ``python -m kite_instruments.cli`` does alike.
"""

from __future__ import annotations

from collections.abc import Callable


def load() -> Callable[[], object]:
    """The entry point."""
    from kite_instruments import cli

    cli.PROGRAM.app()  # imports every command
    return cli.main
