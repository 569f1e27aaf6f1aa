"""Places are versioned independently: what changed since its last release needs a new version.

    .ci/check_versions.py                    check every place
    .ci/check_versions.py release NAME ...   record the present sources as the release of VERSION

A place is a folder of packages/ or apps/. `releases.lock` holds, for each released place, its
version and the SHA-256 over its released sources: every file of src/, by path and content. A
place that was never released is listed as such and may change freely.

Exit codes: 0 every place is in order, 1 one is not, 2 wrong usage.
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

REPO = Path(__file__).resolve().parents[1]
LOCK = "releases.lock"
UNRELEASED = "0.0.0"
DATED = r" - \d{4}-\d{2}-\d{2}"
ANY = rf"({DATED}| - [Uu]nreleased)?"
SEMVER = re.compile(r"\d+\.\d+\.\d+")


@dataclass(frozen=True)
class Release:
    """One line of the lock: the version, and the hash of the sources it was made from."""

    version: str
    sha256: str


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


def release_problem(place: Path, sha256: str, last: Release | None) -> str | None:
    """What is wrong against the last release."""
    if last is None or version_of(place) != last.version or sha256 == last.sha256:
        return None
    return (
        f"the sources differ from release {last.version} and VERSION still says so; "
        "raise VERSION and add its heading to CHANGELOG.md"
    )


def state_of(place: Path, sha256: str, last: Release | None) -> str:
    version = version_of(place)
    if last is None:
        return f"{version}, unreleased"
    if version != last.version:
        return f"{version}, unreleased; last release {last.version}"
    return f"{version}, released" if sha256 == last.sha256 else f"{version}, changed"


def check(root: Path) -> int:
    releases, found = load_lock(root), places(root)
    failures = 0
    for name, place in found.items():
        sha256, last = hash_of(root, place), releases.get(name)
        problem = own_problem(place) or release_problem(place, sha256, last)
        relative = place.relative_to(root)
        print(
            f"{relative}: {problem}" if problem else f"{relative}: {state_of(place, sha256, last)}"
        )
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
        version, sha256 = version_of(place), hash_of(root, place)
        problem = own_problem(place) or release_problem(place, sha256, releases.get(name))
        if problem is None and version == UNRELEASED:
            problem = f"VERSION {UNRELEASED} says that nothing is there to release"
        if problem is None and not changelog_names(place, version, DATED):
            problem = f"CHANGELOG.md gives no date for the release: '## [{version}] - 2026-01-31'"
        if problem:
            print(f"{place.relative_to(root)}: {problem}")
            return 1
        releases[name] = Release(version, sha256)
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
