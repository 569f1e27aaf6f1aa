"""A real Apache Kafka and a real Postgres for development and tests, from packages alone.

Never a dependency of an app: apps learn the endpoints from ``KAFKA_BOOTSTRAP`` and
``POSTGRES_DSN``.
"""
