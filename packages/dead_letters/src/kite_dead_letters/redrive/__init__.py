"""Sends dead letters back where they belong, once each, or says why not.

Pure: ``targets`` (where to), ``transforms`` and ``pointers`` (a known fix), ``mending`` (is it good
now), ``plan`` (all of that for one failure), ``pace``. Edge: ``transform_files``, ``outbox`` (into
Kafka), ``redriver`` (the whole).
"""

from kite_dead_letters.redrive.corrections import Change
from kite_dead_letters.redrive.plan import Action, Planner, Rules, Step
from kite_dead_letters.redrive.redriver import Redriver, Report
from kite_dead_letters.redrive.targets import Targets

__all__ = ["Action", "Change", "Planner", "Redriver", "Report", "Rules", "Step", "Targets"]
