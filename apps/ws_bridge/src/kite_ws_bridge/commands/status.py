"""``status``: a running bridge, as its own page shows it."""

from __future__ import annotations

import json
import os
import threading
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from http.client import HTTPException
from math import inf
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

import typer
from rich.console import Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from kite_runtime.console import stdout
from kite_runtime.errors import EXIT_DONE, EXIT_FINDINGS, TryAgainLater, UsageError
from kite_ws_bridge.commands.options import Root
from kite_ws_bridge.settings import BridgeSettings

TIMEOUT_S: Final = 5.0
MIB: Final = 1024 * 1024
COUNTS: Final = (
    *("frames_received", "packets_journaled", "ticks_acked", "dead_acked", "events_acked"),
    *("frames_lost", "journal_damage", "producer_restarts", "reconnects"),
    *("side_refusals", "gaps_opened", "gaps_closed"),
)

Metrics = dict[str, Any]
"""Name → value as ``kite_live_feed.metrics`` makes them."""


@dataclass(frozen=True)
class Connection:
    """One connection to Kite."""

    shard: int
    state: str
    instruments: int
    attempts: int
    silence_s: float | None
    """Since its last frame with ticks; None before the first."""


@dataclass(frozen=True)
class Status:
    """A bridge as it is now. Rates are per second over ``interval_s``."""

    url: str
    ready: bool
    problems: list[str]
    uptime_s: float
    interval_s: float
    ticks_per_s: float
    acked_per_s: float
    connections: list[Connection]
    counts: dict[str, int]
    backlog_bytes: int
    backlog_age_s: float
    room_bytes: int
    journal_full: bool
    in_flight: int
    auth_expired: bool
    last_ack_s: float
    ack_p99_s: float | None
    """99 of 100 frames since the start were acknowledged within this time, rounded up to a bucket;
    None before the first, infinite above the last bucket."""
    gaps_open: dict[str, int] = field(default_factory=dict)
    dead_letters: dict[str, int] = field(default_factory=dict)
    refused: dict[str, int] = field(default_factory=dict)
    broker_errors: dict[str, int] = field(default_factory=dict)
    dead_letter_alarm: bool = False
    dead_letter_share: float = 0.0
    """Of the records in the alarm's window, 0 to 1."""
    group_size: int = 0
    """Into how many shards the bridges of a group share the universe; 0 without a group."""
    group_shards: tuple[int, ...] = ()
    """Those that this bridge carries."""
    group_uncarried: int = 0
    rebalances: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON, which knows no infinity."""
        p99 = None if self.ack_p99_s == inf else self.ack_p99_s
        connections = [vars(each) for each in self.connections]
        return {**vars(self), "ack_p99_s": p99, "connections": connections}


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
    watch: Annotated[bool, typer.Option("--watch", help="Refresh it until Ctrl-C.")] = False,
    interval: Annotated[
        float,
        typer.Option(
            "--interval", min=0.1, max=3600, help="Seconds over which the rates are measured."
        ),
    ] = 1.0,
    root: Root = Path(),
) -> int:
    """Show what a running bridge does: connections, rates, journal, gaps, dead letters, latency.

    Exit code 0 when it is ready, 3 when something is wrong (it shows what), 75 when no bridge
    answers.
    """
    address = _address(url, root)
    before, began_s = _read(address)["metrics"], time.monotonic()
    pause = threading.Event()

    def measure() -> Status:
        nonlocal before, began_s
        pause.wait(interval)
        now, now_s = _read(address), time.monotonic()
        status = make_status(address, now, before, now_s - began_s, time.time())
        before, began_s = now["metrics"], now_s
        return status

    if not watch:
        return _print(measure(), as_json)
    with Live(console=stdout, auto_refresh=False, transient=False) as live:
        while True:
            status = measure()
            if as_json:
                print(json.dumps(status.to_dict()), flush=True)
            else:
                live.update(render(status), refresh=True)


def _read(url: str) -> dict[str, Any]:
    """The page ``/status``. Raises TryAgainLater and UsageError."""
    try:
        with _OPENER.open(f"{url}/status", timeout=TIMEOUT_S) as answer:
            found = json.loads(answer.read())
        if "metrics" not in found:
            raise ValueError("another program's page")
    except (urllib.error.HTTPError, ValueError, TypeError) as error:
        raise UsageError(
            f"{url} is not the metrics address of a ws_bridge of this release; "
            "give --url http://HOST:PORT, the port of WS_BRIDGE_PORT"
        ) from error
    except (OSError, HTTPException) as error:
        raise TryAgainLater(
            f"no bridge answers at {url}: start it with `ws_bridge run`, "
            "or name another with --url"
        ) from error
    return dict(found)


# The bridge is on this machine or a neighbour; a proxy of the environment would be in the way.
_OPENER: Final = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def _address(url: str | None, root: Path) -> str:
    if url is None:
        return f"http://127.0.0.1:{BridgeSettings.load(root, os.environ).port}"
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


def make_status(
    url: str, page: dict[str, Any], before: Metrics, interval_s: float, now_s: float
) -> Status:
    """The facts of the page ``/status``, and the rates since ``before``, ``interval_s`` earlier.

    ``now_s`` is the time of the page, in seconds since the epoch.
    """
    problems, now = list(page["problems"]), page["metrics"]

    def rate(name: str) -> float:
        # A bridge that restarted in between begins at 0 again.
        return max(0, now[name] - before[name]) / interval_s if interval_s else 0.0

    return Status(
        url=url,
        ready=not problems,
        problems=problems,
        uptime_s=max(0.0, now_s - now["start_time_seconds"]),
        interval_s=interval_s,
        ticks_per_s=rate("packets_journaled"),
        acked_per_s=rate("ticks_acked"),
        connections=_connections(now),
        counts={name: now[name] for name in COUNTS},
        backlog_bytes=now["journal_backlog_bytes"],
        backlog_age_s=now["journal_backlog_age_seconds"],
        room_bytes=now["journal_room_bytes"],
        journal_full=now["journal_full"],
        in_flight=now["in_flight"],
        auth_expired=now["auth_expired"],
        last_ack_s=now["ack_latency_seconds"],
        ack_p99_s=quantile(now["frame_ack_seconds"]["buckets"], 0.99),
        gaps_open=now["gaps_open"],
        dead_letters=now["dead_letters"],
        refused=now["records_refused"],
        broker_errors=now["broker_errors"],
        dead_letter_alarm=now["dead_letter_alarm"],
        dead_letter_share=now["dead_letter_share"],
        group_size=now["group_size"],
        group_shards=tuple(map(int, now["group_shard"])),
        group_uncarried=now["group_uncarried"],
        rebalances=now["rebalances"],
    )


def quantile(buckets: dict[str, float], share: float) -> float | None:
    """The upper bound of the bucket in which this share of a cumulative histogram is reached."""
    counted = sorted((float(bound), count) for bound, count in buckets.items())
    if not counted or not counted[-1][1]:
        return None
    wanted = share * counted[-1][1]
    return next(bound for bound, count in counted if count >= wanted)


def _connections(now: Metrics) -> list[Connection]:
    return [
        Connection(
            int(shard),
            next(state for state, is_in in states.items() if is_in),
            now["shard_instruments"][shard],
            now["connect_attempts"][shard],
            now["shard_silence_seconds"].get(shard),
        )
        for shard, states in now["shard_state"].items()
    ]


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
        ("errors that Kite sent", _pairs(status.broker_errors)),
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
    reasons = (each.partition(": ")[2] for each in status.problems if "auth_expired" in each)
    return ": ".join(["REFUSED", *filter(None, list(reasons)[:1])])


def _shards(status: Status) -> str:
    held = ", ".join(map(str, status.group_shards)) or "none"
    missing = f", {status.group_uncarried} MORE WITHOUT A CONNECTION" * bool(status.group_uncarried)
    return f"{held} of {status.group_size}{missing}; {status.rebalances:,} changes"


def _pairs(counts: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in counts.items()) or "none"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
