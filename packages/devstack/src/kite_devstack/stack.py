"""The stack as a whole: which servers run, which the environment replaces, up and down.

One lock a folder (`Layout.stack_lock`): many processes may ask at once, one starts, the others
find it running. What a process holds while it uses the stack is a lease (`kite_devstack.leases`).
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from kite_devstack import leases
from kite_devstack.errors import ConfigError
from kite_devstack.kafka import KafkaServer
from kite_devstack.layout import Layout, layout_of
from kite_devstack.postgres import PostgresServer
from kite_devstack.reporter import Reporter

KAFKA = "kafka"
POSTGRES = "postgres"
SERVICES = (KAFKA, POSTGRES)
VARIABLES = {KAFKA: "KAFKA_BOOTSTRAP", POSTGRES: "POSTGRES_DSN"}
GRACE_VARIABLE = "KITE_DEVSTACK_GRACE_S"


@dataclass(frozen=True)
class Endpoints:
    """Where clients find the servers; None for one that is not up."""

    kafka: str | None
    postgres: str | None

    def environment(self) -> dict[str, str]:
        """The variables for other programs."""
        values = {VARIABLES[KAFKA]: self.kafka, VARIABLES[POSTGRES]: self.postgres}
        return {name: value for name, value in values.items() if value is not None}


def replaced(environ: Mapping[str, str]) -> dict[str, str]:
    """Service → endpoint, for those that the environment replaces. Pure."""
    return {
        name: environ[variable] for name, variable in VARIABLES.items() if environ.get(variable)
    }


def servers(
    layout: Layout, environ: Mapping[str, str], kafka_port: int = 0
) -> dict[str, KafkaServer | PostgresServer]:
    """The servers of the shared stack, running or not."""
    grace_s = _grace_s(environ)
    return {
        KAFKA: KafkaServer(layout, kafka_port, grace_s=grace_s),
        POSTGRES: PostgresServer(layout, grace_s=grace_s),
    }


def endpoints(environ: Mapping[str, str] | None = None) -> Endpoints:
    """What is up now: the environment's endpoints, else those of the running stack."""
    environ = os.environ if environ is None else environ
    given = replaced(environ)
    ours = servers(layout_of(environ), environ)
    found = {name: given.get(name) or ours[name].endpoint for name in SERVICES}
    return Endpoints(found[KAFKA], found[POSTGRES])


def ensure(
    services: Iterable[str],
    environ: Mapping[str, str],
    report: Reporter,
    *,
    kafka_port: int = 0,
) -> Endpoints:
    """Starts those of ``services`` that are neither running nor replaced.

    The caller holds a lease. Raises what the servers' ``start`` raises, and ConfigError.
    """
    layout = layout_of(environ)
    missing = [name for name in services if name not in replaced(environ)]
    if missing:
        ours = servers(layout, environ, kafka_port)
        with leases.locked(layout.stack_lock):
            for name in missing:
                server = ours[name]
                if server.endpoint is None:
                    server.stop()  # one that is just stopping, or whose start was interrupted
                    server.start(report)
                else:
                    report.say(f"{name} runs already: {server.endpoint}")
    leases.renew(layout.leases)
    return endpoints(environ)


def down(environ: Mapping[str, str], *, purge: bool = False) -> list[str]:
    """Stops our servers and returns the names of those that ran; ``purge`` deletes their data."""
    layout = layout_of(environ)
    stopped = []
    with leases.locked(layout.stack_lock):
        leases.forget(layout.leases)
        for name, server in servers(layout, environ).items():
            if server.running:
                stopped.append(name)
            server.stop()
            if purge and server.files.folder.exists():
                shutil.rmtree(server.files.folder)
    return stopped


def _grace_s(environ: Mapping[str, str]) -> float:
    value = environ.get(GRACE_VARIABLE)
    if not value:
        return leases.GRACE_S
    try:
        seconds = float(value)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= 24 * 60 * 60:
        raise ConfigError(f"{GRACE_VARIABLE}={value!r} is not a number of seconds, such as 30")
    return seconds
