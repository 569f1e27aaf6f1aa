"""No time limit an example: the first one may compile, and CI machines are slow."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("broker_zerodha", deadline=None)
settings.load_profile("broker_zerodha")
