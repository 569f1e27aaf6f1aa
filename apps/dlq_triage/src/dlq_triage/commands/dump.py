"""``dump``: dead-letter topics into JSON lines; the command meant where none is named."""

from __future__ import annotations

from pathlib import Path

from dlq_triage.commands.options import Bootstrap, Root, Topics, settings_of


def command(topic: Topics = None, bootstrap: Bootstrap = None, root: Root = Path()) -> int:
    """Dump dead letters as JSON lines."""
    settings_of(root, bootstrap).require_kafka()
    return 0
