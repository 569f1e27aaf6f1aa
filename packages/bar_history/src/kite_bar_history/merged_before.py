"""Files that a run has merged whole and without a finding: the same call need not read them again.

All files of a call count together, because two that contradict each other are refused, which only
reading both shows. What files bring depends on all that is asked as well: on the instruments, days
and layouts, on what the instrument history knows, and on this program. The database has the last
word: where it is another one, or a bar was revised since, everything is read.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from kite_bar_history.summary import RunSummary
from kite_bars_store.bars import BarStore
from kite_bars_store.bars.records import Mark
from kite_runtime.build_info import build_info
from kite_runtime.errors import OutputUnusable
from kite_runtime.files import read_if_there, write_whole

FILE: Final = "merged-files.json"
KEPT_MAX: Final = 200
"""Calls that are remembered, the last ones."""


class MergedBefore:
    """Remembers in ``folder``; ``asked`` is all that decides what becomes of the files' bars."""

    def __init__(
        self,
        folder: Path,
        bars: BarStore,
        paths: Sequence[Path],
        sha256_of: Callable[[Path], bytes],
        *asked: object,
    ) -> None:
        self._path = folder / FILE
        self._bars = bars
        # The name counts: it may say of which instrument a file is.
        contents = sorted((path.name, sha256_of(path).hex()) for path in paths)
        text = repr((build_info(), contents, asked))
        self._key = hashlib.sha256(text.encode()).hexdigest()
        self._began = bars.mark()

    def holds(self) -> bool:
        """Whether these files were merged, and nothing has changed what they would bring."""
        try:
            number, recorded_at, revisions = self._calls().get(self._key, "")
            mark = Mark(number, datetime.fromisoformat(recorded_at), revisions)
        except (TypeError, ValueError):
            return False
        return self._bars.stands(mark)

    def note(self, summary: RunSummary) -> None:
        """Remember the call, if it has merged all there was and nobody else revised a bar
        meanwhile. Raises OutputUnusable."""
        if not summary.is_clean:
            return
        mark = self._bars.mark()
        before = 0 if self._began is None else self._began.revisions
        if mark is None or mark.revisions - before != summary.revising:
            return
        calls = self._calls()
        calls.pop(self._key, None)
        calls[self._key] = [mark.batch_id, mark.recorded_at.isoformat(), mark.revisions]
        kept = dict(list(calls.items())[-KEPT_MAX:])
        write_whole(self._path, json.dumps(kept, indent=1).encode())

    def _calls(self) -> dict[str, Any]:
        try:
            found = json.loads(read_if_there(self._path) or b"{}")
        except OSError as exc:
            raise OutputUnusable(self._path, exc) from exc
        except ValueError:
            return {}  # not one of ours
        return found if isinstance(found, dict) else {}
