"""Shows that the import rules of the root BUILD file hold, and that they can fail.

First the checkout itself is checked. Then, in a copy of it, one forbidden import at a time is
written, and Pants must reject each by a visibility rule; an allowed import must pass. So a rule
that was deleted, or a selector that matches nothing any more, is found here.

Exit codes: 0 the rules hold, 1 they do not.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

REPO = Path(__file__).resolve().parents[1]
REJECTED = "DependencyRuleActionDeniedError"


@dataclass(frozen=True)
class Case:
    """An import written into a place, and whether the rules must let it pass."""

    folder: str
    line: str
    allowed: bool


CASES = (
    Case("packages/runtime/src/kite_runtime", "import kite_contracts", False),
    Case("packages/contracts/src/kite_contracts", "import kite_kafka_io", False),
    Case("packages/contracts/src/kite_contracts", "import confluent_kafka", False),
    Case("packages/broker_zerodha/src/kite_broker_zerodha", "import kite_kafka_io", False),
    Case("packages/broker_zerodha/src/kite_broker_zerodha", "import kite_simulator", False),
    Case("packages/broker_zerodha/src/kite_broker_zerodha", "import confluent_kafka", False),
    Case("packages/kafka_io/src/kite_kafka_io", "import kite_broker_zerodha", False),
    Case("packages/kafka_io/src/kite_kafka_io", "import kite_devstack", False),
    Case("packages/kafka_io/src/kite_kafka_io", "import numba", False),
    Case("packages/kafka_io/src/kite_kafka_io/librdkafka", "import numba", True),
    Case("packages/bars_store/src/kite_bars_store", "import kite_bar_history", False),
    Case("packages/devstack/src/kite_devstack", "import kite_live_feed", False),
    Case("packages/live_feed/src/kite_live_feed", "import kite_dead_letters", False),
    Case("packages/live_feed/src/kite_live_feed", "import kite_simulator", False),
    Case("packages/live_feed/src/kite_live_feed/rehearsal", "import kite_simulator", True),
    Case("packages/live_feed/src/kite_live_feed", "import kite_ws_bridge", False),
    Case("packages/dead_letters/src/kite_dead_letters", "import kite_bar_history", False),
    Case("packages/bar_history/src/kite_bar_history", "import confluent_kafka", False),
    Case("apps/ws_bridge/src/kite_ws_bridge", "import kite_devstack", False),
    Case("apps/ws_bridge/src/kite_ws_bridge", "import confluent_kafka", False),
    Case("apps/ws_bridge/src/kite_ws_bridge", "import pytest", False),
    Case("apps/dlq_triage/src/kite_dlq_triage", "import kite_ws_bridge", False),
    Case("apps/dlq_triage/src/kite_dlq_triage", "import kite_live_feed", False),
    Case("packages/lake/src/kite_lake", "import kite_kafka_io", True),
    Case("packages/lake/src/kite_lake", "import kite_bars_store", False),
    Case("apps/tick_archive/src/kite_tick_archive", "import pyiceberg", False),
    Case("apps/ws_bridge/src/kite_ws_bridge", "import kite_live_feed", True),
    Case("apps/ws_bridge/tests", "import kite_devstack", True),
)


def pants(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(root / "pants"), *arguments],
        cwd=root,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def copy_checkout(target: Path) -> None:
    """Copy what git tracks or would track, as it stands in the working folder."""
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
        ],
        cwd=REPO,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for name in filter(None, listed.split("\0")):
        source = REPO / name
        if source.is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target / name)


def write_probe(root: Path, case: Case, number: int) -> str:
    """Write the import as a file of the place; returns its path from the root."""
    name = f"test_zz_probe_{number}.py" if "/tests" in case.folder else f"zz_probe_{number}.py"
    folder = root / case.folder
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(case.line + "\n")
    if not (folder / "BUILD").exists():
        (folder / "BUILD").write_text('python_sources(name="lib", sources=["**/*.py"])\n')
    return f"{case.folder}/{name}"


def verdict(root: Path, case: Case, path: str) -> str | None:
    """What is wrong with the rules for this case, or None."""
    result = pants(root, "dependencies", path)
    if case.allowed:
        return None if result.returncode == 0 else f"is rejected: {result.stderr[-400:]}"
    if result.returncode == 0:
        return "is let through"
    return None if REJECTED in result.stderr else f"fails otherwise: {result.stderr[-400:]}"


def stop_pantsd(root: Path) -> None:
    """End the daemon that Pants keeps for the copy."""
    for pid_file in root.glob(".pids/*/pantsd/pid"):
        with contextlib.suppress(ProcessLookupError, ValueError):
            os.kill(int(pid_file.read_text()), signal.SIGTERM)


def main() -> int:
    result = pants(REPO, "dependencies", "::")
    if result.returncode:
        print(f"an import breaks the rules of the root BUILD file:\n{result.stderr[-2000:]}")
        return 1
    print("the checkout keeps the import rules")
    failures = 0
    with tempfile.TemporaryDirectory(
        prefix="kite-visibility-", ignore_cleanup_errors=True
    ) as folder:
        root = Path(folder)
        copy_checkout(root)
        paths = [write_probe(root, case, number) for number, case in enumerate(CASES)]
        try:
            for case, path in zip(CASES, paths, strict=True):
                problem = verdict(root, case, path)
                expected = "allowed " if case.allowed else "rejected"
                print(f"{expected}  {case.line:<24} in {case.folder}: {problem or 'ok'}")
                failures += problem is not None
        finally:
            stop_pantsd(root)
    print(f"{len(CASES) - failures} of {len(CASES)} probes as the rules demand")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
