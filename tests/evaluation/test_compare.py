"""Two runs on the same questions: numbers by hand, what differs is said, other questions are refused."""

import shutil

import pytest
from typer.testing import CliRunner

from tests.jsonl import read_jsonl, write_jsonl
from virgo_factory.cli.main import app, main
from virgo_factory.core.errors import UserError
from virgo_factory.evaluation.folder import question_hash, read_run
from virgo_factory.evaluation.report.compare import check_same_questions, comparison_table, differing_keys, pairs_of
from virgo_factory.evaluation.statistics import holm


pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def runs(recorded_runs):
    return [read_run(folder) for folder in recorded_runs.values()]


def changed(folder, tmp_path, change):
    """Copy a run with its questions changed: what `change` returns for each row, None for none."""
    target = tmp_path / "other"
    shutil.copytree(folder, target, ignore=shutil.ignore_patterns(".rollouts*", "*.sqlite*"))
    rows = read_jsonl(folder / "questions.jsonl")
    write_jsonl(target / "questions.jsonl", [row for row in map(change, rows) if row is not None])
    return read_run(target)


def test_p_values_are_corrected_over_all_pairs(runs):
    pairs = pairs_of([tuple(runs)])
    assert [pair.p for pair in pairs] == holm([pair.found.p for pair in pairs])
    assert pairs_of([tuple(runs)] * 2)[0].p >= pairs[0].p
    table = comparison_table(pairs)
    assert table.columns == ("benchmark", "n", "a", "b", "d = a - b", "95 %", "wins : losses", "p (Holm)", "visible")
    first = pairs[0]
    assert table.rows[0][:3] == ("MathVision", "240 of 3,040", f"{100 * first.a:.1f}")
    assert table.rows[0][6] == f"{first.found.wins} : {first.found.losses}"
    assert first.a - first.b == pytest.approx(first.found.difference.score)


def test_a_run_against_itself_does_not_differ(recorded_runs):
    run = read_run(recorded_runs["first"])
    for pair in pairs_of([(run, run)]):
        assert (pair.found.difference.score, pair.found.wins, pair.found.losses, pair.p) == (0, 0, 0, 1)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda row: row | {"gold": f"{row['gold']}!"} if row["id"] == "mathvision/1" else row, "1 questions differ"),
        (lambda row: row | {"image_sha256": ["0" * 64]} if row["id"] == "mathvision/1" else row, "1 questions differ"),
        (lambda row: None if row["id"] == "mathvision/1" else row, "1 stand in one of the two"),
        (lambda row: row if row["source"] == "mmmu" else None, None),
    ],
)
def test_other_questions_are_refused(change, told, runs, recorded_runs, tmp_path):
    other = changed(recorded_runs["second"], tmp_path, change)
    if told is None:
        check_same_questions(runs[0], other)
        assert [pair.benchmark for pair in pairs_of([(runs[0], other)])] == ["mmmu"]
        return

    with pytest.raises(UserError, match=f"mathvision: .*{told}.*such as mathvision/1"):
        check_same_questions(runs[0], other)


def test_the_hash_is_of_what_is_asked_and_not_of_where_it_is():
    row = {
        "id": "a/1",
        "question": "?",
        "gold": "1",
        "options": ["x"],
        "images": ["images/a.png"],
        "image_sha256": ["0"],
    }
    assert question_hash(row) == question_hash(row | {"images": ["b.png"], "groups": {"level": "1"}, "id": "b/1"})
    for name, value in (("question", "??"), ("gold", ["1"]), ("options", ["y"]), ("image_sha256", ["1"])):
        assert question_hash(row) != question_hash(row | {name: value})


def test_keys_that_differ_are_told(runs, recorded_runs, capsys):
    assert differing_keys(*runs) == [("temperature", "0.0", "0.6")]
    result = CliRunner().invoke(app, ["evaluate", "compare", *map(str, recorded_runs.values())])
    assert result.exit_code == 0 and "temperature: 0.0 in a, 0.6 in b" in result.output
    assert "wins : losses" in result.output


def test_no_benchmark_in_common_is_one_sentence(recorded_runs, tmp_path, capsys):
    changed(
        recorded_runs["second"], tmp_path, lambda row: row | {"source": "mine"} if row["source"] == "mmmu" else None
    )
    with pytest.raises(SystemExit):
        main(["evaluate", "compare", str(recorded_runs["first"]), str(tmp_path / "other")])

    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "no benchmark in common" in error
