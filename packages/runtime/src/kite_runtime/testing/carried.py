"""For tests: the libraries that a program's PEX file carries, as something in it imports them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Final

OURS: Final = "kite_"
LARGE: Final = frozenset(
    "exchange_calendars jinja2 jsonschema_rs kiteconnect numba numpy pandas psycopg pyarrow "
    "starlette websockets".split()
)
"""Those of docs/deploying.md."""
NOT_FOLLOWED: Final = "# pants: no-infer-dep"


def carried(package: str) -> set[str]:
    """The libraries that the modules of ``package``, and those of ours that they import, import.

    As Pants reads them: an import counts wherever it stands, and brings the ``__init__`` of each
    package above its module.
    """
    spec = find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    folder = Path(spec.origin).parent
    waiting = {
        ".".join((package, *each.relative_to(folder).with_suffix("").parts))
        for each in folder.rglob("*.py")
    }
    seen: set[str] = set()
    libraries: set[str] = set()
    while waiting:
        name = waiting.pop()
        top = name.partition(".")[0]
        if not top.startswith(OURS):
            libraries.add(top)
        elif name not in seen:
            seen.add(name)
            waiting |= set(_imports(name))
            waiting.add(name.rpartition(".")[0] or name)
    return libraries


def _imports(name: str) -> Iterator[str]:
    try:
        spec = find_spec(name)
    except ModuleNotFoundError:  # a name inside a module
        return
    if spec is None or spec.origin is None:
        return
    text = Path(spec.origin).read_text("utf-8")
    lines = text.splitlines()
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.Import | ast.ImportFrom):
            continue
        module = f"{node.module}." if isinstance(node, ast.ImportFrom) else ""
        for each in node.names:
            if NOT_FOLLOWED not in lines[each.lineno - 1]:
                yield module + each.name
                yield (module + each.name).rpartition(".")[0] or each.name
