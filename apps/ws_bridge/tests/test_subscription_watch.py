"""The subscription files are read again when they change; a broken version keeps the old plan."""

from __future__ import annotations

import os
from datetime import date, timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from kite_broker_zerodha.subscriptions import (
    SHARD_TOKENS_MAX,
    SHARDS_MAX,
    Plan,
    SubscriptionFileError,
)
from kite_contracts.tick_batch import TickMode
from kite_ws_bridge import subscription_watch
from kite_ws_bridge.subscription_watch import SubscriptionWatch

HEADER = "instrument_token,mode,exchange,tradingsymbol\n"
INFY, SBIN, RELIANCE = (
    "408065,full,NSE,INFY\n",
    "779521,quote,NSE,SBIN\n",
    "738561,full,NSE,RELIANCE\n",
)


@pytest.fixture()
def tokens(tmp_path: Path) -> Path:
    path = tmp_path / "tokens.csv"
    path.write_text(HEADER + INFY + SBIN)
    return path


def modes(plan: Plan | None) -> dict[int, TickMode]:
    assert plan is not None
    return {token: mode for shard in plan.shards for token, mode in shard.items()}


def test_a_file_that_did_not_change_is_no_change(tokens: Path) -> None:
    watch = SubscriptionWatch(tokens, ())
    plan = watch.load()
    assert modes(plan) == {408065: TickMode.FULL, 779521: TickMode.QUOTE}
    assert watch.changed(plan) is None
    assert watch.problem is None


def test_a_new_version_gives_a_new_plan_once(tokens: Path) -> None:
    watch = SubscriptionWatch(tokens, ())
    plan = watch.load()
    tokens.write_text(HEADER + INFY + RELIANCE)
    new = watch.changed(plan)
    assert modes(new) == {408065: TickMode.FULL, 738561: TickMode.FULL}
    assert new is not None
    assert watch.changed(new) is None


def test_an_instrument_that_comes_back_has_the_connection_that_it_had(tokens: Path) -> None:
    """Else its ticks could carry an older feed session than the last ones that a reader has."""
    rows = [f"{256 * number + 1},full,NSE,S{number}\n" for number in range(1, 3_400)]
    tokens.write_text(HEADER + "".join(rows))
    watch = SubscriptionWatch(tokens, ())
    plan = first = watch.load()
    assert len(first.shards) == 2
    for kept in (rows[:-300], rows[200:], rows):
        tokens.write_text(HEADER + "".join(kept))
        new = watch.changed(plan)
        assert new is not None
        plan = new
    assert plan == first


def test_a_mode_alone_is_a_change(tokens: Path) -> None:
    watch = SubscriptionWatch(tokens, ())
    plan = watch.load()
    tokens.write_text(HEADER + INFY + SBIN.replace("quote", "ltp"))
    assert modes(watch.changed(plan))[779521] is TickMode.LTP


def test_the_same_text_written_again_changes_nothing(tokens: Path) -> None:
    watch = SubscriptionWatch(tokens, ())
    plan = watch.load()
    os.utime(tokens, (1, 1))
    assert watch.changed(plan) is None
    tokens.write_text("# touched\n" + tokens.read_text())
    assert watch.changed(plan) is None
    assert watch.problem is None


def test_tokens_keep_their_connection(tmp_path: Path) -> None:
    tokens = tmp_path / "tokens.csv"
    rows = [f"{number << 8 | 1},full,NSE,S{number}\n" for number in range(1, 3_101)]
    tokens.write_text(HEADER + "".join(rows))
    watch = SubscriptionWatch(tokens, ())
    plan = watch.load()
    before = {token: plan.shard_of(token) for token in modes(plan)}
    tokens.write_text(HEADER + "".join(rows[50:]) + "256265,full,NSE,NIFTY 50\n")
    new = watch.changed(plan)
    assert new is not None
    kept = [token for token in modes(new) if token in before]
    assert len(kept) == 3_050
    assert all(new.shard_of(token) == before[token] for token in kept)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (HEADER + INFY + INFY, "stands on line 2 too"),
        ("", "the file is empty"),
        (HEADER + "INFY,full,NSE,INFY\n", "no instrument token"),
        (HEADER + "7" * 5_020 + ",full,NSE,INFY\n", "no instrument token"),
        (HEADER + f"{10 << 8 | 10},full,NSE,INFY\n", "no segment 10"),
        (HEADER + '408065,full,NSE,"INFY\n', "malformed CSV"),
        ("\0" * 9_000, "column instrument_token is missing"),
        (HEADER + "".join(f"{n << 8 | 1},,,\n" for n in range(1, 9_002)), "more than Kite takes"),
    ],
)
def test_a_broken_version_keeps_the_old_plan_and_says_so(
    tokens: Path, text: str, problem: str
) -> None:
    watch = SubscriptionWatch(tokens, ())
    plan = watch.load()
    tokens.write_text(text)
    with capture_logs() as logs:
        assert watch.changed(plan) is None
        assert watch.changed(plan) is None
    assert watch.problem is not None
    assert problem in watch.problem
    assert [each["log_level"] for each in logs] == ["error"], "once a version"
    tokens.write_text(HEADER + INFY)
    assert modes(watch.changed(plan)) == {408065: TickMode.FULL}
    assert watch.problem is None


def test_a_version_that_is_a_fifo_keeps_the_plan_and_is_not_waited_for(tokens: Path) -> None:
    watch = SubscriptionWatch(tokens, ())
    plan = watch.load()
    tokens.unlink()
    os.mkfifo(tokens)
    assert watch.changed(plan) is None
    assert watch.problem is not None
    assert "no regular file" in watch.problem


def test_a_defect_does_not_end_the_watching(tokens: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    watch = SubscriptionWatch(tokens, ())
    plan = watch.load()

    def fail(*_: object) -> None:
        raise RuntimeError("it was not foreseen")

    with monkeypatch.context() as patched, capture_logs() as logs:
        patched.setattr(subscription_watch, "load_subscriptions", fail)
        tokens.write_text(HEADER + INFY)
        assert watch.changed(plan) is None
    assert watch.problem == "a defect of ws_bridge: RuntimeError('it was not foreseen')"
    assert [each["log_level"] for each in logs] == ["error"]
    tokens.write_text(HEADER + SBIN)
    assert modes(watch.changed(plan)) == {779521: TickMode.QUOTE}
    assert watch.problem is None


def test_a_file_that_goes_away_keeps_the_plan(tokens: Path) -> None:
    watch = SubscriptionWatch(tokens, ())
    plan = watch.load()
    tokens.unlink()
    assert watch.changed(plan) is None
    assert watch.problem is not None
    assert "does not exist" in watch.problem
    tokens.write_text(HEADER + INFY + SBIN)
    assert watch.changed(plan) is None, "it is back as it was"
    assert watch.problem is None


def test_a_universe_file_is_watched_too(tmp_path: Path, tokens: Path) -> None:
    universe = tmp_path / "universe_a.csv"
    universe.write_text("exchange,tradingsymbol\nNSE,INFY\n")
    watch = SubscriptionWatch(tokens, (universe,))
    plan = watch.load()
    universe.write_text("exchange,tradingsymbol\nNSE,SBIN\n")
    assert modes(watch.changed(plan)) == {779521: TickMode.FULL}


def test_a_file_renamed_over_the_other_is_seen(tmp_path: Path, tokens: Path) -> None:
    """`rsync -t` and editors replace the file, sometimes with the same size and time."""
    watch = SubscriptionWatch(tokens, ())
    plan = watch.load()
    status = tokens.stat()
    other = tmp_path / "other"
    other.write_text(HEADER + INFY + SBIN.replace("quote", "full "))
    os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert other.stat().st_size == status.st_size
    other.rename(tokens)
    assert modes(watch.changed(plan))[779521] is TickMode.FULL


def test_the_first_version_must_be_right(tokens: Path) -> None:
    tokens.write_text("")
    with pytest.raises(SubscriptionFileError):
        SubscriptionWatch(tokens, ()).load()


def test_no_more_than_kite_takes(tmp_path: Path, tokens: Path) -> None:
    most = SHARDS_MAX * SHARD_TOKENS_MAX
    lines = [f"{number << 8 | 1},ltp,NSE,S{number}\n" for number in range(1, most + 2)]
    tokens.write_text(HEADER + "".join(lines[:-1]))
    assert SubscriptionWatch(tokens, ()).load().tokens == most == 9000
    tokens.write_text(HEADER + "".join(lines))
    with pytest.raises(SubscriptionFileError, match="9001 instruments are 1 more than Kite takes"):
        SubscriptionWatch(tokens, ()).load()
    # As a list to look symbols up in, it may be as long as it likes.
    universe = tmp_path / "universe_a.csv"
    universe.write_text("exchange,tradingsymbol\nNSE,S9001\n")
    assert modes(SubscriptionWatch(tokens, (universe,)).load()) == {9001 << 8 | 1: TickMode.FULL}


EXPIRY = date(2026, 11, 26)
CONTRACT = f"15150338,full,NFO,NIFTY26NOVFUT,{EXPIRY}\n"


def test_a_contract_that_expires_while_the_bridge_runs_is_reported_the_next_day(
    tokens: Path,
) -> None:
    """The file stays as it is over midnight; a contract trades on the day of its expiry."""
    days = iter([EXPIRY, EXPIRY, *[EXPIRY + timedelta(1)] * 4, EXPIRY + timedelta(2)])
    now = [next(days)]
    tokens.write_text(f"{HEADER.strip()},expiry\n{INFY.strip()},\n{CONTRACT}")
    watch = SubscriptionWatch(tokens, (), day=lambda: now[0])
    plan = watch.load()
    assert watch.warning is None
    logged: list[tuple[str, str]] = []
    for now[0] in days:
        with capture_logs() as logs:
            assert watch.changed(plan) is None
        logged += [(str(now[0]), each["event"]) for each in logs]
    assert logged == [
        ("2026-11-27", "subscriptions have expired"),
        ("2026-11-28", "subscriptions have expired"),
    ], "once a day"
    assert watch.warning is not None
    assert "1 of 2 subscriptions have expired, such as NFO:NIFTY26NOVFUT on 2026-11-26" in (
        watch.warning
    )
    tokens.write_text(HEADER + INFY)
    assert watch.changed(plan) is not None
    assert watch.warning is None


def test_a_version_that_is_not_used_does_not_change_the_warning(tokens: Path) -> None:
    now = [EXPIRY + timedelta(1)]
    tokens.write_text(f"{HEADER.strip()},expiry\n{CONTRACT}")
    watch = SubscriptionWatch(tokens, (), day=lambda: now[0])
    plan = watch.load()
    first = watch.warning
    assert first is not None
    tokens.write_text("")
    assert watch.changed(plan) is None
    now[0] += timedelta(1)
    assert watch.changed(plan) is None
    assert watch.warning == first
