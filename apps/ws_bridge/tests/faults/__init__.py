"""The staged faults: each a play against a real Kafka and the real simulator, with a ledger.

They live among the tests because they need the local stack, which no app may import, and the stage
that the tests have. ``faults.cli`` plays them and keeps the records of which docs/reliability.md
is made; ``test_faults`` plays a short selection.

Reading order: ``outcome``, ``proof``, ``scene``; then the families ``broker``, ``process``,
``journal``, ``feed``, ``clock``, ``topics``, ``fuzz``, ``soak``; then ``cli`` and ``page``.
"""
