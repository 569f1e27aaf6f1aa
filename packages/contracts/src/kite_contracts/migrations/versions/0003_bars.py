"""Bars: what each source said, and the golden series made from it."""

from kite_contracts.migrations.sql_files import sql_files

revision = "0003"
down_revision = "0002"
upgrade, downgrade = sql_files("0003_bars")
