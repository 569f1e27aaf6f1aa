"""The command line of a schema owner: check, list, show, diff, lock."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Final, NoReturn

import typer
from rich.syntax import Syntax

from kite_contracts import checks, tables
from kite_contracts.breaks import Break
from kite_contracts.compatibility import breaks
from kite_contracts.errors import ContractError
from kite_contracts.lock import LOCK_NAME, is_released, lock_contract, read_lock
from kite_contracts.mapping import load_mapping
from kite_contracts.store import Contract, SchemaStore, packaged
from kite_contracts.topics import load_topics
from kite_runtime.command_line import make_app, run
from kite_runtime.console import stdout
from kite_runtime.errors import EXIT_FAILED, EXIT_FINDINGS, UsageError
from kite_runtime.settings import read_env

PROGRAM: Final = "kite-contracts"

SOURCE_DIRECTORY: Final = Path("packages/contracts/src/kite_contracts/schemas")
"""Where the schemas lie in a checkout; the packaged copy may be read-only."""

app = make_app(
    PROGRAM,
    "The contracts of the market-data topics: look at them, check them, release a version.",
    away="the database",
    place="contracts",
)

Schemas = Annotated[
    Path | None,
    typer.Option(
        "--schemas",
        help="Directory with the schema files, instead of the packaged ones.",
        metavar="DIR",
    ),
]
Subject = Annotated[str, typer.Argument(help="Name of the contract, such as tick.")]


@app.command()
def check(schemas: Schemas = None) -> None:
    """Check every contract: both schemas say the same, examples, compatibility, the lock.

    Exit code 0 when all is well, 1 when something is not.
    """
    store = _store(schemas)
    findings = checks.all_findings(store)
    load_topics()
    for one in checks.Check:
        own = [finding for finding in findings if finding.check is one]
        stdout.print("ok     " if not own else "FAILED ", one.value, style=None, sep="")
        for finding in own:
            stdout.print(f"         {finding}", soft_wrap=True, markup=False)
    names = [one.name for one in store]
    count = f"{len(findings)} finding" + ("" if len(findings) == 1 else "s")
    stdout.print(
        f"{len(names)} contracts ({', '.join(names)}), {count}.", soft_wrap=True, markup=False
    )
    if findings:
        raise typer.Exit(EXIT_FAILED)


@app.command("list")
def list_(schemas: Schemas = None) -> None:
    """List contracts, topics (retention as the settings files here say) and reason codes."""
    store = _store(schemas)
    topics = load_topics(environ=read_env(Path.cwd(), os.environ))
    stdout.print(tables.contracts_table(store, read_lock(store.directory), topics))
    stdout.print(tables.topics_table(topics))
    stdout.print(tables.reasons_table())


@app.command()
def show(
    subject: Subject,
    version: Annotated[
        str | None, typer.Argument(help="Version, such as v1; the newest if left out.")
    ] = None,
    avro: Annotated[
        bool, typer.Option("--avro", help="Only the Avro schema, as it is in the file.")
    ] = False,
    json: Annotated[
        bool, typer.Option("--json", help="Only the JSON Schema, as it is in the file.")
    ] = False,
    schemas: Schemas = None,
) -> None:
    """Show one contract: its fields as a table and its Avro schema."""
    if avro and json:
        raise UsageError("Use --avro or --json, not both.")
    store = _store(schemas)
    contract = _contract(store, subject, version)
    if avro or json:
        sys.stdout.write((contract.avro_bytes if avro else contract.json_bytes).decode("utf-8"))
        return
    state = "released" if is_released(contract, read_lock(store.directory)) else "draft"
    stdout.print(
        f"{contract.name} ({state}): {contract.avro.get('doc', '')}", soft_wrap=True, markup=False
    )
    stdout.print(f"Values start with {contract.single_object_prefix.hex(' ')} (single object).")
    stdout.print(tables.fields_table(contract, load_mapping(store.directory, contract)))
    stdout.print(Syntax(contract.avro_bytes.decode("utf-8"), "json", background_color="default"))


@app.command()
def diff(
    subject: Subject,
    old: Annotated[str, typer.Argument(help="The older version, such as v1.")],
    new: Annotated[str, typer.Argument(help="The newer version, such as v2.")],
    schemas: Schemas = None,
) -> None:
    """Compare two versions: what differs, and whether they are compatible both ways (FULL).

    Exit code 0 when they are compatible, 3 when they are not.
    """
    store = _store(schemas)
    before, after = _contract(store, subject, old), _contract(store, subject, new)
    if before.version == after.version:
        raise UsageError(f"{old} and {new} are the same version; name two.")
    if before.version > after.version:
        raise UsageError(f"Name the older version first: diff {subject} {new} {old}.")
    found: list[Break] = breaks(before, after)
    stdout.print(tables.difference_table(before, after, found))
    if found:
        stdout.print(f"Not compatible: {len(found)} break" + ("." if len(found) == 1 else "s."))
        raise typer.Exit(EXIT_FINDINGS)
    stdout.print(f"Compatible both ways: {after.name} may follow {before.name}.")


@app.command()
def lock(
    subject: Subject,
    version: Annotated[str, typer.Argument(help="Version to release, such as v2.")],
    schemas: Annotated[
        Path | None,
        typer.Option(
            "--schemas",
            help=f"Directory with the schema files; {SOURCE_DIRECTORY} of this checkout if left "
            "out.",
            metavar="DIR",
        ),
    ] = None,
) -> None:
    """Release a version: check it, then add the SHA-256 of its files to contract.lock."""
    directory = schemas or _source_directory()
    store = _store(directory)
    contract = _contract(store, subject, version)
    if is_released(contract, read_lock(directory)):
        lock_contract(directory, contract)  # refuses one that was edited since
        stdout.print(f"{contract.name} is released already; nothing to do.")
        return
    findings = [
        *checks.contract_findings(store, contract),
        *checks.subject_findings(store, subject),
        *checks.fingerprint_findings(store),
    ]
    if findings:
        for finding in findings:
            stdout.print(str(finding), soft_wrap=True, markup=False)
        raise ContractError(f"{contract.name} is not fit for release; correct what is listed.")
    lock_contract(directory, contract)
    stdout.print(
        f"Released {contract.name}: its hashes are in {os.path.relpath(directory / LOCK_NAME)}.",
        soft_wrap=True,
        markup=False,
    )


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run the command line and exit: 0, 1 failed, 2 usage, 3 with findings, 78 settings."""
    run(app, arguments)


def _store(directory: Path | None) -> SchemaStore:
    if directory is None:
        return packaged()
    if not directory.is_dir():
        raise UsageError(f"There is no directory {directory}; name one with --schemas DIR.")
    return SchemaStore(directory)


def _contract(store: SchemaStore, subject: str, version: str | None) -> Contract:
    known = store.versions(subject)
    if version is None:
        return store.contract(subject, known[-1])
    digits = version.removeprefix("v")
    if not (digits.isascii() and digits.isdigit()):
        raise UsageError(f"{version!r} is no version; write v1 or 1.")
    return store.contract(subject, int(digits))


def _source_directory() -> Path:
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / SOURCE_DIRECTORY).is_dir():
            return folder / SOURCE_DIRECTORY
    raise UsageError(f"There is no {SOURCE_DIRECTORY} here; name the directory with --schemas DIR.")


if __name__ == "__main__":
    main()
