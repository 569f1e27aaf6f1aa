"""merge.toml: the delivered file, and files with mistakes."""

from __future__ import annotations

from pathlib import Path

import pytest

from kite_bars_store.bars import Limits, Role, load_rules, parse_rules
from kite_bars_store.bars.rules import default_text
from kite_bars_store.errors import RulesFaulty


def configs() -> Path:
    for folder in Path(__file__).resolve().parents:
        if (folder / "configs/merge.toml").is_file():
            return folder / "configs/merge.toml"
    raise AssertionError("configs/merge.toml is not there")


def test_the_packaged_file_is_that_of_configs() -> None:
    """Two copies of one text: after an edit of one, copy it over the other."""
    assert configs().read_text("utf-8") == default_text()


def test_the_delivered_rules() -> None:
    rules = load_rules()
    assert rules.sources == ("kite", "vendor", "live")
    assert rules.roles == {"kite": Role.BROKER, "vendor": Role.VENDOR, "live": Role.LIVE}
    assert rules.limits_of("NSE") == rules.limits == Limits(1, 1, 0, 100, 2_000)
    assert rules.limits_of("NFO") == Limits(1, 1, 0, 100, 10_000)
    assert [rules.rank(source) for source in rules.sources] == [0, 1, 2]


def test_a_file_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "merge.toml"
    path.write_text(default_text().replace("[field]", '[field]\nopen = ["vendor","kite","live"]'))
    rules = load_rules(path)
    assert (rules.field_ranks("open"), rules.field_ranks("close")) == ((1, 0, 2), (0, 1, 2))
    assert rules.sha256 != load_rules().sha256


def test_rules_are_known_by_what_they_say_and_not_by_their_text() -> None:
    again = parse_rules("# a comment\n" + default_text(), "again.toml")
    assert again.sha256 == load_rules().sha256
    assert again.canonical == load_rules().canonical


MISTAKES = [
    ('precedence = ["kite"', 'precedence = ["kite", "kite"', "precedence names something twice"),
    ("[tolerance]", "[tolerances]", "tolerances is unknown: there are exchange, field"),
    ("price_ticks = 1\n", "price_ticks = -1\n", "[tolerance] price_ticks is -1"),
    ("price_ticks = 1\n", "price_ticks = 0.5\n", "[tolerance] price_ticks is 0.5"),
    ("price_ticks = 1\n", "price_ticks = true\n", "[tolerance] price_ticks is True"),
    ("price_ticks = 1\n", "", "[tolerance] is missing price_ticks"),
    ("price_ticks = 1\n", "tick = 1\nprice_ticks = 1\n", "[tolerance] tick is unknown"),
    ('kite = "broker"', 'kite = "brocker"', "[source] kite is 'brocker': write broker or vendor"),
    ('kite = "broker"\n', "", "[source] is missing kite"),
    ("[field]", '[field]\nopen = ["vendor"]', "[field] open must name the sources"),
    ("[field]", '[field]\nprice = ["vendor"]', "[field] price is unknown"),
    ('"closing-auction"', '"auction"', "[quality] phases names 'auction': there are pre-open"),
    ("[exchange.NFO]\n", "[exchange.NFO]\nticks = 1\n", "[exchange.NFO] ticks is unknown"),
    ("precedence =", "precedence", "my.toml is no TOML"),
    ("[revision]", "[[revision]]", "[revision] is missing or no table"),
]


@pytest.mark.parametrize(("old", "new", "sentence"), MISTAKES)
def test_a_mistake_is_named(old: str, new: str, sentence: str) -> None:
    assert old in default_text()
    with pytest.raises(RulesFaulty) as caught:
        parse_rules(default_text().replace(old, new, 1), "my.toml")
    assert sentence in str(caught.value)
    assert str(caught.value).startswith("my.toml")


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(RulesFaulty, match="cannot be read: No such file"):
        load_rules(tmp_path / "none.toml")
    (tmp_path / "latin.toml").write_bytes(b"# \xe9")
    with pytest.raises(RulesFaulty, match="no UTF-8"):
        load_rules(tmp_path / "latin.toml")
