"""The engine of the live bridge: journal, intake, pump, connections, shards."""

from typing import TYPE_CHECKING

from kite_runtime.lazy import lazy

if TYPE_CHECKING:
    from kite_live_feed.bridge import Bridge as Bridge  # pants: no-infer-dep
    from kite_live_feed.connections import BridgeParts as BridgeParts  # pants: no-infer-dep
    from kite_live_feed.journal import Journal as Journal  # pants: no-infer-dep
    from kite_live_feed.topics import Topics as Topics  # pants: no-infer-dep

__getattr__, __dir__, __all__ = lazy(
    __name__,
    {
        "bridge": "Bridge",
        "connections": "BridgeParts",
        "topics": "Topics",
        "journal": "Journal",
    },
)
