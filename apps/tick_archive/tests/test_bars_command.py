"""``bars``: what it prints and writes, and its exit code for bad input."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest
from archive_stage import Stage
from bars_stage import NAMES, BarStage, spread

from kite_devstack.testing import MakeTopic
from kite_kafka_io.settings import KafkaSettings
from kite_lake.bars import service
from kite_lake.bars.core import INTERVALS
from kite_tick_archive import settings
from kite_tick_archive.cli import PROGRAM


@pytest.fixture()
def bars(
    kafka_bootstrap: str, make_topic: MakeTopic, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> BarStage:
    """Topics of this test in the place of the real ones."""
    topics = make_topic(6), make_topic(1), "nowhere"
    stage = Stage(KafkaSettings(bootstrap=kafka_bootstrap), *topics, tmp_path)
    made = BarStage.of(stage, make_topic)
    monkeypatch.setattr(
        service, "BarsService", partial(service.BarsService, topics=made.topics, group="none")
    )
    monkeypatch.setenv("KAFKA_BOOTSTRAP", kafka_bootstrap)
    stage.send(spread(2_000))
    return made


def _run(*words: str) -> int:
    with pytest.raises(SystemExit) as ended:
        PROGRAM.main(["bars", *words])
    assert isinstance(ended.value.code, int)
    return ended.value.code


def test_bars_of_what_is_there(
    bars: BarStage,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    tokens = tmp_path / "tokens.csv"
    lines = [f"{token},full,{name[0]},{name[1]}" for token, name in NAMES.items()]
    header = "instrument_token,mode,exchange,tradingsymbol"
    tokens.write_text("\n".join([header, *lines]) + "\n")
    monkeypatch.setenv("TICK_ARCHIVE_BARS", "s5,m1")
    words = ("--once", "--json", "--tokens", str(tokens), "--root", str(tmp_path))
    assert _run(*words) == 0
    told = json.loads(capsys.readouterr().out)
    written = [bar["interval"] for bar in bars.bars()]
    assert told["ticks"] == 2_000
    assert told["bars"] == {name: written.count(name) for name in ("m1", "s5")}
    assert written.count("s5") > written.count("m1") > 0
    assert _run(*words) == 0
    assert json.loads(capsys.readouterr().out)["ticks"] == 0
    assert len(bars.bars()) == len(written)


def test_intervals_of_the_settings_are_those_of_the_bars() -> None:
    assert tuple(INTERVALS) == settings._INTERVALS
