"""The brokers of the plays: a plain one, and a hardened one as an operator might run it.

The hardened one takes its users over SASL_SSL alone, by SCRAM-SHA-512 and a certificate made here.
Each user has the rights of ``RIGHTS`` and no other, and the broker takes 256 KiB a batch. A second
listener without encryption is for the plays themselves, which stop, change and ask the broker as
its administrator.
"""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Final

from certificates import self_signed
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # re-exports unsaid
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialAlteration,
    UserScramCredentialUpsertion,
)

from kite_contracts.topics import load_topics
from kite_devstack import topics as devstack_topics
from kite_devstack.kafka import HOST, KafkaServer
from kite_devstack.layout import layout_of
from kite_kafka_io.settings import KafkaSettings
from kite_live_feed.topics import FEED_EVENTS, SHARDS, TICKS, TICKS_DLQ

BRIDGE, READER = "bridge", "reader"
GROUPS: Final = "play-"
"""How the names of the groups begin that share out the shards."""
BATCH_BYTES_MAX: Final = 256 * 1024
RIGHTS: Final = {
    BRIDGE: (
        *((ResourceType.TOPIC, topic, AclOperation.WRITE) for topic in (TICKS, TICKS_DLQ)),
        (ResourceType.TOPIC, FEED_EVENTS, AclOperation.WRITE),
        # Of several bridges alone: a group commits its notes for the topic's partitions.
        (ResourceType.TOPIC, SHARDS, AclOperation.READ),
        (ResourceType.GROUP, GROUPS, AclOperation.READ),
    ),
    READER: tuple(
        (ResourceType.TOPIC, topic, AclOperation.READ) for topic in (TICKS, TICKS_DLQ, FEED_EVENTS)
    ),
}
"""What each user may do; docs/operating.md lists the bridge's. WRITE and READ imply DESCRIBE."""

_AUTHORIZER: Final = {
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer"
}
_PORTS: Final = range(32_200, 32_700)
"""Under the systems' ephemeral ports: nothing takes one while the broker is away."""
_TIMEOUT_S: Final = 30.0


class Kind(StrEnum):
    """Which broker the plays run on."""

    PLAIN = "plain"
    HARDENED = "hardened"


class PlayKafka(KafkaServer):
    """A broker that plays may kill, suspend and starve: everybody may do everything on it.

    Yet it asks an authorizer, so that a play may take a right away.
    """

    def __init__(self, home: Path, proxy: int | None = None) -> None:
        """``proxy`` is the port that clients are sent to instead of the broker's own."""
        properties = {**_AUTHORIZER, **self._listeners(home, proxy)}
        super().__init__(home, jars=layout_of(os.environ).jars, properties=properties)

    def _listeners(self, home: Path, proxy: int | None) -> dict[str, str]:
        """The broker's properties that differ by kind."""
        properties = {"allow.everyone.if.no.acl.found": "true"}
        if proxy is not None:
            properties["advertised.listeners"] = f"PLAINTEXT://{HOST}:{proxy}"
        return properties

    def variables(self, user: str) -> dict[str, str]:
        """The environment of a program that reaches the broker as this user."""
        return {"KAFKA_BOOTSTRAP": self.bootstrap}

    def settings(self, user: str) -> KafkaSettings:
        """The same for a client of the play's own."""
        return KafkaSettings.from_env(self.variables(user))

    def prepare(self) -> None:
        """What a broker that has just been made needs before its first play."""
        create_topics(self)


class HardenedKafka(PlayKafka):
    """A broker with TLS, SCRAM, rights by user and a small limit for batches."""

    def _listeners(self, home: Path, proxy: int | None) -> dict[str, str]:
        home.mkdir(parents=True, exist_ok=True)
        _, self._certificate = self_signed(home)
        store = home / "keystore.pem"
        store.touch(0o600)
        store.write_bytes((home / "server.key").read_bytes() + self._certificate.read_bytes())
        self._passwords = {user: secrets.token_hex(16) for user in RIGHTS}
        self._port_of_users = _free_port()
        operator, users = f"PLAINTEXT://{HOST}:{{port}}", f"SASL_SSL://{HOST}:"
        scram = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
        return {
            "super.users": "User:ANONYMOUS",
            "listeners": f"{operator},{users}{self._port_of_users},"
            f"CONTROLLER://{HOST}:{{controller_port}}",
            "advertised.listeners": f"{operator},{users}{proxy or self._port_of_users}",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,"
            "SASL_SSL:SASL_SSL",
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(store),
            "sasl.enabled.mechanisms": "SCRAM-SHA-512",
            "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config": scram,
            "message.max.bytes": str(BATCH_BYTES_MAX),
        }

    def variables(self, user: str) -> dict[str, str]:
        return {
            "KAFKA_BOOTSTRAP": f"{HOST}:{self._port_of_users}",
            "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
            "KAFKA_SASL_MECHANISM": "SCRAM-SHA-512",
            "KAFKA_SASL_USERNAME": user,
            "KAFKA_SASL_PASSWORD": self._passwords[user],
            "KAFKA_SSL_CA": str(self._certificate),
        }

    def prepare(self) -> None:
        super().prepare()
        client = devstack_topics.admin(self.bootstrap, {})
        _make_users(client, self._passwords)
        _grant(client)


@contextmanager
def real_broker(
    home: Path, kind: Kind = Kind.PLAIN, proxy: int | None = None
) -> Iterator[PlayKafka]:
    """A real Kafka of this kind with the topics and the users, for plays that do as they like."""
    make = HardenedKafka if kind is Kind.HARDENED else PlayKafka
    with make(home, proxy) as server:
        server.prepare()
        yield server


def create_topics(server: KafkaServer) -> None:
    """Make the topics of topics.toml that are missing there."""
    client = devstack_topics.admin(server.bootstrap, {})
    specs = load_topics()
    found = devstack_topics.read_topics(client, [spec.name for spec in specs])
    devstack_topics.apply(client, devstack_topics.plan(specs, found))


def _make_users(client: AdminClient, passwords: dict[str, str]) -> None:
    how = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096)
    users: list[UserScramCredentialAlteration] = [
        UserScramCredentialUpsertion(user, how, password.encode())
        for user, password in passwords.items()
    ]
    for answer in client.alter_user_scram_credentials(users).values():
        answer.result(timeout=_TIMEOUT_S)


def _grant(client: AdminClient) -> None:
    patterns = {
        ResourceType.TOPIC: ResourcePatternType.LITERAL,
        ResourceType.GROUP: ResourcePatternType.PREFIXED,
    }
    rules = [
        AclBinding(
            kind,
            name,
            patterns[kind],
            f"User:{user}",
            "*",
            operation,
            AclPermissionType.ALLOW,
        )
        for user, rights in RIGHTS.items()
        for kind, name, operation in rights
    ]
    for answer in client.create_acls(rules).values():
        answer.result(timeout=_TIMEOUT_S)


def _free_port() -> int:
    first, count = os.getpid() % len(_PORTS), len(_PORTS)
    for number in range(first, first + count):
        port: int = _PORTS[number % count]
        with socket.socket() as probe:
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
        return port
    raise OSError(f"no free port in {_PORTS.start} to {_PORTS.stop}")
