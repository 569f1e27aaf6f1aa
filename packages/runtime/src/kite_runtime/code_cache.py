"""Where numba keeps machine code: by the content of the sources it was made from.

numba's own choice is by the path and time of the function's file. That compiles again in every
test sandbox and for every copy of a PEX, and, worse, it goes on using old machine code when only
a module changed from which the function takes a constant or another compiled function. Here the
key is the SHA-256 over the function's module and every first-party module it imports, directly or
not, so that equal sources share their code and changed ones never do. Where the folder cannot be
used, the code is compiled at each start instead.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import logging
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.abc import InspectLoader
from pathlib import Path
from typing import Any

from numba.core.caching import FunctionCache, _CacheLocator

log = logging.getLogger(__name__)

_KEPT_S = 30 * 24 * 60 * 60
# Whose modules are followed: ours, which all begin so, and no others (numpy's and the standard
# library's never change what a loop was compiled from).
_FIRST_PARTY = "kite_"


class ContentLocator(_CacheLocator):
    """The locator that ``NUMBA_CACHE_LOCATOR_CLASSES`` names; numba makes one per function."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._line = function.__code__.co_firstlineno
        self._folder = (
            Path(os.environ["NUMBA_CACHE_DIR"])
            / f"{function.__module__}-{key_of(function.__module__)}"
        )

    @classmethod
    def from_function(cls, py_func: Callable[..., Any], py_file: str) -> ContentLocator | None:
        """A locator, or None where the function has no readable source (then numba goes on)."""
        if not os.environ.get("NUMBA_CACHE_DIR") or source_of(py_func.__module__) is None:
            return None
        return cls(py_func)

    def get_cache_path(self) -> str:
        return str(self._folder)

    def ensure_cache_path(self) -> None:
        """Make the folder, and drop those of older sources not used for a month."""
        if not self._folder.exists():
            _prune(self._folder.parent)
        self._folder.mkdir(parents=True, exist_ok=True)
        os.utime(self._folder)

    def get_source_stamp(self) -> str:
        return self._folder.name

    def get_disambiguator(self) -> str:
        return str(self._line)


class ContentCache(FunctionCache):
    """numba's cache of one function, for which a read-only folder or a full disk is no error."""

    @contextmanager
    def _guard_against_spurious_io_errors(self) -> Iterator[None]:
        # numba's own lets them through on Linux. Without an answer here it compiles.
        try:
            yield
        except OSError as error:
            _tell_once(os.environ.get("NUMBA_CACHE_DIR", ""), error.strerror or str(error))


@functools.cache
def _tell_once(folder: str, why: str) -> None:
    log.warning(
        "machine code cannot be kept in %s (%s), so it is compiled at each start, which takes "
        "seconds; NUMBA_CACHE_DIR names another folder",
        folder,
        why,
    )


def source_of(module: str) -> bytes | None:
    """The source of an imported module, also from inside a zip file; None if it has none."""
    spec = getattr(sys.modules.get(module), "__spec__", None)
    if spec is None or not isinstance(spec.loader, InspectLoader):
        return None
    try:
        text = spec.loader.get_source(module)
    except ImportError:
        return None
    return None if text is None else text.encode()


@functools.cache
def key_of(module: str) -> str:
    """Hash over the module and the first-party modules that it imports, directly or not."""
    digest = hashlib.sha256()
    for name, source in sorted(sources_behind(module).items()):
        digest.update(f"{name}\0{len(source)}\0".encode())
        digest.update(source)
    return digest.hexdigest()[:24]


def sources_behind(module: str) -> dict[str, bytes]:
    """The sources that a module's machine code is made from, by name: its own and those of the
    first-party modules that it imports, directly or not."""
    family = module.partition(".")[0]
    found: dict[str, bytes] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        source = source_of(name)
        if name in found or source is None:
            continue
        found[name] = source
        imports = _imports(source, name)
        waiting += [
            other
            for other in imports
            if other.startswith(_FIRST_PARTY) or other.partition(".")[0] == family
        ]
    return found


def _imports(source: bytes, module: str) -> Iterator[str]:
    """The modules a source names in its imports; a name taken from a package may be one itself."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parent = ".".join(module.split(".")[: -node.level]) if node.level else ""
            base = ".".join(filter(None, (parent, node.module)))
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def _prune(cache: Path) -> None:
    """Remove folders whose last use is older than a month; another process may do the same."""
    oldest = time.time() - _KEPT_S
    for folder in cache.glob("*"):
        try:
            stale = folder.stat().st_mtime < oldest
        except FileNotFoundError:
            continue
        if stale:
            shutil.rmtree(folder, ignore_errors=True)
