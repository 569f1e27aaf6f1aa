"""One Kite WebSocket connection that stays alive: pure parts, and one asyncio edge.

Reading order: ``messages``, ``credentials``, ``liveness``, ``events``,
``options``, ``transport``, ``session``.
"""

from typing import TYPE_CHECKING

from kite_runtime.lazy import lazy

if TYPE_CHECKING:
    from kite_broker_zerodha.session.credentials import Credentials as Credentials
    from kite_broker_zerodha.session.credentials import CredentialsError as CredentialsError
    from kite_broker_zerodha.session.credentials import CredentialSource as CredentialSource
    from kite_broker_zerodha.session.credentials import (
        EnvironmentCredentials as EnvironmentCredentials,
    )
    from kite_broker_zerodha.session.credentials import FixedCredentials as FixedCredentials
    from kite_broker_zerodha.session.credentials import TokenFile as TokenFile
    from kite_broker_zerodha.session.events import AuthExpired as AuthExpired
    from kite_broker_zerodha.session.events import AuthRestored as AuthRestored
    from kite_broker_zerodha.session.events import Connected as Connected
    from kite_broker_zerodha.session.events import Disconnected as Disconnected
    from kite_broker_zerodha.session.events import FeedSessions as FeedSessions
    from kite_broker_zerodha.session.events import GapCause as GapCause
    from kite_broker_zerodha.session.events import GapClosed as GapClosed
    from kite_broker_zerodha.session.events import GapOpened as GapOpened
    from kite_broker_zerodha.session.events import Listener as Listener
    from kite_broker_zerodha.session.events import SessionEvent as SessionEvent
    from kite_broker_zerodha.session.events import Stale as Stale
    from kite_broker_zerodha.session.events import Subscribed as Subscribed
    from kite_broker_zerodha.session.events import TextMessage as TextMessage
    from kite_broker_zerodha.session.options import KITE_ENDPOINT as KITE_ENDPOINT
    from kite_broker_zerodha.session.options import SessionOptions as SessionOptions
    from kite_broker_zerodha.session.session import KiteSession as KiteSession
    from kite_broker_zerodha.session.session import SessionState as SessionState

__getattr__, __dir__, __all__ = lazy(
    __name__,
    {
        "credentials": (
            "Credentials CredentialsError CredentialSource EnvironmentCredentials "
            "FixedCredentials TokenFile"
        ),
        "events": (
            "AuthExpired AuthRestored Connected Disconnected FeedSessions GapCause "
            "GapClosed GapOpened Listener SessionEvent Stale Subscribed TextMessage"
        ),
        "options": "KITE_ENDPOINT SessionOptions",
        "session": "KiteSession SessionState",
    },
)
