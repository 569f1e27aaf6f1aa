"""Catalog away, disk full, an answer that is lost: tried again, nothing lost, nothing twice."""

from __future__ import annotations

import errno
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from archive_stage import Stage, ticks
from sqlalchemy.exc import OperationalError

from kite_lake import intake
from kite_lake.catalog import Lake
from kite_lake.errors import LakeUnreachable


def _failing(work: Any, failures: Iterator[Exception], *, after: bool = False) -> Any:
    """``work``, which fails for each of ``failures``: before or after it is done."""

    def call(*given: Any) -> Any:
        failure = next(failures, None)
        if failure is None:
            return work(*given)
        if after:
            work(*given)
        raise failure

    return call


def _lost() -> OperationalError:
    return OperationalError("COMMIT", {}, Exception("server closed the connection"))


@pytest.mark.parametrize(
    ("name", "failure", "after", "errors"),
    [
        ("write_parts", OSError(errno.ENOSPC, "No space left on device"), False, 2),
        ("append", _lost(), False, 2),
        ("append", _lost(), True, 1),  # the commit is there; the next session finds it
    ],
)
def test_ticks_are_there_once_whatever_failed(
    stage: Stage,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    failure: Exception,
    after: bool,
    errors: int,
) -> None:
    stage.send(ticks(1_000))
    work = _failing(getattr(intake, name), iter([failure, failure]), after=after)
    monkeypatch.setattr(intake, name, work)
    counters = stage.archive()
    assert counters.lake_errors == errors
    assert counters.buffered == 0
    assert counters.trouble is None
    assert stage.archived() == stage.in_kafka()
    assert len(stage.archived()) == 1_000


def test_a_catalog_that_is_away_is_tried_again(stage: Stage) -> None:
    stage.send(ticks(100))
    stop, troubles = threading.Event(), []
    service = stage.service(group=f"away-{stage.ticks}", stop=stop)
    tries = iter([LakeUnreachable("the catalog is away"), LakeUnreachable("still away")])

    def open_lake() -> Lake:
        troubles.append(service.counters.problems())
        failure = next(tries, None)
        if failure is not None:
            raise failure
        return stage.open()

    service.open_lake = open_lake
    thread = threading.Thread(target=service.run)
    thread.start()
    try:
        while service.counters.rows[stage.ticks] < 100:
            assert thread.is_alive()
            thread.join(0.2)
    finally:
        stop.set()
        thread.join()
    assert troubles == [["not connected yet"], ["the catalog is away"], ["still away"]]
    assert service.counters.problems() == []
    assert stage.archived() == stage.in_kafka()


def test_once_gives_up_at_the_start(stage: Stage) -> None:
    service = stage.service(once=True)
    service.open_lake = _failing(stage.open, iter([LakeUnreachable("the catalog is away")]))
    with pytest.raises(LakeUnreachable, match="away"):
        service.run()
