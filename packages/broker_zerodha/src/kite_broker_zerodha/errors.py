"""The errors of this package, split by what the caller does about them.

    BrokerError
    ├── UsageError            a wrong call: fix the code
    │   ├── WireValueError    a value that the wire format cannot carry (also a ValueError)
    │   ├── FrameIndexError   a frame index that does not lie inside its buffer (also a ValueError)
    │   └── BatchTooSmall     a frame with more rows than the batch has: decode into a larger one
    ├── AuthRefused           Kite refuses key, token or login: log in again
    ├── CredentialsError      there are no usable credentials here: the message says what to do
    │   └── NotLoggedIn       there is no token at all: log in
    ├── KiteUnavailable       Kite is away, or busy: try again later
    │   ├── RateLimited       too many calls: try again later, and slower
    │   └── BadAnswer         an answer that is none of Kite's: try later, report it if it stays
    ├── NotADump              bytes that are no instrument master: keep the last one, fetch again
    ├── InputRefused          Kite refuses what was asked: ask for something else
    ├── EndpointError         an address of Kite that cannot be used: fix the setting
    ├── ListenFailed          a port of this machine that cannot be opened: take another
    ├── LoginNotFinished      the login was not finished: start it again
    └── (PlanError, ScriptError and ConnectFailed stand beside the code that raises them)

Each message is one sentence that is safe to show. Errors of the drivers are not chained: they quote
addresses, and with them the secrets. A bad packet never raises: it is a row with a verdict.
"""

from __future__ import annotations

from kite_runtime.errors import ConfigurationError, KiteError, TryAgainLater


class BrokerError(KiteError):
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


class AuthRefused(BrokerError):
    """Kite refuses the key, the token or the login; only another login helps."""


class CredentialsError(BrokerError, ConfigurationError):
    """There are no usable credentials; one sentence says what is missing and what to do."""


class NotLoggedIn(CredentialsError):
    """There is no access token, neither a file nor a variable."""


class KiteUnavailable(BrokerError, TryAgainLater):
    """Kite gave no usable answer, now; the same call may succeed later.

    ``again`` is whether trying at once, after a pause, makes sense.
    """

    def __init__(self, message: str, *, again: bool = True) -> None:
        super().__init__(message)
        self.again = again


class RateLimited(KiteUnavailable):
    """More calls than Kite allows, or too many at once.

    ``retry_after_s`` is how long Kite asks to wait; 0.0 when it does not say.
    """

    def __init__(self, message: str, retry_after_s: float = 0.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class BadAnswer(KiteUnavailable):
    """An answer came, but it is not one of Kite's: a gateway's page, a cut or an empty body."""


class NotADump(BrokerError):
    """Bytes that must not replace an instrument master; the text says what they are instead."""


class InputRefused(BrokerError):
    """Kite understood the call and refuses it; the same call will be refused again."""


class EndpointError(BrokerError, ConfigurationError):
    """An address of Kite cannot be used: fix the setting."""


class ListenFailed(BrokerError, ConfigurationError):
    """A port of this machine cannot be opened; the operating system's error is the cause."""

    def __init__(self, message: str, port: int) -> None:
        super().__init__(message)
        self.port = port


class LoginNotFinished(BrokerError):
    """The login was cancelled, or not finished in time."""
