"""``auth``: the daily login, from the page to the token of the day."""

from __future__ import annotations

import json
import secrets
import sys
import webbrowser
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from kite_broker_zerodha.auth.grant import Grant, login_url, may_die_early
from kite_broker_zerodha.auth.listener import RedirectListener
from kite_broker_zerodha.auth.redirect import request_token_of
from kite_broker_zerodha.auth.token_file import StoredToken, remove_token, write_token
from kite_broker_zerodha.errors import AuthRefused, KiteUnavailable, LoginNotFinished
from kite_instruments import fetching
from kite_instruments.commands.options import settings_of
from kite_instruments.errors import LoginDead
from kite_instruments.settings import Settings
from kite_runtime.clock import IST
from kite_runtime.command_line import with_any_reader
from kite_runtime.console import say
from kite_runtime.errors import EXIT_DONE, EXIT_FINDINGS, TryAgainLater, UsageError
from kite_runtime.options import Root

LAST_HOUR: Final = timedelta(hours=1)
PASTED_CHARS_MAX: Final = 4096
DEFAULT_PORT: Final = 8721
AGAIN: Final = "log in again: `instruments auth login`, or `auth url` and then `auth exchange`"


def url(root: Root = Path()) -> int:
    """Print the address of Kite's login page. Open it, log in, and copy where it ends."""
    settings = settings_of(root)
    print(login_url(settings.require_api_key(), base=settings.login_page))
    say("after the login, give the address that the browser ends at to `instruments auth exchange`")
    return EXIT_DONE


def exchange(
    request_token: Annotated[
        str,
        typer.Argument(
            metavar="REQUEST_TOKEN",
            help="The token, or the whole address that the login ended at; - reads it from stdin.",
        ),
    ],
    root: Root = Path(),
) -> int:
    """Exchange the login's request token for the access token of the day, into the token file.

    A request token works once and for some minutes. The API secret comes from .env or the
    environment alone. A bridge that runs takes the new token by itself.
    """
    settings = settings_of(root)
    settings.require_api_key()
    settings.require_api_secret()
    pasted = sys.stdin.read(PASTED_CHARS_MAX) if request_token == "-" else request_token
    try:
        token = request_token_of(pasted)
    except LoginNotFinished as error:
        raise UsageError(str(error)) from error
    return _exchange(settings, token)


def login(
    port: Annotated[
        int,
        typer.Option(
            "--port",
            min=0,
            max=65_535,
            help="Where the redirect is waited for, on 127.0.0.1: the "
            "port of the redirect URL that is registered for your app.",
        ),
    ] = DEFAULT_PORT,
    path: Annotated[
        str, typer.Option("--path", metavar="PATH", help="The path of that redirect URL.")
    ] = "/",
    wait_s: Annotated[
        float, typer.Option("--wait", min=1, max=3600, metavar="SECONDS", help="How long to wait.")
    ] = 300.0,
    no_browser: Annotated[
        bool, typer.Option("--no-browser", help="Print the address only; open no browser.")
    ] = False,
    root: Root = Path(),
) -> int:
    """Log in with one command: open the page, wait for the redirect here, keep the token.

    Register http://127.0.0.1:8721/ (or your --port and --path) as redirect URL of the app.
    """
    settings = settings_of(root)
    settings.require_api_secret()
    state = secrets.token_urlsafe(16)
    address = login_url(settings.require_api_key(), state=state, base=settings.login_page)
    with RedirectListener(port, path=path, state=state) as listener:
        print(address, flush=True)
        say(f"waiting for the login at http://127.0.0.1:{listener.port}{path} for {wait_s:g} s")
        if not no_browser:
            webbrowser.open(address)
        token = listener.wait(wait_s)
    return _exchange(settings, token)


def status(
    offline: Annotated[
        bool, typer.Option("--offline", help="Judge by the times alone; do not ask Kite.")
    ] = False,
    root: Root = Path(),
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> int:
    """Whose token it is, since and until when. Exit code 3 in its last hour, 1 when it is dead."""
    settings = settings_of(root)
    now = datetime.now(UTC)
    token = fetching.stored_token(settings)
    facts = _facts(settings, token, now)
    left = None if token.expires_at is None else token.expires_at - now
    trouble: Exception | None = None
    if left is not None and left <= timedelta():
        trouble = LoginDead(f"the token died at {_when(token.expires_at)}: {AGAIN}")
    elif not offline:
        trouble = _ask(settings, facts)
    facts["state"] = "dead" if isinstance(trouble, LoginDead) else "unknown" if trouble else "alive"
    _print_facts(facts, as_json)
    if trouble is not None:
        raise trouble
    return EXIT_FINDINGS if left is not None and left <= LAST_HOUR else EXIT_DONE


def logout(root: Root = Path()) -> int:
    """End the token at Kite and remove the token file. A running bridge loses its connection."""
    settings = settings_of(root)
    try:
        with fetching.logged_in(settings) as client:
            alive = client.invalidate()
    except KiteUnavailable as error:
        raise TryAgainLater(f"nothing is changed: {error}") from error
    removed = remove_token(settings.token_file)
    ended = "the token is ended at Kite" if alive else "the token was dead already"
    print(f"{ended}, {settings.token_file.name} {'is removed' if removed else 'was not there'}")
    if settings.access_token.reveal():
        say("KITE_ACCESS_TOKEN is still set: remove it from .env or the environment")
    return EXIT_DONE


app = typer.Typer(
    help="The daily login at Kite: the page, the token of the day, and how long it holds.",
    no_args_is_help=True,
)
for _command in (login, url, exchange, status, logout):
    app.command(_command.__name__)(with_any_reader(_command))


def _exchange(settings: Settings, request_token: str) -> int:
    with fetching.client(settings) as client:
        grant = client.exchange(request_token, settings.require_api_secret())
    write_token(settings.token_file, grant)
    _tell(grant, settings)
    return EXIT_DONE


def _tell(grant: Grant, settings: Settings) -> None:
    who = f"{grant.user_id} ({grant.user_name})" if grant.user_name else grant.user_id
    print(f"logged in as {who}, until {_when(grant.expires_at)}, in {settings.token_file}")
    if may_die_early(grant.login_time):
        say("a token of before 07:35 may die the same morning: look at `instruments auth status`")
    if settings.access_token.reveal():
        say(f"KITE_ACCESS_TOKEN is set too; {settings.token_file.name} wins over it")


def _ask(settings: Settings, facts: dict[str, Any]) -> Exception | None:
    """Whether Kite takes the token; fills in whose it is."""
    try:
        with fetching.logged_in(settings) as client:
            profile = client.profile()
    except AuthRefused:
        return LoginDead(f"Kite refuses the token: {AGAIN}")
    except KiteUnavailable as error:
        return TryAgainLater(f"Kite could not be asked ({error}); --offline judges by the times")
    facts["user_id"], facts["user_name"] = profile.user_id, profile.user_name
    return None


def _facts(settings: Settings, token: StoredToken, now: datetime) -> dict[str, Any]:
    from_file = settings.token_file.exists()
    left = None if token.expires_at is None else token.expires_at - now
    return {
        "user_id": token.user_id or None,
        "user_name": token.user_name or None,
        "from": str(settings.token_file) if from_file else "KITE_ACCESS_TOKEN",
        "minted_at": token.minted_at and token.minted_at.isoformat(),
        "expires_at": token.expires_at and token.expires_at.isoformat(),
        "left_s": None if left is None else int(left.total_seconds()),
    }


def _print_facts(facts: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print(json.dumps(facts))
        return
    who = " ".join(filter(None, (facts["user_id"], facts["user_name"]))) or "not known"
    times = {
        name: _when(datetime.fromisoformat(facts[name])) if facts[name] else "not known"
        for name in ("minted_at", "expires_at")
    }
    left = "not known" if facts["left_s"] is None else _countdown(facts["left_s"])
    for name, text in (
        ("user", who),
        ("token from", facts["from"]),
        ("minted", times["minted_at"]),
        ("expires", times["expires_at"]),
        ("left", left),
        ("state", facts["state"]),
    ):
        print(f"{name + ':':12}{text}")


def _when(moment: datetime | None) -> str:
    return "" if moment is None else f"{moment.astimezone(IST):%Y-%m-%d %H:%M} IST"


def _countdown(seconds: int) -> str:
    if seconds <= 0:
        return "none"
    hours, minutes = divmod(seconds // 60, 60)
    return f"{hours} h {minutes:02} min"
