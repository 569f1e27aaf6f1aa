"""``status``: a running bridge, as its own page shows it."""

from __future__ import annotations

import json
import os
import threading
import time
import urllib.error
import urllib.request
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
from kite_runtime.options import Root
from kite_ws_bridge.settings import BridgeSettings

TIMEOUT_S: Final = 5.0
CALENDAR_WARNING_DAYS: Final = 60
"""The same as in ``kite_contracts.sessions``, which is not loaded for this."""
MIB: Final = 1024 * 1024
COUNTS: Final = (
    *("frames_received", "packets_journaled", "ticks_acked", "dead_acked", "events_acked"),
    *("frames_lost", "journal_damage", "producer_restarts", "reconnects"),
    *("side_refusals", "gaps_opened", "gaps_closed"),
)

SAME: Final = (
    *("journal_full", "in_flight", "auth_expired", "gaps_open", "dead_letters"),
    *("broker_errors", "dead_letter_alarm", "dead_letter_share"),
    *("group_size", "group_uncarried", "rebalances", "calendar_days_left"),
)
"""Metrics that are facts of the status as they are."""

Facts = dict[str, Any]
"""Name → value: the metrics as ``kite_live_feed.metrics`` makes them, or the status as ``--json``
prints it. Rates are per second."""


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

    def measure() -> Facts:
        nonlocal before, began_s
        pause.wait(interval)
        now, now_s = _read(address), time.monotonic()
        status = make_status(address, now, before, now_s - began_s, time.time())
        before, began_s = now["metrics"], now_s
        return status

    if not watch:
        status = measure()
        if as_json:
            _print_json(status)
        else:
            stdout.print(render(status))
        return EXIT_DONE if status["ready"] else EXIT_FINDINGS
    with Live(console=stdout, auto_refresh=False, transient=False) as live:
        while True:
            status = measure()
            if as_json:
                _print_json(status)
            else:
                live.update(render(status), refresh=True)


def _print_json(status: Facts) -> None:
    p99 = status["ack_p99_s"]  # JSON knows no infinity
    print(json.dumps({**status, "ack_p99_s": None if p99 == inf else p99}), flush=True)


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


def make_status(url: str, page: Facts, before: Facts, interval_s: float, now_s: float) -> Facts:
    """The facts of the page ``/status``, and the rates since ``before``, ``interval_s`` earlier.

    ``now_s`` is the time of the page, in seconds since the epoch.
    """
    problems, now = list(page["problems"]), page["metrics"]

    def rate(name: str) -> float:
        # A bridge that restarted in between begins at 0 again.
        return max(0, now[name] - before[name]) / interval_s if interval_s else 0.0

    return {
        "url": url,
        "ready": not problems,
        "problems": problems,
        "uptime_s": max(0.0, now_s - now["start_time_seconds"]),
        "interval_s": interval_s,
        "ticks_per_s": rate("packets_journaled"),
        "acked_per_s": rate("ticks_acked"),
        "connections": [
            {
                "shard": int(shard),
                "state": next(state for state, is_in in states.items() if is_in),
                "instruments": now["shard_instruments"][shard],
                "attempts": now["connect_attempts"][shard],
                "silence_s": now["shard_silence_seconds"].get(shard),
            }
            for shard, states in now["shard_state"].items()
        ],
        "counts": {name: now[name] for name in COUNTS},
        "backlog_bytes": now["journal_backlog_bytes"],
        "backlog_age_s": now["journal_backlog_age_seconds"],
        "room_bytes": now["journal_room_bytes"],
        "last_ack_s": now["ack_latency_seconds"],
        "ack_p99_s": quantile(now["frame_ack_seconds"]["buckets"], 0.99),
        "refused": now["records_refused"],
        "group_shards": list(map(int, now["group_shard"])),
        **{name: now[name] for name in SAME},
    }


def quantile(buckets: dict[str, float], share: float) -> float | None:
    """The upper bound of the bucket in which this share of a cumulative histogram is reached."""
    counted = sorted((float(bound), count) for bound, count in buckets.items())
    if not counted or not counted[-1][1]:
        return None
    wanted = share * counted[-1][1]
    return next(bound for bound, count in counted if count >= wanted)


def render(status: Facts) -> RenderableType:
    """The status for a terminal or a pipe."""
    verdict = "ready" if status["ready"] else "NOT READY"
    parts: list[RenderableType] = [
        Text(f"ws_bridge at {status['url']}: {verdict}, up {_duration(status['uptime_s'])}")
    ]
    parts += [Text(f"  ! {problem}") for problem in status["problems"]]
    connections = Table("connection", "state", "instruments", "attempts", "last tick")
    for each in status["connections"]:
        silence_s = each["silence_s"]
        connections.add_row(
            str(each["shard"]),
            each["state"],
            f"{each['instruments']:,}",
            f"{each['attempts']:,}",
            "none yet" if silence_s is None else f"{silence_s:.1f} s ago",
        )
    parts += [connections, _facts(status)]
    return Group(*parts)


def _facts(status: Facts) -> Table:
    counts, p99_s = status["counts"], status["ack_p99_s"]
    backlog, room = status["backlog_bytes"] / MIB, status["room_bytes"] / MIB
    p99 = "" if p99_s is None else f", 99 % within {p99_s:g} s"
    alarm = " ALARM: too many" * status["dead_letter_alarm"]
    table = Table(show_header=False)
    if status["group_size"]:
        table.add_row("shards of the group", _shards(status))
    for name, text in (
        ("packets received", f"{counts['packets_journaled']:,} ({status['ticks_per_s']:,.0f}/s)"),
        ("ticks acknowledged", f"{counts['ticks_acked']:,} ({status['acked_per_s']:,.0f}/s)"),
        ("in flight", f"{status['in_flight']:,} records"),
        ("frame to acknowledgement", f"last {status['last_ack_s'] * 1000:.1f} ms{p99}"),
        ("journal backlog", f"{backlog:,.1f} MiB, {status['backlog_age_s']:.1f} s"),
        ("journal room", f"{room:,.0f} MiB" + " FULL" * status["journal_full"]),
        ("frames lost", f"{counts['frames_lost']:,}"),
        ("gaps open", _pairs(status["gaps_open"])),
        ("gaps so far", f"{counts['gaps_opened']:,}, {counts['gaps_closed']:,} of them closed"),
        ("access token", _token(status)),
        ("errors that Kite sent", _pairs(status["broker_errors"])),
        ("dead letters", _pairs(status["dead_letters"])),
        ("dead letters' share now", f"{status['dead_letter_share']:.2%}" + alarm),
        ("put aside, refused by Kafka", _pairs(status["refused"])),
        ("producer restarts", f"{counts['producer_restarts']:,}"),
    ):
        table.add_row(name, text)
    if (days := status["calendar_days_left"]) < CALENDAR_WARNING_DAYS:
        table.add_row("exchange holidays", f"known for {days:,} MORE DAYS, then assumed")
    return table


def _token(status: Facts) -> str:
    if not status["auth_expired"]:
        return "accepted"
    reasons = (each.partition(": ")[2] for each in status["problems"] if "auth_expired" in each)
    return ": ".join(["REFUSED", *filter(None, list(reasons)[:1])])


def _shards(status: Facts) -> str:
    held = ", ".join(map(str, status["group_shards"])) or "none"
    uncarried = status["group_uncarried"]
    missing = f", {uncarried} MORE WITHOUT A CONNECTION" * bool(uncarried)
    return f"{held} of {status['group_size']}{missing}; {status['rebalances']:,} changes"


def _pairs(counts: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in counts.items()) or "none"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
