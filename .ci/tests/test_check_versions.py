"""The version check on a small repository of its own."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from check_versions import main


@pytest.fixture()
def repo(tmp_path: Path) -> Path:
    """A repository with one package, `ticks` 0.1.0, that was released."""
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    place = tmp_path / "packages" / "ticks"
    (place / "src").mkdir(parents=True)
    (place / "src" / "ticks.py").write_text("PRICE = 1\n")
    (place / "VERSION").write_text("0.1.0\n")
    (place / "CHANGELOG.md").write_text("# Changelog\n\n## [0.1.0] - 2026-11-23\n\nFirst.\n")
    assert main(["release", "ticks"], tmp_path) == 0
    return tmp_path


def ticks(repo: Path) -> Path:
    return repo / "packages" / "ticks"


def raise_version(repo: Path, version: str) -> None:
    (ticks(repo) / "VERSION").write_text(f"{version}\n")
    changelog = ticks(repo) / "CHANGELOG.md"
    changelog.write_text(changelog.read_text() + f"\n## [{version}] - 2026-11-24\n\nMore.\n")


def test_unchanged_sources_pass(repo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([], repo) == 0
    assert capsys.readouterr().out.endswith("packages/ticks: 0.1.0, released\n")


def test_changed_sources_need_a_version(repo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (ticks(repo) / "src" / "ticks.py").write_text("PRICE = 2\n")
    assert main([], repo) == 1
    assert "the sources differ from release 0.1.0" in capsys.readouterr().out


@pytest.mark.parametrize("change", ["add", "remove", "rename"])
def test_every_kind_of_change_counts(repo: Path, change: str) -> None:
    source = ticks(repo) / "src" / "ticks.py"
    if change == "add":
        (source.parent / "more.py").touch()
    elif change == "remove":
        source.unlink()
    else:
        source.rename(source.parent / "renamed.py")
    assert main([], repo) == 1


def test_a_raised_version_passes_and_can_be_released(
    repo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (ticks(repo) / "src" / "ticks.py").write_text("PRICE = 2\n")
    raise_version(repo, "0.2.0")
    assert main([], repo) == 0
    assert "0.2.0, unreleased; last release 0.1.0" in capsys.readouterr().out
    assert main(["release", "ticks"], repo) == 0
    assert main([], repo) == 0


def test_a_release_is_never_recorded_twice_for_other_sources(repo: Path) -> None:
    lock = (repo / "releases.lock").read_text()
    (ticks(repo) / "src" / "ticks.py").write_text("PRICE = 2\n")
    assert main(["release", "ticks"], repo) == 1
    assert (repo / "releases.lock").read_text() == lock


def test_a_place_not_in_the_lock_is_unreleased(
    repo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (repo / "releases.lock").unlink()
    assert main([], repo) == 0
    assert "packages/ticks: 0.1.0, unreleased" in capsys.readouterr().out


def test_a_release_has_a_date(repo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    changelog = ticks(repo) / "CHANGELOG.md"
    changelog.write_text(changelog.read_text().replace(" - 2026-11-23", " - Unreleased"))
    assert main([], repo) == 0
    assert main(["release", "ticks"], repo) == 1
    assert "CHANGELOG.md gives no date for the release" in capsys.readouterr().out


def test_files_that_git_ignores_do_not_count(repo: Path) -> None:
    (repo / ".gitignore").write_text("*.pyc\n")
    (ticks(repo) / "src" / "ticks.pyc").write_bytes(b"\0")
    assert main([], repo) == 0


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("VERSION", "soon\n", "VERSION does not hold one line such as 1.2.3"),
        ("CHANGELOG.md", "# Changelog\n", "CHANGELOG.md has no heading '## [0.1.0]'"),
        ("BUILD", 'x(\n    version="0.3.0",\n)\n', "BUILD says version 0.3.0, VERSION says 0.1.0"),
    ],
)
def test_its_own_files_must_agree(
    repo: Path, capsys: pytest.CaptureFixture[str], name: str, content: str, sentence: str
) -> None:
    (ticks(repo) / name).write_text(content)
    assert main([], repo) == 1
    assert sentence in capsys.readouterr().out


def test_a_place_that_vanished_is_named(repo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ticks(repo).rename(repo / "packages" / "quotes")
    assert main([], repo) == 1
    assert "ticks is released there and is no place any more" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "code"), [(["publish"], 2), (["release"], 2), (["release", "unknown"], 2)]
)
def test_wrong_usage(repo: Path, arguments: list[str], code: int) -> None:
    assert main(arguments, repo) == code


def use_ticks(repo: Path) -> Path:
    """A second package, `feed` 0.1.0, that imports the first one and is released."""
    place = repo / "packages" / "feed"
    (place / "src").mkdir(parents=True)
    (place / "src" / "feed.py").write_text("import os\nfrom kite_ticks.prices import PRICE\n")
    (place / "VERSION").write_text("0.1.0\n")
    (place / "CHANGELOG.md").write_text("# Changelog\n\n## [0.1.0] - 2026-11-23\n\nFirst.\n")
    assert main(["release", "feed"], repo) == 0
    return place


def test_the_same_sources_with_another_pin_are_another_wheel(
    repo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    feed = use_ticks(repo)
    assert main([], repo) == 0
    raise_version(repo, "0.2.0")
    capsys.readouterr()
    assert main([], repo) == 1
    assert "packages/feed: release 0.1.0 does not pin ticks 0.2.0; raise VERSION" in (
        capsys.readouterr().out
    )
    assert main(["release", "feed"], repo) == 1
    (feed / "VERSION").write_text("0.1.1\n")
    changelog = feed / "CHANGELOG.md"
    changelog.write_text(changelog.read_text() + "\n## [0.1.1] - 2026-11-24\n\nTicks 0.2.\n")
    assert main(["release", "ticks", "feed"], repo) == 0
    assert main([], repo) == 0


def test_a_release_that_is_older_than_pins_stays_one(repo: Path) -> None:
    use_ticks(repo)
    lock = repo / "releases.lock"
    entries = json.loads(lock.read_text())
    del entries["feed"]["pins"]
    lock.write_text(json.dumps(entries))
    raise_version(repo, "0.2.0")
    assert main([], repo) == 0
