"""The bridge as the command line of these tests loads it; see ``kite_runtime.testing.calls``.

``test_bridge_cli`` shows that a plain ``python -m kite_ws_bridge.cli`` does alike.
"""

from __future__ import annotations

from collections.abc import Callable


def load() -> Callable[[], object]:
    """The entry point, with the compiled loops in memory."""
    from kite_contracts.bounds import tick_bounds
    from kite_live_feed import bridge
    from kite_ws_bridge import cli, tick_json

    bridge.warm_up()
    list(tick_json.decode_objects(b"\0\0", tick_bounds(), tick_json.DecodeSummary()))
    cli.PROGRAM.app()  # imports every command
    return cli.main
