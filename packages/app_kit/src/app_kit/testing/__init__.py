"""For tests: programs called as users call them, and the search for secrets that leaked.

``programs`` gives a child this process's import path and lists an app's commands, ``calls`` runs
hundreds of commands for the price of loading the program once, ``canary`` plants secrets and looks
for them.
"""

from app_kit.testing.calls import CommandLine, Finished, Place, Running
from app_kit.testing.canary import (
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
from app_kit.testing.programs import PATIENCE_S, import_path, leaf_commands

__all__ = [
    "CANARY",
    "KEEPERS",
    "PATIENCE_S",
    "SECRETS",
    "Call",
    "CommandLine",
    "Finished",
    "Place",
    "ProcessWatch",
    "Running",
    "call",
    "import_path",
    "leaf_commands",
    "postgres_dsn",
    "traces",
    "traces_in_files",
    "write_env",
    "write_token_file",
]
