"""The normal form: read back as it was, readable by `datasets`, in any order, never half written."""

import json
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from virgo_factory.core.example import Example, Turn
from virgo_factory.core.thought import LongThought
from virgo_factory.data.make import writing
from virgo_factory.data.make.writing import normal_row, partial_of, published, spooled, write_rows, write_spool
from virgo_factory.formats import Options, read_row
from virgo_factory.formats.row import RejectedRow


FULL = Example(
    id="a-1",
    question="What is <image>\n1 + 1?",
    response=LongThought("One and one.\nWait, two.", "It is \\boxed{2}. \u2028 \U0001f600"),
    images=("pictures/one.png",),
    history=(Turn("And 1?", LongThought("Itself.", "1")),),
    system="Be brief.",
    answer="2",
    source="ours",
    domain="math",
)
MASKED = [
    replace(FULL, history=(*FULL.history, Turn("And 3?", "It is 4.", learned=False))),
    replace(FULL, learned=False),
    replace(FULL, response="It is 4.", learned=False),
]
PLAIN = Example("2", "Why?", LongThought("Because.", "So."))


def _read_back(path: Path, options: Options = Options()) -> list[Example]:
    if path.suffix == ".parquet":
        rows = pq.read_table(path).to_pylist()
    else:
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n")[:-1]]

    return [read_row(row, "long_thought", options).parts[0] for row in rows]


@pytest.mark.parametrize("suffix", writing.SUFFIXES)
def test_examples_are_read_back_as_they_were(tmp_path, suffix):
    path = tmp_path / f"rows{suffix}"
    assert write_rows(path, iter([FULL, PLAIN])) == 2
    full, plain = _read_back(path)
    assert replace(full, format=None) == FULL
    assert replace(plain, format=None, source=None) == PLAIN
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("suffix", writing.SUFFIXES)
def test_what_is_not_learned_is_read_back_as_that(tmp_path, suffix):
    path = tmp_path / f"rows{suffix}"
    write_rows(path, [FULL, *MASKED])
    assert [replace(example, format=None) for example in _read_back(path)] == [FULL, *MASKED]
    assert all("loss" not in normal_row(example) for example in (FULL, PLAIN))
    assert [normal_row(example)["loss"] for example in MASKED] == [[True, False, True], [True, False], [True, False]]


@pytest.mark.parametrize("suffix", writing.SUFFIXES)
def test_preference_pairs_are_read_back(tmp_path, suffix):
    path = tmp_path / f"pairs{suffix}"
    pair = replace(PLAIN, rejected=LongThought("No.", "Wrong."), source="ours")
    write_rows(path, [pair])
    (read,) = _read_back(path, Options(ranking=True))
    assert replace(read, format=None) == pair


def test_a_context_prefix_is_kept_letter_by_letter(tmp_path):
    prefix = PLAIN.response.render()[:25]
    write_rows(tmp_path / "a.jsonl", [replace(PLAIN, assistant_prefix=prefix)])
    assert _read_back(tmp_path / "a.jsonl")[0].assistant_prefix == prefix


def test_every_row_has_the_same_columns_and_only_columns_that_are_used(tmp_path):
    path = tmp_path / "rows.jsonl"
    write_rows(path, [PLAIN, FULL, PLAIN])
    columns = [list(json.loads(line)) for line in path.read_text(encoding="utf-8").split("\n")[:-1]]
    assert columns == [[*writing.ALWAYS, "system", "history"]] * 3
    write_rows(path, [PLAIN], overwrite=True)
    assert list(json.loads(path.read_text())) == list(writing.ALWAYS)


@pytest.mark.slow
def test_datasets_reads_a_file_whose_first_10_mib_lack_a_column(tmp_path, monkeypatch):
    """`load_dataset` takes types from the first 10 MiB; the row that is first to use a column is put in front."""
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    long = replace(PLAIN, response=LongThought("x" * 100_000, "So."))
    rows = [replace(long, id=str(number)) for number in range(120)] + [replace(FULL, history=())]
    path = tmp_path / "rows.jsonl"
    write_rows(path, rows)
    assert path.stat().st_size > 11 << 20
    table = datasets.load_dataset("json", data_files=str(path), split="train", cache_dir=str(tmp_path / "cache"))
    assert table["id"] == ["a-1", *map(str, range(120))]
    assert table[0]["images"] == ["pictures/one.png"] and table[5]["images"] == [] and table[5]["domain"] is None

    write_rows(tmp_path / "rows.parquet", rows)
    assert [example.id for example in _read_back(tmp_path / "rows.parquet")] == [*map(str, range(120)), "a-1"]


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(order=st.permutations(range(7)), count=st.integers(1, 7), suffix=st.sampled_from(writing.SUFFIXES))
def test_any_order_of_any_rows(tmp_path, order, count, suffix):
    examples = [replace(FULL if number % 3 else PLAIN, id=str(number), source="ours") for number in range(7)]
    path = tmp_path / f"rows{suffix}"
    with spooled(path, map(normal_row, examples)) as spool, published([path]):
        written = write_spool(spool, path, order[:count])

    read = [replace(example, format=None) for example in _read_back(path)]
    assert read == [examples[number] for number in order[:count]]
    assert (written.rows, written.bytes, written.promoted) == (count, path.stat().st_size, 0)


def test_a_failure_leaves_nothing_and_what_a_killed_run_left_is_replaced(tmp_path):
    path = tmp_path / "rows.jsonl"

    def broken():
        yield PLAIN
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="gone"):
        write_rows(path, broken())

    assert list(tmp_path.iterdir()) == []
    partial_of(path).write_text("half a row")
    (tmp_path / ".rows.jsonl.spool").write_text("half a row")
    assert write_rows(path, [PLAIN]) == 1
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("name", "words"),
    [("rows.json", "ends with .jsonl or .parquet"), ("there.jsonl", "--overwrite"), ("folder.jsonl", "is a folder")],
)
def test_targets_that_cannot_be(tmp_path, name, words):
    (tmp_path / "there.jsonl").write_text("kept")
    (tmp_path / "folder.jsonl").mkdir()
    with pytest.raises(ValueError, match=words):
        write_rows(tmp_path / name, [PLAIN])

    assert (tmp_path / "there.jsonl").read_text() == "kept"


@pytest.mark.parametrize("suffix", writing.SUFFIXES)
def test_no_examples_are_an_empty_file(tmp_path, suffix):
    assert write_rows(tmp_path / f"none{suffix}", []) == 0
    assert _read_back(tmp_path / f"none{suffix}") == []


def test_a_text_that_is_no_long_thought_has_no_place():
    with pytest.raises(RejectedRow, match="not a long thought"):
        normal_row(replace(PLAIN, response="just text"))
