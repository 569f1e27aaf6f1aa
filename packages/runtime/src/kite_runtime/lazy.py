"""A package's public names, loaded when they are asked for (PEP 562)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def lazy(
    package: str, modules: Mapping[str, str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """``__getattr__``, ``__dir__`` and ``__all__`` of ``package``; ``modules`` has the names that
    each of its modules gives, separated by spaces.

    So who wants a schema does not wait for numba. Code of this repository imports from the modules
    all the same: ``code_cache`` follows the imports in the sources of a compiled loop.
    """
    home = {name: module for module, names in modules.items() for name in names.split()}

    def get(name: str) -> Any:
        if name not in home:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(f"{package}.{home[name]}"), name)

    public = sorted(home)
    return get, lambda: public, public
