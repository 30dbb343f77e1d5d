"""`virgo-factory score`: verdict rows, counts, comparison with labels, errors that say what to do."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import typer
from typer.testing import CliRunner

from virgo_factory.cli.score import score


app = typer.Typer()
app.command()(score)

ROWS = [
    {"id": 1, "gold": "1/2", "response": "<think>3</think>\\boxed{0.5}", "label": True},
    {"id": 2, "gold": "7", "response": "The answer is 8.", "label": False},
    {"id": 3, "gold": "7", "response": "The answer is 8.", "label": True},
    {"id": 4, "gold": "7", "response": "The answer is 7.", "label": "wrong"},
    {"id": 5, "gold": None, "response": "The answer is 7.", "label": 1},
]


def _run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in (*arguments, "--workers", 1)])


@pytest.fixture
def rows(tmp_path):
    path = tmp_path / "rollouts.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS), encoding="utf-8")
    return path


def test_a_verdict_stands_beside_every_row(rows):
    result = _run(rows, "--gold", "gold", "--response", "response", "--against", "label")
    assert result.exit_code == 0, result.output
    written = [json.loads(line) for line in (rows.parent / "rollouts.verdicts.jsonl").read_text().splitlines()]
    assert [row["verdict"] for row in written] == ["correct", "wrong", "wrong", "correct", "unverifiable"]
    assert [{name: row[name] for name in ROWS[0]} for row in written] == ROWS
    assert written[0]["verdict_answer"] == "0.5" and written[0]["verdict_where"] == "solution"
    assert "Agreement with label: 2/5 = 0.4000, false positives 1, false negatives 1, unverifiable 1" in result.output
    assert "the label says wrong: line 4" in result.output
    assert "the label says correct: line 3" in result.output
    assert not list(rows.parent.glob(".*.partial"))


def test_options_lists_of_responses_and_other_formats(tmp_path):
    path = tmp_path / "choices.json"
    row = {
        "gold": "B",
        "options": "['red', 'blue']",
        "q": "Which?",
        "all": ["(B)", "red", "blue"],
        "ok": [True, False, False],
    }
    path.write_text(json.dumps([row]), encoding="utf-8")
    result = _run(
        path, "--gold", "gold", "--response", "all", "--options", "options", "--question", "q", "--against", "ok"
    )
    assert result.exit_code == 0, result.output
    written = [json.loads(line) for line in (tmp_path / "choices.verdicts.jsonl").read_text().splitlines()]
    assert [(row["verdict"], row["verdict_sample"]) for row in written] == [
        ("correct", 0),
        ("wrong", 1),
        ("correct", 2),
    ]
    assert "line 1, response 2" in result.output

    table = tmp_path / "table.csv"
    table.write_text('gold,response\n5,"It is 5, I think."\n', encoding="utf-8")
    assert _run(table, "--gold", "gold", "--response", "response", "--kind", "number").exit_code == 0
    assert json.loads((tmp_path / "table.verdicts.jsonl").read_text())["verdict"] == "correct"

    pq.write_table(pa.table({"gold": ["5", "6"], "response": ["It is 5.", "It is 5."]}), tmp_path / "columns.parquet")
    result = _run(tmp_path / "columns.parquet", "--gold", "gold", "--response", "response", "--against", "gold")
    assert [json.loads(line)["verdict"] for line in (tmp_path / "columns.verdicts.jsonl").open()] == [
        "correct",
        "wrong",
    ]

    keyed = tmp_path / "keyed.json"  # as MathVista's own scripts write their outputs
    keyed.write_text(json.dumps({"17": {"gold": "5", "response": "6", "ok": True}}, indent=1), encoding="utf-8")
    result = _run(keyed, "--gold", "gold", "--response", "response", "--against", "ok")
    assert result.exit_code == 0 and "row 17" in result.output, result.output


def test_golds_that_cannot_be_checked_are_counted_and_named(tmp_path):
    path = tmp_path / "golds.jsonl"
    rows = [{"gold": gold, "response": "The answer is 7."} for gold in ("7", "8", "see the figure", "?", None)]
    rows += [{"gold": "answers may vary", "response": "7"}] * 30
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    result = _run(path, "--gold", "gold", "--response", "response")
    assert result.exit_code == 0, result.output
    written = [json.loads(line) for line in (tmp_path / "golds.verdicts.jsonl").read_text().splitlines()]
    assert [row["verdict"] for row in written[:5]] == ["correct", "wrong", *["unverifiable"] * 3]
    assert "The gold of 33 rows cannot be checked" in result.output
    assert "line 3: 'see the figure'" in result.output and "line 5: 'None'" in result.output
    assert "and 13 more" in result.output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ["--gold", "answer", "--response", "response"],
            "rollouts.jsonl, line 1: no column 'answer'. It has: id, gold, response, label",
        ),
        (["--gold", "gold", "--response", "response", "--kind", "maths"], "--kind maths: not one of choice"),
        (["--gold", "gold", "--response", "response", "--grading", "x"], "'x' is not one of math"),
        (["--gold", "gold", "--response", "response", "--judge-url", "http://x"], "go together"),
    ],
)
def test_errors_say_what_to_do(rows, arguments, words):
    result = _run(rows, *arguments)
    assert result.exit_code == 1
    assert words in " ".join(result.output.split())
    assert not (rows.parent / "rollouts.verdicts.jsonl").exists()


def test_broken_lines_and_existing_files(rows):
    rows.write_text('{"gold": "1", "response": "1"}\n{broken\n', encoding="utf-8")
    result = _run(rows, "--gold", "gold", "--response", "response")
    assert result.exit_code == 1 and "rollouts.jsonl:2: not JSON" in " ".join(result.output.split())

    rows.write_text('{"gold": "1", "response": "1", "verdict": "x"}\n', encoding="utf-8")
    assert "column 'verdict' already" in " ".join(
        _run(rows, "--gold", "gold", "--response", "response").output.split()
    )

    target = rows.parent / "rollouts.verdicts.jsonl"
    target.write_text("kept", encoding="utf-8")
    result = _run(rows, "--gold", "gold", "--response", "response")
    assert result.exit_code == 1 and "--overwrite" in result.output and target.read_text() == "kept"
    assert _run(rows.parent / "none.jsonl", "--gold", "gold", "--response", "response").exit_code == 1
