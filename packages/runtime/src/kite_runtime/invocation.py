"""How this program was started, so that messages name commands as the reader can type them."""

from __future__ import annotations

import os
import re
from pathlib import Path
from types import MappingProxyType
from typing import Final

PLACES: Final = MappingProxyType(
    {
        "ws_bridge": "apps/ws_bridge",
        "dlq_triage": "apps/dlq_triage",
        "hist_merge": "apps/hist_merge",
        "instruments": "apps/instruments",
        "tick_archive": "apps/tick_archive",
        "kite-simulator": "packages/simulator",
        "kite-contracts": "packages/contracts",
    }
)
"""Program → what `./pants run` takes for it."""

# In backticks, or as the first word after the columns of a summary.
_COMMAND: Final = re.compile(rf"(?:(?<=`)|(?<=   ))({'|'.join(PLACES)})(?= [a-z-])")


def as_typed(text: str) -> str:
    """The text with commands of our programs as they were started: by `./pants run`, from a PEX
    file (others beside it, where they are), or, as they are written, by their names."""
    pex = os.environ.get("PEX")
    if pex is None:
        return text
    path = Path(pex)
    if any(part.startswith("pants-sandbox-") for part in path.parts):
        return _COMMAND.sub(lambda found: f"./pants run {PLACES[found[1]]} --", text)

    def file_of(found: re.Match[str]) -> str:
        other = path.with_name(f"{found[1]}.pex")
        return other.name if other == path or other.exists() else found[1]

    return _COMMAND.sub(file_of, text)
