"""The live bridge: from Kite's WebSocket to acknowledged Kafka records."""
