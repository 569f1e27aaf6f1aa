"""A known fix, applied to each record before it is checked: ``--set``, ``FILE.toml``, or
``FILE.py:function``, which runs in this process. Changes are by JSON Pointer."""

from __future__ import annotations

import copy
import hashlib
import importlib.util
import json
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import orjson

from kite_runtime.errors import UsageError, reason_of

MISSING: Final = object()
"""Where there is nothing."""


class PointerError(ValueError):
    """A pointer is malformed, or leads nowhere in this record."""


def steps_of(pointer: str) -> tuple[str, ...]:
    """The steps of ``/a/0/b``. Raises PointerError."""
    if not pointer.startswith("/"):
        raise PointerError(f"{pointer!r} is no JSON Pointer; write it like /ohlc/open")
    return tuple(step.replace("~1", "/").replace("~0", "~") for step in pointer[1:].split("/"))


def get(record: Any, pointer: str) -> Any:
    """What stands there; `MISSING` where nothing does."""
    return _walk(record, steps_of(pointer))


def _walk(record: Any, steps: Iterable[str]) -> Any:
    found = record
    for step in steps:
        if isinstance(found, dict) and step in found:
            found = found[step]
        elif isinstance(found, list) and step.isdecimal() and int(step) < len(found):
            found = found[int(step)]
        else:
            return MISSING
    return found


def put(record: Any, pointer: str, value: Any) -> None:
    """Set it, in place; the last step of an object may be new. Raises PointerError."""
    holder, step = _holder(record, pointer)
    if isinstance(holder, dict):
        holder[step] = value
    else:
        holder[_index(holder, step, pointer)] = value


def remove(record: Any, pointer: str) -> None:
    """Take it out, in place; what is not there stays so. Raises PointerError."""
    holder, step = _holder(record, pointer)
    if isinstance(holder, dict):
        holder.pop(step, None)
    else:
        del holder[_index(holder, step, pointer)]


def differences(before: Any, after: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """(pointer, before, after) of each value that differs; `MISSING` where there is none."""
    if isinstance(before, dict) and isinstance(after, dict):
        for name in [*before, *(name for name in after if name not in before)]:
            step = str(name).replace("~", "~0").replace("/", "~1")
            values = before.get(name, MISSING), after.get(name, MISSING)
            yield from differences(*values, f"{path}/{step}")
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for index, values in enumerate(zip(before, after, strict=True)):
            yield from differences(*values, f"{path}/{index}")
    elif type(before) is not type(after) or before != after:
        yield path, before, after


def _holder(record: Any, pointer: str) -> tuple[dict[str, Any] | list[Any], str]:
    *above, step = steps_of(pointer)
    holder = _walk(record, above)
    if not isinstance(holder, dict | list):
        raise PointerError(f"{pointer} leads nowhere in this record")
    return holder, step


def _index(holder: list[Any], step: str, pointer: str) -> int:
    if not step.isdecimal() or int(step) >= len(holder):
        raise PointerError(f"{pointer} leads nowhere in this record")
    return int(step)


Subject = dict[str, Any] | bytes
"""What a transform gets: the decoded record, or the bytes where they do not decode."""

_KEYS: Final = {"path", "value", "copy", "remove", "when"}


class TransformInvalid(UsageError):
    """A mapping or ``--set`` is wrong: one sentence that says where and how."""


class TransformFailed(Exception):
    """The transform fails on this record; the text says why."""


@dataclass(frozen=True)
class Transform:
    """``name`` and the SHA-256 of the source are recorded with the redrive.

    ``apply`` gives the record that is to be, None to leave the failure as it is, and raises
    TransformFailed. It may change what it is given.
    """

    name: str
    sha256: bytes
    apply: Callable[[Subject], Subject | None] = field(compare=False)


@dataclass(frozen=True)
class _Step:
    """One change: set to ``value``, or to what stands at ``copy``, or (neither) remove."""

    path: str
    value: Any = MISSING
    copy: str | None = None
    when: Mapping[str, Any] = field(default_factory=dict)


def from_settings(settings: Iterable[str]) -> Transform:
    """Of ``--set /path=value``; a value is JSON, else text. Raises TransformInvalid."""
    steps = []
    for setting in settings:
        path, equals, text = setting.partition("=")
        if not equals:
            raise TransformInvalid(f"--set {setting}: write it like --set /price_scale=2")
        steps.append(_checked(_Step(path, _json_or_text(text)), f"--set {setting}"))
    name = "set " + ", ".join(f"{step.path}={json.dumps(step.value)}" for step in steps)
    return Transform(name, hashlib.sha256(name.encode()).digest(), _applier(steps))


def from_mapping(text: str, name: str) -> Transform:
    """A TOML file of ``[[change]]`` tables, applied in their order; ``name`` is the file's.

    A table has ``path`` and one of ``value``, ``copy`` (a path) and ``remove = true``; with
    ``when`` (values by path) it counts for records that have these. Raises TransformInvalid.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        raise TransformInvalid(f"{name} is no TOML: {exc}") from exc
    tables = document.get("change")
    if set(document) != {"change"} or not isinstance(tables, list) or not tables:
        raise TransformInvalid(f"{name} must hold [[change]] tables and nothing else")
    steps = [_step(table, f"{name}, change {number}") for number, table in enumerate(tables, 1)]
    digest = hashlib.sha256(text.encode()).digest()
    return Transform(f"mapping {name}", digest, _applier(steps))


def _step(table: Mapping[str, Any], where: str) -> _Step:
    unknown = set(table) - _KEYS
    if unknown:
        raise TransformInvalid(f"{where} has an unknown key {min(unknown)!r}")
    actions = [key for key in ("value", "copy", "remove") if key in table]
    if not isinstance(table.get("path"), str) or len(actions) != 1:
        raise TransformInvalid(f"{where} needs path and one of value, copy and remove")
    if "remove" in table and table["remove"] is not True:
        raise TransformInvalid(f"{where}: remove must be true")
    when = table.get("when", {})
    if not isinstance(when, Mapping):
        raise TransformInvalid(f"{where}: when must be a table of values by path")
    step = _Step(table["path"], table.get("value", MISSING), table.get("copy"), when)
    return _checked(step, where)


def _checked(step: _Step, where: str) -> _Step:
    try:
        for pointer in (step.path, *([step.copy] if step.copy is not None else []), *step.when):
            steps_of(pointer)
    except (PointerError, AttributeError) as exc:
        raise TransformInvalid(f"{where}: {exc}") from exc
    return step


def _applier(steps: list[_Step]) -> Callable[[Subject], Subject | None]:
    def apply(record: Subject) -> Subject | None:
        if isinstance(record, bytes):
            raise TransformFailed("the bytes do not decode, so there is no field to set")
        try:
            for step in steps:
                if all(get(record, path) == value for path, value in step.when.items()):
                    _perform(record, step)
        except PointerError as exc:
            raise TransformFailed(str(exc)) from exc
        return record

    return apply


def _perform(record: dict[str, Any], step: _Step) -> None:
    if step.copy is not None:
        found = get(record, step.copy)
        if found is MISSING:
            raise PointerError(f"{step.copy} leads nowhere in this record")
        put(record, step.path, copy.deepcopy(found))
    elif step.value is not MISSING:
        put(record, step.path, copy.deepcopy(step.value))
    else:
        remove(record, step.path)


def _json_or_text(text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text


def load_function(named: str) -> Transform:
    """The transform that ``FILE.py:function`` names. The file runs with this program's rights.

    ``function(record)`` gets the decoded record as a dict, or the bytes where they do not decode;
    it returns a dict, bytes, or None to leave the failure as it is. What it raises refuses that
    record. Raises UsageError when there is no such function.
    """
    path_text, colon, name = named.rpartition(":")
    if not colon or not path_text or not name.isidentifier():
        raise UsageError(f"--transform {named}: write it like --transform fix.py:function")
    path = Path(path_text)
    source = _read(path, "--transform")
    spec = importlib.util.spec_from_file_location("dlq_triage_transform", path)
    if spec is None or spec.loader is None:
        raise UsageError(f"--transform {path} is no Python file; its name must end in .py")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as exc:
        raise UsageError(f"--transform {path} does not load: {_told(exc)}") from exc
    function = getattr(module, name, None)
    if not callable(function):
        raise UsageError(f"--transform {path} has no function {name}")
    return Transform(f"{path.name}:{name}", hashlib.sha256(source).digest(), _guarded(function))


def load_mapping(path: Path) -> Transform:
    """The transform of a TOML file. Raises UsageError."""
    try:
        return from_mapping(_read(path, "--mapping").decode(), path.name)
    except (TransformInvalid, UnicodeDecodeError) as exc:
        raise UsageError(f"--mapping {exc}") from exc


def _guarded(function: Callable[[Any], Any]) -> Callable[[Subject], Subject | None]:
    def apply(record: Subject) -> Subject | None:
        try:
            made = function(record)
        except Exception as exc:
            # It is the user's own code: whatever it raises is about this one record.
            raise TransformFailed(f"the transform failed: {_told(exc)}") from exc
        if made is None or isinstance(made, dict | bytes):
            return made
        raise TransformFailed(
            f"the transform returned {type(made).__name__}; dict, bytes or None is due"
        )

    return apply


def _read(path: Path, option: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as exc:
        raise UsageError(f"{option} {path} cannot be read ({reason_of(exc)})") from exc


def _told(exc: Exception) -> str:
    said = str(exc).strip().partition("\n")[0]
    return f"{type(exc).__name__}: {said}" if said else type(exc).__name__
