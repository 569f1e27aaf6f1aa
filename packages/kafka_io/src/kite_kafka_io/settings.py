"""How to reach Kafka and the schema registry: one frozen object, made from an explicit mapping."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Final
from urllib.parse import urlsplit

from kite_kafka_io.properties import (
    FILE_VARIABLE,
    PREFIX,
    Given,
    Properties,
    given_by,
    read_properties,
)
from kite_runtime.errors import ConfigurationError, reason_of
from kite_runtime.hosts import is_local
from kite_runtime.settings import (
    Settings,
    WrongValue,
    choice,
    group,
    integer,
    optional,
    prefixed,
    read_variables,
    require,
    variable,
    variable_of,
)

PROTOCOLS: Final = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
OAUTHBEARER: Final = "OAUTHBEARER"
MECHANISMS: Final = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", OAUTHBEARER)
COMPRESSIONS: Final = ("lz4", "zstd", "snappy", "gzip", "none")

_ADDRESS: Final = re.compile(r"(\[[0-9A-Fa-f:.%]+\]|[A-Za-z0-9_.-]+):([0-9]{1,5})")
NEVER: Final = "never"
NOTHING: Final[Mapping[str, object]] = MappingProxyType({})
_TOKEN_SOURCES: Final = ("sasl.oauthbearer.method", "enable.sasl.oauthbearer.unsecure.jwt")
_SASL_UNSET: Final = "is not set, but KAFKA_SECURITY_PROTOCOL asks for SASL"


def _brokers(text: str) -> str:
    if not text:
        raise WrongValue("is not set; give host:port")
    addresses = [each.strip() for each in text.split(",")]
    for each in addresses:
        match = _ADDRESS.fullmatch(each)
        if match is None or not 0 < int(match[2]) < 65_536:
            raise WrongValue(f"has {each[:60]!r}, which is no host:port")
    return ",".join(addresses)


def _registry_url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https", "mock") or not parts.netloc:
        raise WrongValue("is no http or https address")
    if parts.username is not None:
        raise WrongValue("holds a user name, which belongs into SCHEMA_REGISTRY_AUTH")
    return text


def _user_and_password(text: str) -> str:
    if ":" not in text:
        raise WrongValue("has no colon")
    return text


def _check_readable(name: str, path: Path | None) -> None:
    try:
        if path is not None:
            path.open("rb").close()
    except OSError as exc:
        raise ConfigurationError(
            f"{name} names {path}, which cannot be read ({reason_of(exc)})"
        ) from exc


@dataclass(frozen=True)
class KafkaSettings:
    """Where the brokers are and how records travel there."""

    bootstrap: str = variable(
        "KAFKA_BOOTSTRAP",
        _brokers,
        "",
        "the brokers, with commas between them; `make up` starts one",
        example="127.0.0.1:9092",
        unset="is not set (`make up` starts one)",
    )
    client_id: str = variable("KAFKA_CLIENT_ID", str, "kite-ingest", "the name in broker logs")
    security_protocol: str = variable(
        "KAFKA_SECURITY_PROTOCOL", choice(*PROTOCOLS), "PLAINTEXT", f"of {', '.join(PROTOCOLS)}"
    )
    sasl_mechanism: str = variable(
        "KAFKA_SASL_MECHANISM", choice(*MECHANISMS), "SCRAM-SHA-512", f"of {', '.join(MECHANISMS)}"
    )
    sasl_username: str = variable(
        "KAFKA_SASL_USERNAME", str, "", "for SASL", example="ingest", unset=_SASL_UNSET
    )
    sasl_password: str = variable(
        "KAFKA_SASL_PASSWORD", str, "", "for SASL", example="x", unset=_SASL_UNSET, secret=True
    )
    ssl_ca: Path | None = variable(
        "KAFKA_SSL_CA", optional(Path), "", "certificates to check brokers by, a PEM file"
    )
    ssl_certificate: Path | None = variable(
        "KAFKA_SSL_CERTIFICATE", optional(Path), "", "our own certificate, a PEM file"
    )
    ssl_key: Path | None = variable("KAFKA_SSL_KEY", optional(Path), "", "its key, a PEM file")
    ssl_key_password: str | None = variable(
        "KAFKA_SSL_KEY_PASSWORD", optional(str), "", "the password of the key", secret=True
    )
    compression: str = variable(
        "KAFKA_COMPRESSION", choice(*COMPRESSIONS), "lz4", f"of {', '.join(COMPRESSIONS)}"
    )
    linger_ms: int = variable(
        "KAFKA_LINGER_MS",
        integer(0, 1000),
        "0",
        "how long a record waits for others; the bridge batches its ticks itself",
    )
    max_in_flight: int = variable(
        "KAFKA_MAX_IN_FLIGHT",
        integer(1_000, 1_000_000),
        "50000",
        "unacknowledged records",
    )
    message_max_bytes: int = variable(
        "KAFKA_MESSAGE_MAX_BYTES",
        integer(20_000, 100_000_000),
        "1000000",
        "the largest request",
    )
    registry_url: str | None = variable(
        "SCHEMA_REGISTRY_URL",
        optional(_registry_url),
        "",
        "the schema registry, if any",
        example="http://127.0.0.1:8081",
        secret=True,
    )
    registry_auth: str | None = variable(
        "SCHEMA_REGISTRY_AUTH",
        optional(_user_and_password),
        "",
        "its user and password",
        example="user:password",
        secret=True,
    )
    registry_ca: Path | None = variable(
        "SCHEMA_REGISTRY_CA", optional(Path), "", "certificates to check it by, a PEM file"
    )
    registry_register: str = variable(
        "SCHEMA_REGISTRY_REGISTER",
        choice("missing", NEVER),
        "missing",
        "`missing`: register what a program writes and the registry does not have; `never`: only "
        "look up",
    )
    properties_file: Path | None = variable(
        FILE_VARIABLE,
        optional(Path),
        "",
        "a file of `name=value` lines with librdkafka's properties; paths in it start at its "
        "folder",
    )
    given: Given = prefixed(
        PREFIX,
        given_by,
        "any other property of librdkafka, its dots as underscores; it wins over the file: "
        "[Kafka's settings](../deploying.md#kafkas-settings)",
    )
    properties: Properties = field(init=False, repr=False, compare=False)
    """What the file and the variables set, by librdkafka's names."""

    def __post_init__(self) -> None:
        for name in ("ssl_ca", "ssl_certificate", "ssl_key", "registry_ca"):
            _check_readable(variable_of(KafkaSettings, name).name, getattr(self, name))
        properties = read_properties(self.properties_file, self.given)
        object.__setattr__(self, "properties", properties)
        if not self._is_sasl:
            return
        if self.sasl_mechanism != OAUTHBEARER:
            require(self, "sasl_username")
            require(self, "sasl_password")
        elif not any(name in properties for name in _TOKEN_SOURCES):
            raise ConfigurationError(
                f"KAFKA_SASL_MECHANISM={OAUTHBEARER} needs to know where tokens come from: set "
                f"{PREFIX}SASL_OAUTHBEARER_METHOD=oidc, _TOKEN_ENDPOINT_URL, _CLIENT_ID and "
                "_CLIENT_SECRET"
            )

    @classmethod
    def from_env(cls, env: Mapping[str, str], *, bootstrap: str | None = None) -> KafkaSettings:
        """Read the ``KAFKA_*`` and ``SCHEMA_REGISTRY_*`` variables; ``bootstrap`` wins over its
        variable.

        Raises SettingError, one sentence that names the variable, its problem and an example.
        """
        return read_variables(cls, env, {"bootstrap": bootstrap})

    @property
    def is_local(self) -> bool:
        """Whether every broker is named by a loopback address."""
        hosts = [each.rpartition(":")[0].strip("[]") for each in self.bootstrap.split(",")]
        return all(map(is_local, hosts))

    @property
    def _is_sasl(self) -> bool:
        return self.security_protocol.startswith("SASL")

    def client_config(self, own: Mapping[str, object] = NOTHING) -> dict[str, object]:
        """All properties of a client: what every client has, what is its ``own``, and what a person
        sets, which wins."""
        optional = {
            "ssl.ca.location": self.ssl_ca,
            "ssl.certificate.location": self.ssl_certificate,
            "ssl.key.location": self.ssl_key,
            "ssl.key.password": self.ssl_key_password,
        }
        config: dict[str, object] = {k: str(v) for k, v in optional.items() if v is not None}
        if self._is_sasl:
            config["sasl.mechanism"] = self.sasl_mechanism
            if self.sasl_mechanism != OAUTHBEARER:
                config["sasl.username"] = self.sasl_username
                config["sasl.password"] = self.sasl_password
        config["bootstrap.servers"] = self.bootstrap
        config["client.id"] = self.client_id
        config["security.protocol"] = self.security_protocol
        # A client that only asks for a topic would make it, with the broker's partition count.
        config["allow.auto.create.topics"] = False
        return {**config, **own, **self.properties}


@dataclass(frozen=True, kw_only=True)
class KafkaUser(Settings):
    """Settings of a program that needs Kafka."""

    kafka: KafkaSettings | None = group(KafkaSettings, "bootstrap")

    def require_kafka(self) -> KafkaSettings:
        """The Kafka settings. Raises SettingError when no broker is named."""
        if self.kafka is None:
            raise variable_of(KafkaSettings, "bootstrap").missing(self.root)
        return self.kafka
