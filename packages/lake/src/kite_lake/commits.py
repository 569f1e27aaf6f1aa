"""Writing files, and commits that hold data and progress in one snapshot."""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]
from pyiceberg.exceptions import CommitFailedException
from pyiceberg.io.pyarrow import (
    compute_statistics_plan,
    data_file_statistics_from_parquet_metadata,
    parquet_path_to_id_mapping,
    schema_to_pyarrow,
)
from pyiceberg.manifest import DataFile, DataFileContent, FileFormat
from pyiceberg.partitioning import PartitionFieldValue, PartitionKey
from pyiceberg.table import Table

from kite_lake.catalog import ROW_GROUP_ROWS
from kite_lake.errors import LakeUnreachable, ProgressMoved
from kite_lake.progress import PROPERTY, Place, Progress, progress_of, to_text
from kite_lake.rows import Part

ATTEMPTS: Final = 20
_PAUSE_S: Final = 0.05


def write_parts(table: Table, parts: Iterable[Part]) -> list[DataFile]:
    """Write each part as a Parquet file of its partition; no snapshot knows them yet."""
    name = uuid.uuid4().hex
    return [
        _write(table, part, f"{number:05}-{name}.parquet")
        for number, part in enumerate(parts)  # one at a time: the rows of one are in memory
        if part.rows.num_rows
    ]


def _write(table: Table, part: Part, name: str) -> DataFile:
    # pyiceberg's own writer has dictionaries for every column. A day's ticks of many instruments
    # take a quarter less as the bytes of equal rank together, and a reader needs no dictionary.
    schema, spec = table.schema(), table.spec()
    values = [part.day] if part.bucket is None else [part.day, part.bucket]
    fields = zip(spec.fields, values, strict=True)
    key = PartitionKey([PartitionFieldValue(*each) for each in fields], spec, schema)
    path = table.location_provider().new_data_location(name, key)
    numbers = [each.name for each in part.rows.schema if pa.types.is_integer(each.type)]
    rows = part.rows.cast(schema_to_pyarrow(schema))
    file = table.io.new_output(path)
    with (
        file.create() as stream,
        pq.ParquetWriter(
            stream,
            rows.schema,
            compression="zstd",
            use_dictionary=[each for each in rows.schema.names if each not in numbers],
            column_encoding=dict.fromkeys(numbers, "BYTE_STREAM_SPLIT"),
        ) as writer,
    ):
        writer.write_table(rows, row_group_size=ROW_GROUP_ROWS)
    statistics = data_file_statistics_from_parquet_metadata(
        writer.writer.metadata,
        compute_statistics_plan(schema, table.properties),
        parquet_path_to_id_mapping(schema),
    )
    return DataFile.from_args(
        content=DataFileContent.DATA,
        file_path=path,
        file_format=FileFormat.PARQUET,
        partition=key.partition,
        file_size_in_bytes=len(file),
        sort_order_id=None,
        spec_id=table.metadata.default_spec_id,
        equality_ids=None,
        key_metadata=None,
        **statistics.to_serialized_dict(),
    )


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
