"""The morning: yesterday's token is refused, somebody logs in, and the bridge goes on by itself.

Nobody restarts it and nothing is lost. It says once what is wrong, and does not hammer Kite.
"""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import live_stage as stage

from kite_broker_zerodha.auth.grant import Grant
from kite_broker_zerodha.auth.token_file import write_token
from kite_broker_zerodha.rest import KiteRest
from kite_kafka_io.consumer import RecordReader
from kite_kafka_io.settings import KafkaSettings
from kite_live_feed.proof import Mark, mark_topics
from kite_live_feed.topics import Topics
from kite_runtime.secrets import Secret
from kite_simulator import Account, SimulatedKite, SimulatorOptions

TICKS = 4_000
LOGINS = 2
"""After the dead token at the start, and after the one that dies while the feed runs."""
REFUSALS = 2
"""Of each dead token: a first refusal is not believed alone."""


def log_in(kite: SimulatedKite, token_file: Path) -> None:
    """What `auth exchange` does."""
    with KiteRest("dummy", root=kite.root) as rest:
        write_token(token_file, rest.exchange(kite.account.log_in("dummy"), "secret"))


def auth_events(kafka: KafkaSettings, mark: Mark) -> Counter[str]:
    topic = Topics().events
    with RecordReader(
        kafka,
        [topic],
        from_offsets=mark.offsets[topic],
        until_end=True,
    ) as records:
        events = [record.decode().record for record in records]
    types = [event["type"] for event in events if event["feed"] == stage.FEED]
    return Counter(kind for kind in types if kind.startswith("AUTH_"))


def test_a_new_token_is_picked_up_by_the_bridge_that_runs(
    mock_kafka: KafkaSettings, tmp_path: Path
) -> None:
    options = SimulatorOptions(
        seed=5,
        ticks=TICKS,
        rate_per_s=2_000,
        frame_packets=20,
        expected_tokens=stage.INSTRUMENTS,
    )
    token_file = tmp_path / "token.json"
    minted = datetime.now(UTC) - timedelta(days=1)
    write_token(token_file, Grant("dummy", Secret("yesterday"), "SIM001", "", minted))

    async def play() -> tuple[SimulatedKite, int, list[str]]:
        async with SimulatedKite(options, account=Account("dummy", "secret")) as kite:
            ledger = kite.feed.ledger
            bridge = stage.BridgeProcess(tmp_path, kite.url, mock_kafka.bootstrap)
            try:
                await bridge.start()
                await stage.until(lambda: ledger.refused == REFUSALS)
                await asyncio.to_thread(log_in, kite, token_file)
                await stage.until(lambda: ledger.rows > TICKS // 3)
                kite.account.expire()
                await stage.until(lambda: ledger.refused == 2 * REFUSALS)
                await asyncio.to_thread(log_in, kite, token_file)
                await asyncio.wait_for(kite.feed.finished.wait(), stage.DEADLINE_S)
                code = await bridge.end(signal.SIGTERM)
            finally:
                await bridge.kill_if_running()
            return kite, code, bridge.lines

    mark = mark_topics(mock_kafka, Topics().names)
    kite, code, lines = asyncio.run(play())
    ledger = kite.feed.ledger
    back = stage.read_all(
        mock_kafka.bootstrap, mark, stage.journaled_sessions(tmp_path / "journal")
    )
    assert code == 0, lines
    assert back.ticks == ledger.rows > TICKS
    assert (back.lost(), back.duplicated, back.reordered) == (0, 0, 0)
    assert auth_events(mock_kafka, mark) == {"AUTH_EXPIRED": LOGINS, "AUTH_RESTORED": LOGINS}
    # Two attempts with each dead token and one with each new one: no storm.
    assert (ledger.refused, len(ledger.connections)) == (LOGINS * REFUSALS, LOGINS)
