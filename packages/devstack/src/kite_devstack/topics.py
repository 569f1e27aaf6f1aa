"""Topics as topics.toml wants them: `plan` is pure, `read_topics` and `apply` ask the broker.

A topic that is missing is created; retention, cleanup and other settings are altered. The
number of partitions is never altered: more of them would send a key to another partition than
before, and with that break the order of each instrument. A difference is reported.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from enum import StrEnum

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # re-exports unsaid
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    ResourceType,
)

from kite_contracts.topics import TopicSpec
from kite_devstack.errors import FailedError
from kite_kafka_io.settings import KafkaSettings
from kite_kafka_io.topics import TopicAdmin

_TIMEOUT_S = 15.0


class Action(StrEnum):
    """What happens to a topic."""

    CREATE = "create"
    ALTER = "alter"
    KEEP = "keep"


@dataclass(frozen=True)
class TopicState:
    """A topic as the broker has it."""

    partitions: int
    settings: Mapping[str, str]


@dataclass(frozen=True)
class TopicChange:
    """The step from a topic's state to its spec; ``settings``: name → (found or None, wanted)."""

    name: str
    action: Action
    partitions: int
    partitions_found: int | None
    settings: Mapping[str, tuple[str | None, str]]

    @property
    def partitions_differ(self) -> bool:
        return self.partitions_found not in (None, self.partitions)

    def __str__(self) -> str:
        text = f"{self.action:<6} {self.name}"
        if self.action is Action.CREATE:
            wanted = [f"{name}={new}" for name, (_, new) in sorted(self.settings.items())]
            count = f"{self.partitions} partition{'s' if self.partitions != 1 else ''}"
            text += ": " + ", ".join([count, *wanted])
        elif self.action is Action.ALTER:
            steps = [f"{name} {old} -> {new}" for name, (old, new) in sorted(self.settings.items())]
            text += ": " + ", ".join(steps)
        if self.partitions_differ:
            text += (
                f" (it has {self.partitions_found} partitions and should have {self.partitions}: "
                "left as it is, because a change would move keys to other partitions)"
            )
        return text


def plan(specs: Iterable[TopicSpec], found: Mapping[str, TopicState]) -> list[TopicChange]:
    """One change a spec, in the order of the specs. Pure."""
    return [_change(spec, found.get(spec.name)) for spec in specs]


def _change(spec: TopicSpec, state: TopicState | None) -> TopicChange:
    wanted = spec.settings
    if state is None:
        new = {name: (None, value) for name, value in wanted.items()}
        return TopicChange(spec.name, Action.CREATE, spec.partitions, None, new)
    differing = {
        name: (state.settings.get(name), value)
        for name, value in wanted.items()
        if state.settings.get(name) != value
    }
    action = Action.ALTER if differing else Action.KEEP
    return TopicChange(spec.name, action, spec.partitions, state.partitions, differing)


def admin(bootstrap: str, environ: Mapping[str, str]) -> TopicAdmin:
    """A client with the ``KAFKA_*`` settings that all programs have. Raises ConfigurationError."""
    return TopicAdmin(KafkaSettings.from_env(environ, bootstrap=bootstrap))


def read_topics(
    client: TopicAdmin, names: Iterable[str], timeout_s: float = _TIMEOUT_S
) -> dict[str, TopicState]:
    """Those of ``names`` that exist.

    Raises BrokerUnreachable when the broker does not answer, and NotAllowed when it refuses this
    user, or one of the topics to it.
    """
    partitions = {
        name: len(topic.partitions) for name, topic in client.metadata(timeout_s).topics.items()
    }
    existing = []
    for name in names:
        if name in partitions:
            existing.append(name)
        else:
            client.check_shown(name, timeout_s)
    resources = [ConfigResource(ResourceType.TOPIC, name) for name in existing]
    answers = client.describe_configs(resources, request_timeout=timeout_s) if resources else {}
    found = {}
    for resource, answer in answers.items():
        try:
            settings = {name: entry.value for name, entry in answer.result().items()}
        except KafkaException as exc:
            raise client.explained(exc, resource.name) from exc
        found[resource.name] = TopicState(partitions[resource.name], settings)
    return found


def apply(client: TopicAdmin, changes: Iterable[TopicChange]) -> None:
    """Creates and alters. Raises FailedError naming the first topic that was refused."""
    changes = list(changes)
    new = [
        NewTopic(
            change.name,
            num_partitions=change.partitions,
            replication_factor=-1,  # the broker's default
            config={name: value for name, (_, value) in change.settings.items()},
        )
        for change in changes
        if change.action is Action.CREATE
    ]
    if new:
        _wait(client.create_topics(new, operation_timeout=_TIMEOUT_S), "created")
    altered = [_alteration(change) for change in changes if change.action is Action.ALTER]
    if altered:
        answers = client.incremental_alter_configs(altered)
        _wait({resource.name: answer for resource, answer in answers.items()}, "altered")


def _alteration(change: TopicChange) -> ConfigResource:
    entries = [
        ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
        for name, (_, value) in change.settings.items()
    ]
    return ConfigResource(ResourceType.TOPIC, change.name, incremental_configs=entries)


def _wait(answers: Mapping[str, Future[None]], verb: str) -> None:
    for name, answer in answers.items():
        try:
            answer.result(timeout=2 * _TIMEOUT_S)
        except (KafkaException, TimeoutError) as exc:
            if _code(exc) == KafkaError.TOPIC_ALREADY_EXISTS:
                continue  # another process was quicker
            raise FailedError(f"topic {name} was not {verb}: {_reason(exc)}") from exc


def _code(exc: BaseException) -> int | None:
    return exc.args[0].code() if isinstance(exc, KafkaException) else None


def _reason(exc: BaseException) -> str:
    if isinstance(exc, KafkaException):
        return str(exc.args[0].str())
    return "no answer in time"
