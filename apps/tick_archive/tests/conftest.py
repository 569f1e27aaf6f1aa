"""Fixtures: a real Kafka for `run` and `bars`."""

from kite_devstack.testing import kafka_bootstrap, make_topic  # noqa: F401
