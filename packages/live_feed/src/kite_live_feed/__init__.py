"""The engine of the live bridge: journal, intake, pump, connections, shards."""
