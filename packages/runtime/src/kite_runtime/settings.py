"""Settings: a program's variables, each declared once, as a field of one frozen object.

    @dataclass(frozen=True, kw_only=True)
    class DemoSettings(Settings):
        port: int = variable("DEMO_PORT", integer(0, 65_535), "9464", "where metrics are served")

    DemoSettings.load(Path(), os.environ).port

From the declaration come the values, the sentence about a wrong one (variable, problem, example)
and the table of docs/reference/environment.md. An empty value counts as not set. Relative paths
start at the folder of the settings files.

The files are ``.env`` (secrets) and ``.infra/.env``; a third, ``.infra/local.env``, is written by
the local stack and loses to both. Lines are ``NAME=value``, optionally after ``export``; ``#``
starts a comment at the start of a line or after a space. Single quotes take everything literally;
double quotes know ``\\n``, ``\\t``, ``\\"`` and ``\\\\``. Nothing is expanded.
"""

from __future__ import annotations

import re
import stat
import sys
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any, Final, Self, TypeVar, cast
from urllib.parse import urlsplit

from kite_runtime.console import write_line
from kite_runtime.errors import ConfigurationError, SettingError
from kite_runtime.hosts import is_local

T = TypeVar("T")
Kind = Callable[[str], T]
"""Makes a value of a text, or raises WrongValue with the problem."""

LOCAL_STACK_FILE: Final = ".infra/local.env"
ENV_FILES: Final = (".env", ".infra/.env")
"""Relative to the root; a later one wins over an earlier one, the environment over all."""

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,39}")
_NUMBER: Final = re.compile(r"[0-9]{1,18}")
_PERCENT: Final = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,6})?)\s*%")
_SIZE: Final = re.compile(r"([0-9]{1,15})\s*([KMGT]?)(?:i?B)?", re.IGNORECASE)
_TIME: Final = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)\s*(ms|s|m|h|d)?")
_SIZES: Final = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_LINE: Final = re.compile(r"(?:export\s+)?(?P<name>[A-Za-z_][A-Za-z0-9_]*)\s*=(?P<value>.*)")
_QUOTED: Final = re.compile(r"""(?:'(?P<raw>[^']*)'|"(?P<text>(?:[^"\\]|\\.)*)")\s*(?:#.*)?""")
_ESCAPES: Final = {"n": "\n", "t": "\t", '"': '"', "\\": "\\"}
_SECRET_NAME: Final = re.compile(r"PASSWORD|SECRET|TOKEN$")
_PASSWORD_IN_ADDRESS: Final = re.compile(r"://[^/@\s:]*:[^/@\s]+@|\bpassword=\S")


class WrongValue(ValueError):
    """Why a text is no value of its kind; it follows the variable's name in the sentence."""


@dataclass(frozen=True)
class Variable:
    """What a field of a settings object is declared as; see ``variable``."""

    name: str
    kind: Kind[Any]
    default: str
    help: str
    example: str
    shown: str
    unset: str

    def read(self, text: str, before: Mapping[str, object]) -> Any:
        """The value of ``text``, or of the default, which may name the fields ``before`` it.
        Raises SettingError."""
        default = self.default
        if "{" in default:
            default = default.format(state=_state() if "{state}" in default else "", **before)
        text = text.strip() or default
        try:
            if "\0" in text:
                raise WrongValue("holds a NUL character")
            return self.kind(text)
        except WrongValue as problem:
            raise SettingError(self.name, str(problem), self.example or default) from None

    def missing(self, root: Path | None) -> ConfigurationError:
        """To be raised where something needs a variable that is not set, also not in the files
        below ``root``."""
        if self.example:
            error: ConfigurationError = SettingError(self.name, self.unset, self.example)
        else:
            error = ConfigurationError(f"{self.name} {self.unset}")
        if root is not None:
            files = ", ".join((*ENV_FILES, LOCAL_STACK_FILE))
            where = f"looked in the environment and below {root.resolve()} in {files}"
            error.args = (f"{error}; {where}",)
        return error


def variable(
    name: str,
    kind: Kind[T],
    default: str,
    help: str,
    *,
    example: str = "",
    shown: str | None = None,
    secret: bool = False,
    unset: str = "is not set",
) -> T:
    """A field that is read from the variable ``name``.

    ``default`` is the text that stands for an unset one; ``{state}`` in it is the user's state
    folder, ``{field}`` the value of an earlier field. ``example`` and ``unset`` complete the
    sentences about a wrong or missing value, ``shown`` is the default as the table has it, and a
    ``secret`` is left out of ``repr``.
    """
    if shown is None:
        shown = re.sub(r"{(\w+)[^}]*}", r"<\1>", default)
    declared = Variable(name, kind, default, help, example, shown, unset)
    try:
        value: Any = MISSING if "{" in default else kind(default)
    except WrongValue:
        value = MISSING
    made: Any = field(default=value, repr=not secret, metadata={Variable: declared})
    return cast(T, made)


def variable_of(settings: Any, name: str) -> Variable:
    """How the field ``name`` of a settings class is declared."""
    declared: Variable = settings.__dataclass_fields__[name].metadata[Variable]
    return declared


def require(settings: Any, name: str) -> Any:
    """The value of the field ``name``. Raises ConfigurationError where it is not set."""
    if not (value := getattr(settings, name)):
        raise variable_of(settings, name).missing(getattr(settings, "root", None))
    return value


def prefixed(prefix: str, kind: Callable[[Mapping[str, str]], T], help: str) -> T:
    """A field of all variables whose names begin with ``prefix``; ``kind`` makes its value of them.

    Their texts may be secrets: the field is left out of ``repr``.
    """
    declared = Variable(f"{prefix}…", str, "", help, "", "", "is not set")
    made: Any = field(
        default=kind({}), repr=False, metadata={prefixed: (prefix, kind), Variable: declared}
    )
    return cast(T, made)


def group(settings: type[T], needs: str) -> T | None:
    """A field with settings of their own, or None where the field ``needs`` of them is not set."""
    made: Any = field(metadata={group: (settings, needs)})
    return cast(T | None, made)


def read_variables(
    cls: type[T], env: Mapping[str, str], given: Mapping[str, object], root: Path | None = None
) -> T:
    """A settings object of ``env``; what is ``given`` by the name of its field wins, unless it is
    None. Raises SettingError."""
    left = {name: value for name, value in given.items() if value is not None}
    values = _values(cls, env, left, root)
    if left:
        raise TypeError(f"{cls.__name__} has no variable for {', '.join(left)}")
    if root is not None:
        values |= {"root": root, "env": env}
    return cls(**values)


def _values(
    cls: Any, env: Mapping[str, str], given: dict[str, object], root: Path | None
) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for each in fields(cls):
        if prefixed in each.metadata:
            prefix, kind = each.metadata[prefixed]
            found = {k: v.strip() for k, v in env.items() if k.startswith(prefix) and v.strip()}
            values[each.name] = kind(found)
        elif declared := each.metadata.get(Variable):
            text = str(given.pop(each.name, env.get(declared.name, "")))
            values[each.name] = declared.read(text, values)
        elif group in each.metadata:
            kind, needs = each.metadata[group]
            named = needs in given or env.get(variable_of(kind, needs).name, "").strip()
            values[each.name] = kind(**_values(kind, env, given, root)) if named else None
    if root is None:
        return values
    return {name: _below(root, value) for name, value in values.items()}


def _below(root: Path, value: object) -> object:
    if isinstance(value, tuple):
        return tuple(_below(root, each) for each in value)
    return root / value if isinstance(value, Path) else value


def _state() -> str:
    import platformdirs

    return platformdirs.user_state_dir("kite-ingest")


def variables_table(cls: type) -> str:
    """The table of docs/reference/environment.md: a row for each variable of a settings class."""
    rows = ["| Variable | Default | Meaning |", "|---|---|---|"]
    for each in fields(cls):
        if declared := each.metadata.get(Variable):
            shown = f"`{declared.shown}`" if declared.shown else ""
            rows.append(f"| `{declared.name}` | {shown} | {declared.help} |")
    return "\n".join(rows) + "\n"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What every program has; its own class adds its variables."""

    root: Path
    """The folder of ``.env``; relative paths start here."""
    env: Mapping[str, str] = field(repr=False)
    """The merged variables; holds secrets."""

    @classmethod
    def load(cls, root: Path, environ: Mapping[str, str], **given: object) -> Self:
        """Read the settings files under ``root`` and check every variable.

        ``given`` are options of the command line by the names of their fields; they win, unless
        None. Raises ConfigurationError: one sentence, never a secret's value.
        """
        return cls.from_env(root, read_env(root, environ), **given)

    @classmethod
    def from_env(cls, root: Path, env: Mapping[str, str], **given: object) -> Self:
        """The same of variables that are merged already."""
        return read_variables(cls, env, given, root)


@dataclass(frozen=True, kw_only=True)
class PostgresUser(Settings):
    """Settings of a program that needs the database."""

    postgres_dsn: str = variable(
        "POSTGRES_DSN",
        str,
        "",
        "the database; `make up` starts one and writes its address into `.infra/local.env`",
        example="postgresql://user@db1.example.com:5432/kite",
        unset="is not set (`make up` starts a database)",
        secret=True,
    )

    def require_postgres(self) -> str:
        """The database's address. Raises SettingError when none is named."""
        return str(require(self, "postgres_dsn"))


def optional(kind: Kind[T]) -> Kind[T | None]:
    """The same kind, None where nothing is set."""
    return lambda text: kind(text) if text else None


def identifier(text: str) -> str:
    """A name that can stand in a path and in a metric label."""
    if not _NAME.fullmatch(text):
        raise WrongValue(f"is {text[:60]!r}, not up to 40 letters, digits, _ . -")
    return text


def paths(text: str) -> tuple[Path, ...]:
    """Paths between commas."""
    return tuple(Path(part.strip()) for part in text.split(",") if part.strip())


def integer(low: int, high: int) -> Kind[int]:
    """A whole number from ``low`` to ``high``."""

    def read(text: str) -> int:
        if not _NUMBER.fullmatch(text) or not low <= int(text) <= high:
            raise WrongValue(f"is {text[:60]!r}, no whole number from {low} to {high}")
        return int(text)

    return read


def size(low: int, high: int) -> Kind[int]:
    """Bytes; units of 1024: ``67108864``, ``64MiB``, ``64M``."""

    def read(text: str) -> int:
        match = _SIZE.fullmatch(text)
        found = int(match[1]) * _SIZES[match[2].upper()] if match else -1
        if not low <= found <= high:
            raise WrongValue(f"is {text[:60]!r}, no size from {low} to {high} bytes")
        return found

    return read


def seconds(low: float, high: float) -> Kind[float]:
    """A duration: ``10``, ``10s``, ``500ms``, ``24h``."""

    def read(text: str) -> float:
        match = _TIME.fullmatch(text)
        found = float(match[1]) * _SECONDS[match[2] or "s"] if match else -1.0
        if not low <= found <= high:
            raise WrongValue(f"is {text[:60]!r}, no time from {low:g} to {high:g} seconds")
        return found

    return read


def share(text: str) -> float:
    """A share, from ``1%``."""
    match = _PERCENT.fullmatch(text)
    if match is None or not 0 < float(match[1]) <= 100:
        raise WrongValue(f"is {text[:60]!r}, no share above 0% and up to 100%")
    return float(match[1]) / 100


def choice(*allowed: str) -> Kind[str]:
    """One of ``allowed``, in either case."""

    def read(text: str) -> str:
        for each in allowed:
            if text.upper() == each.upper():
                return each
        raise WrongValue(f"is {text[:60]!r}, none of {', '.join(allowed)}")

    return read


def address(scheme: str, local: str, sent: str) -> Kind[str]:
    """An address with encryption, because ``sent`` goes there, or one of the scheme ``local`` on
    this machine. Its value is never quoted: it may hold keys."""

    def read(text: str) -> str:
        try:
            parts = urlsplit(text)
            host, port = parts.hostname, parts.port
        except ValueError:
            host, port, parts = None, None, urlsplit("")
        if parts.scheme not in (scheme, local) or not host or port == 0:
            raise WrongValue(f"is no {scheme}:// address")
        if parts.username is not None or parts.query or parts.fragment:
            raise WrongValue("holds more than host, port and path")
        if parts.scheme == local and not is_local(host):
            raise WrongValue(f"would send {sent} without encryption")
        return text

    return read


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
    values = parse_env(text, name)
    secret = next((each for each, value in values.items() if _is_secret(each, value)), None)
    if secret is not None and path.stat().st_mode & (stat.S_IROTH | stat.S_IWOTH):
        write_line(
            sys.stderr,
            f"warning: {name} is open to every user of this machine and holds {secret}: "
            f"chmod 600 {path}",
        )
    return values


def _is_secret(name: str, value: str) -> bool:
    return bool(value) and (
        _SECRET_NAME.search(name) is not None or _PASSWORD_IN_ADDRESS.search(value) is not None
    )


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
