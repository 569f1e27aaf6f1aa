"""The generated part of docs/operating.md: what each metric means, in the words of the code.

Run it to write the part anew: ``python operating_page.py docs/operating.md``.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from kite_live_feed.counters import Counters
from kite_live_feed.metrics import BridgeMetrics

BEGIN: Final = "<!-- metrics: written by apps/ws_bridge/tests/operating_page.py -->"
END: Final = "<!-- /metrics -->"
_NAMES: Final = {"counter": "{}_total", "gauge": "{}", "histogram": "{}_bucket, _sum, _count"}


def metric_table() -> str:
    """A row a metric: name, kind, sentence."""
    rows = ["| Metric | Kind | What it says |", "|---|---|---|"]
    for family in BridgeMetrics(Counters(), lambda: None).collect():
        name = _NAMES[family.type].format(family.name)
        rows.append(f"| `{name}` | {family.type} | {family.documentation} |")
    return "\n".join(rows)


def main() -> None:
    page = Path(sys.argv[1])
    before, _, rest = page.read_text("utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    page.write_text(f"{before}{BEGIN}\n{metric_table()}\n{END}{after}", "utf-8")


if __name__ == "__main__":
    main()
