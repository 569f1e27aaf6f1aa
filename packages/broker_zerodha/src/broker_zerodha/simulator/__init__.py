"""A Kite that trades a seeded market: for demos, for tests and for anyone's own client.

Reading order: ``market``, ``book``, ``faults``, ``ledger``, ``server``.
"""

from broker_zerodha.simulator.faults import Fault, FaultKind, ScriptError, parse_script
from broker_zerodha.simulator.ledger import Ledger
from broker_zerodha.simulator.market import Market
from broker_zerodha.simulator.server import SimulatorOptions, SimulatorServer

__all__ = [
    "Fault",
    "FaultKind",
    "Ledger",
    "Market",
    "ScriptError",
    "SimulatorOptions",
    "SimulatorServer",
    "parse_script",
]
