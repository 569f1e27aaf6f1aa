"""Live bars: ticks of Kafka into bars of Kafka."""
