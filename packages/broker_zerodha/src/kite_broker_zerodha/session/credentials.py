"""The api_key and the access token of the day, read again at each attempt to connect.

Kite's token dies every morning, so where it comes from is asked again each time: a token file that
some other program replaces, or the environment. The secrets show in no repr and no error.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final, Protocol

from kite_broker_zerodha.auth.token_file import read_token
from kite_broker_zerodha.errors import CredentialsError
from kite_runtime.secrets import Secret

API_KEY: Final = "KITE_API_KEY"
ACCESS_TOKEN: Final = "KITE_ACCESS_TOKEN"


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


class TokenFile:
    """The file that ``auth.token_file`` writes; the key may come from elsewhere.

    A file made by hand, ``{"access_token": ..., "api_key": ...}``, will do. Replace it by renaming
    a complete one over it. A file that others can read is refused.
    """

    def __init__(self, path: str | os.PathLike[str], api_key: str | None = None) -> None:
        self._path = Path(path)
        self._api_key = api_key

    def load(self) -> Credentials:
        token = read_token(self._path, self._api_key)
        return Credentials(token.api_key, token.access_token)

    def __repr__(self) -> str:
        return f"TokenFile({str(self._path)!r})"
