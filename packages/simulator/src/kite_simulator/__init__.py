"""A Kite that trades a seeded market: for demos, for tests and for anyone's own client.

Reading order: ``market``, ``book``, ``faults``, ``ledger``, ``account``, ``server``; for REST
``symbols``, ``master``, ``history``, ``rest_faults``, ``candles``, ``rest``, ``rest_server``;
``kite`` is both, ``cli`` the command line.
"""

from kite_simulator.account import Account
from kite_simulator.faults import Fault, FaultKind, ScriptError, parse_script
from kite_simulator.history import History, HistoryChanges, Lost, Restated, parse_history_script
from kite_simulator.kite import SimulatedKite
from kite_simulator.ledger import Ledger
from kite_simulator.market import Market
from kite_simulator.rest_faults import RestFault, ScriptedFault, parse_rest_script
from kite_simulator.rest_server import RestOptions, RestSimulator
from kite_simulator.server import SimulatorOptions, SimulatorServer

__all__ = [
    "Account",
    "Fault",
    "FaultKind",
    "History",
    "HistoryChanges",
    "Ledger",
    "Lost",
    "Market",
    "RestFault",
    "RestOptions",
    "RestSimulator",
    "Restated",
    "ScriptError",
    "ScriptedFault",
    "SimulatedKite",
    "SimulatorOptions",
    "SimulatorServer",
    "parse_history_script",
    "parse_rest_script",
    "parse_script",
]
