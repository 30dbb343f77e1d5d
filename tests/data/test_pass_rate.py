"""Prompts by pass rate: from a column that a set brings, and from the verdicts of a distillation."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.data.conftest import write
from virgo_factory.data.make.pass_rate import read_rates, slice_source
from virgo_factory.data.read.source import find_sources


ROWS = [
    {"id": "never", "question": "1 + 1?", "gold": "2", "avg_reward": 0.0},
    {"id": "hard", "question": "2 + 2?", "gold": "4", "avg_reward": 0.1},
    {"id": "half", "question": "3 + 3?", "gold": "6", "avg_reward": 0.5},
    {"id": "always", "question": "4 + 4?", "gold": "8", "avg_reward": 1.0},
    {"id": "unknown", "question": "5 + 5?", "gold": "10", "avg_reward": None},
    {"id": "no share", "question": "6 + 6?", "gold": "12", "avg_reward": 12.5},
]


@pytest.mark.parametrize(
    ("bounds", "ids"), [("0.1:0.9", ["hard", "half"]), (":0.4", ["never", "hard"]), ("1:", ["always"])]
)
@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_rows_within_bounds_stay_as_they_are(tmp_path, bounds, ids, suffix):
    path, out = tmp_path / f"rows{suffix}", tmp_path / "out" / f"some{suffix}"
    if suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in ROWS) + "{broken\n")
    else:
        pq.write_table(pa.Table.from_pylist(ROWS), path, row_group_size=2)

    (source,), _ = find_sources(str(path), formatting="questions")
    card = slice_source(source, out, read_rates(bounds), "command", False)
    kept = (
        [json.loads(line) for line in out.read_text().splitlines()]
        if suffix == ".jsonl"
        else pq.read_table(out).to_pylist()
    )
    assert kept == [row for row in ROWS if row["id"] in ids]
    assert card["rows_in"] == card["kept"] + sum(card["dropped"].values()) == len(ROWS) + (suffix == ".jsonl")
    assert card["dropped"]["no pass rate"] == card["dropped"]["avg_reward is not a share from 0 to 1"] == 1
    assert card["rates"] == {"mean": 0.4, "never right": 1, "always right": 1}
    assert card["entry"]["some"] == {"file_name": out.name, "formatting": "questions"}
    (again,), _ = (
        find_sources("some", out.parent)
        if (out.parent / "dataset_info.json").write_text(json.dumps(card["entry"]))
        else None
    )
    assert again.formatting == "questions"


@pytest.mark.parametrize("text", ["", ":", "0.5", "0.9:0.1", "-1:1", "0:2", "a:b", "0.1:0.2:0.3"])
def test_what_are_no_bounds_is_told(text):
    with pytest.raises(ValueError, match="write LOW:HIGH"):
        read_rates(text)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["rows.jsonl", "out.parquet", "--pass-rate", "0:1"], "the rows of rows stay as they are, in a .jsonl file"),
        (["rows.jsonl", "out.jsonl", "--pass-rate", "0.6:0.7"], "none of 6 rows has a pass rate within the bounds"),
        (["rows.jsonl", "out.jsonl", "--pass-rate", "0:1", "--rows", "2"], "--pass-rate: not with --rows"),
        (["rows.jsonl", "rows.jsonl", "--pass-rate", "0:1", "--overwrite"], "is an input as well"),
    ],
)
def test_bad_input(tmp_path, call, arguments, message):
    write(tmp_path / "rows.jsonl", ROWS)
    code, _, err = call("data", "slice", *arguments)
    assert code and message in " ".join(err.split())
    assert not (tmp_path / "out.jsonl").exists()


def test_half_a_surrogate_pair_stays_and_the_note_is_of_the_rows_with_a_rate(tmp_path, call):
    half = {"id": "half", "question": "What \ud83d is it?", "gold": "\ud83d", "pass_rate": 0.5}
    others = [{"id": rate, "question": "1 + 1?", "gold": "2", "pass_rate": rate} for rate in ("50%", 50, "3/8")]
    write(tmp_path / "rows.jsonl", [half, *others])
    code, out, err = call("data", "slice", "rows.jsonl", "out.jsonl", "--pass-rate", ":0.6")
    assert code == 0, err
    assert [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()] == [half]
    assert "3  pass_rate is not a share from 0 to 1" in out and "Of the rows with a pass rate: right 50%" in out
