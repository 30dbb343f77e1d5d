"""Logs of other harnesses, written from recorded outputs in the forms that they have, with what goes wrong in them."""

import csv
import shlex
import shutil

import pytest
from typer.testing import CliRunner

from tests.jsonl import read_csv, read_jsonl, write_jsonl
from tests.pages import commands, lines_of, sample
from virgo_factory.answers.model import CORRECT
from virgo_factory.cli.evaluate.compare import EXAMPLE
from virgo_factory.cli.main import app
from virgo_factory.core.errors import UserError
from virgo_factory.evaluation.folder import read_run
from virgo_factory.evaluation.imports.join import TABLE, import_log
from virgo_factory.evaluation.imports.logs import read_lmms_eval, read_vlmevalkit
from virgo_factory.evaluation.report.report import write_report


pytestmark = pytest.mark.slow

FAILED = "[LMMS_EVAL_REQUEST_FAILED after 3 retries] Connection error."


@pytest.fixture(scope="module")
def recorded(hub, shared_data):
    """Rows of MathVision's test set with the recorded response and mark of Qwen-VL-Max, in the order of the files."""
    outputs = {row["id"]: row for row in read_jsonl(shared_data / "mathvision/outputs/Qwen-VL-Max-CoT.jsonl")}
    return [(row, outputs[row["id"]]) for row in read_jsonl(shared_data / "mathvision/test.jsonl")]


def lmms_row(number: int, row: dict, output: dict, **more) -> dict:
    """A line as `--log_samples` of lmms-eval 0.7.3 writes it."""
    told = {
        "doc_id": number,
        "doc_hash": "0" * 64,
        "target": row["answer"],
        "input": row["question"],
        "input_media": [],
    }
    told |= {"filtered_resps": [output["response"]], "token_counts": [{"input_tokens": 300, "output_tokens": 42}]}
    return (
        told | {"mathvision_standard_eval": {"response": output["model_answer"], "scores": [output["correct"]]}} | more
    )


@pytest.fixture(scope="module")
def log(recorded, tmp_path_factory):
    """200 lines of which one failed, one has another gold, one is there twice and one is of no row."""
    rows = [lmms_row(number, *pair) for number, pair in enumerate(recorded[:200])]
    rows[7]["filtered_resps"] = [FAILED]
    rows[11]["target"] = "a gold of another version"
    rows += [rows[20], lmms_row(1_000_000, *recorded[0])]
    return write_jsonl(tmp_path_factory.mktemp("log") / "20260801_samples_mathvision_test.jsonl", rows)


@pytest.fixture(scope="module")
def imported(log, hub, tmp_path_factory):
    return import_log(log, "lmms-eval", "mathvision", tmp_path_factory.mktemp("lmms") / "run", hub, "qwen-vl-max")


def test_lines_are_joined_by_row_and_accounted_for(imported, recorded):
    assert (imported.lines, imported.joined) == (202, "by row, from 0")
    assert (imported.responses, imported.failed) == (198, 1)
    assert [place.rsplit(":", 1)[1] for place in imported.other_gold] == ["12"]
    assert [place.rsplit(":", 1)[1] for place in imported.twice] == ["201"]
    assert [place.rsplit(":", 1)[1] for place in imported.unknown] == ["202"]
    assert imported.responses + imported.failed + 3 == imported.lines
    run = read_run(imported.folder)
    for place, number in zip(run.held.place, run.held.row, strict=True):
        row = next(row for row, _ in recorded if f"mathvision/{row['id']}" == run.ids[place])
        rollout = run.rollouts[number]
        assert run.questions[place]["gold"] == row["answer"]
        assert rollout["response"] == next(output["response"] for one, output in recorded if one is row)
        assert (rollout["completion_tokens"], rollout["params"]) == (42, {"harness": "lmms-eval"})


def test_our_verdict_stands_beside_their_mark(imported, recorded):
    rows = read_csv(imported.folder / TABLE)
    labels = {f"mathvision/{row['id']}": output["correct"] for row, output in recorded}
    assert len(rows) == 198 and {row["mark"] for row in rows} == {"mathvision_standard_eval"}
    assert all(float(row["theirs"]) == labels[row["question"]] for row in rows)
    differ = [row for row in rows if (row["verdict"] == CORRECT) != labels[row["question"]]]
    assert len(differ) <= 6  # the label takes an option's text for another answer than its letter
    assert {(row["verdict"], row["reason"]) for row in differ} <= {(CORRECT, "same_option")}
    assert sum(imported.table.values()) == 198
    assert imported.theirs == pytest.approx(100 * sum(labels[row["question"]] for row in rows) / 198)
    assert imported.ours == pytest.approx(100 * sum(row["verdict"] == CORRECT for row in rows) / 198)


@pytest.mark.usefixtures("no_drawing")
def test_a_failed_request_is_neither_right_nor_wrong(imported, tmp_path):
    report = write_report([imported.folder], tmp_path)
    (whole,) = [row for row in report.scores if not row["group"]]
    assert whole["n"] == 198 and whole["asked"] > 1500 and whole["metric"].endswith("partial")
    assert whole["gave_up"] == pytest.approx(100 / whole["asked"], abs=1e-3)
    assert FAILED[:25] in (imported.folder / "dropped.jsonl").read_text(encoding="utf-8")


def test_predictions_of_vlmevalkit_are_joined_by_id(recorded, hub, tmp_path):
    path = tmp_path / "Qwen_MathVision.tsv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter="\t")
        writer.writerow(("index", "question", "answer", "prediction", "thinking"))
        for number, (row, output) in enumerate(recorded[300:340]):
            thinking = "Let me see.\n\tIt has\ttabs." if number == 1 else ""
            prediction = "Failed to obtain answer via API." if number == 0 else output["response"]
            writer.writerow((row["id"], row["question"], row["answer"], prediction, thinking))

    found = import_log(path, "vlmevalkit", "mathvision", tmp_path / "run", hub)
    assert (found.joined, found.responses, found.failed, found.mark) == ("by id", 39, 1, "")
    run = read_run(found.folder)
    (thought,) = [row for row in run.rollouts if "<think>" in row["response"]]
    assert thought["response"].startswith("<think>Let me see.\n\tIt has\ttabs.</think>")
    assert thought["question"] == f"mathvision/{recorded[301][0]['id']}" and run.model == "Qwen_MathVision"
    whole = run.scores("")[0]
    assert [whole[key] for key in ("truncated", "tokens_mean", "looping")] == ["", "", 0.0], "a log does not tell all"


def test_both_forms_of_responses_and_marks_are_read(tmp_path, recorded):
    row, output = recorded[0]
    rows = [
        lmms_row(0, row, output, filtered_resps=output["response"]),
        lmms_row(1, row, output, resps=[["<think>a</think>b"]], filtered_resps=["b"]),
        lmms_row(2, row, output, filtered_resps=[""], token_counts=[None], acc=1.0),
    ]
    one, two, three = read_lmms_eval(write_jsonl(tmp_path / "a.jsonl", rows))
    assert one.response == output["response"] and two.response == "<think>a</think>b"
    assert three.failure == "an empty response" and three.tokens == 0 and three.marks["acc"] == 1.0


def test_a_log_of_another_benchmark_order_or_kind_is_refused(recorded, hub, tmp_path, log):
    shifted = [lmms_row(number, *pair) for number, pair in enumerate(recorded[40:90])]
    path = write_jsonl(tmp_path / "shifted.jsonl", shifted)
    with pytest.raises(
        UserError, match=r"mathvision: only \d+ of 50 golds .* another benchmark, split, version or order"
    ):
        import_log(path, "lmms-eval", "mathvision", tmp_path / "run", hub)

    with pytest.raises(UserError, match="no doc_id, target. Is it the file"):
        import_log(write_jsonl(tmp_path / "b.jsonl", [{"id": 1}]), "lmms-eval", "mathvision", tmp_path / "run", hub)

    with pytest.raises(UserError, match="--harness evalscope: not one of lmms-eval, vlmevalkit"):
        import_log(path, "evalscope", "mathvision", tmp_path / "run", hub)

    with pytest.raises(UserError, match="'mathvison' is not known. Is it mathvision"):
        import_log(path, "lmms-eval", "mathvison", tmp_path / "run", hub)

    excel = tmp_path / "a.xlsx"
    excel.write_bytes(b"PK")
    with pytest.raises(UserError, match="nothing in this environment reads Excel files"):
        list(read_vlmevalkit(excel))

    assert not (tmp_path / "run").exists()


def test_the_command_and_a_folder_that_is_there(log, hub, tmp_path):
    arguments = ["evaluate", "import", str(log), "--harness", "lmms-eval", "--benchmark", "mathvision"]
    arguments += ["--out", str(tmp_path / "run"), "--benchmark-dir", str(hub)]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    for told in ("202 lines, joined by row, from 0", "1  failed requests", "left out: another gold", "ours: correct"):
        assert told in result.output

    again = CliRunner().invoke(app, arguments)
    assert "has an evaluation already" in str(again.exception)


@pytest.mark.usefixtures("no_drawing")
def test_the_commands_of_the_page(recorded_runs, recorded, hub, server, tmp_path, monkeypatch):
    for name, run in (("virgo7b_dt", "first"), ("virgo7b_dsd", "second")):
        shutil.copytree(recorded_runs[run], tmp_path / "evals" / name, ignore=shutil.ignore_patterns("*.sqlite*"))

    (tmp_path / "benchmarks").symlink_to(hub)
    rows = [lmms_row(number, *pair) for number, pair in enumerate(recorded[:20])]
    write_jsonl(tmp_path / "samples_mathvision_test.jsonl", rows)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COLUMNS", raising=False)
    done = []
    for line in commands("docs/evaluation-reports.md"):
        line = line.replace("localhost:8001", f"127.0.0.1:{server.server_port}").replace("model qwen", "model judge")
        result = CliRunner().invoke(app, shlex.split(line)[1:])
        assert result.exit_code == 0, (line, result.output, result.exception)
        done.append(line.split()[2])
        if done[-1] == "compare":
            assert (line, lines_of(result.output)) == sample("docs/evaluation-reports.md", EXAMPLE)

    assert done == ["report", "compare", "rescore", "import"]
    for file in ("reports/virgo7b/report.html", "evals/virgo7b_dt/disagreements.paper.csv", "evals/lmms/imported.csv"):
        assert (tmp_path / file).is_file()
