"""A canary: whatever goes well or wrong, no secret is in output, journal, metrics or Kafka."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from kite_kafka_io.consumer import RecordReader
from kite_kafka_io.mock_broker import MockBroker
from kite_kafka_io.settings import KafkaSettings
from kite_live_feed.topics import Topics
from kite_runtime.testing import (
    CANARY,
    PATIENCE_S,
    SECRETS,
    CommandLine,
    Finished,
    Running,
    call,
    import_path,
    traces,
    traces_in_files,
    write_env,
    write_token_file,
)

NOBODY = "127.0.0.1:9"


@pytest.fixture(scope="module")
def broker() -> Iterator[MockBroker]:
    """A broker whose records all come from these calls."""
    with MockBroker() as broker:
        for name in Topics().names:
            broker.create_topic(name)
        yield broker


@pytest.fixture()
def home(tmp_path: Path) -> Path:
    """A folder with the secrets in its .env."""
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "tokens.csv").write_text("instrument_token\n408065\n738561\n")
    write_env(tmp_path, {"KAFKA_SASL_USERNAME": "bridge"})
    return tmp_path


def begin(command_line: CommandLine, home: Path, kafka: str, endpoint: str, *more: str) -> Running:
    return command_line.start(
        *("run", "--endpoint", endpoint, "--bootstrap", kafka, "--port", "0", *more),
        env={"WS_BRIDGE_JOURNAL_DIR": "journal"},
        cwd=home,
    )


def simulate(command_line: CommandLine, *more: str) -> tuple[Running, str]:
    simulator = command_line.start("simulate", "--port", "0", *more)
    simulator.until(lambda: "Kite simulator at" in simulator.stderr, "the address")
    found = re.search(r"ws://127\.0\.0\.1:\d+", simulator.stderr)
    assert found is not None
    return simulator, found[0]


def no_canary(home: Path, *calls: Finished) -> None:
    """Nothing of the calls holds a secret: neither what they printed nor a file that they left."""
    for done in calls:
        assert traces(done.stdout + done.stderr) == []
        assert "Traceback" not in done.stderr
    assert traces_in_files(home) == []


def everything_in(broker: MockBroker) -> list[str]:
    settings = KafkaSettings(bootstrap=broker.bootstrap)
    with RecordReader(settings, list(Topics().names), start="earliest", until_end=True) as records:
        return [repr((each.key, each.value, each.headers)) for each in records]


def test_a_run_that_goes_well(command_line: CommandLine, broker: MockBroker, home: Path) -> None:
    """The script has texts of the broker, drops and refusals, garbage and violations in it."""
    script = "2 text; 4 garbage; 6 violation; 8 drop; 12 403 1"
    (home / "script").write_text(script)
    simulator, endpoint = simulate(
        command_line, "--faults", str(home / "script"), "--rate", "400", "--frame-packets", "4"
    )
    bridge = begin(command_line, home, broker.bootstrap, endpoint)
    bridge.until(lambda: "message from Kite" in bridge.stderr, "the text messages")
    found = re.search(r"http://127\.0\.0\.1:\d+", bridge.stderr)
    assert found is not None
    pages = [
        urllib.request.urlopen(found[0] + path, timeout=10).read().decode()
        for path in ("/metrics", "/healthz")
    ]
    bridge.until(lambda: '"type": "GAP_CLOSED"' in bridge.stderr, "the drop")
    finished = bridge.finish(signal.SIGTERM)
    sent = simulator.finish(signal.SIGTERM)
    assert finished.code == 3, finished.stderr
    no_canary(home, finished, sent)
    assert not [page for page in pages if CANARY in page]
    records = everything_in(broker)
    assert len(records) > 20
    assert not [record for record in records if CANARY in record]


def metrics(site: str) -> str:
    text: str = urllib.request.urlopen(site + "/metrics", timeout=10).read().decode()
    return text


def test_a_token_that_is_refused(command_line: CommandLine, broker: MockBroker, home: Path) -> None:
    simulator, endpoint = simulate(command_line, "--dead-token", SECRETS["KITE_ACCESS_TOKEN"])
    bridge = begin(command_line, home, broker.bootstrap, endpoint)
    site = re.compile(r"http://127\.0\.0\.1:\d+")
    bridge.until(lambda: site.search(bridge.stderr) is not None, "the address")
    found = site.search(bridge.stderr)
    assert found is not None
    bridge.until(lambda: "ws_bridge_auth_expired 1.0" in metrics(found[0]), "the alarm")
    finished = bridge.finish(signal.SIGTERM)
    sent = simulator.finish(signal.SIGTERM)
    assert finished.code == 0, finished.stderr
    no_canary(home, finished, sent)
    records = everything_in(broker)
    assert [record for record in records if "403" in record], "the alarm is in feed.events"
    assert not [record for record in records if CANARY in record]


def test_nobody_at_the_other_end(command_line: CommandLine, broker: MockBroker, home: Path) -> None:
    bridge = begin(command_line, home, broker.bootstrap, f"ws://{NOBODY}")
    bridge.until(lambda: "metrics and health" in bridge.stderr, "the start")
    finished = bridge.finish(signal.SIGTERM)
    no_canary(home, finished)
    assert not [record for record in everything_in(broker) if CANARY in record]


@pytest.mark.parametrize(
    ("arguments", "env"),
    [
        (("run", "--debug", "--tokens", "gone.csv"), {}),
        (("run", "--debug", "--endpoint", "wss://u:CANARYurl@kite/?access_token=CANARYt"), {}),
        (("run", "--debug"), {"KAFKA_SECURITY_PROTOCOL": "SASL_SSL", "KAFKA_SASL_MECHANISM": "X"}),
        (("run", "--debug"), {"SCHEMA_REGISTRY_URL": f"http://user:CANARYpass@{NOBODY}"}),
        (("run", "--debug"), {"KAFKA_SASL_PASSWORD": "CANARY\n", "WS_BRIDGE_DRAIN": "soon"}),
        (("smoke", "--debug"), {"KAFKA_BOOTSTRAP": "nowhere"}),
        (("plan", "--debug"), {"WS_BRIDGE_NAME": "/"}),
    ],
)
def test_configuration_errors_with_their_trace(
    command_line: CommandLine,
    broker: MockBroker,
    home: Path,
    arguments: tuple[str, ...],
    env: dict[str, str],
) -> None:
    shown = command_line(*arguments, cwd=home, env={"KAFKA_BOOTSTRAP": broker.bootstrap, **env})
    assert shown.code in (75, 78), shown.stderr
    assert "Traceback" in shown.stderr
    assert CANARY not in shown.stderr + shown.stdout


@pytest.mark.parametrize("damage", ["", "no JSON: "])
def test_a_token_file_is_not_quoted(
    command_line: CommandLine, broker: MockBroker, home: Path, damage: str
) -> None:
    """Good or damaged, with an endpoint where nobody is."""
    env = {"WS_BRIDGE_JOURNAL_DIR": "journal"}
    (home / ".env").write_text(f"KITE_API_KEY={SECRETS['KITE_API_KEY']}\n")
    path = write_token_file(home)
    path.write_text(damage + path.read_text())
    bridge = command_line.start(
        *("run", "--debug", "--endpoint", f"ws://{NOBODY}", "--bootstrap", broker.bootstrap),
        *("--port", "0"),
        env=env,
        cwd=home,
    )
    bridge.until(lambda: "GAP_OPENED" in bridge.stderr, "the first attempt to connect")
    no_canary(home, bridge.finish(signal.SIGTERM))


@pytest.mark.parametrize("line", ["KITE_ACCESS_TOKEN CANARYtoken", "KITE_API_KEY='CANARYkey"])
def test_a_malformed_env_is_not_quoted(command_line: CommandLine, home: Path, line: str) -> None:
    (home / ".env").write_text(f"{line}\n")
    shown = command_line("run", "--debug", cwd=home)
    assert shown.code == 78
    assert ".env line 1" in shown.sentences[0]
    assert CANARY not in shown.stderr + shown.stdout


LOGGING = """
import structlog
from kite_runtime.logs import configure_logs
configure_logs(secrets=["CANARYtoken/+=0123", ""])
log = structlog.get_logger()
log.warning("said CANARYtoken/+=0123", data={"note": ["CANARYtoken/+=0123"], "price": 5})
log.warning("wss://kite/?api_key=CANARYkey&access_token=CANARYother")
try:
    raise ValueError("CANARYtoken/+=0123")
except ValueError:
    log.exception("failed")
"""


def test_the_log_strikes_secrets_out_wherever_they_stand() -> None:
    """The last line of defence: what the session lets through is not written either."""
    done = subprocess.run(
        [sys.executable, "-c", LOGGING],
        env={**os.environ, "PYTHONPATH": import_path()},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=True,
    )
    assert CANARY not in done.stdout + done.stderr
    assert done.stderr.count("***") >= 5
    assert done.stderr.count("\n") == 3
    assert '"price": 5' in done.stderr


@pytest.mark.parametrize("arguments", [("plan",), ("run", "--debug", "--bootstrap", NOBODY)])
def test_the_list_of_processes_shows_none(home: Path, arguments: tuple[str, ...]) -> None:
    """With the secrets in .env and in the environment, in a process of the program's own."""
    command = [sys.executable, "-m", "kite_ws_bridge.cli", *arguments]
    done = call(command, home, {**SECRETS, "PYTHONPATH": import_path()})
    assert done.code == (0 if arguments == ("plan",) else 75), done.stderr
    assert done.traces() == []
    assert traces_in_files(home) == []


def test_the_canary_would_be_found(home: Path) -> None:
    """The check itself can fail."""
    (home / "journal").mkdir()
    (home / "journal" / "1.journal").write_bytes(b"x" + SECRETS["KITE_ACCESS_TOKEN"].encode())
    with pytest.raises(AssertionError):
        no_canary(home)
    with pytest.raises(AssertionError):
        no_canary(home, Finished("ws_bridge", 0, "", f"token={SECRETS['KITE_API_KEY']}"))
