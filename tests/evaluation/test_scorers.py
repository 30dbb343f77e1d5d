"""The papers' scorers: their faults are kept, and what they ask a judge is asked once and in turn."""

import json

import pytest

from virgo_factory.answers import Question
from virgo_factory.answers.omr import misreads
from virgo_factory.evaluation.benchmarks import BENCHMARKS
from virgo_factory.evaluation.questions import Taken, read_benchmark
from virgo_factory.evaluation.scorers import PAPER, JudgeRequest, omr
from virgo_factory.io.files import TEMPLATES


THOUGHT = "<|begin_of_thought|>\n\n{}\n\n<|end_of_thought|>\n\n<|begin_of_solution|>\n\n{}\n\n<|end_of_solution|>"


def test_mathverse_cuts_the_box_at_its_first_brace_and_asks_twice():
    response = THOUGHT.format("hm", r"The half: \boxed{\frac{1}{2}}")
    first = PAPER["mathverse"](response, "1/2", Question("How much?"))
    assert first == JudgeRequest("judge_extract.txt", {"question": "How much?", "answer": r"\frac{1"})
    second = PAPER["mathverse"](response, "1/2", Question("How much?"), ["1/2"])
    assert (
        second.template == "judge_zero_one.txt" and second.texts["answer"] == "1/2" and second.texts["gold"] == "1/2"
    )
    verdicts = [
        PAPER["mathverse"](response, "1/2", Question("How much?"), ["1/2", reply]) for reply in ("1", "0", "maybe")
    ]
    assert [verdict.verdict for verdict in verdicts] == ["correct", "wrong", "unverifiable"]
    assert verdicts[2].reason == "judge_failed"


def test_mathverse_shows_the_last_thirty_words_of_the_solution():
    words = " ".join(map(str, range(50)))
    request = PAPER["mathverse"](THOUGHT.format("a thought", words), "A", Question("?"))
    assert request.texts["answer"].split() == [str(n) for n in range(20, 50)]


def test_mathvision_joins_all_boxes_with_a_comma_behind_each():
    request = PAPER["mathvision"](r"First \boxed{B}, no: \boxed{C}", "C", Question("Which?", options=("x", "y", "z")))
    assert request.texts == {"question": "Which?\n(A) x\n(B) y\n(C) z", "gold": "C", "answer": "B,C,"}
    assert PAPER["mathvision"]("It is C.", "C", Question("?")).reason == "no_answer"
    assert PAPER["mathvision"](r"\boxed{C} and \boxed{D", "C", Question("?")).reason == "no_answer"


@pytest.mark.parametrize(
    ("said", "gold", "tolerance", "right"),
    [
        (r"\boxed{2}", ["2"], None, True),
        (r"\boxed{1}, \boxed{2}", ["2"], None, False),  # who boxes twice cannot be right
        (r"\boxed{1}, \boxed{2}", ["2,1"], None, True),
        (r"\boxed{\pm 3}", ["3,-3"], None, True),
        (r"\boxed{50}", ["0.5"], None, True),  # a hundred times is right as well
        (r"\boxed{3.14}", ["3.1"], 0.1, True),
        (r"\boxed{3.14}", ["3.1"], None, False),
        (r"\boxed{1.0, 5.3}", ["5", "1"], (0.5, 0.5), True),
        (r"\boxed{x^2+2x+1}", ["(x+1)^2"], None, True),
        (r"\boxed{(1,2)}", ["$(1,2)$"], None, True),
        (r"\boxed{" + "1 + " * 30 + "2}", ["32"], None, False),  # over a hundred characters
        ("The answer is 2.", ["2"], None, False),
    ],
)
def test_olympiadbench_is_scored_by_rule(said, gold, tolerance, right):
    verdict = PAPER["olympiadbench"](said, gold, Question("?", tolerance=tolerance))
    assert (verdict.verdict == "correct") is right


def test_olympiadbench_takes_the_prediction_for_the_gold():
    tolerances = Question("?", tolerance=(0.5, 1e-8))
    assert PAPER["olympiadbench"](r"\boxed{1.2, 5}", ["1", "5"], tolerances).verdict == "correct"
    assert PAPER["olympiadbench"](r"\boxed{5, 1.2}", ["1", "5"], tolerances).verdict == "wrong"


def test_mmmu_reads_a_letter_by_rule_and_asks_where_it_cannot():
    question = Question("Which?", options=("red light", "blue light", "green light"))
    assert PAPER["mmmu"]("(B)", "B", question).verdict == "correct"
    assert PAPER["mmmu"]("I see blue light here", "B", question).verdict == "correct"
    unclear = "A or B? A red thing, so B"
    request = PAPER["mmmu"](unclear, "B", question)
    assert request.template == "judge_choice.txt" and "(C) green light" in request.texts["question"]
    replies = {"B": "correct", "Z": "wrong", "none of them": "unverifiable"}
    assert {reply: PAPER["mmmu"](unclear, "B", question, [reply]).verdict for reply in replies} == replies
    assert PAPER["mmmu"]("I'm sorry, but without the image provided", "B", question).verdict == "wrong"
    open_question = PAPER["mmmu"]("about twelve", ["12", "twelve"], Question("How many?"))
    assert "(A) 12\n(B) Other Answers" in open_question.texts["question"]


@pytest.mark.parametrize(("said", "gold"), [("AC=7", "AC=5"), ("Domain: x", "Domain: y"), ("Bear", "B")])
def test_what_omr_calls_right_and_is_not(said, gold):
    assert omr(f"<think>t</think><answer>{said}</answer>", gold, Question("?")).verdict == "correct"


def test_omr_asks_a_judge_where_rules_do_not_match_and_twice_for_a_short_response_without_form():
    formed = "<think>t</think><answer>the shorter rod</answer>"
    request = omr(formed, "the rod that is not long", Question("How long?"))
    assert request.texts == {"question": "How long?", "gold": "the rod that is not long", "answer": "the shorter rod"}
    assert omr(formed, "the rod that is not long", Question("How long?"), ["1"]).verdict == "correct"
    assert omr(formed, "the rod that is not long", Question("How long?"), ["0"]).verdict == "wrong"
    assert omr(formed, "the rod that is not long", Question("How long?"), ["?"]).verdict == "unverifiable"
    plain = "the shorter rod, I think"
    assert omr(plain, "the rod that is not long", Question("?")).texts["answer"] == ""
    assert omr(plain, "the rod that is not long", Question("?"), ["0"]).texts["answer"] == plain
    assert omr(plain, "the rod that is not long", Question("?"), ["0", "1"]).verdict == "correct"
    assert omr(plain, "the rod that is not long", Question("?"), ["0", "0"]).verdict == "wrong"
    assert omr(plain + " " + "x" * 500, "the rod that is not long", Question("?"), ["0"]).verdict == "wrong"


def test_golds_that_omr_takes_for_a_letter(hub, shared_data):
    vision = read_benchmark(BENCHMARKS["mathvision"], hub / "mathvision", Taken(BENCHMARKS["mathvision"], ""))
    assert not any(misreads(row["gold"]) for row in vision if row.get("kind") != "choice")
    rows = json.loads((shared_data / "mathverse/testmini_text_only.json").read_text(encoding="utf-8"))
    free = [row["answer"] for row in rows if row["question_type"] == "free-form"]
    assert 0.08 <= sum(map(misreads, free)) / len(free) <= 0.18


def test_a_template_of_a_judge_has_the_places_that_are_filled():
    question = Question("Which?", options=("red", "blue"))
    for request in (
        PAPER["mathverse"]("x", "A", question),
        PAPER["mathvision"](r"\boxed{A}", "A", question),
        PAPER["mmmu"]("A or B, hm", "A", question),
        omr("none", "A", question),
    ):
        text = (TEMPLATES / request.template).read_text(encoding="utf-8")
        assert all("{" + name + "}" in text for name in request.texts)
        assert text.count("{") == len(request.texts)
