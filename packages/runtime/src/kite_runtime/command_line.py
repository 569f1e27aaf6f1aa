"""The entry point of an app: every error is one sentence and its exit code, never a trace."""

from __future__ import annotations

import inspect
import os
import stat
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import wraps
from importlib import import_module
from typing import Any, Final, NoReturn, get_args

import typer
from typer.core import TyperCommand, TyperGroup, TyperOption
from typer.exceptions import Abort, TyperException

from kite_runtime.build_info import version_option
from kite_runtime.console import complain, reader_may_leave
from kite_runtime.errors import (
    EXIT_DONE,
    EXIT_INTERRUPTED,
    EXIT_USAGE,
    Interrupted,
    exit_code_of,
    is_foreseen,
)

EXIT_CODES: Final = (
    "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 done with findings to look at, "
    "75 try again later ({away} away), 78 configuration. --debug anywhere shows the trace "
    "of an error."
)
_PRIVATE: Final = 0o077
_HELP: Final = ("-h", "--help")
_OF_NO_COMMAND: Final = (*_HELP, "--version", "--install-completion", "--show-completion")


def make_app(
    name: str, purpose: str, *, away: str, no_args_is_help: bool = True, place: str | None = None
) -> typer.Typer:
    """A Typer app in this repository's form; ``away`` names the services whose absence is a 75.

    ``place`` is the package or app whose version it shows, where that is not ``name``.
    """
    app = typer.Typer(
        name=name,
        help=purpose,
        epilog=EXIT_CODES.format(away=away),
        no_args_is_help=no_args_is_help,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,  # Rich's help takes as long to load as all the rest
        context_settings={"help_option_names": list(_HELP)},
    )
    shown = version_option(name, place or name, False)

    def options(version: bool = shown) -> None:
        """Typer reads it from here; its callback does the work."""

    app.callback(help=purpose)(options)
    return app


@dataclass(frozen=True)
class Lazy:
    """A command that is imported when it is called: ``where`` is ``module:attribute`` of its
    function, or of the Typer app of a group; ``summary`` stands in the list of commands."""

    where: str
    summary: str

    def load(self) -> Callable[..., int] | typer.Typer:
        """The function or the group; its module is imported now."""
        module, _, attribute = self.where.partition(":")
        found: Callable[..., int] | typer.Typer = getattr(import_module(module), attribute)
        return found


@dataclass(frozen=True)
class Program:
    """A command line that starts at once: only the command that is called is imported.

    ``default`` is the command meant where none is named.
    """

    name: str
    purpose: str
    away: str
    commands: Mapping[str, Lazy]
    default: str | None = None

    def app(self, *called: str) -> typer.Typer:
        """The Typer app with the commands ``called``, or all of them; of the others it knows name
        and summary."""
        unnamed = self.default is None
        app = make_app(self.name, self.purpose, away=self.away, no_args_is_help=unnamed)
        for name, lazy in self.commands.items():
            if called and name not in called:
                app.command(name, help=lazy.summary)(_not_called)
                continue
            found = lazy.load()
            if isinstance(found, typer.Typer):
                app.add_typer(found, name=name)
            else:
                app.command(name)(with_any_reader(found))
        return app

    def main(self, arguments: list[str] | None = None) -> NoReturn:
        """Run it on ``arguments``, or else this process's own, and exit."""
        given = sys.argv[1:] if arguments is None else arguments
        if (typed := completed_words(self.name)) is not None:
            run(self.app(*(set(typed) & set(self.commands) or [""])), given)
        plain = [each for each in given if each != "--debug"]
        words = with_default(plain, self.default)
        if plain and words != plain:
            self._check_first(words[0], plain[0])
        run(self.app(words[0] if words else ""), given, default=self.default)

    def _check_first(self, default: str, word: str) -> None:
        """Exit where ``word``, the first of the default command, is no option of it: to make Typer
        find that out takes longer than all the rest."""
        command = self.commands[default].load()
        assert not isinstance(command, typer.Typer), "the default is no group"
        name, known = word.partition("=")[0], [*_HELP, *_options_of(command)]
        if name.startswith("--") and name not in known:
            from difflib import get_close_matches

            near = ", ".join(sorted(get_close_matches(name, known)))
            hint = f" (Possible options: {near})" if near else ""
            problem = f"No such option: {name}{hint}; see --help"
            sys.exit(complain(self.name, problem, EXIT_USAGE))


def _options_of(command: Callable[..., int]) -> Iterator[str]:
    """The options that a command declares, in long and short forms."""
    for parameter in inspect.signature(command, eval_str=True).parameters.values():
        for about in get_args(parameter.annotation)[1:]:
            # Where the default stands in the signature, Typer's first argument is a name, too.
            for names in (about.default, *about.param_decls):
                yield from str(names).split("/")


def _not_called() -> int:
    """Stands for a command whose module was not imported."""
    raise AssertionError("a command that was not called")


def with_any_reader(command: Callable[..., int]) -> Callable[..., int]:
    """The same command; its output may be piped into one that reads only the beginning, and Ctrl-C
    ends it with a sentence."""

    @wraps(command)
    def call(*arguments: Any, **options: Any) -> int:
        try:
            with reader_may_leave():
                return command(*arguments, **options)
        except KeyboardInterrupt:
            raise Interrupted from None
        return EXIT_DONE

    return call


def with_default(arguments: list[str], default: str | None) -> list[str]:
    """The arguments with ``default`` in front where they name no command and ask for no help and no
    version."""
    first = arguments[0] if arguments else ""
    if default is None or first in _OF_NO_COMMAND or (first and not first.startswith("-")):
        return arguments
    return [default, *arguments]


def completed_words(program: str) -> list[str] | None:
    """The words typed so far, where a shell asks how they may go on; else None.

    The names are those of Typer's completion scripts for bash, and for zsh and fish.
    """
    if f"_{program}_COMPLETE".replace("-", "_").upper() not in os.environ:
        return None
    return (os.environ.get("COMP_WORDS") or os.environ.get("_TYPER_COMPLETE_ARGS", "")).split()


class _Once:
    """Refuses an option of one value that is given again: Typer keeps the last one in silence."""

    def parse_args(self: Any, ctx: Any, args: list[str]) -> list[str]:
        given = list(args)
        rest: list[str] = super().parse_args(ctx, args)  # type: ignore[misc]
        options = [each for each in self.make_parser(ctx).parse_args(given)[2] if _is_single(each)]
        for option in options:
            if options.count(option) > 1:
                name = max(option.opts, key=len)
                raise TyperException(f"{name} is given {options.count(option)} times; it takes one")
        return rest


class _Command(_Once, TyperCommand):
    """A command whose options of one value are given once."""


class _Group(_Once, TyperGroup):
    """A group whose options of one value are given once."""


def _is_single(parameter: object) -> bool:
    """Whether it is an option with one value; flags may be repeated."""
    return isinstance(parameter, TyperOption) and not (
        parameter.multiple or parameter.is_flag or parameter.count
    )


def refuse_repetition(app: typer.Typer) -> None:
    """Make the app and its groups refuse an option of one value that is given twice."""
    app.info.cls = _Group
    for command in app.registered_commands:
        command.cls = _Command
    for group in app.registered_groups:
        if group.typer_instance is not None:
            refuse_repetition(group.typer_instance)


def run(
    app: typer.Typer, arguments: list[str] | None = None, *, default: str | None = None
) -> NoReturn:
    """Run the app on ``arguments``, or else this process's own, and exit.

    A command returns its exit code. An option is given once, unless it is declared as a list or is
    a flag. ``default`` is the command meant where none is named. ``--debug`` anywhere shows an
    error's trace.
    """
    program = app.info.name or sys.argv[0]
    given = sys.argv[1:] if arguments is None else arguments
    debug = "--debug" in given
    words = with_default([each for each in given if each != "--debug"], default)
    refuse_repetition(app)
    os.umask(os.umask(_PRIVATE) | stat.S_IWOTH)  # nothing that is made can be changed by others
    try:
        code = app(words, prog_name=program, standalone_mode=False)
    except (KeyboardInterrupt, Abort):
        sys.exit(complain(program, Interrupted(), EXIT_INTERRUPTED))
    except TyperException as error:
        sys.exit(complain(program, f"{_text(error)}; see --help", EXIT_USAGE))
    except Exception as error:
        if debug:
            import traceback

            traceback.print_exc()
        sys.exit(complain(program, _sentence(program, error), exit_code_of(error)))
    sys.exit(code if isinstance(code, int) else EXIT_DONE)


def _text(error: TyperException) -> str:
    """What Typer says of wrong usage, without the full stop that ends its sentences."""
    text = error.format_message() if hasattr(error, "format_message") else str(error)
    return str(text).rstrip(".")


def _sentence(program: str, error: Exception) -> str:
    """The sentence for the user; an unforeseen error is a defect and is called one."""
    if is_foreseen(error):
        return str(error)
    return (
        f"unexpected {type(error).__name__}: {error}; this is a defect of {program}, "
        "--debug shows where"
    )
