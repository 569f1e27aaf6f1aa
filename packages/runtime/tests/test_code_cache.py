"""Machine code is found again by the content of its sources, and never by stale ones."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kite_runtime import code_cache, compiled

PROGRAM = """
from loops import total
print(total(4), sum(total.stats.cache_hits.values()))
"""
LOOPS = """
from kite_runtime.compiled import compiled
from factors.values import FACTOR

@compiled
def total(n):
    result = 0
    for i in range(n):
        result += i * FACTOR
    return result
"""


class Sources:
    """A little program of two modules in a folder, run in a process of its own."""

    def __init__(self, folder: Path, cache: Path) -> None:
        self.folder, self.cache = folder, cache
        self.said = ""
        (folder / "loops").mkdir(parents=True)
        (folder / "loops" / "__init__.py").write_text(LOOPS.replace("factors", "loops"))
        self.set_factor(10)

    def set_factor(self, factor: int) -> None:
        (self.folder / "loops" / "values.py").write_text(f"FACTOR = {factor}\n")

    def run(self) -> list[int]:
        """The sum, and how many functions were taken from the cache."""
        path = os.pathsep.join([str(self.folder), *sys.path])
        environ = {**os.environ, "PYTHONPATH": path, "NUMBA_CACHE_DIR": str(self.cache)}
        environ.pop("NUMBA_DISABLE_JIT", None)
        # Python's own cache takes a file of the same size, changed in the same second, for the old.
        environ["PYTHONDONTWRITEBYTECODE"] = "1"
        command = [sys.executable, "-c", PROGRAM]
        done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        self.said = done.stderr
        return [int(word) for word in done.stdout.split()]


def test_equal_sources_elsewhere_share_their_code(tmp_path: Path) -> None:
    assert Sources(tmp_path / "one", tmp_path / "cache").run() == [60, 0]
    assert Sources(tmp_path / "two", tmp_path / "cache").run() == [60, 1]


def test_a_changed_constant_of_another_module_is_compiled_anew(tmp_path: Path) -> None:
    sources = Sources(tmp_path / "one", tmp_path / "cache")
    assert sources.run() == [60, 0]
    sources.set_factor(20)
    assert sources.run() == [120, 0]


def test_a_folder_that_cannot_be_used_is_told_and_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    sources = Sources(tmp_path / "one", tmp_path / "file")
    for _ in range(2):
        assert sources.run() == [60, 0]
        assert sources.said.count("compiled at each start") == 1


def test_folders_unused_for_a_month_are_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, fresh = tmp_path / "old", tmp_path / "fresh"
    old.mkdir()
    fresh.mkdir()
    os.utime(old, (0, 0))
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    locator = code_cache.ContentLocator.from_function(compiled.compiled, compiled.__file__)
    assert locator is not None
    locator.ensure_cache_path()
    assert {path.name for path in tmp_path.iterdir()} == {
        "fresh",
        Path(locator.get_cache_path()).name,
    }


def test_a_function_without_source_is_left_to_numba() -> None:
    namespace: dict[str, object] = {"__name__": "typed_in"}
    exec("def f(): pass", namespace)
    function = namespace["f"]
    assert callable(function)
    assert code_cache.ContentLocator.from_function(function, "<string>") is None
