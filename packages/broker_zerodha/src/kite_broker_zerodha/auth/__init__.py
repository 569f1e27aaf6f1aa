"""The daily login: the page, the redirect, what comes of it, and the file that keeps it.

Reading order: ``grant``, ``token_file``, ``redirect``, ``listener``.
"""

from kite_broker_zerodha.auth.grant import KITE_LOGIN, Grant, expires_at, login_url, may_die_early
from kite_broker_zerodha.auth.listener import RedirectListener, wait_for_redirect
from kite_broker_zerodha.auth.redirect import request_token_of
from kite_broker_zerodha.auth.token_file import StoredToken, read_token, remove_token, write_token

__all__ = [
    "KITE_LOGIN",
    "Grant",
    "RedirectListener",
    "StoredToken",
    "expires_at",
    "login_url",
    "may_die_early",
    "read_token",
    "remove_token",
    "request_token_of",
    "wait_for_redirect",
    "write_token",
]
