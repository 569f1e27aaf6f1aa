"""Whether Kafka is there and has the topics, before anything is sent or read."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from kafka_io.client_log import ClientLog
from kafka_io.errors import BrokerUnreachable, SettingsError, UnknownTopic
from kafka_io.settings import KafkaSettings


def check_topics(
    settings: KafkaSettings,
    names: Iterable[str],
    timeout_s: float = 10.0,
    *,
    logger: logging.Logger | None = None,
) -> dict[str, int]:
    """The number of partitions of each topic in ``names``.

    Raises BrokerUnreachable if no broker answers within ``timeout_s`` seconds, UnknownTopic for the
    first topic that does not exist, and SettingsError if librdkafka refuses the settings.
    """
    log = ClientLog(logger if logger is not None else logging.getLogger(__name__))
    complaints: list[str] = []
    config: dict[str, Any] = {
        **settings.client_config(),
        "error_cb": lambda error: complaints.append(error.str()),
        "topic.metadata.refresh.interval.ms": -1,
    }
    try:
        client = AdminClient(config, logger=log)
    except (KafkaException, ValueError, TypeError) as exc:
        raise SettingsError(f"the Kafka settings are refused: {exc}") from exc
    try:
        topics = client.list_topics(timeout=timeout_s).topics
    except KafkaException as exc:
        client.poll(0)
        why = f" ({complaints[0]})" if complaints else ""
        raise BrokerUnreachable(f"no Kafka broker answers at {settings.bootstrap}{why}") from exc
    found: dict[str, int] = {}
    for name in names:
        if name not in topics or topics[name].error is not None:
            raise UnknownTopic(
                f"topic {name} does not exist at {settings.bootstrap}; create it with make up"
            )
        found[name] = len(topics[name].partitions)
    return found
