"""Fixtures: the real Kafka and Postgres of the local stack."""

from __future__ import annotations

import hypothesis

from kite_devstack.testing import (  # noqa: F401
    fresh_dsn,
    kafka_bootstrap,
    make_topic,
    migrated_dsn,
    migrated_template,
    postgres_server,
)

# A time limit would only measure the machine.
hypothesis.settings.register_profile("dead_letters", deadline=None)
hypothesis.settings.load_profile("dead_letters")
