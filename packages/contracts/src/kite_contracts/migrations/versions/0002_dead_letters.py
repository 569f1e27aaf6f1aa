"""Dead letters: each failure once, the decisions about it, and what was sent back."""

from kite_contracts.migrations.sql_files import sql_files

revision = "0002"
down_revision = "0001"
upgrade, downgrade = sql_files("0002_dead_letters")
