"""A Kite that trades a seeded market: for demos, for tests and for anyone's own client.

Reading order: ``market``, ``book``, ``faults``, ``ledger``, ``account``, ``server``; for REST
``symbols``, ``master``, ``history``, ``rest_faults``, ``candles``, ``rest``, ``rest_server``;
``kite`` is both, ``cli`` the command line.
"""

from typing import TYPE_CHECKING

from kite_runtime.lazy import lazy

if TYPE_CHECKING:
    from kite_simulator.account import Account as Account
    from kite_simulator.faults import Fault as Fault
    from kite_simulator.faults import FaultKind as FaultKind
    from kite_simulator.faults import ScriptError as ScriptError
    from kite_simulator.faults import parse_script as parse_script
    from kite_simulator.history import History as History
    from kite_simulator.history import HistoryChanges as HistoryChanges
    from kite_simulator.history import Lost as Lost
    from kite_simulator.history import Restated as Restated
    from kite_simulator.history import parse_history_script as parse_history_script
    from kite_simulator.kite import SimulatedKite as SimulatedKite
    from kite_simulator.ledger import Ledger as Ledger
    from kite_simulator.market import Market as Market
    from kite_simulator.rest import RestOptions as RestOptions
    from kite_simulator.rest_faults import RestFault as RestFault
    from kite_simulator.rest_faults import ScriptedFault as ScriptedFault
    from kite_simulator.rest_faults import parse_rest_script as parse_rest_script
    from kite_simulator.rest_server import RestSimulator as RestSimulator
    from kite_simulator.server import SimulatorOptions as SimulatorOptions
    from kite_simulator.server import SimulatorServer as SimulatorServer

__getattr__, __dir__, __all__ = lazy(
    __name__,
    {
        "account": "Account",
        "faults": "Fault FaultKind ScriptError parse_script",
        "history": "History HistoryChanges Lost Restated parse_history_script",
        "kite": "SimulatedKite",
        "ledger": "Ledger",
        "market": "Market",
        "rest_faults": "RestFault ScriptedFault parse_rest_script",
        "rest": "RestOptions",
        "rest_server": "RestSimulator",
        "server": "SimulatorOptions SimulatorServer",
    },
)
