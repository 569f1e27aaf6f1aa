"""The launcher on machines that lack something: a PATH and a HOME made for each test."""

from __future__ import annotations

import fcntl
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PYTHON = os.path.realpath(sys.executable)
# Nothing listens on the discard port, and nobody retries it for long.
NO_INDEX = {"PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_CONFIG_FILE": os.devnull}
CACHE = Path(".cache", "kite-ingest", "pants-2.17.1")


def script(path: Path, *lines: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(["#!/bin/bash", *lines, ""]))
    path.chmod(0o755)


@pytest.fixture()
def home(tmp_path: Path) -> Path:
    """A home whose bin/ is the whole PATH: bash, dirname and the CPython 3.11 of the code."""
    (tmp_path / "bin").mkdir()
    for name in ("bash", "dirname"):
        found = shutil.which(name)
        assert found is not None
        (tmp_path / "bin" / name).symlink_to(found)
    script(tmp_path / "bin" / "python3.11", f'exec {shlex.quote(PYTHON)} "$@"')
    return tmp_path


def launch(
    home: Path, environ: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    settings = {"PATH": str(home / "bin"), "HOME": str(home), **(environ or {})}
    return subprocess.run(
        [str(ROOT / "pants"), "list", "::"],
        env=settings,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def give_python_39(home: Path) -> None:
    """A python3.9 that answers the launcher's question and is a 3.11 otherwise."""
    real = shlex.quote(PYTHON)
    script(
        home / "bin" / "python3.9", "[[ $1 == -c && $2 == *3.9* ]] && exit 0", f'exec {real} "$@"'
    )


def give_installation(home: Path, note: str = "pants_base_python=/nowhere\n") -> None:
    """A finished installation whose Pants prints how it was called and ends with 42."""
    script(
        home / CACHE / "venv" / "bin" / "python",
        'echo "called: ${@:2}"',
        'for name in ${!PANTS_@}; do echo "$name=${!name}"; done',
        "exit 42",
    )
    (home / CACHE / "ready").write_text(note)


def one_sentence(result: subprocess.CompletedProcess[str]) -> str:
    assert "Traceback" not in result.stderr
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith("pants: ")
    return last


def test_no_python_for_the_code(home: Path) -> None:
    (home / "bin" / "python3.11").unlink()
    result = launch(home)
    assert result.returncode == 78
    assert "the code needs a CPython 3.11 and none was found; install one" in one_sentence(result)


def test_no_python_for_pants(home: Path) -> None:
    result = launch(home)
    assert result.returncode == 78
    assert "needs a Python 3.7, 3.8 or 3.9 to run itself" in one_sentence(result)
    assert len(result.stderr.splitlines()) == 1


def test_a_shim_that_fails_is_no_python(home: Path) -> None:
    script(home / "bin" / "python3.9", "echo 'pyenv: python3.9: command not found' >&2", "exit 127")
    result = launch(home)
    assert result.returncode == 78
    assert "none was found" in one_sentence(result)


def test_pyenv_versions_are_found_without_a_shim(home: Path) -> None:
    give_python_39(home)
    folder = home / ".pyenv" / "versions" / "3.9.18" / "bin"
    folder.mkdir(parents=True)
    (home / "bin" / "python3.9").rename(folder / "python3.9")
    assert launch(home, NO_INDEX).returncode == 75


@pytest.mark.parametrize("override", ["/nowhere/python3.9", PYTHON])
def test_a_bad_override_is_named(home: Path, override: str) -> None:
    give_python_39(home)
    give_installation(home)
    result = launch(home, {"PANTS_PYTHON": override})
    assert result.returncode == 78
    assert f"PANTS_PYTHON={override} is not a Python 3.7, 3.8 or 3.9" in one_sentence(result)


def test_no_home(home: Path) -> None:
    result = launch(home, {"HOME": ""})
    assert result.returncode == 78
    assert "HOME is not set" in one_sentence(result)


def test_unreachable_index(home: Path) -> None:
    give_python_39(home)
    result = launch(home, NO_INDEX)
    assert result.returncode == 75
    assert "the package index cannot be reached" in one_sentence(result)
    assert "first start: installing Pants 2.17.1" in result.stderr
    assert not (home / CACHE / "ready").exists()


def test_a_half_made_installation_is_not_used(home: Path) -> None:
    give_python_39(home)
    give_installation(home)
    (home / CACHE / "ready").unlink()
    assert launch(home, NO_INDEX).returncode == 75


def test_an_installation_is_used_at_once(home: Path) -> None:
    note = "pants_base_python=/p\npants_pex_cli=/c/pex\npants_pex_known='v1|linux|ab|3'\n"
    give_installation(home, note)
    result = launch(home, {"SSL_CERT_FILE": str(ROOT / "pants"), "PIP_INDEX_URL": "index:/mine"})
    assert result.returncode == 42
    lines = result.stdout.splitlines()
    assert lines[0] == "called: list ::"
    assert "PANTS_PEX_CLI_URL_TEMPLATE=file:/c/pex" in lines
    assert "PANTS_PEX_CLI_KNOWN_VERSIONS=['v1|linux|ab|3']" in lines
    assert f"PANTS_CA_CERTS_PATH={ROOT / 'pants'}" in lines
    assert "PANTS_PYTHON_REPOS_INDEXES=['index:/mine']" in lines


def test_a_second_first_start_waits_for_the_other(home: Path) -> None:
    (home / CACHE).mkdir(parents=True)
    bootstrap = [PYTHON, str(ROOT / "build-support" / "pants_bootstrap.py")]
    with (home / CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        second = subprocess.Popen(
            [*bootstrap, str(home / CACHE), "2.17.1"], stderr=subprocess.PIPE, text=True
        )
        assert second.stderr is not None
        assert "another start is installing Pants" in second.stderr.readline()
        (home / CACHE / "ready").touch()
    assert second.wait(timeout=30) == 0
    assert second.stderr.read() == ""
    second.stderr.close()
