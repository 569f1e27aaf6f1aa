"""JSON Pointers into a record: look, set, remove, and what differs between two records (pure)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

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
    found = record
    for step in steps_of(pointer):
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
    holder = get(record, "/" + "/".join(_quoted(each) for each in above)) if above else record
    if not isinstance(holder, dict | list):
        raise PointerError(f"{pointer} leads nowhere in this record")
    return holder, step


def _quoted(step: str) -> str:
    return step.replace("~", "~0").replace("/", "~1")


def _index(holder: list[Any], step: str, pointer: str) -> int:
    if not step.isdecimal() or int(step) >= len(holder):
        raise PointerError(f"{pointer} leads nowhere in this record")
    return int(step)
