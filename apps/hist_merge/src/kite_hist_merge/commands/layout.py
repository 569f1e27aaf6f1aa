"""`layout`: how a vendor's file is read, or why not, and a table for vendor.toml to start from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kite_hist_merge.commands.options import LayoutName, print_facts, settings_of
from kite_runtime.console import stdout
from kite_runtime.errors import EXIT_DONE, EXIT_FINDINGS, InputUnusable, UsageError
from kite_runtime.options import AsJson, Root

if TYPE_CHECKING:
    from kite_bar_history.vendor_files.looking import Look

File = Annotated[Path, typer.Argument(metavar="FILE", help="A vendor's file, packed or not.")]


def command(
    file: File, layout: LayoutName = None, as_json: AsJson = False, root: Root = Path()
) -> int:
    """Show how a vendor's file is read: layout, columns, first bars, share inside the session.

    Nothing is written and no database is asked, so symbols are shown as the file has them. Where no
    layout fits, stdout is a table for configs/vendor.toml to start from, with the reasons above it
    as comments; what the file does not show is left to be written. Exit code 3 means that the file
    would be refused.
    """
    from kite_bar_history.vendor_files import looking
    from kite_bar_history.vendor_files.layouts import chosen_layouts
    from kite_bar_history.vendor_files.suggesting import explained, suggest
    from kite_bar_history.vendor_files.values import Fault
    from kite_bars_store.bars import load_rules
    from kite_bars_store.bars.out_of_session import SessionJudge
    from kite_contracts.sessions import SessionCalendar

    if file.is_dir():
        raise UsageError(f"{file} is a folder: name one file of it")
    settings = settings_of(root)
    layouts = chosen_layouts(settings.vendor_file, layout)
    try:
        opened = looking.opened(file)
    except OSError as exc:
        raise InputUnusable(file, exc) from exc
    if isinstance(opened, Fault):
        return _refused(file, opened, as_json)
    judge = SessionJudge(SessionCalendar.load(), load_rules(settings.rules_file).phases)
    fits = looking.layout_of(opened, layouts)
    if not isinstance(fits, Fault):
        seen = looking.look(opened, fits, judge)
        return _refused(file, seen, as_json) if isinstance(seen, Fault) else _shown(seen, as_json)
    if layout is not None or fits.reason != "UNKNOWN_LAYOUT":
        return _refused(file, fits, as_json)
    misfits = looking.misfits(opened, layouts)
    found = suggest(opened, judge)
    why = [f"{file.name} fits none of the layouts:", *map(": ".join, misfits.items())]
    if isinstance(found, Fault):
        return _refused(file, found, as_json, why)
    if as_json:
        print_facts({"layout": None, "misfits": misfits, "suggestion": found.text()})
    else:
        stdout.print(explained(found, why), markup=False, soft_wrap=True, end="")
    return EXIT_FINDINGS


def _shown(seen: Look, as_json: bool) -> int:
    if as_json:
        print_facts(seen.as_dict())
        return EXIT_DONE
    share = f"{seen.inside / seen.bars:.0%}" if seen.bars else "none"
    rows: dict[str, Any] = {
        "layout": f"{seen.layout.name}: {seen.layout.about}",
        "columns": ", ".join(f"{key} {name}" for key, name in seen.columns.items()),
        "stamp": f"{seen.layout.stamp}, zone {seen.layout.time_zone or 'stated by each time'}",
        "bars": f"{seen.bars:,} looked at, {seen.refused:,} lines refused",
        "session": f"{seen.inside:,} bars inside ({share})",
    }
    lines = [f"{name:<14} {value}" for name, value in rows.items()]
    lines += [f"{'refused' if not at else '':<14} {each}" for at, each in enumerate(seen.examples)]
    lines += [f"{'first' if not at else '':<14} {each}" for at, each in enumerate(seen.first)]
    for line in lines:
        stdout.print(line, markup=False, soft_wrap=True)
    return EXIT_DONE


def _refused(file: Path, fault: Any, as_json: bool, why: list[str] | None = None) -> int:
    """The sentence, with the reasons of the layouts above it as comments."""
    if as_json:
        facts = {"layout": None, "reason": fault.reason, "message": fault.message}
        print_facts({**facts, "misfits": (why or [])[1:]})
    else:
        for line in [*(f"# {each}" for each in why or ()), f"{file.name} {fault.message}"]:
            stdout.print(line, markup=False, soft_wrap=True)
    return EXIT_FINDINGS
