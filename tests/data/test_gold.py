"""Solutions whose final answer is not the row's gold answer are told; what may be the same, or may not be the answer, is not."""

import pytest

from virgo_factory.core.example import Example
from virgo_factory.core.thought import LongThought
from virgo_factory.data.rows import final_answer
from virgo_factory.data.rows.rules import row_findings


CHOICE = "Which?\nA. red\nB. blue"
CASES = [
    # (question, solution, gold answer, the answer that is told)
    ("6 * 7?", r"It is \boxed{41}.", "42", "41"),
    ("6 * 7?", "41", "42", "41"),
    ("6 * 7?", "The answer is 41.", "42", "41"),
    ("6 * 7?", "**Answer:** 41", "42", "41"),
    ("6 * 7?", "<answer>41</answer>", "42", "41"),
    ("6 * 7?", r"First \boxed{42}, so \boxed{41}.", "42", "41"),
    (CHOICE, "B", "A", "B"),
    (CHOICE, "The answer is B.", "(A)", "B"),
    (CHOICE, r"\boxed{blue}", "A", "blue"),
    ("Which?", r"\boxed{C}", "A", "C"),
    ("Is it?", "No.", "yes", "no"),
    ("6 * 7?", r"It is \boxed{42}.", "42", ""),
    ("6 * 7?", r"It is \boxed{42.0}.", "42", ""),
    (CHOICE, r"\boxed{blue}", "B", ""),
    ("How many?", r"\boxed{forty-two}", "42", ""),
    ("How long?", r"\boxed{42\text{ cm}}", "42", ""),
    ("Which share?", r"\boxed{75\%}", "0.75", ""),
    ("Which share?", r"\boxed{\frac{3}{4}}", "0.75", ""),
    ("How many?", r"\boxed{1000}", "1,000", ""),
    ("Pi?", r"\boxed{3.14159}", "3.14", ""),
    ("How many?", "There are 12 red and 30 blue ones.", "42", ""),
    ("What?", r"\boxed{x+1}", "42", ""),
    ("How many?", r"\boxed{41}", "42 jars", "41"),
    ("Which share?", r"\boxed{41}", r"\frac{41}{2}", "41"),
    ("Which share?", r"\boxed{\frac{1}{3}}", "1/2", r"\frac{1}{3}"),
    ("How many?", r"\boxed{42}", "42 jars", ""),
    ("How many?", r"\boxed{42 \text{ jars}}", "42 jars", ""),
    ("How many metres?", r"\boxed{5000}", "5 kilometers", ""),
    ("How long?", r"\boxed{6 \text{ meters}}", "5 meters", r"6 \text{ meters}"),
    ("How long?", r"\boxed{2:30}", "150 minutes", ""),
    ("Which share?", r"\boxed{0.5}", r"\dfrac{1}{2}", ""),
    ("Which share?", r"\boxed{50\%}", "1/2", ""),
    ("Who?", r"\boxed{Ann}", "Bob", ""),
    ("Who?", "It cannot be told.", "42", ""),
    ("Who?", r"\boxed{Ann}", "a whole solution that ends with 42", ""),
    ("6 * 7?", "41", None, ""),
]


@pytest.mark.parametrize(("question", "solution", "answer", "told"), CASES)
def test_only_what_certainly_differs_is_told(question, solution, answer, told):
    example = Example("a", question, LongThought("Let me see.", solution), answer=answer)
    found = final_answer.contradiction(example) if final_answer.may_contradict(example) else ""
    assert found == (told and f"the answer is {told}, the row's gold answer {answer}")


def test_a_gold_answer_that_stands_in_the_solution_costs_nothing(monkeypatch):
    monkeypatch.setattr(final_answer, "contradiction", None)
    for solution, answer in (
        ("So there are 42 of them.", "42"),
        ("(B) blue", "B"),
        ("Yes, it is.", "yes"),
        (r"\boxed{-3}", "-3"),
    ):
        assert not final_answer.may_contradict(Example("a", "Q?", LongThought("t", solution), answer=answer))


NAMES = ["answer", "gold", "ground_truth", "gold_answer", "expected_answer", "reference_answer", "target", "final_answer", "correct_answer", "gts", "Answer",
         "gold_label", "correct_option", "answerKey", "标准答案"]  # fmt: skip


@pytest.mark.parametrize("column", NAMES)
def test_they_are_a_finding_and_are_trained_on(check, column):
    rows = [
        {
            "question": f"{n} + 1?",
            "response": f"<think>I add: {n + 1}.</think>It is \\boxed{{{n + 1}}}.",
            column: n + n % 2,
        }
        for n in range(1, 9)
    ]
    report = check({"rows.jsonl": rows})
    (kind,) = report.kinds
    assert (kind.code, kind.severity, kind.count, report.accounts[0].kept) == ("gold_contradicted", "warning", 4, 8)
    assert kind.shown[0].detail == "the answer is 3, the row's gold answer 2"


WRITTEN = [
    # (columns of the row, the gold answer)
    ({"answer": "\\boxed{999}"}, "999"), ({"answer": "$999$"}, "999"), ({"answer": "So 999.\n#### 999"}, "999"), ({"answer": ["999"]}, "999"),
    ({"solution": "First \\boxed{5}, so \\boxed{999}."}, "999"), ({"reward_model": {"style": "rule", "ground_truth": "999"}}, "999"),
    ({"extra_info": {"answer": 999, "index": 3}}, "999"), ({"label": "B"}, "B"), ({"label": 999}, "999"), ({"ground_truth_solution": "999"}, "999"),
    ({"label": 1}, ""), ({"label": True}, ""), ({"label": "0"}, ""), ({"answer": ["5", "6"]}, ""), ({"answer_index": 3}, ""), ({"answer_type": "999"}, ""),
    ({"model_answer": "999"}, ""), ({"wrong_answer": "999"}, ""), ({"extra_info": "999"}, ""), ({"target_length": 999}, ""), ({"options": ["999"]}, ""),
    ({"answer": "It follows that 999 is not 998"}, ""), ({"source": {"answer": "999"}}, ""), ({"final_answer": "\\frac{1}{2}"}, "\\frac{1}{2}"), ({"difficulty_label": 999}, ""),
    ({"expected": 999}, "999"), ({"numeric_answer": 999.0}, "999.0"), ({"objective_answer": "999"}, "999"), ({"answer": "999 jars"}, "999 jars"), ({"answer": "999/2"}, "999/2"),
    ({"verification_info": '{"ground_truth": "999"}'}, "999"), ({"verification_info": {"answer": 999}}, "999"), ({"verification_info": "{}"}, ""), ({"verification_info": "answer 999"}, ""),
    ({"answer": "999 red jars"}, ""), ({"answer": "The total is 999."}, ""), ({"expected_length": 999}, ""), ({"metadata": '{"seed": 999}'}, ""),
]  # fmt: skip


@pytest.mark.parametrize(("columns", "gold"), WRITTEN)
def test_a_gold_answer_is_read_by_its_usual_names_and_spellings(columns, gold):
    example = Example("a", "How many?", LongThought("I see 5.", "It is \\boxed{5}."), answer=None)
    found = final_answer.with_gold(example, columns)
    assert (found.answer or "") == gold
    assert bool(gold) == final_answer.may_contradict(found)


def test_so_many_are_judged_and_no_more(check, monkeypatch):
    rows = [
        {"question": f"{n}?", "response": f"<think>I add: {n}.</think>\\boxed{{{n}}}", "answer": -1}
        for n in range(final_answer.JUDGED + 9)
    ]
    assert [kind.count for kind in check({"rows.jsonl": rows}).kinds] == [final_answer.JUDGED]


TWICE = [
    # (thought, solution, what is told)
    ("5, 7", "It is \\boxed{486}.\n<answer>999</answer>", "boxes 486, and has 999 in <answer>"),
    ("5, 7", "\\boxed{B}\n\n<answer> (C). </answer>", "boxes B, and has C in <answer>"),
    ("So it is \\boxed{B}.", "The answer is \\boxed{C}.", "the thought ends with B, the solution boxes C"),
    ("So the answer is yes.", "\\boxed{\\text{No}}", "the thought ends with yes, the solution boxes No"),
    ("65 * 13. The final answer is **845**.", "\\boxed{854}", "the thought ends with 845, the solution boxes 854"),
    ("12 or 14?", "\\boxed{12}. Wait, that is wrong, it should be 14.", "boxes 12, and takes it back"),
    ("5 or 12?", "So \\boxed{5}. On second thought, it is \\boxed{12}.", "boxes 5, and takes it back"),
    ("5, 7", "First \\boxed{5}, then \\boxed{7}. <answer>7</answer>", ""),
    ("5, 7", "\\boxed{7}\n<answer>7.0</answer>", ""),
    ("5, 7", "\\boxed{3}\n<answer>B</answer>", ""),
    ("5, 7", "<answer>\\boxed{7}</answer>", ""),
    ("5, 7", "\\boxed{\\frac{1}{2}}\n<answer>0.5</answer>", ""),
    ("5, 7", "\\boxed{7}\n<answer>seven</answer>", ""),
    ("So it is \\boxed{B}. Wait, no, it is C.", "\\boxed{C}", ""),
    ("So the answer is 3.14159.", "\\boxed{3.14}", ""),
    ("So the answer is 75%.", "\\boxed{0.75}", ""),
    ("So the answer is 3/4.", "\\boxed{3}", ""),
    ("So the answer is 5.", "\\boxed{B}", ""),
    ("(a) \\boxed{3}, (b) the answer is 4.", "(a) \\boxed{3}, (b) \\boxed{4}", ""),
    ("It is 12.", "\\boxed{12}. Wait, let me check: 3 * 4 = 12, so \\boxed{12}.", ""),
    ("It is 12.", "\\boxed{12}. Wait, did I make a mistake? No.", ""),
    ("They wait 12 minutes.", "They wait \\boxed{12} minutes. Wait times are not wrong.", ""),
]


@pytest.mark.parametrize(("thought", "solution", "told"), TWICE)
def test_two_different_answers_of_one_response_are_told(thought, solution, told):
    assert final_answer.two_answers(solution, thought) == told
    found = row_findings(Example("a", "Q?", LongThought(thought, solution)), ())
    assert [finding.detail for finding in found if finding.code == "two_answers"] == ([told] if told else [])


@pytest.mark.parametrize(
    ("question", "solution", "letter"),
    [
        ("Which?\nA. 3\nB. 4\nC. 5", r"\boxed{D}", "D"),
        ("Which? (A) 3 (B) 4", r"So \boxed{\text{E}}.", "E"),
        ("Options: A) 3, B) 4.", r"\boxed{(C)}", "C"),
        ("\u54ea\u4e2a\uff1f\nA\u30013\nB\u30014", r"\boxed{C}", "C"),
        ("Which?\nA. 3\nB. 4\nC. 5", r"\boxed{C}", ""),
        ("Which?\nA. 3\nB. 4, where E is a point", r"\boxed{E}", ""),
        ("Which?\nB. 3\nD. 4", r"\boxed{C}", ""),
        ("Which point, A. or B.?", r"\boxed{C}", ""),
        ("Name the set. (A) is a list.", r"\boxed{C}", ""),
        ("Which?\nA. 3\nB. 4", r"\boxed{C = 3}", ""),
        ("Which?\nA. 3\nB. 4", "The answer is C.", ""),
    ],
)
def test_a_letter_that_no_option_has_is_told(question, solution, letter):
    assert final_answer.no_such_option(question, solution) == letter
    found = row_findings(Example("a", question, LongThought("Is C = 3?", solution)), ())
    assert [(one.code, one.detail) for one in found] == ([("no_such_option", f"boxes {letter}")] if letter else [])
