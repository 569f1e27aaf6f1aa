"""The package's public interface."""

from __future__ import annotations

from kite_runtime.testing import heavy_interface


def test_the_package_loads_nothing_heavy_and_has_the_names_of_its_interface() -> None:
    assert heavy_interface("kite_simulator") == set()
