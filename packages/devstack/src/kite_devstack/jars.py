"""Kafka's jars: fetched once by the coordinates of the lock, checked by SHA-256.

The lock (`kafka-4.3.1.lock`) lists what Maven resolved; jgo only fetches, because its own
resolution of dependencies picks other versions. The repository is jgo's default, Maven Central;
proxies and certificates come from the environment as for `requests`. A jar gets its name in the
folder only after its hash was checked, so that no interruption leaves half a file to be used.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import importlib.resources
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import requests
from jgo.maven import MavenContext, PythonResolver

from kite_devstack.errors import ConfigError, FailedError, UnreachableError
from kite_devstack.layout import KAFKA_VERSION
from kite_devstack.reporter import Reporter

_THREADS = 8
_ATTEMPTS = 3
_TIMEOUT_S = 30
_TOTAL_BYTES = 44_923_838


@dataclass(frozen=True)
class Jar:
    """One line of the lock."""

    group: str
    artifact: str
    version: str
    sha256: str

    @property
    def file_name(self) -> str:
        return f"{self.artifact}-{self.version}.jar"

    def __str__(self) -> str:
        return f"{self.group}:{self.artifact}:{self.version}"


def parse_lock(text: str) -> list[Jar]:
    """The jars of a lock: lines of ``group:artifact:version sha256:hex``. Pure.

    Raises ConfigError naming a line of another form.
    """
    jars = []
    for number, line in enumerate(text.splitlines(), start=1):
        coordinate, _, digest = line.partition(" sha256:")
        parts = coordinate.split(":")
        if len(parts) != 3 or len(digest) != 64:
            raise ConfigError(
                f"line {number} of Kafka's lock is not 'group:artifact:version sha256:…'"
            )
        jars.append(Jar(parts[0], parts[1], parts[2], digest))
    return jars


def locked_jars() -> list[Jar]:
    """The jars of the Kafka version this package runs."""
    lock = importlib.resources.files("kite_devstack").joinpath(f"kafka-{KAFKA_VERSION}.lock")
    return parse_lock(lock.read_text(encoding="ascii"))


def ensure_jars(folder: Path, report: Reporter, jars: list[Jar] | None = None) -> None:
    """Makes ``folder`` hold each jar of the lock, and fetches what is missing or damaged.

    Raises UnreachableError without network, and FailedError for a fetched file of another hash or
    a full disk.
    """
    wanted = locked_jars() if jars is None else jars
    missing = [jar for jar in wanted if not _is_good(folder / jar.file_name, jar, report)]
    if not missing:
        return
    share = _TOTAL_BYTES * len(missing) // len(locked_jars())
    text = f"fetching Kafka {KAFKA_VERSION}: {len(missing)} jars, {share / 1e6:.0f} MB"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _remove_staging(folder)
        with (
            report.fetching(text, share) as advance,
            tempfile.TemporaryDirectory(prefix="fetch-", dir=folder) as staging,
        ):
            _fetch_all(missing, Path(staging), folder, advance)
    except OSError as exc:
        if exc.errno in (errno.ENOSPC, errno.EDQUOT):
            raise FailedError(
                f"no space left for Kafka's jars ({share / 1e6:.0f} MB) in {folder}"
            ) from exc
        raise


def _is_good(path: Path, jar: Jar, report: Reporter) -> bool:
    if not path.exists():
        return False
    if _sha256(path) == jar.sha256:
        return True
    path.unlink()
    report.say(f"{path.name} was damaged and is fetched again")
    return False


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _remove_staging(folder: Path) -> None:
    """Removes what an interrupted fetch left (only one process fetches: it holds the lock)."""
    for left in folder.glob("fetch-*"):
        shutil.rmtree(left, ignore_errors=True)


def _fetch_all(
    jars: list[Jar], staging: Path, folder: Path, advance: Callable[[int], None]
) -> None:
    stop = threading.Event()

    @contextlib.contextmanager
    def progress(_name: str, _size: int) -> Iterator[Callable[[int], None]]:
        def update(count: int) -> None:
            if stop.is_set():
                raise _StoppedError
            advance(count)

        yield update

    context = MavenContext(
        resolver=PythonResolver(progress_callback=progress),
        repo_cache=staging,
        timeout=_TIMEOUT_S,
    )
    with ThreadPoolExecutor(_THREADS) as pool:
        try:
            for done in as_completed(pool.submit(_fetch, context, jar, folder) for jar in jars):
                done.result()
        except BaseException:
            stop.set()
            pool.shutdown(wait=True, cancel_futures=True)
            raise


class _StoppedError(Exception):
    """Ends the other downloads after the first failure or an interruption."""


def _fetch(context: MavenContext, jar: Jar, folder: Path) -> None:
    path = _download(context, jar)
    if _sha256(path) != jar.sha256:
        path.unlink()
        raise FailedError(
            f"{jar} came with another SHA-256 than the lock says and was deleted; try again, and "
            "if it stays so, look at what stands between this machine and Maven Central"
        )
    os.replace(path, folder / jar.file_name)


def _download(context: MavenContext, jar: Jar) -> Path:
    """The jar in the staging folder; a broken connection is tried again at once, twice."""
    artifact = context.project(jar.group, jar.artifact).at_version(jar.version).artifact()
    for attempt in range(_ATTEMPTS):
        try:
            return Path(artifact.resolve())
        except (requests.RequestException, RuntimeError) as exc:
            # jgo raises RuntimeError for any answer but 200, and leaves what it has of the file.
            if artifact.cached_path is not None:
                artifact.cached_path.unlink(missing_ok=True)
            if attempt + 1 == _ATTEMPTS or isinstance(exc, RuntimeError):
                raise UnreachableError(
                    f"cannot fetch {jar} from Maven Central ({_cause(exc)}); the first start needs "
                    "the network: check the connection and the proxy settings, then try again"
                ) from exc
    raise AssertionError("the loop returns or raises")


def _cause(exc: BaseException) -> str:
    if isinstance(exc, requests.exceptions.SSLError):
        return "its certificate is not trusted here: set REQUESTS_CA_BUNDLE"
    if isinstance(exc, requests.exceptions.ProxyError):
        return "the proxy does not answer"
    if isinstance(exc, requests.exceptions.Timeout):
        return "no answer in time"
    if isinstance(exc, requests.RequestException):
        return "no connection"
    return "not found there"
