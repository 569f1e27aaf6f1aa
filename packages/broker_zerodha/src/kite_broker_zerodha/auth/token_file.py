"""The access token of the day on disk: written whole, readable by its owner alone.

A JSON object: ``access_token``, ``api_key``, ``user_id``, ``user_name``, ``login_time`` and
``expires_at`` (both ISO 8601, UTC). A file made by hand needs the first alone, where the key comes
from elsewhere. The API secret is never in it. Kite's sessions read the same file again for each
attempt to connect, so a new token reaches a program that runs.
"""

from __future__ import annotations

import json
import os
import secrets
import stat
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from kite_broker_zerodha.auth.grant import Grant, expires_at
from kite_broker_zerodha.errors import CredentialsError
from kite_runtime.clock import IST
from kite_runtime.secrets import Secret

TOKEN_FILE_BYTES_MAX: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class StoredToken:
    """The access token of a day; ``repr`` shows no secret.

    Times are aware, UTC. In a file made by hand they may be missing, and KITE_ACCESS_TOKEN has
    none: they are None then, and the names empty.
    """

    api_key: str = field(repr=False)
    access_token: Secret
    user_id: str = ""
    user_name: str = ""
    minted_at: datetime | None = None
    expires_at: datetime | None = None


def write_token(path: str | os.PathLike[str], grant: Grant) -> None:
    """Replace the file by a complete one, mode 0600; a reader sees the old or the new one.

    A missing folder is made with mode 0700. Raises CredentialsError when it cannot be written.
    """
    target = Path(path)
    content = {
        "access_token": grant.access_token.reveal(),
        "api_key": grant.api_key,
        "user_id": grant.user_id,
        "user_name": grant.user_name,
        "login_time": grant.login_time.isoformat(),
        "expires_at": grant.expires_at.isoformat(),
    }
    data = (json.dumps(content, indent=2) + "\n").encode()
    try:
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _replace(target, data)
    except OSError as error:
        raise CredentialsError(
            f"the token file {target} cannot be written: {error.strerror}"
        ) from error


def _replace(target: Path, data: bytes) -> None:
    new = target.with_name(f".{target.name}.{secrets.token_hex(8)}.tmp")
    descriptor = os.open(new, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW, 0o600)
    try:
        with open(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(descriptor)
        os.replace(new, target)
    except BaseException:
        with suppress(FileNotFoundError):
            new.unlink()
        raise
    folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)  # the name too survives a power cut
    finally:
        os.close(folder)


def remove_token(path: str | os.PathLike[str]) -> bool:
    """Remove the file; False when there was none. Raises CredentialsError when it cannot be."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise CredentialsError(
            f"the token file {os.fspath(path)} cannot be removed: {error.strerror}"
        ) from error
    return True


def read_token(path: str | os.PathLike[str], api_key: str | None = None) -> StoredToken:
    """What the file says now; ``api_key`` stands in for a missing one.

    Raises CredentialsError: no file, open to others, damaged, or without token or key. The message
    says what to do and never quotes the content.
    """
    place = Path(path)
    found = _read_private(place)
    token = found.get("access_token")
    key = found.get("api_key") or api_key
    if not isinstance(token, str) or not token:
        raise CredentialsError(f'the token file {place} has no "access_token" string')
    if not isinstance(key, str) or not key:
        raise CredentialsError(
            f'the token file {place} has no "api_key": add it or set KITE_API_KEY'
        )
    for name, text in (("access_token", token), ("api_key", key)):
        if not text.isascii() or not text.isprintable():
            raise CredentialsError(
                f"the token file {place} has characters in its {name} that none "
                "of Kite's has: log in again"
            )
    minted_at = _moment(found, "login_time")
    dies_at = _moment(found, "expires_at")
    return StoredToken(
        api_key=key,
        access_token=Secret(token),
        user_id=_text(found, "user_id"),
        user_name=_text(found, "user_name"),
        minted_at=minted_at,
        expires_at=dies_at or (expires_at(minted_at) if minted_at else None),
    )


def _read_private(path: Path) -> dict[str, Any]:
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
            status = os.fstat(file.fileno())
            data = file.read(TOKEN_FILE_BYTES_MAX + 1) if stat.S_ISREG(status.st_mode) else None
    except OSError as error:
        raise CredentialsError(f"the token file {path} cannot be read: {error.strerror}") from error
    if data is None:  # such as a FIFO, which would be waited for
        raise CredentialsError(f"the token file {path} is no regular file")
    if not is_private(status, {os.getegid(), *os.getgroups()}):
        raise CredentialsError(
            f"the token file {path} is open to others (mode {stat.S_IMODE(status.st_mode):04o}): "
            f"chmod 600 {path}"
        )
    try:
        found = json.loads(data) if len(data) <= TOKEN_FILE_BYTES_MAX else None
    except (ValueError, RecursionError):
        found = None  # the parser's own error would quote the secret
    if not isinstance(found, dict):
        raise CredentialsError(f'the token file {path} is no JSON object with "access_token"')
    return found


def is_private(status: os.stat_result, groups: Collection[int]) -> bool:
    """Only its owner can use it; or it is mode 0440, root's and of one of these groups, as
    Kubernetes mounts a secret."""
    mounted = status.st_uid == 0 and status.st_gid in groups
    return not status.st_mode & (stat.S_IRWXG | stat.S_IRWXO) or (
        mounted and stat.S_IMODE(status.st_mode) == stat.S_IRUSR | stat.S_IRGRP
    )


def _text(found: dict[str, Any], name: str) -> str:
    value = found.get(name)
    return value if isinstance(value, str) else ""


def _moment(found: dict[str, Any], name: str) -> datetime | None:
    """A time as we write it, or as Kite does: without a zone, in IST. None for anything else."""
    try:
        moment = datetime.fromisoformat(_text(found, name))
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=IST)).astimezone(UTC)
