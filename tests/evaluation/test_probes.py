"""What is asked beside the benchmarks: thoughts closed at a budget, claims looked at again, a judge of the process."""

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rollout_fixtures import judge_at_hand, replaying, sky_problems, start_replay  # noqa: F401

from tests.jsonl import write_jsonl
from virgo_factory.core.errors import UserError
from virgo_factory.core.thought import BEGIN_SOLUTION, BEGIN_THOUGHT, END_THOUGHT
from virgo_factory.data.tokens.vocabulary import load_vocabulary
from virgo_factory.evaluation.config import EvaluationConfig, read_config, read_folder
from virgo_factory.evaluation.folder import read_run
from virgo_factory.evaluation.probes.budget import CLOSED, budgets_of, cutter, levels_of
from virgo_factory.evaluation.probes.process import DIMENSIONS, dimensions_of, judge_process, marks_in, read_labels
from virgo_factory.evaluation.probes.recheck import AS_SAID, CHANGED, OPTIONS, claims_of, looked_at, write_recheck
from virgo_factory.evaluation.report.report import write_report
from virgo_factory.evaluation.run import evaluate
from virgo_factory.rollouts.judge.llm_judge import LLMJudge
from virgo_factory.rollouts.judge.verdicts import judge_rollouts
from virgo_factory.rollouts.question import read_questions
from virgo_factory.rollouts.run import launch
from virgo_factory.rollouts.store.jsonl import digest
from virgo_factory.rollouts.store.rollout import Rollout
from virgo_factory.rollouts.store.store import RolloutStore, read_rollouts


@pytest.fixture
def sky(start_replay, sky_problems, tmp_path):  # noqa: F811
    """Problems with recorded long thoughts as questions, and the server that replays these."""
    Image.new("RGB", (56, 56), "white").save(tmp_path / "white.png")
    chosen = [one for one in sky_problems if all(END_THOUGHT in text for text in one.responses)][:12]
    rows = [
        {
            "id": f"sky/{number}",
            "source": "sky",
            "images": ["white.png"],
            "question": problem.text,
            "gold": problem.gold,
        }
        | {"groups": {"level": str(1 + number % 3)}}
        for number, problem in enumerate(chosen)
    ]
    file = tmp_path / "questions.jsonl"
    write_jsonl(file, rows)
    server = start_replay(own=True)
    config = EvaluationConfig(
        questions=file,
        model_name_or_path="replay",
        urls=[server.url],
        response_format="four_markers",
        output_dir=tmp_path / "out",
    )
    return config, server


@pytest.mark.slow
@pytest.mark.usefixtures("judge_at_hand")
def test_thoughts_are_closed_at_a_budget_and_the_solution_is_asked_for(sky, tmp_path):
    config, server = sky
    rows = evaluate(config).rows
    before = {rollout.question: rollout for rollout in read_rollouts(config.output_dir)}
    assert len(server.asked()["started"]) == len(before) == 12
    limited = config.model_copy(update={"budget": (200, 400), "recheck": 4})
    assert evaluate(limited).rows == rows, "what was asked first stays as it is"
    closed = 0
    for tokens in limited.budget:
        folder = config.output_dir / "budgets" / str(tokens)
        found = {rollout.question: rollout for rollout in read_rollouts(folder)}
        assert found.keys() == before.keys() and (folder / "scores.csv").is_file() and read_folder(folder).budget == ()
        for id, rollout in found.items():
            whole = before[id].response
            thought = whole[: whole.index(END_THOUGHT)]
            if CLOSED not in rollout.params:
                assert rollout == before[id] and len(thought) < 4.4 * tokens
                continue

            closed += 1
            begun, behind = rollout.response.split(f"\n\n{END_THOUGHT}\n\n{BEGIN_SOLUTION}\n\n")
            assert begun.startswith(BEGIN_THOUGHT) and thought.startswith(begun) and len(begun) < len(thought)
            assert len(begun) / 4 == pytest.approx(tokens, rel=0.1), "the replay server counts four characters a token"
            assert behind == whole.rpartition(BEGIN_SOLUTION)[2]
            assert rollout.completion_tokens == pytest.approx(len(rollout.response) / 4, abs=4)
            assert rollout.params["max_tokens"] == 8192 - tokens

    assert closed > 6
    claims = list(read_questions(config.output_dir / "recheck/questions.jsonl"))
    asked = len(server.asked()["started"])
    assert asked == 12 + closed + len(claims) and evaluate(limited).rows == rows
    assert len(server.asked()["started"]) == asked, "nothing is asked twice"
    with pytest.raises(UserError, match="'recheck': 4.*'recheck': 5"):
        evaluate(limited.model_copy(update={"recheck": 5}))

    levels = levels_of(read_run(config.output_dir))
    assert [level.tokens for level in levels] == [200, 400, None]
    assert levels[0].mean < levels[1].mean < levels[2].mean and levels[0].closed > levels[1].closed > levels[2].closed
    assert 100 * levels[2].score.score == pytest.approx(rows[0]["score"], abs=1e-3)
    write_report([config.output_dir], tmp_path / "report")
    text = (tmp_path / "report/report.md").read_text(encoding="utf-8")
    assert (
        "## Thought budgets" in text and "| whole thoughts |" in text and (tmp_path / "report/budgets.png").is_file()
    )


@pytest.mark.usefixtures("judge_at_hand")
def test_budgets_go_by_an_earlier_run_or_a_group_and_have_the_same_mean(sky, tmp_path):
    config, server = sky
    evaluate(config)
    folder = config.output_dir
    earlier = shutil.copytree(folder, tmp_path / "earlier", ignore=shutil.ignore_patterns("*.sqlite*"))
    lengths = {rollout.question: rollout.completion_tokens for rollout in read_rollouts(earlier)}
    for by in (str(earlier), "level", None):
        found = budgets_of(folder, 500, by, 7168)
        assert found.keys() == lengths.keys() and np.mean(list(found.values())) == pytest.approx(500, rel=0.01), by
        if by == "level":
            assert found["sky/2"] == pytest.approx(3 * found["sky/0"], abs=2)
        elif by:
            assert sorted(found, key=found.get) == sorted(lengths, key=lengths.get)

    assert max(budgets_of(folder, 500, str(earlier), 600).values()) == 600
    for by, told in (("subject", "says nothing of these questions.*level"), (str(folder), "is this run")):
        with pytest.raises(UserError, match=told):
            evaluate(config.model_copy(update={"budget": (500,), "budget_by": by}))

    assert len(server.asked()["started"]) == 12


@pytest.mark.slow
@pytest.mark.usefixtures("judge_at_hand")
def test_a_server_of_our_own_is_started_once_for_all_and_only_where_something_is_left(sky, monkeypatch):
    config, replayed = sky
    states = []

    class Own:
        url, log = replayed.url, Path("server.log")

        def __init__(self, *_, **__) -> None: ...

        def alive(self) -> bool:
            return states[-1] == "started"

        def __enter__(self):
            states.append("started")
            return self

        def __exit__(self, *_) -> None:
            states.append("stopped")

    monkeypatch.setattr(launch, "Server", Own)
    own = config.model_copy(update={"urls": (), "budget": (200, 400), "variants": {"noise": 10.0}})
    assert evaluate(own).rows and states == ["started", "stopped"]
    assert evaluate(own).rows and len(states) == 2, "all is there"


def rollout(response: str, tokens: int) -> Rollout:
    return Rollout("q/1", "m", 0, response, "stop", 10, tokens, 1.0, 1, "", {})


@pytest.mark.parametrize(
    ("response", "form", "begun"),
    [
        (
            f"{BEGIN_THOUGHT}\n\n{'look ' * 80}{END_THOUGHT} 4",
            "four_markers",
            f"{END_THOUGHT}\n\n{BEGIN_SOLUTION}\n\n",
        ),
        (f"<think>\n{'look ' * 80}</think>\n\n4", "auto", "</think>\n\n"),
        (f"{'look ' * 80}</think>\n\n4", "auto", "</think>\n\n"),  # its prompt opens the thought
        ("look " * 80, "think", "</think>\n\n"),  # and it was cut off in it
        ("look " * 80, "auto", ""),
        (f"<think>\n{'look ' * 5}</think>{'so ' * 80}", "auto", ""),  # only the solution is long
    ],
)
def test_a_thought_is_closed_in_its_own_tags_or_left_alone(response, form, begun):
    found = cutter("no/such-model", form)(rollout(response, len(response) // 5), 20)
    assert (found is not None) == bool(begun)
    if found:
        thought = found.prefill.removesuffix(begun).rstrip()
        assert found.prefill.endswith(begun) and response.startswith(thought) and 80 <= len(thought) <= 125


def test_with_the_models_tokenizer_the_budget_is_exact(model_folder):
    text = f"<think>{'Angle ABC = 35°, so √2 times it. ' * 40}</think> 4"
    found = cutter(str(model_folder), "auto")(rollout(text, 900), 100)
    thought = found.prefill.removeprefix("<think>").removesuffix("\n</think>\n\n")
    assert 98 <= load_vocabulary(model_folder).count(thought) <= 100


def test_claims_are_sentences_that_speak_of_seeing():
    thought = (
        "Okay, let me think. In the figure, angle A is 3.5 degrees. I see why that helps. The chart shows 12 bars! "
        "Wait, is BC labeled 7?\nPoint D is labeled on AB. The graph has 2 peaks. 图中有3个圆。"
    )
    found = claims_of(thought, most=9)
    assert found == [
        *("In the figure, angle A is 3.5 degrees.", "The chart shows 12 bars!"),
        *("Point D is labeled on AB.", "The graph has 2 peaks."),
    ]
    assert claims_of(thought, most=2) == [found[0], found[2]], "spread over the thought"


@pytest.mark.slow
@pytest.mark.usefixtures("no_drawing")
def test_what_the_model_says_of_its_claims_is_counted(recorded_runs, tmp_path):
    run = shutil.copytree(recorded_runs["first"], tmp_path / "run", ignore=shutil.ignore_patterns("*.sqlite*"))
    target = write_recheck(run, 200, 42, "auto")
    questions = list(read_questions(target / "questions.jsonl"))
    claims = [one for one in questions if one.groups["claim"] == AS_SAID]
    changed = [one for one in questions if one.groups["claim"] == CHANGED]
    assert len(claims) >= 6 and len(changed) >= 3 and all(one.options == OPTIONS and one.images for one in questions)
    known = {row.id: row for row in read_questions(run / "questions.jsonl")}
    assert all(one.images == known[one.cluster].images and (target / one.images[0]).is_file() for one in questions)
    assert {one.gold for one in claims} == {"yes"} and {one.gold for one in changed} == {"no"}
    (target / "evaluation.yaml").write_text("model_name_or_path: m\n", encoding="utf-8")
    said = {
        claims[0].id: "(B)",
        claims[1].id: "C",
        claims[2].id: "no idea",
        **{one.id: "\\boxed{B}" for one in changed},
    }
    with RolloutStore(target) as store:
        for one in questions:
            reply = said.get(one.id, "\\boxed{A}")
            store.append(Rollout(one.id, "m", 0, f"<think>Hm.</think>{reply}", "stop", 1, 1, 1.0, 1, "", {}))

    judge_rollouts(target, workers=1)
    found = {one.what: one for one in looked_at(run)}
    whole = found["all claims"]
    assert whole.claims == len(claims) and whole.said == {"yes": len(claims) - 3, "no": 1, "unsure": 1, "unread": 1}
    assert whole.denied.score == pytest.approx(1 / (len(claims) - 1)) and found[CHANGED].denied.score == 1
    assert sum(one.claims for what, one in found.items() if what.startswith("of ")) == len(claims)
    write_report([run], tmp_path / "report")
    assert f"| another number | {len(changed)} |" in (tmp_path / "report/report.md").read_text(encoding="utf-8")


def marks(**given: str) -> dict:
    return {name: {"mark": given.get(name, "ok"), "quote": ""} for name in DIMENSIONS}


class Judge:
    """A judge that says of one response in four what stands in `replies`, and keeps what it was asked."""

    def __init__(self, monkeypatch) -> None:
        self.asked: list[dict] = []
        self.refuses = False
        monkeypatch.setattr(LLMJudge, "_send", lambda judge, path, body=None: self.send(body))
        monkeypatch.setattr(LLMJudge, "pause", 0)

    def send(self, body: bytes | None) -> bytes:
        if body is None:
            return b'{"data": [{"id": "judge"}]}'

        self.asked.append(json.loads(body))
        if self.refuses:
            raise OSError("busy")

        *pictures, text = self.asked[-1]["messages"][0]["content"]
        assert pictures and all(one["image_url"]["url"].startswith("data:image/png;base64,") for one in pictures)
        response = text["text"].split("<response>\n")[1].split("\n</response>")[0]
        told = marks()
        kind = int(digest(response), 16) % 4
        if kind == 1:
            told["perception"] = {"mark": "fault", "quote": response[:40]}
        elif kind == 2:
            told["logic"] = {"mark": "fault", "quote": "nobody said this"}
        elif kind == 3:
            return json.dumps({"choices": [{"message": {"content": "I would say: fine."}}]}).encode()

        return json.dumps({"choices": [{"message": {"content": f"```json\n{json.dumps(told)}\n```"}}]}).encode()


@pytest.mark.slow
@pytest.mark.usefixtures("no_drawing")
def test_a_judge_marks_the_process_once_and_what_it_fails_on_cannot_be_told(recorded_runs, tmp_path, monkeypatch):
    run = shutil.copytree(recorded_runs["first"], tmp_path / "run", ignore=shutil.ignore_patterns("*.sqlite*"))
    with (run / "evaluation.yaml").open("a") as file:
        file.write("process: {perception: 2, logic: 1, answer: 1}\n")

    judge, server = LLMJudge("http://judge/v1", "judge", pause=0), Judge(monkeypatch)
    count, failures = judge_process(run, judge, count=60)
    rows = marks_in(run)
    kinds = {key: int(row["response"], 16) % 4 for key, row in rows.items()}
    assert count == len(rows) > 40 and set(kinds.values()) == {0, 1, 2, 3}
    responses = {(one.question, one.sample): one.response for one in read_rollouts(run)}
    for key, row in rows.items():
        told = [row[name]["mark"] for name in DIMENSIONS]
        expected = {
            0: ["ok"] * 4,
            1: ["fault", "ok", "ok", "ok"],
            2: ["ok", "cannot tell", "ok", "ok"],
            3: ["cannot tell"] * 4,
        }
        assert told == expected[kinds[key]]
        assert all(row[name]["quote"] in " ".join(responses[key].split()) for name in DIMENSIONS)

    failed, first = sum(kind == 3 for kind in kinds.values()), len(server.asked)
    assert failures == failed == sum(row.get("failed", False) for row in rows.values())
    assert first == count - failed + 3 * failed
    whole = (run / "process.jsonl").read_bytes()
    judge_process(run, judge, count=60)
    assert len(server.asked) == first + 3 * failed and (run / "process.jsonl").read_bytes() == whole, "judged once"

    found = {one.name: one for one in dimensions_of(read_run(run))}
    shares = {name: np.mean([row[name]["mark"] == "ok" for row in rows.values()]) for name in DIMENSIONS}
    assert {name: found[name].ok.score for name in DIMENSIONS} == pytest.approx(shares)
    weighted = (2 * shares["perception"] + shares["logic"] + shares["answer"]) / 4
    assert found["weighted"].ok.score == pytest.approx(weighted) and found["weighted"].weight == 4
    assert found["weighted"].ok.high > weighted + found["weighted"].cannot_tell, "what cannot be told may be ok"
    write_report([run], tmp_path / "report")
    text = (tmp_path / "report/report.md").read_text(encoding="utf-8")
    assert "| perception | 2 |" in text and "Not calibrated: 0 responses are labelled" in text
    assert f"On {failed} of {count} responses its reply could not be read" in text
    quoted = next(row for key, row in rows.items() if kinds[key] == 1)
    assert "perception</" in (tmp_path / "report/report.html").read_text(encoding="utf-8"), quoted

    labels = tmp_path / "labels.jsonl"  # a person marks what the judge marked, and sees one fault more
    lines = [row | {"logic": "fault" if number == 0 else row["logic"]} for number, row in enumerate(rows.values())]
    write_jsonl(labels, lines)
    judge_process(run, judge, count=60, labels=read_labels(labels))
    found = {one.name: one for one in dimensions_of(read_run(run))}
    assert found["perception"].labels == count and found["perception"].kappa == 1
    assert found["logic"].agree == pytest.approx(1 - 1 / count) and 0.5 < found["logic"].kappa < 1
    assert math.isnan(found["weighted"].kappa)


@pytest.mark.slow
@pytest.mark.usefixtures("no_drawing")
def test_labels_of_another_response_do_not_count_and_what_is_none_is_named(recorded_runs, tmp_path, monkeypatch):
    path = tmp_path / "labels.jsonl"
    for row, told in (
        ({"question": "q", "logic": "good"}, r"labels\.jsonl:1: expected question and a mark"),
        ({"logic": "ok"}, "expected question"),
        ({"question": "q"}, "a mark"),
    ):
        path.write_text(json.dumps(row) + "\n")
        with pytest.raises(UserError, match=told):
            read_labels(path)

    run = shutil.copytree(recorded_runs["first"], tmp_path / "run", ignore=shutil.ignore_patterns("*.sqlite*"))
    Judge(monkeypatch)
    judge = LLMJudge("http://judge/v1", "judge", pause=0)
    judge_process(run, judge, count=10)
    ids = [key[0] for key in marks_in(run)]
    rows = [{"question": ids[0], "logic": "ok", "response": "0" * 16}, {"question": ids[1], "logic": "ok"}]
    write_jsonl(path, rows)
    judge_process(run, judge, count=10, labels=read_labels(path))
    assert [key[0] for key, row in marks_in(run).items() if "labels" in row] == [ids[1]]


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({"process": {"sight": 1}}, "expected a weight"),
        ({"process": {"logic": 0}}, "not all of them 0"),
        ({"process": {"logic": math.nan}}, "expected a weight"),
        ({"process": {"logic": 1}}, "Name judge_url and judge_model"),
        ({"budget": [8000]}, "leaves a solution no room in max_tokens; at most 7,168"),
        ({"budget": 0}, "budget"),
        ({"budget_by": "level"}, "of no budget"),
        ({"budget": 100, "dialect": "openai", "urls": ["http://a"]}, "only vLLM goes on behind a thought"),
        ({"recheck": 0}, "recheck"),
        ({"process_labels": "no.jsonl"}, "process_labels: no file no.jsonl"),
    ],
)
def test_wrong_keys_are_told_before_anything_is_asked(keys, told, tmp_path):
    given = {"benchmarks": ["mmmu"], "model_name_or_path": "m", "output_dir": str(tmp_path / "out")} | keys
    path: Path = tmp_path / "config.yaml"
    path.write_text(json.dumps(given))
    with pytest.raises(UserError, match=told):
        read_config(path)
