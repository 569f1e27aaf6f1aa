"""The errors of this package that no other has."""

from __future__ import annotations

from pathlib import Path

from kite_runtime.errors import ConfigurationError


class VendorFileError(ConfigurationError):
    """The file of vendor layouts is wrong: names file, layout, problem and remedy."""

    def __init__(self, path: Path, layout: str | None, problem: str) -> None:
        place = f"{path}" if layout is None else f"{path}, layout {layout}"
        super().__init__(f"{place}: {problem}")
