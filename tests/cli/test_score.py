"""`virgo-factory score`: verdict rows, counts, comparison with labels, errors that say what to do."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.jsonl import write_jsonl


ROWS = [
    {"id": 1, "gold": "1/2", "response": "<think>3</think>\\boxed{0.5}", "label": True},
    {"id": 2, "gold": "7", "response": "The answer is 8.", "label": False},
    {"id": 3, "gold": "7", "response": "The answer is 8.", "label": True},
    {"id": 4, "gold": "7", "response": "The answer is 7.", "label": "wrong"},
    {"id": 5, "gold": None, "response": "The answer is 7.", "label": 1},
]


@pytest.fixture
def score(call):
    """Score a file's columns with one worker; returns exit code, what is printed on one line, and the verdict rows."""

    def scored(path, *arguments, gold="gold", response="response"):
        code, out, error = call("score", path, "--gold", gold, "--response", response, *arguments, "--workers", 1)
        written = path.with_name(f"{path.stem}.verdicts.jsonl")
        lines = written.read_text().splitlines() if code == 0 else ()
        return code, " ".join((out + error).split()), [json.loads(line) for line in lines]

    return scored


@pytest.fixture
def rows(tmp_path):
    return write_jsonl(tmp_path / "rollouts.jsonl", ROWS)


@pytest.mark.slow
def test_a_verdict_stands_beside_every_row(score, rows):
    code, out, written = score(rows, "--against", "label")
    assert code == 0, out
    assert [row["verdict"] for row in written] == ["correct", "wrong", "wrong", "correct", "unverifiable"]
    assert [{name: row[name] for name in ROWS[0]} for row in written] == ROWS
    assert written[0]["verdict_answer"] == "0.5" and written[0]["verdict_where"] == "solution"
    assert "Agreement with label: 2/5 = 0.4000, false positives 1, false negatives 1, unverifiable 1" in out
    assert "the label says wrong: line 4" in out
    assert "the label says correct: line 3" in out
    assert not list(rows.parent.glob(".*.partial"))


@pytest.mark.slow
def test_options_lists_of_responses_and_other_formats(score, tmp_path):
    path = tmp_path / "choices.json"
    row = {"gold": "B", "options": "['red', 'blue']", "q": "Which?"}
    path.write_text(json.dumps([row | {"all": ["(B)", "red", "blue"], "ok": [True, False, False]}]), encoding="utf-8")
    _, out, written = score(path, "--options", "options", "--question", "q", "--against", "ok", response="all")
    verdicts = [(row["verdict"], row["verdict_sample"]) for row in written]
    assert verdicts == [("correct", 0), ("wrong", 1), ("correct", 2)], out
    assert "line 1, response 2" in out

    table = tmp_path / "table.csv"
    table.write_text('gold,response\n5,"It is 5, I think."\n', encoding="utf-8")
    assert score(table, "--kind", "number")[2][0]["verdict"] == "correct"

    pq.write_table(pa.table({"gold": ["5", "6"], "response": ["It is 5.", "It is 5."]}), tmp_path / "columns.parquet")
    _, _, written = score(tmp_path / "columns.parquet", "--against", "gold")
    assert [row["verdict"] for row in written] == ["correct", "wrong"]

    keyed = tmp_path / "keyed.json"  # as MathVista's own scripts write their outputs
    rows = {key: {"gold": "5", "response": response, "ok": True} for key, response in (("16", "5"), ("17", "6"))}
    keyed.write_text(json.dumps(rows, indent=1), encoding="utf-8")
    code, out, written = score(keyed, "--against", "ok")
    assert code == 0 and "line 7" in out and [row["id"] for row in written] == ["16", "17"]


@pytest.mark.slow
def test_every_row_is_judged_whatever_it_holds(score, tmp_path):
    text = (
        '{"gold":"4","response":["4"]}\n{"gold":"4","response":[]}\n{"gold":"4","response":"\\\\boxed{4} \\ud83d"}\n'
    )
    path = tmp_path / "odd.jsonl"
    path.write_text(text, encoding="utf-8")
    _, out, written = score(path)
    assert [(row["verdict"], row["verdict_reason"]) for row in written] == [
        ("correct", "same_text"), ("wrong", "no_answer"), ("correct", "same_text")
    ], out  # fmt: skip
    assert "3 rows in" in out and written[2]["response"] == json.loads(text.splitlines()[2])["response"]

    (tmp_path / "none.json").write_text("{}", encoding="utf-8")
    assert score(tmp_path / "none.json")[0] == 1


@pytest.mark.slow
def test_golds_that_cannot_be_checked_are_counted_and_named(score, tmp_path):
    rows = [{"gold": gold, "response": "The answer is 7."} for gold in ("7", "8", "see the figure", "?", None)]
    code, out, written = score(
        write_jsonl(tmp_path / "golds.jsonl", [*rows, *[{"gold": "answers may vary", "response": "7"}] * 30])
    )
    assert code == 0, out
    assert [row["verdict"] for row in written[:5]] == ["correct", "wrong", *["unverifiable"] * 3]
    assert "The gold of 33 rows cannot be checked" in out
    assert "line 3: 'see the figure'" in out and "line 5: 'None'" in out
    assert "and 13 more" in out


@pytest.mark.parametrize(
    ("columns", "arguments", "words"),
    [
        ({"gold": "answer"}, (), "line 1: no column 'answer'. It has: id, gold, response, label"),
        ({}, ("--kind", "maths"), "--kind maths: not one of choice"),
        ({}, ("--grading", "x"), "'x' is not one of math"),
        ({}, ("--judge-url", "http://x"), "go together"),
        ({}, ("--out", "o.csv"), "o.csv: verdict rows are written as .jsonl"),
        ({}, ("--out", "rollouts.jsonl", "--overwrite"), "rollouts.jsonl is an input as well"),
    ],
)
def test_errors_say_what_to_do(score, rows, columns, arguments, words):
    before = rows.read_text()
    code, out, _ = score(rows, *arguments, **columns)
    assert code == 1 and words in out
    assert rows.read_text() == before
    assert not (rows.parent / "rollouts.verdicts.jsonl").exists()


def test_broken_lines_and_existing_files(score, rows):
    rows.write_text('{"gold": "1", "response": "1"}\n{broken\n', encoding="utf-8")
    code, out, _ = score(rows)
    assert code == 1 and "rollouts.jsonl:2: not JSON" in out
    write_jsonl(rows, [{"gold": "1", "response": "1", "verdict": "x"}])
    assert "column 'verdict' already" in score(rows)[1]
    target = rows.parent / "rollouts.verdicts.jsonl"
    target.write_text("kept", encoding="utf-8")
    code, out, _ = score(rows)
    assert code == 1 and "--overwrite" in out and target.read_text() == "kept"
    assert score(rows.parent / "none.jsonl")[:2] == (1, f"virgo-factory: {rows.parent / 'none.jsonl'}: no such file")
    assert "a folder; name a file in it" in score(rows.parent)[1]
