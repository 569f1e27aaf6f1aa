"""A vendor's files as a source: layouts as data, lines checked one by one, blocks of them fast."""
