"""The compiled loops that tell a letter's form, and which template that form has.

A letter's *form* is its topic and its headers, without the numbers that differ from letter to
letter and with all digits of the message alike: letters of one form have one template
(``templates``).
"""

from __future__ import annotations

from typing import Final

import numpy as np

from kite_dead_letters.text_loops import Ints, Word
from kite_kafka_io.librdkafka.calls import copy_bytes
from kite_kafka_io.librdkafka.gathering import (
    CONTENT,
    CONTENT_BYTES,
    HEADERS,
    HEADERS_END,
    KEY,
    KEY_BYTES,
    NAME,
    NAME_BYTES,
    TIME_MS,
    TOPIC,
    VALUE,
)
from kite_kafka_io.librdkafka.memory import byte_at
from kite_runtime.compiled import compiled

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
MESSAGE_AT, MESSAGE_BYTES, SEQ_AT, SEQ_BYTES, FIRST_AT, FIRST_BYTES = range(PART_FIELDS)
_NUMBER_MARK: Final = 0xFFFFFFFF

NS_PER_MS: Final = 1_000_000
_MS_MAX: Final = (2**63 - 1) // NS_PER_MS
_LONG_MAX: Final = np.frombuffer(b"%d" % (2**63 - 1), np.uint8)
_LONG_DIGITS: Final = len(_LONG_MAX)
_LOW: Final = (1 << 31) - 1
_HASH: Final = 1_640_531_527
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
def form_of(letter: Ints, headers: Ints, parts: Ints, form: Ints, form_at: Word) -> Word:
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
            parts[SEQ_AT], parts[SEQ_BYTES] = header[CONTENT], content_bytes
            form[head] = name_bytes << 32 | _NUMBER_MARK
        elif name_bytes == _FIRST_NAME and _is_name(form, first, _FIRST_HEADER):
            if not _is_number(header):
                return 0
            parts[FIRST_AT], parts[FIRST_BYTES] = header[CONTENT], content_bytes
            form[head] = name_bytes << 32 | _NUMBER_MARK
        elif name_bytes == _ORIGIN_OFFSET_NAME and _is_name(form, first, _ORIGIN_OFFSET):
            return 0
        else:
            content_at = used
            used = _put_words(form, form_at, used, header[CONTENT], content_bytes)
            if name_bytes == _MESSAGE_NAME and _is_name(form, first, _MESSAGE):
                if not _make_digits_alike(form, form_at, content_at, header):
                    return 0
                parts[MESSAGE_AT], parts[MESSAGE_BYTES] = header[CONTENT], content_bytes
    if parts[MESSAGE_AT] == 0 or parts[FIRST_AT] == 0:
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
