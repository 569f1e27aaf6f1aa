"""configs/vendor.toml: what is read from it, and that each mistake is one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from kite_bar_history.errors import VendorFileError
from kite_bar_history.vendor_files.layouts import default_text, load_layouts, parse_layouts

HERE = Path("vendor.toml")
GOOD = """
[layout.mine]
format = "csv"
header = false
columns = ["symbol", "date", "time", "open", "high", "low", "close", "volume", ""]
date_format = "%d-%m-%Y"
time_format = "%H:%M:%S"
time_zone = "Asia/Kolkata"
stamp = "bar-end"
adjusted = false
exchange = "NSE"
"""


def test_the_packaged_file_is_that_of_configs() -> None:
    configs = next(
        folder / "configs/vendor.toml"
        for folder in (Path.cwd(), *Path(__file__).resolve().parents)
        if (folder / "configs/vendor.toml").exists()
    )
    assert configs.read_text("utf-8") == default_text()
    assert set(load_layouts(configs)) == {
        *("bar-end-text", "kite", "minutes-parquet", "plain", "metastock", "metastock-day-first"),
        *("gdfl", "gdfl-no-header", "nse-bhavcopy", "nse-bhavdata-full", "nse-udiff-cash"),
        "nse-udiff-derivatives",
    }


def test_a_layout_is_read() -> None:
    layout = parse_layouts(GOOD, HERE)["mine"]
    assert (layout.width, layout.columns["volume"], layout.source) == (9, 7, "vendor")
    assert "oi" not in layout.columns
    assert layout.names_of("anything.txt.gz") == {}


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ('format = "csv"', 'format = "xls"', "format is 'xls': write 'csv' or 'parquet'"),
        ('stamp = "bar-end"', "", "needs stamp"),
        ("adjusted = false", "adjusted = 0", "adjusted is 0: write true or false"),
        ('"open", ', "", "columns needs open"),
        ('"open", ', '"opne", ', "columns names 'opne'"),
        ('"high", ', '"open", ', "columns names a field twice"),
        ('"symbol", ', '"", ', "needs a column symbol, or (?P<symbol>…) in file_name"),
        ('exchange = "NSE"', "", 'needs exchange = "NSE"'),
        ('"Asia/Kolkata"', '"Asia/Bombay City"', "time_zone is 'Asia/Bombay City'"),
        ('time_zone = "Asia/Kolkata"', "", "needs time_zone"),
        ('time_format = "%H:%M:%S"', "", "needs time_format"),
        ('time_format = "%H:%M:%S"', 'time_format = "iso"', "whole times"),
        ("[layout.mine]", '[layout.mine]\nfile_name = "("', "no regular expression"),
        ("[layout.mine]", "[layout.mine]\nprice_decimals = 9", "a number from 0 to 7"),
        ("[layout.mine]", "[layout.mine]\ncolour = 1", "colour is unknown"),
        ("[layout.mine]", '[layout."My own"]', "small letters"),
        ("[layout.mine]", "[layout.mine", "is no TOML"),
        ("[layout.mine]", "[mine]", "mine is unknown"),
        (GOOD, "", "has no layout"),
    ],
)
def test_a_mistake_is_one_sentence(before: str, after: str, words: str) -> None:
    with pytest.raises(VendorFileError) as caught:
        parse_layouts(GOOD.replace(before, after, 1), HERE)
    assert words in str(caught.value)
    assert str(caught.value).startswith("vendor.toml")


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("kite_SBIN_2016-09-30.csv", {"symbol": "SBIN"}),
        ("kite_NFO_NIFTY24JANFUT_2024-01.csv.gz", {"exchange": "NFO", "symbol": "NIFTY24JANFUT"}),
        ("kite_3MINDIA.csv", {"symbol": "3MINDIA"}),
        ("kite_M&M_2024-01-05.csv.zst", {"symbol": "M&M"}),
        ("SBIN.csv", None),
    ],
)
def test_the_name_of_a_file_says_the_instrument(name: str, found: dict[str, str] | None) -> None:
    assert load_layouts(None)["kite"].names_of(name) == found
