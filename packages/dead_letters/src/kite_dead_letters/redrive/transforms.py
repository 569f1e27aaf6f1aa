"""A known fix, applied to each record before it is checked: changes by path (pure)."""

from __future__ import annotations

import copy
import hashlib
import json
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from kite_dead_letters.redrive.pointers import MISSING, PointerError, get, put, remove, steps_of

Subject = dict[str, Any] | bytes
"""What a transform gets: the decoded record, or the bytes where they do not decode."""

_KEYS: Final = {"path", "value", "copy", "remove", "when"}


class TransformInvalid(ValueError):
    """A mapping or ``--set`` is wrong: one sentence that says where and how."""


class TransformFailed(Exception):
    """The transform does not do with this record; the text says why."""


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
