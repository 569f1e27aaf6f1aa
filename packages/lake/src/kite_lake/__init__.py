"""Ticks at rest: Iceberg tables, filled from Kafka exactly once, and their readers."""

from typing import TYPE_CHECKING

from kite_runtime.lazy import lazy

if TYPE_CHECKING:
    from kite_lake.catalog import Lake as Lake  # pants: no-infer-dep
    from kite_lake.catalog import open_lake as open_lake  # pants: no-infer-dep
    from kite_lake.reading import read_ticks as read_ticks  # pants: no-infer-dep
    from kite_lake.service import ArchiveService as ArchiveService  # pants: no-infer-dep

__getattr__, __dir__, __all__ = lazy(
    __name__,
    {"catalog": "Lake open_lake", "reading": "read_ticks", "service": "ArchiveService"},
)
