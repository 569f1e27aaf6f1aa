"""For tests: programs called as users call them, and the search for secrets that leaked.

``programs`` gives a child this process's import path and lists an app's commands, ``calls`` runs
hundreds of commands for the price of loading the program once, ``canary`` plants secrets and looks
for them.
"""

from kite_runtime.testing.calls import CommandLine, Finished, Place, Running
from kite_runtime.testing.canary import (
    CANARY,
    KEEPERS,
    SECRETS,
    Call,
    ProcessWatch,
    call,
    postgres_dsn,
    traces,
    traces_in_files,
    write_env,
    write_token_file,
)
from kite_runtime.testing.carried import LARGE, carried
from kite_runtime.testing.programs import PATIENCE_S, import_path, leaf_commands
from kite_runtime.testing.starts import heavy_interface, heavy_starts

__all__ = [
    "CANARY",
    "KEEPERS",
    "LARGE",
    "PATIENCE_S",
    "SECRETS",
    "Call",
    "CommandLine",
    "Finished",
    "Place",
    "ProcessWatch",
    "Running",
    "call",
    "carried",
    "heavy_interface",
    "heavy_starts",
    "import_path",
    "leaf_commands",
    "postgres_dsn",
    "traces",
    "traces_in_files",
    "write_env",
    "write_token_file",
]
