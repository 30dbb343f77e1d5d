"""The row account of real runs: nothing lost silently, whatever the ranks, workers, mixes, splits and caches."""

import json
import re

import pytest

from virgo_factory.core.thought import MARKERS


pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]
BROKEN = {
    "no end of thought": {"question": "q", "combined_text": f"{MARKERS[0]}\n\nendless"},
    "no marker in the response": {"question": "q", "combined_text": "plain"},
    "combined_text is null": {"question": "q", "combined_text": None},
    "combined_text is not text": {"question": "q", "combined_text": 7},
    "no column combined_text": {"question": "q"},
    "control token in the response": {
        "question": "q",
        "combined_text": f"{MARKERS[0]}<|image_pad|>{MARKERS[1]}{MARKERS[2]}x{MARKERS[3]}",
    },
    "<image> and images do not match": {
        "question": "<image>q",
        "combined_text": f"{MARKERS[0]}t{MARKERS[1]}{MARKERS[2]}x{MARKERS[3]}",
    },
}
SHORT = {"max_steps": 1, "global_batch_size": 2}


def _lines(demo_lines: list[str]) -> list[str]:
    """Twelve good rows with the seven broken ones among them."""
    good = sorted(demo_lines, key=len)[:12]
    broken = [json.dumps(row) for row in BROKEN.values()]
    return good[:5] + broken + good[5:]


def _line(log: str, name: str) -> str:
    """Return the line that a run printed of a dataset, when its rows were read and once more at its end."""
    found = re.findall(rf"{name}: \d+ rows in.*", log)
    assert len(found) == 2 and found[0] == found[1], found
    return found[0]


def test_merged_split_ranks_workers_cache_and_tokenized_path(bench, demo_lines):
    """One account in every way to run: 2 ranks, 2 workers, two datasets merged and split, twice, then from disk."""
    bench.add_dataset("mixed", _lines(demo_lines))
    alpaca = [{"instruction": f"Say {i}.", "input": "", "output": str(i)} for i in range(9)] + [
        {"instruction": "Nothing", "input": "", "output": None}
    ]
    path = bench.add_dataset("alpaca_rows", [], formatting="alpaca")
    path.write_text("\n".join(json.dumps(row) for row in alpaca))
    run = SHORT | {
        "dataset": "mixed,alpaca_rows",
        "val_size": 0.2,
        "preprocessing_num_workers": 2,
        "tokenized_path": "tokenized",
        "overwrite_output_dir": True,
    }
    wanted = {"mixed": (19, 12, 7), "alpaca_rows": (10, 9, 1)}
    for ranks, way in ((2, "made"), (0, "from disk")):
        log = bench.train(ranks, stock=True, **run)
        assert _line(log, "mixed").startswith("mixed: 19 rows in, 12 kept ("), way
        accounts = bench.rows_json()
        for name, numbers in wanted.items():
            account = accounts[name]
            assert (account["rows_in"], account["kept"], account["dropped"]) == numbers, way
            assert sum(account["kept_for"].values()) == numbers[1]
            assert len(account["dropped_rows"]) == numbers[2]

        assert accounts["mixed"]["reasons"] == dict.fromkeys(BROKEN, 1)
        assert [row["line"] for row in accounts["mixed"]["dropped_rows"]] == list(range(6, 13))
        assert all(row["file"].endswith("data/mixed.jsonl") for row in accounts["mixed"]["dropped_rows"])

    assert "Loaded tokenized dataset from tokenized" in log
    assert sum(sum(account["kept_for"].values()) for account in accounts.values()) == 21

    log = bench.train(ok=False, **run | {"cutoff_len": 900})
    assert "rows made with other settings" in log
    assert "cutoff_len: 2048 there, 900 now" in log


def test_error_policy_stops_before_the_model_loads(bench, demo_lines):
    """`malformed: error` lists the rows with file and line; nothing of the model has been read by then."""
    bench.add_dataset("mixed", _lines(demo_lines))
    log = bench.train(ok=False, dataset="mixed", malformed="error", model_name_or_path=str(bench.base), **SHORT)
    for number, reason in enumerate(BROKEN, start=6):
        assert re.search(rf"data/mixed\.jsonl:{number}.*: {re.escape(reason)}", log), reason

    assert "loading weights file" not in log


def test_overlong_and_bounds(bench, demo_lines):
    """`cutoff_len` and the response bounds drop whole rows; a cache of other bounds is not reused."""
    lines = sorted(demo_lines, key=len)
    bench.add_dataset("lengths", lines[:6] + lines[-4:])
    bench.train(dataset="lengths", cutoff_len=400, **SHORT)
    account = bench.rows_json()["lengths"]
    assert account["reasons"] == {"overlong > 400 tokens": 4}
    assert account["kept"] == 6
    bench.train(dataset="lengths", cutoff_len=4000, overwrite_output_dir=True, min_response_tokens=400, **SHORT)
    account = bench.rows_json()["lengths"]
    assert account["reasons"] == {"response < 400 tokens": 6}


def test_edited_prompt_is_not_served_from_a_cache(bench):
    """The same recipe with an edited prefix file trains on the edited text."""
    prefix = bench.folder / "own.txt"
    for text in ("First think.", "Now think again."):
        prefix.write_text(text)
        log = bench.train(question_prefix="own.txt", overwrite_output_dir=True, **SHORT)
        assert f"user\n{text}\n" in log


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        (['{"question": "q", "combined_text": null}'] * 3, "No row is kept"),
        ([""], "no rows in the file"),
        (['{"question": "q", "combined_text": "x"}'] * 36 + ['{"question": '], "bad.jsonl:37: not JSON"),
        (['{"text": "only this column"}'], "columns found: text"),
    ],
)
def test_bad_files(bench, rows, says):
    """A file that cannot be trained on ends the run with the place and the reason."""
    bench.add_dataset("bad", rows)
    assert says in bench.train(ok=False, dataset="bad", **SHORT)


def test_malformed_keep_trains_on_the_text_as_it_is(bench, demo_lines):
    """`malformed: keep` keeps an unfinished thought, but never a forged control token."""
    bench.add_dataset("mixed", _lines(demo_lines))
    bench.train(dataset="mixed", malformed="keep", **SHORT)
    account = bench.rows_json()["mixed"]
    assert account["kept"] == 14
    assert "no end of thought" not in account["reasons"]
    assert account["reasons"]["control token in the response"] == 1
