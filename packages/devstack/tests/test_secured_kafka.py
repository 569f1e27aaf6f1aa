"""All programs reach a Kafka with TLS, SCRAM, tokens and rights by the same settings."""

from __future__ import annotations

import base64
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # re-exports unsaid
    AclOperation,
    AdminClient,
    NewTopic,
    ResourceType,
)
from secured import CLIENT_SECRET, PASSWORD, Secured, TokenEndpoint, secured_kafka, token_endpoint

from kite_contracts.topics import load_topics
from kite_devstack import topics
from kite_kafka_io.consumer import RecordReader
from kite_kafka_io.errors import BrokerUnreachable, NotAllowed, UnknownTopic
from kite_kafka_io.producer import Delivery, RecordProducer
from kite_kafka_io.settings import KafkaSettings
from kite_kafka_io.topics import check_topics, write_problems
from kite_runtime.errors import ConfigurationError

Run = Callable[..., subprocess.CompletedProcess[str]]
Env = Mapping[str, str]
OAUTH = "KAFKA_PROPERTY_SASL_OAUTHBEARER_"


@pytest.fixture(scope="module")
def kafka() -> Iterator[Secured]:
    folder = Path(tempfile.mkdtemp(prefix="kite-"))
    with secured_kafka(folder) as broker:
        admin = AdminClient({"bootstrap.servers": broker.plain})
        for made in admin.create_topics([NewTopic("mine", 2), NewTopic("hidden", 1)]).values():
            made.result(timeout=30)
        for operation in (AclOperation.DESCRIBE, AclOperation.WRITE):
            broker.allow("ingest", operation, ResourceType.TOPIC, "mine")
        yield broker
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture()
def endpoint() -> Iterator[TokenEndpoint]:
    with token_endpoint() as served:
        yield served


def by_certificate(kafka: Secured) -> dict[str, str]:
    """Relative paths: they count from the root, which is the folder of the certificates."""
    return {
        "KAFKA_BOOTSTRAP": kafka.tls,
        "KAFKA_SECURITY_PROTOCOL": "SSL",
        "KAFKA_SSL_CA": "ca.pem",
        "KAFKA_SSL_CERTIFICATE": "client.pem",
        "KAFKA_SSL_KEY": "client.key",
    }


def by_scram(kafka: Secured) -> dict[str, str]:
    return {
        "KAFKA_BOOTSTRAP": kafka.scram,
        "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
        "KAFKA_SASL_USERNAME": "ingest",
        "KAFKA_SASL_PASSWORD": PASSWORD,
        "KAFKA_SSL_CA": str(kafka.folder / "ca.pem"),
    }


def by_token(kafka: Secured, endpoint: TokenEndpoint) -> dict[str, str]:
    return {
        "KAFKA_BOOTSTRAP": kafka.oauth,
        "KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
        "KAFKA_SASL_MECHANISM": "OAUTHBEARER",
        f"{OAUTH}METHOD": "oidc",
        f"{OAUTH}TOKEN_ENDPOINT_URL": endpoint.url,
        f"{OAUTH}CLIENT_ID": "feed",
        f"{OAUTH}CLIENT_SECRET": CLIENT_SECRET,
        f"{OAUTH}SCOPE": "kafka",
    }


def settings(env: Env) -> KafkaSettings:
    return KafkaSettings.from_env(env)


def test_devstack_makes_topics_with_a_certificate_of_its_own(
    kafka: Secured, run_devstack: Run
) -> None:
    kafka.allow("CN=client", AclOperation.ALL, ResourceType.BROKER, "kafka-cluster")
    kafka.allow("CN=client", AclOperation.ALL, ResourceType.TOPIC, "*")
    home = {"KITE_DEVSTACK_HOME": str(kafka.folder / "home"), "HOME": str(kafka.folder)}
    done = run_devstack(home | by_certificate(kafka), kafka.folder, "topics")
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert f"{len(load_topics())} topics compared with topics.toml" in done.stderr
    again = run_devstack(home | by_certificate(kafka), kafka.folder, "topics", "--dry-run")
    assert {line.split()[0] for line in again.stdout.splitlines()} == {"keep"}
    wrong = by_certificate(kafka) | {"KAFKA_SSL_CERTIFICATE": "missing.pem"}
    refused = run_devstack(home | wrong, kafka.folder, "topics")
    assert refused.returncode == 78
    assert "missing.pem" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_devstack_takes_scram_where_the_apps_do(kafka: Secured, run_devstack: Run) -> None:
    home = {"KITE_DEVSTACK_HOME": str(kafka.folder / "home"), "HOME": str(kafka.folder)}
    done = run_devstack(home | by_scram(kafka), kafka.folder, "topics", "--dry-run")
    assert done.returncode == 78
    [said] = done.stderr.splitlines()
    assert f"no right to describe topic ticks at {kafka.scram}" in said
    wrong = by_scram(kafka) | {"KAFKA_SASL_PASSWORD": "CANARYwrong"}
    refused = run_devstack(home | wrong, kafka.folder, "topics")
    assert refused.returncode == 78
    assert "does not let this client in" in refused.stderr
    assert "KAFKA_SASL_USERNAME" in refused.stderr
    assert "CANARY" not in refused.stderr


def test_a_topic_that_may_not_be_described_is_not_called_missing(kafka: Secured) -> None:
    mine = settings(by_scram(kafka))
    assert check_topics(mine, ["mine"]) == {"mine": 2}
    for name in ("hidden", "nowhere"):  # Kafka does not show which of the two it is
        with pytest.raises(NotAllowed, match=f"no right to describe topic {name}"):
            check_topics(mine, ["mine", name])
    assert "no right to describe topic hidden" in write_problems(mine, ["mine", "hidden"])["hidden"]
    assert "mine" not in write_problems(mine, ["mine", "hidden"])
    admin = topics.admin(kafka.scram, by_scram(kafka))
    assert topics.read_topics(topics.admin(kafka.plain, {}), ["hidden"])["hidden"].partitions == 1
    with pytest.raises(NotAllowed, match="no right to describe topic hidden"):
        topics.read_topics(admin, ["hidden"])
    with pytest.raises(UnknownTopic, match="topic nowhere does not exist"):
        check_topics(KafkaSettings(bootstrap=kafka.plain), ["nowhere"])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"KAFKA_SSL_CA": ""}, "certificate verify failed"),
        ({"KAFKA_SASL_MECHANISM": "PLAIN"}, "Unsupported SASL mechanism"),
        ({"KAFKA_SASL_USERNAME": "nobody"}, "invalid credentials"),
    ],
)
def test_who_is_not_let_in_must_correct_a_setting(kafka: Secured, change: Env, words: str) -> None:
    with pytest.raises(NotAllowed, match=words) as caught:
        check_topics(settings({**by_scram(kafka), **change}), ["mine"], 3.0)
    assert isinstance(caught.value, ConfigurationError)


def test_a_token_of_the_endpoint_is_presented_to_kafka(
    kafka: Secured, endpoint: TokenEndpoint
) -> None:
    env = by_token(kafka, endpoint)
    assert check_topics(settings(env), ["mine"]) == {"mine": 2}
    [form] = endpoint.asked
    basic = base64.b64encode(f"feed:{CLIENT_SECRET}".encode()).decode()
    assert form == {
        "grant_type": "client_credentials",
        "scope": "kafka",
        "authorization": f"Basic {basic}",
    }
    producer, delivery = RecordProducer(settings(env), gapless=False), Delivery()
    producer.produce_record("mine", b"1", b"x", delivery)
    assert producer.flush(30) == 0
    assert delivery.ok, delivery.error
    producer.close()


def test_an_endpoint_that_refuses_is_told_from_one_that_is_away(
    kafka: Secured, endpoint: TokenEndpoint
) -> None:
    env = by_token(kafka, endpoint)
    endpoint.status = 401
    with pytest.raises(NotAllowed, match="invalid_client") as caught:
        check_topics(settings(env), ["mine"], 2.0)
    assert CLIENT_SECRET not in str(caught.value)
    away = env | {f"{OAUTH}TOKEN_ENDPOINT_URL": "http://127.0.0.1:9/token"}
    with pytest.raises(BrokerUnreachable, match="127.0.0.1:9"):
        check_topics(settings(away), ["mine"], 2.0)
    nowhere = {name: value for name, value in env.items() if "ENDPOINT" not in name}
    with pytest.raises(ConfigurationError, match=r"token\.endpoint\.url"):
        check_topics(settings(nowhere), ["mine"], 2.0)


def test_a_reader_without_a_group_needs_the_topic_alone(kafka: Secured) -> None:
    mine = settings(by_scram(kafka))
    admin = AdminClient({"bootstrap.servers": kafka.plain})
    for made in admin.create_topics([NewTopic("read", 1)]).values():
        made.result(timeout=30)
    producer = Producer({"bootstrap.servers": kafka.plain})
    for number in range(3):
        producer.produce("read", b"%d" % number)
    assert producer.flush(30) == 0
    with pytest.raises(NotAllowed, match="topic read"):
        read(mine)
    kafka.allow("ingest", AclOperation.READ, ResourceType.TOPIC, "read")
    assert read(mine) == [b"0", b"1", b"2"]
    with pytest.raises(NotAllowed, match="refuses group of-another to this user"):
        read(mine, group="of-another")


def read(kafka: KafkaSettings, group: str | None = None) -> list[bytes | None]:
    with RecordReader(kafka, ["read"], start="earliest", until_end=True, group=group) as records:
        return [record.value for record in records]
