"""The daily login: the page, the redirect, what comes of it, and the file that keeps it.

Reading order: ``grant``, ``token_file``, ``redirect``, ``listener``.
"""

from broker_zerodha.auth.grant import (
    KITE_LOGIN,
    Grant,
    expires_at,
    login_url,
    may_die_early,
)
from broker_zerodha.auth.token_file import StoredToken, read_token, remove_token, write_token

__all__ = [
    "KITE_LOGIN",
    "Grant",
    "StoredToken",
    "expires_at",
    "login_url",
    "may_die_early",
    "read_token",
    "remove_token",
    "write_token",
]
