"""The command line: ``up | status | down | logs | topics | schema | env``."""

from __future__ import annotations

import enum
import os
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from kite_contracts.topics import load_topics
from kite_devstack import databases, leases, stack, topics
from kite_devstack.errors import ConfigError, FailedError, UnreachableError
from kite_devstack.layout import KAFKA_VERSION, POSTGRES_MAJOR, layout_of
from kite_devstack.reporter import ConsoleReporter
from kite_kafka_io.errors import BrokerUnreachable
from kite_runtime.command_line import make_app, run
from kite_runtime.errors import ConfigurationError
from kite_runtime.files import write_whole
from kite_runtime.settings import LOCAL_STACK_FILE, read_env

DRY_RUN_VARIABLE = "TOPICS_DRY_RUN"
_DRY_RUN_TIMEOUT_S = 3.0

app = make_app(
    "devstack",
    f"A real local Kafka {KAFKA_VERSION} and Postgres {POSTGRES_MAJOR}, without Docker.",
    away="the package index",
)
_report = ConsoleReporter()


class ServiceName(enum.StrEnum):
    """What ``up`` and ``logs`` accept."""

    KAFKA = stack.KAFKA
    POSTGRES = stack.POSTGRES


@app.command()
def up(
    services: Annotated[
        list[ServiceName] | None, typer.Argument(help="Which to start; both if none is named.")
    ] = None,
    minutes: Annotated[
        float, typer.Option(min=0, help="Stop when not used for so long.")
    ] = leases.KEEP_S / 60,
    kafka_port: Annotated[
        int, typer.Option(min=0, max=65534, help="Kafka's port (and the next); 0: a free one.")
    ] = 0,
) -> None:
    """Start what is missing, create or alter the topics, migrate the tables, print the endpoints.

    A broker or database of your own (KAFKA_BOOTSTRAP, POSTGRES_DSN) gets the topics and tables too.
    TOPICS_DRY_RUN=1 prints what would be done to topics and tables; it starts and writes nothing.
    """
    environ = _environment()
    if _dry_run(environ):
        _topics_dry_run(environ)
        for line in databases.migrations_planned(stack.endpoints(environ).postgres, _report):
            print(line)
        return
    layout = layout_of(environ)
    wanted = [str(name) for name in services or list(ServiceName)]
    with leases.Lease(layout.leases):
        found = stack.ensure(wanted, environ, _report, kafka_port=kafka_port)
        if found.kafka is not None and stack.KAFKA in wanted:
            _apply_topics(found.kafka, environ)
        if found.postgres is not None and stack.POSTGRES in wanted:
            yours = stack.POSTGRES in stack.replaced(environ)
            databases.migrate(found.postgres, yours=yours, report=_report)
        leases.keep(layout.leases, minutes * 60)
    _tell_apps(found.environment())
    for name, value in found.environment().items():
        print(f"{name}={value}")


@app.command()
def status() -> None:
    """Show what runs and where, and which migrations the tables have."""
    environ = _environment(needed=False)
    layout, yours = layout_of(environ), stack.replaced(environ)
    for name, server in stack.servers(layout, environ).items():
        endpoint = yours.get(name) or server.endpoint
        if name in yours:
            state = f"yours, by {stack.VARIABLES[name]}"
        elif endpoint:
            state = f"up, pid {server.pid}"
        else:
            state = "starting or stopping" if server.running else "down"
        print(f"{name:<9} {state:<28} {endpoint or ''}".rstrip())
        if name == stack.POSTGRES and endpoint:
            print(f"{'tables':<9} {databases.migration_state(endpoint)}")
    leases.renew(layout.leases)
    print(f"data, jars and logs: {layout.home}")


@app.command()
def down(
    purge: Annotated[bool, typer.Option(help="Delete the data as well (not the jars).")] = False,
) -> None:
    """Stop our servers; their data stays, unless it is purged."""
    stopped = stack.down(_environment(needed=False), purge=purge)
    _tell_apps({})
    print(f"stopped: {', '.join(stopped)}" if stopped else "nothing was running")
    if purge:
        print("the data of Kafka and Postgres is deleted")


@app.command()
def logs(
    service: Annotated[ServiceName | None, typer.Argument(help="Both if none is named.")] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Wait for more.")] = False,
) -> None:
    """Print the servers' logs since their last start."""
    layout = layout_of(_environment(needed=False))
    names = [service] if service else list(ServiceName)
    paths = [path for name in names if (path := layout.service(str(name)).log).exists()]
    if not paths:
        raise FailedError(f"there is no log of {' or '.join(names)} yet: 'up' starts them")
    sys.stdout.flush()
    options = ["-F"] if follow else []
    os.execvp("tail", ["tail", "-n", "+1", *options, *map(str, paths)])


@app.command("topics")
def topics_command(
    dry_run: Annotated[bool, typer.Option(help="Print the changes, make none.")] = False,
) -> None:
    """Create or alter the topics of topics.toml on the running broker."""
    environ = _environment()
    if dry_run or _dry_run(environ):
        _topics_dry_run(environ)
        return
    bootstrap = stack.endpoints(environ).kafka
    if bootstrap is None:
        raise UnreachableError("no broker is running: 'up kafka' starts one")
    _apply_topics(bootstrap, environ)


@app.command()
def schema() -> None:
    """Print the tables that all migrations make, as SQL; renews the committed snapshot.

    They are made in an empty database that is dropped afterwards.
    """
    environ = _environment()
    with leases.Lease(layout_of(environ).leases):
        server = stack.ensure([stack.POSTGRES], environ, _report).postgres
        assert server is not None
        sys.stdout.write(databases.migrated_schema(server))


@app.command()
def env() -> None:
    """Print shell lines that export the endpoints; exit code 1 when nothing is up."""
    environ = _environment(needed=False)
    values = stack.endpoints(environ).environment()
    leases.renew(layout_of(environ).leases)
    for name, value in values.items():
        print(f"export {name}={shlex.quote(value)}")
    if not values:
        raise typer.Exit(1)


def _environment(*, needed: bool = True) -> dict[str, str]:
    """`.env` and `.infra/.env` of the working folder, under the environment.

    Where they are not ``needed``, broken files do not keep the user from stopping a server.
    """
    try:
        return read_env(Path.cwd(), os.environ, local_stack=False)
    except ConfigurationError as exc:
        if needed:
            raise
        _report.say(f"devstack: {exc} The files are left out.")
        return dict(os.environ)


def _tell_apps(values: Mapping[str, str]) -> None:
    """Write the endpoints where the apps of this folder look; remove the file when none is up.

    Only a folder that has `.infra` is one of ours.
    """
    path = Path.cwd() / LOCAL_STACK_FILE
    if not path.parent.is_dir():
        return
    if not values:
        path.unlink(missing_ok=True)
        return
    lines = ["# Written by the local stack; .infra/.env and the environment win over it."]
    lines += [f"{name}={value}" for name, value in values.items()]
    write_whole(path, ("\n".join(lines) + "\n").encode())


def _dry_run(environ: Mapping[str, str]) -> bool:
    value = environ.get(DRY_RUN_VARIABLE, "").strip().lower()
    if value in ("1", "true", "yes"):
        return True
    if value in ("", "0", "false", "no"):
        return False
    raise ConfigError(f"{DRY_RUN_VARIABLE}={value!r} is neither 1 nor 0")


def _topics_dry_run(environ: Mapping[str, str]) -> None:
    specs = load_topics(environ=environ)
    bootstrap = stack.endpoints(environ).kafka
    found: Mapping[str, topics.TopicState] = {}
    if bootstrap is None:
        _report.say("no broker is running: each topic would be new")
    else:
        try:
            client = topics.admin(bootstrap, environ)
            found = topics.read_topics(client, [s.name for s in specs], _DRY_RUN_TIMEOUT_S)
        except BrokerUnreachable as exc:
            _report.say(f"{exc}: each topic is shown as if it were new")
    for change in topics.plan(specs, found):
        print(change)


def _apply_topics(bootstrap: str, environ: Mapping[str, str]) -> None:
    specs = load_topics(environ=environ)
    client = topics.admin(bootstrap, environ)
    changes = topics.plan(specs, topics.read_topics(client, [spec.name for spec in specs]))
    topics.apply(client, changes)
    for change in changes:
        if change.action is not topics.Action.KEEP or change.partitions_differ:
            _report.say(str(change))
    _report.say(f"{len(changes)} topics compared with topics.toml")


def main() -> NoReturn:
    """Runs the command line; each error becomes one sentence and its exit code."""
    run(app)


if __name__ == "__main__":
    main()
