"""The source ``live`` on the real Kafka: which records are bars of a window, and which are none."""

from __future__ import annotations

import base64
from collections.abc import Callable
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest
from confluent_kafka import Producer

from kite_bar_history import live_bars
from kite_bar_history.live_bars import LiveBars
from kite_bar_history.protocol import Window
from kite_bar_history.universe import Listed
from kite_bars_store.bars import BarInstrument, BarStore, Verdict, load_rules
from kite_bars_store.database import connect
from kite_contracts.sessions import SessionCalendar
from kite_kafka_io.codec import AvroCodec
from kite_kafka_io.errors import BrokerUnreachable, UnknownTopic
from kite_kafka_io.framing import SingleObjectFraming
from kite_kafka_io.raw_reader import RawReader
from kite_kafka_io.settings import KafkaSettings
from kite_runtime.clock import IST
from kite_runtime.errors import ConfigurationError, TryAgainLater
from kite_runtime.testing import Place

DAY: Final = datetime(2026, 6, 1, tzinfo=IST)
OPENS_MS: Final = int(DAY.replace(hour=9, minute=15).timestamp()) * 1000
SBIN = Listed(BarInstrument("NSE", "SBIN", 2, 5), "NSE", 779521)
TCS = Listed(BarInstrument("NSE", "TCS", 2, 5), "NSE", 2953217)
CODEC: Final = AvroCodec()
SESSION_MINUTES = 375


def bar(minute: int, symbol: str = "SBIN", close: int = 80_005, **other: Any) -> dict[str, Any]:
    return {
        "instrument_token": 779521,
        "exchange": "NSE",
        "tradingsymbol": symbol,
        "interval": "m1",
        "ts_open_ns": (OPENS_MS + minute * 60_000) * 1_000_000,
        "price_scale": 2,
        "open": 80_000,
        "high": 80_100,
        "low": 79_900,
        "close": close,
        "volume": 10,
        "oi": None,
        "source": "live",
        "is_final": True,
        **other,
    }


class Topic:
    """A topic of three partitions that takes records, and the source that reads it."""

    def __init__(self, bootstrap: str, name: str) -> None:
        self.name = name
        self.kafka = KafkaSettings(bootstrap=bootstrap)
        self._producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 0})

    def put(self, *said: dict[str, Any] | bytes, partition: int = 0, late_s: int = 61) -> None:
        """Each as long after its minute, or after 09:15, as the bridge would write it."""
        for each in said:
            value = each if isinstance(each, bytes) else CODEC.encode("bar", each)
            opens_ms = OPENS_MS if isinstance(each, bytes) else each["ts_open_ns"] // 1_000_000
            self._producer.produce(
                self.name, value, partition=partition, timestamp=opens_ms + late_s * 1000
            )
        assert self._producer.flush(30) == 0

    def close(self) -> None:
        self._producer.close()

    def source(self, **options: Any) -> LiveBars:
        return LiveBars(self.kafka, self.name, framing=SingleObjectFraming(), **options)


@pytest.fixture()
def topic(kafka_bootstrap: str, make_topic: Callable[..., str]) -> Any:
    with closing(Topic(kafka_bootstrap, make_topic(3))) as made:
        yield made


def window(*listed: Listed, since: datetime = DAY, days: int = 1, interval: str = "m1") -> Window:
    return Window(listed or (SBIN, TCS), interval, since, since + timedelta(days))


def read(source: LiveBars, asked: Window) -> dict[str, dict[int, int]]:
    """Closes by minute of the session, by name."""
    found: dict[str, dict[int, int]] = {}
    for bars in source.read(asked).bars:
        columns = bars.bars
        for row in range(len(columns)):
            minute = (int(columns.ts_open_ns[row]) // 1_000_000 - OPENS_MS) // 60_000
            name = bars.instruments[int(columns.instrument[row])].tradingsymbol
            found.setdefault(name, {})[minute] = int(columns.close[row])
    return found


def test_the_final_bars_of_the_window_are_read(topic: Topic) -> None:
    topic.put(bar(0), bar(1, close=80_010), bar(2, is_final=False))
    topic.put(bar(0, "TCS"), bar(0, "OTHER"), bar(3, interval="m5"), partition=1)
    topic.put(bar(4, source="kite"), bar(5, source="smoke"), bar(24 * 60), partition=2)
    source = topic.source()
    assert read(source, window()) == {"SBIN": {0: 80_005, 1: 80_010, 5: 80_005}, "TCS": {0: 80_005}}
    assert read(source, window(TCS)) == {"TCS": {0: 80_005}}
    assert read(source, window(SBIN, interval="d1")) == {}
    (said,) = source.read(window(SBIN)).bars
    assert (said.source, said.purpose, said.parameters["not_final"]) == ("live", "live", 1)


def test_of_several_words_the_last_one_counts(topic: Topic) -> None:
    """By offset within a partition, even where clocks went back; else by the time of writing."""
    topic.put(bar(0, close=80_010), late_s=90)
    topic.put(bar(0, close=80_020), late_s=61)
    topic.put(bar(1, close=80_030), late_s=600)
    topic.put(bar(1, close=80_040), partition=1)
    assert read(topic.source(), window(SBIN)) == {"SBIN": {0: 80_020, 1: 80_030}}


def test_what_was_written_before_the_window_is_not_read(topic: Topic) -> None:
    topic.put(*(bar(minute) for minute in range(50)))
    later = DAY.replace(hour=10)
    (said,) = topic.source().read(window(SBIN, since=later)).bars
    assert (len(said.bars), said.parameters["records"]) == (5, 6)


def test_no_bar_is_told_with_place_reason_and_bytes_and_only_once(topic: Topic) -> None:
    event = bytes.fromhex("c301") + bytes(8)
    broken = CODEC.encode("bar", bar(1))[:-3]
    negative = CODEC.encode("bar", bar(2, volume=-1))
    nameless = CODEC.encode("bar", bar(3, ""))
    topic.put(bar(0), b"", b"no record", event, broken, negative, nameless, partition=1)
    source = topic.source()
    reading = source.read(window(SBIN))
    assert [len(each.bars) for each in reading.bars] == [1]
    place = f"{topic.name}-1"
    assert [(each.place, each.line) for each in reading.refused] == [
        (place, offset) for offset in range(1, 7)
    ]
    assert [each.reason for each in reading.refused] == [
        "SCHEMA_INVALID",
        "SCHEMA_INVALID",
        "SCHEMA_UNKNOWN_ID",
        "SCHEMA_INVALID",
        "SEMANTIC_RANGE",
        "SEMANTIC_RANGE",
    ]
    said = [base64.b64decode(each.raw) for each in reading.refused]
    assert said == [b"", b"no record", event, broken, negative, nameless]
    assert "/volume" in reading.refused[4].message
    assert source.read(window(TCS)).refused == ()


def test_more_bars_than_memory_should_hold_are_read_window_by_window(topic: Topic) -> None:
    topic.put(*(bar(minute) for minute in range(20)), b"no record")
    topic.put(*(bar(minute, "TCS") for minute in range(20)), partition=1)
    small, large = topic.source(bars_max=5), topic.source()
    for asked in (window(SBIN), window(TCS), window(SBIN, TCS)):
        few, many = small.read(asked), large.read(asked)
        assert few.refused == many.refused
        assert [vars(each.bars).keys() for each in few.bars] == [
            vars(each.bars).keys() for each in many.bars
        ]
        assert read(small, asked) == read(large, asked) != {}


def test_prices_keep_the_decimals_that_they_were_written_with(topic: Topic) -> None:
    prices: dict[str, Any] = dict.fromkeys(("open", "high", "low", "close"), 8_000_525)
    topic.put(bar(0), bar(1, price_scale=4, **prices), bar(2, price_scale=1), bar(3, price_scale=9))
    (said,) = topic.source().read(window(SBIN)).bars
    assert [(each.price_scale, each.tick_size) for each in said.instruments] == [
        (1, 0),
        (2, 5),
        (4, 500),
        (9, 50_000_000),
    ]
    assert said.bars.close[said.bars.instrument == 2].tolist() == [8_000_525]


def test_live_bars_become_golden_and_again_write_nothing(
    topic: Topic, migrated_dsn: str, calendar: SessionCalendar
) -> None:
    topic.put(*(bar(minute) for minute in range(SESSION_MINUTES)))
    with closing(connect(migrated_dsn, application_name="tests")) as connection:
        store = BarStore(connection, load_rules(), calendar)
        first = store.merge(topic.source().read(window(SBIN)).bars)
        assert first.golden.verdicts == {Verdict.LIVE_ONLY: SESSION_MINUTES}
        topic.put(*(bar(minute) for minute in range(SESSION_MINUTES)), late_s=90)
        again = store.merge(topic.source().read(window(SBIN)).bars)
        assert (again.appended, again.golden.written, again.unchanged) == (0, 0, SESSION_MINUTES)
        topic.put(bar(7, close=80_050), late_s=120)
        mended = store.merge(topic.source().read(window(SBIN)).bars)
        assert (mended.appended, mended.golden.written) == (1, 1)


def test_daily_merges_bars_made_from_ticks_by_their_version(topic: Topic, place: Place) -> None:
    """As `tick_archive bars` writes them: a revision, and after a restart version 1 again."""
    made = [bar(minute, version=1, complete=True, ticks=9) for minute in range(SESSION_MINUTES)]
    revised = {**made[7], "close": 80_050, "version": 2, "complete": False}
    topic.put(*made, revised)
    topic.put(made[7], late_s=90)
    place.env |= {"KAFKA_BOOTSTRAP": topic.kafka.bootstrap, "HIST_MERGE_TOPIC": topic.name}
    days = ("--from", "20260601", "--to", "20260601", "--interval", "m1")
    call = ("daily", *days, "--no-kite", "--live", "--symbols", "NSE:SBIN", "--json")
    (merged,) = place(*call).json()
    assert (merged["read"], merged["verdicts"]) == (
        {"live": SESSION_MINUTES},
        {"LIVE_ONLY": SESSION_MINUTES},
    )
    assert read(topic.source(), window(SBIN))["SBIN"][7] == 80_050
    (again,) = place(*call).json()
    assert (again["added"], again["golden"]["inserted"]) == (0, 0)


def test_daily_takes_live_bars_too_and_tells_what_is_none(topic: Topic, place: Place) -> None:
    topic.put(*(bar(minute) for minute in range(SESSION_MINUTES)), b"no record")
    place.env |= {"KAFKA_BOOTSTRAP": topic.kafka.bootstrap, "HIST_MERGE_TOPIC": topic.name}
    days = ("--from", "20260601", "--to", "20260601", "--interval", "m1")
    call = ("daily", *days, "--no-kite", "--live", "--symbols", "NSE:SBIN", "--json")
    done = place(*call)
    (told,) = done.json()
    assert (told["read"], told["verdicts"]) == (
        {"live": SESSION_MINUTES},
        {"LIVE_ONLY": SESSION_MINUTES},
    )
    assert (done.code, told["refused"]) == (3, {"SCHEMA_INVALID": 1})
    kept = Path(told["refused_folder"]) / f"{topic.name}-0"
    assert base64.b64decode(kept.read_text()) == b"no record"
    (again,) = place(*call).json()
    assert (again["added"], again["golden"]["inserted"]) == (0, 0)


def test_an_empty_topic_says_nothing(topic: Topic) -> None:
    reading = topic.source().read(window())
    assert (reading.bars, reading.refused) == ((), ())


def test_a_topic_of_something_else_is_said_to_be_one(
    topic: Topic, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_bars, "REFUSED_MAX", 3)
    topic.put(*[b"no record"] * 4)
    with pytest.raises(ConfigurationError, match=r"no bars .*offset 3.*HIST_MERGE_TOPIC"):
        topic.source().read(window())


def test_kafka_that_says_nothing_is_given_up(topic: Topic, monkeypatch: pytest.MonkeyPatch) -> None:
    topic.put(bar(0))
    monkeypatch.setattr(RawReader, "read", lambda reader, timeout_s: [])
    with pytest.raises(TryAgainLater, match=f"nothing of {topic.name} for 0 s.*again later"):
        topic.source(silence_s=0.0).read(window())


def test_a_missing_topic_and_a_missing_broker(
    kafka_bootstrap: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    framing = SingleObjectFraming()
    with pytest.raises(UnknownTopic, match="test-nope does not exist"):
        LiveBars(KafkaSettings(bootstrap=kafka_bootstrap), "test-nope", framing=framing).read(
            window()
        )
    monkeypatch.setattr("kite_kafka_io.spans._TIMEOUT_S", 0.3)
    with pytest.raises(BrokerUnreachable, match=r"127\.0\.0\.1:9"):
        LiveBars(KafkaSettings(bootstrap="127.0.0.1:9"), "bars", framing=framing).read(window())
