"""Messages name commands as the reader can type them."""

from __future__ import annotations

from pathlib import Path

import pytest

from kite_runtime.console import complain, say
from kite_runtime.invocation import PLACES, as_typed

TEXT = "no token: run `instruments auth url`, then `hist_merge daily`"
SANDBOX = "/tmp/pants-sandbox-abc/hist_merge.pex"


def test_by_name_where_no_pex_started_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PEX", raising=False)
    assert as_typed(TEXT) == TEXT


def test_by_pants(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PEX", SANDBOX)
    assert as_typed(TEXT) == (
        "no token: run `./pants run apps/instruments -- auth url`, "
        "then `./pants run apps/hist_merge -- daily`"
    )


def test_by_a_pex_file_and_the_one_beside_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PEX", str(tmp_path / "hist_merge.pex"))
    assert as_typed(TEXT) == "no token: run `instruments auth url`, then `hist_merge.pex daily`"
    (tmp_path / "instruments.pex").touch()
    assert "`instruments.pex auth url`" in as_typed(TEXT)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("to see which   hist_merge findings --day D", "./pants run apps/hist_merge -- findings"),
        ("hist_merge: no such day", "hist_merge: no such day"),
        (
            "the group `hist_merge` and `hist_merge.md`",
            "the group `hist_merge` and `hist_merge.md`",
        ),
        ("`kite-simulator vendor-files`", "`./pants run packages/simulator -- vendor-files`"),
    ],
)
def test_commands_alone(text: str, shown: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PEX", SANDBOX)
    assert shown in as_typed(text)


def test_what_is_said_is_as_typed(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PEX", SANDBOX)
    say("see `dlq_triage groups`")
    complain("hist_merge", "run `instruments sync`", 78)
    said = capfd.readouterr().err
    assert "`./pants run apps/dlq_triage -- groups`" in said
    assert "`./pants run apps/instruments -- sync`" in said


def test_every_place_is_there() -> None:
    repository = next(
        (each for each in Path(__file__).resolve().parents if (each / "pants.toml").exists()), None
    )
    if repository is not None:  # in a sandbox of Pants it is not
        assert all((repository / place / "BUILD").exists() for place in PLACES.values())
