"""``publish``: the current master into its topic, without a new dump."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kite_instruments.commands.options import Root, open_store, progress_bar, settings_of, today
from kite_instruments.summary import tell_published
from kite_runtime.logs import configure_logs


def command(
    everything: Annotated[
        bool,
        typer.Option("--all", help="Every instrument that is listed, also what was published."),
    ] = False,
    root: Root = Path(),
) -> int:
    """Publish what Kafka lacks of the current master: after --no-publish, or when Kafka was away.

    The topic is compacted: the key is EXCHANGE:TRADINGSYMBOL, a record without a value says that
    the instrument is no longer listed. --all fills a new topic.
    """
    from kite_instruments.publishing import publish

    configure_logs(quiet=True)
    settings = settings_of(root)
    kafka = settings.require_kafka()
    with open_store(settings) as store, progress_bar() as bar:
        task = bar.add_task("publishing", total=None)
        published = publish(
            *(store, kafka, settings.topic, today()),
            everything=everything,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    tell_published(published, settings.topic)
    return 0
