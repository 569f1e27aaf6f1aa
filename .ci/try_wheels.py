"""The wheels on other Pythons: installed as a user would, and tested there.

    .ci/try_wheels.py DIST UV PYTHON ...

For each PYTHON (a path) a fresh virtual environment gets the third-party packages from the hashed
lock, each hash compared, then the wheels of DIST alone, then a check that their requirements are
met. In it run the unit tests of every package with a wheel, against the installed code: a test that
needs a real Kafka or Postgres is left out (without_servers.py). devstack has no others, since its
subject is these servers; its wheel is installed and its command line called.

Exit codes: 0 all passed, 1 something failed, 2 wrong usage.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

REPO = Path(__file__).resolve().parents[1]
LOCK = REPO / "3rdparty" / "python" / "lock.txt"
PATIENCE_S = 1200.0
SERVERS_ONLY = ("devstack",)
COUNTS = re.compile(r"(\d+) (passed|failed|deselected|skipped|error)")


class Failed(Exception):
    """One sentence about what did not hold."""


@dataclass(frozen=True)
class Environment:
    """A virtual environment with the wheels, and the variables for a process in it."""

    python: Path
    variables: Mapping[str, str]

    def call(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(self.python), *arguments],
            cwd=REPO,
            env=dict(self.variables),
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )


def packages() -> list[Path]:
    """The folders of packages/ that build a wheel."""
    builds = sorted((REPO / "packages").glob("*/BUILD"))
    return [path.parent for path in builds if "wheel(" in path.read_text()]


def make(uv: str, python: str, wheels: list[Path], folder: Path) -> Environment:
    """A fresh environment. Raises Failed."""

    def run(*arguments: str) -> None:
        done = subprocess.run(
            [uv, "--no-config", *arguments], capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise Failed(f"uv {' '.join(arguments[:2])} failed:\n{done.stderr[-3000:]}")

    run("venv", "--python", python, str(folder))
    target = folder / "bin" / "python"
    into = ("--python", str(target))
    run("pip", "install", *into, "--require-hashes", "--only-binary", ":all:", "-r", str(LOCK))
    run("pip", "install", *into, "--no-deps", *map(str, wheels))
    run("pip", "check", *into)
    home = folder / "home"
    home.mkdir()
    keep = ("PATH", "LANG", "TMPDIR", "HYPOTHESIS_PROFILE")
    variables = {name: os.environ[name] for name in keep if name in os.environ}
    variables |= {"HOME": str(home), "XDG_CACHE_HOME": str(folder / "cache"), "CI": "1"}
    return Environment(target, variables)


def lay_helpers(environment: Environment, places: list[Path]) -> None:
    """Put what tests use and no wheel carries beside the installed code: test helpers, and the
    bridge's rehearsals."""
    site = Path(
        environment.call(
            "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"
        ).stdout.strip()
    )
    for place in places:
        for pattern in ("testing.py", "testing/*.py", "rehearsal/**/*.py"):
            for source in (place / "src").rglob(pattern):
                target = site / source.relative_to(place / "src")
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(source, target)


def test(environment: Environment, place: Path) -> dict[str, int]:
    """Run a package's tests; returns pytest's counts. Raises Failed."""
    tests = place / "tests"
    paths = (str(tests), str(REPO / ".ci"))
    environment = Environment(
        environment.python, {**environment.variables, "PYTHONPATH": os.pathsep.join(paths)}
    )
    options = ("-q", "-p", "no:cacheprovider", "-p", "without_servers")
    done = environment.call("-m", "pytest", *options, str(tests))
    last = done.stdout.strip().splitlines()[-1:] or [done.stderr.strip()[-300:]]
    counts = {word: int(number) for number, word in COUNTS.findall(last[0])}
    if done.returncode != 0 or not counts.get("passed"):
        raise Failed(f"the tests of {place.name}:\n{(done.stdout + done.stderr)[-6000:]}")
    return counts


def try_python(uv: str, python: str, wheels: list[Path], folder: Path) -> int:
    """Install and test on one Python; returns how many tests passed. Raises Failed."""
    began = time.monotonic()
    places = packages()
    environment = make(uv, python, wheels, folder)
    version = environment.call("--version").stdout.strip()
    print(f"{version}: {len(wheels)} wheels installed, lock and pins agree", flush=True)
    for command in sorted((folder / "bin").glob("kite-*")):
        done = environment.call(str(command), "--help")
        if done.returncode != 0:
            raise Failed(f"{command.name} --help ended with {done.returncode}:\n{done.stderr}")
        print(f"  {command.name} --help: ok", flush=True)
    lay_helpers(environment, places)
    passed = 0
    for place in places:
        if place.name in SERVERS_ONLY:
            continue
        counts = test(environment, place)
        passed += counts["passed"]
        left_out = f", {counts['deselected']} need servers" if "deselected" in counts else ""
        print(f"  {place.name}: {counts['passed']} passed{left_out}", flush=True)
    print(f"{version}: {passed} passed in {time.monotonic() - began:.0f} s", flush=True)
    return passed


def main(arguments: list[str]) -> int:
    if len(arguments) < 3:
        print("usage: .ci/try_wheels.py DIST UV PYTHON ...")
        return 2
    dist, uv, *pythons = arguments
    wheels = sorted(Path(dist).glob("*.whl"))
    if len(wheels) != len(packages()):
        print(f"{dist} has {len(wheels)} wheels for {len(packages())} packages; ./pants package ::")
        return 1
    total = 0
    for number, python in enumerate(pythons):
        with tempfile.TemporaryDirectory(prefix="try-wheels-") as folder:
            try:
                total += try_python(uv, python, wheels, Path(folder) / str(number))
            except (Failed, subprocess.TimeoutExpired) as error:
                print(f"{python}: {error}")
                return 1
    print(f"{total} passed, 0 failed")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
