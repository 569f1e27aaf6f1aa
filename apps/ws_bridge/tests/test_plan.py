"""``plan``: what would be subscribed, from the files that the bridge reads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kite_runtime.testing import CommandLine, Finished

HEADER = "instrument_token,mode,exchange,tradingsymbol\n"


def write(folder: Path, name: str, text: str) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)


def facts(finished: Finished) -> dict[str, Any]:
    assert finished.code == 0, finished.stderr
    found: dict[str, Any] = json.loads(finished.stdout)
    return found


@pytest.fixture()
def home(tmp_path: Path) -> Path:
    write(
        tmp_path, "configs/tokens.csv", HEADER + "256265,full,NSE,NIFTY 50\n408065,ltp,NSE,INFY\n"
    )
    return tmp_path


def test_it_needs_no_credentials_and_no_kafka(command_line: CommandLine, home: Path) -> None:
    found = facts(command_line("plan", "--json", cwd=home))
    assert found["tokens"] == 2
    [shard] = found["shards"]
    assert shard["modes"] == {"full": 1, "ltp": 1}
    assert shard["segments"] == {"INDICES": 1, "NSE": 1}
    assert (shard["tokens"], shard["free"]) == (2, 2_998)
    assert shard["bytes_a_round"] >= 32 + 8


def test_the_table(command_line: CommandLine, home: Path) -> None:
    shown = command_line("plan", cwd=home)
    assert shown.code == 0
    assert "2 instruments from configs/tokens.csv" in shown.stdout
    assert "2,998" in shown.stdout
    assert "1 full" in shown.stdout


def test_nine_thousand_fill_three_connections(command_line: CommandLine, tmp_path: Path) -> None:
    rows = "".join(f"{number << 8 | 1},quote,NSE,S{number}\n" for number in range(1, 9_001))
    write(tmp_path, "all.csv", HEADER + rows)
    found = facts(command_line("plan", "--json", "--tokens", "all.csv", cwd=tmp_path))
    assert [shard["tokens"] for shard in found["shards"]] == [3_000] * 3
    assert [shard["free"] for shard in found["shards"]] == [0] * 3


def test_shards_of_several_bridges_are_shown_and_refused_where_one_is_too_large(
    command_line: CommandLine, tmp_path: Path
) -> None:
    rows = "".join(f"{number << 8 | 1},quote,NSE,S{number}\n" for number in range(1, 9_001))
    write(tmp_path, "all.csv", HEADER + rows)
    arguments = ("plan", "--json", "--tokens", "all.csv", "--shards")
    found = facts(command_line(*arguments, "4", cwd=tmp_path))
    sizes = [shard["tokens"] for shard in found["shards"]]
    assert (len(sizes), sum(sizes)) == (4, 9_000)
    assert max(sizes) <= 3_000
    refused = command_line(*arguments, "3", cwd=tmp_path)
    assert refused.code == 78
    assert len(refused.sentences) == 1
    assert "WS_BRIDGE_SHARDS" in refused.stderr


def test_contracts_that_have_expired_are_named(command_line: CommandLine, tmp_path: Path) -> None:
    rows = (
        "instrument_token,mode,exchange,tradingsymbol,expiry\n"
        "13622530,quote,NFO,BANKNIFTY25JULFUT,2025-07-31\n"
        "19714,quote,NFO,NIFTY99DECFUT,2099-12-29\n"
        "408065,full,NSE,INFY,\n"
    )
    write(tmp_path, "configs/tokens.csv", rows)
    shown = command_line("plan", "--json", cwd=tmp_path)
    assert shown.code == 3
    assert json.loads(shown.stdout)["tokens"] == 3
    assert shown.stderr == (
        "warning: 1 of 3 subscriptions have expired, such as NFO:BANKNIFTY25JULFUT on 2025-07-31: "
        "Kite gives their tokens to other contracts; `instruments export` makes the files of "
        "today\n"
    )
    write(tmp_path, "configs/tokens.csv", rows.replace("2025-07-31", "soon"))
    wrong = command_line("plan", cwd=tmp_path)
    assert (wrong.code, "line 2: the expiry 'soon' is no day" in wrong.stderr) == (78, True)


def test_a_universe_chooses(command_line: CommandLine, home: Path) -> None:
    write(home, "universe_a.csv", "exchange,tradingsymbol,mode\nNSE,INFY,quote\n")
    flag = facts(command_line("plan", "--json", "--universe", "universe_a.csv", cwd=home))
    variable = facts(
        command_line("plan", "--json", cwd=home, env={"WS_BRIDGE_UNIVERSE": "universe_a.csv"})
    )
    assert flag == variable
    assert flag["shards"][0]["modes"] == {"quote": 1}


def test_the_settings_files_of_another_folder(
    command_line: CommandLine, home: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    write(home, ".infra/.env", "WS_BRIDGE_TOKENS=few.csv\n")
    write(home, "few.csv", HEADER + "408065,full,NSE,INFY\n")
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    assert facts(command_line("plan", "--json", "--root", str(home), cwd=elsewhere))["tokens"] == 1
