"""Programs on a pseudo-terminal, as a person runs them, and texts that attack a terminal."""

from __future__ import annotations

import os
import pty
import re
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

ATTACKS: Final = (
    "\x1b]52;c;ZWNobyBoaQ==\x07",  # writes into the clipboard
    "\x1b]0;title\x07",
    "\x1b[2J\x1b[H",  # clears the screen
    "\x1b]8;;http://evil.example\x1b\\link\x1b]8;;\x1b\\",
    "\x9b2J",  # the same with one C1 character
    "\x9d52;c;eA==\x9c",
    "\x90q\x9c",
    "\u202egnp.exe\u202c",  # turns the direction of writing
    "\u2066x\u2069",
    "a\rb\x08\x7f",
)
_ATTACK: Final = re.compile(
    "\x1b[\\]P]|\x1b\\[[0-9;]*[JH]|[\x07\x08\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]"
)
"""What of these a terminal obeys. Colours and the moves of a progress bar are no attack."""


class Shown(NamedTuple):
    """What a program wrote to its terminal, stdout and stderr together, and its exit code."""

    text: str
    code: int


def attack_in(text: str) -> str | None:
    """The first attack in a terminal's text, with what stands around it."""
    found = _ATTACK.search(text)
    return None if found is None else repr(text[max(0, found.start() - 200) : found.end() + 20])


def on_terminal(command: Sequence[str], folder: Path, env: Mapping[str, str]) -> Shown:
    """Run a program to its end with a terminal for its output."""
    own, theirs = pty.openpty()
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
        cwd=folder,
        env={**env, "TERM": "xterm-256color", "COLUMNS": "200"},
    ) as process:
        os.close(theirs)
        seen = bytearray()
        with open(own, "rb", buffering=0) as terminal, suppress(OSError):  # it ends with an error
            while data := terminal.read(65_536):
                seen += data
    return Shown(seen.decode("utf-8", "replace"), process.returncode)
