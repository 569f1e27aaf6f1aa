"""Zerodha Kite: its tick frames, its WebSocket session, its REST API."""

from typing import TYPE_CHECKING

from kite_runtime.lazy import lazy

if TYPE_CHECKING:
    from kite_broker_zerodha.errors import AuthRefused as AuthRefused  # pants: no-infer-dep
    from kite_broker_zerodha.errors import BrokerError as BrokerError  # pants: no-infer-dep
    from kite_broker_zerodha.errors import (
        CredentialsError as CredentialsError,  # pants: no-infer-dep
    )
    from kite_broker_zerodha.errors import KiteUnavailable as KiteUnavailable  # pants: no-infer-dep
    from kite_broker_zerodha.frames import decode_frames as decode_frames  # pants: no-infer-dep
    from kite_broker_zerodha.rest.client import KiteRest as KiteRest  # pants: no-infer-dep
    from kite_broker_zerodha.session.credentials import (
        Credentials as Credentials,  # pants: no-infer-dep
    )
    from kite_broker_zerodha.session.credentials import (
        FixedCredentials as FixedCredentials,  # pants: no-infer-dep
    )
    from kite_broker_zerodha.session.credentials import (
        TokenFile as TokenFile,  # pants: no-infer-dep
    )
    from kite_broker_zerodha.session.options import (
        SessionOptions as SessionOptions,  # pants: no-infer-dep
    )
    from kite_broker_zerodha.session.session import (
        KiteSession as KiteSession,  # pants: no-infer-dep
    )
    from kite_broker_zerodha.settings import KiteApiUser as KiteApiUser  # pants: no-infer-dep
    from kite_broker_zerodha.settings import KiteUser as KiteUser  # pants: no-infer-dep

__getattr__, __dir__, __all__ = lazy(
    __name__,
    {
        "errors": "AuthRefused BrokerError CredentialsError KiteUnavailable",
        "frames": "decode_frames",
        "rest.client": "KiteRest",
        "session.credentials": "Credentials FixedCredentials TokenFile",
        "session.options": "SessionOptions",
        "session.session": "KiteSession",
        "settings": "KiteApiUser KiteUser",
    },
)
