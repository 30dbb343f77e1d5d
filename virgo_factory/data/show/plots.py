"""The statistics as pictures, one idea each, for people who look rather than read."""

import functools
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from virgo_factory.data.show.stats import Lengths, Statistics, Tally


BLUE, ORANGE, GREY = "#3b6ea8", "#d1663c", "#6b6b6b"
MOST_BARS = 15
BEHIND = {"facecolor": "white", "alpha": 0.8, "edgecolor": "none", "pad": 1}
"""Of a text that may stand on bars."""


def write_plots(found: Statistics, folder: Path, name: str, cutoff_len: int | None) -> list[Path]:
    """Write the pictures that the statistics give and return their paths, in the order in which to look at them.

    Args:
        found: the statistics.
        folder: made if missing; pictures of the same names are replaced.
        name: of the dataset, for the titles.
        cutoff_len: tokens at which a training run cuts or drops.
    """
    if not found.all.rows:
        return []

    import matplotlib
    from matplotlib.figure import Figure  # not pyplot: slower to import, and looks for a display

    folder.mkdir(parents=True, exist_ok=True)
    has_tokens = found.all.lengths.longest > 0
    pictures: dict[str, Callable] = {}
    if has_tokens:
        pictures["lengths"] = functools.partial(_lengths, lengths=found.all.lengths, name=name, cutoff_len=cutoff_len)

    for grouping, groups in found.by.items():
        if len(groups) < 2 or grouping == "format":
            continue  # one bar says nothing

        rows = {value: group.rows for value, group in groups.items()}
        tokens = {value: group.lengths.tokens for value, group in groups.items()}
        pictures[f"rows_by_{grouping}"] = functools.partial(
            _bars, values=rows, title=f"{name}: rows by {grouping}", unit="rows"
        )
        if has_tokens:
            pictures[f"tokens_by_{grouping}"] = functools.partial(
                _bars, values=tokens, title=f"{name}: tokens by {grouping}", unit="tokens"
            )
            pictures[f"length_by_{grouping}"] = functools.partial(
                _ranges, groups=groups, title=f"{name}: length of a row by {grouping}", cutoff_len=cutoff_len
            )

    if len(found.images_per_row) > 1:
        pictures["images_per_row"] = functools.partial(_images, found=found, name=name)

    paths = []
    with matplotlib.rc_context({"font.size": 11, "axes.spines.top": False, "axes.spines.right": False}):
        for file, draw in pictures.items():
            figure = Figure(figsize=(9, 5), layout="constrained")
            draw(figure.add_subplot())
            path = folder / f"{file}.png"
            figure.savefig(path, dpi=120)
            paths.append(path)

    return paths


def _lengths(axes, lengths: Lengths, name: str, cutoff_len: int | None) -> None:
    """Draw how many rows have which length, and the cutoff."""
    values = np.array(sorted(lengths.rows_of), dtype=float)
    rows = np.array([lengths.rows_of[int(value)] for value in values])
    width = (lengths.longest + 1) / 50
    if cutoff_len:
        width = cutoff_len / max(1, round(cutoff_len / width))  # so that no bar stands on both sides of the cutoff

    edges = np.arange(0, lengths.longest + 1 + width, width)
    counts, _ = np.histogram(values, bins=edges, weights=rows)
    beyond = edges[:-1] > (cutoff_len or np.inf) - width / 2
    axes.bar(
        edges[:-1],
        counts,
        width=np.diff(edges),
        align="edge",
        color=np.where(beyond, ORANGE, BLUE),
        edgecolor="white",
        linewidth=0.4,
    )
    axes.set_title(f"{_short(name)}: length of {lengths.rows:,} rows", loc="left")
    axes.set_xlabel("length of a row in tokens (question, images and response)")
    axes.set_ylabel("rows")
    axes.set_xlim(0, max(edges[-1], (cutoff_len or 0) * 1.02))
    top = counts.max() * 1.18
    axes.set_ylim(0, top)
    median = lengths.quantile(0.5)
    axes.axvline(median, color=GREY, linestyle=":", linewidth=1.5)
    axes.text(median, top, f" median {median:,}", color=GREY, va="top", bbox=BEHIND)
    if cutoff_len:
        number, tokens, _ = lengths.beyond(cutoff_len)
        share = (
            f"{number:,} rows ({number / lengths.rows:.1%}),\n{tokens / lengths.tokens:.1%} of the tokens, are longer"
        )
        axes.axvline(cutoff_len, color=ORANGE, linewidth=1.5)
        is_right = cutoff_len > axes.get_xlim()[1] * 0.6
        axes.text(
            cutoff_len, top * 0.93, f" cutoff_len {cutoff_len:,} \n " + share.replace("\n", " \n ") + " ",
            color=ORANGE, va="top", ha="right" if is_right else "left", bbox=BEHIND,
        )  # fmt: skip

    _thousands(axes.xaxis)
    _thousands(axes.yaxis)


def _bars(axes, values: Mapping[str, int], title: str, unit: str) -> None:
    """Draw a bar a value, the largest on top, each with its number and share."""
    shown = _largest(values)
    total = sum(values.values())
    places = max(len(shown), 4) - 1 - np.arange(len(shown))
    axes.barh(places, list(shown.values()), color=BLUE, height=0.7)
    axes.set_ylim(-0.7, max(len(shown), 4) - 0.3)
    axes.set_yticks(places, [_short(name) for name in shown])
    axes.set_title(_short(title), loc="left")
    axes.set_xlabel(unit)
    axes.set_xlim(0, max(shown.values()) * 1.22)
    for place, value in zip(places, shown.values(), strict=True):
        axes.text(value, place, f"  {value:,}  ({value / total:.1%})", va="center", color=GREY)

    _thousands(axes.xaxis)


def _largest(values: Mapping[str, int]) -> dict[str, int]:
    ordered = dict(sorted(values.items(), key=lambda pair: -pair[1]))
    if len(ordered) <= MOST_BARS:
        return ordered

    names = list(ordered)
    rest = sum(ordered[name] for name in names[MOST_BARS - 1 :])
    return {name: ordered[name] for name in names[: MOST_BARS - 1]} | {
        f"{len(names) - MOST_BARS + 1} further ones": rest
    }


def _ranges(axes, groups: Mapping[str, Tally], title: str, cutoff_len: int | None) -> None:
    """Draw from the 5th to the 95th percentile of the lengths of each group, with the median."""
    names = list(groups)[:MOST_BARS]
    places = np.arange(len(names))[::-1]
    spans = [[groups[name].lengths.quantile(share) for share in (0.05, 0.5, 0.95)] for name in names]
    low, median, high = map(np.array, zip(*spans, strict=True))
    axes.barh(places, high - low, left=low, height=0.5, color=BLUE, alpha=0.35, label="5th to 95th percentile")
    axes.plot(median, places, "o", color=BLUE, label="median")
    axes.set_yticks(places, [f"{_short(name)} ({groups[name].rows:,})" for name in names])
    axes.set_ylim(-0.7, len(names) - 0.3)
    axes.set_title(_short(title) + (f" (the {MOST_BARS} largest)" if len(groups) > MOST_BARS else ""), loc="left")
    axes.set_xlabel("length of a row in tokens (number of rows in brackets)")
    axes.set_xlim(0, max(high.max() * 1.08, (cutoff_len or 0) * 1.02))
    if cutoff_len:
        axes.axvline(cutoff_len, color=ORANGE, linewidth=1.5, label=f"cutoff_len {cutoff_len:,}")

    axes.legend(frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.13), ncols=3)
    _thousands(axes.xaxis)


def _images(axes, found: Statistics, name: str) -> None:
    """Draw how many rows have how many images."""
    values = {str(images): rows for images, rows in sorted(found.images_per_row.items())}
    places = np.arange(len(values))
    axes.bar(places, list(values.values()), color=BLUE, width=0.7)
    axes.set_xticks(places, list(values))
    axes.set_title(f"{_short(name)}: {found.all.images:,} images in {found.all.rows:,} rows", loc="left")
    axes.set_xlabel("images in a row")
    axes.set_ylabel("rows")
    axes.set_ylim(0, max(values.values()) * 1.12)
    for place, rows in zip(places, values.values(), strict=True):
        axes.text(place, rows, f"{rows:,}", ha="center", va="bottom", color=GREY)

    _thousands(axes.yaxis)


def _thousands(axis) -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    is_large = axis.get_view_interval()[1] >= 3e6
    axis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    axis.set_major_formatter(
        FuncFormatter(lambda value, _: f"{value / 1e6:,g} M" if is_large and value else f"{value:,.0f}")
    )


def _short(text: str, most: int = 60) -> str:
    """Return a text from a dataset as a label: on one line, not too long, and with no mathematics in it."""
    text = " ".join(text.split())
    return (text if len(text) <= most else f"{text[: most - 3]}...").replace("$", r"\$")
