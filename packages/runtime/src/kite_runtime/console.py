"""What people see: results on stdout, all else on stderr."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, TextIO

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

    stdout: Console
    stderr: Console

PIPE_COLUMNS: Final = 200
"""The width of a table that goes into a file or a pipe: a cell cut to fit no screen is lost."""


def _width(stream: TextIO) -> int | None:
    return None if stream.isatty() or "COLUMNS" in os.environ else PIPE_COLUMNS


def __getattr__(name: str) -> Any:
    """``stdout`` and ``stderr``, made when first asked for: Rich takes long to load."""
    if name not in ("stdout", "stderr"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from rich.console import Console

    made = Console(stderr=name == "stderr", highlight=False, width=_width(getattr(sys, name)))
    globals()[name] = made
    return made


def complain(program: str, problem: object, code: int) -> int:
    print(f"{program}: {problem}", file=sys.stderr)
    return code


def say(text: str) -> None:
    """One line of progress, on stderr, so that stdout stays the result."""
    console = sys.modules[__name__]
    console.stderr.print(text, markup=False, soft_wrap=True)


def progress_bar() -> Progress:
    """A bar on stderr while it lasts; nothing where no terminal is."""
    from rich.progress import Progress  # half as long to load as all of the console

    console = sys.modules[__name__].stderr
    return Progress(console=console, transient=True, disable=not console.is_terminal)


@contextmanager
def reader_may_leave() -> Iterator[None]:
    """The reader of our pipe may leave early (`| head`): the output ends, which is no failure."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
