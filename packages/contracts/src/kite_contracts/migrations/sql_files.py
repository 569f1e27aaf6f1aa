"""A migration's statements lie in `.sql` files beside it; this makes its two functions of them."""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files
from typing import Final

from alembic import op

Step = Callable[[], None]
_VERSIONS: Final = "versions"


def sql_files(name: str) -> tuple[Step, Step]:
    """``upgrade`` and ``downgrade`` of ``versions/<name>.up.sql`` and ``.down.sql``."""

    def upgrade() -> None:
        _execute(f"{name}.up.sql")

    def downgrade() -> None:
        _execute(f"{name}.down.sql")

    return upgrade, downgrade


def read_sql(file_name: str) -> str:
    """The text of one SQL file of `versions`."""
    return (files("kite_contracts.migrations") / _VERSIONS / file_name).read_text("utf-8")


def _execute(file_name: str) -> None:
    """Run the file as one script: Postgres splits it, so that function bodies need no care."""
    text = read_sql(file_name)
    context = op.get_context()
    if context.as_sql:
        context.impl.static_output(f"-- {file_name}\n{text}")
        return
    # Without parameters a percent sign is one, and many statements may follow each other.
    op.get_bind().execution_options(no_parameters=True).exec_driver_sql(text)
