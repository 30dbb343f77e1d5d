"""Names of marks: which columns judge the response, in which words, and which have another purpose."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from virgo_factory.core.example import Example
from virgo_factory.formats import Options, read_row
from virgo_factory.formats.any_row.second_columns import NOT_TRAINED_BESIDE_CHAT
from virgo_factory.formats.marks.names import Kind, kinds_of


RESPONSE = "<think>\nA is larger.\n</think>\n\nIt is \\boxed{A}."
WRONG = "the response is marked wrong"
CUT = "the response was cut off at the token limit"
NOTED = "noted"


def read(question="Which?", **marks):
    (part,) = read_row({"id": "r", "question": question, "response": RESPONSE, **marks}, "long_thought").parts
    return part


def outcome(**row):
    """Return why a row is dropped, NOTED where it is kept with a note, "" where nothing is made of its marks."""
    found = read(**row)
    if not isinstance(found, Example):
        return found.reason

    return NOTED if any(note.startswith("mark not understood: ") for note in found.notes) else ""


MARKS = [
    (WRONG, [
        {name: 0} for name in (
            "judge_correct", "answer_correct", "response_is_correct", "is_solved", "gpt_score", "gpt4_score", "gpt4o_score",
            "llm_judge_score", "rule_reward", "outcome_score", "orm_score", "verifier_passed", "em_score", "kto_tag", "isRight",
            "correct_or_not", "human_score", "llm_judge_verdict", "pred_correct", "model_answer_correct", "thought_correct",
        )
    ] + [
        *({name: False} for name in ("matches_ground_truth", "has_correct_answer", "answer_equal", "answer_matches")),
        {"verification": "failed"}, {"llm_judge": "incorrect"}, {"gpt4o_verdict": "incorrect"}, {"check": "fail"},
        {"answer_status": "wrong"}, {"right_or_wrong": "wrong"}, {"verdicts": ["wrong"]}, {"answer_wrong": True},
        {"metadata": {"eval": {"correct": False}}}, {"evals": {"correct": 0}}, {"scores": {"accuracy": 0.0}},
        {"model_output": {"correct": False}}, {"labels": {"correct": False}}, {"reward_model": {"score": 0}},
        {"annotations": [{"correct": False}, {"correct": False}]}, {"results": '{"correct": false}'},
        {"not_correct": True}, {"is_not_correct": 1},
    ]),
    (CUT, [
        *({name: False} for name in ("generation_is_complete", "completed", "finish", "ended", "reached_eos", "is_terminated",
                                     "is_end", "response_finished", "thinking_complete", "think_closed", "has_end_think",
                                     "thinking_closed", "think_finished", "has_eos")),
        *({name: True} for name in ("truncation", "is_clipped", "truncated_response", "thought_truncated", "answer_cut_off", "trunc", "was_trunc")),
        *({name: "length"} for name in ("finish", "finish_state", "finish_type", "completion_reason", "generation_status",
                                        "exit_reason", "was_stopped", "response_status", "end_status")),
        {"metadata": {"generation": {"finish_reason": "max_tokens"}}}, {"reached_max_steps": True}, {"native_finish_reason": "MAX_TOKENS"},
    ]),
    ("nothing in it is marked to be learned", [
        {name: False} for name in ("train_on_this", "include_loss", "used_for_training", "selected_for_training", "apply_loss")
    ]),
    (NOTED, [
        {name: value} for name in ("correctness_count", "pass_rate", "pass_rate_72b_tir", "num_correct", "pass_at_1", "pass@1",
                                   "solve_rate", "success_rate", "acc_avg_at_8", "avg_reward")
        for value in (0, 0.0, "0", "0/8")
    ] + [
        {name: value} for name in ("quality", "overall_quality", "response_quality", "quality_score", "rating", "human_rating")
        for value in (0, 1, 3.5, "2", "poor")
    ] + [
        {name: False} for name in ("verification", "is_verified", "verify", "valid", "qwen_correct", "majority_correct",
                                   "is_chosen", "selected", "is_best", "consistent", "llm_judge", "claude_grade", "result",
                                   "stop", "problem_is_valid", "checked")
    ] + [
        {name: True} for name in ("filtered", "is_error", "hallucination", "has_hallucination", "is_refusal", "to_remove",
                                  "discarded", "is_rejected", "timed_out", "contaminated")
    ] + [
        {"category": "wrong"}, {"type": "incorrect"}, {"group": ["algebra", "bad"]}, {"errors": ["slip"]}, {"mistakes": 1},
        {"error_type": "calculation"}, {"is_false": True}, {"truncate": True}, {"train_on_prompt": True},
        {"error": "timeout"}, {"error_message": "rate limit"}, {"exception": "x"}, {"error": {"code": 500}},
        {"feedback": "negative"}, {"status": "rejected"}, {"tags": ["wrong", "algebra"]}, {"flags": "truncated"},
        {"split": "test"}, {"split": "Validation"}, {"thumbs": "down"}, {"reward_model": 0.0}, {"prm_score": 0.2},
        {"gpt_score": 3}, {"label": 0, "answer": "A"}, {"label": "incorrect", "gt": "A"}, {"label": -1, "gt": "A"}, {"quality_label": "bad"}, {"truncated_at": 4096},
    ]),
    ("", [
        {name: 0.25} for name in ("correctness_count", "pass_rate", "solve_rate", "pass_at_1")
    ] + [
        {"pass_rate": "n/a"}, {"pass_rate": None}, {"quality": "high"}, {"filtered": False}, {"split": "train"}, {"tags": ["algebra"]},
        {"category": "algebra"}, {"type": "False"}, {"class": "F"}, {"errors": []}, {"error_type": None}, {"is_false": False},
        {"true_false": True}, {"is_closed": False}, {"mask_history": True}, {"train_on_inputs": False},
        {"error": None}, {"error": "none"}, {"error_message": ""}, {"is_best": True}, {"check": "gpt-4o"}, {"finish": "stop"},
        {"reward_model": {"style": "rule", "ground_truth": "0"}}, {"stopped": True}, {"verification": "I check it: 1 + 1 = 2."},
        {"annotations": [{"correct": False}, {"correct": True}]}, {"label": "A"}, {"label": 0}, {"label": "no"},
        {"label": 0, "answer": "A", "options": ["x", "y"]}, {"generation_config": {"truncation": True}},
    ]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("expected", "marks"), [(expected, marks) for expected, rows in MARKS for marks in rows], ids=str
)
def test_what_becomes_of_a_row_with_a_mark(expected, marks):
    assert outcome(**marks) == expected


def test_a_row_for_kto_has_its_verdict_in_its_label():
    for label, expected in ((False, WRONG), (True, "")):
        row = {"prompt": "Which?", "completion": RESPONSE, "label": label}
        for options in (Options(), Options(columns={"response": "completion"})):
            (part,) = read_row(row, "long_thought", options).parts
            assert getattr(part, "reason", "") == expected


OTHERS = st.sampled_from(
    "home away game player image picture team visitor image_text difficulty toxicity topic exam sat map weather movie "
    "option distractor step triangle ocr chart credit city tax box bbox frame video".split()
)
ASPECTS = st.sampled_from(
    "score scores reward rating quality match pass result status state truncated complete finished error filtered "
    "hit reject good bad success wrong cut accuracy".split()
)
THINGS = st.sampled_from(
    "answer answers option options letter choice index format type id label_name text explanation url unit".split()
)
OF_THINGS = st.builds(
    "{}_{}".format, st.sampled_from(["correct", "wrong", "incorrect", "best", "score", "label"]), THINGS
).filter(lambda name: name != "wrong_answer")  # a distractor, or a mark: a yes is noted
VALUES = st.sampled_from(
    [0, 1, 0.0, 3, 0.4, False, True, "0", "no", "wrong", "incorrect", "failed", "length", "A", ["wrong"], [0]]
)


OF_OTHERS = st.builds("{}_{}".format, ASPECTS, OTHERS).filter(
    lambda name: name != "error_step"
)  # where a thought goes wrong


@given(st.builds("{}_{}".format, OTHERS, ASPECTS) | OF_OTHERS | OF_THINGS, VALUES)
def test_a_column_of_another_purpose_is_no_mark(name, value):
    assert kinds_of(name) <= {Kind.NESTED}, name
    assert outcome(**{name: value}) == ""


@given(
    st.sampled_from(["question", "game", "state_of_game", "scene", "table", "input_data", "image_info_of_scene"]),
    ASPECTS,
    VALUES,
)
def test_an_object_of_another_purpose_has_no_marks(column, name, value):
    row = {"messages": [{"role": "user", "content": "Which?"}, {"role": "assistant", "content": RESPONSE}]}
    (part,) = read_row({**row, column: {name: value}}, "long_thought").parts
    assert isinstance(part, Example)
    assert not [note for note in part.notes if not note.startswith(NOT_TRAINED_BESIDE_CHAT)]


@pytest.mark.parametrize(
    ("name", "word"), [("score", "score"), ("final_score", "score"), ("reward", "reward"), ("match", "match")]
)
def test_a_column_that_holds_what_is_asked_for_is_no_verdict(name, word):
    question = f"What is the {word} of the home team?"
    assert outcome(question=question, answer="0", **{name: 0}) == NOTED
    assert outcome(question=question, answer="4", **{name: 0}) == WRONG
    assert outcome(question="How many?", answer="0", **{name: 0}) == WRONG


@given(
    st.sampled_from(["label", "answer", "gt", "ground_truth", "solution", "target", "gold"]),
    st.sampled_from(list("ABCDE")),
)
def test_the_letter_of_the_gold_answer_is_no_mark(name, letter):
    assert outcome(**{name: letter}, options=["x", "y"]) == ""
