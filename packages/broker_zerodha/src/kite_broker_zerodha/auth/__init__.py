"""The daily login: the page, the redirect, what comes of it, and the file that keeps it.

Reading order: ``grant``, ``token_file``, ``redirect``, ``listener``. Names are imported from these
modules, so that a reader of the token file does not load the login's HTTP server.
"""
