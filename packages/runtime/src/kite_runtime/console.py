"""What people see: results on stdout, all else on stderr."""

from __future__ import annotations

import os
import re
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import UnsupportedOperation
from typing import TYPE_CHECKING, Any, Final, TextIO

from kite_runtime.invocation import as_typed

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

    stdout: Console
    stderr: Console

_OBEYED: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]"
)
_cut: Final[set[int]] = set()
"""Descriptors whose last line was cut."""
PIPE_COLUMNS: Final = 200
"""The width of a table that goes into a file or a pipe: a cell cut to fit no screen is lost."""


def _width(stream: TextIO) -> int | None:
    return None if stream.isatty() or "COLUMNS" in os.environ else PIPE_COLUMNS


def __getattr__(name: str) -> Any:
    """``stdout`` and ``stderr``, made when first asked for: Rich takes long to load."""
    if name not in ("stdout", "stderr"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from rich.console import Console
    from rich.segment import Segment
    from rich.table import Table

    class CleanConsole(Console):
        """Prints what comes from outside as text, whatever it holds, and cuts no cell of a
        table."""

        def render(self, renderable: Any, options: Any = None) -> Iterator[Segment]:
            if isinstance(renderable, Table):
                from kite_runtime.tables import fitted

                renderable = fitted(renderable, self, options or self.options)
            for part in super().render(renderable, options):
                yield part if part.control else Segment(clean(part.text), part.style)

    width = _width(getattr(sys, name))
    made = CleanConsole(stderr=name == "stderr", highlight=False, emoji=False, width=width)
    globals()[name] = made
    return made


def clean(text: str) -> str:
    """The text without what a terminal obeys rather than shows: C0 and C1 control characters but
    for tab and line feed, and marks that turn the direction of writing. Bytes of a file that were
    no UTF-8, which no stream can write, become a question mark."""
    return _OBEYED.sub("", text).encode("utf-8", "replace").decode()


def clean_json(text: str) -> str:
    """JSON with what ``clean`` takes out as ``\\uXXXX``: no value is another one."""
    return _OBEYED.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def complain(program: str, problem: object, code: int) -> int:
    write_line(sys.stderr, clean(as_typed(f"{program}: {problem}")), patience_s=1.0)
    return code


def say(text: str) -> None:
    """One line of progress, on stderr, so that stdout stays the result."""
    console = sys.modules[__name__]
    with suppress(OSError):
        console.stderr.print(as_typed(text), markup=False, soft_wrap=True)


def write_line(stream: TextIO, text: str, *, patience_s: float = 0.0) -> bool:
    """Write a line without ever blocking for longer or failing; whether it was written whole.

    A pipe that nobody reads, one whose reader has gone and a full disk must not end or stop the
    program that reports something there. A line longer than a pipe takes at once may be cut; it is
    ended before the next one.
    """
    data = f"{text}\n".encode("utf-8", "replace")
    try:
        stream.flush()
        descriptor = stream.fileno()
    except UnsupportedOperation:  # it is no file
        return stream.write(f"{text}\n") > 0
    except (OSError, ValueError):
        return False
    if descriptor in _cut:
        data = b"\n" + data
    ready = select.poll()
    ready.register(descriptor, select.POLLOUT)
    try:
        while data:
            if not ready.poll(patience_s * 1000):
                return False
            data = data[os.write(descriptor, data[: select.PIPE_BUF]) :]
            _cut.add(descriptor)  # until it is whole
    except OSError:
        return False
    _cut.discard(descriptor)
    return True


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
