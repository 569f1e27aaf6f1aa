"""What can be set of the archive: docs/reference/environment.md is made from it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from kite_kafka_io.settings import KafkaUser
from kite_runtime.settings import PostgresUser, WrongValue, integer, optional, seconds, variable


def _warehouse(text: str) -> Path | str:
    """An address, or a folder; a relative one starts at the folder of the settings files."""
    return text if "://" in text else Path(text)


def _database(text: str) -> str:
    if not text.startswith(("postgresql://", "postgres://")):
        raise WrongValue("is no address that begins with postgresql://")
    return text.replace("postgres://", "postgresql://", 1)


_INTERVALS = ("s1", "s5", "s10", "s15", "s30", "m1", "m3", "m5", "m15")
"""Those of kite_lake.bars.core.INTERVALS, which is not loaded for `--help`."""


def _intervals(text: str) -> tuple[str, ...]:
    chosen = tuple(dict.fromkeys(each.strip() for each in text.split(",")))
    if not set(chosen) <= set(_INTERVALS):
        raise WrongValue(f"is no list of {', '.join(_INTERVALS)} with commas between them")
    return chosen


@dataclass(frozen=True, kw_only=True)
class ArchiveSettings(KafkaUser, PostgresUser):
    """Everything that a person can set. ``repr`` shows no secret."""

    warehouse: Path | str = variable(
        "TICK_ARCHIVE_WAREHOUSE",
        _warehouse,
        "{state}/archive",
        "where the tables are: a folder, or an address such as `s3://bucket/ticks`",
    )
    catalog: str | None = variable(
        "TICK_ARCHIVE_CATALOG",
        optional(_database),
        "",
        "the Postgres database that keeps the catalog; without it `catalog.db` in the warehouse, "
        "which serves the processes of one host",
        example="postgresql://user@db1.example.com:5432/kite",
        secret=True,
    )
    buckets: int = variable(
        "TICK_ARCHIVE_BUCKETS",
        integer(1, 1024),
        "16",
        "partitions of a trading day by instrument; fixed when the table is created",
    )
    flush_s: float = variable(
        "TICK_ARCHIVE_FLUSH",
        seconds(0.1, 3600),
        "60s",
        "how long ticks wait in memory for a commit; many ticks are committed earlier",
    )
    port: int = variable(
        "TICK_ARCHIVE_PORT",
        integer(0, 65_535),
        "9467",
        "where `run` serves metrics and health on 127.0.0.1; 0 takes any free port",
    )
    bars: tuple[str, ...] = variable(
        "TICK_ARCHIVE_BARS",
        _intervals,
        "m1",
        "the intervals of `bars`: s1, s5, s10, s15, s30, m1, m3, m5, m15, with commas between them",
        example="s1,m1",
    )
    bars_lateness_s: float = variable(
        "TICK_ARCHIVE_BARS_LATENESS",
        seconds(0, 600),
        "2s",
        "a live bar is final so long after its end, by the event time of the ticks",
    )
    bars_revise_s: float = variable(
        "TICK_ARCHIVE_BARS_REVISE",
        seconds(0, 3600),
        "30s",
        "how long after that a late tick makes a revision; one that is later is counted",
    )
    bars_idle_s: float = variable(
        "TICK_ARCHIVE_BARS_IDLE",
        seconds(0.1, 600),
        "5s",
        "a shard that sends nothing for so long does not hold bars back",
    )
    bars_port: int = variable(
        "TICK_ARCHIVE_BARS_PORT",
        integer(0, 65_535),
        "9468",
        "where `bars` serves metrics and health on 127.0.0.1; 0 takes any free port",
    )
