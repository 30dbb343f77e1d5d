"""What rows say about themselves: wrong, cut off, not to be learned; with the ordinary rows that must stay."""

import json

import numpy as np
import pytest

from virgo_factory.core.example import Example
from virgo_factory.core.thought import LongThought
from virgo_factory.formats import Options, RejectedRow, read_row
from virgo_factory.formats.any_row.second_columns import ADDED, NOT_TRAINED


THINK = "<think>\nA is larger.\n</think>\n\nIt is \\boxed{A}."
LONG = LongThought("A is larger.", "It is \\boxed{A}.")
NAN = float("nan")
WRONG, CUT, BROKEN_OFF = (
    "the response is marked wrong",
    "the response was cut off at the token limit",
    "the response was broken off",
)
NOT_LEARNED = "nothing in it is marked to be learned"
UNCLEAR = "the mark of what is to be learned is not understood"


def chat(*responses, **columns):
    """Return a chat row; a response may be a text or an object with its marks."""
    messages = []
    for response in responses or (THINK,):
        marks = response if isinstance(response, dict) else {"content": response}
        messages += [{"role": "user", "content": "Which?"}, {"role": "assistant", "content": THINK, **marks}]

    return {"id": "r", "messages": messages, **columns}


def read(row, options=Options(), formatting="long_thought"):
    (part,) = read_row(row, formatting, options).parts
    return part


LAYOUTS = {
    "chat": chat,
    "question and response": lambda **columns: {"question": "Which?", "response": THINK, **columns},
    "thought and solution": lambda **columns: {"question": "Which?", "thought": "A.", "solution": "A", **columns},
    "steps": lambda **columns: {
        "question": "Which?", "steps": [{"title": "a", "content": "b", "next_action": "final_answer"}],
        "final": {"title": "FINAL ANSWER", "content": "A"}, **columns,
    },
    "screens": lambda **columns: {"instruction": "Which?", "thinking": ["A."], "text": ["A"], **columns},
}  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize(
    ("marks", "reason"),
    [
        ({"correct": 0.0}, WRONG),
        ({"finish_reason": "LENGTH"}, CUT),
        ({"loss": False}, NOT_LEARNED),
        ({"correct": 1}, ""),
    ],
    ids=str,
)
def test_the_marks_of_a_row_count_in_every_layout(layout, marks, reason):
    found = read(layout(**marks))
    assert isinstance(found, RejectedRow) == bool(reason)
    assert not reason or found.reason == reason


@pytest.mark.parametrize("formatting", ["virgo_dt", "virgo_dqvq", "virgo_dsd"])
@pytest.mark.parametrize(
    ("marks", "reason"),
    [({"is_correct": "no"}, WRONG), ({"truncated": "True"}, CUT), ({"weight": 0}, NOT_LEARNED)],
    ids=str,
)
def test_the_marks_of_a_row_count_in_every_formatting(formatting, marks, reason):
    response = "So.\n\n\\boxed{A}" if formatting == "virgo_dqvq" else LONG.render()
    rows = [chat({"content": response}, **marks)]
    if formatting == "virgo_dt":
        rows.append({"question": "Which?", "combined_text": response, **marks})
    if formatting == "virgo_dqvq":
        rows.append({"question": "Which?", "response": response, **marks})
    for row in rows:
        assert read(row, formatting=formatting).reason == reason
        assert isinstance(
            read({key: value for key, value in row.items() if key not in marks}, formatting=formatting), Example
        )


WRONG_MARKS = [
    {name: value}
    for name in (
        "correct", "is_correct", "correctness", "judgment", "judgement", "verdict", "symbolic_correct", "is_right", "passed",
        "accepted", "answer_correct", "Correct", "isCorrect", "model_correct", "math_verify", "correctness_math_verify",
        "correctness_llama", "score", "reward", "verifier_score", "accuracy", "exact_match", "judge_verdict",
    )
    for value in (False, 0, 0.0, "0", "0.0", "False", "false", "no", "N", "wrong", "Incorrect.", "[[incorrect]]")
] + [
    {"correct": np.float64(0)}, {"correct": np.array([0.0])}, {"correct": [False]}, {"is_correct": [0, 0, None]},
    {"wrong": True}, {"is_incorrect": 1}, {"verdict": "错误"}, {"verdict": "✗"}, {"reward": {"score": 0.0}},
    {"metadata": {"is_correct": False}}, {"extra_info": {"score": 0.0}}, {"verification_info": '{"correct": false}'},
    {"correctness_math_verify": False, "correctness_llama": False}, {"correct": True, "score": 0.0},
    {"verdict": {"correct": False}}, {"result": "wrong"}, {"status": "Failed"}, {"outcome": "incorrect"}, {"final_reward": 0},
    {"rewards": [0.0]}, {"acc": 0}, {"em": 0.0}, {"is_correct_answer": "no"}, {"reward_score": 0}, {"answer_match": False},
    {"evaluation": {"correct": 0}}, {"choices": [{"correct": False}]}, {"Correct?": False}, {"was_correct": 0},
    {"eval_result": "Wrong answer"}, {"match_gold": False}, {"sympy_equal": 0}, {"info": "{'correct': False, 'by': None}"},
]  # fmt: skip

RIGHT_MARKS = [
    {name: value}
    for name in ("correct", "judgment", "verdict", "score", "reward", "verifier_score", "passed")
    for value in (True, 1, 1.0, "1", "1.0", "True", "yes", "Correct", None, NAN, "", "unknown", [True], [1, None])
] + [
    {"score": 9}, {"score": 10}, {"reward": 100.0}, {"refusal": None}, {"refusal": ""}, {"refusal": False},
    {"good": True}, {"bad": False}, {"error": "none"}, {"filtered": 0},
    {"drop": 0.5}, {"status": "open"}, {"keep": 1}, {"done": True}, {"label": 0},
    {"wrong": False}, {"is_incorrect": 0}, {"correctness_math_verify": False, "correctness_llama": True},
    # golds and other columns that say nothing of the response
    {"answer": "False"}, {"label": 0}, {"gt": 0}, {"ground_truth": "no"}, {"correct_answer": "no"},
    {"answer": 0}, {"solution_label": 0}, {"correct_option": 0}, {"correct_index": 0}, {"num_correct": 3},
    {"correctness_count": 2}, {"format_reward": 0}, {"toxicity_score": 0}, {"difficulty_score": 0.3},
    {"pass_rate": 0.25}, {"metadata": {"image_score": 0.0, "answer": "no"}},
    {"reward_model": {"style": "rule", "ground_truth": "0"}}, {"metadata": "no"}, {"judge": "gpt-4o"}, {"info": None},
    {"result": "no"}, {"result": 0}, {"status": "done"}, {"outcome": "False"}, {"grade": 3}, {"grade": "7th"}, {"valid": True},
    {"verified": 1.0}, {"evaluation": "MMMU"}, {"status": "ok"}, {"weight": None}, {"choices": ["no", "yes"]},
    {"options": ["wrong", "right"]}, {"choices": ["wrong"]}, {"wrong_answer": "7"}, {"wrong_answer": False}, {"negative": None},
    {"is_partial": False}, {"too_long": 0}, {"grade": "A"}, {"tag": "algebra"}, {"partial": 0.5},
    {"generation_config": {"max_new_tokens": 90}, "num_output_tokens": 80}, {"parameters": "none", "output_tokens": 9},
    {"completion_tokens": 90, "max_tokens": 100}, {"completion_tokens": 90, "max_tokens": 90, "finish_reason": "stop"},
]  # fmt: skip

UNKNOWN_MARKS = [
    ({"score": 0.37}, "score"), ({"reward": -0.5}, "reward"), ({"score": 7}, "score"),
    ({"score": "7 of 10"}, "score"), ({"verdict": "A"}, "verdict"), ({"correct": "B"}, "correct"),
    ({"correct": "partially"}, "correct"), ({"judgment": "It is right, since A is larger, as can be seen. " * 9}, "judgment"),
    ({"score": [1, 0]}, "score"), ({"extra_info": {"score": 0.5}}, "extra_info.score"), ({"accuracy": 0.25}, "accuracy"),
    ({"finish_reason": 2}, "finish_reason"), ({"refusal": "I cannot help with that."}, "refusal"), ({"score": 5}, "score"),
    ({"stop_reason": "###"}, "stop_reason"), ({"truncated": 0.5}, "truncated"),
    ({"grammar_correct": False}, "grammar_correct"), ({"mask": 0}, "mask"), ({"mask": 1}, "mask"), ({"mask": True}, "mask"),
    *(({name: 0}, name) for name in ("error_score", "overlong_reward", "hallucination_score")),  # no error, or no reward
    *(({name: False}, name) for name in ("is_gold", "positive")),
    *(({name: True}, name) for name in ("wrong_answer", "is_negative", "is_partial", "too_long")),
    ({"grade": "C"}, "grade"), ({"judge_result": "B"}, "judge_result"), ({"tag": "wrong"}, "tag"),
    ({"completion_tokens": 90, "max_tokens": 90}, "completion_tokens"),
    ({"usage": {"completion_tokens": 90}, "max_new_tokens": 90}, "usage.completion_tokens"),
    ({"generation_config": {"max_new_tokens": 90}, "num_output_tokens": 90}, "num_output_tokens"),
    ({"sampling_params": '{"max_tokens": 90}', "usage": {"completion_tokens": 90}}, "usage.completion_tokens"),
]  # fmt: skip


@pytest.mark.parametrize("marks", WRONG_MARKS, ids=str)
def test_a_row_that_says_that_it_is_wrong_is_not_learned(marks):
    assert read(chat(**marks)).reason == WRONG


@pytest.mark.parametrize("marks", RIGHT_MARKS, ids=str)
def test_a_row_that_does_not_say_so_is_learned_and_nothing_is_noted(marks):
    example = read(chat(**marks))
    assert isinstance(example, Example) and set(example.notes) <= {ADDED, f"{NOT_TRAINED}: choices"}


@pytest.mark.parametrize(
    "marks", [{"weight": 0.5}, {"loss": 0.83}, {"sample_weight": 2}, {"loss_scale": 0.1}], ids=str
)
def test_a_weight_of_a_row_is_told_and_not_applied(marks):
    (name,) = marks
    assert read(chat(**marks)).notes == (f"learned in full despite its weight: {name}",)


@pytest.mark.parametrize(("marks", "where"), UNKNOWN_MARKS, ids=str)
def test_a_mark_that_is_not_understood_is_noted_and_not_guessed(marks, where):
    assert read(chat(**marks)).notes == (f"mark not understood: {where}",)


@pytest.mark.parametrize(
    ("marks", "reason"),
    [
        *(({name: value}, CUT) for name in ("finish_reason", "stop_reason", "finishReason", "done_reason", "finish_reasons")
          for value in ("length", "LENGTH", "Length", "max_tokens", "MAX_TOKENS", "FinishReason.MAX_TOKENS", ["length"],
                        "model_length", "max tokens", "MaxTokens", "maxTokens", "length_exceeded", ["stop", "length"], {"type": "length", "length": 4096})),
        *(({name: value}, CUT) for name in ("truncated", "is_truncated", "unfinished", "isTruncated")
          for value in (True, 1, 1.0, "True", "yes", [True])),
        *(({name: value}, CUT) for name in ("is_complete", "finished", "is_reasoning_complete") for value in (False, 0, "no")),
        *(({"finish_reason": value}, BROKEN_OFF) for value in ("content_filter", "SAFETY", "abort", "error", "FinishReason.SAFETY", "tool_calls", "pause_turn")),
        ({"metadata": {"finish_reason": "length"}}, CUT),
        ({"extra_info": '{"stop_reason": "max_tokens"}'}, CUT),
        ({"choices": [{"finish_reason": "length", "index": 0}]}, CUT), ({"response_finish_reason": "length"}, CUT),
        ({"finishreason": "length"}, CUT), ({"hit_max_tokens": True}, CUT), ({"generation_finish_reason": "stop"}, ""),
        ({"complete": "Which is larger? A is larger, as can be seen at once."}, ""), ({"reason": "length"}, ""), ({"cutoff": None}, ""),
        ({"incomplete_details": {"reason": "max_output_tokens"}}, CUT), ({"finish_reason": "FINISH_REASON_MAX_TOKENS"}, CUT),
        ({"hit_max_length": True}, CUT), ({"no_eos": True}, CUT), ({"is_trunc": 1}, CUT), ({"max_length_reached": 1}, CUT), ({"exceeded_context_length": "yes"}, CUT),
        ({"done": False}, CUT), ({"has_eos": 0}, CUT), ({"status": "incomplete"}, CUT), ({"status": "aborted"}, BROKEN_OFF), ({"state": "error"}, BROKEN_OFF),
        ({"status": "completed"}, ""), ({"status": "length checked"}, ""), ({"hit_limit": 0}, ""), ({"max_tokens": 1}, ""),
        *(({"finish_reason": value}, "") for value in ("stop", "STOP", "FinishReason.STOP", "end_turn", "eos", "eos_token",
                                                       "stop_sequence", None, NAN, "", ["stop"], {"type": "stop"})),
        ({"truncated": False}, ""), ({"truncated": "no"}, ""), ({"is_complete": True}, ""), ({"truncated": None}, ""),
        ({"finish_reason": "stop", "stop_reason": 151645}, ""), ({"finish_reason": "stop", "stop_reason": "\n\n###"}, ""),
    ],
    ids=str,
)  # fmt: skip
def test_a_row_that_says_that_it_was_cut_off_is_not_learned(marks, reason):
    found = read(chat(**marks))
    assert found.reason == reason if reason else found.notes == ()


TURN_MARKS = [
    *({name: value} for name in ("loss", "weight", "train", "trainable", "training", "loss_mask", "loss_weight", "calculate_loss",
                                 "loss_scale", "train_on_turn", "to_learn", "should_train") for value in (False, 0, 0.0, "false", "0", "no")),
    *({name: value} for name in ("masked", "is_masked", "ignore_loss", "skip") for value in (True, 1, "true")),
    *({name: False} for name in ("is_loss", "train_flag", "loss_enabled", "requires_grad", "output_with_loss", "target", "enabled",
                                 "trained", "label")),
    {"step_weight": 0}, {"trainon": False},
    *({name: True} for name in ("should_mask", "exclude_from_training", "ignore_in_loss")),
    {"lossweight": 0}, {"metadata": {"loss": False}}, {"is_context": True}, {"include_in_loss": False}, {"correct": False}, {"finish_reason": "length"}, {"is_correct": "no"},
]  # fmt: skip


@pytest.mark.parametrize("marks", TURN_MARKS, ids=str)
def test_a_turn_that_is_marked_so_is_context(marks):
    """The first answer is marked; it may be anything then, also a text without a thought."""
    for text in (THINK, "It is B."):
        example = read(chat({"content": text, **marks}, THINK))
        assert [turn.learned for turn in example.turns] == [False, True] and example.response == LONG
        assert example.history[0].response == (LONG if text == THINK else text)
        assert example.notes == ("with turns that are not learned",)
        example = read(chat(THINK, {"content": text, **marks}))
        assert [turn.learned for turn in example.turns] == [True, False] and example.history[0].response == LONG


@pytest.mark.parametrize("marks", TURN_MARKS, ids=str)
def test_a_row_in_which_nothing_is_learned_is_dropped(marks):
    expected = WRONG if {"correct", "is_correct"} & set(marks) else CUT if "finish_reason" in marks else NOT_LEARNED
    assert read(chat(marks)).reason == expected
    assert read(chat(marks, marks)).reason == expected


@pytest.mark.parametrize(
    "marks",
    [
        *({name: value} for name in ("loss", "weight", "train", "lossweight") for value in (1, 1.0, "true", None, NAN)),
        {"loss": True}, {"masked": False}, {"ignore": 0}, {"name": "x"}, {"correct": True}, {"finish_reason": "stop"},
        {"train_detail": None}, {"training_detail": None}, {"mask": None}, {"content": [{"type": "text", "text": THINK, "loss": True}]},
    ],
    ids=str,
)  # fmt: skip
def test_a_turn_with_another_mark_is_learned(marks):
    example = read(chat(marks, THINK))
    assert all(turn.learned for turn in example.turns) and example.notes == ()


@pytest.mark.parametrize(
    "marks",
    [{"weight": 0.5}, {"loss": "half"}, {"loss_scale": 2}, *({"mask": value} for value in (True, False, 1, "1", 0)), {"weight": -1}, {"loss_turns": [1]},
     {"content": [{"type": "thinking", "thinking": "A."}, {"type": "text", "text": "A", "loss": False}]},
     {"train_detail": [{"begin_offset": 0, "end_offset": 4, "train": False}]}, {"training_detail": "none"}],
    ids=str,
)  # fmt: skip
def test_a_mark_of_what_is_to_be_learned_is_never_guessed(marks):
    found = read(chat(marks, THINK))
    assert found.reason == UNCLEAR and "write " in found.detail and "`loss`" in found.detail


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"loss_mask": [0, 1]}, [False, True]),
        ({"loss_mask": [0, 0, 0, 1]}, [False, True]),
        ({"loss_mask": [0, 0, 0, 0, 1]}, [False, True]),
        ({"weight": [1.0, 0.0]}, [True, False]),
        ({"loss": [True, True]}, [True, True]),
        ({"loss_mask": [1] * 99}, [True, True]),
        ({"loss_mask": [0, 0]}, NOT_LEARNED),
        ({"loss_mask": [0, 1, 1]}, UNCLEAR),
        ({"loss_mask": [0] * 50 + [1] * 49}, UNCLEAR),
        ({"weight": [1, 0.5]}, UNCLEAR),
        ({"loss": 0}, NOT_LEARNED),
        ({"train": "false"}, NOT_LEARNED),
        ({"masked": True}, NOT_LEARNED),
        ({"train": 1}, [True, True]),
        ({"mask": "User"}, [True, True]),
        ({"mask": "Assistant"}, NOT_LEARNED),
        ({"mask": [1, 0]}, UNCLEAR),
        ({"mask": [1, 1]}, UNCLEAR),
        ({"mask": [0, 1, 1, 1]}, UNCLEAR),
        ({"loss_mask": [1]}, UNCLEAR),
        ({"train_on_turn": [1]}, UNCLEAR),
        ({"train_on_turn": [False, True]}, [False, True]),
        ({"mask": {"path": "mask.png"}, "image": "a.png"}, [True, True]),
        ({"mask": ["a.png", "b.png"], "image": "c.png"}, [True, True]),
        ({"weights": "x"}, [True, True]),
        *(({name: [0, 1]}, [False, True]) for name in ("assistant_mask", "assistant_masks", "turn_mask", "labels")),
        ({"turn_weights": [0.0, 1.0]}, [False, True]),
        *(({"loss_mask": value}, [False, True]) for value in ("0,1", "0 1", "01", {"0": 0, "1": 1}, {"1": 0, "2": 1})),
        *(
            ({"loss_mask": value}, UNCLEAR)
            for value in ("0,1,1", {"0": 0}, {"0": 0, "2": 1}, "the last", [[0, 0], [1, 1]])
        ),
        *(
            ({name: [1]}, UNCLEAR)
            for name in ("loss_turns", "train_turns", "trainable_turns", "ignore_turns", "mask_idx")
        ),
        ({"loss_turns": "all", "labels": [3, 1]}, [True, True]),
        ({"labels": [0, 1, 1]}, [True, True]),
        ({"only_last_turn_loss": True}, [False, True]),
        ({"mask_history": True}, [False, True]),
        ({"mask_history": False}, [True, True]),
        ({"train_on_last_only": "yes"}, [False, True]),
        ({"last_turn_only": 0.5}, UNCLEAR),
        ({"loss_scale": "last_round"}, [False, True]),
        *(({name: word}, [True, True]) for name in ("loss", "loss_scale") for word in ("default", "all", "ALL")),
        *(
            ({name: word}, UNCLEAR)
            for name in ("loss", "loss_scale")
            for word in ("react", "last_round+react", "first")
        ),
    ],
    ids=str,
)
def test_a_row_may_say_it_for_all_turns(columns, expected):
    found = read(chat(THINK, THINK, **columns))
    if isinstance(expected, str):
        assert found.reason == expected
    else:
        assert [turn.learned for turn in found.turns] == expected


@pytest.mark.parametrize("word", ["default", "all", "last_round"])
def test_a_word_for_all_that_is_learned_says_nothing_of_one_response(word):
    assert read(chat(loss_scale=word)).notes == () == read(chat(THINK, THINK, loss="all")).notes


@pytest.mark.parametrize("nothing", [None, NAN])
def test_a_blank_beside_a_response_that_is_marked_to_be_learned_is_never_guessed(nothing):
    for marks in ([nothing, True], [True, nothing], [nothing, 1, False]):
        assert read(chat(*({"train": mark} for mark in marks))).reason == UNCLEAR

    for marks in ([nothing, nothing], [nothing, False], [True, True]):
        found = read(chat(*({"train": mark} for mark in marks)))
        assert [turn.learned for turn in found.turns] == [mark is not False for mark in marks]


def test_a_response_of_which_all_typed_parts_are_marked_is_context():
    parts = [{"type": "thinking", "thinking": "A.", "loss": False}, {"type": "text", "text": "A", "loss": False}]
    assert [turn.learned for turn in read(chat({"content": parts}, THINK)).turns] == [False, True]
    assert read(chat({"content": parts})).reason == NOT_LEARNED


def test_questions_that_are_split_are_learned_where_they_are_marked_so():
    row = chat({"loss": False}, THINK, {"correct": 0})
    first, second, third = read_row(row, "long_thought", Options(turns="split")).parts
    assert (first.reason, third.reason) == (NOT_LEARNED, WRONG) and second.learned


def pair(chosen=None, **columns):
    other = {"role": "assistant", "content": "<think>\nB.\n</think>\n\nB"}
    own = {"role": "assistant", "content": THINK, **(chosen or {})}
    messages = [
        {"role": "user", "content": "Which?"},
        {"role": "assistant", "content": THINK, **columns.pop("first", {})},
    ]
    return {"messages": [*messages, {"role": "user", "content": "Why?"}], "chosen": own, "rejected": other, **columns}


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (pair(), [True, True]),
        (pair(first={"loss": False}), [False, True]),
        (pair({"loss": False}), NOT_LEARNED),
        (pair({"finish_reason": "length"}), CUT),
        (pair({"correct": 0.0}), WRONG),
        (pair(score=0), [True, True]),  # of which response it speaks is not known
    ],
)
def test_a_preference_pair_is_learned_by_its_chosen_response(row, expected):
    found = read(row, Options(ranking=True))
    assert (
        found.reason == expected if isinstance(expected, str) else [turn.learned for turn in found.turns] == expected
    )


OTHER = "<think>\nB, or rather A: it is larger than B.\n</think>\n\nIt is \\boxed{A}."


SEVERAL_MARKS = [
    {"correctness_math_verify": [False, True]}, {"correctness_math_verify": [0.0, 1.0]},
    {"correctness_math_verify": ["False", "True"]}, {"correctness_llama": ["no", "yes"]},
    {"correctness_math_verify": [False, False], "correctness_llama": [False, True]}, {"is_correct": [0, 1]},
    {"score": [0.2, 1]}, {"reward": [-1.0, 1.0]}, {"correct": [True, True], "score": [0, 1]},
    {"correctness_math_verify": [True, True], "finish_reasons": ["LENGTH", "STOP"]},
    {"is_correct": [True, True], "stop_reason": ["max_tokens", "end_turn"]},
    {"evaluations": [{"correct": False}, {"correct": True}]}, {"metadata": [{"finish_reason": "length"}, {"finish_reason": "stop"}]},
    {"correct": [False, True], "results": [{"passed": True}, {"passed": False}, {"passed": True}]},
    {"is_correct": [True, True], "truncated": [True, False]}, {"correct": [1, 1], "is_valid": [False, True]}, {"correct": [1, 1], "filtered": [1, 0]}, {"correct": [None, 1.0]}, {"verdict": ["wrong", "right"]},
]  # fmt: skip


@pytest.mark.parametrize(
    ("column", "marks"),
    [
        (column, marks)
        for column in ("generations", "responses", "response", "completions")
        for marks in SEVERAL_MARKS
        if (column, "score" in marks) != ("response", True)  # the layout of D_SD, which has the four markers
    ],
    ids=str,
)
def test_of_several_responses_the_one_that_is_right_and_whole_is_chosen(column, marks):
    example = read({"question": "Which?", column: [THINK, OTHER], **marks})
    assert example.response.thought.startswith("B, or rather A")


def test_a_number_that_chooses_among_several_responses_is_noted():
    row = {"question": "Which?", "responses": [THINK, OTHER], "correct": [True, True], "preferred_index": 1}
    assert read(row).notes == ("mark not understood: preferred_index",)


def test_a_count_of_none_right_beside_verdicts_is_noted():
    row = {"question": "Which?", "generations": [THINK, OTHER], "correctness_math_verify": [True, True]}
    assert read({**row, "correctness_count": 0}).notes == ("mark not understood: correctness_count",)
    assert read({**row, "correctness_count": 2}).notes == ()


def test_of_several_responses_without_verdicts_the_only_whole_one_is_taken():
    row = {"question": "Which?", "responses": [THINK, OTHER]}
    for marks in (
        {"finish_reasons": ["length", "stop"]},
        {"is_truncated": [True, False]},
        {"loss": [0, 1]},
        {"keep": [0, 1]},
        {"wrong": [True, False]},
        {"has_error": ["yes", "no"]},
        {"deepseek_grade": ["No", "Yes"]},
    ):
        assert read({**row, **marks}).response.thought.startswith("B, or rather A")

    assert read({**row, "finish_reasons": ["length", "length"]}).reason == CUT
    assert read({**row, "finish_reasons": ["stop", "stop"]}).reason == "no verdicts on the responses"


@pytest.mark.parametrize(("first", "second"), [("length", "stop"), ("stop", "length"), ("stop", "stop")])
def test_of_responses_that_are_objects_the_only_whole_one_is_taken(first, second):
    responses = [{"content": THINK, "finish_reason": first}, {"content": OTHER, "finish_reason": second}]
    found = read({"question": "Which?", "responses": responses})
    if first == second:
        assert found.reason == "no verdicts on the responses"
    else:
        assert found.response.thought.startswith("B, or rather A") == (second == "stop")


@pytest.mark.parametrize("rewards", [[0.12, 0.93], [0.12, 0], [None, 0.5]], ids=str)
def test_numbers_between_right_and_wrong_are_no_verdicts(rewards):
    row = {"question": "Which?", "responses": [THINK, OTHER]}
    assert read({**row, "rewards": rewards}).reason == "no verdicts on the responses"
    assert read({**row, "rewards": [rewards[0], 1]}).response.thought.startswith("B, or rather A")


@pytest.mark.parametrize("closed", [True, False])
def test_a_thought_that_its_part_calls_open_was_cut_off(closed):
    thought = {"type": "thinking", "thinking": [{"type": "text", "text": "A is larger."}], "closed": closed}
    parts = [thought, {"type": "text", "text": "It is \\boxed{A}."}]
    assert getattr(read(chat({"content": parts})), "reason", "") == ("" if closed else CUT)
    assert [turn.learned for turn in read(chat({"content": parts}, THINK)).turns] == [closed, True]


def test_of_several_responses_none_is_right():
    row = {"question": "Which?", "generations": [THINK, OTHER]}
    assert read({**row, "is_correct": ["no", 0.0]}).reason == "no correct response"
    assert read(row).reason == "no verdicts on the responses"
    assert read({**row, "is_correct": [1, 1], "finish_reason": ["length", "MAX_TOKENS"]}).reason == CUT


@pytest.mark.parametrize(
    ("mark", "reason"),
    [
        ({"loss_mask": [0]}, NOT_LEARNED),
        ({"loss": [False]}, NOT_LEARNED),
        ({"loss": [1, 0]}, NOT_LEARNED),
        ({"masked": [True]}, NOT_LEARNED),
        ({"loss": [0, 1]}, ""),
        ({"loss": [True]}, ""),
        ({"loss_mask": [1] * 40}, ""),
        ({"loss_mask": []}, ""),
        ({"loss_mask": [0] * 20 + [1] * 20}, UNCLEAR),
    ],
)
def test_a_list_of_marks_at_a_row_of_one_response(mark, reason):
    (found,) = read_row({"question": "q", "response": THINK, **mark}, "long_thought", Options()).parts
    assert getattr(found, "reason", "") == reason


FOUR = [LONG.render(), LongThought("B, or rather A: it is larger than B.", "It is \\boxed{A}.").render()]
SEVERAL = {
    "generations": {"question": "Which?", "generations": [THINK, OTHER], "correct": [1, 1]},
    "responses": {"question": "Which?", "responses": [THINK, OTHER], "is_correct": [True, True]},
    "D_SD": {"question": "Which?", "response": FOUR, "score": [1, 1]},
}
ROW_MARKS = [
    ({"is_correct": False}, WRONG), ({"finish_reason": "length"}, CUT), ({"truncated": True}, CUT),
    ({"loss": False}, NOT_LEARNED), ({"metadata": {"correct": False}}, WRONG),
]  # fmt: skip


@pytest.mark.parametrize(("marks", "reason"), ROW_MARKS, ids=str)
@pytest.mark.parametrize("row", SEVERAL.values(), ids=SEVERAL)
def test_a_single_mark_of_a_row_speaks_of_all_its_responses(row, marks, reason):
    row = {name: value for name, value in row.items() if name not in marks} | {"correct": [1, 1]} | marks
    assert [part.reason for part in read_row(row, "long_thought", Options(responses="all")).parts] == [reason] * 2
    assert read(row).reason == reason


@pytest.mark.parametrize(
    "marks",
    [{"finish_reasons": ["stop", "stop"]}, {"metadata": {"finish_reasons": ["stop", "length"]}}, {"solution_is_valid": "Yes"}],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("row", SEVERAL.values(), ids=SEVERAL)
def test_lists_of_a_row_speak_of_its_single_responses(row, marks):
    example = read({**row, **marks})
    assert isinstance(example, Example) and example.notes == () and example.response.thought == "A is larger."


@pytest.mark.parametrize(("marks", "reason"), ROW_MARKS, ids=str)
def test_the_marks_of_a_row_count_where_columns_names_its_thought(marks, reason):
    options = Options(columns={"prompt": "q", "thought": "t", "solution": "s"})
    row = {"q": "Which?", "t": "A is larger.", "s": "A"}
    assert isinstance(read(row, options), Example) and read({**row, **marks}, options).reason == reason


@pytest.mark.parametrize(
    ("marks", "reason"),
    [
        *ROW_MARKS,
        ({"chosen_finish_reason": "length"}, CUT),
        ({"chosen_correct": False}, WRONG),
        ({"rating_chosen": 1, "rating_rejected": 4}, ("mark not understood: rating_chosen is less than that of rejected",)),
        ({"finish_reason": ["length", "stop"]}, CUT),
        ({"finish_reason": ["stop", "length"]}, ""),
        ({"loss_mask": [0, 0, 0, 1], "first": {"loss": False}}, ("with turns that are not learned",)),
        ({"rejected_finish_reason": "length", "rejected_correct": False, "chosen_correct": True}, ""),
        ({"chosen_score": 0.8, "rejected_score": 0.3, "reward": 0.4}, ""),
        *(({name: value}, (f"mark not understood: {name}",)) for name, value in (("rejected_correct", True), ("tie", True), ("is_tie", 1),
                                                                                ("margin", -1), ("score_gap", 0), ("winner", "tie"))),
        *(({name: value}, "") for name, value in (("tie", False), ("margin", 0.4), ("winner", "chosen"))),
        ({"rewards": [0.0, 1.0]}, ("mark not understood: rewards is less than that of rejected",)), ({"rewards": [1.0, 0.0]}, ""),
        ({"chosen_score": 0.1, "rejected_score": 0.3}, ("mark not understood: chosen_score is less than that of rejected",)),
    ],
    ids=str,
)  # fmt: skip
def test_a_mark_of_a_pairs_row_speaks_of_the_chosen_response(marks, reason):
    found = read(pair(**marks), Options(ranking=True))
    assert (
        getattr(found, "reason", None) == reason
        if reason and isinstance(reason, str)
        else found.notes == (reason or ())
    )


@pytest.mark.parametrize("place", ["top", "response", "body"])
@pytest.mark.parametrize(
    ("choice", "reason"),
    [
        ({"finish_reason": "length"}, CUT),
        ({"finish_reason": "content_filter"}, BROKEN_OFF),
        ({"refusal": "I cannot help."}, BROKEN_OFF),
        ({"finish_reason": "stop", "refusal": None}, ""),
        ({"finish_reason": "tool_calls"}, BROKEN_OFF),
        ({"finish_reason": "paused"}, ("mark not understood: finish_reason",)),
    ],
    ids=str,
)
def test_the_end_of_an_answer_counts_wherever_a_log_has_it(place, choice, reason):
    message = {"role": "assistant", "content": THINK}
    choice = dict(choice)
    if "refusal" in choice:
        message["refusal"] = choice.pop("refusal")

    answer = {"choices": [{"message": message, **choice}]}
    row = {"top": answer, "response": {"response": answer}, "body": {"response": {"body": answer}}}[place]
    found = read({"messages": [{"role": "user", "content": "Which?"}], **row})
    assert found.reason == reason if reason and isinstance(reason, str) else found.notes == (reason or ())


@pytest.mark.parametrize(
    "columns",
    [
        {"train": "[false, true]"}, {"loss_masks": [0, 1]}, {"weights": [0, 1]}, {"masks": [0, 0, 0, 1]}, {"mask": [1, 1, 1, 0]}, {"loss_mask": [[0], [1]]},
        {"loss_mask": [[0, 1]]}, {"loss_mask": "[0, 0, 0, 1]"}, {"train": "[False, True]"},
    ],
    ids=str,
)  # fmt: skip
def test_the_marks_of_turns_in_other_spellings(columns):
    assert [turn.learned for turn in read(chat(THINK, THINK, **columns)).turns] == [False, True]


def test_weights_and_masks_that_do_not_fit_the_turns_are_something_else():
    for columns in (
        {"weights": [70, 80, 65]},
        {"masks": [[[0, 1], [2, 3]]]},
        {"mask": [0] * 40},
    ):
        assert isinstance(read({"question": "q", "response": THINK, **columns}), Example)

    assert isinstance(read(chat(THINK, THINK, weights=[70, 80, 65])), Example)


@pytest.mark.parametrize(
    ("mask", "reason"),
    [
        ([0], UNCLEAR),
        ([1], UNCLEAR),
        ([0, 1], ""),
        ([1, 0], ""),
        ([0, 0, 1], ""),
        ([1, 1], NOT_LEARNED),
        ("Assistant", NOT_LEARNED),
    ],
    ids=str,
)
def test_a_mask_of_a_row_of_one_response(mask, reason):
    assert getattr(read({"question": "q", "response": THINK, "mask": mask}), "reason", "") == reason


def test_a_mark_of_what_is_learned_for_each_of_several_responses():
    row = {"question": "Which?", "responses": [THINK, OTHER], "correct": [True, True]}
    assert read({**row, "loss": [0, 1]}).response.thought.startswith("B, or rather A")
    assert read({**row, "loss": [0, 0]}).reason == NOT_LEARNED
    assert read({**row, "loss": [0.4, 0.8]}).notes == ("learned in full despite its weight: loss",)


@pytest.mark.parametrize(
    "row",
    [
        {"generations": [THINK, OTHER], "correctness_math_verify": [True, True], "correctness_llama": [False, True]},
        {"response": FOUR, "score": [1, 1], "correct": [0, 1]},
        {"response": FOUR, "score": [1, 1], "correct": [0, None]},
        {"response": FOUR, "score": [1, 1], "correct": [0, 1], "reward": [0.9, 0.3]},
        {"generations": [THINK, OTHER], "correctness_math_verify": [False, False], "correctness_llama": [False, True]},
    ],
    ids=str,
)
def test_a_response_that_one_of_several_lists_calls_wrong_is_not_right(row):
    assert read({"question": "Which?", **row}).response.thought.startswith("B, or rather A")


@pytest.mark.parametrize(
    ("marks", "reason"),
    [
        *(({name: False}, WRONG) for name in ("verification_result", "all_tests_passed", "gold_match", "matches_gold")),
        *(({name: False}, WRONG) for name in ("gt_match", "same_as_gt", "agrees_with_gold", "matches_reference", "equals_answer")),
        *(({"rating": word}, WRONG) for word in ("wrong", "Incorrect.", "thumbs_down")), ({"eval": {"gpt4": {"correct": False}}}, WRONG),
        ({"meta": {"gen": {"finish_reason": "length"}}}, CUT),
        *(({name: "It says B, the key A.\nVerdict: **incorrect**"}, WRONG) for name in ("judge", "judge_output", "review")),
        *(({name: value}, (f"mark not understood: {name}",)) for name, value in (
            ("label", "bad"), ("judge_output", "[[0]]"), ("feedback", -1), ("tags", "wrong_answer"),
            ("judge", "The response is compared with the key and is wrong."))),
        *(({name: value}, ()) for name, value in (
            ("gt_match", True), ("rating", "right"), ("judge", "It says A. Verdict: correct"), ("feedback", 1), ("tags", "right_angle"))),
        ({"llm_judge_score": 0}, WRONG), ({"verifications": [False]}, WRONG), ({"verifier": "incorrect"}, WRONG),
        ({"judge_result": "wrong"}, WRONG), ({"human_label": "incorrect"}, WRONG), ({"grade": "incorrect"}, WRONG),
        *(({name: value}, CUT) for name, value in (("stopped_reason", "length"), ("termination", "max_tokens"), ("stop", "length"),
                                                   ("usage", {"finish_reason": "length"}), ("overlong", True), ("cut", 1),
                                                   ("finish_reason", '["length"]'), ("finish_reason", "['length']"))),
        *(({name: 0}, (f"mark not understood: {name}",)) for name in ("solution_is_valid", "problem_is_valid", "human_label",
                                                                      "grade", "verifier", "judge_result")),
        *((marks, ()) for marks in ({"stop": ["\n\n"]}, {"stop": True}, {"verifier": "math_verify"}, {"human_label": "cat"},
                                    {"usage": {"total_tokens": 9}}, {"overlong": False}, {"finish_reason": '["stop"]'},
                                    {"solution_is_valid": "Yes"})),
    ],
    ids=str,
)  # fmt: skip
def test_more_names_of_marks(marks, reason):
    found = read(chat(**marks))
    assert found.reason == reason if isinstance(reason, str) else found.notes == reason


@pytest.mark.parametrize(
    ("marks", "is_told"),
    [({"is_history": True}, True), ({"is_history": False}, True), ({"is_new": True}, False)],
    ids=str,
)
def test_a_turn_that_may_be_history_is_told(marks, is_told):
    (name,) = marks
    assert (f"mark not understood: {name} of a message" in read(chat(marks, THINK)).notes) == is_told
    assert f"mark not understood: {name} of a message" not in read(chat(marks, marks)).notes


LABELS = [
    # (row, reason or notes): CSV has no false, and 0 is a class, but in TRL's rows that have nothing else
    *(({"prompt": "Which?", "completion": THINK, "label": label}, WRONG) for label in ("False", "false", "0", 0, 0.0, False)),
    ({"instruction": "Which?", "output": THINK, "label": "False"}, WRONG), (chat(label="false"), WRONG),
    ({"prompt": "Which?", "completion": THINK, "label": "False", "answer": "A"}, WRONG),
    (chat(label="false", answer="A"), ("mark not understood: label",)),
    *(({"prompt": "Which?", "completion": THINK, "label": label}, ()) for label in ("True", 1, "1", "0.5", "A", None, "")),
    *(({"prompt": "Is it?", "completion": THINK.replace("A}", f"{said}}}"), "label": label}, ())
      for said, label in (("no", "False"), ("False", "false"), ("0", 0), ("no", "0"))),
    ({"prompt": "Which?", "completion": THINK, "label": 0, "category": "nli"}, ()), ({"prompt": "Which?", "response": THINK, "label": 0}, ()),
    ({"instruction": "Which?", "output": THINK, "label": 0}, ()), (chat(label=0), ()), (chat(label=-1), ()),
    *(({"prompt": "Which?", "completion": THINK, "label": label}, WRONG) for label in (-1, "-1", -1.0)),
    *(({"prompt": [{"role": "user", "content": "Which?"}], "completion": [{"role": "assistant", "content": THINK}], "label": label}, expected)
      for label, expected in ((0, WRONG), (-1, WRONG), ("0", WRONG), (False, WRONG), (1, ()), (True, ()), (2, ()))),
    ({"prompt": [{"role": "user", "content": "How many?"}], "completion": [{"role": "assistant", "content": THINK.replace("A}", "0}")}], "label": 0}, ()),
    ({"prompt": [{"role": "user", "content": "Which?"}], "completion": [{"role": "assistant", "content": THINK}], "label": 0, "topic": "nli"}, ()),
]  # fmt: skip


@pytest.mark.parametrize(("row", "expected"), LABELS, ids=str)
def test_a_label_of_rows_for_kto_in_any_type_and_one_that_is_a_class(row, expected):
    found = read(row)
    assert found.reason == expected if isinstance(expected, str) else found.notes == expected


@pytest.mark.parametrize(
    ("row", "columns", "notes"),
    [
        ({"question": "<image><image>Which?", "response": THINK, "left": "l.png", "right": "r.png"}, {"images": "left, right"}, ()),
        ({"question": "Which?", "accepted": THINK, "rejected": "<think>\nB.\n</think>\n\nB"}, {"chosen": "accepted"}, ()),
        ({"question": "Which?", "accepted": THINK, "rejected": "<think>\nB.\n</think>\n\nB"}, {}, ()),
        ({"question": "Which?", "correct": THINK, "bad": "<think>\nB.\n</think>\n\nB"}, {"chosen": "correct", "rejected": "bad"}, ()),
        ({"question": "Which?", "passed": THINK}, {"response": "passed"}, ()),
        ({"question": "Which?", "response": THINK, "pass_rate": 0}, {"pass_rate": "pass_rate"}, ("mark not understood: pass_rate",)),
    ],
    ids=str,
)  # fmt: skip
def test_a_column_that_the_entry_names_is_no_mark(row, columns, notes):
    assert read(row, Options(ranking="response" not in row and "passed" not in row, columns=columns)).notes == notes


BESIDE = [
    # (object with a response that the entry names, reason)
    *(({"response": THINK, **marks}, WRONG) for marks in ({"correct": False}, {"verdict": "wrong"}, {"score": 0.0}, {"eval": {"correct": 0}})),
    ({"response": THINK, "finish_reason": "length"}, CUT), ({"response": THINK, "loss": False}, NOT_LEARNED),
    ({"response": {"text": THINK, "ok": False}}, WRONG), ({"response": {"text": THINK, "ok": True}, "ok": False}, ""),
    ({"response": THINK, "correct": True}, ""), ({"response": THINK, "answer": "no", "label": 0, "image_quality": 0}, ""),
    ({"response": THINK, "output": "It is B.", "right": "no mark"}, ""), ({"response": [THINK, OTHER], "correct": [False, False]}, "no correct response"),
    ({"response": [THINK, OTHER], "correct": [False, True]}, ""),
]  # fmt: skip


@pytest.mark.parametrize(("record", "reason"), BESIDE, ids=str)
def test_a_mark_beside_a_response_that_the_entry_names_with_dots_is_read_as_the_rows_own(record, reason):
    path = "rec.response.text" if isinstance(record["response"], dict) else "rec.response"
    columns = {"question": "rec.question", "response": path, "pass_rate": "rec.right"}
    found = read({"rec": {"question": "Which?", **record}}, Options(columns=columns))
    assert getattr(found, "reason", "") == reason
    if not reason:
        assert found.notes == ()
    elif reason == WRONG:
        assert found.detail.startswith("rec.")


@pytest.mark.parametrize("form", [lambda record: record, json.dumps], ids=["objects", "JSON"])
def test_marks_beside_several_responses_that_the_entry_names_with_dots(form):
    options = Options(columns={"response": "samples.text"})
    for first, second in ((True, False), (False, True)):
        samples = [{"text": THINK, "correct": first}, {"text": OTHER, "correct": second}]
        found = read({"question": "Which?", "samples": form(samples)}, options)
        assert found.response.thought.startswith("B, or rather A") == second

    one = {"question": "Which?", "response": THINK, "correct": False}
    options = Options(columns={"question": "rec.question", "response": "rec.response"})
    assert read({"rec": form(one)}, options).detail == "rec.correct is False"
    turns = chat(THINK, THINK, loss_mask=[0, 1])
    found = read({"rec": form(turns)}, Options(columns={"messages": "rec.messages"}))
    assert [turn.learned for turn in found.turns] == [False, True]


def test_a_mark_of_the_questions_object_is_none_of_the_response():
    row = {"q": {"text": "Which?", "score": 0}, "r": {"text": THINK}}
    assert read(row, Options(columns={"question": "q.text", "response": "r.text"})).notes == ()
