"""The statistics as pictures."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from virgo_factory.data.show.stats import Statistics
from virgo_factory.report.plots import MOST_BARS, bars, columns, draw, lengths, spans
from virgo_factory.report.text import one_line


def write_plots(found: Statistics, folder: Path, name: str, cutoff_len: int | None) -> list[Path]:
    """Write the pictures that the statistics give and return their paths, in the order in which to look at them.

    Pictures of the same names are replaced.
    """
    if not found.all.rows:
        return []

    folder.mkdir(parents=True, exist_ok=True)
    name, paths = one_line(name), []
    has_tokens = found.all.lengths.longest > 0
    limit = {"limit": cutoff_len, "limit_name": "cutoff_len"}

    def write(file: str, plot: Callable[..., None], title: str, **more: Any) -> None:
        paths.append(folder / f"{file}.png")
        paths[-1].write_bytes(draw(plot, title=f"{name}: {title}", **more))

    if has_tokens:
        what = "length of a row in tokens (question, images and response)"
        title = f"length of {found.all.rows:,} rows"
        write("lengths", lengths, title, rows_of=found.all.lengths.rows_of, x=what, y="rows", **limit)

    for grouping, groups in found.by.items():
        if len(groups) < 2 or grouping == "format":
            continue  # one bar says nothing

        rows = {value: group.rows for value, group in groups.items()}
        write(f"rows_by_{grouping}", bars, f"rows by {grouping}", values=rows, unit="rows")
        if has_tokens:
            tokens = {value: group.lengths.tokens for value, group in groups.items()}
            write(f"tokens_by_{grouping}", bars, f"tokens by {grouping}", values=tokens, unit="tokens")
            names = [f"{one_line(value)} ({group.rows:,})" for value, group in groups.items()]
            shown = [map(group.lengths.quantile, (0.05, 0.5, 0.95)) for group in list(groups.values())[:MOST_BARS]]
            write(
                *(f"length_by_{grouping}", spans, f"length of a row by {grouping}"),
                rows=[(name, *quantiles) for name, quantiles in zip(names, shown, strict=False)],
                x="length of a row in tokens (number of rows in brackets)", point="median", span="5th to 95th percentile",
                left_out=len(names) - len(shown), **limit,
            )  # fmt: skip

    if len(found.images_per_row) > 1:
        title = f"{found.all.images:,} images in {found.all.rows:,} rows"
        counts = dict(sorted(found.images_per_row.items()))
        write("images_per_row", columns, title, values=counts, x="images in a row", y="rows")

    return paths
