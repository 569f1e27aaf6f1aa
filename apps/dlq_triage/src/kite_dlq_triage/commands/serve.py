"""``serve``: the page for people."""

from __future__ import annotations

import getpass
import os
import webbrowser
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Final

import typer

from kite_dead_letters.page import server
from kite_dead_letters.page.access import TOKEN_LENGTH_MIN, Access, cookie_name, make_token
from kite_dead_letters.page.guard import names_of
from kite_dlq_triage.commands.options import settings_of
from kite_dlq_triage.settings import TriageSettings
from kite_runtime.console import say
from kite_runtime.errors import SettingError
from kite_runtime.hosts import is_local
from kite_runtime.options import Bootstrap, Root

DEFAULT_PORT: Final = 9480
TOKEN: Final = "DLQ_TRIAGE_TOKEN"


def command(
    root: Root = Path(),
    bootstrap: Bootstrap = None,
    port: Annotated[
        int,
        typer.Option("--port", min=0, max=65_535, help="Port of the page; 0 takes any free one."),
    ] = DEFAULT_PORT,
    host: Annotated[
        str,
        typer.Option(
            "--host",
            metavar="ADDRESS",
            help="Address to listen at. Any but one of this machine alone (127.0.0.1) lets others "
            "reach the page: reading then needs the token too, and what is sent is not encrypted.",
        ),
    ] = "127.0.0.1",
    name: Annotated[
        list[str] | None,
        typer.Option(
            "--name",
            metavar="NAME",
            help="A further name by which the page is reached, such as that of a proxy; may be "
            "given several times.",
        ),
    ] = None,
    open_browser: Annotated[
        bool,
        typer.Option("--open/--no-open", help="Open the page in a browser of this machine."),
    ] = False,
) -> int:
    """Serve the page for people: what failed and why, decisions, dry runs and redrives.

    Prints the address; whoever opens it may change things. DLQ_TRIAGE_TOKEN sets the token (at
    least 20 characters) instead of a new one at each start, and then it is not printed. Without
    KAFKA_BOOTSTRAP the page can do all but send records back. Ctrl-C and SIGTERM end it.
    """
    from kite_contracts.topics import load_topics
    from kite_dead_letters.dialect_files import read_table
    from kite_dead_letters.page.app import make_app
    from kite_dead_letters.page.calls import Site
    from kite_dead_letters.page.redriving import Database, Desk
    from kite_dead_letters.page.rendering import Pages
    from kite_dead_letters.page.views import Reader
    from kite_dead_letters.redrive.targets import Targets
    from kite_kafka_io.registry import open_framing
    from kite_runtime.logs import configure_logs

    settings = settings_of(root, bootstrap)
    given = _given_token(settings)
    token = given or make_token()
    dsn = settings.require_postgres()
    configure_logs(secrets=[token, settings.env.get("KAFKA_SASL_PASSWORD", "")])
    targets = Targets(load_topics())
    framing = open_framing(settings.kafka, targets.subjects) if settings.kafka is not None else None
    database = Database(dsn)
    with database.failures() as store:
        store.check()
    table = read_table(settings.dialects)
    desk = Desk(database, settings.kafka, framing, targets, table=table)
    with server.listen(host, port) as opened:
        port = opened.getsockname()[1]
        site = Site(
            database=database,
            access=Access(token, _user()),
            reader=Reader(framing, table),
            desk=desk,
            pages=Pages(),
            open_to_read=is_local(host),
            cookie=cookie_name(port),
        )
        address = f"http://{_shown(host)}:{port}/"
        link = address if given else f"{address}login?token={token}"
        ready = _announcement(host, address, link, bool(given), open_browser)
        received = server.serve(
            make_app(site, names_of(host, name or ())), opened, ready, desk.ending
        )
    say(f"the page ended by {'Ctrl-C' if received.name == 'SIGINT' else received.name}")
    return 0


def _announcement(
    host: str, address: str, link: str, has_token: bool, open_browser: bool
) -> Callable[[], None]:
    def tell() -> None:
        print(link, flush=True)
        if has_token:
            say(f"the page is at {address}; to change something it asks for {TOKEN}")
        else:
            say("whoever opens this address may decide and redrive; Ctrl-C ends it")
        if not is_local(host):
            say(
                f"warning: {host} can be reached from other machines, and nothing that is sent is "
                "encrypted, the token neither: put a proxy with TLS before it, or use 127.0.0.1 "
                "and a tunnel"
            )
        if open_browser and not webbrowser.open(link):
            say("no browser could be opened on this machine; open the address yourself")

    return tell


def _given_token(settings: TriageSettings) -> str:
    """The configured token, '' for none. Raises SettingError; it is never quoted."""
    token = settings.page_token
    if token and len(token) < TOKEN_LENGTH_MIN:
        example = '"$(openssl rand -hex 16)"'
        raise SettingError(TOKEN, f"has fewer than {TOKEN_LENGTH_MIN} characters", example)
    return token


def _user() -> str:
    """Who is at this machine, as the first guess of who decides."""
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return os.environ.get("USER", "")


def _shown(host: str) -> str:
    """The address as it stands in a URL; every address of the machine includes this one."""
    if host in ("0.0.0.0", "::", ""):
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host
