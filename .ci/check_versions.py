"""Places are versioned independently: what changed since its last release needs a new version.

    .ci/check_versions.py                    check every place
    .ci/check_versions.py release NAME ...   record the present sources as the release of VERSION

A place is a folder of packages/ or apps/. `releases.lock` holds, for each released place, its
version, the SHA-256 over its released sources (every file of src/, by path and content), and the
versions of the places that they import: a wheel pins these, so the same sources with another of
them are another wheel. A place that was never released is listed as such and may change freely.

Exit codes: 0 every place is in order, 1 one is not, 2 wrong usage.
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

REPO = Path(__file__).resolve().parents[1]
LOCK = "releases.lock"
UNRELEASED = "0.0.0"
DATED = r" - \d{4}-\d{2}-\d{2}"
ANY = rf"({DATED}| - [Uu]nreleased)?"
SEMVER = re.compile(r"\d+\.\d+\.\d+")
IMPORT = re.compile(r"^\s*(?:from|import) kite_(\w+)", re.MULTILINE)


@dataclass(frozen=True)
class Release:
    """One entry of the lock: the version, the hash of its sources, and the versions they pin."""

    version: str
    sha256: str
    pins: Mapping[str, str] | None = None
    """By place; None in entries that are older than this field."""


def places(root: Path) -> dict[str, Path]:
    """Name and folder of each place, packages first."""
    folders = [*sorted(root.glob("packages/*")), *sorted(root.glob("apps/*"))]
    return {folder.name: folder for folder in folders if folder.is_dir()}


def source_files(root: Path, place: Path) -> list[Path]:
    """The files of src/ that git tracks or would track, so that caches do not count."""
    listed = subprocess.run(
        [
            "git",
            "-c",
            "safe.directory=*",
            "ls-files",
            "--cached",
            "--others",
            "--exclude-standard",
            "-z",
            "--",
            str(place / "src"),
        ],
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    files = {root / name for name in listed.split("\0") if name}
    return sorted(path for path in files if path.is_file())


def hash_of(root: Path, place: Path) -> str:
    """SHA-256 over path, length and content of each source file, in the order of the paths."""
    digest = hashlib.sha256()
    for path in source_files(root, place):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(place).as_posix()}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


def pins_of(root: Path, place: Path) -> dict[str, str]:
    """The other places that the sources import, with their versions now."""
    texts = [path.read_text() for path in source_files(root, place) if path.suffix == ".py"]
    named = {name for text in texts for name in IMPORT.findall(text)} - {place.name}
    return {name: version_of(path) for name, path in places(root).items() if name in named}


def load_lock(root: Path) -> dict[str, Release]:
    path = root / LOCK
    if not path.exists():
        return {}
    return {name: Release(**entry) for name, entry in json.loads(path.read_text()).items()}


def save_lock(root: Path, releases: dict[str, Release]) -> None:
    entries = {name: vars(release) for name, release in sorted(releases.items())}
    (root / LOCK).write_text(json.dumps(entries, indent=2) + "\n")


def version_of(place: Path) -> str:
    path = place / "VERSION"
    return path.read_text().strip() if path.exists() else ""


def changelog_names(place: Path, version: str, suffix: str) -> bool:
    """Whether CHANGELOG.md has a Keep-a-Changelog heading for the version, then the suffix."""
    path = place / "CHANGELOG.md"
    heading = re.compile(rf"^## \[{re.escape(version)}\]{suffix}$", re.MULTILINE)
    return path.exists() and heading.search(path.read_text()) is not None


def own_problem(place: Path) -> str | None:
    """What is wrong with the place's own files, whatever was released."""
    version = version_of(place)
    if not SEMVER.fullmatch(version):
        return "VERSION does not hold one line such as 1.2.3"
    if not (place / "CHANGELOG.md").exists():
        return "CHANGELOG.md is missing"
    if version != UNRELEASED and not changelog_names(place, version, ANY):
        return f"CHANGELOG.md has no heading '## [{version}]' for the version in VERSION"
    build = (place / "BUILD").read_text() if (place / "BUILD").exists() else ""
    stated = re.search(r"^\s+version=\"([^\"]*)\"", build, re.MULTILINE)
    if stated and stated.group(1) != version:
        return f"BUILD says version {stated.group(1)}, VERSION says {version}"
    return None


def release_problem(place: Path, now: Release, last: Release | None) -> str | None:
    """What is wrong against the last release."""
    if last is None or now.version != last.version:
        return None
    remedy = "raise VERSION and add its heading to CHANGELOG.md"
    if now.sha256 != last.sha256:
        return f"the sources differ from release {last.version} and VERSION is the same; {remedy}"
    if last.pins is not None and now.pins != last.pins:
        moved = sorted(set((now.pins or {}).items()) - set(last.pins.items()))
        pins = ", ".join(f"{name} {version}" for name, version in moved)
        return f"release {last.version} does not pin {pins}; {remedy}"
    return None


def state_of(now: Release, last: Release | None) -> str:
    if last is None:
        return f"{now.version}, unreleased"
    if now.version != last.version:
        return f"{now.version}, unreleased; last release {last.version}"
    return f"{now.version}, released"


def as_it_is(root: Path, place: Path) -> Release:
    """What a release of the place would be now."""
    return Release(version_of(place), hash_of(root, place), pins_of(root, place))


def check(root: Path) -> int:
    releases, found = load_lock(root), places(root)
    failures = 0
    for name, place in found.items():
        now, last = as_it_is(root, place), releases.get(name)
        problem = own_problem(place) or release_problem(place, now, last)
        print(f"{place.relative_to(root)}: {problem or state_of(now, last)}")
        failures += problem is not None
    for name in sorted(set(releases) - set(found)):
        print(f"{LOCK}: {name} is released there and is no place any more; take its entry out")
        failures += 1
    return 1 if failures else 0


def release(root: Path, names: list[str]) -> int:
    """Record each place's present sources under its version."""
    releases, found = load_lock(root), places(root)
    for name in names:
        place = found.get(name)
        if place is None:
            print(f"there is no place {name}; known are {', '.join(found)}")
            return 2
        now = as_it_is(root, place)
        version = now.version
        problem = own_problem(place) or release_problem(place, now, releases.get(name))
        if problem is None and version == UNRELEASED:
            problem = f"VERSION {UNRELEASED} says that nothing is there to release"
        if problem is None and not changelog_names(place, version, DATED):
            problem = f"CHANGELOG.md gives no date for the release: '## [{version}] - 2026-01-31'"
        if problem:
            print(f"{place.relative_to(root)}: {problem}")
            return 1
        releases[name] = now
        print(f"{place.relative_to(root)}: {version} recorded")
    save_lock(root, releases)
    return 0


def main(arguments: list[str], root: Path = REPO) -> int:
    match arguments:
        case []:
            return check(root)
        case ["release", *names] if names:
            return release(root, names)
        case _:
            print("usage: .ci/check_versions.py [release NAME ...]")
            return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
