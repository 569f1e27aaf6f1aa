"""A vendor's files as a source: layouts as data, lines checked one by one, blocks of them fast.

Reading order: ``layouts`` (vendor.toml), ``times`` and ``contracts`` (what texts mean), ``values``
(instruments and times of a layout), ``lines``, ``blocks``, ``parquet``, ``opening`` (packed files),
``input`` (detecting), ``spool``, ``edges``, ``files`` (the source). Beside it ``looking`` and
``suggesting`` show what a file is and write a layout for it.
"""
