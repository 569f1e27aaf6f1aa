"""Hypothesis without time limits, which would only measure the machine."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("runtime", deadline=None)
settings.load_profile("runtime")
