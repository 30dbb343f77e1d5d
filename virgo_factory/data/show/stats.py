"""Rows, tokens and images of a dataset: by domain, source and format, and how long its rows are."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np


GROUPINGS = ("dataset", "domain", "source", "format")
MOST_VALUES = 200
"""So many domains (sources, formats) are counted one by one, further ones together: names come from the data."""
OTHER = "(further ones)"
NONE = "(none)"


@dataclass
class Lengths:
    """The lengths of some rows in tokens: how many rows have each. Grows with the longest row, not with rows."""

    rows_of: Counter = field(default_factory=Counter)

    @property
    def rows(self) -> int:
        return self.rows_of.total()

    @property
    def tokens(self) -> int:
        return sum(length * rows for length, rows in self.rows_of.items())

    @property
    def longest(self) -> int:
        return max(self.rows_of, default=0)

    @property
    def mean(self) -> float:
        return self.tokens / self.rows if self.rows_of else 0.0

    def quantile(self, share: float) -> int:
        """Return the smallest length that at least `share` of the rows do not exceed (nearest rank)."""
        lengths = sorted(self.rows_of)
        if not lengths:
            return 0

        reached = np.cumsum([self.rows_of[length] for length in lengths])
        return lengths[int(np.searchsorted(reached, np.ceil(share * reached[-1] - 1e-9)))]

    def beyond(self, limit: int) -> tuple[int, int, int]:
        """Return rows longer than `limit`, all tokens of these rows, and their tokens behind the limit."""
        longer = {length: rows for length, rows in self.rows_of.items() if length > limit}
        rows = sum(longer.values())
        tokens = sum(length * rows for length, rows in longer.items())
        return rows, tokens, tokens - rows * limit


@dataclass
class Tally:
    """What is counted of a group of rows."""

    lengths: Lengths = field(default_factory=Lengths)
    response_tokens: int = 0
    prompt_tokens: int = 0
    image_tokens: int = 0
    images: int = 0

    @property
    def rows(self) -> int:
        return self.lengths.rows


@dataclass
class Statistics:
    """The statistics of one or several datasets."""

    rows_in: int = 0  # rows read
    examples_in: int = 0  # examples and rejected rows that they gave = `all.rows` + what is in `dropped`
    # reason -> how many are not counted further, most frequent first
    dropped: dict[str, int] = field(default_factory=dict)
    all: Tally = field(default_factory=Tally)  # all usable examples
    # grouping -> value -> its examples, most frequent value first
    by: dict[str, dict[str, Tally]] = field(default_factory=dict)
    responses: Lengths = field(default_factory=Lengths)  # lengths of the responses alone
    images_per_row: Counter = field(default_factory=Counter)  # number of images -> examples


def measure_statistics(records: Iterable[Any], names: Sequence[str] = ("",)) -> Statistics:
    """Return the statistics of `measure.RowRecord`s, in one pass and memory that does not grow with rows.

    Records are in file order; several datasets are counted apart as well, by their names.
    """
    found = Statistics(by={grouping: {} for grouping in GROUPINGS if grouping != "dataset" or len(set(names)) > 1})
    dropped: Counter = Counter()
    last = None
    for record in records:
        if (record.source, record.number) != last:
            last = (record.source, record.number)
            found.rows_in += 1

        found.examples_in += 1
        if record.reason:
            dropped[record.reason] += 1
            continue

        found.responses.rows_of[record.response_tokens] += 1
        found.images_per_row[record.images] += 1
        values = {"domain": record.domain, "source": record.origin, "format": record.format}
        if "dataset" in found.by:
            values["dataset"] = names[record.source]

        for tally in (found.all, *(_group(found.by[grouping], value) for grouping, value in values.items())):
            tally.lengths.rows_of[record.tokens] += 1
            tally.prompt_tokens += record.prompt_tokens
            tally.response_tokens += record.response_tokens
            tally.image_tokens += record.image_tokens
            tally.images += record.images

    found.dropped = dict(dropped.most_common())
    for grouping, groups in found.by.items():
        found.by[grouping] = dict(sorted(groups.items(), key=lambda pair: (-pair[1].rows, pair[0])))

    return found


def _group(groups: dict[str, Tally], value: str | None) -> Tally:
    name = NONE if value is None else value
    if name not in groups and len(groups) >= MOST_VALUES:
        name = OTHER

    return groups.setdefault(name, Tally())


def histogram(lengths: Lengths, bins: int = 12) -> list[tuple[int, int, int]]:
    """Return (from, to, rows) for about `bins` equally wide ranges of length, both ends included.

    The width is 1, 2, 2.5 or 5 times a power of ten, so that a person can read the ends.
    """
    longest = lengths.longest
    if not longest:
        return []

    width = _round_width(longest / bins)
    edges = range(0, longest + 1, width)
    rows = Counter()
    for length, count in lengths.rows_of.items():
        rows[length // width] += count

    return [(start, start + width - 1, rows[place]) for place, start in enumerate(edges)]


def _round_width(width: float) -> int:
    power = 10 ** int(np.floor(np.log10(max(width, 1))))
    return max(1, int(next(step * power for step in (1, 2, 2.5, 5, 10) if step * power >= width)))


def to_json(found: Statistics, cutoff_len: int | None) -> dict[str, Any]:
    def lengths(values: Lengths) -> dict[str, Any]:
        told = {
            "rows": values.rows,
            "tokens": values.tokens,
            "mean": round(values.mean, 1),
            "median": values.quantile(0.5),
            "p95": values.quantile(0.95),
            "max": values.longest,
        }
        if cutoff_len:
            rows, tokens, behind = values.beyond(cutoff_len)
            told |= {"rows_beyond_cutoff": rows, "tokens_of_these": tokens, "tokens_behind_cutoff": behind}

        return told

    def tally(values: Tally) -> dict[str, Any]:
        return {
            **lengths(values.lengths),
            "prompt_tokens": values.prompt_tokens,
            "response_tokens": values.response_tokens,
            "image_tokens": values.image_tokens,
            "images": values.images,
        }

    return {
        "rows_in": found.rows_in,
        "examples_in": found.examples_in,
        "kept": found.all.rows,
        "dropped": found.dropped,
        "cutoff_len": cutoff_len,
        "all": tally(found.all),
        "responses": {
            name: value
            for name, value in lengths(found.responses).items()
            if "cutoff" not in name and name != "tokens_of_these"
        },
        "images_per_row": {str(images): rows for images, rows in sorted(found.images_per_row.items())},
        "histogram": [{"from": start, "to": stop, "rows": rows} for start, stop, rows in histogram(found.all.lengths)],
        "by": {
            grouping: {name: tally(group) for name, group in groups.items()} for grouping, groups in found.by.items()
        },
    }
