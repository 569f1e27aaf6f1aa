"""Fixtures: the real Kafka of the local stack."""

from __future__ import annotations

import hypothesis

from devstack.testing import kafka_bootstrap, make_topic  # noqa: F401

# A time limit would only measure the machine.
hypothesis.settings.register_profile("dlq_triage", deadline=None)
hypothesis.settings.load_profile("dlq_triage")
