"""Responses judged again by the scorers of papers and by a judge whose replies are paid for once."""

import json
import shutil
from collections import Counter

import pytest
from rollout_fixtures import judge_at_hand  # noqa: F401
from typer.testing import CliRunner

from tests.jsonl import read_csv, read_jsonl
from virgo_factory.answers.model import UNVERIFIABLE
from virgo_factory.cli.main import app
from virgo_factory.core.errors import UserError
from virgo_factory.evaluation.folder import read_run
from virgo_factory.evaluation.report.report import write_report
from virgo_factory.evaluation.scorers import judging
from virgo_factory.evaluation.scorers.rescore import rescore
from virgo_factory.io.workers import Lost
from virgo_factory.rollouts.judge.llm_judge import UNDECIDED, LLMJudge
from virgo_factory.rollouts.question import read_questions


@pytest.fixture
def judge(server) -> LLMJudge:
    return LLMJudge(server.url, "judge", pause=0.0)


@pytest.fixture
def folder(recorded_runs, tmp_path):
    return shutil.copytree(recorded_runs["first"], tmp_path / "run")


def verdicts(path) -> dict[str, str]:
    rows = read_jsonl(path)
    return {row["question"]: row["verdict"] for row in rows}


@pytest.mark.slow
@pytest.mark.usefixtures("no_drawing")
def test_the_papers_scorer_gives_a_second_column_and_a_list_of_what_differs(folder, judge, server):
    ours = verdicts(folder / "verdicts.jsonl")
    found = rescore(folder, "paper", judge, workers=1)
    theirs = verdicts(folder / "verdicts.paper.jsonl")
    judged = {id for id in ours if not id.startswith("mathvista/")}
    assert set(theirs) == judged and found.responses == len(judged)
    assert found.left_out == {"mathvista": 120}
    listed = {row["question"]: (row["ours"], row["its"]) for row in read_csv(folder / "disagreements.paper.csv")}
    assert listed == {id: (ours[id], theirs[id]) for id in judged if ours[id] != theirs[id]}
    assert found.differ == len(listed) > 5
    assert found.asked == len((folder / "judgements.jsonl").read_text(encoding="utf-8").splitlines()) > 100

    told = {row["benchmark"]: row for row in read_csv(folder / "scores.paper.csv") if not row["group"]}
    assert set(told) == {"mathvision", "mmmu", "olympiadbench"}
    assert {row["scorer"] for row in told.values()} == {"paper"} and {row["judge"] for row in told.values()} == {
        "judge"
    }
    right = Counter(id.split("/")[0] for id, verdict in theirs.items() if verdict == "correct")
    assert {name: float(row["correct"]) for name, row in told.items()} == {name: float(right[name]) for name in told}
    assert verdicts(folder / "verdicts.jsonl") == ours, "our own stay as they are"

    write_report([folder], folder / "report")
    text = (folder / "report/report.md").read_text(encoding="utf-8")
    assert "### By other scorers" in text and f"## {len(listed):,} responses on which paper and ours differ" in text
    filled = {
        row["benchmark"]: row["ours"]
        for row in read_csv(folder / "report/paper_tables.csv")
        if row["table"] == "2" and row["ours"]
    }
    assert float(filled["mathvision"]) == pytest.approx(float(told["mathvision"]["score"]), abs=0.051)


@pytest.mark.slow
@pytest.mark.usefixtures("judge_at_hand")
def test_replies_are_never_paid_twice(folder, judge, server):
    first = rescore(folder, "paper", judge, workers=2)
    before, kept = len(server.prompts), (folder / "verdicts.paper.jsonl").read_bytes()
    assert before == first.asked
    second = rescore(folder, "paper", judge, workers=1)
    assert (second.asked, len(server.prompts)) == (0, before)
    assert (folder / "verdicts.paper.jsonl").read_bytes() == kept


@pytest.mark.slow
@pytest.mark.usefixtures("judge_at_hand")
def test_a_judge_that_gives_no_usable_reply_leaves_it_unverifiable(folder, judge, server):
    server.broken = True
    found = rescore(folder, "paper", judge, workers=1)
    theirs = verdicts(folder / "verdicts.paper.jsonl")
    assert found.asked == 0 and Counter(theirs.values())[UNVERIFIABLE] > 50
    server.broken = False
    assert rescore(folder, "paper", judge, workers=1).asked > 0


@pytest.mark.slow
def test_ours_asks_only_about_what_rules_cannot_decide(folder, judge, server):
    run = read_run(folder)
    rows = [run.verdicts[number] for number in run.held.verdict]
    undecided = [
        row["question"]
        for row in rows
        if row["verdict"] == UNVERIFIABLE and row["reason"] in UNDECIDED and row["answer"]
    ]
    found = rescore(folder, "ours", judge, workers=1)
    assert undecided and found.asked == len(server.prompts) == found.differ == len(undecided)
    after = verdicts(folder / "verdicts.jsonl")
    assert all(after[id] == "correct" for id in undecided)
    again = rescore(folder, "ours", judge, workers=1)
    assert (again.asked, len(server.prompts)) == (0, len(undecided))


@pytest.mark.slow
@pytest.mark.usefixtures("judge_at_hand")
def test_the_scorer_of_openmmreasoner_counts_golds_that_it_misreads(folder, judge):
    found = rescore(folder, "omr", judge, workers=1)
    assert found.responses == len(verdicts(folder / "verdicts.omr.jsonl")) and found.misread > 0
    assert not found.left_out


def test_what_cannot_be_done_is_said_before_anything_is_written(folder, judge, server):
    with pytest.raises(
        UserError, match="asks a judge about most responses: name --judge-url URL and --judge-model NAME"
    ):
        rescore(folder, "paper", workers=1)

    assert not (folder / "verdicts.paper.jsonl").exists()
    with pytest.raises(UserError, match="--scorer gpt: not one of ours, paper, omr"):
        rescore(folder, "gpt")

    with pytest.raises(UserError, match="serves judge, not other"):
        rescore(folder, "paper", LLMJudge(judge.url, "other"))

    with pytest.raises(UserError, match="does not answer"):
        rescore(folder, "ours", LLMJudge("http://127.0.0.1:9", "judge"))


@pytest.mark.slow
def test_the_command(folder, judge):
    arguments = [
        "evaluate",
        "rescore",
        str(folder),
        "--scorer",
        "omr",
        "--judge-url",
        judge.url,
        "--judge-model",
        "judge",
    ]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0 and "differ from ours" in result.output and "taken for a letter" not in result.output
    assert "golds that it takes for a letter" in result.output


@pytest.mark.slow
@pytest.mark.usefixtures("judge_at_hand")
def test_a_verdict_that_takes_too_long_or_too_much_is_unverifiable_and_the_others_are_made(folder, judge, monkeypatch):
    class Limited(judging.Workers):
        def map(self, tasks):
            for task in tasks:
                id = task[1].id
                yield Lost(task, "timeout", None) if id == slow else judging.next_step(task)

    ours = verdicts(folder / "verdicts.jsonl")
    slow, broken = [id for id in ours if id.startswith("mathvision/")][:2]
    monkeypatch.setattr(judging, "Workers", Limited)
    scorer = judging.PAPER["mathvision"]
    monkeypatch.setitem(
        judging.PAPER,
        "mathvision",
        lambda response, gold, question, replies: (
            1 / 0 if question.text == text else scorer(response, gold, question, replies)
        ),
    )
    text = next(one.question for one in read_questions(folder / "questions.jsonl") if one.id == broken)
    rescore(folder, "paper", judge, workers=1)
    rows = {row["question"]: row for row in map(json.loads, (folder / "verdicts.paper.jsonl").open(encoding="utf-8"))}
    assert [(rows[id]["verdict"], rows[id]["reason"]) for id in (slow, broken)] == [
        (UNVERIFIABLE, "timeout"),
        (UNVERIFIABLE, "error"),
    ]
    assert len(rows) == sum(not id.startswith("mathvista/") for id in ours)
