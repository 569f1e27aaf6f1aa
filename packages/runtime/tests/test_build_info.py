"""What `--version` and the gauge show, for each way a program is installed."""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

import kite_runtime
from kite_runtime import build_info, health
from kite_runtime.build_info import BuildInfo, parse, version_text

TEXT = """\
packages/runtime 0.1.0
packages/contracts 0.3.0
packages/not_in_this_program 9.9.9
apps/tool 1.2.3
revision 4a6b582+changes
"""
PYTHON = f"{platform.python_implementation()} {platform.python_version()}"


@pytest.fixture()
def _packaged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build_info, "_has", lambda place: place in ("runtime", "contracts"))
    for module in (build_info, health):
        monkeypatch.setattr(module, "build_info", lambda: parse(TEXT))


def copy_of_the_package(root: Path) -> Path:
    """Its code alone in a folder of its own, for a process that sees nothing else of ours."""
    source = Path(kite_runtime.__file__).parent
    shutil.copytree(source, root / "kite_runtime", ignore=shutil.ignore_patterns("__pycache__"))
    return root


def text_in(root: Path) -> str:
    code = (
        "from kite_runtime.build_info import version_text; print(version_text('tool', 'runtime'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    return done.stdout


@pytest.mark.usefixtures("_packaged")
def test_the_program_its_packages_and_the_revision() -> None:
    assert version_text("tool", "tool").splitlines() == [
        f"tool 1.2.3 (revision 4a6b582+changes, {PYTHON})",
        "  kite-contracts 0.3.0",
        "  kite-runtime 0.1.0",
    ]


@pytest.mark.usefixtures("_packaged")
def test_a_command_of_a_package_names_the_package_once() -> None:
    assert version_text("kite-contracts", "contracts").splitlines()[1:] == ["  kite-runtime 0.1.0"]


@pytest.mark.usefixtures("_packaged")
def test_the_gauge_is_one_and_labelled() -> None:
    registry = CollectorRegistry()
    registry.register(health.BuildInfoCollector("tool"))
    labels = {"program": "tool", "version": "1.2.3", "revision": "4a6b582+changes"}
    assert registry.get_sample_value("kite_build_info", labels) == 1


def test_a_damaged_resource_is_refused() -> None:
    with pytest.raises(ValueError, match="not enough values"):
        parse("revision")


def test_a_pex_file_carries_a_resource(tmp_path: Path) -> None:
    root = copy_of_the_package(tmp_path)
    (root / "kite_runtime" / "build_info.txt").write_text(TEXT)
    assert text_in(root).startswith("tool 0.1.0 (revision 4a6b582+changes, ")


def test_a_checkout_asks_git(tmp_path: Path) -> None:
    place = tmp_path / "packages" / "runtime"
    root = copy_of_the_package(place / "src")
    (place / "VERSION").write_text("0.1.0\n")
    (tmp_path / "pants.toml").touch()
    assert text_in(root) == f"tool 0.1.0 (revision unknown, {PYTHON})\n"
    settings = ("-c", "user.name=t", "-c", "user.email=t@example.invalid")
    for command in (("init", "-q"), ("add", "."), ("commit", "-q", "-m", "first")):
        subprocess.run(["git", *settings, *command], cwd=tmp_path, check=True)
    asked = ["git", "rev-parse", "--short", "HEAD"]
    revision = subprocess.run(asked, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert text_in(root) == f"tool 0.1.0 (revision {revision.stdout.strip()}, {PYTHON})\n"
    (place / "VERSION").write_text("0.2.0\n")
    assert "+changes" in text_in(root)


def test_installed_wheels_have_metadata(tmp_path: Path) -> None:
    root = copy_of_the_package(tmp_path)
    for name, version in (("kite-runtime", "0.1.0"), ("kite-contracts", "0.3.0")):
        info = root / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    lines = text_in(root).splitlines()
    assert lines[0] == f"tool 0.1.0 (revision of the released wheels, {PYTHON})"
    assert "  kite-contracts 0.3.0" in lines


def test_what_is_not_known_is_called_so() -> None:
    assert BuildInfo({}, (), build_info.UNKNOWN).version_of("tool") == "unknown"
