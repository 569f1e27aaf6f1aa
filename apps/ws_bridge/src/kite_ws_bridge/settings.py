"""What can be set of the bridge: docs/reference/environment.md is made from it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from kite_broker_zerodha.session.credentials import (
    ACCESS_TOKEN,
    API_KEY,
    Credentials,
    CredentialSource,
)
from kite_broker_zerodha.settings import KiteUser
from kite_kafka_io.breaker import BreakerLimits
from kite_kafka_io.settings import KafkaUser
from kite_live_feed.errors import MissingCredentials
from kite_live_feed.options import GIB, MIB, SHARDS_MAX, GroupSetup, JournalOptions, Sync
from kite_runtime.errors import SettingError
from kite_runtime.settings import (
    address,
    choice,
    identifier,
    integer,
    optional,
    paths,
    seconds,
    share,
    size,
    variable,
)

_YEAR_S = 366 * 86_400.0
_SYNC_NAMES: tuple[Literal["never", "always"], ...] = ("never", "always")


def _sync(text: str) -> Sync:
    for each in _SYNC_NAMES:
        if text == each:
            return each
    return seconds(0.01, 3600.0)(text)


@dataclass(frozen=True, kw_only=True)
class BridgeSettings(KiteUser, KafkaUser):
    """Everything that a person can set. ``repr`` shows no secret."""

    name: str = variable(
        "WS_BRIDGE_NAME", identifier, "kite", "the feed's name in events and in the journal's path"
    )
    endpoint: str = variable(
        "KITE_WS_URL",
        address("wss", "ws", "the token"),
        "wss://ws.kite.trade",
        "Kite's WebSocket, or the simulator's",
    )
    tokens_file: Path = variable(
        "WS_BRIDGE_TOKENS", Path, "configs/tokens.csv", "the instruments to subscribe to"
    )
    universe_files: tuple[Path, ...] = variable(
        "WS_BRIDGE_UNIVERSE",
        paths,
        "",
        "files with commas between them: subscribe to their symbols only, with the tokens of "
        "`WS_BRIDGE_TOKENS`",
    )
    port: int = variable(
        "WS_BRIDGE_PORT",
        integer(0, 65_535),
        "9464",
        "metrics and health on 127.0.0.1; 0 takes any free port",
    )
    drain_s: float = variable(
        "WS_BRIDGE_DRAIN",
        seconds(0.0, 3600.0),
        "10s",
        "how long SIGTERM waits for Kafka's acknowledgements",
    )
    order_updates: str = variable(
        "WS_BRIDGE_ORDER_UPDATES",
        choice("off", "on"),
        "off",
        "`on` publishes Kite's order postbacks, the account's private data, to `orders.updates`; "
        "`off` only counts them",
    )
    shard_count: int | None = variable(
        "WS_BRIDGE_SHARDS",
        optional(integer(1, SHARDS_MAX)),
        "",
        f"1 to {SHARDS_MAX}: share the instruments out among "
        "[several bridges](../operating.md#several-bridges); without it this one carries all",
        example="3",
    )
    shard_group: str = variable(
        "WS_BRIDGE_SHARD_GROUP",
        identifier,
        "ws_bridge.{name:.30}",
        "the bridges of one group share",
        shown="ws_bridge.<name>",
    )
    shard_timeout_s: float = variable(
        "WS_BRIDGE_SHARD_TIMEOUT",
        seconds(6.0, 300.0),
        "6s",
        "a bridge that is not heard for so long loses its shards to others",
    )
    connections: int = variable(
        "WS_BRIDGE_CONNECTIONS", integer(1, 3), "3", "so many shards this bridge can carry"
    )
    alarm_share: float = variable(
        "WS_BRIDGE_DLQ_ALARM_SHARE",
        share,
        "1%",
        "share of dead letters above which the alarm goes on; nothing is dropped",
    )
    alarm_window_s: float = variable(
        "WS_BRIDGE_DLQ_ALARM_WINDOW", seconds(1.0, 86_400.0), "60s", "over this time"
    )
    alarm_least: int = variable(
        "WS_BRIDGE_DLQ_ALARM_LEAST", integer(1, 10**9), "20", "with so many dead letters at least"
    )
    alarm_run: int = variable(
        "WS_BRIDGE_DLQ_ALARM_RUN",
        integer(1, 10**9),
        "1000",
        "or with so many of them without a good tick between",
    )
    journal_dir: Path = variable(
        "WS_BRIDGE_JOURNAL_DIR", Path, "{state}/journal/{name}", "where the journal is"
    )
    journal_segment_bytes: int = variable(
        "WS_BRIDGE_JOURNAL_SEGMENT_BYTES", size(MIB, GIB), "64MiB", "the size of its files"
    )
    journal_max_bytes: int = variable(
        "WS_BRIDGE_JOURNAL_MAX_BYTES",
        size(2 * MIB, 1024 * GIB),
        "8GiB",
        "the size of all of them, two segments at least",
    )
    journal_retain_s: float = variable(
        "WS_BRIDGE_JOURNAL_RETAIN",
        seconds(0.0, _YEAR_S),
        "24h",
        "how long acknowledged segments are kept, for `replay`",
    )
    journal_sync: Sync = variable(
        "WS_BRIDGE_JOURNAL_SYNC",
        _sync,
        "1s",
        "fdatasync every so often; `never`, or `always` before each frame is acknowledged",
    )

    def __post_init__(self) -> None:
        least = 2 * self.journal_segment_bytes
        if self.journal_max_bytes < least:
            problem = "is less than two journal segments"
            raise SettingError("WS_BRIDGE_JOURNAL_MAX_BYTES", problem, str(least))

    @property
    def journal(self) -> JournalOptions:
        """The journal's limits."""
        return JournalOptions(
            self.journal_segment_bytes,
            self.journal_max_bytes,
            self.journal_retain_s,
            self.journal_sync,
        )

    @property
    def publishes_orders(self) -> bool:
        """Whether order postbacks are published."""
        return self.order_updates == "on"

    @property
    def dead_letter_limits(self) -> BreakerLimits:
        """When dead letters raise the alarm."""
        return BreakerLimits(
            self.alarm_share, self.alarm_window_s, self.alarm_least, self.alarm_run
        )

    @property
    def shards(self) -> GroupSetup | None:
        """How the universe is shared out; None where this bridge carries all of it."""
        if self.shard_count is None:
            return None
        return GroupSetup(
            self.shard_count, self.shard_group, self.shard_timeout_s, self.connections
        )

    def require_credentials(self) -> CredentialSource:
        """Where sessions get key and token, again for each attempt. Raises MissingCredentials."""
        given = {API_KEY: self.api_key, ACCESS_TOKEN: self.access_token.reveal()}
        missing = tuple(name for name, value in given.items() if not value)
        # What a token file is missing, its reader reports.
        if missing and not self.token_file.exists():
            raise MissingCredentials(missing)
        return FileThenEnvironment(self)


class FileThenEnvironment:
    """The token file when it is there, because it can change while the bridge runs, else the
    environment: asked again at each attempt."""

    def __init__(self, settings: BridgeSettings) -> None:
        self._settings = settings

    def load(self) -> Credentials:
        """The credentials as they are now. Raises CredentialsError."""
        token = self._settings.token_of_day()
        return Credentials(token.api_key, token.access_token)
