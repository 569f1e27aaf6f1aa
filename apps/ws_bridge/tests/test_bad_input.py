"""Bad input, a table: each is one sentence that says what to do, and the right exit code.

All calls begin at once, because some must wait for a broker that does not answer.
"""

from __future__ import annotations

import json
import re
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from kite_kafka_io.mock_broker import MockBroker
from kite_live_feed.journal import Journal
from kite_runtime.testing import CommandLine, Running

KEY, TOKEN = "dummykey", "CANARYtoken"
NOBODY = "127.0.0.1:9"
REMOTE = "kafka.invalid:9092"
Write = Callable[[Path], None]


def text(name: str, content: str | bytes) -> Write:
    """Writes a file into the call's folder."""

    def write(folder: Path) -> None:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)

    return write


def tokens(content: str | bytes) -> Write:
    return text("configs/tokens.csv", content)


@dataclass(frozen=True)
class Case:
    """One line of the table. In the environment ``{taken}``, ``{empty}`` and ``{folder}`` stand
    for a port in use, a broker without topics and the call's folder."""

    name: str
    code: int
    says: tuple[str, ...]
    arguments: tuple[str, ...] = ("run",)
    write: tuple[Write, ...] = ()
    env: dict[str, str] = field(default_factory=dict)
    never: tuple[str, ...] = (TOKEN,)


MANY = "instrument_token\n" + "".join(f"{number << 8 | 1}\n" for number in range(1, 9_002))
NO_KITE = {"KITE_API_KEY": "", "KITE_ACCESS_TOKEN": ""}
SCRIPT = text("script.txt", "20 explode\n")
TABLE = [
    Case("no .env", 78, ("KITE_API_KEY and KITE_ACCESS_TOKEN", "demo", "smoke"), env=NO_KITE),
    Case("no token", 78, ("set KITE_ACCESS_TOKEN", "demo"), env={"KITE_ACCESS_TOKEN": " "}),
    Case(
        "malformed .env",
        78,
        (".env line 2",),
        write=(text(".env", "# Kite\nKITE_ACCESS_TOKEN CANARYsecret\n"),),
        never=("CANARY",),
    ),
    Case(
        "unbalanced quote in .infra/.env",
        78,
        (".infra/.env line 1", "quote"),
        write=(text(".infra/.env", "KAFKA_SASL_PASSWORD='CANARYsecret\n"),),
        never=("CANARY",),
    ),
    Case(".env is no text", 78, (".env is not UTF-8",), write=(text(".env", b"A=\xff\xfe\n"),)),
    Case(
        "unknown token",
        78,
        ("tokens.csv, line 3", "unknown token 511", "segment 255"),
        write=(tokens("instrument_token\n408065\n511\n"),),
    ),
    Case(
        "no number",
        78,
        ("line 2", "'INFY' is no instrument token", "such as 408065"),
        write=(tokens("instrument_token\nINFY\n"),),
    ),
    Case(
        "wrong column",
        78,
        ("line 1", "column instrument_token is missing", "found token,mode"),
        write=(tokens("token,mode\n408065,full\n"),),
    ),
    Case(
        "wrong mode",
        78,
        ("line 2", "unknown mode 'fast'", "ltp, quote or full"),
        write=(tokens("instrument_token,mode\n408065,fast\n"),),
    ),
    Case(
        "duplicate tokens",
        78,
        ("line 4", "token 408065 stands on line 2 too"),
        write=(tokens("instrument_token\n408065\n738561\n408065\n"),),
    ),
    Case(
        "too many tokens",
        78,
        ("9001 instruments are 1 more than Kite takes",),
        write=(tokens(MANY),),
    ),
    Case(
        "empty file", 78, ("tokens.csv: the file is empty", "instrument_token"), write=(tokens(""),)
    ),
    Case("header alone", 78, ("holds no instrument",), write=(tokens("instrument_token\n"),)),
    Case("no tokens file", 78, ("does not exist", "create it"), ("run", "--tokens", "gone.csv")),
    Case("plan of no file", 78, ("does not exist",), ("plan", "--tokens", "gone.csv")),
    Case(
        "universe names an unknown symbol",
        78,
        ("universe_a.csv, line 2", "unknown instrument NSE:NOWHERE"),
        write=(
            tokens("instrument_token,exchange,tradingsymbol\n408065,NSE,INFY\n"),
            text("universe_a.csv", "exchange,tradingsymbol\nNSE,NOWHERE\n"),
        ),
        env={"WS_BRIDGE_UNIVERSE": "universe_a.csv"},
    ),
    Case(
        "port taken",
        78,
        ("port {taken} cannot be opened", "WS_BRIDGE_PORT="),
        env={"WS_BRIDGE_PORT": "{taken}"},
    ),
    Case(
        "simulator's port taken",
        78,
        ("port {taken} cannot be opened",),
        ("simulate", "--port", "{taken}"),
    ),
    Case(
        "simulator's REST port taken",
        78,
        ("port {taken} cannot be opened", "--rest-port"),
        ("simulate", "--port", "0", "--rest-port", "{taken}"),
    ),
    Case(
        "wrong port",
        78,
        ("WS_BRIDGE_PORT is 'http'", "for example WS_BRIDGE_PORT=9464"),
        env={"WS_BRIDGE_PORT": "http"},
    ),
    Case("broker away", 75, (NOBODY, "answers"), env={"KAFKA_BOOTSTRAP": NOBODY}),
    Case("broker away from demo", 75, (NOBODY, "answers"), ("demo", "--bootstrap", NOBODY)),
    Case("broker away from smoke", 75, (NOBODY, "answers"), ("smoke", "--bootstrap", NOBODY)),
    Case(
        "simulated ticks for a broker elsewhere",
        78,
        ("ws://127.0.0.1:9", "simulated", REMOTE, "--allow-remote-kafka"),
        ("run", "--endpoint", "ws://127.0.0.1:9"),
        env={"KAFKA_BOOTSTRAP": REMOTE},
    ),
    Case(
        "a demo for a broker elsewhere",
        78,
        ("the demo is a simulated market", REMOTE, "--allow-remote-kafka"),
        ("demo", "--bootstrap", REMOTE),
    ),
    Case(
        "a smoke for one broker here and one elsewhere",
        78,
        ("the smoke is a simulated market", REMOTE, "make up"),
        ("smoke",),
        env={"KAFKA_BOOTSTRAP": f"{NOBODY},{REMOTE}"},
    ),
    Case(
        "a smoke that may go elsewhere",
        75,
        (REMOTE, "answers"),
        ("smoke", "--bootstrap", REMOTE, "--allow-remote-kafka"),
    ),
    Case(
        "broker away from tail",
        75,
        (NOBODY, "answers"),
        ("tail", "--until-end", "--bootstrap", NOBODY),
    ),
    Case(
        "unknown topic",
        78,
        ("topic ticks does not exist at {empty}", "make up"),
        env={"KAFKA_BOOTSTRAP": "{empty}"},
    ),
    Case(
        "no broker named",
        78,
        ("KAFKA_BOOTSTRAP is not set", "make up"),
        env={"KAFKA_BOOTSTRAP": ""},
    ),
    Case(
        "no broker named for smoke",
        78,
        ("KAFKA_BOOTSTRAP is not set",),
        ("smoke",),
        env={"KAFKA_BOOTSTRAP": ""},
    ),
    Case(
        "bad bootstrap",
        78,
        ("KAFKA_BOOTSTRAP", "'nowhere', which is no host:port"),
        env={"KAFKA_BOOTSTRAP": "nowhere"},
    ),
    Case("bad --bootstrap", 78, ("'x:y', which is no host:port",), ("tail", "--bootstrap", "x:y")),
    Case("registry away", 75, ("registry",), env={"SCHEMA_REGISTRY_URL": f"http://{NOBODY}"}),
    Case(
        "endpoint without TLS",
        78,
        ("KITE_WS_URL would send the token without encryption",),
        ("run", "--endpoint", "ws://example.com"),
    ),
    Case(
        "broken sessions.toml",
        78,
        ("sessions.toml", "the table 'session' is unknown"),
        write=(text("configs/sessions.toml", "[[session]]\n"),),
    ),
    Case(
        "journal is a file", 78, ("journal folder", "cannot be used"), write=(text("journal", ""),)
    ),
    Case(
        "journal of a running bridge",
        78,
        ("belongs to a running bridge", "WS_BRIDGE_NAME"),
        env={"WS_BRIDGE_JOURNAL_DIR": "{locked}"},
    ),
    Case(
        "journal limit",
        78,
        ("WS_BRIDGE_JOURNAL_MAX_BYTES",),
        env={"WS_BRIDGE_JOURNAL_MAX_BYTES": "2MiB"},
    ),
    Case("wrong flag", 2, ("No such option", "--fast", "--help"), ("run", "--fast")),
    Case("wrong flag without a command", 2, ("No such option",), ("--fast",)),
    Case("wrong command", 2, ("No such command 'dance'",), ("dance",)),
    Case("wrong number", 2, ("--port",), ("run", "--port", "70000")),
    Case("negative seed", 2, ("--seed",), ("smoke", "--seed", "-1")),
    Case("missing argument", 2, ("FILE",), ("decode",)),
    Case(
        "demo too large for its own broker",
        2,
        ("60000", "--bootstrap"),
        ("demo", "--ticks", "60001"),
    ),
    Case(
        "wrong file",
        2,
        ("data.bin is no journal segment", "*.journal"),
        ("replay", "data.bin"),
        (text("data.bin", b"no journal" * 99),),
    ),
    Case("no such file", 2, ("gone.journal cannot be read",), ("replay", "gone.journal")),
    Case(
        "replay into dead letters",
        2,
        ("is for dead letters",),
        ("replay", "x.journal", "--topic", "ticks.dlq"),
        (text("x.journal", b""),),
    ),
    Case(
        "wrong fault script",
        2,
        ("'20 explode' is not FRAME KIND [NUMBER]", "drop"),
        ("smoke", "--script", "script.txt"),
        (SCRIPT,),
    ),
    Case(
        "wrong faults of the demo",
        2,
        ("'20 explode'",),
        ("demo", "--faults", "script.txt"),
        (SCRIPT,),
    ),
    Case(
        "no fault script",
        2,
        ("--faults gone.txt", "none, all"),
        ("simulate", "--faults", "gone.txt"),
    ),
    Case(
        "wrong fault script of REST",
        2,
        ("'20 explode' is not REQUEST KIND [NUMBER]", "429"),
        ("simulate", "--port", "0", "--rest-faults", "script.txt"),
        (SCRIPT,),
    ),
    Case(
        "no fault script of REST",
        2,
        ("--rest-faults gone.txt", "none or a text file"),
        ("simulate", "--port", "0", "--rest-faults", "gone.txt"),
    ),
    Case(
        "no instruments",
        2,
        ("--instruments gone.csv", "No such file"),
        ("simulate", "--port", "0", "--instruments", "gone.csv"),
    ),
    Case(
        "damaged instruments",
        2,
        ("--instruments cut.csv.gz", "not a whole gzip file"),
        ("simulate", "--port", "0", "--instruments", "cut.csv.gz"),
        (text("cut.csv.gz", b"\x1f\x8b\x08\x00"),),
    ),
]


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """What the table's placeholders stand for."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        locked = tmp_path_factory.mktemp("locked") / "journal"
        stack.enter_context(Journal(locked))
        yield {
            "taken": str(listener.getsockname()[1]),
            "empty": stack.enter_context(MockBroker()).bootstrap,
            "locked": str(locked),
        }


@pytest.fixture(scope="module")
def calls(
    command_line: CommandLine,
    mock_broker: MockBroker,
    tmp_path_factory: pytest.TempPathFactory,
    places: dict[str, str],
) -> dict[str, Running]:
    """Every call of the table, running."""
    started = {}
    for case in TABLE:
        folder = tmp_path_factory.mktemp("call")
        tokens("instrument_token\n408065\n")(folder)
        for write in case.write:
            write(folder)
        env = {
            "KITE_API_KEY": KEY,
            "KITE_ACCESS_TOKEN": TOKEN,
            "KAFKA_BOOTSTRAP": mock_broker.bootstrap,
            "WS_BRIDGE_PORT": "0",
            "WS_BRIDGE_JOURNAL_DIR": "journal",
            **case.env,
        }
        started[case.name] = command_line.start(
            *(each.format_map(places) for each in case.arguments),
            env={name: value.format_map(places) for name, value in env.items()},
            cwd=folder,
        )
    return started


@pytest.mark.parametrize("case", TABLE, ids=lambda case: case.name)
def test_bad_input_is_one_sentence(
    case: Case, calls: dict[str, Running], places: dict[str, str]
) -> None:
    finished = calls[case.name].finish()
    assert finished.code == case.code, finished.stderr
    assert len(finished.sentences) == 1, finished.stderr
    [sentence] = finished.sentences
    for part in case.says:
        assert part.format_map(places) in sentence
    for secret in case.never:
        assert secret not in finished.stderr + finished.stdout
    assert "Traceback" not in finished.stderr
    assert finished.stdout == ""


def test_a_full_disk_is_an_alarm_and_a_counted_loss(
    command_line: CommandLine, mock_broker: MockBroker, tmp_path: Path
) -> None:
    """No segment can be allocated: the bridge goes on, says what is lost, and ends with 3."""
    simulator = command_line.start("simulate", "--port", "0", "--rate", "200")
    simulator.until(lambda: "Kite simulator at" in simulator.stderr, "the address")
    found = re.search(r"ws://127\.0\.0\.1:\d+", simulator.stderr)
    assert found is not None
    tokens("instrument_token\n408065\n738561\n")(tmp_path)
    bridge = command_line.start(
        *("run", "--endpoint", found[0], "--port", "0", "--bootstrap", mock_broker.bootstrap),
        env={
            "KITE_API_KEY": KEY,
            "KITE_ACCESS_TOKEN": TOKEN,
            "WS_BRIDGE_JOURNAL_DIR": "journal",
        },
        cwd=tmp_path,
        file_bytes_max=200_000,
    )
    bridge.until(lambda: "frames are being lost" in bridge.stderr, "the alarm")
    finished = bridge.finish(signal.SIGTERM)
    sent = json.loads(simulator.finish(signal.SIGTERM).stdout)
    assert finished.code == 3, finished.stderr
    assert "Traceback" not in finished.stderr
    alarms = [line for line in finished.stderr.splitlines() if "frames are being lost" in line]
    assert len(alarms) == 1
    assert json.loads(alarms[0])["level"] == "error"
    told = re.search(r"acknowledged, ([\d,]+) frames lost", finished.stderr)
    assert told is not None
    assert 0 < int(told[1].replace(",", "")) <= sent["frames"]
