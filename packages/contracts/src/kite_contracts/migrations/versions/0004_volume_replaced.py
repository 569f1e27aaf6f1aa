"""A verdict of its own for a bar whose cumulative volume was replaced."""

from kite_contracts.migrations.sql_files import sql_files

revision = "0004"
down_revision = "0003"
upgrade, downgrade = sql_files("0004_volume_replaced")
