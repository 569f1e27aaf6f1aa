"""Every setting: where it goes, and what is said when it is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from kite_kafka_io.producer import RecordProducer, producer_config
from kite_kafka_io.settings import KafkaSettings, KafkaUser
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
        "allow.auto.create.topics": False,
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


def test_what_librdkafka_refuses_is_a_settings_error(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("no certificate")
    tls = PLAIN | {"KAFKA_SECURITY_PROTOCOL": "SSL", "KAFKA_SSL_CA": str(tmp_path / "ca.pem")}
    with pytest.raises(ConfigurationError, match=r"settings are refused: ssl\.ca\.location failed"):
        RecordProducer(KafkaSettings.from_env(tls))


@pytest.mark.parametrize(
    "name", ["KAFKA_SSL_CA", "KAFKA_SSL_CERTIFICATE", "KAFKA_SSL_KEY", "SCHEMA_REGISTRY_CA"]
)
def test_paths_count_from_the_root_and_a_missing_file_is_named(name: str, tmp_path: Path) -> None:
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf/x.pem").write_text("x")
    env = PLAIN | {name: "conf/x.pem"}
    kafka = KafkaUser.load(tmp_path, env).require_kafka()
    assert tmp_path / "conf/x.pem" in vars(kafka).values()
    with pytest.raises(ConfigurationError, match=f"{name} names .*no such file"):
        KafkaUser.load(tmp_path / "conf", env)


# Properties of librdkafka that have no variable of ours.


def with_properties(tmp_path: Path, lines: str = "", **variables: str) -> KafkaSettings:
    (tmp_path / "kafka.properties").write_text(lines)
    env = PLAIN | {f"KAFKA_PROPERTY_{name}": value for name, value in variables.items()}
    return KafkaUser.load(
        tmp_path, env | {"KAFKA_PROPERTIES_FILE": "kafka.properties"}
    ).require_kafka()


def test_any_property_passes_through_and_a_variable_wins(tmp_path: Path) -> None:
    settings = with_properties(
        tmp_path,
        "# ours\n\nsocket.keepalive.enable = true\nfetch.max.bytes=70000\nlog_level=5\n"
        "ssl.keystore.location=store.p12\nssl.keystore.password=a=geheim\n",
        FETCH_MAX_BYTES="80000",
        LOG_LEVEL="4",
        SSL_CRL_LOCATION="pki/crl.pem",
        HTTPS_CA_LOCATION="probe",
        CLIENT_RACK="",
    )
    assert settings.properties == {
        "socket.keepalive.enable": "true",
        "fetch.max.bytes": "80000",
        "log_level": "4",
        "ssl.keystore.location": str(tmp_path / "store.p12"),
        "ssl.keystore.password": "a=geheim",
        "ssl.crl.location": str(tmp_path / "pki/crl.pem"),
        "https.ca.location": "probe",
    }
    config = settings.client_config({"fetch.max.bytes": 1})
    assert config["fetch.max.bytes"] == "80000"
    assert producer_config(settings)["socket.keepalive.enable"] == "true"
    assert producer_config(settings)["enable.idempotence"] is True
    assert "geheim" not in repr(settings)
    assert with_properties(tmp_path).properties == {}


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("SSL_CA", "geheim", ["SSL_CA is no property of librdkafka", "ssl.ca is not known"]),
        ("SOCKET_KEEPALIV_ENABLE", "true", ["is no property of librdkafka"]),
        ("FETCH_MAX_BYTES", "geheim", ["value that librdkafka does not take", "fetch.max.bytes"]),
        ("FETCH_MAX_BYTES", "-1", ["outside allowed range"]),
        ("ERROR_CB", "1", ["ERROR_CB is no property of librdkafka"]),
        ("ENABLE_IDEMPOTENCE", "false", ["promises", "in order", "remove it"]),
        ("ACKS", "1", ["promises that every record is acknowledged"]),
        ("REQUEST_REQUIRED_ACKS", "0", ["promises that every record is acknowledged"]),
        ("ALLOW_AUTO_CREATE_TOPICS", "true", ["promises that topics are created by"]),
        ("MESSAGE_TIMEOUT_MS", "5000", ["never given up by time"]),
        ("PARTITIONER", "random", ["same partition"]),
        ("ENABLE_AUTO_COMMIT", "true", ["no record is passed over"]),
        ("TEST_MOCK_NUM_BROKERS", "1", ["on a real broker"]),
        ("SASL_PASSWORD", "geheim", ["set KAFKA_SASL_PASSWORD instead"]),
        ("SASL_MECHANISMS", "PLAIN", ["set KAFKA_SASL_MECHANISM instead"]),
        ("LINGER_MS", "5", ["set KAFKA_LINGER_MS instead"]),
    ],
)
def test_a_property_that_is_refused_is_named(
    name: str, value: str, words: list[str], tmp_path: Path
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        with_properties(tmp_path, **{name: value})
    text = str(caught.value)
    assert text.startswith(f"KAFKA_PROPERTY_{name} ")
    assert all(word in text for word in words), text
    assert "\n" not in text
    assert "geheim" not in text
    dotted = name.lower().replace("_", ".") if name != "ERROR_CB" else "error_cb"
    with pytest.raises(ConfigurationError, match=r"kafka\.properties line 2 ") as caught:
        with_properties(tmp_path, f"client.rack=a\n{dotted}={value}\n")
    assert "geheim" not in str(caught.value)


def test_a_properties_file_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="line 1 is not name=value"):
        with_properties(tmp_path, "socket.keepalive.enable\n")
    env = PLAIN | {"KAFKA_PROPERTIES_FILE": "nowhere"}
    with pytest.raises(ConfigurationError, match="KAFKA_PROPERTIES_FILE names .*no such file"):
        KafkaUser.load(tmp_path, env)
    (tmp_path / "nowhere").write_bytes(b"\xff")
    with pytest.raises(ConfigurationError, match="not UTF-8"):
        KafkaUser.load(tmp_path, env)


def test_oauthbearer_needs_a_place_where_tokens_come_from() -> None:
    env = PLAIN | {"KAFKA_SECURITY_PROTOCOL": "SASL_SSL", "KAFKA_SASL_MECHANISM": "OAUTHBEARER"}
    with pytest.raises(ConfigurationError, match="KAFKA_PROPERTY_SASL_OAUTHBEARER_METHOD=oidc"):
        KafkaSettings.from_env(env)
    settings = KafkaSettings.from_env(env | {"KAFKA_PROPERTY_SASL_OAUTHBEARER_METHOD": "oidc"})
    config = settings.client_config()
    assert config["sasl.mechanism"] == "OAUTHBEARER"
    assert "sasl.username" not in config


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
