"""What this program was built from: the versions of its packages and the revision of the sources.

Three kinds of program know it in three ways. A PEX file carries ``build_info.txt``, which Pants
writes when it is packaged: a line for each place of the repository, ``packages/contracts 0.3.0``,
and one for the revision. Installed wheels have their own metadata; a released version names its
sources, so they carry no revision. In a checkout the VERSION files are read and git is asked.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import typer

RESOURCE: Final = "build_info.txt"
UNKNOWN: Final = "unknown"
WHEELS: Final = "of the released wheels"
_PREFIX: Final = "kite-"
_REVISION: Final = "revision"
_GIT_TIMEOUT_S: Final = 5.0


@dataclass(frozen=True)
class BuildInfo:
    """``versions`` by place (``contracts``); ``packages`` are the places whose code this program
    holds; ``revision`` as git abbreviates it, with ``+changes`` where files differed from it."""

    versions: Mapping[str, str]
    packages: tuple[str, ...]
    revision: str

    def version_of(self, place: str) -> str:
        return self.versions.get(place, UNKNOWN)


@cache
def build_info() -> BuildInfo:
    """Of the running program; read once."""
    return _packaged() or _checkout() or _installed()


def version_text(program: str, place: str) -> str:
    """What ``--version`` prints: the program and its revision, then a line for each package."""
    info = build_info()
    lines = [
        f"{program} {info.version_of(place)} (revision {info.revision}, "
        f"{platform.python_implementation()} {platform.python_version()})"
    ]
    lines += [
        f"  {_PREFIX}{name.replace('_', '-')} {info.version_of(name)}"
        for name in info.packages
        if name != place
    ]
    return "\n".join(lines)


def version_option(program: str, place: str, *default: Any) -> Any:
    """The option ``--version`` of a Typer callback: prints ``version_text`` and ends with 0.

    ``default`` is given where the option stands as a default value, not in an Annotated.
    """

    def show(wanted: bool) -> None:
        if wanted:
            print(version_text(program, place))
            raise typer.Exit

    return typer.Option(
        *default,
        "--version",
        is_eager=True,
        callback=show,
        help="Show the versions of the packages and the revision they were built from.",
    )


def parse(text: str) -> BuildInfo:
    """Of ``build_info.txt``. Raises ValueError for a line that is no name and value."""
    folders, revision = {}, UNKNOWN
    for line in text.splitlines():
        name, value = line.split()
        if name == _REVISION:
            revision = value
        else:
            folders[name] = value
    split = {folder: folder.partition("/") for folder in folders}
    versions = {place: folders[folder] for folder, (_, _, place) in split.items()}
    held = (place for kind, _, place in split.values() if kind == "packages" and _has(place))
    return BuildInfo(versions, tuple(sorted(held)), revision)


def _has(place: str) -> bool:
    return find_spec(f"kite_{place}") is not None


def _packaged() -> BuildInfo | None:
    try:
        # A PEX is unpacked; importlib.resources would take as long to load as all of this.
        return parse(Path(__file__).with_name(RESOURCE).read_text("utf-8"))
    except OSError:
        return None


def _checkout() -> BuildInfo | None:
    for folder in Path(__file__).parents:
        if (folder / "pants.toml").exists() and (folder / "packages").is_dir():
            found = [*folder.glob("packages/*/VERSION"), *folder.glob("apps/*/VERSION")]
            lines = [
                f"{path.parent.relative_to(folder).as_posix()} {path.read_text().strip()}"
                for path in found
            ]
            return parse("\n".join([*lines, f"{_REVISION} {_ask_git(folder)}"]))
    return None


def _ask_git(folder: Path) -> str:
    """As ./pants asks it when it packages."""
    import subprocess

    command = ("describe", "--always", "--exclude=*", "--dirty=+changes")
    try:
        done = subprocess.run(
            ["git", "-c", "safe.directory=*", *command],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=_GIT_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return UNKNOWN
    return done.stdout.strip() or UNKNOWN


def _installed() -> BuildInfo:
    from importlib.metadata import distributions

    named: dict[str, str] = {}
    for one in distributions():
        if one.name and one.name.startswith(_PREFIX):
            named.setdefault(one.name, one.version)  # the first on the path is the one imported
    versions = {
        name.removeprefix(_PREFIX).replace("-", "_"): version for name, version in named.items()
    }
    return BuildInfo(versions, tuple(sorted(versions)), WHEELS if versions else UNKNOWN)
