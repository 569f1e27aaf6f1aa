"""Every error of this package, split by what the caller does about it.

    LakeError
    ├── LakeUnreachable   the catalog does not answer, or the disk is full: try again later   (75)
    ├── LakeUnusable      a setting or the table's version does not fit                        (78)
    ├── NothingArchived   no tick of that day or instrument                                     (1)
    └── ProgressMoved     another process archived these partitions; read the progress again

Exceptions of pyiceberg and sqlalchemy never leave this package.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from kite_runtime.errors import ConfigurationError, KiteError, NotFound, TryAgainLater


class LakeError(KiteError):
    """Base of all errors of lake; its text is one sentence for the user."""


class LakeUnreachable(LakeError, TryAgainLater):
    """The catalog or the warehouse cannot be used now."""


class LakeUnusable(LakeError, ConfigurationError):
    """A person must change a setting, a right or the version of the program."""


class NothingArchived(LakeError, NotFound):
    """The archive has no such ticks."""


class ProgressMoved(LakeError):
    """The progress that a commit began with is not that of the table: nothing was committed."""


_FULL = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def explained(catalog: str, warehouse: str) -> Iterator[None]:
    """Raise the failures of catalog and warehouse as LakeUnreachable or LakeUnusable.

    ``catalog`` is how the catalog is shown: without a password.
    """
    from pyiceberg.exceptions import CommitFailedException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (SQLAlchemyError, CommitFailedException) as exc:
        reason = str(exc).splitlines()[0]
        raise LakeUnreachable(f"the catalog {catalog} cannot be used now ({reason})") from exc
    except OSError as exc:
        reason = str(exc).splitlines()[0]
        if exc.errno in _FULL or "No space left" in reason:
            raise LakeUnreachable(
                f"the warehouse {warehouse} is full: free space, nothing is lost until Kafka's "
                "retention ends"
            ) from exc
        raise LakeUnusable(
            f"the warehouse {warehouse} cannot be used ({reason}): give this user the right, or "
            "set TICK_ARCHIVE_WAREHOUSE to another place"
        ) from exc
