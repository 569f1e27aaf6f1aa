"""The templates that the compiled loop of lines knows: its memory, and what is added to it (pure).

The memory has a fixed size. When it is full nothing more is added: letters of further forms take
the way of ``fast_lane``, which is slower and gives the same lines.
"""

from __future__ import annotations

import re
from typing import Final

import numpy as np

from kite_dead_letters.fast_lane import Lane
from kite_dead_letters.form_loops import (
    FEED_SESSION,
    FORM_AT,
    FORM_WORDS,
    FORM_WORDS_MAX,
    HAS_PACKET,
    IS_SILENT,
    PART_FIELDS,
    PIECES,
    TEMPLATE_FIELDS,
    TEXTS,
    find,
)
from kite_dead_letters.line_loops import write_lines
from kite_dead_letters.packet_texts import packet_texts
from kite_dead_letters.text_loops import Bytes, Ints
from kite_kafka_io.librdkafka.consumer_client import Batch

TEMPLATES: Final = 1_024
PLACES: Final = 4 * TEMPLATES
"""Of the hash table; a power of two."""
FORMS_WORDS: Final = 128 * 1_024
TEXT_BYTES: Final = 2 * 1_024 * 1_024
_TALLY_FIELDS: Final = 3
_NS_PER_MS: Final = 1_000_000
_NULL: Final = b"null"
_FIELD: Final = re.compile(rb"%(.)")


class Templates:
    """The memory. ``out`` is where ``write`` puts lines. Not thread-safe."""

    def __init__(self, out: Bytes) -> None:
        self._parts: Ints = np.zeros(PART_FIELDS, np.int64)
        self._form: Ints = np.zeros(FORM_WORDS_MAX, np.int64)
        self._table: Ints = np.full(PLACES, -1, np.int64)
        self._rows: Ints = np.zeros((TEMPLATES, TEMPLATE_FIELDS), np.int64)
        self._forms: Ints = np.zeros(FORMS_WORDS, np.int64)
        self._text: Bytes = np.zeros(TEXT_BYTES, np.uint8)
        self._tallies: Ints = np.zeros((TEMPLATES, _TALLY_FIELDS), np.int64)
        self._lanes: list[Lane | None] = []
        self._forms_used = 0
        self._text_used = 0
        packets = packet_texts()
        # Asking an array for its address takes longer than a line.
        self._memory = (
            out,
            out.ctypes.data,
            self._parts,
            self._form,
            self._form.ctypes.data,
            self._table,
            self._rows,
            self._forms,
            self._text.ctypes.data,
            self._tallies,
            packets.steps,
            packets.starts,
            packets.text.ctypes.data,
            packets.longest,
        )

    def write(self, batch: Batch, row: int, used: int) -> tuple[int, int, int, int, int]:
        """``line_loops.write_lines`` with this memory."""
        return write_lines(batch.rows, batch.headers, row, used, *self._memory)

    def add(self, lane: Lane | None, words: int) -> None:
        """Remember the template of the form that ``write`` has just met, if there is room.

        None is for letters that get no line and are not counted.
        """
        number = len(self._lanes)
        if number == TEMPLATES or self._forms_used + words > FORMS_WORDS:
            return
        pieces = _pieces(lane) if lane is not None else [b""] * PIECES
        if self._text_used + sum(map(len, pieces)) > TEXT_BYTES:
            return
        place = -1 - find(self._table, self._rows, self._forms, self._form, words)
        if place < 0:
            return
        row = self._rows[number]
        row[FORM_AT], row[FORM_WORDS] = self._forms_used, words
        self._forms[self._forms_used : self._forms_used + words] = self._form[:words]
        row[IS_SILENT] = lane is None
        if lane is not None:
            row[FEED_SESSION], row[HAS_PACKET] = lane.session, lane.packet is not None
        for index, piece in enumerate([*pieces, b""]):
            row[TEXTS + index] = self._text_used
            end = self._text_used + len(piece)
            self._text[self._text_used : end] = np.frombuffer(piece, np.uint8)
            self._text_used = end
        self._forms_used += words
        self._lanes.append(lane)
        self._table[place] = number

    def tell(self) -> None:
        """Count in the summary what the loop has counted."""
        for lane, tally in zip(self._lanes, self._tallies.tolist(), strict=False):
            count, first_ms, last_ms = tally
            if count and lane is not None:
                lane.tally.add(count, first_ms * _NS_PER_MS, last_ms * _NS_PER_MS)
        self._tallies[:] = 0


def _pieces(lane: Lane) -> list[bytes]:
    """What stands between the fields of a line, for the message that the lane has now."""
    head, offset, ts, message, mark, seq, first, key, value, decoded, end = _split(lane.template)
    pieces = [
        *(head, offset, ts, message + b'"', b'"' + mark + lane.mark + seq, first, key, value),
        *(decoded, _NULL + end),
    ]
    if lane.packet is not None:
        before, after = _split(lane.packet)
        pieces += [before, after + end]
    return pieces + [b""] * (PIECES - len(pieces))


def _split(template: bytes) -> list[bytes]:
    """The texts between the fields of a template for ``%``."""
    found = [b""]
    parts = _FIELD.split(template)
    for text, kind in zip(parts[::2], [*parts[1::2], None], strict=True):
        found[-1] += text
        if kind == b"%":
            found[-1] += kind
        elif kind is not None:
            found.append(b"")
    return found
