"""Writing files, and commits that hold data and progress in one snapshot."""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from pyiceberg.exceptions import CommitFailedException
from pyiceberg.io.pyarrow import write_file
from pyiceberg.manifest import DataFile
from pyiceberg.partitioning import PartitionFieldValue, PartitionKey
from pyiceberg.table import Table, WriteTask

from kite_lake.errors import LakeUnreachable, ProgressMoved
from kite_lake.progress import PROPERTY, Place, Progress, progress_of, to_text
from kite_lake.rows import Part

ATTEMPTS: Final = 20
_PAUSE_S: Final = 0.05


def write_parts(table: Table, parts: Iterable[Part]) -> list[DataFile]:
    """Write each part as a Parquet file of its partition; no snapshot knows them yet."""
    written_as, spec, schema = uuid.uuid4(), table.spec(), table.schema()

    def task(number: int, part: Part) -> WriteTask:
        values = [part.day] if part.bucket is None else [part.day, part.bucket]
        key = PartitionKey(
            [
                PartitionFieldValue(each, value)
                for each, value in zip(spec.fields, values, strict=True)
            ],
            spec,
            schema,
        )
        return WriteTask(written_as, number, schema, part.rows.to_batches(), partition_key=key)

    files: list[DataFile] = []
    for number, part in enumerate(parts):  # one at a time: the rows of one are in memory
        if part.rows.num_rows == 0:
            continue
        files += write_file(table.io, table.metadata, iter([task(number, part)]))
    return files


def append(
    table: Table,
    files: Sequence[DataFile],
    before: Mapping[Place, Progress],
    after: Mapping[Place, Progress],
) -> None:
    """Add ``files`` and move the progress of the places in ``after`` on, in one snapshot.

    ``before`` is what the files were read from; a place that it does not have had no progress.
    Raises ProgressMoved, and then nothing of it is in the table, where another process moved one of
    the places meanwhile; LakeUnreachable where others commit all the time. After any other error
    nobody knows whether the snapshot is there: read the progress again.
    """

    def build(progress: dict[Place, Progress]) -> dict[str, str] | None:
        if all(progress.get(place) == each for place, each in after.items()):
            return None
        for place in after:
            if progress.get(place) != before.get(place):
                raise ProgressMoved(
                    f"{place[0]}/{place[1]} was archived by another process in the meantime"
                )
        return {PROPERTY: to_text({**progress, **after})}

    def change(transaction: Any, properties: dict[str, str]) -> None:
        with transaction.update_snapshot(snapshot_properties=properties).merge_append() as adding:
            for each in files:
                adding.append_data_file(each)

    commit(table, build, change)


def replace(table: Table, old: Sequence[DataFile], new: Sequence[DataFile]) -> None:
    """Put ``new`` in the place of ``old`` in one snapshot; the progress stays as it is.

    Raises ProgressMoved where one of the old files is no longer in the table.
    """
    paths = {each.file_path for each in old}

    def build(progress: dict[Place, Progress]) -> dict[str, str]:
        here = {task.file.file_path for task in table.scan().plan_files()}
        if not paths <= here:
            raise ProgressMoved("the files were replaced by another process in the meantime")
        return {PROPERTY: to_text(progress)}

    def change(transaction: Any, properties: dict[str, str]) -> None:
        with transaction.update_snapshot(snapshot_properties=properties).overwrite() as rewriting:
            for each in old:
                rewriting.delete_data_file(each)
            for each in new:
                rewriting.append_data_file(each)

    commit(table, build, change)


def commit(
    table: Table,
    build: Callable[[dict[Place, Progress]], dict[str, str] | None],
    change: Callable[[Any, dict[str, str]], None],
) -> None:
    """Apply ``change`` with the properties that ``build`` makes of the table's progress.

    Both see the same state of the table: the catalog refuses a commit that was built on another.
    Then the table is read again and both are called again. ``build`` returns None where there is
    nothing left to do.
    """
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(_PAUSE_S * min(attempt, 10) * random.uniform(0.5, 1.5))
            table.refresh()
        properties = build(progress_of(table.metadata))
        if properties is None:
            return
        try:
            with table.transaction() as transaction:
                change(transaction, properties)
            return
        except CommitFailedException:
            continue
    raise LakeUnreachable(
        f"{'.'.join(table.name())} was changed by others {ATTEMPTS} times in a row: try again"
    )
