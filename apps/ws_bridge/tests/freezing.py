"""``ws_bridge`` whose loop stands still from SIGUSR1 on, until the file ``$THAW`` is there."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from kite_ws_bridge.cli import main


def freeze(*_: object) -> None:
    """A handler of signals runs in the loop's thread."""
    while not Path(os.environ["THAW"]).exists():
        time.sleep(0.05)


if __name__ == "__main__":
    signal.signal(signal.SIGUSR1, freeze)
    main()
