"""Fixtures: a real Kafka for `run`."""

from kite_devstack.testing import kafka_bootstrap  # noqa: F401
