"""Statistics: exact quantiles, shares beyond the cutoff, groups that cannot fill the memory."""

import math
import statistics
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from virgo_factory.data.rows.worker import RowRecord
from virgo_factory.data.show.plots import write_plots
from virgo_factory.data.show.stats import MOST_VALUES, NONE, OTHER, Lengths, histogram, measure_statistics, to_json


def record(number: int, tokens: int = 100, **more):
    counts = {"tokens": tokens, "prompt_tokens": tokens // 4, "response_tokens": tokens - tokens // 4}
    values = {"part": 0, "domain": "math", "origin": "ours", "format": "four_markers", **counts, **more}
    return RowRecord(0, line=0, number=number, **values)


@given(st.lists(st.integers(1, 500), min_size=1, max_size=300), st.integers(1, 500))
def test_lengths_are_those_of_the_sorted_list(values, limit):
    lengths = Lengths(Counter(values))
    ordered = sorted(values)
    for share in (0.05, 0.5, 0.95, 1.0):
        assert lengths.quantile(share) == ordered[math.ceil(share * len(ordered)) - 1]

    assert lengths.mean == pytest.approx(statistics.fmean(values))
    assert (lengths.rows, lengths.tokens, lengths.longest) == (len(values), sum(values), max(values))
    longer = [value for value in values if value > limit]
    assert lengths.beyond(limit) == (len(longer), sum(longer), sum(value - limit for value in longer))
    bins = histogram(lengths)
    assert sum(rows for _, _, rows in bins) == len(values)
    assert all(rows == sum(start <= value <= stop for value in values) for start, stop, rows in bins)


def test_groups_and_account():
    records = [
        record(0),
        record(1, 300, domain="code", images=2, image_tokens=50),
        record(2, 50, domain=None),
        record(3, reason="no end of thought"),
        record(4, 10),
        record(4, 20, part=1, domain="code"),
    ]
    found = measure_statistics(records)
    told = to_json(found, 60)
    assert (told["rows_in"], told["examples_in"], told["kept"]) == (5, 6, 5)
    assert told["dropped"] == {"no end of thought": 1}
    assert {name: group["rows"] for name, group in told["by"]["domain"].items()} == {"code": 2, "math": 2, NONE: 1}
    code = told["by"]["domain"]["code"]
    assert (code["tokens"], code["images"], code["image_tokens"]) == (320, 2, 50)
    assert told["all"]["tokens"] == 480 and told["all"]["median"] == 50 and told["all"]["max"] == 300
    assert told["all"]["rows_beyond_cutoff"] == 2 and told["all"]["tokens_behind_cutoff"] == 40 + 240
    assert told["images_per_row"] == {"0": 4, "2": 1}


def test_several_datasets_are_counted_apart():
    records = [record(0), record(0, 50, source=1), record(1, 30, source=1)]
    found = measure_statistics(records, ["a", "b"])
    assert {name: group.lengths.tokens for name, group in found.by["dataset"].items()} == {"b": 80, "a": 100}
    assert list(found.by) == ["dataset", "domain", "source", "format"]
    assert list(measure_statistics(records[:1], ["a"]).by) == ["domain", "source", "format"]


def test_a_column_of_ids_called_domain_does_not_fill_the_memory():
    found = measure_statistics(record(number, domain=f"d{number}") for number in range(1000))
    assert len(found.by["domain"]) == MOST_VALUES + 1
    assert found.by["domain"][OTHER].rows == 1000 - MOST_VALUES


def test_no_usable_row(tmp_path):
    found = measure_statistics([record(0, reason="x")])
    assert to_json(found, 10)["all"]["mean"] == 0 and histogram(found.all.lengths) == []
    assert write_plots(found, tmp_path / "plots", "nothing", 10) == []


@pytest.mark.slow
def test_pictures_show_what_is_there(tmp_path):
    """That they are readable has been looked at; here, that each is drawn, with names that are hostile to matplotlib."""
    from PIL import Image

    records = [
        record(number, 10 + number * 7, domain=f"$\\frac{{{number % 20}}} ^_{'x' * 80}", images=number % 3)
        for number in range(200)
    ]
    names = [path.name for path in write_plots(measure_statistics(records), tmp_path, "a $ set", 900)]
    by_domain = [f"{what}_by_domain.png" for what in ("rows", "tokens", "length")]
    assert names == ["lengths.png", *by_domain, "images_per_row.png"]
    for name in names:
        with Image.open(tmp_path / name) as picture:
            assert picture.size == (1080, 600) and len(picture.convert("L").getcolors()) > 20
