"""The compiled loop that writes the lines of dead letters which are in order.

It reads the letters where librdkafka has them (``kafka_io.librdkafka.gathering``). A letter's
*form* is its topic and its headers, without the numbers that differ from letter to letter and with
all digits of the message alike: letters of one form have one template (``templates``). Which
letters are in order is what ``fast_lane`` says; the tests hold the two to the same lines.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from broker_zerodha.packets import DEFAULT_PRICE_SCALE, PRICE_SCALES, PacketKind, Wire
from contracts.compiled import compiled
from dlq_triage.packet_texts import (
    FULL_EVENT_AT,
    INDEX_EVENT_AT,
    NOTHING,
    RECEIVED,
    SCALE,
    SEQ,
    SESSION,
    TRADED_AT,
    WIRES,
)
from kafka_io.librdkafka.calls import copy_bytes
from kafka_io.librdkafka.gathering import (
    CONTENT,
    CONTENT_BYTES,
    HEADERS,
    HEADERS_END,
    KEY,
    KEY_BYTES,
    NAME,
    NAME_BYTES,
    OFFSET,
    PARTITION,
    TIME_MS,
    TOPIC,
    VALUE,
    VALUE_BYTES,
)
from kafka_io.librdkafka.memory import byte_at

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]
Word = Any
"""An int64 in machine code; an int or a numpy integer where the loops run without it."""

DONE: Final = 0
NEW: Final = 1
"""The letter may be in order, and its form is not known."""
OTHER: Final = 2
"""The letter is not in order."""
FULL: Final = 3
"""There is no room for its line."""

# A template's row.
FORM_AT: Final = 0
FORM_WORDS: Final = 1
FEED_SESSION: Final = 2
HAS_PACKET: Final = 3
IS_SILENT: Final = 4
"""Letters of this form get no line."""
TEXTS: Final = 5
"""Where its pieces begin in the text, and behind them where the last one ends."""
PIECES: Final = 12
TEMPLATE_FIELDS: Final = TEXTS + PIECES + 1

FORM_WORDS_MAX: Final = 500
"""Letters with larger headers (stack traces) are never in order here."""
PART_FIELDS: Final = 6
_MESSAGE_AT, _MESSAGE_BYTES, _SEQ_AT, _SEQ_BYTES, _FIRST_AT, _FIRST_BYTES = range(PART_FIELDS)
_NUMBERS_BYTES: Final = 100
_NUMBER_MARK: Final = 0xFFFFFFFF

_NS_DIGITS: Final = 9
_NS_PER_MS: Final = 1_000_000
_MS_MAX: Final = (2**63 - 1) // _NS_PER_MS
_LONG_MAX: Final = np.frombuffer(b"%d" % (2**63 - 1), np.uint8)
_LONG_DIGITS: Final = len(_LONG_MAX)
_NAME_WORDS: Final = 3


def _name(text: bytes) -> Ints:
    return np.frombuffer(text.ljust(8 * _NAME_WORDS, b"\0"), np.int64)


_MESSAGE: Final = _name(b"dlq.message")
_MESSAGE_NAME: Final = len(b"dlq.message")
_SEQ_HEADER: Final = _name(b"dlq.feed_seq")
_SEQ_NAME: Final = len(b"dlq.feed_seq")
_FIRST_HEADER: Final = _name(b"dlq.first_failure_ns")
_FIRST_NAME: Final = len(b"dlq.first_failure_ns")
_ORIGIN_OFFSET: Final = _name(b"dlq.origin_offset")
_ORIGIN_OFFSET_NAME: Final = len(b"dlq.origin_offset")

_BASE64: Final = np.frombuffer(
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", np.uint8
)
_SCALES: Final = np.array(
    [PRICE_SCALES.get(segment, DEFAULT_PRICE_SCALE) for segment in range(256)], np.int64
)
_U16: Final = int(Wire.U16)
_PRICE: Final = int(Wire.PRICE)
_SECONDS: Final = int(Wire.SECONDS)
_LTP: Final = int(PacketKind.LTP)
_INDEX_QUOTE: Final = int(PacketKind.INDEX_QUOTE)
_INDEX_FULL: Final = int(PacketKind.INDEX_FULL)
_QUOTE: Final = int(PacketKind.QUOTE)
_FULL: Final = int(PacketKind.FULL)
_SIGN: Final = 1 << 31
_WRAP: Final = 1 << 32
_LOW: Final = (1 << 31) - 1
_HASH: Final = 1_640_531_527


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
        words = _form_of(letter, headers, parts, form, form_at)
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
            + parts[_MESSAGE_BYTES]
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
def find(table: Ints, templates: Ints, forms: Ints, form: Ints, words: Word) -> Word:
    """The template of a form; if there is none, -1 less the place of ``table`` that it may take."""
    mark = np.int64(words)
    for index in range(words):
        word = form[index]
        mark = (mark ^ (word & _LOW) ^ (word >> 31 & _LOW)) * _HASH
        mark = (mark ^ mark >> 31) & _LOW
    place = mark & (table.shape[0] - 1)
    while table[place] >= 0:
        template = templates[table[place]]
        if template[FORM_WORDS] == words:
            known = template[FORM_AT]
            same = True
            for index in range(words):
                if forms[known + index] != form[index]:
                    same = False
                    break
            if same:
                return table[place]
        place = (place + 1) & (table.shape[0] - 1)
    return -1 - place


@compiled
def _form_of(letter: Ints, headers: Ints, parts: Ints, form: Ints, form_at: Word) -> Word:
    """Write the letter's form and note its parts; the words of the form, 0 if it has none."""
    if letter[VALUE] == 0 or not 0 <= letter[TIME_MS] <= _MS_MAX or not _is_plain_key(letter):
        return 0
    for index in range(PART_FIELDS):
        parts[index] = 0
    form[0] = letter[TOPIC]
    used = np.int64(1)
    for index in range(letter[HEADERS], letter[HEADERS_END]):
        header = headers[index]
        name_bytes, content_bytes = header[NAME_BYTES], header[CONTENT_BYTES]
        if header[CONTENT] == 0:
            return 0
        if used + 4 + (name_bytes + content_bytes) // 8 > FORM_WORDS_MAX:
            return 0
        head = used
        form[head] = name_bytes << 32 | content_bytes
        first = used + 1
        used = _put_words(form, form_at, first, header[NAME], name_bytes)
        if name_bytes == _SEQ_NAME and _is_name(form, first, _SEQ_HEADER):
            if not _is_number(header):
                return 0
            parts[_SEQ_AT], parts[_SEQ_BYTES] = header[CONTENT], content_bytes
            form[head] = name_bytes << 32 | _NUMBER_MARK
        elif name_bytes == _FIRST_NAME and _is_name(form, first, _FIRST_HEADER):
            if not _is_number(header):
                return 0
            parts[_FIRST_AT], parts[_FIRST_BYTES] = header[CONTENT], content_bytes
            form[head] = name_bytes << 32 | _NUMBER_MARK
        elif name_bytes == _ORIGIN_OFFSET_NAME and _is_name(form, first, _ORIGIN_OFFSET):
            return 0
        else:
            content_at = used
            used = _put_words(form, form_at, used, header[CONTENT], content_bytes)
            if name_bytes == _MESSAGE_NAME and _is_name(form, first, _MESSAGE):
                if not _make_digits_alike(form, form_at, content_at, header):
                    return 0
                parts[_MESSAGE_AT], parts[_MESSAGE_BYTES] = header[CONTENT], content_bytes
    if parts[_MESSAGE_AT] == 0 or parts[_FIRST_AT] == 0:
        return 0
    return used


@compiled
def _put_words(form: Ints, form_at: Word, used: Word, source: Word, count: Word) -> Word:
    """Copy bytes to whole words, the rest of the last one zero; the next word."""
    if count == 0:
        return used
    last = used + (count + 7) // 8
    form[last - 1] = 0
    copy_bytes(form_at + 8 * used, source, count)
    return last


@compiled
def _is_name(form: Ints, first: Word, name: Ints) -> Word:
    for index in range(_NAME_WORDS):
        if name[index] != 0 and form[first + index] != name[index]:
            return False
    return True


@compiled
def _is_number(header: Ints) -> Word:
    """Whether it is decimal from 1 on, without a zero before it, and fits 64 bits."""
    count, at = header[CONTENT_BYTES], header[CONTENT]
    if count == 0 or count > _LONG_DIGITS or byte_at(at) == 48:
        return False
    above = np.int64(0)
    for index in range(count):
        digit = byte_at(at + index)
        if digit < 48 or digit > 57:
            return False
        if above == 0:
            above = digit - np.int64(_LONG_MAX[index])
    return count < _LONG_DIGITS or above <= 0


@compiled
def _make_digits_alike(form: Ints, form_at: Word, at: Word, header: Ints) -> Word:
    """Whether the text stands in JSON as it is; its digits in the form become zeros."""
    source = header[CONTENT]
    for index in range(header[CONTENT_BYTES]):
        letter = byte_at(source + index)
        if letter < 32 or letter > 126 or letter == 34 or letter == 92:
            return False
        if 49 <= letter <= 57:
            shift = 8 * (index & 7)
            form[at + (index >> 3)] ^= (letter ^ 48) << shift
    return True


@compiled
def _is_plain_key(letter: Ints) -> Word:
    """Whether there is none, or it is of ASCII letters and digits."""
    if letter[KEY] == 0:
        return True
    for index in range(letter[KEY_BYTES]):
        sign = byte_at(letter[KEY] + index)
        lower = sign | 32
        if not (48 <= sign <= 57 or 97 <= lower <= 122):
            return False
    return letter[KEY_BYTES] > 0


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
    used = _put_number(out, used, letter[PARTITION])
    used = _put_piece(template, 1, text_at, out_at, used)
    used = _put_number(out, used, letter[OFFSET])
    used = _put_piece(template, 2, text_at, out_at, used)
    used = _put_number(out, used, letter[TIME_MS] * _NS_PER_MS)
    used = _put_piece(template, 3, text_at, out_at, used)
    used = _put_copy(parts[_MESSAGE_AT], parts[_MESSAGE_BYTES], out_at, used)
    used = _put_piece(template, 4, text_at, out_at, used)
    if parts[_SEQ_AT] == 0:
        used = _put_null(out, used)
    else:
        used = _put_copy(parts[_SEQ_AT], parts[_SEQ_BYTES], out_at, used)
    used = _put_piece(template, 5, text_at, out_at, used)
    used = _put_copy(parts[_FIRST_AT], parts[_FIRST_BYTES], out_at, used)
    used = _put_piece(template, 6, text_at, out_at, used)
    if letter[KEY] == 0:
        used = _put_null(out, used)
    else:
        out[used] = 34
        used = _put_copy(letter[KEY], letter[KEY_BYTES], out_at, used + 1)
        out[used] = 34
        used += 1
    used = _put_piece(template, 7, text_at, out_at, used)
    used = _put_base64(out, used, letter[VALUE], letter[VALUE_BYTES])
    used = _put_piece(template, 8, text_at, out_at, used)
    text = np.int64(-1)
    if template[HAS_PACKET]:
        text = _packet_form(letter[VALUE], letter[VALUE_BYTES])
    if text < 0:
        return _put_piece(template, 9, text_at, out_at, used)
    used = _put_piece(template, 10, text_at, out_at, used)
    for step in range(packet_starts[text], packet_starts[text + 1]):
        first, source = packet_steps[step, 0], packet_steps[step, 2]
        used = _put_copy(packet_text_at + first, packet_steps[step, 1] - first, out_at, used)
        if source >= 0:
            used = _put_field(out, used, letter[VALUE], source)
        elif source == SCALE:
            used = _put_number(out, used, _SCALES[byte_at(letter[VALUE] + 3)])
        elif source == SESSION:
            used = _put_number(out, used, template[FEED_SESSION])
        elif source == RECEIVED:
            used = _put_copy(parts[_FIRST_AT], parts[_FIRST_BYTES], out_at, used)
        elif source == SEQ and parts[_SEQ_AT] == 0:
            used = _put_number(out, used, 0)
        elif source != NOTHING:
            used = _put_copy(parts[_SEQ_AT], parts[_SEQ_BYTES], out_at, used)
    return _put_piece(template, 11, text_at, out_at, used)


@compiled
def _packet_form(value: Word, count: Word) -> Word:
    """The position in ``packet_texts.FORMS``; -1 for lengths that are none of Kite's."""
    if count == _LTP:
        return 0
    if count == _INDEX_QUOTE:
        return 1
    if count == _INDEX_FULL:
        return 2 + (_word_at(value + INDEX_EVENT_AT) != 0)
    if count == _QUOTE:
        return 4
    if count == _FULL:
        traded = _word_at(value + TRADED_AT) != 0
        return 5 + 2 * traded + (_word_at(value + FULL_EVENT_AT) != 0)
    return -1


@compiled
def _word_at(at: Word) -> Word:
    return byte_at(at) << 24 | byte_at(at + 1) << 16 | byte_at(at + 2) << 8 | byte_at(at + 3)


@compiled
def _put_field(out: Bytes, used: Word, value: Word, source: Word) -> Word:
    at, wire = value + source // WIRES, source % WIRES
    if wire == _U16:
        return _put_number(out, used, byte_at(at) << 8 | byte_at(at + 1))
    word = _word_at(at)
    if wire == _PRICE and word >= _SIGN:
        out[used] = 45
        return _put_number(out, used + 1, _WRAP - word)
    used = _put_number(out, used, word)
    if wire == _SECONDS:
        for index in range(_NS_DIGITS):
            out[used + index] = 48
        used += _NS_DIGITS
    return used


@compiled
def _put_piece(template: Ints, number: Word, text_at: Word, out_at: Word, used: Word) -> Word:
    first = template[TEXTS + number]
    return _put_copy(text_at + first, template[TEXTS + number + 1] - first, out_at, used)


@compiled
def _put_copy(source: Word, count: Word, out_at: Word, used: Word) -> Word:
    copy_bytes(out_at + used, source, count)
    return used + count


@compiled
def _put_null(out: Bytes, used: Word) -> Word:
    out[used], out[used + 1], out[used + 2], out[used + 3] = 110, 117, 108, 108
    return used + 4


@compiled
def _put_number(out: Bytes, used: Word, number: Word) -> Word:
    """A number from 0 on."""
    end = used + 1
    rest = number
    while rest >= 10:
        rest //= 10
        end += 1
    at = end
    while True:
        at -= 1
        out[at] = 48 + number % 10
        number //= 10
        if at == used:
            return end


@compiled
def _put_base64(out: Bytes, used: Word, value: Word, count: Word) -> Word:
    whole = count // 3
    for index in range(whole):
        at = value + 3 * index
        word = byte_at(at) << 16 | byte_at(at + 1) << 8 | byte_at(at + 2)
        out[used] = _BASE64[word >> 18]
        out[used + 1] = _BASE64[(word >> 12) & 63]
        out[used + 2] = _BASE64[(word >> 6) & 63]
        out[used + 3] = _BASE64[word & 63]
        used += 4
    left = count - 3 * whole
    if left:
        at = value + 3 * whole
        word = byte_at(at) << 16
        if left == 2:
            word |= byte_at(at + 1) << 8
        out[used] = _BASE64[word >> 18]
        out[used + 1] = _BASE64[(word >> 12) & 63]
        out[used + 2] = _BASE64[(word >> 6) & 63] if left == 2 else 61
        out[used + 3] = 61
        used += 4
    return used
