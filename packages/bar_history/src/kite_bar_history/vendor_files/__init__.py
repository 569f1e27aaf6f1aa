"""A vendor's files as a source: layouts as data, lines checked one by one, blocks of them fast.

Reading order: ``layouts`` (vendor.toml), ``values`` (prices, dates, times), ``lines``, ``blocks``,
``parquet``, ``input`` (opening and detecting), ``spool``, ``files`` (the source).
"""
