"""One Kite WebSocket connection that stays alive: pure parts, and one asyncio edge.

Reading order: ``messages``, ``credentials``, ``liveness``, ``events``, ``options``, ``transport``,
``session``. Names are imported from these modules, so that credentials do not load the session.
"""
