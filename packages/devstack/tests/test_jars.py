from __future__ import annotations

import contextlib
import errno
import functools
import hashlib
import http.server
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from jgo.maven import MavenContext

from kite_devstack import jars
from kite_devstack.errors import ConfigError, FailedError, UnreachableError
from kite_devstack.jars import Jar, ensure_jars, locked_jars, parse_lock
from kite_devstack.reporter import Reporter as Silent

CONTENT = b"a jar" * 5000
GOOD = Jar("org.example", "thing", "1.0", hashlib.sha256(CONTENT).hexdigest())


class LocalRepository(http.server.BaseHTTPRequestHandler):
    """A Maven repository that has one jar."""

    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        found = self.path == "/org/example/thing/1.0/thing-1.0.jar"
        self.send_response(200 if found else 404)
        self.send_header("Content-Length", str(len(CONTENT) if found else 0))
        self.end_headers()
        if found:
            self.wfile.write(CONTENT)

    def log_message(self, *_: object) -> None:
        """Quiet."""


class Reporter(Silent):
    """Remembers what was said; `advance` may do something else than count."""

    def __init__(self, advance: Callable[[int], None] | None = None) -> None:
        self.said: list[str] = []
        self.advance = advance or (lambda count: None)

    def say(self, text: str) -> None:
        self.said.append(text)

    @contextlib.contextmanager
    def fetching(self, text: str, size_bytes: int) -> Iterator[Callable[[int], None]]:
        self.said.append(text)
        yield self.advance


@pytest.fixture()
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The paths asked of a local repository that stands in for Maven Central."""
    paths: list[str] = []
    handler = type("Handler", (LocalRepository,), {"asked": paths})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        use_repository(monkeypatch, server.server_port)
        yield paths
        server.shutdown()


def use_repository(monkeypatch: pytest.MonkeyPatch, port: int) -> None:
    context = functools.partial(MavenContext, remote_repos={"local": f"http://127.0.0.1:{port}"})
    monkeypatch.setattr(jars, "MavenContext", context)


def test_the_lock_is_whole() -> None:
    wanted = locked_jars()
    assert len(wanted) == 46
    assert "org.apache.kafka:kafka_2.13:4.3.1" in {str(jar) for jar in wanted}
    assert len({jar.file_name for jar in wanted}) == len(wanted), "names share one folder"


@pytest.mark.parametrize("line", ["a:b sha256:" + "0" * 64, "a:b:c", "a:b:c sha256:00", ""])
def test_a_damaged_lock_names_its_line(line: str) -> None:
    with pytest.raises(ConfigError, match="line 2"):
        parse_lock(f"a:b:c sha256:{'0' * 64}\n{line}\n")


def test_a_missing_jar_is_fetched_once(tmp_path: Path, asked: list[str]) -> None:
    report = Reporter()
    ensure_jars(tmp_path, report, [GOOD])
    assert (tmp_path / "thing-1.0.jar").read_bytes() == CONTENT
    assert report.said == ["fetching Kafka 4.3.1: 1 jars, 1 MB"]
    asked.clear()
    ensure_jars(tmp_path, Reporter(), [GOOD])
    assert asked == []


def test_a_damaged_jar_is_fetched_again(tmp_path: Path, asked: list[str]) -> None:
    (tmp_path / "thing-1.0.jar").write_bytes(CONTENT[:-1])
    report = Reporter()
    ensure_jars(tmp_path, report, [GOOD])
    assert (tmp_path / "thing-1.0.jar").read_bytes() == CONTENT
    assert report.said[0] == "thing-1.0.jar was damaged and is fetched again"


def test_a_jar_of_another_hash_is_never_used(tmp_path: Path, asked: list[str]) -> None:
    other = Jar("org.example", "thing", "1.0", "0" * 64)
    with pytest.raises(FailedError, match="another SHA-256") as caught:
        ensure_jars(tmp_path, Reporter(), [other])
    assert caught.value.exit_code == 1
    assert list(tmp_path.iterdir()) == []


def test_a_jar_that_is_not_there_is_one_sentence(tmp_path: Path, asked: list[str]) -> None:
    with pytest.raises(UnreachableError, match="not found there"):
        ensure_jars(tmp_path, Reporter(), [Jar("org.example", "nothing", "1.0", "0" * 64)])


def test_no_network_means_try_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_repository(monkeypatch, 9)  # discard: nobody listens
    with pytest.raises(
        UnreachableError, match=r"no connection.*first start needs the network"
    ) as caught:
        ensure_jars(tmp_path, Reporter(), [GOOD])
    assert caught.value.exit_code == 75
    assert list(tmp_path.iterdir()) == []


def test_an_interruption_leaves_no_half_jar(tmp_path: Path, asked: list[str]) -> None:
    def interrupt(_count: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ensure_jars(tmp_path, Reporter(interrupt), [GOOD])
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_fetch_left_is_removed(tmp_path: Path, asked: list[str]) -> None:
    (tmp_path / "fetch-abc" / "org").mkdir(parents=True)
    ensure_jars(tmp_path, Reporter(), [GOOD])
    assert [path.name for path in tmp_path.iterdir()] == ["thing-1.0.jar"]


def test_a_full_disk_is_one_sentence(tmp_path: Path, asked: list[str]) -> None:
    def full(_count: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(FailedError, match="no space left for Kafka's jars"):
        ensure_jars(tmp_path, Reporter(full), [GOOD])
    assert list(tmp_path.iterdir()) == []
