"""The reference is that of the code; every page is in the site, and every link has its end."""

from __future__ import annotations

import inspect
import pkgutil
import re
import tomllib
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

import kite_dlq_triage.settings
import kite_hist_merge.settings
import kite_instruments.settings
import kite_kafka_io.settings
import kite_ws_bridge.settings
from docs.generate import load_variables, pages

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
SETTINGS = (
    kite_dlq_triage.settings,
    kite_hist_merge.settings,
    kite_instruments.settings,
    kite_kafka_io.settings,
    kite_ws_bridge.settings,
)
LINK = re.compile(r"(?<!`)\[[^\]\n]*\]\(([^)\s]+)\)")


def texts() -> list[Path]:
    return sorted(DOCS.glob("**/*.md"))


def site() -> dict[str, Any]:
    found: dict[str, Any] = tomllib.loads((ROOT / "zensical.toml").read_text("utf-8"))["project"]
    return found


def anchors(page: Path) -> set[str]:
    """The names by which headings of a page can be linked to, as the site and GitHub make them."""
    found = set()
    fenced = False
    for line in page.read_text("utf-8").splitlines():
        fenced ^= line.startswith("```")
        if not fenced and line.startswith("#"):
            title = re.sub(r"[^\w\s-]", "", line.lstrip("#").strip().lower())
            found.add(re.sub(r"\s", "-", title))
    return found


def links(page: Path) -> Iterator[str]:
    return (each for each in LINK.findall(page.read_text("utf-8")) if "://" not in each)


@pytest.mark.parametrize("name", pages())
def test_a_page_of_the_reference_is_that_of_the_code(name: str) -> None:
    assert (DOCS / "reference" / name).read_text("utf-8") == pages()[name], "make docs-reference"


def test_the_reference_has_no_other_pages() -> None:
    assert {page.name for page in (DOCS / "reference").glob("*.md")} == set(pages())


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda module: module.__name__)
def test_the_variables_of_a_program_are_on_the_page(settings: Any) -> None:
    read = set(re.findall(r'"([A-Z]+(?:_[A-Z]+)+)"', inspect.getsource(settings)))
    read -= {"SASL_SSL", "SASL_PLAINTEXT", "WS_BRIDGE_DLQ_ALARM"}  # values, and a prefix
    assert read
    assert read <= {each["name"] for group in load_variables() for each in group["variable"]}


@pytest.mark.parametrize("page", [*texts(), ROOT / "README.md"], ids=lambda page: page.name)
def test_every_link_of_a_page_has_its_end(page: Path) -> None:
    inside = DOCS in page.parents
    for link in links(page):
        name, _, anchor = link.partition("#")
        end = (page.parent / name).resolve() if name else page
        if inside:
            assert DOCS in end.parents, f"{link} is not part of the site; name the file instead"
        elif DOCS not in end.parents:
            continue
        assert end.exists(), link
        assert not anchor or anchor in anchors(end), link


@pytest.mark.parametrize("page", texts(), ids=lambda page: page.name)
def test_every_name_of_the_code_on_a_page_is_there(page: Path) -> None:
    names = set(re.findall(r"\bkite_\w+(?:\.\w+)+", page.read_text("utf-8")))
    imports = re.findall(r"^ *from (kite_[\w.]+) import ([\w, ]+)", page.read_text("utf-8"), re.M)
    names |= {f"{module}.{each.strip()}" for module, many in imports for each in many.split(",")}
    for name in names:
        assert pkgutil.resolve_name(name) is not None


def test_every_page_is_in_the_sites_navigation() -> None:
    def names(part: Any) -> Iterator[str]:
        if isinstance(part, str):
            yield part
        else:
            for each in part.values() if isinstance(part, dict) else part:
                yield from names(each)

    assert sorted(names(site()["nav"])) == [str(page.relative_to(DOCS)) for page in texts()]


def test_the_site_loads_nothing_from_elsewhere() -> None:
    assert site()["theme"]["font"] is False
    assert not {"extra_css", "extra_javascript", "plugins"} & set(site())


def test_decisions_are_numbered_without_holes() -> None:
    numbers = [int(page.name[:4]) for page in sorted((DOCS / "decisions").glob("*.md"))]
    assert numbers[0] == 1
    assert all(after == before + 1 for before, after in pairwise(numbers))
