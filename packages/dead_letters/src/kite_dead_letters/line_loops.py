"""The compiled loop that writes the lines of dead letters which are in order.

It reads the letters where librdkafka has them (``kite_kafka_io.librdkafka.gathering``) and takes the
templates by their form (``form_loops``). Which letters are in order is what ``fast_lane`` says; the
tests hold the two to the same lines.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from kite_dead_letters.form_loops import (
    FEED_SESSION,
    FIRST_AT,
    FIRST_BYTES,
    HAS_PACKET,
    IS_SILENT,
    MESSAGE_AT,
    MESSAGE_BYTES,
    NS_PER_MS,
    PIECES,
    SEQ_AT,
    SEQ_BYTES,
    TEXTS,
    find,
    form_of,
)
from kite_dead_letters.packet_loops import packet_form, price_scale, put_field
from kite_dead_letters.packet_texts import NOTHING, RECEIVED, SCALE, SEQ, SESSION
from kite_dead_letters.text_loops import (
    Bytes,
    Ints,
    Word,
    put_base64,
    put_copy,
    put_null,
    put_number,
)
from kite_kafka_io.librdkafka.gathering import (
    KEY,
    KEY_BYTES,
    OFFSET,
    PARTITION,
    TIME_MS,
    VALUE,
    VALUE_BYTES,
)
from kite_runtime.compiled import compiled

DONE: Final = 0
NEW: Final = 1
"""The letter may be in order, and its form is not known."""
OTHER: Final = 2
"""The letter is not in order."""
FULL: Final = 3
"""There is no room for its line."""

_NUMBERS_BYTES: Final = 100


@compiled
def write_lines(
    rows: Ints,
    headers: Ints,
    row: Word,
    used: Word,
    out: Bytes,
    out_at: Word,
    parts: Ints,
    form: Ints,
    form_at: Word,
    table: Ints,
    templates: Ints,
    forms: Ints,
    text_at: Word,
    tallies: Ints,
    packet_steps: Ints,
    packet_starts: Ints,
    packet_text_at: Word,
    packet_longest: Word,
) -> tuple[Word, Word, Word, Word, Word]:
    """Write the lines of ``rows`` from ``row`` on to ``out``, of which ``used`` bytes are taken.

    Returns the row at which it stopped, the lines written, the bytes taken, why it stopped, and the
    words of the form, which is in ``form`` where the reason is ``NEW``. Each line is counted in
    ``tallies``: how many, and the first and last time in ms.
    """
    lines = np.int64(0)
    while row < rows.shape[0]:
        letter = rows[row]
        words = form_of(letter, headers, parts, form, form_at)
        if words == 0:
            return row, lines, used, OTHER, words
        number = find(table, templates, forms, form, words)
        if number < 0:
            return row, lines, used, NEW, words
        template = templates[number]
        if template[IS_SILENT]:
            row += 1
            continue
        size = (
            template[TEXTS + PIECES]
            - template[TEXTS]
            + _NUMBERS_BYTES
            + letter[KEY_BYTES]
            + parts[MESSAGE_BYTES]
            + letter[VALUE_BYTES] // 3 * 4
            + packet_longest
        )
        if used + size > out.shape[0]:
            return row, lines, used, FULL, words
        used = _line(
            letter,
            template,
            out,
            out_at,
            used,
            parts,
            text_at,
            packet_steps,
            packet_starts,
            packet_text_at,
        )
        tally, time_ms = tallies[number], letter[TIME_MS]
        if tally[0] == 0 or time_ms < tally[1]:
            tally[1] = time_ms
        if tally[0] == 0 or time_ms > tally[2]:
            tally[2] = time_ms
        tally[0] += 1
        lines += 1
        row += 1
    return row, lines, used, DONE, 0


@compiled
def _line(
    letter: Ints,
    template: Ints,
    out: Bytes,
    out_at: Word,
    used: Word,
    parts: Ints,
    text_at: Word,
    packet_steps: Ints,
    packet_starts: Ints,
    packet_text_at: Word,
) -> Word:
    used = _put_piece(template, 0, text_at, out_at, used)
    used = put_number(out, used, letter[PARTITION])
    used = _put_piece(template, 1, text_at, out_at, used)
    used = put_number(out, used, letter[OFFSET])
    used = _put_piece(template, 2, text_at, out_at, used)
    used = put_number(out, used, letter[TIME_MS] * NS_PER_MS)
    used = _put_piece(template, 3, text_at, out_at, used)
    used = put_copy(parts[MESSAGE_AT], parts[MESSAGE_BYTES], out_at, used)
    used = _put_piece(template, 4, text_at, out_at, used)
    if parts[SEQ_AT] == 0:
        used = put_null(out, used)
    else:
        used = put_copy(parts[SEQ_AT], parts[SEQ_BYTES], out_at, used)
    used = _put_piece(template, 5, text_at, out_at, used)
    used = put_copy(parts[FIRST_AT], parts[FIRST_BYTES], out_at, used)
    used = _put_piece(template, 6, text_at, out_at, used)
    if letter[KEY] == 0:
        used = put_null(out, used)
    else:
        out[used] = 34
        used = put_copy(letter[KEY], letter[KEY_BYTES], out_at, used + 1)
        out[used] = 34
        used += 1
    used = _put_piece(template, 7, text_at, out_at, used)
    used = put_base64(out, used, letter[VALUE], letter[VALUE_BYTES])
    used = _put_piece(template, 8, text_at, out_at, used)
    text = np.int64(-1)
    if template[HAS_PACKET]:
        text = packet_form(letter[VALUE], letter[VALUE_BYTES])
    if text < 0:
        return _put_piece(template, 9, text_at, out_at, used)
    used = _put_piece(template, 10, text_at, out_at, used)
    for step in range(packet_starts[text], packet_starts[text + 1]):
        first, source = packet_steps[step, 0], packet_steps[step, 2]
        used = put_copy(packet_text_at + first, packet_steps[step, 1] - first, out_at, used)
        if source >= 0:
            used = put_field(out, used, letter[VALUE], source)
        elif source == SCALE:
            used = put_number(out, used, price_scale(letter[VALUE]))
        elif source == SESSION:
            used = put_number(out, used, template[FEED_SESSION])
        elif source == RECEIVED:
            used = put_copy(parts[FIRST_AT], parts[FIRST_BYTES], out_at, used)
        elif source == SEQ and parts[SEQ_AT] == 0:
            used = put_number(out, used, 0)
        elif source != NOTHING:
            used = put_copy(parts[SEQ_AT], parts[SEQ_BYTES], out_at, used)
    return _put_piece(template, 11, text_at, out_at, used)


@compiled
def _put_piece(template: Ints, number: Word, text_at: Word, out_at: Word, used: Word) -> Word:
    first = template[TEXTS + number]
    return put_copy(text_at + first, template[TEXTS + number + 1] - first, out_at, used)
