"""Topics of live bars, and a process that makes them until it is stopped or killed."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from archive_stage import Stage, ticks

from kite_contracts.tick_batch import ABSENT, TRADE, TS_EVENT_NS, TS_RECV_NS, TickBatch
from kite_devstack.testing import MakeTopic
from kite_kafka_io.codec import AvroCodec
from kite_kafka_io.consumer import RecordReader
from kite_kafka_io.settings import KafkaSettings
from kite_lake.bars.core import BarRules
from kite_lake.bars.counters import BarCounters
from kite_lake.bars.service import BarsService, BarTopics

S = 1_000_000_000
NAMES = {256_265 + 256 * number: ("NSE", f"S{number}") for number in range(50)}
RULES = BarRules({"s1": S, "m1": 60 * S}, idle_ns=600 * S)


@dataclass(frozen=True)
class BarStage:
    """Where bars of the topic ``ticks`` go. ``group`` is what its processes share."""

    kafka: KafkaSettings
    topics: BarTopics
    options: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, stage: Stage, make_topic: MakeTopic) -> BarStage:
        large = {"max.message.bytes": "16777216", "cleanup.policy": "compact"}
        made = make_topic(3), make_topic(1, large), make_topic(3)
        return cls(stage.kafka, BarTopics(stage.ticks, stage.events, "nowhere", *made))

    def service(self, **options: object) -> BarsService:
        given: dict[str, Any] = {"names": NAMES, "rules": RULES, **self.options, **options}
        return BarsService(
            self.kafka, topics=self.topics, group=f"group-{self.topics.bars}", **given
        )

    def close(self) -> BarCounters:
        """Make bars of what is there now, and close all."""
        return self.service(once=True).run()

    def command(self) -> list[str]:
        names = vars(self.topics).values()
        return [sys.executable, __file__, self.kafka.bootstrap, *names]

    def values(self) -> list[bytes]:
        """Every record of the topics of bars."""
        topics = [self.topics.bars, self.topics.seconds]
        with RecordReader(self.kafka, topics, start="earliest", until_end=True) as reader:
            return [record.value for record in reader]

    def bars(self) -> list[dict[str, Any]]:
        codec = AvroCodec()
        return [codec.decode(value).record for value in self.values()]


def spread(count: int, first_seq: int = 0) -> TickBatch:
    """Ticks of 50 instruments, 0.1 s apart, each a trade of one."""
    batch = ticks(count, first_seq=first_seq)
    seq = np.arange(first_seq, first_seq + count)
    batch.values[:, TS_RECV_NS] += seq * (S // 10 - 1_000_000)
    batch.values[:, TS_EVENT_NS] = ABSENT
    batch.values[:, TRADE + 2] = seq
    return batch


def main() -> None:
    """``BarStage.command``."""
    from kite_runtime.stopping import stop_on_signals

    stage = BarStage(KafkaSettings(bootstrap=sys.argv[1]), BarTopics(*sys.argv[2:]))
    service = stage.service(checkpoint_s=0.3)
    with stop_on_signals(service.stop.set):
        service.run()


if __name__ == "__main__":
    main()
