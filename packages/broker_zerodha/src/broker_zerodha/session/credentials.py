"""The api_key and the access token of the day, read anew for each attempt to connect.

Kite's token dies every morning, so where it comes from is asked again each time: a token file that
some other program replaces, or the environment. The secrets show in no repr and no error.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Protocol

from broker_zerodha.errors import BrokerError

TOKEN_FILE_BYTES_MAX: Final = 64 * 1024
API_KEY: Final = "KITE_API_KEY"
ACCESS_TOKEN: Final = "KITE_ACCESS_TOKEN"


class CredentialsError(BrokerError):
    """There are no usable credentials; one sentence says what is missing and what to do."""


class Secret:
    """A string that does not show itself by accident."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        return self._value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __repr__(self) -> str:
        return "Secret(***)"

    __str__ = __repr__


class Credentials:
    """What a connection needs. Equal when both parts are equal; ``repr`` hides both."""

    __slots__ = ("api_key", "access_token")

    def __init__(self, api_key: str, access_token: str | Secret) -> None:
        if not api_key:
            raise CredentialsError(f"the API key is missing: set {API_KEY}")
        token = access_token if isinstance(access_token, Secret) else Secret(access_token)
        if not token.reveal():
            raise CredentialsError(f"the access token is missing: set {ACCESS_TOKEN}")
        self.api_key = api_key
        self.access_token = token

    @property
    def secrets(self) -> tuple[str, str]:
        """The literal values, for redaction."""
        return (self.access_token.reveal(), self.api_key)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Credentials)
            and other.api_key == self.api_key
            and other.access_token == self.access_token
        )

    def __hash__(self) -> int:
        return hash((self.api_key, self.access_token))

    def __repr__(self) -> str:
        return "Credentials(api_key=***, access_token=***)"


class CredentialSource(Protocol):
    """Where credentials come from. Asked for each attempt, and each second after a refusal."""

    def load(self) -> Credentials:
        """The credentials as they are now. Raises CredentialsError."""


class FixedCredentials:
    """The same credentials always: simulator and tests."""

    def __init__(self, api_key: str, access_token: str) -> None:
        self._credentials = Credentials(api_key, access_token)

    def load(self) -> Credentials:
        return self._credentials


class EnvironmentCredentials:
    """``KITE_API_KEY`` and ``KITE_ACCESS_TOKEN`` of a mapping, looked up anew each time."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    def load(self) -> Credentials:
        missing = [name for name in (API_KEY, ACCESS_TOKEN) if not self._environ.get(name)]
        if missing:
            raise CredentialsError(f"no credentials: set {' and '.join(missing)}")
        return Credentials(self._environ[API_KEY], self._environ[ACCESS_TOKEN])


class TokenFile:
    """A JSON file ``{"access_token": ..., "api_key": ...}``; the key may come from elsewhere.

    Replace the file by renaming a complete one over it. A file that others can read is refused.
    """

    def __init__(self, path: str | os.PathLike[str], api_key: str | None = None) -> None:
        self._path = Path(path)
        self._api_key = api_key

    def load(self) -> Credentials:
        try:
            with self._path.open("rb") as file:
                mode = os.fstat(file.fileno()).st_mode
                data = file.read(TOKEN_FILE_BYTES_MAX + 1)
        except OSError as error:
            raise CredentialsError(
                f"the token file {self._path} cannot be read: {error.strerror}"
            ) from error
        if mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise CredentialsError(
                f"the token file {self._path} is open to others (mode {stat.S_IMODE(mode):04o}): "
                f"chmod 600 {self._path}"
            )
        return self._parsed(data)

    def _parsed(self, data: bytes) -> Credentials:
        try:
            found = json.loads(data) if len(data) <= TOKEN_FILE_BYTES_MAX else None
        except (ValueError, RecursionError):
            found = None  # the parser's own error would quote the secret
        if not isinstance(found, dict):
            raise CredentialsError(
                f'the token file {self._path} is no JSON object with "access_token"'
            )
        token = found.get("access_token")
        api_key = found.get("api_key") or self._api_key
        if not isinstance(token, str) or not token:
            raise CredentialsError(f'the token file {self._path} has no "access_token" string')
        if not isinstance(api_key, str) or not api_key:
            raise CredentialsError(
                f'the token file {self._path} has no "api_key": add it or set {API_KEY}'
            )
        return Credentials(api_key, token)

    def __repr__(self) -> str:
        return f"TokenFile({str(self._path)!r})"
