"""JSON that others wrote: read only as deeply nested as it can be shown and corrected again."""

from __future__ import annotations

from typing import Any, Final

import orjson

DEPTH_MAX: Final = 128
"""orjson reads 1,024 levels and writes 254; Python's own functions end near 300."""


def parse_json(value: bytes) -> Any:
    """Raises ValueError for what is no JSON, and for JSON nested deeper than `DEPTH_MAX`."""
    found = orjson.loads(value)
    if value.count(b"[") + value.count(b"{") > DEPTH_MAX and _is_deep(found):
        raise ValueError(f"nested deeper than {DEPTH_MAX} levels")
    return found


def _is_deep(found: Any) -> bool:
    level = [found]
    for _ in range(DEPTH_MAX):
        level = [
            child
            for each in level
            if isinstance(each, dict | list)
            for child in (each.values() if isinstance(each, dict) else each)
        ]
    return any(isinstance(each, dict | list) for each in level)
