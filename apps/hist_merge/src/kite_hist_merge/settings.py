"""What can be set of the golden bars: docs/settings.md is made from it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kite_broker_zerodha.settings import KiteApiUser
from kite_kafka_io.settings import KafkaUser
from kite_runtime.settings import PostgresUser, optional, variable

_VENDOR_FILE: Final = "configs/vendor.toml"


@dataclass(frozen=True, kw_only=True)
class Settings(KiteApiUser, KafkaUser, PostgresUser):
    """Everything that a person can set. ``repr`` shows no secret."""

    topic: str = variable("HIST_MERGE_TOPIC", str, "bars", "the topic of live bars")
    events_topic: str = variable(
        "HIST_MERGE_EVENTS_TOPIC", str, "feed.events", "the topic of the feed's gaps"
    )
    universe_file: Path = variable(
        "HIST_MERGE_UNIVERSE", Path, "configs/tokens.csv", "the instruments that are asked for"
    )
    own_vendor_file: Path | None = variable(
        "HIST_MERGE_VENDOR",
        optional(Path),
        "",
        f"the layouts of vendors' files; `{_VENDOR_FILE}` where it exists, else the packaged copy",
    )
    rules_file: Path | None = variable(
        "HIST_MERGE_RULES", optional(Path), "", "the merge rules; else the packaged `merge.toml`"
    )
    state_dir: Path = variable(
        "HIST_MERGE_STATE_DIR",
        Path,
        "{state}/hist_merge",
        "refused lines, unfinished work, scratch space",
    )

    @property
    def vendor_file(self) -> Path | None:
        """The layouts of vendors' files; None for the packaged copy."""
        beside = self.root / _VENDOR_FILE
        return self.own_vendor_file or (beside if beside.exists() else None)
