"""``run``: the live bridge. It is what ``ws_bridge`` without a command means."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from kite_live_feed.options import SHARDS_MAX
from kite_live_feed.topics import SHARDS, Topics
from kite_runtime.clock import SystemClock
from kite_runtime.console import say
from kite_runtime.errors import EXIT_FINDINGS, EXIT_TRY_LATER
from kite_runtime.options import Bootstrap, Root
from kite_ws_bridge.commands.options import COMPILING, AllowRemote, keep_simulated_here

if TYPE_CHECKING:
    from kite_contracts.sessions import SessionCalendar
    from kite_kafka_io.framing import Framing
    from kite_kafka_io.settings import KafkaSettings
    from kite_live_feed.counters import Counters

_SECRETS: Final = ("KITE_API_KEY", "KITE_API_SECRET", "KITE_ACCESS_TOKEN")


def command(
    root: Root = Path(),
    bootstrap: Bootstrap = None,
    endpoint: Annotated[
        str | None,
        typer.Option(
            "--endpoint",
            metavar="URL",
            help="Kite's WebSocket or a simulator's. Default: KITE_WS_URL, else wss://ws.kite.trade.",
        ),
    ] = None,
    tokens: Annotated[
        Path | None,
        typer.Option(
            "--tokens", metavar="FILE", help="Subscription file. Default: configs/tokens.csv."
        ),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            "--port",
            min=0,
            max=65_535,
            help="Port of /metrics, /healthz and /readyz. Default: WS_BRIDGE_PORT, else 9464.",
        ),
    ] = None,
    store_and_forward: Annotated[
        bool,
        typer.Option(
            "--store-and-forward",
            help="Start even if Kafka or the schema registry does not answer, and journal until "
            "they do.",
        ),
    ] = False,
    shards: Annotated[
        int | None,
        typer.Option(
            "--shards",
            metavar="N",
            min=1,
            max=SHARDS_MAX,
            help="Share the instruments out in N shards among the bridges of a group. Default: "
            "WS_BRIDGE_SHARDS, else this bridge carries all.",
        ),
    ] = None,
    shard_group: Annotated[
        str | None,
        typer.Option(
            "--shard-group",
            metavar="NAME",
            help="The group's name. Default: WS_BRIDGE_SHARD_GROUP, else ws_bridge.WS_BRIDGE_NAME.",
        ),
    ] = None,
    allow_remote: AllowRemote = False,
) -> int:
    """Run the live bridge until SIGTERM or Ctrl-C.

    Needs Kite credentials (.env, the environment or token.json), a Kafka with the topics, and
    configs/tokens.csv. Try `demo` or `smoke` without credentials. After SIGTERM it publishes what
    is journaled, for WS_BRIDGE_DRAIN at most; with exit code 75 some is left in the journal.
    """
    from kite_broker_zerodha.session.options import SessionOptions
    from kite_broker_zerodha.settings import is_kite
    from kite_contracts.feeds import simulated
    from kite_kafka_io.registry import writing_framing
    from kite_live_feed.bridge import warm_up
    from kite_live_feed.connections import BridgeParts
    from kite_live_feed.journal import Journal
    from kite_live_feed.market_hours import calendar_ends_ns, make_is_open
    from kite_runtime.logs import configure_logs
    from kite_ws_bridge.service import serve
    from kite_ws_bridge.settings import BridgeSettings
    from kite_ws_bridge.subscription_watch import SubscriptionWatch

    settings = BridgeSettings.load(
        root,
        os.environ,
        bootstrap=bootstrap,
        endpoint=endpoint,
        port=port,
        tokens_file=None if tokens is None else tokens.resolve(),
        shard_count=shards,
        shard_group=shard_group,
    )
    credentials = settings.require_credentials()
    kafka = settings.require_kafka()
    feed = settings.name
    if not is_kite(settings.endpoint):
        keep_simulated_here(kafka, settings.endpoint, allow_remote)
        feed = simulated(feed)
    setup = settings.shards
    count = None if setup is None else setup.shards
    watch = SubscriptionWatch(settings.tokens_file, settings.universe_files, count)
    plan = watch.load()
    if watch.warning is not None:
        say(f"WARNING: {watch.warning}")
    secrets = [settings.env.get(name, "") for name in _SECRETS]
    configure_logs(secrets=secrets)
    topics = Topics()
    calendar = _calendar(settings.root)  # forks, so it comes before every thread
    orders = {topics.orders: "order_update"} if settings.publishes_orders else {}
    side = (topics.dead, topics.events, *orders)
    topic_problems, partitions = _check_kafka(kafka, topics, side, count, store_and_forward)
    framing = writing_framing(kafka, topics.subjects | orders)
    _check_registry(framing, store_and_forward)
    parts = BridgeParts(
        feed=feed,
        endpoint=settings.endpoint,
        credentials=credentials,
        kafka=kafka,
        framing=framing,
        topics=topics,
        session_options=SessionOptions(is_open=make_is_open(calendar), network=settings.network),
        clock=SystemClock(),
        topic_problems=topic_problems,
        partitions=partitions,
        orders=settings.publishes_orders,
        dead_letter_limits=settings.dead_letter_limits,
        group=setup,
        calendar_ends_ns=calendar_ends_ns(calendar, chain.from_iterable(plan.shards)),
    )
    say(COMPILING)
    warm_up()  # before connecting: the first ticks must not wait for it
    with Journal(settings.journal_dir, settings.journal) as journal:
        counters, left = asyncio.run(
            serve(parts, journal, watch, plan, settings.port, settings.drain_s)
        )
    return _report(counters, left, settings.journal_dir)


def _check_kafka(
    kafka: KafkaSettings,
    topics: Topics,
    side: Sequence[str],
    shards: int | None,
    store_and_forward: bool,
) -> tuple[dict[str, str], int | None]:
    """Why topics beside the ticks cannot be written, by topic: no reason to leave the ticks alone.
    And how many partitions the ticks have, None where Kafka does not answer.

    Raises UnknownTopic where there is no place for ticks, and BrokerUnreachable.
    """
    from kite_kafka_io.errors import BrokerUnreachable
    from kite_kafka_io.topics import check_topics, write_problems
    from kite_live_feed.shard_keeper import check_partitions

    try:
        found = check_topics(kafka, (topics.ticks,) if shards is None else (topics.ticks, SHARDS))
        if shards is not None:
            check_partitions(found[SHARDS], shards)
        problems = write_problems(kafka, side)
    except BrokerUnreachable as error:
        if not store_and_forward:
            raise
        say(f"{error}; journaling until one does")
        return {}, None
    _compare_partitions(topics.ticks, found[topics.ticks])
    for problem in problems.values():
        say(f"WARNING: {problem}; ticks go on, and what belongs there is put aside in a file")
    return problems, found[topics.ticks]


def _compare_partitions(topic: str, found: int) -> None:
    """A topic that a broker made by itself has another number than the contract."""
    from kite_contracts.topics import load_topics

    wanted = next((each.partitions for each in load_topics() if each.name == topic), found)
    if found != wanted:
        say(
            f"WARNING: topic {topic} has {found} partitions and should have {wanted} "
            "(topics.toml): readers that count on it find instruments elsewhere"
        )


def _check_registry(framing: Framing, store_and_forward: bool) -> None:
    """Know the schemas now, or later. Raises RegistryError."""
    from kite_kafka_io.errors import RegistryError, RegistryRefused

    try:
        framing.prepare()
    except RegistryRefused:
        raise
    except RegistryError as error:
        if not store_and_forward:
            raise
        say(f"{error}; journaling until it does")


def _calendar(root: Path) -> SessionCalendar:
    from kite_live_feed.market_hours import SESSIONS, load_calendar

    if not (root / SESSIONS).exists():
        say(f"{root / SESSIONS} is not there: using the session hours of the packaged file")
    return load_calendar(root)


def _report(counters: Counters, left: int, journal_dir: Path) -> int:
    from kite_live_feed.refused import FOLDER

    refused = counters.records_refused.total()
    say(
        f"stopped: {counters.ticks_acked:,} ticks and {counters.dead_acked:,} dead letters "
        f"acknowledged, {counters.frames_lost:,} frames lost, "
        f"{left:,} bytes left in the journal {journal_dir}"
    )
    if refused:
        say(
            f"Kafka refused {refused:,} records for good: they are in {journal_dir / FOLDER}; "
            "send them with `ws_bridge refused --send`"
        )
    if left:
        return EXIT_TRY_LATER
    found = counters.dead_acked or counters.frames_lost or counters.journal_damage or refused
    return EXIT_FINDINGS if found else 0
