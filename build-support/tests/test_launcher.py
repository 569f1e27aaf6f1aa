"""The launcher on machines where something is missing: a PATH and a HOME made for each test."""

from __future__ import annotations

import fcntl
import os
import re
import shlex
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PYTHON = os.path.realpath(sys.executable)
# Nothing listens on the discard port, and pip does not retry it for long.
NO_INDEX = {"PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_NO_INDEX": "0"}
# No test reaches a package index: what uv is installed from is a folder of the test's own.
OFFLINE = {"PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": os.devnull, "UV_OFFLINE": "1"}
KITE_CACHE = Path(".cache", "kite-ingest")
CACHE = KITE_CACHE / "pants-2.17.1-pex-2.105.2"
TOOLS = ("bash", "dirname", "mktemp", "mkdir", "mv", "rm")


def script(path: Path, *lines: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(["#!/bin/bash", *lines, ""]))
    path.chmod(0o755)


@pytest.fixture()
def home(tmp_path: Path) -> Path:
    """A home whose bin/ is the whole PATH: a few tools and the CPython 3.11 of the code."""
    (tmp_path / "bin").mkdir()
    for name in TOOLS:
        found = shutil.which(name)
        assert found is not None
        (tmp_path / "bin" / name).symlink_to(found)
    script(tmp_path / "bin" / "python3.11", f'exec {shlex.quote(PYTHON)} "$@"')
    return tmp_path


def launch(
    home: Path, environ: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    settings = {"PATH": str(home / "bin"), "HOME": str(home), **OFFLINE, **(environ or {})}
    return subprocess.run(
        [str(ROOT / "pants"), "list", "::"],
        env=settings,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def give_python(path: Path, version: str) -> None:
    """A Python that answers the launcher's question with this version and is a 3.11 otherwise."""
    script(
        path,
        f"[[ $1 == -c && $2 == *version_info*{version}* ]] && exit 0",
        "[[ $1 == -c && $2 == *version_info* ]] && exit 1",
        f'exec {shlex.quote(PYTHON)} "$@"',
    )


def give_python_39(home: Path) -> None:
    give_python(home / "bin" / "python3.9", "3.9")


def give_uv(path: Path) -> None:
    """A uv that installs the Pythons of the folder UV_PYTHON_INSTALL_MIRROR names, or fails."""
    script(
        path,
        'echo "uv $*" >>"$HOME/uv.log"',
        "[[ $1 == python && $2 == install ]] || exit 1",
        'version="${@: -1}" source="${UV_PYTHON_INSTALL_MIRROR#file://}/$version"',
        '[[ -x $source ]] || { echo "error: cannot download CPython $version" >&2; exit 1; }',
        'target="$UV_PYTHON_INSTALL_DIR/cpython-$version.7-linux/bin"',
        'mkdir -p "$target" && mv "$source" "$target/python$version"',
    )


def give_mirror(home: Path, *versions: str) -> dict[str, str]:
    """The setting that names a folder with these Pythons to uv."""
    for version in versions:
        give_python(home / "mirror" / version, version)
    return {"UV_PYTHON_INSTALL_MIRROR": f"file://{home / 'mirror'}"}


def give_uv_wheel(home: Path) -> dict[str, str]:
    """The setting that lets pip install a wheel of uv, made of ``give_uv``'s script."""
    give_uv(home / "uv")
    (home / "links").mkdir()
    with zipfile.ZipFile(home / "links" / "uv-1.0-py3-none-any.whl", "w") as wheel:
        program = zipfile.ZipInfo("uv-1.0.data/scripts/uv")
        program.external_attr = 0o100755 << 16
        wheel.writestr(program, (home / "uv").read_bytes())
        info = "uv-1.0.dist-info"
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: uv\nVersion: 1.0\n")
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{info}/RECORD", "")
    return {"PIP_FIND_LINKS": str(home / "links")}


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


@pytest.mark.parametrize(
    ("variable", "lock", "name"),
    [("PANTS_VERSION", "pants", "pantsbuild-pants"), ("PEX_VERSION", "pex", "pex")],
)
def test_the_versions_of_the_launcher_are_those_of_the_locks(
    variable: str, lock: str, name: str
) -> None:
    stated = re.search(rf"^readonly {variable}=(\S+)$", (ROOT / "pants").read_text(), re.MULTILINE)
    text = (ROOT / "3rdparty" / "python" / f"{lock}-lock.txt").read_text()
    locked = re.search(rf"^{name}==(\S+)", text, re.MULTILINE)
    assert stated is not None
    assert locked is not None
    assert stated[1] == locked[1]
    for requirement in re.split(r"\n(?=\S)", text):
        assert requirement.startswith("    #") or "--hash=sha256:" in requirement


def test_no_python_for_the_code(home: Path) -> None:
    (home / "bin" / "python3.11").unlink()
    result = launch(home)
    assert result.returncode == 78
    assert one_sentence(result) == (
        "pants: the code needs a CPython 3.11, 3.12, 3.13 or 3.14, none was found and uv could not "
        "fetch one; install one (pyenv install 3.11, or uv python install 3.11)."
    )


def test_no_python_for_pants(home: Path) -> None:
    result = launch(home)
    assert result.returncode == 78
    sentence = one_sentence(result)
    assert "needs a Python 3.7, 3.8 or 3.9 to run itself, none was found and uv could" in sentence
    assert "install one (pyenv install 3.9, or uv python install 3.9)" in sentence


def test_uv_fetches_the_python_of_pants(home: Path) -> None:
    give_uv(home / "bin" / "uv")
    result = launch(home, {**NO_INDEX, **give_mirror(home, "3.9")})
    assert f"pants: fetching CPython 3.9 with uv into {home / KITE_CACHE / 'python'}" in (
        result.stderr
    )
    assert "first start: installing Pants 2.17.1" in result.stderr
    assert result.returncode == 75  # there is no index to install Pants from


def test_uv_fetches_the_python_of_the_code(home: Path) -> None:
    (home / "bin" / "python3.11").unlink()
    give_installation(home)
    give_uv(home / "bin" / "uv")
    settings = give_mirror(home, "3.11")
    first = launch(home, settings)
    assert first.returncode == 42
    fetched = home / KITE_CACHE / "python" / "cpython-3.11.7-linux" / "bin" / "python3.11"
    # Pants would not look there.
    named = f"PANTS_PYTHON_BOOTSTRAP_SEARCH_PATH=['<PATH>', '<PYENV>', '{fetched}']"
    assert named in first.stdout.splitlines()
    second = launch(home, settings)
    assert named in second.stdout.splitlines()
    assert second.stderr == ""


def test_uv_itself_is_installed_from_the_index(home: Path) -> None:
    give_installation(home)
    settings = {**give_mirror(home, "3.13"), **give_uv_wheel(home), "KITE_PYTHON": "3.13"}
    result = launch(home, settings)
    assert result.returncode == 42, result.stderr
    assert result.stderr.splitlines() == [
        f"pants: fetching uv from the package index into {home / KITE_CACHE / 'uv'}",
        f"pants: fetching CPython 3.13 with uv into {home / KITE_CACHE / 'python'}",
    ]
    assert [path.name for path in (home / KITE_CACHE).glob("uv*")] == ["uv"]


def test_what_uv_cannot_fetch_is_named(home: Path) -> None:
    give_uv(home / "bin" / "uv")
    result = launch(home, give_mirror(home))
    assert result.returncode == 78
    assert "error: cannot download CPython 3.9" in result.stderr
    assert "uv could not fetch one" in one_sentence(result)


def test_the_python_of_the_code_is_one_setting(home: Path) -> None:
    give_installation(home)
    give_python(home / "bin" / "python3.13", "3.13")
    assert "INTERPRETER_CONSTRAINTS" not in launch(home).stdout  # 3.11 is pants.toml's own
    chosen = launch(home, {"KITE_PYTHON": "3.13"})
    assert "PANTS_PYTHON_INTERPRETER_CONSTRAINTS=['CPython==3.13.*']" in chosen.stdout.splitlines()


def test_a_newer_python_serves_where_there_is_no_311(home: Path) -> None:
    give_installation(home)
    (home / "bin" / "python3.11").unlink()
    give_python(home / "bin" / "python3.12", "3.12")
    result = launch(home)
    assert result.stderr == ""
    assert "PANTS_PYTHON_INTERPRETER_CONSTRAINTS=['CPython==3.12.*']" in result.stdout.splitlines()


@pytest.mark.parametrize("version", ["3.10", "3", "python3.13", "3.13.1", "3.11 3.12"])
def test_a_bad_choice_of_python_is_named(home: Path, version: str) -> None:
    give_installation(home)
    result = launch(home, {"KITE_PYTHON": version})
    assert result.returncode == 78
    assert f"KITE_PYTHON={version} is none of 3.11 3.12 3.13 3.14" in one_sentence(result)


def test_a_shim_that_fails_is_no_python(home: Path) -> None:
    script(home / "bin" / "python3.9", "echo 'pyenv: python3.9: command not found' >&2", "exit 127")
    result = launch(home)
    assert result.returncode == 78
    assert "none was found and uv could not fetch one" in one_sentence(result)


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
    assert "PANTS_PEX_CLI_VERSION=v2.105.2" in lines
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
            [*bootstrap, str(home / CACHE), "2.17.1", "2.105.2"], stderr=subprocess.PIPE, text=True
        )
        assert second.stderr is not None
        assert "another start is installing Pants" in second.stderr.readline()
        (home / CACHE / "ready").touch()
    assert second.wait(timeout=30) == 0
    assert second.stderr.read() == ""
    second.stderr.close()
