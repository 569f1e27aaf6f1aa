"""``simulate`` serves REST too: every program can be tried without credentials."""

from __future__ import annotations

import re
import signal
import urllib.request
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from kite_broker_zerodha.auth.grant import login_url
from kite_broker_zerodha.auth.listener import RedirectListener
from kite_broker_zerodha.auth.redirect import request_token_of
from kite_broker_zerodha.errors import AuthRefused, RateLimited
from kite_broker_zerodha.rest import KiteRest
from kite_runtime.testing import CommandLine, Running


def started(command_line: CommandLine, *more: str) -> tuple[Running, str]:
    """The simulator, and the address of its REST API."""
    simulator = command_line.start("simulate", "--port", "0", *more)
    simulator.until(lambda: "its login page" in simulator.stderr, "the addresses")
    found = re.search(r"its REST API at (http://127\.0\.0\.1:\d+)", simulator.stderr)
    assert found is not None
    return simulator, found[1]


def browse(address: str) -> str:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(address, timeout=20) as page:
        text: str = page.read().decode()
    return text


def test_any_token_is_taken_until_somebody_logs_in(
    command_line: CommandLine, tmp_path: Path
) -> None:
    changes = tmp_path / "changes"
    changes.write_text("lost 779521 2025-06-02T09:16 2025-06-02T09:20  # SBIN, a Monday\n")
    simulator, root = started(command_line, "--history", str(changes))
    opens = datetime(2025, 6, 2, 9, 15, tzinfo=timezone(timedelta(hours=5, minutes=30)))
    with KiteRest("dummy", "dummy", root=root) as before:
        assert before.profile().user_id == "SIM001"
        assert before.instruments("NFO").count(b"\n") > 1000
        assert before.ltp(["NSE:NIFTY 50"])["NSE:NIFTY 50"] > 0
        assert len(before.historical(779521, "minute", opens, opens + timedelta(minutes=10))) == 6
        shown = browse(login_url("dummy", base=f"{root}/connect/login"))
        with KiteRest("dummy", root=root) as after:
            after.exchange(request_token_of("?" + shown.strip()), "dummy")
            assert after.profile().user_id == "SIM001"
        with pytest.raises(AuthRefused):
            before.profile()
    assert simulator.finish(signal.SIGTERM).code == 0


def test_file_faults_redirect_and_port_are_those_that_were_given(
    command_line: CommandLine, tmp_path: Path
) -> None:
    dump, faults = tmp_path / "dump.csv", tmp_path / "faults"
    dump.write_text("instrument_token,tradingsymbol,exchange\n257,A&B,NSE\n")
    faults.write_text("1 429 2\n")
    with RedirectListener(0) as listener:
        simulator, root = started(
            command_line,
            *("--instruments", str(dump), "--rest-faults", str(faults), "--rest-port", "0"),
            *("--redirect-url", f"http://127.0.0.1:{listener.port}/"),
        )
        again: list[object] = []
        with KiteRest("dummy", root=root, on_retry=lambda error, _: again.append(error)) as rest:
            assert rest.instruments("NSE") == dump.read_bytes()
            browse(login_url("dummy", base=f"{root}/connect/login"))
            assert rest.exchange(listener.wait(20), "dummy").user_id == "SIM001"
        assert [type(error) for error in again] == [RateLimited] * 2
    assert simulator.finish(signal.SIGINT).code == 0
