"""Recorded outputs of real models, asked through the replay server: scores, kills, and what is refused before a request."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rollout_fixtures import judge_at_hand, replaying, sky_config, sky_problems, start_replay  # noqa: F401

from tests.cli.conftest import call  # noqa: F401
from tests.evaluation.conftest import outputs
from tests.jsonl import read_csv, read_jsonl, write_jsonl
from tests.pages import commands
from virgo_factory.answers.options import LETTERS
from virgo_factory.cli.main import main
from virgo_factory.core.errors import UserError
from virgo_factory.evaluation.benchmarks import BENCHMARKS
from virgo_factory.evaluation.config import EvaluationConfig
from virgo_factory.evaluation.estimate import estimated
from virgo_factory.evaluation.questions import Taken, read_benchmark
from virgo_factory.evaluation.report.report import write_report
from virgo_factory.evaluation.report.tell import scores_table
from virgo_factory.evaluation.run import evaluate, scores_of, status_of, wanted_of
from virgo_factory.rollouts.judge.llm_judge import LLMJudge
from virgo_factory.rollouts.question import read_questions
from virgo_factory.rollouts.store.store import read_rollouts


ROOT = Path(__file__).parents[2]
DRAWN = {"mathvision": 30, "mathvista": 30, "mmmu": 20}
ASKED = sum(DRAWN.values())


@pytest.fixture(scope="module")
def recorded(hub, shared_data, tmp_path_factory) -> Path:
    """Questions of the benchmarks with the recorded responses of real models, in the layout that the replay server reads."""
    runs = outputs(shared_data).values()
    lines = []
    for name in DRAWN:
        for one in read_benchmark(BENCHMARKS[name], hub / name, Taken(BENCHMARKS[name], "")):
            options = "\n".join(
                f"({letter}) {text}" for letter, text in zip(LETTERS, one.get("options", ()), strict=False)
            )
            text = options if name == "mmmu" and options else one["question"]
            told = [response for run in runs if isinstance(response := run.get(one["id"]), str) and response]
            if told:
                lines.append(json.dumps({"question": text, "gt": str(one["gold"]), "code": told}) + "\n")

    path = tmp_path_factory.mktemp("recorded") / "outputs.jsonl"
    path.write_text("".join(lines), encoding="utf-8")
    return path


@pytest.fixture
def server(replaying, recorded):  # noqa: F811
    with replaying.replay([recorded], own=True) as running:
        yield running


@pytest.fixture
def config(hub, tmp_path, server) -> EvaluationConfig:
    return EvaluationConfig(
        benchmarks=DRAWN,
        benchmark_dir=hub,
        allow_partial=True,
        question_prefix="virgo",
        image_max_pixels=50_176,
        model_name_or_path="replay",
        urls=[server.url],
        requests_in_flight=8,
        output_dir=tmp_path / "out",
    )


@pytest.mark.integration
@pytest.mark.usefixtures("judge_at_hand", "no_drawing")
def test_questions_are_asked_again_on_changed_pictures(config, server, tmp_path):
    evaluate(config)
    wanted = config.model_copy(update={"variants": {"rotate": 10, "brightness": [0.7]}, "variant_questions": 10})
    found = evaluate(wanted)
    assert found.rows and not found.outcome.left.samples
    asked = len(server.asked()["started"])
    assert asked == ASKED + 2 * 10 and evaluate(wanted).rows and len(server.asked()["started"]) == asked
    for name in ("rotate_10", "brightness_0.7"):
        folder = config.output_dir / "variants" / name
        assert len(list(read_rollouts(folder))) == 10 and read_csv(folder / "scores.csv")

    write_report([config.output_dir], tmp_path / "report")
    lines = (tmp_path / "report/report.md").read_text(encoding="utf-8").splitlines()
    assert [
        sum(line.startswith(f"| {name} | 10 |") for line in lines) for name in ("rotate_10", "brightness_0.7")
    ] == [1, 1]
    with pytest.raises(UserError, match="was made with.*Name another output_dir"):
        evaluate(wanted.model_copy(update={"variant_questions": 5}))


@pytest.mark.integration
@pytest.mark.usefixtures("judge_at_hand")
def test_scores_of_recorded_outputs_are_those_of_score_and_of_an_independent_sum(config, server, tmp_path, capsys):
    found = evaluate(config)
    assert found.outcome.finished == ASKED and not found.outcome.left.samples
    assert len(server.asked()["started"]) == ASKED
    folder, rows = config.output_dir, read_csv(config.output_dir / "scores.csv")
    whole = {row["benchmark"]: row for row in rows if not row["group"]}
    assert {name: int(row["n"]) for name, row in whole.items()} == DRAWN

    questions = {one.id: one for one in read_questions(folder / "questions.jsonl")}
    assert [*dict.fromkeys(one.source for one in questions.values())] == [*wanted_of(config)]
    card = json.loads((folder / "questions.card.json").read_text(encoding="utf-8"))
    for one in card["benchmarks"]:
        assert one["rows"] == one["asked"] + sum(one["left_out"].values()) and one["asked"] == DRAWN[one["name"]]
        assert all(len(digest) == 64 for digest in one["files"].values()) and one["files"]

    answered = {rollout.question: rollout.response for rollout in read_rollouts(folder)}
    plain = [
        one for one in questions.values() if one.precision is None and one.unit is None
    ]  # which score does not take
    right: Counter = Counter()
    for name, label, kind in {(one.source, one.grading, one.kind) for one in plain}:
        file, out = tmp_path / "rows.jsonl", tmp_path / "scored.jsonl"
        alike = [one for one in plain if (one.source, one.grading, one.kind) == (name, label, kind)]
        told = (
            {"gold": one.gold, "response": answered[one.id], "question": one.question, "options": one.options}
            for one in alike
        )
        write_jsonl(file, told)
        columns = ["--gold", "gold", "--response", "response", "--question", "question", "--options", "options"]
        how = [
            "--grading",
            label,
            *(["--kind", kind] if kind else []),
            "--out",
            str(out),
            "--overwrite",
            "--workers",
            "1",
        ]
        with pytest.raises(SystemExit) as ended:
            main(["score", str(file), *columns, *how])

        assert not ended.value.code, capsys.readouterr().err
        right[name] += sum(json.loads(line)["verdict"] == "correct" for line in out.open(encoding="utf-8"))

    capsys.readouterr()
    verdicts = read_jsonl(folder / "verdicts.jsonl")
    for name, row in whole.items():
        correct = [
            one for one in verdicts if one["verdict"] == "correct" and questions[one["question"]].source == name
        ]
        assert float(row["correct"]) == len(correct)
        ids = {one.id for one in plain}
        assert sum(one["question"] in ids for one in correct) == right[name] > 0
        assert float(row["score"]) == pytest.approx(100 * len(correct) / DRAWN[name], abs=1e-3)

    levels = [row for row in rows if row["benchmark"] == "mathvision" and row["group"] == "level"]
    for row in levels:
        of_level = [
            id for id, one in questions.items() if one.source == "mathvision" and one.groups["level"] == row["value"]
        ]
        own = sum(one["verdict"] == "correct" for one in verdicts if one["question"] in of_level)
        assert (int(row["n"]), float(row["correct"])) == (len(of_level), own)

    assert evaluate(config).outcome.finished == 0
    assert len(server.asked()["started"]) == ASKED, "nothing is asked twice"


def test_a_folder_of_benchmarks_that_is_not_there_is_told(call):  # noqa: F811
    code, _, errors = call("evaluate", "list", "--benchmark-dir", "nowhere")
    assert code == 1 and "--benchmark-dir nowhere: no such folder" in errors


@pytest.mark.integration
@pytest.mark.usefixtures("judge_at_hand")
def test_the_commands_of_the_pages(call, config, hub, server, tmp_path):  # noqa: F811
    small = [f"urls=[{server.url}]", "served_model_name=replay", f"benchmark_dir={hub}", "allow_partial=true"]
    small += ["image_max_pixels=50176", "benchmarks={mathvision: 12, mmmu: 8}", "response_format=auto"]
    call("recipes", "copy", ".")
    epochs = tmp_path / "saves/virgo7b/full/dt"
    _epochs(epochs, 2)
    _dev_as_benchmark(hub, tmp_path / "dev")
    server.control(model=["replay", "epoch-1", "epoch-2"])
    told = {}
    for line in commands("docs/evaluate.md"):
        verb = line.split()[2]
        behind = small if verb == "run" else []
        if verb == "choose":
            behind = [*small[:1], f"benchmark_dir={tmp_path / 'dev'}", *small[3:5], small[6]]
            behind += ["--trained-on", str(_other_rows(tmp_path))]

        code, printed, errors = call(*line.split()[1:], *behind)
        assert code == 0, f"{line}\n{printed}{errors}"
        told[" ".join(line.split()[2:])] = printed

    assert set(commands("README.md", "virgo-factory evaluate")) <= set(commands("docs/evaluate.md"))
    assert re.search(r"^mathverse +3,940 +3,940", told["list"], re.MULTILINE)
    dry = told["run recipes/evaluate/virgo.yaml --dry-run"]
    assert "Please first think deeply" in dry and "Requests: 20 to saves/virgo7b/full/dt/epoch-5, in one pass" in dry
    run = told["run recipes/evaluate/virgo.yaml"]
    assert "saves/virgo7b/full/dt/epoch-5, vLLM 0.20.2, prefix virgo" in run
    assert re.search(r"^MathVision +12 of 3,040 +\d+\.\d +\d+\.\d - \d+\.\d ", run, re.MULTILINE)
    assert re.search(r"^MathVision .* 24\.3 +[-+]\d+\.\d *$", run, re.MULTILINE), "the paper's value beside it"
    assert (
        re.search(r"^Average ", run, re.MULTILINE) and "Not as in the paper: scorer: ours, in the paper: paper." in run
    )
    page = (tmp_path / "evals.html").read_text(encoding="utf-8")
    assert "MathVision" in page and "12 of 3,040" in page
    assert "best -> epoch-" in told["choose saves/virgo7b/full/dt --dev mmmu_dev"]


def _epochs(run: Path, count: int) -> None:
    for epoch in range(1, count + 1):
        (run / f"epoch-{epoch}").mkdir(parents=True)
        (run / f"epoch-{epoch}/config.json").write_text("{}")


def _dev_as_benchmark(hub: Path, folder: Path) -> None:
    folder.mkdir()
    (folder / "mmmu_dev").symlink_to(hub / "mmmu")


def _other_rows(folder: Path) -> Path:
    thought = "<|begin_of_thought|>\n\nSo.\n\n<|end_of_thought|>\n\n<|begin_of_solution|>\n\n4\n\n<|end_of_solution|>"
    return write_jsonl(folder / "rows.jsonl", [{"id": "1", "question": "2 + 2?", "response": thought}])


@pytest.mark.integration
def test_killed_anywhere_it_goes_on_and_asks_nothing_twice(config, server, tmp_path):
    server.control(delay=0.2)
    path = tmp_path / "config.yaml"
    path.write_text(config.text(), encoding="utf-8")
    code = "from virgo_factory.cli.main import main; main()"
    command = [sys.executable, "-c", code, "evaluate", "run", str(path)]
    for wanted in (0, 10, 35, 60):
        with (tmp_path / "log").open("w") as log:
            process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)

        end = time.monotonic() + 120
        while (
            lines(config.output_dir / "rollouts.jsonl") < wanted
            or not (config.output_dir / "evaluation.yaml").exists()
        ):
            assert process.poll() is None and time.monotonic() < end, (tmp_path / "log").read_text()
            time.sleep(0.02)

        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        assert not (config.output_dir / "scores.csv").exists(), "no score while questions are outstanding"

    status = status_of(config.output_dir)
    assert 0 < status.judged < status.asked == ASKED
    (row, *_) = [row for row in status.rows if row["metric"].endswith("partial") and not row["group"]]
    assert row["n"] < row["asked"] and row["high"] >= 100 * (row["asked"] - row["n"]) / row["asked"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    finished = server.asked()["finished"]
    keys = [rollout.key for rollout in read_rollouts(config.output_dir)]
    assert len(keys) == len(set(keys)) == ASKED
    assert sum(finished.values()) <= ASKED + 4 * config.requests_in_flight, "only what was in flight is asked again"
    killed = (config.output_dir / "scores.csv").read_bytes()
    whole = config.model_copy(update={"output_dir": tmp_path / "whole" / "out"})
    evaluate(whole)
    assert (whole.output_dir / "scores.csv").read_bytes() == killed


def lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


@pytest.mark.slow
@pytest.mark.usefixtures("judge_at_hand")
def test_a_shard_leaves_the_scores_to_the_last_one(config):
    first = evaluate(config, (1, 2))
    assert first.rows is None and not first.outcome.left.samples
    assert not (config.output_dir / "scores.csv").exists()
    assert evaluate(config, (2, 2)).rows is not None
    assert {row["asked"] for row in scores_of(config, "ours") if not row["group"]} == {30, 20}


@pytest.mark.slow
@pytest.mark.usefixtures("judge_at_hand")
def test_other_questions_are_refused_where_responses_are_there(config):
    evaluate(config)
    for keys, told in (
        ({"seed": 7}, "seed: 42, now 7"),
        ({"max_tokens": 100}, "max_tokens: 8192, now 100"),
        ({"benchmarks": {"mathvision": 10}}, "benchmarks:"),
    ):
        made_with = (config.output_dir / "evaluation.yaml").read_bytes()
        with pytest.raises(UserError, match=told):
            evaluate(config.model_copy(update=keys))

        assert (config.output_dir / "evaluation.yaml").read_bytes() == made_with, "what was refused leaves nothing"


@pytest.mark.slow
def test_what_is_wrong_with_files_is_told_before_the_first_request(config, server, hub, tmp_path):
    missing = config.model_copy(update={"allow_partial": False, "benchmarks": {"mathverse": None, "mathvista": None}})
    with pytest.raises(UserError) as error:
        evaluate(missing)

    assert "mathverse: " in str(error.value) and "mathvista: 504 of 1,000 published questions" in str(error.value)
    assert "allow_partial: true" in str(error.value) and not (missing.output_dir / "questions.jsonl").exists()
    judged = {"judge_url": "http://127.0.0.1:9/v1", "judge_model": "m", "benchmarks": {"mathvista": None}}
    with pytest.raises(UserError, match="(?s)504 of 1,000.*the judge at http://127.0.0.1:9/v1 does not answer"):
        evaluate(missing.model_copy(update=judged))

    with pytest.raises(UserError, match="serves replay, not another. Name one of them in served_model_name"):
        evaluate(config.model_copy(update={"served_model_name": "another"}))

    with pytest.raises(UserError, match="serves replay, not saves/dt/epoch-5. Name one of them in served_model_name"):
        evaluate(config.model_copy(update={"model_name_or_path": "saves/dt/epoch-5"}))

    server.control(max_model_len=4096)
    with pytest.raises(UserError, match="a context of 4,096 tokens is too small for max_tokens: 8,192"):
        evaluate(config)

    assert not server.asked()["started"]


def test_of_what_a_server_refused_there_is_no_score_and_nobody_goes_on_with_other_keys(config, server, tmp_path):
    server.control(max_model_len=8192 + 20)
    small = config.model_copy(update={"benchmarks": {"mathvision": 3}, "max_model_len": 8192 + 20})
    found = evaluate(small)
    assert found.outcome.dropped == 3 and [row["n"] for row in found.rows if not row["group"]] == [0]
    with pytest.raises(SystemExit) as ended:
        main(["evaluate", "run", str(small.output_dir / "evaluation.yaml")])

    assert ended.value.code == 1
    with pytest.raises(UserError, match="this folder was made with temperature: 0.0, now 0.5"):
        evaluate(small.model_copy(update={"temperature": 0.5}))


@pytest.mark.slow
def test_a_dry_run_counts_what_is_there(config, tmp_path):
    own = config.model_copy(update={"benchmarks": {"mathvista": None, "mathvision": 20}, "allow_partial": False})
    told = "\n".join(estimated(own))
    assert "mathvista: 504 questions, 504 requests" in told and "mathvision: 20 questions, 20 requests" in told
    assert "To be put right before the run: mathvista: 504 of 1,000 questions are in" in told
    assert "allow_partial" not in "\n".join(estimated(own.model_copy(update={"allow_partial": True})))


def test_every_row_of_ones_own_that_cannot_be_asked_is_named_before_and_in_the_run(config, server, tmp_path):
    rows = [{"id": number, "question": "More?", "gold": "4"} for number in range(3)] + [{"id": "a"}, {"id": "b"}]
    rows.append(rows[0])
    file = tmp_path / "own.jsonl"
    file.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    own = config.model_copy(update={"benchmarks": {}, "questions": file})
    told = "\n".join(estimated(own))
    assert f"{file}: 3 questions" in told and told.count("put right before the run: ") == 3 and "own.jsonl:5: " in told
    assert "own.jsonl:6 (id 0): line 1 has this id already. Give each an id of its own" in told
    with pytest.raises(
        UserError, match=r"own\.jsonl:4: a column is missing: gold(.|\n)*own\.jsonl:5: a column is missing"
    ):
        evaluate(own)

    file.write_text(json.dumps(rows[0] | {"images": ["gone.png"]}) + "\n" + json.dumps(rows[0]) + "\n")
    told = r"own\.jsonl:1 \(id 0\): image missing: .*gone\.png.* start from (.|\n)*own\.jsonl:2 \(id 0\): line 1 has this id"
    with pytest.raises(UserError, match=told):
        evaluate(own)

    assert not server.asked()["started"]


def test_a_picture_that_cannot_be_opened_is_named_with_its_row(config, server, tmp_path, shared_data):
    row = json.loads((shared_data / "mathvision/test.jsonl").open(encoding="utf-8").readline())
    path = tmp_path / "own/mathvision/test.parquet"
    path.parent.mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist([row | {"decoded_image": {"bytes": b"no picture", "path": "1.jpg"}}]), path)
    keys = {"benchmark_dir": tmp_path / "own", "benchmarks": {"mathvision": None}, "allow_partial": False}
    with pytest.raises(UserError, match=rf"test\.parquet.*\(id mathvision/{row['id']}\)"):
        evaluate(config.model_copy(update=keys))

    assert not server.asked()["started"]


def judge_that(monkeypatch, reply: Callable[[list[str]], str]) -> list[str]:
    """Have a judge reply so; return what it is asked, from now on."""
    asked: list[str] = []

    def send(self, path: str, body: bytes | None = None) -> bytes:
        if body is None:
            return b'{"data": [{"id": "judge"}]}'

        asked.append(json.loads(body)["messages"][0]["content"])
        return json.dumps({"choices": [{"message": {"content": reply(asked)}}]}).encode()

    monkeypatch.setattr(LLMJudge, "_send", send)
    return asked


@pytest.mark.slow
@pytest.mark.usefixtures("judge_at_hand")
def test_a_papers_scorer_has_scores_of_its_own_and_a_judge_is_not_paid_twice(config, tmp_path, monkeypatch):
    replies = judge_that(monkeypatch, lambda asked: "1" if "1" in asked[-1][-1:] or len(asked) % 2 else "0")
    keys = {"scorer": "paper", "judge_url": "http://judge/v1", "judge_model": "judge"}
    paper = config.model_copy(update={**keys, "benchmarks": {"mathvision": 20, "mathvista": 10}})
    rows = evaluate(paper).rows
    assert {(row["benchmark"], row["scorer"]) for row in rows} == {("mathvision", "paper"), ("mathvista", "ours")}
    assert [line[0] for line in scores_table(paper, rows).rows] == ["MathVision", "MathVista (ours)", "Average"]
    assert status_of(paper.output_dir).rows == rows
    assert rows[0]["scorer"] == "paper" and rows[0]["judge"] == "judge" and rows[0]["n"] == 20
    assert {row["benchmark"] for row in read_csv(paper.output_dir / "scores.csv")} == {"mathvision", "mathvista"}
    first = (paper.output_dir / "scores.paper.csv").read_bytes()
    asked = len(replies)
    assert asked > 0
    evaluate(paper)
    assert len(replies) == asked and (paper.output_dir / "scores.paper.csv").read_bytes() == first


@pytest.mark.slow
@pytest.mark.usefixtures("judge_at_hand", "no_drawing")
def test_a_benchmark_brings_its_own_samples_and_temperature_in_the_same_pass(config, hub, server, tmp_path):
    folder = tmp_path / "own"
    (folder / "aime24").mkdir(parents=True)
    (folder / "mathvision").symlink_to(hub / "mathvision")
    problems = [
        {"id": str(number), "problem": f"What is {number} + {number}?", "answer": str(2 * number)}
        for number in range(3)
    ]
    pq.write_table(pa.Table.from_pylist(problems), folder / "aime24/train.parquet")
    rows = evaluate(
        config.model_copy(update={"benchmark_dir": folder, "benchmarks": {"mathvision": 5, "aime24": None}})
    ).rows
    asked = Counter(
        (rollout.question.partition("/")[0], rollout.params["temperature"])
        for rollout in read_rollouts(config.output_dir)
    )
    assert asked == {("aime24", 1.0): 24, ("mathvision", 0.0): 5} and len(server.asked()["started"]) == 29
    assert [row["metric"] for row in rows if row["benchmark"] == "aime24" and not row["group"]] == [
        "accuracy",
        "majority",
        "pass",
    ]
    assert rows[0]["benchmark"] == "aime24" and rows[0]["n"] == 3, "long responses first"

    path = config.output_dir / "rollouts.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    path.write_text("".join(line for line in lines if json.loads(line)["sample"] < 5), encoding="utf-8")
    said = {row["benchmark"]: row["metric"].endswith(", partial") for row in status_of(config.output_dir).rows}
    assert said == {"mathvision": False, "aime24": True}
    write_report([config.output_dir], tmp_path / "report")
    for row in read_csv(tmp_path / "report/scores.csv"):  # the report reads the folder as status does
        assert row["metric"].endswith(", partial") == said[row["benchmark"]], row


@pytest.mark.slow
@pytest.mark.usefixtures("judge_at_hand")
def test_a_judge_settles_what_rules_cannot_decide_and_nothing_else(config, monkeypatch):
    asked = judge_that(monkeypatch, lambda asked: "CORRECT")
    evaluate(config)
    path = config.output_dir / "verdicts.jsonl"
    verdicts = read_jsonl(path)
    for row in [row for row in verdicts if row["answer"] and row["verdict"] == "wrong"][
        :3
    ]:  # what the rules call too large
        row |= {"verdict": "unverifiable", "reason": "too_large"}

    write_jsonl(path, verdicts)
    without = evaluate(config).rows
    judged = config.model_copy(update={"judge_url": "http://judge/v1", "judge_model": "judge"})
    with_judge = evaluate(judged).rows
    open_ones = sum(row["unverifiable"] for row in without if not row["group"])
    assert len(asked) == open_ones >= 3 and not sum(row["unverifiable"] for row in with_judge)
    counts = [sum(row["correct"] for row in rows if not row["group"]) for rows in (without, with_judge)]
    assert counts[1] == counts[0] + len(asked) and with_judge[0]["judge"] == "judge"
    assert evaluate(judged).rows == with_judge and len(asked) == open_ones, "nobody is paid twice"


@pytest.mark.integration
@pytest.mark.usefixtures("judge_at_hand")
def test_what_was_long_in_an_earlier_run_beside_it_is_asked_first(config, server, tmp_path):
    evaluate(config.model_copy(update={"output_dir": tmp_path / "earlier"}))
    lengths = {row.question: row.completion_tokens for row in read_rollouts(tmp_path / "earlier")}
    evaluate(config.model_copy(update={"requests_in_flight": 1}))
    asked = [lengths[row.question] for row in read_rollouts(config.output_dir)]
    assert len(asked) == ASKED and asked == sorted(asked, reverse=True) and asked != list(lengths.values())


@pytest.mark.slow
@pytest.mark.usefixtures("judge_at_hand")
@pytest.mark.parametrize("style", ["reasoning", "reasoning_content"])
def test_a_server_with_a_reasoning_parser_gets_the_scores_of_one_without(style, start_replay, sky_config, tmp_path):  # noqa: F811
    questions = sky_config(12).questions
    rows = {}
    for name in ("", style):
        server = start_replay(own=True, max_chars=4000, style=name)
        keys = {"questions": questions, "model_name_or_path": "replay", "urls": [server.url]}
        rows[name] = evaluate(EvaluationConfig(**keys, output_dir=tmp_path / f"out{name}")).rows[0]

    told = ("n", "correct", "unparsed", "no_end_of_thought", "truncated")
    assert [rows[style][key] for key in told] == [rows[""][key] for key in told]
    assert any("<think>" in one.response for one in read_rollouts(tmp_path / f"out{style}"))
