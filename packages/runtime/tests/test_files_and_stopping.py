"""A file is replaced whole or stays as it was; the first signal is a request."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from kite_runtime.errors import OutputUnusable
from kite_runtime.files import replacing, write_whole
from kite_runtime.stopping import stop_on_signals


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_replaced_file_keeps_its_mode_and_its_link(tmp_path: Path) -> None:
    real, link = tmp_path / "real", tmp_path / "link"
    real.write_bytes(b"old")
    real.chmod(0o640)
    link.symlink_to(real)
    with replacing(link) as new:
        new.write_bytes(b"new")
        assert real.read_bytes() == b"old"
    assert link.is_symlink()
    assert real.read_bytes() == b"new"
    assert real.stat().st_mode & 0o7777 == 0o640
    assert names(tmp_path) == ["link", "real"]


def test_an_error_leaves_the_old_file_and_nothing_beside_it(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"old")

    def half() -> None:
        with replacing(tmp_path / "file") as new:
            new.write_bytes(b"ne")
            raise RuntimeError("half")

    with pytest.raises(RuntimeError, match="half"):
        half()
    assert (tmp_path / "file").read_bytes() == b"old"
    assert names(tmp_path) == ["file"]


def test_a_block_that_leaves_nothing_replaces_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"old")
    with replacing(tmp_path / "file") as new:
        new.write_bytes(b"same")
        new.unlink()
    assert (tmp_path / "file").read_bytes() == b"old"


def test_a_place_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutputUnusable), replacing(tmp_path / "file" / "below"):
        pass
    with pytest.raises(OutputUnusable):
        write_whole(tmp_path / "file" / "below", b"data")


def test_what_stays_the_same_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / "made" / "file"
    assert write_whole(path, b"data")
    before = path.stat().st_ino
    assert not write_whole(path, b"data")
    assert path.stat().st_ino == before
    assert write_whole(path, b"other")
    assert path.read_bytes() == b"other"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_asks_and_the_next_one_is_as_ever(number: signal.Signals) -> None:
    def ever(*_: object) -> None:
        calls.append("as ever")

    calls: list[str] = []
    before = signal.signal(number, ever)
    try:
        with stop_on_signals(lambda: calls.append("asked")) as stop:
            assert not stop
            os.kill(os.getpid(), number)
            assert stop
            os.kill(os.getpid(), number)
        assert calls == ["asked", "as ever"]
        assert signal.getsignal(number) is ever
    finally:
        signal.signal(number, before)
