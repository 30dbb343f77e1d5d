"""The statistics as pictures."""

from functools import partial
from pathlib import Path

from virgo_factory.data.show.stats import Statistics
from virgo_factory.report.plots import bars, columns, draw, lengths, spans
from virgo_factory.report.text import one_line


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

    name, plots = one_line(name), {}
    has_tokens = found.all.lengths.longest > 0
    limit = {"limit": cutoff_len, "limit_name": f"cutoff_len {cutoff_len or 0:,}"}
    if has_tokens:
        title, what = (
            f"{name}: length of {found.all.rows:,} rows",
            "length of a row in tokens (question, images and response)",
        )
        plots["lengths"] = partial(
            lengths,
            rows_of=found.all.lengths.rows_of,
            title=title,
            x=what,
            y="rows",
            limit=cutoff_len,
            name="cutoff_len",
        )

    for grouping, groups in found.by.items():
        if len(groups) < 2 or grouping == "format":
            continue  # one bar says nothing

        rows = {value: group.rows for value, group in groups.items()}
        plots[f"rows_by_{grouping}"] = partial(bars, values=rows, title=f"{name}: rows by {grouping}", unit="rows")
        if has_tokens:
            tokens = {value: group.lengths.tokens for value, group in groups.items()}
            title = f"{name}: tokens by {grouping}"
            plots[f"tokens_by_{grouping}"] = partial(bars, values=tokens, title=title, unit="tokens")
            spans_of = {
                f"{one_line(value)} ({group.rows:,})": tuple(map(group.lengths.quantile, (0.05, 0.5, 0.95)))
                for value, group in groups.items()
            }
            plots[f"length_by_{grouping}"] = partial(
                spans, spans_of=spans_of, title=f"{name}: length of a row by {grouping}", point="median",
                x="length of a row in tokens (number of rows in brackets)", span="5th to 95th percentile", **limit,
            )  # fmt: skip

    if len(found.images_per_row) > 1:
        title = f"{name}: {found.all.images:,} images in {found.all.rows:,} rows"
        counts = dict(sorted(found.images_per_row.items()))
        plots["images_per_row"] = partial(columns, values=counts, title=title, x="images in a row", y="rows")

    folder.mkdir(parents=True, exist_ok=True)
    for file, plot in plots.items():
        (folder / f"{file}.png").write_bytes(draw(plot))

    return [folder / f"{file}.png" for file in plots]
