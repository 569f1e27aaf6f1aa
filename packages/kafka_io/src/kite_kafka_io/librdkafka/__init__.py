"""librdkafka without an object for each record: see ``library``."""
