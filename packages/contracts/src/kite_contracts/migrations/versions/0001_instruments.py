"""Instrument master: what each dump said, and the validity ranges made from it."""

from kite_contracts.migrations.sql_files import sql_files

revision = "0001"
down_revision = None
upgrade, downgrade = sql_files("0001_instruments")
