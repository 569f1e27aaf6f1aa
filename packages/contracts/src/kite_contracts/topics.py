"""The Kafka topics of ``topics.toml``: partitions, retention, dead-letter topic, owner."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from kite_contracts.errors import SchemaError
from kite_contracts.schemas import subjects
from kite_runtime.errors import ConfigurationError

CLEANUP_POLICIES: Final = ("delete", "compact", "compact,delete")
PARTITIONS_MAX: Final = 1000
RETENTION_FOREVER_MS: Final = -1
_NAME: Final = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9.-]{0,248}")
_OVERRIDE: Final = re.compile(r"TOPIC_(?P<topic>[A-Z0-9_]+)_RETENTION_MS")
_TYPES: Final[dict[str, type]] = {
    "name": str,
    "partitions": int,
    "retention_ms": int,
    "cleanup_policy": str,
    "owner": str,
    "key": str,
    "dlq": str,
    "subject": str,
    "config": dict,
}
_OPTIONAL: Final = {"dlq", "subject", "config"}


@dataclass(frozen=True)
class TopicSpec:
    """One topic. ``subject`` is None where values are raw bytes rather than Avro."""

    name: str
    partitions: int
    retention_ms: int
    cleanup_policy: str
    owner: str
    key: str
    dlq: str | None = None
    subject: str | None = None
    config: dict[str, str] = field(default_factory=dict)

    @property
    def retention_variable(self) -> str:
        """The variable that overrides the retention."""
        return f"TOPIC_{re.sub('[.-]', '_', self.name).upper()}_RETENTION_MS"

    @property
    def settings(self) -> dict[str, str]:
        """Every topic setting as Kafka names it: ``config``, retention and cleanup policy."""
        return {
            "cleanup.policy": self.cleanup_policy,
            "retention.ms": str(self.retention_ms),
            **self.config,
        }


def load_topics(
    path: Path | None = None, environ: Mapping[str, str] | None = None
) -> list[TopicSpec]:
    """The topics in the order of the file: the packaged one, or that at ``path``.

    ``environ`` (from :func:`kite_runtime.settings.read_env`) may override each retention by
    ``TOPIC_<NAME>_RETENTION_MS``. Raises SchemaError for a faulty file and ConfigurationError for a
    faulty override, or one that names no topic.
    """
    source = files("kite_contracts") / "topics.toml" if path is None else path
    try:
        entries = tomllib.loads(source.read_text("utf-8"))
    except OSError as exc:
        raise SchemaError(f"{path} cannot be read: {exc.strerror}.") from exc
    except ValueError as exc:
        raise SchemaError(f"{source.name} is no TOML: {exc}.") from exc
    if set(entries) != {"topic"} or not isinstance(entries["topic"], list):
        raise SchemaError(f"{source.name} must hold [[topic]] tables and nothing else.")
    topics = [_topic(entry, source.name) for entry in entries["topic"]]
    _check_together(topics, source.name)
    return _override(topics, environ or {})


def _topic(entry: dict[str, Any], source: str) -> TopicSpec:
    name = entry.get("name", "?")
    for key in sorted(set(_TYPES) - _OPTIONAL - set(entry)):
        raise SchemaError(f"{source}: topic {name!r} is missing {key}.")
    for key, value in entry.items():
        if key not in _TYPES:
            raise SchemaError(f"{source}: topic {name!r} has an unknown key {key!r}.")
        if not isinstance(value, _TYPES[key]) or isinstance(value, bool):
            raise SchemaError(f"{source}: topic {name!r}: {key} must be {_TYPES[key].__name__}.")
    topic = TopicSpec(**entry)
    checks = {
        "name must be letters, digits, dots and dashes": _NAME.fullmatch(topic.name),
        f"partitions must be 1 to {PARTITIONS_MAX}": 1 <= topic.partitions <= PARTITIONS_MAX,
        "retention_ms must be -1 or positive": _is_retention(topic.retention_ms),
        f"cleanup_policy must be one of {CLEANUP_POLICIES}": topic.cleanup_policy
        in CLEANUP_POLICIES,
        "config values must be strings": all(isinstance(v, str) for v in topic.config.values()),
        "subject must be one of the contracts": topic.subject in (None, *subjects()),
    }
    for rule, holds in checks.items():
        if not holds:
            raise SchemaError(f"{source}: topic {name!r}: {rule}.")
    return topic


def _check_together(topics: list[TopicSpec], source: str) -> None:
    names = [topic.name for topic in topics]
    variables = [topic.retention_variable for topic in topics]
    for topic in topics:
        if variables.count(topic.retention_variable) > 1:
            raise SchemaError(f"{source}: topic {topic.name!r} is there twice, or nearly so.")
        if topic.dlq is not None and topic.dlq not in names:
            raise SchemaError(f"{source}: topic {topic.name!r}: dlq {topic.dlq!r} is no topic.")
        if topic.dlq == topic.name:
            raise SchemaError(f"{source}: topic {topic.name!r} cannot be its own dlq.")


def _override(topics: list[TopicSpec], environ: Mapping[str, str]) -> list[TopicSpec]:
    variables = [topic.retention_variable for topic in topics]
    for variable in sorted(environ):
        if _OVERRIDE.fullmatch(variable) and variable not in variables:
            raise ConfigurationError(
                f"{variable} names no topic; known are: {', '.join(variables)}."
            )
    return [_with_retention(topic, environ.get(topic.retention_variable)) for topic in topics]


def _with_retention(topic: TopicSpec, text: str | None) -> TopicSpec:
    if text is None:
        return topic
    if not re.fullmatch(r"-?[0-9]{1,18}", text) or not _is_retention(int(text)):
        raise ConfigurationError(
            f"{topic.retention_variable} must be milliseconds or -1 (indefinitely), such as "
            "604800000."
        )
    return replace(topic, retention_ms=int(text))


def _is_retention(retention_ms: int) -> bool:
    return retention_ms == RETENTION_FOREVER_MS or retention_ms > 0
