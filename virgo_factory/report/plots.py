"""Plots, one idea each, for people who look rather than read: each draws plain numbers on the axes that it is given."""

import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from virgo_factory.report.text import one_line


__all__ = ["bars", "columns", "curves", "draw", "lengths", "outlines", "shares", "sheet", "spans"]
BLUE, ORANGE, GREY, GREEN, RED, YELLOW = "#3b6ea8", "#d1663c", "#6b6b6b", "#4c9a62", "#c8553d", "#d9a441"
MOST_BARS = 15
SMOOTHED = 25
"""A curve is smoothed over this part of its steps."""
BEHIND = {"facecolor": "white", "alpha": 0.8, "edgecolor": "none", "pad": 1}
"""Of a text that may stand on bars."""


def draw(plot: Callable[..., None], *arguments: Any, page: bool = False, **more: Any) -> bytes:
    """Return a plot as PNG: 1080 x 600 pixels for a file, 896 x 560 for a page."""
    import matplotlib
    from matplotlib.figure import Figure  # not pyplot: slower to import, and looks for a display

    style = {"font.size": 10 if page else 11, "axes.spines.top": False, "axes.spines.right": False}
    with matplotlib.rc_context(style):
        figure = Figure(figsize=(6.4, 4) if page else (9, 5), layout="constrained")
        plot(figure.add_subplot(), *arguments, **more)
        buffer = io.BytesIO()
        figure.savefig(buffer, dpi=140 if page else 120)

    return buffer.getvalue()


def bars(axes: Any, values: Mapping[str, int], title: str, unit: str) -> None:
    """Draw a bar a value, the largest on top, each with its number and share; from MOST_BARS on the rest together."""
    import numpy as np

    ordered = sorted(values.items(), key=lambda pair: -pair[1])
    if len(ordered) > MOST_BARS:
        rest = ordered[MOST_BARS - 1 :]
        ordered[MOST_BARS - 1 :] = [(f"{len(rest)} further ones", sum(value for _, value in rest))]

    total = sum(values.values())
    places = max(len(ordered), 4) - 1 - np.arange(len(ordered))
    axes.barh(places, [value for _, value in ordered], color=BLUE, height=0.7)
    _rows(axes, places, [name for name, _ in ordered], max(len(ordered), 4))
    _title(axes, title, unit)
    axes.set_xlim(0, max(value for _, value in ordered) * 1.22)
    for place, (_, value) in zip(places, ordered, strict=True):
        axes.text(value, place, f"  {value:,}  ({value / total:.1%})", va="center", color=GREY)

    _thousands(axes.xaxis)


def columns(axes: Any, values: Mapping[Any, int], title: str, x: str, y: str) -> None:
    """Draw a column a value, from left to right, each with its number."""
    places = range(len(values))
    axes.bar(places, list(values.values()), color=BLUE, width=0.7)
    axes.set_xticks(places, [str(value) for value in values])
    _title(axes, title, x, y)
    axes.set_ylim(0, max(values.values()) * 1.12)
    for place, count in zip(places, values.values(), strict=True):
        axes.text(place, count, f"{count:,}", ha="center", va="bottom", color=GREY)

    _thousands(axes.yaxis)


def lengths(
    axes: Any,
    rows_of: Mapping[int, int],
    title: str,
    x: str,
    y: str,
    limit: int | None = None,
    limit_name: str = "limit",
) -> None:
    """Draw how many rows have which length, with the median, and what is beyond a limit in another colour."""
    import numpy as np

    values = np.array(sorted(rows_of), dtype=float)
    rows = np.array([rows_of[int(value)] for value in values])
    width = (values[-1] + 1) / 50
    if limit:
        width = limit / max(1, round(limit / width))  # so that no bar stands on both sides of the limit

    edges = np.arange(0, values[-1] + 1 + width, width)
    counts, _ = np.histogram(values, bins=edges, weights=rows)
    beyond = edges[:-1] > (limit or np.inf) - width / 2
    colours = np.where(beyond, ORANGE, BLUE)
    axes.bar(edges[:-1], counts, width=np.diff(edges), align="edge", color=colours, edgecolor="white", linewidth=0.4)
    _title(axes, title, x, y)
    axes.set_xlim(0, max(edges[-1], (limit or 0) * 1.02))
    top = counts.max() * 1.18
    axes.set_ylim(0, top)
    median = int(values[np.searchsorted(rows.cumsum(), np.ceil(rows.sum() / 2))])
    axes.axvline(median, color=GREY, linestyle=":", linewidth=1.5)
    axes.text(median, top, f" median {median:,}", color=GREY, va="top", bbox=BEHIND)
    if limit:
        longer = values > limit
        share = rows[longer].sum() / rows.sum()
        of_tokens = (values * rows)[longer].sum() / (values * rows).sum()
        told = f" {limit_name} {limit:,} \n {rows[longer].sum():,} {y} ({share:.1%}), \n {of_tokens:.1%} of the tokens, are longer "
        axes.axvline(limit, color=ORANGE, linewidth=1.5)
        side = "right" if limit > axes.get_xlim()[1] * 0.6 else "left"
        axes.text(limit, top * 0.93, told, color=ORANGE, va="top", ha=side, bbox=BEHIND)

    _thousands(axes.xaxis)
    _thousands(axes.yaxis)


def outlines(
    axes: Any, steps_of: Mapping[str, Mapping[int, int]], colours: Mapping[str, str], step: int, x: str, y: str
) -> None:
    """Draw the lengths of several groups over each other as lines.

    `steps_of`: group -> length in steps -> how many; drawn in the order of `colours`.
    `colours`: group -> colour; other groups are left out.
    """
    longest = max(max(steps) for steps in steps_of.values())
    width = max(1, -(-(longest + 1) // 40))  # steps in a bin
    edges = [place * width * step for place in range(longest // width + 2)]
    for name, colour in colours.items():
        if steps := steps_of.get(name):
            bins = [0] * (len(edges) - 1)
            for length, count in steps.items():
                bins[length // width] += count

            axes.stairs(bins, edges, color=colour, linewidth=1.8, label=f"{_label(name)} ({sum(bins):,})")
            axes.stairs(bins, edges, color=colour, alpha=0.15, fill=True)

    axes.set_xlim(0)
    axes.set_ylim(0)
    _title(axes, "", x, y)
    axes.legend(frameon=False)
    _thousands(axes.xaxis)
    _thousands(axes.yaxis)


def shares(axes: Any, counts_of: Mapping[str, Mapping[str, int]], colours: Mapping[str, str], x: str) -> None:
    """Draw a bar a group, the largest on top, parted by what its members are; their number in brackets."""
    from matplotlib.ticker import PercentFormatter

    largest = sorted(counts_of.items(), key=lambda pair: -sum(pair[1].values()))[:MOST_BARS]
    totals = [max(sum(counts.values()), 1) for _, counts in largest]
    left = [0.0] * len(largest)
    places = range(len(largest))[::-1]
    for part, colour in colours.items():
        widths = [counts.get(part, 0) / total for (_, counts), total in zip(largest, totals, strict=True)]
        if any(widths):
            axes.barh(places, widths, 0.7, left, color=colour, label=part)
            left = [start + width for start, width in zip(left, widths, strict=True)]

    names = [f"{one_line(name, 24)} ({sum(counts.values()):,})" for name, counts in largest]
    _rows(axes, places, names, len(largest))
    axes.set_xlim(0, 1)
    axes.xaxis.set_major_formatter(PercentFormatter(1))
    axes.set_xlabel(x)
    axes.figure.legend(frameon=False, loc="outside upper center", ncols=6, fontsize=9, handlelength=1)


def spans(
    axes: Any, rows: Sequence[tuple[str, float, float, float]], title: str, x: str, point: str, span: str,
    marks: Mapping[str, float] | None = None, mark: str = "", limit: float | None = None, limit_name: str = "limit",
    left_out: int = 0,
) -> None:  # fmt: skip
    """Draw a line a row from low to high with a point on it: percentiles with the median, a score with its interval.

    `rows`: name, low, point, high; the first on top.
    `marks`: name -> another value beside the point, such as a published one.
    `left_out`: further rows, which the title tells.
    """
    names, low, middle, high = zip(*rows, strict=True)
    places = range(len(rows))[::-1]
    widths = [end - start for start, end in zip(low, high, strict=True)]
    axes.barh(places, widths, left=low, height=0.5, color=BLUE, alpha=0.35, label=span)
    axes.plot(middle, places, "o", color=BLUE, label=point)
    if marked := [(marks[name], place) for name, place in zip(names, places, strict=True) if marks and name in marks]:
        axes.plot(*zip(*marked, strict=True), "D", color=ORANGE, markerfacecolor="none", label=mark)

    _rows(axes, places, names, len(names))
    _title(axes, title, x, more=f" (the {len(rows)} largest)" if left_out else "")
    axes.set_xlim(min(0, *low) * 1.08, max(*high, limit or 0) * 1.08)
    if limit:
        axes.axvline(limit, color=ORANGE, linewidth=1.5, label=f"{limit_name} {limit:,}")

    axes.figure.legend(frameon=False, loc="outside lower center", ncols=4)
    _thousands(axes.xaxis)


def curves(axes: Any, lines: Mapping[str, Sequence[tuple[float, float]]], title: str, x: str, y: str) -> None:
    """Draw values over steps: as they are, pale, and behind SMOOTHED of them their running mean."""
    from matplotlib.ticker import MaxNLocator

    for (name, points), colour in zip(lines.items(), (BLUE, GREEN, ORANGE, GREY, RED), strict=False):
        at, values = zip(*points, strict=True)
        window = max(1, len(values) // SMOOTHED)
        if window > 1:
            axes.plot(at, values, color=colour, alpha=0.25, linewidth=1)
            values = [
                sum(part) / len(part) for part in (values[max(0, i - window) : i + 1] for i in range(len(values)))
            ]

        marker = "o" if len(values) == 1 else None
        axes.plot(at, values, color=colour, linewidth=1.8, marker=marker, label=_label(name))

    _title(axes, title, x, y)
    lowest = min(value for points in lines.values() for _, value in points)
    axes.set_ylim(min(0, 1.05 * lowest), max(axes.get_ylim()[1], 0.01))
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    axes.legend(frameon=False, fontsize=9)


def sheet(axes: Any, panels: Sequence[Callable[[Any], None]]) -> None:
    """Draw several plots in two columns on the figure of `axes`, which are given up."""
    figure = axes.figure
    axes.remove()
    lines = -(-len(panels) // 2)
    figure.set_size_inches(figure.get_figwidth() * 1.25, figure.get_figheight() * max(0.75, 0.6 * lines))
    for place, panel in enumerate(panels, start=1):
        panel(figure.add_subplot(lines, 2, place))


def _thousands(axis: Any) -> None:
    """Write the numbers of an axis with separators; millions as such."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    is_large = axis.get_view_interval()[1] >= 3e6
    axis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    axis.set_major_formatter(
        FuncFormatter(lambda value, _: f"{value / 1e6:,g} M" if is_large and value else f"{value:,.0f}")
    )


def _rows(axes: Any, places: Sequence[int], names: Sequence[str], height: int) -> None:
    most = round(6 * axes.figure.get_figwidth())  # characters: more than that leave no room for the bars
    axes.set_yticks(places, [_label(name, most) for name in names])
    axes.set_ylim(-0.7, height - 0.3)


def _title(axes: Any, title: str, x: str, y: str = "", more: str = "") -> None:
    axes.set_title(_label(title) + more, loc="left")
    axes.set_xlabel(x)
    axes.set_ylabel(y)


def _label(text: str, most: int = 60) -> str:
    """Return a text from a dataset as a label: on one line, not too long, and with no mathematics in it."""
    return one_line(text, most).replace("$", r"\$")
