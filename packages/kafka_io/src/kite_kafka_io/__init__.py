"""Ticks and records between this project and Kafka; import from the modules (README)."""
