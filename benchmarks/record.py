"""The record of what was measured: one JSON file, a part of it replaced when that part runs."""

from __future__ import annotations

import json
import os
import platform
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.measure import Figure

LIBRARIES = ("confluent-kafka", "fastavro", "jsonschema", "jsonschema-rs", "numba", "numpy")


@dataclass(frozen=True)
class Part:
    """One part's figures and how they were taken."""

    name: str
    title: str
    taken: str
    """UTC, ISO 8601, seconds."""
    seconds: float
    load_before: float
    load_after: float
    """Runnable processes of the machine, mean of a minute; the part's own are in the second one."""
    figures: list[Figure]


def machine() -> dict[str, str]:
    """What the figures depend on."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    return {
        "processor": model,
        "cores": str(os.cpu_count()),
        "system": f"{platform.system()} {platform.release().split('-')[0]}",
        "Python": platform.python_version(),
        **{name: version(name) for name in LIBRARIES},
    }


def load_record(path: Path) -> tuple[dict[str, str], dict[str, Part]]:
    """Machine and parts of a record; both empty where there is none yet."""
    if not path.exists():
        return {}, {}
    found: dict[str, Any] = json.loads(path.read_text("utf-8"))
    parts = {
        each["name"]: Part(**{**each, "figures": [Figure(**one) for one in each["figures"]]})
        for each in found["parts"]
    }
    return found["machine"], parts


def save_record(path: Path, about: dict[str, str], parts: dict[str, Part]) -> None:
    """Write it whole, or not at all."""
    text = json.dumps(
        {"machine": about, "parts": [asdict(part) for part in parts.values()]}, indent=1
    )
    new = path.with_suffix(".new")
    new.write_text(text + "\n", "utf-8")
    new.replace(path)
