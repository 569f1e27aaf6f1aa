"""A fingerprint that failures of one cause share (pure)."""

from __future__ import annotations

import re
from hashlib import blake2b
from typing import Final

_VARIES: Final = re.compile(
    r"""
    (?<!\w)'[^'\n]*'(?!\w)                                     # quoted values
    | "[^"\n]*"
    | \b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b          # UUIDs
    | \d{4}-\d\d-\d\d(?:[T ][0-9:.,]+(?:Z|[+-]\d\d:?\d\d)?)?   # times
    | \b(?:[0-9a-f]{2}[ ]){3,}[0-9a-f]{2}\b                    # bytes in hex, and hex numbers
    | \b\dx[0-9a-f]+
    | \b(?=[a-f]*\d)[0-9a-f]{8,}\b
    | [-+]?\d+(?:[.,:_]\d+)*(?:e[-+]?\d+)?                     # numbers
    """,
    re.VERBOSE | re.IGNORECASE | re.ASCII,
)
_SUFFIX: Final = re.compile(r"(?:[._-](?:dlq|dlt|quarantine|retry(?:[._-]\d+)?))+\Z", re.IGNORECASE)
_HEX_DIGITS: Final = 16

DIGITS_ALIKE: Final = bytes.maketrans(b"123456789", b"000000000")
"""For ``bytes.translate``: messages that become equal by it have one normalised form."""


def normalise(message: str) -> str:
    """The message with ``*`` for what differs from record to record.

    Numbers, times, UUIDs, hex and quoted values are taken to differ. Which digits there are makes
    no difference.
    """
    return _VARIES.sub("*", message)


def origin_name(origin_topic: str | None, topic: str) -> str:
    """Where a record of the dead-letter ``topic`` comes from, when its headers do not say.

    ``ticks.dlq`` and ``ticks.quarantine`` both hold what should have gone to ``ticks``.
    """
    return origin_topic if origin_topic else _SUFFIX.sub("", topic) or topic


def fingerprint(
    reason: str, origin: str, message: str, error_path: str | None, exception: str | None
) -> str:
    """16 hex digits over the reason, the origin and the normalised message.

    Path and exception count too: one message can tell of several fields.
    """
    parts = (reason, origin, exception or "", normalise(error_path or ""), normalise(message))
    text = "\x1f".join(parts).encode(errors="replace")
    return blake2b(text, digest_size=_HEX_DIGITS // 2).hexdigest()
