"""The seeded producer: ``market_feed`` makes the market, its faults and its minute bars; ``run``
sends them through the bridge and reads them back."""
