"""SQL lies in ``.sql`` files, a name and a comment above each statement:

-- name: latest_batch
-- The newest dump of an exchange.
SELECT ...
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.resources import files
from typing import Final

Statements = Mapping[str, bytes]
"""Statement by name, as psycopg takes it."""

_NAME: Final = re.compile(r"--\s*name:\s*(\w+)\s*$")


def load_statements(package: str, file_name: str = "statements.sql") -> Statements:
    """The statements of a resource beside the modules of ``package``."""
    return parse_statements((files(package) / file_name).read_text("utf-8"))


def parse_statements(text: str) -> Statements:
    """Pure. Raises ValueError for a statement without a name, or a name without or with two.

    Lines of comment are left out, so that a percent sign in one is no parameter; the name stays as
    a comment, for logs of the server.
    """
    lines: dict[str, list[str]] = {}
    name = None
    for line in text.splitlines():
        if found := _NAME.match(line):
            name = found[1]
            if name in lines:
                raise ValueError(f"two statements are named {name}")
            lines[name] = []
        elif line.strip() and not line.lstrip().startswith("--"):
            if name is None:
                raise ValueError(f"no name above the statement {line!r}")
            lines[name].append(line)
    for name, body in lines.items():
        if not body:
            raise ValueError(f"no statement under the name {name}")
    return {name: "\n".join([f"/* {name} */", *body]).encode() for name, body in lines.items()}
