"""Sends dead letters back where they belong, once each, or gives the reason why not.

``targets`` (where to), ``transforms`` (a known fix), ``corrections`` (is it good now), ``plan``
(all of that for one failure, and its headers), ``outbox`` (into Kafka), ``redriver`` (the whole).
"""

from kite_dead_letters.redrive.corrections import Change
from kite_dead_letters.redrive.plan import Action, Planner, Rules, Step
from kite_dead_letters.redrive.redriver import Redriver, Report
from kite_dead_letters.redrive.targets import Targets

__all__ = ["Action", "Change", "Planner", "Redriver", "Report", "Rules", "Step", "Targets"]
