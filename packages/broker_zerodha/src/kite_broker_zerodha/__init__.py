"""Zerodha Kite: its tick frames, its WebSocket session and a simulator of both."""
