"""The lake: its catalog, its warehouse and its tables, made and evolved where they are missing."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from pyiceberg.catalog import Catalog
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.exceptions import NoSuchTableError, TableAlreadyExistsError
from pyiceberg.table import Table
from pyiceberg.transforms import BucketTransform
from sqlalchemy import URL, event, make_url
from sqlalchemy.exc import ArgumentError

from kite_contracts.store import Contract
from kite_lake.errors import LakeUnusable, explained
from kite_lake.tables import (
    BUCKET_FIELD,
    BUCKETS,
    LAYOUT,
    LAYOUT_PROPERTY,
    NAMESPACE,
    TableSpec,
    order_of,
    partitions_of,
    schema_of,
)

ROW_GROUP_ROWS: Final = 32_768
"""An instrument's day is a row group or two, so that reading it decodes little else."""
_BUSY_S: Final = 30
_PROPERTIES: Final = {
    "format-version": "2",
    "write.parquet.compression-codec": "zstd",
    "write.parquet.row-group-limit": str(ROW_GROUP_ROWS),
    # A retry by pyiceberg would append again without comparing the progress.
    "commit.retry.num-retries": "0",
    "commit.manifest-merge.enabled": "true",
    "write.metadata.delete-after-commit.enabled": "true",
    "write.metadata.previous-versions-max": "20",
    LAYOUT_PROPERTY: str(LAYOUT),
}


@dataclass
class Lake:
    """An open catalog. ``shown`` is its address without a password. One thread uses it."""

    catalog: Catalog
    shown: str
    warehouse: str
    buckets: int
    contracts: Mapping[str, Contract] = field(default_factory=dict)
    """By subject, instead of the newest version."""

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Raise what goes wrong with catalog and warehouse as an error of this package."""
        with explained(self.shown, self.warehouse):
            yield

    def close(self) -> None:
        """Give its connections back."""
        self.catalog.close()

    def table(self, spec: TableSpec) -> Table:
        """The table as it is now; made, or given the new columns of its contract, where needed.

        Raises LakeUnreachable and LakeUnusable.
        """
        schema = schema_of(spec, self.contracts.get(spec.subject))
        name = f"{NAMESPACE}.{spec.name}"
        with self.explained():
            try:
                table = self.catalog.load_table(name)
            except NoSuchTableError:
                self.catalog.create_namespace_if_not_exists(NAMESPACE)
                try:
                    table = self.catalog.create_table(
                        name,
                        schema,
                        partition_spec=partitions_of(spec, schema, self.buckets),
                        sort_order=order_of(spec, schema),
                        properties={**_PROPERTIES, "comment": spec.doc},
                    )
                except TableAlreadyExistsError:
                    table = self.catalog.load_table(name)
            self._check(table, spec)
            known = set(table.schema().column_names)
            if any(each.name not in known for each in schema.fields):
                with table.update_schema() as update:
                    for each in schema.fields:
                        if each.name not in known:
                            update.add_column(each.name, each.field_type, doc=each.doc)
            return table

    def existing(self, spec: TableSpec) -> Table | None:
        """The table if there is one; reading makes none."""
        with self.explained():
            try:
                table = self.catalog.load_table(f"{NAMESPACE}.{spec.name}")
            except NoSuchTableError:
                return None
        self._check(table, None)
        return table

    def _check(self, table: Table, spec: TableSpec | None) -> None:
        name = ".".join(table.name())
        layout = table.properties.get(LAYOUT_PROPERTY, str(LAYOUT))
        if not layout.isdecimal() or int(layout) > LAYOUT:
            raise LakeUnusable(
                f"the table {name} in {self.shown} was made by a newer release (layout {layout}, "
                f"this program knows {LAYOUT}): update this program"
            )
        if spec is None or not spec.bucketed:
            return
        buckets = buckets_of(table)
        if buckets != self.buckets:
            raise LakeUnusable(
                f"TICK_ARCHIVE_BUCKETS is {self.buckets}, but the table {name} was made with "
                f"{buckets}: the number is fixed when the table is created, set it to {buckets}"
            )


def buckets_of(table: Table) -> int:
    """The number of buckets that a table of ticks was made with."""
    for each in table.spec().fields:
        if each.name == BUCKET_FIELD and isinstance(each.transform, BucketTransform):
            return each.transform.num_buckets
    return 1


def open_lake(warehouse: Path | str, catalog: str | None = None, *, buckets: int = BUCKETS) -> Lake:
    """Open the lake in ``warehouse``, a folder or an address such as ``s3://bucket/ticks``.

    ``catalog`` is the address of a Postgres database; without it the catalog is a SQLite file in
    the folder. Raises LakeUnreachable and LakeUnusable.
    """
    place = str(warehouse)
    remote = "://" in place
    if catalog is None:
        if remote:
            raise LakeUnusable(
                f"the warehouse {place} is no folder, so its catalog needs a database: set "
                "TICK_ARCHIVE_CATALOG=postgresql://user@host:5432/kite"
            )
        uri = shown = f"sqlite:///{Path(place).absolute() / 'catalog.db'}"
    else:
        uri = catalog.replace("postgresql://", "postgresql+psycopg://", 1)
        try:
            address = make_url(catalog)
        except ArgumentError as exc:
            raise LakeUnusable(
                "the address of the catalog cannot be read: write it like "
                "postgresql://user@db1.example.com:5432/kite"
            ) from exc
        there = address.host, address.port, address.database
        shown = str(URL.create("postgresql", address.username, None, *there))
    with explained(shown, place):
        if not remote:
            Path(place).mkdir(parents=True, exist_ok=True)
            if not os.access(place, os.W_OK | os.X_OK):
                raise PermissionError(13, "permission denied", place)
            place = str(Path(place).absolute())
        opened = SqlCatalog(
            NAMESPACE,
            uri=uri,
            warehouse=place if remote else f"file://{place}",
            pool_pre_ping="true",
        )
        if uri.startswith("sqlite"):
            event.listen(opened.engine, "connect", _wait_when_busy)
            opened.engine.dispose()
    return Lake(opened, shown, place, buckets)


def _wait_when_busy(connection: Any, _: object) -> None:
    """Several processes share the file: one waits while another commits."""
    connection.execute(f"PRAGMA busy_timeout = {_BUSY_S * 1000}")
