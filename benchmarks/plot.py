"""A line plot with two logarithmic axes as SVG, from nothing but strings (pure)."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from math import ceil, floor, log10

Line = list[tuple[float, float]]
"""Points in the order in which they are joined; both numbers above 0."""

WIDTH, HEIGHT = 860, 440
LEFT, TOP, RIGHT, BOTTOM = 70, 46, 270, 50
COLOURS = ("#0b6e4f", "#2a9d8f", "#8ab17d", "#264653", "#6c757d", "#e9c46a", "#d1495b")
STYLE = "font-family:sans-serif;font-size:12px;fill:#333"


def log_plot(title: str, x_label: str, lines: Mapping[str, Line]) -> str:
    """The picture. Raises ValueError when there is nothing to draw."""
    points = [point for line in lines.values() for point in line]
    if not points:
        raise ValueError("a plot of nothing")
    ticks_x = sorted({x for x, _ in points})
    low, high = log10(min(ticks_x)), log10(max(ticks_x))
    decades = floor(log10(min(y for _, y in points))), ceil(log10(max(y for _, y in points)))

    def place(x: float, y: float) -> tuple[float, float]:
        along = (log10(x) - low) / ((high - low) or 1.0)
        up = (log10(y) - decades[0]) / ((decades[1] - decades[0]) or 1)
        return (
            LEFT + along * (WIDTH - LEFT - RIGHT),
            HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM),
        )

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{escape(title)}" style="{STYLE}">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
        f'<text x="{LEFT}" y="24" style="font-size:15px">{escape(title)}</text>',
    ]
    right = WIDTH - RIGHT
    for decade in range(decades[0], decades[1] + 1):
        _, y = place(min(ticks_x), 10.0**decade)
        parts.append(f'<line x1="{LEFT}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>')
        parts.append(
            f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{10**decade:,}</text>'
        )
    for x_value in ticks_x:
        x, y = place(x_value, 10.0 ** decades[0])
        parts.append(f'<text x="{x:.1f}" y="{y + 18:.1f}" text-anchor="middle">{x_value:g}</text>')
    middle = (LEFT + right) / 2
    parts.append(
        f'<text x="{middle}" y="{HEIGHT - 10}" text-anchor="middle">{escape(x_label)}</text>'
    )
    for number, (name, line) in enumerate(lines.items()):
        colour = COLOURS[number % len(COLOURS)]
        path = " ".join("{:.1f},{:.1f}".format(*place(x, y)) for x, y in line)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        y = TOP + 12 + number * 22
        parts.append(
            f'<line x1="{right + 20}" x2="{right + 44}" y1="{y - 4}" y2="{y - 4}" '
            f'stroke="{colour}" stroke-width="2"/>'
        )
        parts.append(f'<text x="{right + 50}" y="{y}">{escape(name)}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"
