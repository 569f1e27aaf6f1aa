"""The one place that configures numba for the hot path.

A function marked ``@compiled`` is a plain Python loop over integers and arrays. With
``NUMBA_DISABLE_JIT=1`` it runs as such, which is how a debugger steps through it. Machine code is
kept in the user's cache folder rather than beside the sources, because a PEX may be read-only, and
found there by the content of the sources: see ``code_cache``.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeVar, cast

import platformdirs

# numba reads its environment once, when it is imported.
os.environ.setdefault(
    "NUMBA_CACHE_DIR", os.path.join(platformdirs.user_cache_dir("kite-ingest"), "numba")
)
os.environ.setdefault(
    "NUMBA_CACHE_LOCATOR_CLASSES",
    "kite_runtime.code_cache.ContentLocator,UserProvidedCacheLocator,UserWideCacheLocator",
)

import numba  # noqa: E402
from numba.core.dispatcher import Dispatcher  # noqa: E402

# numba imports it by the name above too, which no packager would notice.
from kite_runtime.code_cache import ContentCache  # noqa: E402

Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(function: Function) -> Function:
    """Compile a loop over int64 arrays to machine code that releases the GIL."""
    made = numba.njit(nogil=True)(function)
    if isinstance(made, Dispatcher):
        # As its ``enable_caching`` does, with another class.
        made._cache = ContentCache(function)  # type: ignore[attr-defined,no-untyped-call]
    return cast(Function, made)
