"""Ticks and records between this project and Kafka."""

from typing import TYPE_CHECKING

from kite_runtime.lazy import lazy

if TYPE_CHECKING:
    from kite_kafka_io.columns import TickColumns as TickColumns  # pants: no-infer-dep
    from kite_kafka_io.consumer import ReceivedRecord as ReceivedRecord  # pants: no-infer-dep
    from kite_kafka_io.consumer import RecordReader as RecordReader  # pants: no-infer-dep
    from kite_kafka_io.consumer import TickReader as TickReader  # pants: no-infer-dep
    from kite_kafka_io.dead_letters import DeadLetter as DeadLetter  # pants: no-infer-dep
    from kite_kafka_io.dead_letters import (
        read_dead_letter as read_dead_letter,  # pants: no-infer-dep
    )
    from kite_kafka_io.errors import BrokerUnreachable as BrokerUnreachable  # pants: no-infer-dep
    from kite_kafka_io.errors import KafkaIoError as KafkaIoError  # pants: no-infer-dep
    from kite_kafka_io.errors import MalformedRecord as MalformedRecord  # pants: no-infer-dep
    from kite_kafka_io.errors import NotAllowed as NotAllowed  # pants: no-infer-dep
    from kite_kafka_io.errors import ProducerFatal as ProducerFatal  # pants: no-infer-dep
    from kite_kafka_io.errors import QueueFull as QueueFull  # pants: no-infer-dep
    from kite_kafka_io.errors import ReadError as ReadError  # pants: no-infer-dep
    from kite_kafka_io.errors import RecordRefused as RecordRefused  # pants: no-infer-dep
    from kite_kafka_io.errors import RegistryError as RegistryError  # pants: no-infer-dep
    from kite_kafka_io.errors import UnknownTopic as UnknownTopic  # pants: no-infer-dep
    from kite_kafka_io.framing import Framing as Framing  # pants: no-infer-dep
    from kite_kafka_io.framing import (
        SingleObjectFraming as SingleObjectFraming,  # pants: no-infer-dep
    )
    from kite_kafka_io.producer import Delivery as Delivery  # pants: no-infer-dep
    from kite_kafka_io.producer import RecordProducer as RecordProducer  # pants: no-infer-dep
    from kite_kafka_io.raw_reader import RawReader as RawReader  # pants: no-infer-dep
    from kite_kafka_io.raw_reader import RawRecord as RawRecord  # pants: no-infer-dep
    from kite_kafka_io.registry import open_framing as open_framing  # pants: no-infer-dep
    from kite_kafka_io.settings import KafkaSettings as KafkaSettings  # pants: no-infer-dep
    from kite_kafka_io.settings import KafkaUser as KafkaUser  # pants: no-infer-dep

__getattr__, __dir__, __all__ = lazy(
    __name__,
    {
        "columns": "TickColumns",
        "consumer": "ReceivedRecord RecordReader TickReader",
        "dead_letters": "DeadLetter read_dead_letter",
        "errors": (
            "BrokerUnreachable KafkaIoError MalformedRecord NotAllowed ProducerFatal "
            "QueueFull ReadError RecordRefused RegistryError UnknownTopic"
        ),
        "framing": "Framing SingleObjectFraming",
        "producer": "Delivery RecordProducer",
        "raw_reader": "RawReader RawRecord",
        "registry": "open_framing",
        "settings": "KafkaSettings KafkaUser",
    },
)
