"""The pages that only show: groups, one group, failures, one failure, its bytes, the reasons."""

from __future__ import annotations

import re
from typing import Any, Final

from starlette.exceptions import HTTPException
from starlette.responses import Response

from kite_bars_store.failures import Failure, FailureStore, Group, RedriveLedger, Selection, Summary
from kite_dead_letters.page.calls import Call
from kite_dead_letters.page.filters import (
    filter_of,
    id_of,
    is_fingerprint,
    place_of,
    place_text,
    status_of,
)
from kite_dead_letters.page.views import HexPage, TreeLine, hex_page, tree_lines
from kite_dead_letters.records import Decoded

PAGE_GROUPS: Final = 50
PAGE_FAILURES: Final = 100
RECORDS_MAX: Final = 10
"""Packets of a frame that are shown."""
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9._-]")


def groups(call: Call) -> Response:
    """All groups, those with most open failures first."""
    query = call.query
    chosen = filter_of(query)
    with call.site.database.failures() as store:
        found = store.groups(
            chosen.groups(), after=place_of(query.get("after")), limit=PAGE_GROUPS + 1
        )
        overview = store.overview()
    shown = found[:PAGE_GROUPS]
    return call.page(
        "groups.html",
        groups=shown,
        chosen=chosen,
        overview=overview,
        after=place_text(shown[-1].place) if len(found) > PAGE_GROUPS else None,
        later=bool(query.get("after")),
    )


def group(call: Call) -> Response:
    """One group with its failures, the newest first."""
    with call.site.database.failures() as store:
        found = group_of(store, call.request.path_params["fingerprint"])
        status = status_of(call.query.get("status", ""))
        chosen = Selection(fingerprint=found.fingerprint, status=status)
        # By the group's counts there is none; the database would read all to find out.
        none = status is not None and not getattr(found, status)
        shown, before = ([], None) if none else _latest(call, store, chosen)
        history = store.history(found.sample_id)
    return call.page(
        "group.html",
        group=found,
        failures=shown,
        before=before,
        status=status or "",
        history=history,
        later=bool(call.query.get("before")),
    )


def failures(call: Call) -> Response:
    """All failures that a filter leaves, the newest first; or the one at a place in Kafka."""
    query = call.query
    chosen = filter_of(query)
    with call.site.database.failures() as store:
        shown, before = _latest(call, store, chosen.failures())
    return call.page(
        "failures.html",
        failures=shown,
        before=before,
        chosen=chosen,
        later=bool(query.get("before")),
    )


def failure(call: Call) -> Response:
    """One failure: what is known, its bytes and what they are, what was decided."""
    with call.site.database.connection() as opened:
        store = FailureStore(opened)
        found = failure_of(store, call)
        neighbours = store.neighbours(found.failure_id)
        history = store.history(found.failure_id)
        lines = RedriveLedger(opened).lines(found.failure_id)
    start = id_of(call.query.get("at")) or 0
    decoded = call.site.reader.decoded(found.record)
    trees, more = _trees(decoded, found.record.error_path)
    return call.page(
        "failure.html",
        failure=found,
        record=found.record,
        before=[each for each in neighbours if each.offset < found.record.offset],
        behind=[each for each in neighbours if each.offset > found.record.offset],
        history=history,
        lines=lines,
        hex=_hex(found, start),
        decoded=decoded,
        trees=trees,
        more=more,
    )


def value(call: Call) -> Response:
    """The bytes of a failure as a file."""
    with call.site.database.failures() as store:
        found = failure_of(store, call)
    if found.record.value is None:
        raise HTTPException(
            404, f"the value of failure {found.failure_id} is null: there are no bytes"
        )
    return _file(found.record.value, "application/octet-stream", f"{_place(found)}.bin")


def line(call: Call) -> Response:
    """A failure as `dump` writes it: one line of JSON."""
    with call.site.database.failures() as store:
        found = failure_of(store, call)
    return _file(call.site.reader.line(found.record), "application/json", f"{_place(found)}.json")


def reasons(call: Call) -> Response:
    """The reason codes."""
    return call.page("reasons.html")


def group_of(store: FailureStore, fingerprint: str) -> Group:
    """A group. Raises HTTPException."""
    found = store.group(fingerprint) if is_fingerprint(fingerprint) else None
    if found is None:
        raise HTTPException(404, f"there is no group {fingerprint[:64]}")
    return found


def failure_of(store: FailureStore, call: Call) -> Failure:
    """The failure that the address names. Raises HTTPException."""
    failure_id = id_of(call.request.path_params["failure_id"])
    found = store.failure(failure_id) if failure_id is not None else None
    if found is None:
        raise HTTPException(404, f"there is no failure {failure_id}")
    return found


def _latest(call: Call, store: FailureStore, chosen: Selection) -> tuple[list[Summary], int | None]:
    """A page of failures, and the id before which the next one begins."""
    before = id_of(call.query.get("before"))
    found = store.latest(chosen, before=before, limit=PAGE_FAILURES + 1)
    shown = found[:PAGE_FAILURES]
    return shown, shown[-1].failure_id if len(found) > PAGE_FAILURES else None


def _trees(decoded: Decoded | None, error_path: str | None) -> tuple[list[list[TreeLine]], bool]:
    """Each record as lines, and whether there is more than is shown."""
    if decoded is None:
        return [], False
    made: list[Any] = [tree_lines(each, error_path) for each in decoded.records[:RECORDS_MAX]]
    more = len(decoded.records) > RECORDS_MAX or any(cut for _, cut in made)
    return [lines for lines, _ in made], more


def _hex(found: Failure, start: int) -> HexPage | None:
    value = found.record.value
    if value is None:
        return None
    if start > len(value):
        raise HTTPException(400, f"the value has {len(value)} bytes, none at {start}")
    return hex_page(value, start)


def _place(found: Failure) -> str:
    record = found.record
    return _UNSAFE.sub("_", f"{record.topic}-{record.partition}-{record.offset}")


def _file(content: bytes, media_type: str, name: str) -> Response:
    headers = {
        "Content-Disposition": f'attachment; filename="{name}"',
        "Content-Security-Policy": "sandbox; default-src 'none'",
    }
    return Response(content, media_type=media_type, headers=headers)
