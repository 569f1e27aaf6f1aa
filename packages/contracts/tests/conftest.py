"""Databases on the real Postgres for the tests of the migrations."""

from __future__ import annotations

from kite_devstack.testing import (  # noqa: F401
    fresh_dsn,
    migrated_dsn,
    migrated_template,
    postgres_server,
)
