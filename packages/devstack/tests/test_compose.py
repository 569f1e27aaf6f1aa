"""infra/docker-compose.yml fits the compose specification and runs what the local stack runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from compose_pydantic import ComposeSpecification  # type: ignore[import-untyped]
from pydantic import ValidationError

from kite_devstack.kafka import server_properties
from kite_devstack.layout import KAFKA_VERSION, POSTGRES_MAJOR, Layout
from kite_devstack.postgres import DATABASE, server_version

ROOT = Path(__file__).parents[3]
# What a container must do otherwise: it listens on all addresses and keeps its data elsewhere.
OF_THE_CONTAINER = {
    "advertised.listeners",
    "controller.quorum.voters",
    "inter.broker.listener.name",
    "listener.security.protocol.map",
    "listeners",
    "log.dirs",
}


@pytest.fixture()
def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "infra" / "docker-compose.yml").read_text())
    return loaded


def test_it_fits_the_specification(compose: dict[str, Any]) -> None:
    ComposeSpecification.model_validate(compose)


@pytest.mark.parametrize(
    "fault",
    [
        {"imagee": "apache/kafka"},
        {"ports": [{"port": 9092}]},
        {"healthcheck": {"test": ["CMD"], "often": True}},
        {"environment": 7},
    ],
)
def test_the_check_sees_faults(compose: dict[str, Any], fault: dict[str, Any]) -> None:
    compose["services"]["kafka"] |= fault
    with pytest.raises(ValidationError):
        ComposeSpecification.model_validate(compose)


def test_the_versions_are_those_of_the_local_stack(compose: dict[str, Any]) -> None:
    images = {name: service["image"] for name, service in compose["services"].items()}
    assert images == {
        "kafka": f"apache/kafka:{KAFKA_VERSION}",
        "postgres": f"postgres:{POSTGRES_MAJOR}",
    }
    assert server_version().startswith(f"{POSTGRES_MAJOR}.")
    assert compose["services"]["postgres"]["environment"]["POSTGRES_DB"] == DATABASE


def test_the_brokers_have_the_same_settings(compose: dict[str, Any]) -> None:
    """The image turns KAFKA_A_B into a.b; no name here holds a dash or an underscore."""
    environment = compose["services"]["kafka"]["environment"]
    theirs = {
        name.removeprefix("KAFKA_").lower().replace("_", "."): value
        for name, value in environment.items()
        if name != "KAFKA_HEAP_OPTS"
    }
    text = server_properties(29092, Layout(Path("/h")).service("kafka").data)
    ours = dict(line.split("=", 1) for line in text.splitlines())
    assert theirs.keys() == ours.keys()
    for name in ours.keys() - OF_THE_CONTAINER:
        assert theirs[name] == ours[name], name


def test_only_this_machine_reaches_them(compose: dict[str, Any]) -> None:
    for service in compose["services"].values():
        assert all(port.startswith("127.0.0.1:") for port in service["ports"])
