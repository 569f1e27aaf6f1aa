"""What a running bridge's two pages say, as facts for a person or a machine (pure)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from math import inf
from typing import Any, Final

from prometheus_client.parser import text_string_to_metric_families

PREFIX: Final = "ws_bridge_"
ACK_HISTOGRAM: Final = "frame_ack_seconds_bucket"

Labels = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Scrape:
    """One reading of ``/metrics``: (name without prefix, labels) → value."""

    samples: dict[tuple[str, Labels], float]

    @classmethod
    def parse(cls, text: str) -> Scrape:
        """Read Prometheus's text form. Raises ValueError where it is none."""
        samples = {
            (sample.name.removeprefix(PREFIX), tuple(sorted(sample.labels.items()))): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name.startswith(PREFIX)
        }
        if not samples:
            raise ValueError("no metric of ws_bridge")
        return cls(samples)

    def value(self, name: str, **labels: str) -> float:
        """One sample; 0 where the bridge does not tell it (an older one may not)."""
        return self.samples.get((name, tuple(sorted(labels.items()))), 0.0)

    def total(self, name: str) -> int:
        """A counter without labels."""
        return int(self.value(f"{name}_total"))

    def by(self, name: str, label: str) -> dict[str, float]:
        """The samples of a name by one label, in the order of the label."""
        found = {
            dict(labels)[label]: value
            for (each, labels), value in self.samples.items()
            if each == name and label in dict(labels)
        }
        return dict(sorted(found.items()))


@dataclass(frozen=True)
class Connection:
    """One connection to Kite."""

    shard: int
    state: str
    instruments: int
    attempts: int
    silence_s: float | None
    """Since its last frame with ticks; None before the first."""


@dataclass(frozen=True)
class Status:
    """A bridge as it is now. Rates are per second over ``interval_s``."""

    url: str
    ready: bool
    problems: list[str]
    uptime_s: float
    interval_s: float
    ticks_per_s: float
    acked_per_s: float
    connections: list[Connection]
    counts: dict[str, int]
    backlog_bytes: int
    backlog_age_s: float
    room_bytes: int
    journal_full: bool
    in_flight: int
    auth_expired: bool
    last_ack_s: float
    ack_p99_s: float | None
    """99 of 100 frames since the start were acknowledged within this time, rounded up to a bucket;
    None before the first, infinite above the last bucket."""
    gaps_open: dict[str, int] = field(default_factory=dict)
    dead_letters: dict[str, int] = field(default_factory=dict)
    refused: dict[str, int] = field(default_factory=dict)
    dead_letter_alarm: bool = False
    dead_letter_share: float = 0.0
    """Of the records in the alarm's window, 0 to 1."""
    group_size: int = 0
    """Into how many shards the bridges of a group share the universe; 0 without a group."""
    group_shards: tuple[int, ...] = ()
    """Those that this bridge carries."""
    group_uncarried: int = 0
    rebalances: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON, which knows no infinity."""
        p99 = None if self.ack_p99_s == inf else self.ack_p99_s
        connections = [vars(each) for each in self.connections]
        return {**vars(self), "ack_p99_s": p99, "connections": connections}


COUNTS: Final = (
    *("frames_received", "packets_journaled", "ticks_acked", "dead_acked", "events_acked"),
    *("frames_lost", "journal_damage", "producer_restarts", "reconnects"),
    *("side_refusals", "gaps_opened", "gaps_closed"),
)


def make_status(
    url: str, problems: Iterable[str], before: Scrape, now: Scrape, interval_s: float, now_s: float
) -> Status:
    """The facts of two readings of the same process, ``interval_s`` seconds apart.

    ``now_s`` is the time of the second one, in seconds since the epoch.
    """
    found = list(problems)

    def rate(name: str) -> float:
        # A bridge that restarted in between begins at 0 again.
        return max(0, now.total(name) - before.total(name)) / interval_s if interval_s else 0.0

    return Status(
        url=url,
        ready=not found,
        problems=found,
        uptime_s=max(0.0, now_s - now.value("start_time_seconds")),
        interval_s=interval_s,
        ticks_per_s=rate("packets_journaled"),
        acked_per_s=rate("ticks_acked"),
        connections=_connections(now),
        counts={name: now.total(name) for name in COUNTS},
        backlog_bytes=int(now.value("journal_backlog_bytes")),
        backlog_age_s=now.value("journal_backlog_age_seconds"),
        room_bytes=int(now.value("journal_room_bytes")),
        journal_full=bool(now.value("journal_full")),
        in_flight=int(now.value("in_flight")),
        auth_expired=bool(now.value("auth_expired")),
        last_ack_s=now.value("ack_latency_seconds"),
        ack_p99_s=quantile(now.by(ACK_HISTOGRAM, "le"), 0.99),
        gaps_open=_whole(now.by("gaps_open", "cause")),
        dead_letters=_whole(now.by("dead_letters_total", "reason")),
        refused=_whole(now.by("records_refused_total", "topic")),
        dead_letter_alarm=bool(now.value("dead_letter_alarm")),
        dead_letter_share=now.value("dead_letter_share"),
        group_size=int(now.value("group_size")),
        group_shards=tuple(sorted(map(int, now.by("group_shard", "shard")))),
        group_uncarried=int(now.value("group_uncarried")),
        rebalances=now.total("rebalances"),
    )


def quantile(buckets: dict[str, float], share: float) -> float | None:
    """The upper bound of the bucket in which this share of a cumulative histogram is reached."""
    counted = sorted((float(bound), count) for bound, count in buckets.items())
    if not counted or not counted[-1][1]:
        return None
    wanted = share * counted[-1][1]
    return next(bound for bound, count in counted if count >= wanted)


def _connections(now: Scrape) -> list[Connection]:
    states: dict[str, str] = {}
    for (name, labels), value in now.samples.items():
        if name == "shard_state" and value:
            told = dict(labels)
            states[told["shard"]] = told["state"]
    silence = now.by("shard_silence_seconds", "shard")
    return [
        Connection(
            int(shard),
            state,
            int(now.value("shard_instruments", shard=shard)),
            int(now.value("connect_attempts_total", shard=shard)),
            silence.get(shard),
        )
        for shard, state in sorted(states.items(), key=lambda item: int(item[0]))
    ]


def _whole(values: dict[str, float]) -> dict[str, int]:
    return dict(Counter({name: int(value) for name, value in values.items() if value}))
