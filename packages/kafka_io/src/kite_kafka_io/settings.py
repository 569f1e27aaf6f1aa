"""How to reach Kafka and the schema registry: one frozen object, made from an explicit mapping."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from kite_runtime.errors import ConfigurationError
from kite_runtime.settings import Values

PROTOCOLS: Final = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
MECHANISMS: Final = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
COMPRESSIONS: Final = ("lz4", "zstd", "snappy", "gzip", "none")

_ADDRESS: Final = re.compile(r"(\[[0-9A-Fa-f:.%]+\]|[A-Za-z0-9_.-]+):([0-9]{1,5})")


@dataclass(frozen=True, slots=True)
class KafkaSettings:
    """Where the brokers are and how records travel there.

    ``linger_ms`` trades latency for load (the bridge gathers its ticks itself), ``max_in_flight``
    is the number of unacknowledged records that a producer takes. Secrets are left out of ``repr``.
    """

    bootstrap: str
    client_id: str = "kite-ingest"
    security_protocol: str = "PLAINTEXT"
    sasl_mechanism: str | None = None
    sasl_username: str | None = None
    sasl_password: str | None = field(default=None, repr=False)
    ssl_ca: str | None = None
    ssl_certificate: str | None = None
    ssl_key: str | None = None
    ssl_key_password: str | None = field(default=None, repr=False)
    compression: str = "lz4"
    linger_ms: int = 0
    max_in_flight: int = 50_000
    message_max_bytes: int = 1_000_000
    registry_url: str | None = field(default=None, repr=False)
    registry_auth: str | None = field(default=None, repr=False)
    registry_ca: str | None = None

    @classmethod
    def if_named(cls, env: Mapping[str, str]) -> KafkaSettings | None:
        """`from_env`, or None where ``KAFKA_BOOTSTRAP`` is not set. Raises ConfigurationError."""
        return cls.from_env(env) if env.get("KAFKA_BOOTSTRAP", "").strip() else None

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> KafkaSettings:
        """Read the ``KAFKA_*`` and ``SCHEMA_REGISTRY_*`` variables.

        Raises ConfigurationError, one sentence that names the variable, its problem and an example.
        """
        protocol = _choice(env, "KAFKA_SECURITY_PROTOCOL", PROTOCOLS, "PLAINTEXT").upper()
        values = Values(env)
        sasl = _sasl(env) if protocol.startswith("SASL") else (None, None, None)
        return cls(
            bootstrap=_bootstrap(env),
            client_id=_text(env, "KAFKA_CLIENT_ID") or "kite-ingest",
            security_protocol=protocol,
            sasl_mechanism=sasl[0],
            sasl_username=sasl[1],
            sasl_password=sasl[2],
            ssl_ca=_text(env, "KAFKA_SSL_CA"),
            ssl_certificate=_text(env, "KAFKA_SSL_CERTIFICATE"),
            ssl_key=_text(env, "KAFKA_SSL_KEY"),
            ssl_key_password=_text(env, "KAFKA_SSL_KEY_PASSWORD"),
            compression=_choice(env, "KAFKA_COMPRESSION", COMPRESSIONS, "lz4"),
            linger_ms=values.integer("KAFKA_LINGER_MS", 0, low=0, high=1000),
            max_in_flight=values.integer("KAFKA_MAX_IN_FLIGHT", 50_000, low=1_000, high=1_000_000),
            message_max_bytes=values.integer(
                "KAFKA_MESSAGE_MAX_BYTES", 1_000_000, low=1_000_000, high=100_000_000
            ),
            registry_url=_registry_url(env),
            registry_auth=_registry_auth(env),
            registry_ca=_text(env, "SCHEMA_REGISTRY_CA"),
        )

    def client_config(self) -> dict[str, object]:
        """What producer, consumer and admin client share, as librdkafka properties."""
        optional = {
            "sasl.mechanism": self.sasl_mechanism,
            "sasl.username": self.sasl_username,
            "sasl.password": self.sasl_password,
            "ssl.ca.location": self.ssl_ca,
            "ssl.certificate.location": self.ssl_certificate,
            "ssl.key.location": self.ssl_key,
            "ssl.key.password": self.ssl_key_password,
        }
        config: dict[str, object] = {k: v for k, v in optional.items() if v is not None}
        config["bootstrap.servers"] = self.bootstrap
        config["client.id"] = self.client_id
        config["security.protocol"] = self.security_protocol
        return config


def _text(env: Mapping[str, str], name: str) -> str | None:
    return env.get(name, "").strip() or None


def _bootstrap(env: Mapping[str, str]) -> str:
    example = "for example KAFKA_BOOTSTRAP=127.0.0.1:9092"
    text = _text(env, "KAFKA_BOOTSTRAP")
    if text is None:
        raise ConfigurationError(f"KAFKA_BOOTSTRAP is not set; give host:port, {example}")
    for address in text.split(","):
        match = _ADDRESS.fullmatch(address.strip())
        if match is None or not 0 < int(match[2]) < 65_536:
            raise ConfigurationError(
                f"KAFKA_BOOTSTRAP: {address.strip()!r} is no host:port, {example}"
            )
    return ",".join(address.strip() for address in text.split(","))


def _choice(env: Mapping[str, str], name: str, allowed: tuple[str, ...], default: str) -> str:
    text = _text(env, name)
    if text is None:
        return default
    for value in allowed:
        if text.upper() == value.upper():
            return value
    raise ConfigurationError(
        f"{name}: {text!r} is none of {', '.join(allowed)}, for example {name}={default}"
    )


def _sasl(env: Mapping[str, str]) -> tuple[str, str, str]:
    mechanism = _choice(env, "KAFKA_SASL_MECHANISM", MECHANISMS, "SCRAM-SHA-512")
    found = {name: _text(env, name) for name in ("KAFKA_SASL_USERNAME", "KAFKA_SASL_PASSWORD")}
    for name, text in found.items():
        if text is None:
            raise ConfigurationError(
                f"{name} is not set, but KAFKA_SECURITY_PROTOCOL asks for SASL; "
                f"for example {name}=ingest"
            )
    return (
        mechanism,
        str(found["KAFKA_SASL_USERNAME"]),
        str(found["KAFKA_SASL_PASSWORD"]),
    )


def _registry_url(env: Mapping[str, str]) -> str | None:
    text = _text(env, "SCHEMA_REGISTRY_URL")
    if text is None:
        return None
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https", "mock") or not parts.netloc:
        raise ConfigurationError(
            "SCHEMA_REGISTRY_URL is no http or https address, "
            "for example SCHEMA_REGISTRY_URL=http://127.0.0.1:8081"
        )
    if parts.username is not None:
        raise ConfigurationError(
            "SCHEMA_REGISTRY_URL holds a user name; put it in SCHEMA_REGISTRY_AUTH, "
            "for example SCHEMA_REGISTRY_AUTH=user:password"
        )
    return text


def _registry_auth(env: Mapping[str, str]) -> str | None:
    text = _text(env, "SCHEMA_REGISTRY_AUTH")
    if text is not None and ":" not in text:
        raise ConfigurationError(
            "SCHEMA_REGISTRY_AUTH has no colon, for example SCHEMA_REGISTRY_AUTH=user:password"
        )
    return text
