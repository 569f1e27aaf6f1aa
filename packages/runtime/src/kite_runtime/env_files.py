"""``.env`` (secrets) and ``.infra/.env`` (endpoints, retention, ports) as one mapping.

A third file, ``.infra/local.env``, is written by the local stack and says where it listens; what a
person writes wins over it.

Lines are ``NAME=value``, optionally after ``export``. ``#`` starts a comment at the start of a line
or after a space. Single quotes take everything literally; double quotes know ``\\n``, ``\\t``,
``\\"`` and ``\\\\``. Nothing is expanded.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from kite_runtime.errors import ConfigurationError

LOCAL_STACK_FILE: Final = ".infra/local.env"
ENV_FILES: Final = (".env", ".infra/.env")
"""Relative to the root; a later one wins over an earlier one, the environment over all."""

_LINE: Final = re.compile(r"(?:export\s+)?(?P<name>[A-Za-z_][A-Za-z0-9_]*)\s*=(?P<value>.*)")
_QUOTED: Final = re.compile(r"""(?:'(?P<raw>[^']*)'|"(?P<text>(?:[^"\\]|\\.)*)")\s*(?:#.*)?""")
_ESCAPES: Final = {"n": "\n", "t": "\t", '"': '"', "\\": "\\"}


def read_env(root: Path, environ: Mapping[str, str], *, local_stack: bool = True) -> dict[str, str]:
    """The files under ``root`` and ``environ``, merged; a missing file is an empty one.

    ``local_stack`` False leaves the local stack's own file out: the stack itself must tell its
    endpoints from those that replace it. Raises ConfigurationError, naming file and line, for a
    line that is none; it never quotes the line, which may hold a secret.
    """
    merged: dict[str, str] = {}
    for name in (LOCAL_STACK_FILE, *ENV_FILES) if local_stack else ENV_FILES:
        merged.update(_read(root / name, name))
    merged.update(environ)
    return merged


def _read(path: Path, name: str) -> dict[str, str]:
    try:
        text = path.read_text("utf-8-sig")
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as exc:
        raise ConfigurationError(f"{name} cannot be read: {exc.strerror}.") from exc
    except UnicodeDecodeError as exc:
        raise ConfigurationError(f"{name} is not UTF-8 text.") from exc
    return parse_env(text, name)


def parse_env(text: str, name: str) -> dict[str, str]:
    """The variables of one file's ``text``; the last of a repeated name wins.

    Raises ConfigurationError with ``name`` and the number of the line that is malformed.
    """
    values: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        match = _LINE.fullmatch(line)
        value = None if match is None else _value(match["value"])
        if match is None or value is None:
            problem = "is not NAME=value" if match is None else "has an unbalanced quote"
            raise ConfigurationError(
                f"{name} line {number} {problem}; write it like KAFKA_LINGER_MS=1."
            )
        values[match["name"]] = value
    return values


def _value(text: str) -> str | None:
    if text.lstrip()[:1] in ("'", '"'):
        match = _QUOTED.fullmatch(text.strip())
        if match is None:
            return None
        if match["raw"] is not None:
            return match["raw"]
        return re.sub(r"\\(.)", lambda m: _ESCAPES.get(m[1], m[0]), match["text"])
    return re.split(r"\s#", text, maxsplit=1)[0].strip()
