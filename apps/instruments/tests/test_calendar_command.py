"""``calendar``: a day explained, a list of days, and what is typed wrongly."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import pytest
from typer.testing import CliRunner

from kite_instruments.cli import PROGRAM
from kite_instruments.commands import calendar
from kite_runtime.errors import ConfigurationError, UsageError

SESSIONS = """
[[regime]]
segments = ["NSE"]
since = 2000-01-01
phases = ["continuous 06:00-06:30", "continuous 06:30-07:00 unsure"]
source = "my own hours"
"""


def shown(tmp_path: Path, *arguments: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a call; the delivered hours unless the folder has some."""
    words = ["calendar", "--root", str(tmp_path), *arguments]
    result = CliRunner().invoke(PROGRAM.app("calendar"), words, env={"COLUMNS": "160"})
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


def test_a_day_with_phases_reason_and_source(tmp_path: Path) -> None:
    code, out, _ = shown(tmp_path, "--segment", "nfo", "--date", "2026-08-03")
    assert code == 0
    assert "NFO trades (385 one-minute bars) on Monday, 2026-08-03" in out
    assert "│ continuous │ 09:15 │ 15:40  │     385 │ yes" in out
    assert "reason: usual hours since 2026-08-03" in out
    assert "source: NSE/FAOP/74467" in out
    assert "assumed" not in out


def test_a_class_has_its_own_hours(tmp_path: Path) -> None:
    _, out, _ = shown(tmp_path, "--date", "2026-08-03", "--class", "fo-stock")
    assert "NSE (fo-stock) trades (360 one-minute bars)" in out
    assert "closing-auction" in out


@pytest.mark.parametrize(
    ("day", "words"),
    [
        ("2026-08-02", "NSE is closed on Sunday, 2026-08-02"),
        ("2026-01-26", "NSE is closed on Monday, 2026-01-26"),
        ("2026-11-08", "NSE trades, at hours that are not known, on Sunday, 2026-11-08"),
        ("2101-01-03", "This answer is assumed"),
    ],
)
def test_other_days(tmp_path: Path, day: str, words: str) -> None:
    code, out, _ = shown(tmp_path, "--date", day)
    assert code == 0
    assert words in out


def test_a_month_marks_what_is_irregular(tmp_path: Path) -> None:
    code, out, err = shown(tmp_path, "--segment", "MCX", "--month", "2026-11")
    rows = [line for line in out.splitlines() if "2026-11-" in line]
    assert code == 0
    assert len(rows) == 30
    assert [row.split("│")[2].strip() for row in rows if "*" in row] == [
        *("2026-11-08", "2026-11-10", "2026-11-24")
    ]
    assert "30 days: 22 trading days with 17,835 bars, 3 irregular (*), 1 assumed (?)" in err


def test_a_span_as_json_lines(tmp_path: Path) -> None:
    _, out, _ = shown(tmp_path, "--from", "2024-10-31", "--to", "2024-11-02", "--json")
    days = [json.loads(line) for line in out.splitlines()]
    assert [(day["date"], day["kind"], day["minutes"]) for day in days] == [
        ("2024-10-31", "regular", 375),
        ("2024-11-01", "muhurat", 60),
        ("2024-11-02", "weekend", 0),
    ]


def test_one_day_as_json_is_one_object(tmp_path: Path) -> None:
    _, out, _ = shown(tmp_path, "--date", "2024-11-01", "--json")
    assert json.loads(out)["phases"][1]["opens"] == "2024-11-01T18:00:00+05:30"


def test_today_is_the_default(tmp_path: Path) -> None:
    _, out, _ = shown(tmp_path, "--json")
    assert abs(date.fromisoformat(json.loads(out)["date"]) - date.today()).days <= 1


def test_the_file_of_the_folder_wins(tmp_path: Path) -> None:
    (tmp_path / "configs").mkdir()
    (tmp_path / calendar.SESSIONS).write_text(SESSIONS)
    _, out, _ = shown(tmp_path, "--date", "2026-08-03")
    assert "source: my own hours" in out
    assert "│ no" in out
    _, out, _ = shown(tmp_path, "--from", "2026-08-03", "--to", "2026-08-03")
    assert "06:00-07:00" in out


def test_a_broken_file_is_a_settings_error(tmp_path: Path) -> None:
    (tmp_path / "configs").mkdir()
    (tmp_path / calendar.SESSIONS).write_text(SESSIONS.replace("06:00", "six"))
    with pytest.raises(ConfigurationError, match="must be a time such as 09:15"):
        shown(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("--date", "2026-02-30"), "no date such as 2024-01-05"),
        (("--month", "2026-13"), "no month such as 2026-08"),
        (("--segment", "NASDAQ"), "is none of NSE, BSE"),
        (("--class", "large"), "is none of fo-stock"),
        (("--from", "2026-01-01"), "--from and --to belong together"),
        (("--to", "2026-01-01"), "--from and --to belong together"),
        (("--from", "2026-01-02", "--to", "2026-01-01"), "the first one first"),
        (("--from", "2000-01-01", "--to", "2026-01-01"), "must be 1 to 3,660 days"),
        (("--date", "2026-01-01", "--month", "2026-01"), "--date and --month exclude each other"),
        (("--month", "2026-01", "--from", "2026-01-01"), "--month and --from and --to exclude"),
    ],
)
def test_wrong_usage(tmp_path: Path, arguments: tuple[str, ...], problem: str) -> None:
    try:
        code, _, message = shown(tmp_path, *arguments)
    except UsageError as error:
        code, message = error.exit_code, str(error)
    assert code == 2
    assert problem in " ".join(message.replace("│", " ").split())
