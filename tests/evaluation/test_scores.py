"""Scores of folders: groups against independent sums, metrics with known values, and what is outstanding."""

import csv
import hashlib
import json
import math
from collections import defaultdict

import pandas as pd
import pytest

from virgo_factory.answers import Question, Task, grading, score_many
from virgo_factory.core.errors import UserError
from virgo_factory.evaluation.benchmarks import BENCHMARKS
from virgo_factory.evaluation.paper.tables import Cell, ours_of
from virgo_factory.evaluation.questions import Taken, read_benchmark
from virgo_factory.evaluation.scores import COLUMNS, hold, scores, write_csv


ABOUT = {"run": "r", "model": "m", "scorer": "ours", "max_tokens": 8192}


def rollout(id: str, response: str, sample: int = 0, tokens: int = 10, end: str = "stop") -> dict:
    return {
        **{"question": id, "model": "m", "sample": sample, "response": response, "finish_reason": end},
        **{"completion_tokens": tokens},
    }


def verdict(row: dict, verdict: str = "correct", reason: str = "same_value", answer: str = "1") -> dict:
    state = {"stop": "complete", "length": "truncated", "loop": "looping"}[row["finish_reason"]]
    digest = int.from_bytes(hashlib.blake2b(row["response"].encode(), digest_size=8).digest(), "little")
    return {
        **{"question": row["question"], "model": "m", "sample": row["sample"], "verdict": verdict, "reason": reason},
        **{"answer": answer, "state": state, "response": f"{digest:016x}"},
    }


def question(id: str, source: str = "mathvision", cluster: str | None = None, **groups: str) -> dict:
    return {"id": id, "source": source, "groups": groups, "cluster": cluster or id}


def scored(questions: list[dict], right: dict[str, object], **options) -> dict[tuple, dict]:
    """Score questions of which each has a list of verdicts (True, False, None for unverifiable), or one of them."""
    rollouts, verdicts = [], []
    for id, told in right.items():
        for sample, one in enumerate(told if isinstance(told, list) else [told]):
            rollouts.append(rollout(id, f"{id} {sample} {one}", sample))
            verdicts.append(verdict(rollouts[-1], {True: "correct", False: "wrong", None: "unverifiable"}[one]))

    held = hold(questions, rollouts, verdicts)
    rows = scores(held, ABOUT, **options)
    return {(row["benchmark"], row["group"], row["value"], row["metric"]): row for row in rows}


@pytest.fixture(scope="module")
def recorded(hub, shared_data):
    """Questions of MathVision, and Gemini's recorded responses to them with our verdicts and the script's labels."""
    taken = Taken(BENCHMARKS["mathvision"], "")
    questions = list(read_benchmark(BENCHMARKS["mathvision"], hub / "mathvision", taken))[::4]
    outputs = {}
    for line in (shared_data / "mathvision/outputs/Gemini-Pro-CoT.jsonl").open(encoding="utf-8"):
        row = json.loads(line)
        outputs[f"mathvision/{row['id']}"] = row

    rollouts = [
        rollout(one["id"], outputs[one["id"]]["response"], tokens=number)
        for number, one in enumerate(questions, start=1)
    ]
    tasks = [
        Task(
            row["response"],
            one["gold"],
            Question(one["question"], options=tuple(one.get("options", ())), kind=one.get("kind")),
            grading(one["grading"]),
        )
        for one, row in zip(questions, rollouts, strict=True)
    ]
    found = list(score_many(tasks, workers=1))
    verdicts = [
        verdict(row, one.verdict, one.reason, one.answer.text) for row, one in zip(rollouts, found, strict=True)
    ]
    return questions, rollouts, verdicts, [outputs[one["id"]]["correct"] for one in questions]


@pytest.mark.slow
def test_our_verdicts_on_questions_as_read_agree_with_the_labels_of_the_benchmark(recorded):
    _, _, verdicts, labels = recorded
    agreed = [(one["verdict"] == "correct") == label for one, label in zip(verdicts, labels, strict=True)]
    assert sum(agreed) / len(agreed) >= 0.97


@pytest.mark.slow
def test_groups_are_the_sums_that_pandas_gives(recorded):
    questions, rollouts, verdicts, _ = recorded
    rows = scores(hold(questions, rollouts, verdicts), ABOUT)
    frame = pd.DataFrame([one["groups"] for one in questions])
    frame["correct"] = [one["verdict"] == "correct" for one in verdicts]
    frame["unparsed"] = [one["reason"] == "no_answer" for one in verdicts]
    frame["tokens"] = range(1, len(frame) + 1)
    assert [row["metric"] for row in rows] == ["accuracy"] * len(rows)
    assert len(rows) == 1 + 5 + frame["subject"].nunique()
    whole = rows[0]
    assert (whole["n"], whole["asked"], whole["clusters"]) == (len(frame),) * 3
    assert whole["score"] == pytest.approx(100 * frame["correct"].mean(), abs=1e-4)
    assert whole["unparsed"] == pytest.approx(100 * frame["unparsed"].mean(), abs=1e-4)
    assert whole["tokens_p95"] == pytest.approx(frame["tokens"].quantile(0.95), abs=0.1)
    for row in rows[1:]:
        part = frame[frame[row["group"]] == row["value"]]
        assert (row["n"], row["correct"]) == (len(part), part["correct"].sum())
        assert row["score"] == pytest.approx(100 * part["correct"].mean(), abs=1e-4)
        assert row["tokens_mean"] == pytest.approx(part["tokens"].mean(), abs=0.1)


@pytest.mark.slow
def test_scores_csv_has_exactly_the_columns_and_no_score_without_its_bar(recorded, tmp_path):
    questions, rollouts, verdicts, _ = recorded
    rows = scores(
        hold(questions, rollouts, verdicts), ABOUT, paper=lambda *key: (38.8, "T2") if key[1] == "" else None
    )
    write_csv(tmp_path / "scores.csv", COLUMNS, rows)
    with (tmp_path / "scores.csv").open(encoding="utf-8", newline="") as file:
        read = list(csv.DictReader(file))

    assert tuple(read[0]) == COLUMNS and ",".join(COLUMNS) == (
        "run,model,epoch,benchmark,group,value,metric,n,asked,correct,unverifiable,score,se,low,high,clusters,truncated,"
        "looping,unparsed,no_end_of_thought,gave_up,tokens_mean,tokens_p95,paper,paper_source,difference,scorer,"
        "question_prefix,image_max_pixels,max_tokens,temperature,vllm,judge,package"
    )
    assert len(read) == len(rows) and all(row["low"] and row["high"] for row in read)
    assert all(float(row["low"]) <= float(row["score"]) <= float(row["high"]) for row in read)
    assert float(read[0]["difference"]) == pytest.approx(float(read[0]["score"]) - 38.8, abs=1e-3)
    assert read[1]["paper"] == read[1]["difference"] == ""


def test_what_stands_beside_a_score():
    questions = [question(f"mathvision/{n}") for n in range(5)]
    rollouts = [
        rollout("mathvision/0", "<|begin_of_thought|> a <|end_of_thought|> 1"),
        rollout("mathvision/1", "cut", tokens=8192, end="length"),
        rollout("mathvision/2", "again and again", end="loop"),
        rollout("mathvision/3", "<think>a</think>I do not know", tokens=30),
    ]
    verdicts = [
        verdict(rollouts[0]),
        verdict(rollouts[1], "wrong", "cut_answer"),
        verdict(rollouts[2], "wrong", "cut_answer"),
        verdict(rollouts[3], "wrong", "no_answer", ""),
    ]
    dropped = [{"question": "mathvision/4", "model": "m", "reason": "too long"}]
    (row,) = scores(hold(questions, rollouts, verdicts, dropped), ABOUT)
    told = {
        name: row[name]
        for name in ("n", "asked", "score", "truncated", "looping", "unparsed", "no_end_of_thought", "gave_up")
    }
    assert told == {
        **{"n": 4, "asked": 5, "score": 25.0, "truncated": 25.0, "looping": 25.0, "unparsed": 25.0},
        **{"no_end_of_thought": 50.0, "gave_up": 20.0},
    }
    assert row["metric"] == "accuracy"  # a question that a server refuses is not outstanding


def test_a_question_without_a_response_stops_the_score_or_marks_it_as_partial():
    questions = [question(f"mathvision/{n}") for n in range(100)]
    right = {f"mathvision/{n}": n % 2 == 0 for n in range(90)}
    with pytest.raises(UserError, match=r"without a judged response: mathvision 10\."):
        scored(questions, right)

    row = scored(questions, right, allow_partial=True)["mathvision", "", "", "accuracy, partial"]
    whole = scored(questions[:90], right)["mathvision", "", "", "accuracy"]
    assert (row["n"], row["asked"], row["score"]) == (90, 100, 50.0)
    assert row["low"] < whole["low"] and row["high"] > whole["high"]  # the ten may be all wrong or all right


def test_a_response_that_was_asked_again_counts_once_and_its_last_verdict_counts():
    questions = [question("mathvision/0")]
    first, second = rollout("mathvision/0", "one"), rollout("mathvision/0", "two")
    verdicts = [verdict(first, "wrong"), verdict(second, "wrong"), verdict(first, "correct")]
    (row,) = scores(hold(questions, [first, second, rollout("mathvision/0", "greedy", -1)], verdicts), ABOUT)
    assert (row["n"], row["score"]) == (1, 100.0)
    assert len(hold(questions, [rollout("mathvision/0", "another")], verdicts).place) == 0


def test_unverifiable_widens_the_interval_and_does_not_lower_the_score_silently():
    questions = [question(f"mathvision/{n}") for n in range(300)]
    sure = {f"mathvision/{n}": n < 150 for n in range(300)}
    unsure = {id: None if n >= 270 else told for n, (id, told) in enumerate(sure.items())}
    plain, row = (scored(questions, told)["mathvision", "", "", "accuracy"] for told in (sure, unsure))
    assert row["score"] == plain["score"] == 50.0 and row["unverifiable"] == 30
    assert row["low"] == plain["low"] and row["high"] == pytest.approx(plain["high"] + 10, abs=0.3)


def test_dynamath_has_an_average_and_a_worst_case_with_clusters():
    questions = [
        question(f"dynamath/{n}/{v}", "dynamath", str(n), subject="s", level="k", type="float")
        for n in range(50)
        for v in range(1, 11)
    ]
    right = {
        one["id"]: int(one["cluster"]) < 10 or (int(one["cluster"]) < 30 and not one["id"].endswith("/7"))
        for one in questions
    }
    rows = scored(questions, right)
    worst, average = rows["dynamath", "", "", "worst"], rows["dynamath", "", "", "accuracy"]
    assert worst["score"] == 20.0 and average["score"] == pytest.approx(100 * (100 + 20 * 9) / 500)
    assert worst["clusters"] == average["clusters"] == 50 and worst["low"] < 20 < worst["high"]
    assert rows["dynamath", "subject", "s", "accuracy"]["n"] == 500
    naive = 100 * math.sqrt(average["score"] / 100 * (1 - average["score"] / 100) / 500)
    assert average["se"] > 2 * naive


def test_we_math_loose_and_strict_are_the_official_formula():
    kinds = {  # steps right, whole right -> how many
        ((True, True), True): 100,
        ((True, False), True): 60,
        ((False, False), True): 40,
        ((True, True), False): 80,
        ((False, True), False): 80,
        ((True, True, True), True): 50,
        ((True, False, False), True): 30,
        ((False, False, False), True): 15,
        ((True, True, True), False): 20,
        ((True, True, False), False): 50,
    }
    questions, right, number = [], {}, 0
    counts = defaultdict(int)
    for (steps, whole), times in kinds.items():
        for _ in range(times):
            number += 1
            told = dict(zip([*map(str, range(1, len(steps) + 1)), "multi"], [*steps, whole], strict=True))
            for step, is_right in told.items():
                id = f"we_math/{number}/{step}"
                questions.append(question(id, "we_math", str(number), steps=str(len(steps)), step=step))
                right[id] = is_right

        counts["IG"] += times * (all(steps) and not whole)
        counts["IK"] += times * (not all(steps) and not whole)
        counts["RM loose"] += times * (not any(steps) and whole)
        counts["RM strict"] += times * (not all(steps) and whole)

    rows = scored(questions, right)
    assert number == 525 and len(questions) == 360 * 3 + 165 * 4
    for metric in ("loose", "strict"):
        official = (525 - 0.5 * counts["IG"] - counts["IK"] - counts[f"RM {metric}"]) / 525
        row = rows["we_math", "", "", metric]
        assert row["score"] == pytest.approx(100 * official, abs=1e-3)
        assert row["clusters"] == 525 and row["low"] < row["score"] < row["high"]


def test_a_part_of_a_composite_is_no_composite():
    steps = [("1", "1"), ("1", "2"), ("1", "multi"), ("2", "1"), ("2", "2")]
    questions = [
        question(f"we_math/{number}/{step}", "we_math", number, steps="2", step=step) for number, step in steps
    ]
    rows = scored(questions, {one["id"]: True for one in questions})
    row = rows["we_math", "", "", "loose"]
    assert (row["score"], row["n"], row["asked"], row["clusters"]) == (100.0, 3, 5, 1)
    assert (row["low"], row["high"]) == ("", ""), "of one composite there is no interval"
    assert str(Cell(ours=ours_of(row | {"metric": "loose"}, 1))) == "- / 100.0 3 of 1,740"


def test_a_folder_without_responses_has_no_score_but_the_widest_bar():
    (row,) = scores(hold([question("mathvision/1")], [], []), ABOUT, allow_partial=True)
    assert (row["n"], row["asked"], row["score"], row["low"], row["high"]) == (0, 1, "", 0.0, 100.0)
    assert row["tokens_mean"] == row["truncated"] == row["unparsed"] == ""


def test_pairs_of_mmvp_and_means_of_groups():
    pairs = [question(f"mmvp/{n}", "mmvp", str((n + 1) // 2)) for n in range(1, 41)]
    rows = scored(pairs, {one["id"]: int(one["id"][5:]) % 4 != 1 for one in pairs})
    assert rows["mmvp", "", "", "pair"]["score"] == 50.0 and rows["mmvp", "", "", "accuracy"]["score"] == 75.0

    sources = ["ADE20K"] * 10 + ["COCO"] * 30 + ["Omni3D"] * 20
    bench = [question(f"cv_bench/{n}", "cv_bench") | {"groups": {"source": of}} for n, of in enumerate(sources)]
    right = {
        one["id"]: n % {"ADE20K": 2, "COCO": 3, "Omni3D": 5}[one["groups"]["source"]] == 0
        for n, one in enumerate(bench)
    }
    row = scored(bench, right)["cv_bench", "", "", "mean of 2D and 3D"]
    frame = pd.DataFrame({"source": sources, "right": list(right.values())}).groupby("source")["right"].mean()
    assert row["score"] == pytest.approx(100 * ((frame["ADE20K"] + frame["COCO"]) / 2 + frame["Omni3D"]) / 2, abs=1e-3)
    assert row["low"] < row["score"] < row["high"]


def test_several_samples_are_averaged_by_question_first_and_vote():
    questions = [question(f"aime24/{n}", "aime24") for n in range(3)]
    rollouts, verdicts = [], []
    for n, answers in enumerate((["5", "5", "7", ""], ["7", "", "", ""], ["3", "4", "4", "3"])):
        for sample, answer in enumerate(answers):
            rollouts.append(rollout(f"aime24/{n}", f"{n} {sample} {answer}", sample))
            told = "correct" if answer in ("7", "4") else "wrong"
            verdicts.append(verdict(rollouts[-1], told, "no_answer" if not answer else "other_value", answer))

    rows = {row["metric"]: row for row in scores(hold(questions, rollouts, verdicts), ABOUT, samples={"aime24": 4})}
    assert rows["accuracy"]["score"] == pytest.approx(100 * (0.25 + 0.25 + 0.5) / 3, abs=1e-3)
    # 5 wins the first, no answer never wins the second, 3 came first in the third
    assert rows["majority"]["score"] == pytest.approx(100 / 3, abs=1e-3)
    assert rows["pass"]["score"] == 100.0 and rows["accuracy"]["n"] == 3
