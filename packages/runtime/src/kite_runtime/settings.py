"""Checks single variables of a mapping (pure). Every error names variable, problem and example."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from kite_runtime.errors import SettingError

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,39}")
_NUMBER: Final = re.compile(r"[0-9]{1,18}")
_SIZE: Final = re.compile(r"([0-9]{1,15})\s*([KMGT]?)(?:i?B)?", re.IGNORECASE)
_TIME: Final = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)\s*(ms|s|m|h|d)?")
_SIZES: Final = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_HERE: Final = frozenset({"localhost", "127.0.0.1", "::1"})


class Values:
    """Typed access to the variables. Every method raises SettingError for a wrong value."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self._env = env

    def text(self, variable: str, default: str) -> str:
        """The value without surrounding space; the default when there is none."""
        value = self._env.get(variable, "").strip() or default
        if "\0" in value:
            raise SettingError(variable, "holds a NUL character", default)
        return value

    def name(self, variable: str, default: str) -> str:
        """A name that can stand in a path and in a metric label."""
        value = self.text(variable, default)
        if not _NAME.fullmatch(value):
            raise SettingError(
                variable, f"is {value[:60]!r}, not up to 40 letters, digits, _ . -", default
            )
        return value

    def integer(self, variable: str, default: int, *, low: int, high: int) -> int:
        """A whole number from ``low`` to ``high``."""
        value = self.text(variable, str(default))
        if not _NUMBER.fullmatch(value) or not low <= int(value) <= high:
            raise SettingError(
                variable, f"is {value[:60]!r}, no whole number from {low} to {high}", str(default)
            )
        return int(value)

    def size(self, variable: str, default: str, *, low: int, high: int) -> int:
        """Bytes; units of 1024: ``67108864``, ``64MiB``, ``64M``."""
        value = self.text(variable, default)
        match = _SIZE.fullmatch(value)
        found = int(match[1]) * _SIZES[match[2].upper()] if match else -1
        if not low <= found <= high:
            raise SettingError(
                variable, f"is {value[:60]!r}, no size from {low} to {high} bytes", default
            )
        return found

    def seconds(self, variable: str, default: str, *, low: float, high: float) -> float:
        """A duration: ``10``, ``10s``, ``500ms``, ``24h``."""
        value = self.text(variable, default)
        match = _TIME.fullmatch(value)
        found = float(match[1]) * _SECONDS[match[2] or "s"] if match else -1.0
        if not low <= found <= high:
            raise SettingError(
                variable, f"is {value[:60]!r}, no time from {low:g} to {high:g} seconds", default
            )
        return found

    def websocket_url(self, variable: str, default: str) -> str:
        """A wss address, or ws on this machine. Its value is never quoted: it may hold keys."""
        value = self.text(variable, default)
        try:
            parts = urlsplit(value)
            host, port = parts.hostname, parts.port
        except ValueError:
            host, port, parts = None, None, urlsplit("")
        if parts.scheme not in ("ws", "wss") or not host or port == 0:
            raise SettingError(variable, "is no wss:// address", default)
        if parts.username is not None or parts.query or parts.fragment:
            raise SettingError(variable, "holds more than host, port and path", default)
        if parts.scheme == "ws" and host not in _HERE:
            raise SettingError(variable, "would send the token without encryption", default)
        return value
