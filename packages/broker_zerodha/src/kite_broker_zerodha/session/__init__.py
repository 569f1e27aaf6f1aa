"""One Kite WebSocket connection that stays alive: pure parts, and one asyncio edge.

Reading order: ``messages``, ``credentials``, ``liveness``, ``events``,
``options``, ``transport``, ``session``.
"""

from kite_broker_zerodha.session.credentials import (
    Credentials,
    CredentialsError,
    CredentialSource,
    EnvironmentCredentials,
    FixedCredentials,
    TokenFile,
)
from kite_broker_zerodha.session.events import (
    AuthExpired,
    AuthRestored,
    Connected,
    Disconnected,
    FeedSessions,
    GapCause,
    GapClosed,
    GapOpened,
    Listener,
    SessionEvent,
    Stale,
    Subscribed,
    TextMessage,
)
from kite_broker_zerodha.session.options import KITE_ENDPOINT, SessionOptions
from kite_broker_zerodha.session.session import KiteSession, SessionState
from kite_runtime.clock import Clock, SystemClock

__all__ = [
    "KITE_ENDPOINT",
    "AuthExpired",
    "AuthRestored",
    "Clock",
    "Connected",
    "CredentialSource",
    "Credentials",
    "CredentialsError",
    "Disconnected",
    "EnvironmentCredentials",
    "FeedSessions",
    "FixedCredentials",
    "GapCause",
    "GapClosed",
    "GapOpened",
    "KiteSession",
    "Listener",
    "SessionEvent",
    "SessionOptions",
    "SessionState",
    "Stale",
    "Subscribed",
    "SystemClock",
    "TextMessage",
    "TokenFile",
]
