"""The errors of this package, split by what the caller does about them.

    BrokerError
    ├── UsageError            a wrong call: fix the code
    │   ├── WireValueError    a value that the wire format cannot carry (also a ValueError)
    │   ├── FrameIndexError   a frame index that does not lie inside its buffer (also a ValueError)
    │   └── BatchTooSmall     a frame with more rows than the batch has: decode into a larger one
    └── (session errors are defined beside the session and derive from BrokerError)

Bytes from the network never raise: a bad packet is a row with a verdict.
"""

from __future__ import annotations


class BrokerError(Exception):
    """Base of everything that this package raises on purpose."""


class UsageError(BrokerError):
    """The call was wrong; trying again will not help."""


class WireValueError(UsageError, ValueError):
    """A field is unknown to the packet kind, or its value does not fit Kite's wire type."""


class FrameIndexError(UsageError, ValueError):
    """A frame index or buffer has the wrong shape or type, or points outside the buffer."""


class BatchTooSmall(UsageError):
    """One frame alone needs more rows than the batch has.

    A batch of ``packets.MAX_FRAME_ROWS`` rows holds any frame whatsoever.
    """

    def __init__(self, needed: int, capacity: int) -> None:
        super().__init__(f"a frame needs {needed} rows, the batch has {capacity}")
        self.needed = needed
        self.capacity = capacity
