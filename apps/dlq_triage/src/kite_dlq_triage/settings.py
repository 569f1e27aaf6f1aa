"""What can be set of triage: docs/reference/environment.md is made from it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from kite_kafka_io.settings import KafkaUser
from kite_runtime.settings import PostgresUser, integer, optional, variable


@dataclass(frozen=True, kw_only=True)
class TriageSettings(KafkaUser, PostgresUser):
    """Everything that a person can set. ``repr`` shows no secret."""

    port: int = variable(
        "DLQ_TRIAGE_PORT",
        integer(0, 65_535),
        "9465",
        "where `consume` serves metrics and health on 127.0.0.1; 0 takes any free port",
    )
    dialects: Path | None = variable(
        "DLQ_TRIAGE_DIALECTS",
        optional(Path),
        "",
        "a TOML file that says what the headers of your own dead-letter producers mean",
    )
    page_token: str = variable(
        "DLQ_TRIAGE_TOKEN",
        str,
        "",
        "the token that the page asks for, 20 characters at least; without it each start of "
        "`serve` makes a new one",
        secret=True,
    )
