"""Where everything lies: pure paths, no I/O.

All of it is in the user's cache folder, so that checkouts stay clean and share one stack.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import platformdirs

KAFKA_VERSION = "4.3.1"
POSTGRES_MAJOR = 18
HOME_VARIABLE = "KITE_DEVSTACK_HOME"

# A Unix socket's path is limited to 107 bytes on Linux and 103 on macOS (sockaddr_un).
_SOCKET_PATH_LIMIT = 103
_SOCKET_NAME = ".s.PGSQL.5432"


@dataclass(frozen=True)
class Layout:
    """The folders and files of one stack under ``home``."""

    home: Path

    @property
    def jars(self) -> Path:
        return self.home / "jars" / f"kafka-{KAFKA_VERSION}"

    @property
    def stack_lock(self) -> Path:
        """Held by whoever starts or stops something."""
        return self.home / "stack.lock"

    @property
    def leases(self) -> Path:
        """One file for each user of the stack; see `leases`."""
        return self.home / "leases"

    @property
    def run(self) -> Path:
        return self.home / "run"

    @property
    def supervisor(self) -> Path:
        return self.run / "supervisor.py"

    def service(self, name: str) -> ServiceFiles:
        return ServiceFiles(name, self.run, self.home / name)

    def socket_folder(self, temporary: Path) -> Path:
        """Postgres's socket folder: its own, or a short one where that path is too long."""
        own = self.service("postgres").folder / "socket"
        if len(str(own / _SOCKET_NAME).encode()) <= _SOCKET_PATH_LIMIT:
            return own
        return temporary / f"kite-pg-{hashlib.sha256(str(own).encode()).hexdigest()[:12]}"


@dataclass(frozen=True)
class ServiceFiles:
    """The files of one server process."""

    name: str
    run: Path
    folder: Path

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def log(self) -> Path:
        return self.folder / f"{self.name}.log"

    @property
    def lock(self) -> Path:
        """Held by the supervisor as long as the server lives."""
        return self.run / f"{self.name}.lock"

    @property
    def spec(self) -> Path:
        return self.run / f"{self.name}.spec.json"

    @property
    def pid(self) -> Path:
        """The server's process id and the supervisor's, one a line."""
        return self.run / f"{self.name}.pid"

    @property
    def ready(self) -> Path:
        """The endpoint; there only while the server accepts clients."""
        return self.run / f"{self.name}.endpoint"

    @property
    def supervisor_log(self) -> Path:
        return self.run / f"{self.name}.supervisor.log"


def layout_of(environ: Mapping[str, str]) -> Layout:
    """The stack's layout: under ``KITE_DEVSTACK_HOME``, else in the user's cache folder."""
    override = environ.get(HOME_VARIABLE)
    if override:
        return Layout(Path(override).expanduser().absolute())
    return Layout(platformdirs.user_cache_path("kite-ingest", appauthor=False) / "devstack")
