"""``status``: a running bridge, read from its own pages and told to a person."""

from __future__ import annotations

import json
import os
import threading
import time
import urllib.error
import urllib.request
from http.client import HTTPException
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import urlsplit

import typer
from rich.console import Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from kite_runtime.console import stdout
from kite_runtime.errors import EXIT_DONE, EXIT_FINDINGS, TryAgainLater, UsageError
from kite_ws_bridge.commands.options import Root
from kite_ws_bridge.settings import load_settings
from kite_ws_bridge.status_facts import Scrape, Status, make_status

TIMEOUT_S: Final = 5.0
MIB: Final = 1024 * 1024


def command(
    url: Annotated[
        str | None,
        typer.Option(
            "--url",
            metavar="URL",
            help="The bridge's metrics address. Default: port WS_BRIDGE_PORT, else 9464, here.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="Show it anew all the time, until Ctrl-C.")
    ] = False,
    interval: Annotated[
        float,
        typer.Option(
            "--interval", min=0.1, max=3600, help="Seconds over which the rates are measured."
        ),
    ] = 1.0,
    root: Root = Path(),
) -> int:
    """Show what a running bridge does: connections, rates, journal, gaps, dead letters, latency.

    Exit code 0 when it is ready, 3 when something is wrong (it says what), 75 when no bridge
    answers.
    """
    site = _Site(_address(url, root))
    before, began_s = site.scrape(), time.monotonic()
    pause = threading.Event()
    if not watch:
        pause.wait(interval)
        return _print(site.status(before, time.monotonic() - began_s), as_json)
    with Live(console=stdout, auto_refresh=False, transient=False) as live:
        while True:
            pause.wait(interval)
            now_s = time.monotonic()
            status = site.status(before, now_s - began_s)
            before, began_s = site.last, now_s
            if as_json:
                print(json.dumps(status.to_dict()), flush=True)
            else:
                live.update(render(status), refresh=True)


class _Site:
    """A bridge's pages."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.last = Scrape({})

    def scrape(self) -> Scrape:
        """Raises TryAgainLater and UsageError."""
        text = self._get("/metrics")
        try:
            self.last = Scrape.parse(text)
        except ValueError as error:
            raise UsageError(
                f"{self.url} is not the metrics address of a ws_bridge; "
                "give --url http://HOST:PORT, the port of WS_BRIDGE_PORT"
            ) from error
        return self.last

    def status(self, before: Scrape, interval_s: float) -> Status:
        problems = [line for line in self._get("/readyz").splitlines() if line != "ready"]
        return make_status(self.url, problems, before, self.scrape(), interval_s, time.time())

    def _get(self, path: str) -> str:
        try:
            with _OPENER.open(self.url + path, timeout=TIMEOUT_S) as answer:
                body: bytes = answer.read()
        except urllib.error.HTTPError as error:
            body = error.read()  # /readyz tells its reasons with a 503
        except (OSError, HTTPException) as error:
            raise TryAgainLater(
                f"no bridge answers at {self.url}: start it with `ws_bridge run`, "
                "or name another with --url"
            ) from error
        return body.decode("utf-8", errors="replace")


# The bridge is on this machine or a neighbour; a proxy of the environment would be in the way.
_OPENER: Final = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def _address(url: str | None, root: Path) -> str:
    if url is None:
        return f"http://127.0.0.1:{load_settings(root, os.environ).port}"
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise UsageError(f"--url {url} is no address, for example --url http://127.0.0.1:9464")
    return url.rstrip("/")


def _print(status: Status, as_json: bool) -> int:
    if as_json:
        print(json.dumps(status.to_dict()))
    else:
        stdout.print(render(status))
    return EXIT_DONE if status.ready else EXIT_FINDINGS


def render(status: Status) -> RenderableType:
    """The status for a terminal or a pipe."""
    verdict = "ready" if status.ready else "NOT READY"
    parts: list[RenderableType] = [
        Text(f"ws_bridge at {status.url}: {verdict}, up {_duration(status.uptime_s)}")
    ]
    parts += [Text(f"  ! {problem}") for problem in status.problems]
    connections = Table("connection", "state", "instruments", "attempts", "last tick")
    for each in status.connections:
        ago = "none yet" if each.silence_s is None else f"{each.silence_s:.1f} s ago"
        connections.add_row(
            str(each.shard), each.state, f"{each.instruments:,}", f"{each.attempts:,}", ago
        )
    parts += [connections, _facts(status)]
    return Group(*parts)


def _facts(status: Status) -> Table:
    counts = status.counts
    p99 = "" if status.ack_p99_s is None else f", 99 % within {status.ack_p99_s:g} s"
    alarm = " ALARM: too many" * status.dead_letter_alarm
    rows = [
        ("packets received", f"{counts['packets_journaled']:,} ({status.ticks_per_s:,.0f}/s)"),
        ("ticks acknowledged", f"{counts['ticks_acked']:,} ({status.acked_per_s:,.0f}/s)"),
        ("in flight", f"{status.in_flight:,} records"),
        ("frame to acknowledgement", f"last {status.last_ack_s * 1000:.1f} ms{p99}"),
        ("journal backlog", f"{status.backlog_bytes / MIB:,.1f} MiB, {status.backlog_age_s:.1f} s"),
        ("journal room", f"{status.room_bytes / MIB:,.0f} MiB" + " FULL" * status.journal_full),
        ("frames lost", f"{counts['frames_lost']:,}"),
        ("gaps open", _pairs(status.gaps_open)),
        ("gaps so far", f"{counts['gaps_opened']:,}, {counts['gaps_closed']:,} of them closed"),
        ("access token", _token(status)),
        ("dead letters", _pairs(status.dead_letters)),
        ("dead letters' share now", f"{status.dead_letter_share:.2%}" + alarm),
        ("put aside, refused by Kafka", _pairs(status.refused)),
        ("producer restarts", f"{counts['producer_restarts']:,}"),
    ]
    if status.group_size:
        rows.insert(0, ("shards of the group", _shards(status)))
    table = Table(show_header=False)
    for name, text in rows:
        table.add_row(name, text)
    return table


def _token(status: Status) -> str:
    if not status.auth_expired:
        return "accepted"
    told = (each.partition(": ")[2] for each in status.problems if "auth_expired" in each)
    return ": ".join(["REFUSED", *filter(None, list(told)[:1])])


def _shards(status: Status) -> str:
    held = ", ".join(map(str, status.group_shards)) or "none"
    lack = f", {status.group_uncarried} MORE WITHOUT A CONNECTION" * bool(status.group_uncarried)
    return f"{held} of {status.group_size}{lack}; {status.rebalances:,} changes"


def _pairs(counts: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in counts.items()) or "none"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
