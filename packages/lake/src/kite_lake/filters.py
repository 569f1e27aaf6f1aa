"""Row filters of pyiceberg: ``where.EqualTo("mode", "full")``.

Their constructors are typed for pydantic's plugin of mypy, which calls every ordinary use wrong.
"""

from __future__ import annotations

from typing import Any, Final

from pyiceberg import expressions

where: Final[Any] = expressions


def on_days(first: str, last: str) -> Any:
    """Trading days from ``first`` to ``last``, both included, such as ``2026-11-30``."""
    return where.And(
        where.GreaterThanOrEqual("trading_day", first), where.LessThanOrEqual("trading_day", last)
    )
