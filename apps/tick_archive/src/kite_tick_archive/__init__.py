"""Ticks at rest: archived from Kafka, verified, compacted, read."""
