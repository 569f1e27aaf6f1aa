"""Each wheel pins the first-party wheels it needs to the exact version in the same folder.

Exit codes: 0 they do, 1 one does not or there are no wheels.
"""

from __future__ import annotations

import sys
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path

OURS = "kite-"


def metadata_of(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return Parser().parsestr(archive.read(name).decode())


def problems(wheels: list[Path]) -> list[str]:
    found = [metadata_of(wheel) for wheel in wheels]
    versions = {str(wheel["Name"]): str(wheel["Version"]) for wheel in found}
    wrong = []
    for wheel in found:
        for requirement in wheel.get_all("Requires-Dist") or []:
            if not requirement.startswith(OURS):
                continue
            name, _, version = requirement.partition("==")
            print(f"{wheel['Name']} {wheel['Version']} requires {requirement}")
            if versions.get(name) != version:
                wrong.append(
                    f"{wheel['Name']} requires {requirement}; here is {versions.get(name)}"
                )
    return wrong


def main(folder: Path) -> int:
    wheels = sorted(folder.glob("*.whl"))
    wrong = problems(wheels) if wheels else [f"there is no wheel in {folder}"]
    for problem in wrong:
        print(problem)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
