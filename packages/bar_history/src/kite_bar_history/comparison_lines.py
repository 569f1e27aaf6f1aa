"""A comparison of two sources for people. Pure."""

from __future__ import annotations

from kite_bars_store.bars.comparing import Comparison


def comparison_lines(found: Comparison) -> list[str]:
    """What to print, a line each; counts of bars where nothing else is named."""
    lines = [_counts("bars", found.bars)]
    if len(found.bars) > 1:
        lines += [
            f"{'common':<14} {found.common:,}",
            f"{'OHLC equal':<14} {found.ohlc_equal:,}",
            f"{'with volume':<14} {found.ohlc_volume_equal:,} equal in OHLC and volume",
            f"{'within a tick':<14} {found.within_one_tick:,}",
            f"{'volume equal':<14} {found.volume_equal:,}",
            f"{'largest gap':<14} {found.largest_difference} between two prices",
        ]
    lines += [
        _counts("volume", found.volume),
        f"{'golden':<14} {found.golden:,} inside the session, {found.outside:,} outside it",
        _counts("verdicts", found.verdicts),
        _counts("won", found.won),
    ]
    if found.flags:
        lines.append(_counts("flags", found.flags))
    return lines


def _counts(name: str, counts: dict[str, int]) -> str:
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    said = ", ".join(f"{key} {n:,}" for key, n in ordered)
    return f"{name:<14} {said or 'none'}"
