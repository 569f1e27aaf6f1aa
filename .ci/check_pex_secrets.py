"""No packaged program carries a secret: no .env, no token file, none of their values.

The values are those of this checkout's `.env`, `.infra/.env` and `token.json`, as far as they are
there, and the ones that the tests plant. Archives within an archive are opened too.

Exit codes: 0 none does, 1 one does or there are no programs.
"""

from __future__ import annotations

import io
import json
import re
import sys
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

KEEPERS = (".env", "token.json")
VALUE_FILES = (".env", ".infra/.env")
PLANTED = {"a planted secret": b"CANARY" + b"token/+=0123", "a planted key": b"CANARY" + b"key0123"}
SECRET_NAME = re.compile(r"(KEY|SECRET|TOKEN|PASSWORD|AUTH|DSN)$", re.IGNORECASE)
ARCHIVE = b"PK\x03\x04"
VALUE_CHARS_MIN = 8
"""A shorter value occurs by chance."""


def secrets_of(root: Path) -> dict[str, bytes]:
    """Name → value of what this checkout must not give away; names alone are ever printed."""
    found = dict(PLANTED)
    for name in VALUE_FILES:
        if (root / name).is_file():
            for line in (root / name).read_text("utf-8", errors="replace").splitlines():
                variable, _, value = line.removeprefix("export ").partition("=")
                _add(found, variable.strip(), value.strip().strip("'\""))
    if (root / "token.json").is_file():
        for variable, value in json.loads((root / "token.json").read_text("utf-8")).items():
            _add(found, variable, str(value))
    return found


def problems(
    name: str, members: Iterator[tuple[str, bytes]], secrets: Mapping[str, bytes]
) -> list[str]:
    """What is wrong with the members of one program."""
    wrong = []
    for member, content in members:
        if PurePosixPath(member).name in KEEPERS:
            wrong.append(f"{name} carries {member}")
        wrong += [
            f"{name} carries {what} in {member}"
            for what, value in secrets.items()
            if value in content
        ]
    return wrong


def members_of(program: Path) -> Iterator[tuple[str, bytes]]:
    """Path and content of each file, of a zipped program or of one in a folder."""
    if program.is_dir():
        for path in sorted(program.rglob("*")):
            if path.is_file():
                yield from _opened(str(path.relative_to(program)), path.read_bytes())
    else:
        yield from _inside("", program.read_bytes())


def main(folder: Path, root: Path) -> int:
    programs = sorted(folder.glob("*.pex"))
    secrets = secrets_of(root)
    wrong = [] if programs else [f"there is no program in {folder}"]
    for program in programs:
        wrong += problems(program.name, members_of(program), secrets)
    for problem in wrong:
        print(problem)
    if not wrong:
        print(f"{len(programs)} programs without any of {len(secrets)} secrets")
    return 1 if wrong else 0


def _add(found: dict[str, bytes], name: str, value: str) -> None:
    if name.endswith("DSN"):
        value = urlsplit(value).password or ""
    if SECRET_NAME.search(name) and len(value) >= VALUE_CHARS_MIN:
        found[name] = value.encode()


def _inside(prefix: str, data: bytes) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for info in archive.infolist():
            if not info.is_dir():
                yield from _opened(prefix + info.filename, archive.read(info))


def _opened(name: str, content: bytes) -> Iterator[tuple[str, bytes]]:
    yield name, content
    if content.startswith(ARCHIVE) or name.endswith((".pex", ".whl", ".zip")):
        with suppress(zipfile.BadZipFile):  # then it is no archive, and was looked at as it is
            yield from _inside(f"{name}/", content)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path()))
