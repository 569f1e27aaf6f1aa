"""Every setting: where it goes, and what is said when it is wrong."""

from __future__ import annotations

import dataclasses

import pytest

from kite_kafka_io.producer import RecordProducer, producer_config
from kite_kafka_io.settings import KafkaSettings
from kite_runtime.errors import ConfigurationError

PLAIN = {"KAFKA_BOOTSTRAP": "127.0.0.1:9092"}
SECURE = {
    **PLAIN,
    "KAFKA_SECURITY_PROTOCOL": "sasl_ssl",
    "KAFKA_SASL_MECHANISM": "scram-sha-256",
    "KAFKA_SASL_USERNAME": "ingest",
    "KAFKA_SASL_PASSWORD": "geheim1",
    "KAFKA_SSL_KEY_PASSWORD": "geheim2",
    "SCHEMA_REGISTRY_URL": "https://registry:8081",
    "SCHEMA_REGISTRY_AUTH": "user:geheim3",
}


def test_one_variable_is_enough() -> None:
    settings = KafkaSettings.from_env(PLAIN)
    assert settings == KafkaSettings(bootstrap="127.0.0.1:9092")
    assert settings.client_config() == {
        "bootstrap.servers": "127.0.0.1:9092",
        "client.id": "kite-ingest",
        "security.protocol": "PLAINTEXT",
    }


def test_secure_settings_reach_the_client_and_no_secret_is_shown() -> None:
    settings = KafkaSettings.from_env(SECURE)
    config = settings.client_config()
    assert config["security.protocol"] == "SASL_SSL"
    assert config["sasl.mechanism"] == "SCRAM-SHA-256"
    assert config["sasl.password"] == "geheim1"
    assert config["ssl.key.password"] == "geheim2"
    assert settings.registry_auth == "user:geheim3"
    assert "geheim" not in repr(settings)
    assert "geheim" not in str(settings)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"KAFKA_BOOTSTRAP": ""}, ["KAFKA_BOOTSTRAP is not set", "KAFKA_BOOTSTRAP=127.0.0.1:9092"]),
        ({"KAFKA_BOOTSTRAP": "localhost"}, ["KAFKA_BOOTSTRAP", "'localhost'", "host:port"]),
        ({"KAFKA_BOOTSTRAP": "a:1,b:70000"}, ["'b:70000'"]),
        ({"KAFKA_SECURITY_PROTOCOL": "TLS"}, ["KAFKA_SECURITY_PROTOCOL", "'TLS'", "SASL_SSL"]),
        (
            {"KAFKA_SECURITY_PROTOCOL": "SASL_SSL"},
            ["KAFKA_SASL_USERNAME is not set", "KAFKA_SASL_USERNAME=ingest"],
        ),
        ({"KAFKA_COMPRESSION": "rar"}, ["KAFKA_COMPRESSION", "'rar'", "KAFKA_COMPRESSION=lz4"]),
        ({"KAFKA_LINGER_MS": "fast"}, ["KAFKA_LINGER_MS", "'fast'", "KAFKA_LINGER_MS=0"]),
        ({"KAFKA_LINGER_MS": "-1"}, ["KAFKA_LINGER_MS", "0 to 1000"]),
        ({"KAFKA_MAX_IN_FLIGHT": "1"}, ["KAFKA_MAX_IN_FLIGHT", "KAFKA_MAX_IN_FLIGHT=50000"]),
        ({"SCHEMA_REGISTRY_URL": "registry:8081"}, ["SCHEMA_REGISTRY_URL", "http://127.0.0.1"]),
        ({"SCHEMA_REGISTRY_URL": "http://u:geheim@r"}, ["SCHEMA_REGISTRY_AUTH"]),
        ({"SCHEMA_REGISTRY_AUTH": "geheim"}, ["SCHEMA_REGISTRY_AUTH", "user:password"]),
    ],
)
def test_a_wrong_value_is_one_sentence(changes: dict[str, str], words: list[str]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        KafkaSettings.from_env({**PLAIN, **changes})
    text = str(caught.value)
    assert all(word in text for word in words), text
    assert "\n" not in text
    assert "geheim" not in text


def test_an_ipv6_address_and_several_brokers_are_fine() -> None:
    settings = KafkaSettings.from_env({"KAFKA_BOOTSTRAP": "[::1]:9092, kafka-2:9093"})
    assert settings.bootstrap == "[::1]:9092,kafka-2:9093"


def test_what_librdkafka_refuses_is_a_settings_error() -> None:
    wrong = dataclasses.replace(KafkaSettings.from_env(PLAIN), ssl_ca="/nowhere/ca.pem")
    with pytest.raises(ConfigurationError, match="settings are refused"):
        RecordProducer(dataclasses.replace(wrong, security_protocol="SSL"))


def test_the_queue_is_larger_than_what_is_let_in() -> None:
    settings = KafkaSettings.from_env(PLAIN)
    config = producer_config(settings)
    limit = config["queue.buffering.max.messages"]
    assert isinstance(limit, int)
    assert limit > settings.max_in_flight + 65_535
    assert config["enable.gapless.guarantee"] is True
    assert config["message.timeout.ms"] == 0


@pytest.mark.parametrize(
    ("bootstrap", "local"),
    [
        *(("127.0.0.1:9092", True), ("localhost:9092,[::1]:9093", True)),
        *(("kafka-1:9092", False), ("127.0.0.1:9092,192.0.2.7:9092", False)),
    ],
)
def test_which_brokers_are_on_this_machine(bootstrap: str, local: bool) -> None:
    assert KafkaSettings(bootstrap=bootstrap).is_local is local
