"""The contracts of the market-data topics: schemas, topics, bounds and the tick batch."""
