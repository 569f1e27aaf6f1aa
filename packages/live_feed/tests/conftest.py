"""Fixtures; no time limit for an example, which may compile the loops."""

from __future__ import annotations

import hypothesis
from feed_fixtures import (  # noqa: F401
    kafka_bootstrap,
    make_topic,
    mock_broker,
    mock_kafka,
    mock_topics,
    real_kafka,
    real_topics,
)

hypothesis.settings.register_profile("live_feed", deadline=None)
hypothesis.settings.load_profile("live_feed")
