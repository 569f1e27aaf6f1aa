"""For tests: secrets that can be recognised wherever they turn up, and places to look for them.

A test plants the secrets in a folder's ``.env`` and in the environment, runs commands that go well
and that fail, and looks in what they printed, in the files they left, and in the list of processes.
"""

from __future__ import annotations

import base64
import gzip
import json
import os
import subprocess
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote, quote_plus

from kite_runtime.testing.programs import PATIENCE_S

CANARY: Final = "CANARY"
"""It stands in every planted secret, so that a part of one is found too."""

SECRETS: Final[Mapping[str, str]] = {
    "KITE_API_KEY": "CANARYkey0123",
    "KITE_API_SECRET": "CANARYsecret0123",
    "KITE_ACCESS_TOKEN": "CANARYtoken/+=0123",
    "KAFKA_SASL_PASSWORD": "CANARYpassword0123",
    "KAFKA_SSL_KEY_PASSWORD": "CANARYkeypassword0123",
    "SCHEMA_REGISTRY_BASIC_AUTH": "user:CANARYregistry0123",
    "POSTGRES_PASSWORD": "CANARYpostgres0123",
}
"""Variable → planted value. A DSN carries the last one: ``postgres_dsn``."""

KEEPERS: Final = (".env", "token.json")
"""Files that hold secrets on purpose."""

_POLL_S: Final = 0.005
_PROCESSES: Final = Path("/proc")


def postgres_dsn(address: str = "127.0.0.1:9", database: str = "kite") -> str:
    """A connection string with the planted password; nothing listens at the default address."""
    return f"postgresql://kite:{SECRETS['POSTGRES_PASSWORD']}@{address}/{database}"


def write_env(folder: Path, more: Mapping[str, str] | None = None) -> Path:
    """A ``.env`` with all secrets, the DSN and ``more``, readable by its owner alone."""
    values = {**SECRETS, "POSTGRES_DSN": postgres_dsn(), **(more or {})}
    path = folder / ".env"
    path.touch(mode=0o600)
    path.write_text("".join(f"{name}='{value}'\n" for name, value in values.items()))
    return path


def write_token_file(folder: Path) -> Path:
    """A ``token.json`` as a login leaves it, without its times, readable by its owner alone."""
    path = folder / "token.json"
    path.touch(mode=0o600)
    content = {
        "access_token": SECRETS["KITE_ACCESS_TOKEN"],
        "api_key": SECRETS["KITE_API_KEY"],
        "user_id": "AB1234",
    }
    path.write_text(json.dumps(content))
    return path


def traces(data: bytes | str, allowed: Collection[str] = ()) -> list[str]:
    """The names of the secrets in the data, literally, as in a URL, in base64 or in hex.

    ``allowed`` are variables whose value may stand there, such as the key in a login address.
    A part of a secret that none of them explains is reported as CANARY.
    """
    content = data.encode() if isinstance(data, str) else data
    found = []
    for name, secret in SECRETS.items():
        for form in _forms(secret):
            if form in content:
                content = content.replace(form, b"")
                if name not in allowed and name not in found:
                    found.append(name)
    return [*found, CANARY] if CANARY.encode() in content else found


def traces_in_files(folder: Path, keepers: Collection[str] = KEEPERS) -> list[str]:
    """``FILE: NAME`` of each secret in the files below the folder, the compressed ones included.

    ``keepers`` are the file names that are passed over.
    """
    return [
        f"{path.relative_to(folder)}: {name}"
        for path in _files(folder, keepers)
        for name in traces(_content(path))
    ]


@dataclass(frozen=True)
class Call:
    """What a command left: exit code, output, and secrets seen in the list of processes."""

    code: int
    stdout: str
    stderr: str
    process_list: tuple[str, ...]

    def traces(self, allowed: Collection[str] = ()) -> list[str]:
        """The secrets in its output and in the list of processes."""
        return [*traces(self.stdout + self.stderr, allowed), *self.process_list]


def call(command: Sequence[str], folder: Path, env: Mapping[str, str], *, stdin: str = "") -> Call:
    """Run a command in the folder with exactly this environment, PATH and HOME aside.

    Raises subprocess.TimeoutExpired after PATIENCE_S.
    """
    base = {"PATH": os.environ["PATH"], "HOME": str(folder), "COLUMNS": "200"}
    with ProcessWatch() as watch:
        done = subprocess.run(
            command,
            cwd=folder,
            env=base | dict(env),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
    return Call(done.returncode, done.stdout, done.stderr, watch.seen)


class ProcessWatch:
    """Looks for secrets in the command lines of this process's children, and of theirs, while it is
    entered (Linux). Other programs of the machine, such as another test of it, are left alone."""

    def __init__(self) -> None:
        self._seen: set[str] = set()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="process-watch", daemon=True)

    @property
    def seen(self) -> tuple[str, ...]:
        return tuple(sorted(self._seen))

    def __enter__(self) -> ProcessWatch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stopped.wait(_POLL_S):
            for line in _command_lines():
                self._seen.update(traces(line))


def _command_lines() -> Iterator[bytes]:
    children: dict[int, list[int]] = {}
    for path in _PROCESSES.glob("[0-9]*/stat"):
        with suppress(OSError):  # it ended in between, or is somebody else's
            # "PID (NAME) STATE PARENT ...", and NAME may hold brackets: proc_pid_stat(5).
            parent = path.read_bytes().rpartition(b")")[2].split()[1]
            children.setdefault(int(parent), []).append(int(path.parent.name))
    waiting = children.get(os.getpid(), [])
    while waiting:
        pid = waiting.pop()
        waiting += children.get(pid, [])
        with suppress(OSError):
            yield (_PROCESSES / str(pid) / "cmdline").read_bytes()


def _forms(secret: str) -> list[bytes]:
    """How a secret can be written down, the longest first, so that none hides a part of another."""
    raw = secret.encode()
    encoded = base64.b64encode(raw).rstrip(b"=")
    forms = {raw, quote(secret, safe="").encode(), quote_plus(secret).encode()}
    forms |= {encoded, base64.urlsafe_b64encode(raw).rstrip(b"="), raw.hex().encode()}
    return sorted(forms, key=len, reverse=True)


def _files(folder: Path, keepers: Collection[str]) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name not in keepers:
            yield path


def _content(path: Path) -> bytes:
    data = path.read_bytes()
    return gzip.decompress(data) if data.startswith(b"\x1f\x8b") else data
