"""What stands beside the question in columns of its own is read, noted or a reason: never left out silently."""

import datetime
import json
import re

import pytest

from virgo_factory.core.errors import UserError
from virgo_factory.core.example import Example
from virgo_factory.core.thought import LongThought
from virgo_factory.data.rows.rules import row_findings
from virgo_factory.formats import Options, RejectedRow, options_of, read_row
from virgo_factory.formats.any_row.second_columns import (
    ADDED,
    LACKS,
    NOT_TRAINED,
    NOT_TRAINED_BESIDE_CHAT,
    SECOND_RESPONSE,
    option_lines,
)


LONG = LongThought("I look: one.", "\\boxed{1}")
THINK = "<think>\nI look: one.\n</think>\n\n\\boxed{1}"


def parts_of(row, columns=None, **options):
    return read_row(row, "long_thought", Options(columns=columns or {}, **options)).parts


def ask(columns=None, **row):
    (part,) = parts_of({"question": "Which is it?", "response": THINK} | row, columns)
    return part


def chat(*questions, inside=None, raw=False, **row):
    first = [{"role": "system", "content": inside}] if inside else []
    turns = [m for q in questions for m in ({"role": "user", "content": q}, {"role": "assistant", "content": THINK})]
    row = {"messages": [*first, *turns]} | row
    return row if raw else parts_of(row)[0]


RED_BLUE = "Which is it?\nA. red\nB. blue"
OPTIONS = [
    # (columns, question)
    ({"options": ["red", "blue"]}, RED_BLUE),
    ({"choices": ["A. red", "B. blue"]}, RED_BLUE),
    ({"options": ["(A) red", "(B) blue"]}, "Which is it?\n(A) red\n(B) blue"),
    ({"options": {"A": "red", "B": "blue"}}, RED_BLUE),
    ({"options": {"A": "red", "B": "blue", "C": None}}, RED_BLUE),
    ({"options": {"option_a": "red", "option_b": "blue"}}, RED_BLUE),
    ({"choices": {"label": ["A", "B"], "text": ["red", "blue"]}}, RED_BLUE),
    ({"choices": [{"label": "A", "text": "red"}, {"label": "B", "text": "blue"}]}, RED_BLUE),
    ({"choices": [{"text": "red"}, {"text": "blue"}]}, RED_BLUE),
    ({"options": "['red', 'blue']"}, RED_BLUE),
    ({"options": '["red", "blue"]'}, RED_BLUE),
    ({"options": '{"A": "red", "B": "blue"}'}, RED_BLUE),
    ({"options": "A. red\nB. blue"}, RED_BLUE),
    ({"answer_choices": ["red", "blue"]}, RED_BLUE),
    ({"A": "red", "B": "blue", "C": ""}, RED_BLUE),
    ({"option_a": "red", "option_b": "blue"}, RED_BLUE),
    ({"optionA": "red", "optionB": "blue"}, RED_BLUE),
    ({"choice_1": "red", "choice_2": "blue"}, "Which is it?\n1. red\n2. blue"),
    ({"opa": "red", "opb": "blue", "opc": None}, RED_BLUE),
    ({"opt_a": "red", "optB": "blue"}, RED_BLUE),
    ({"ending0": "red", "ending1": "blue"}, "Which is it?\n0. red\n1. blue"),
    *(({name: ["red", "blue"]}, RED_BLUE) for name in ("endings", "opts", "multiple_choices", "answer_candidates")),
    ({"options": [4, 5.5]}, "Which is it?\nA. 4\nB. 5.5"),
    ({"options": ["red", "blue"], "question": "Is the ball red or blue?"}, "Is the ball red or blue?\nA. red\nB. blue"),
    ({"options": ["red", "blue"], "question": "A: Hi. B: Hello. What?"}, "A: Hi. B: Hello. What?\nA. red\nB. blue"),
    ({"options": ["4", "7"], "question": "What is 4 + 3, not 7 - 4?"}, "What is 4 + 3, not 7 - 4?\nA. 4\nB. 7"),
]  # fmt: skip


@pytest.mark.parametrize(("row", "question"), OPTIONS, ids=[f"{row}" for row, _ in OPTIONS])
def test_options_of_a_column_stand_behind_a_question_that_lacks_them(row, question):
    part = ask(**row)
    assert (part.question, part.notes, part.response) == (question, (ADDED,), LONG)
    messages = chat(row.get("question", "Which is it?"), **{name: v for name, v in row.items() if name != "question"})
    assert (messages.question, messages.notes) == (question, (ADDED,))


LISTED = [
    ("Which?\nA. red\nB. blue", ["red", "blue"]),
    ("Which? (A) red (B) blue", ["red", "blue"]),
    ("Which?\nA) red\nB) blue", {"A": "red", "B": "blue"}),
    ("Which? A: Red. B: Blue.", ["red", "blue"]),
    ("Which?\nChoices: red, blue", ["red", "blue"]),
    ("Which?\nred\nblue", ["red", "blue"]),
    ("Which?\n- red\n- blue", ["red", "blue"]),
    ("Which? $\\textbf{(A)}\\ 4 \\qquad \\textbf{(B)}\\ 5$", ["$4$", "$5$"]),
    ("哪个？A．红 B．蓝".replace("．", "、"), ["红", "蓝"]),
    ("Which of the pictures?", ["A", "B", "C"]),
    ("Which?\n(1) red\n(2) blue\n(3) green", ["red", "blue", "green"]),
    ("Which?", []),
    ("Which?", None),
    ("Which?", [{"index": 0, "finish_reason": "stop"}]),
]


@pytest.mark.parametrize(("question", "options"), LISTED)
@pytest.mark.parametrize("column", ["options", "choices"])
def test_a_question_that_has_its_options_stays_as_it_is(question, options, column):
    part = ask(question=question, **{column: options})
    assert (part.question, [note for note in part.notes if note == ADDED]) == (question, [])


NOT_OPTIONS = [{"options": ["red"]}, {"options": {"temperature": 0.7, "top_p": 1}}, {"choices": [["red"], ["blue"]]}, {"options": [{"x": 1}, {"x": 2}]}]  # fmt: skip


@pytest.mark.parametrize("row", NOT_OPTIONS)
def test_options_that_are_not_understood_are_noted(row):
    (column,) = row
    assert ask(**row).notes == (f"{NOT_TRAINED}: {column}",)


def test_options_of_a_conversation_are_noted():
    assert chat("First?", "Second?", options=["red", "blue"]).notes == (f"{NOT_TRAINED}: options",)
    assert option_lines("red") == ["red"] and option_lines(7) is None


UNDESIRED = [{"kto_tag": False}, {"kto_tag": "false"}, {"kto_tag": 0}, {"completion": THINK, "label": False}]


@pytest.mark.parametrize("row", UNDESIRED, ids=str)
def test_a_response_that_kto_trains_away_from_is_not_learned(row):
    assert ask(**row).reason == "the response is marked wrong"
    assert isinstance(ask(**{name: True if value is not THINK else value for name, value in row.items()}), Example)


def test_the_system_message_is_read_whatever_reads_the_row():
    rows = (
        {"user": "Which is it?", "assistant": THINK},
        {"problem": "Which is it?", "generations": [THINK], "correctness_math_verify": [True]},
        {"question": "Which is it?", "combined_text": LONG.render()},
    )
    for row in rows:
        for formatting in ("long_thought", "virgo_dt") if "combined_text" in row else ("long_thought",):
            (part,) = read_row(row | {"system": "Be brief."}, formatting).parts
            assert (part.response, part.system) == (LONG, "Be brief.")


def test_other_messages_beside_those_of_the_row_are_noted():
    other = [{"role": "user", "content": "Was ist es?"}, {"role": "assistant", "content": THINK}]
    assert chat("First?", messages_de=other).notes == (f"{NOT_TRAINED_BESIDE_CHAT}: messages_de",)
    assert chat("Was ist es?", messages_de=other).notes == ()


CONTEXTS = ("observation", "constraints", "definition", "output_format", "prompt_suffix", "follow_up_question", "context", "passage", "hint", "caption", "input", "background", "paragraph", "document", "image_caption",
            "question_context", "lecture", "table", "Context", "evidence", "story", "facts", "Body", "hypothesis", "rules",
            "code", "text", "data", "given", "conditions", "information", "content", "abstract", "tikz_code",
            "figure_description", "candidates", "additional_information", "previous_questions", "function_signature")  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("column", CONTEXTS)
@pytest.mark.parametrize(
    "value", ["A long story.", ["One.", "A long story."], {"title": ["A"], "text": ["A long story."]}]
)
def test_a_column_that_may_belong_to_the_prompt_is_a_finding_with_its_line(column, value):
    part = ask(**{column: value})
    assert part.notes == (f"{NOT_TRAINED}: {column}",)
    found = [finding for finding in row_findings(part, ()) if finding.severity == "warning"]
    assert [finding.code for finding in found] == ["column_not_trained"]
    assert f'"columns": {{"query": "{column}"}}' in found[0].detail
    mapped = ask({"query": column}, **{column: value})
    assert mapped.question.startswith("Which is it?\n") and "A long story." in mapped.question and mapped.notes == ()
    for nothing in (float("nan"), None, [], ""):
        assert ask({"query": column}, **{column: nothing}).question == "Which is it?"

    assert "2026" in ask({"query": column}, **{column: {"at": datetime.date(2026, 1, 1)}}).question
    assert ask({"question": "question"}, **{column: value}).notes == ()
    beside = chat("Which is it?", **{column: value})
    assert beside.notes == (f"{NOT_TRAINED_BESIDE_CHAT}: {column}",)
    assert "column_not_in_messages" in [finding.code for finding in row_findings(beside, ())]


@pytest.mark.parametrize(
    ("row", "is_told"),
    [
        ({"output": "<think>\nTwo?\n</think>\n\nIt is two."}, True),
        ({"completion": "It is two, I am quite sure, since one is less."}, True),
        ({"solution": "<think>\nTwo?\n</think>\n\nIt is two."}, True),
        ({"solution": "By counting all of them we get that it is one."}, False),
        ({"output": "two"}, False),
        ({"output": THINK}, False),
    ],
)
def test_a_second_response_that_differs_is_told(row, is_told):
    (part,) = read_row({"question": "Which is it?", "response": THINK, **row}, "long_thought").parts
    assert part.notes == ((f"{SECOND_RESPONSE}: {next(iter(row))}",) if is_told else ())
    assert [finding.code for finding in row_findings(part, ()) if finding.severity == "warning"] == [
        "second_response"
    ] * is_told


TRAINED = [
    {"context": "which IS  it?"}, {"caption": "I look: one."}, {"hint": ""}, {"hint": "None"}, {"context": [None, ""]},
    {"input": 7}, {"prompt": "Which is it?"}, {"prompt": "base_v2"}, {"instruction": "<image>"}, {"user": "u_17"},
    {"prompt": "<|im_start|>user\nWhich is it?<|im_end|>"}, {"captions": []}, {"original_question": "What else?"},
    {"code": "python"}, {"text": "en"}, {"data": ["a.json"]}, {"code": "I look: one."}, {"given": None},
    {"extra_info": {"index": 3, "split": "train", "answer": "one", "question": "Which is it?", "level": "hard"}},
    {"context_length": 4096}, {"input_tokens": 17}, {"system": "Be brief."},
]  # fmt: skip


@pytest.mark.parametrize("row", TRAINED, ids=str)
def test_what_is_trained_on_or_no_part_of_a_prompt_is_not_noted(row):
    part = ask(**row)
    assert isinstance(part, Example) and part.notes == ()


def test_a_caption_beside_the_picture_is_not_noted_and_a_hint_is():
    told = [
        ask(image=image, **{name: "A red square."}).notes
        for image in ("a.png", None)
        for name in ("caption", "image_description", "hint")
    ]
    assert [bool(notes) for notes in told] == [False, False, True, True, True, True]


TWO_QUESTIONS = [
    ({"instruction": "Solve the task below."}, "instruction"),
    ({"prompt": "Look at the picture."}, "prompt"),
    ({"problem": "What else is it?"}, "problem"),
    ({"query": "What else is it?"}, "query"),
    ({"Problem": "What else is it?"}, "Problem"),
    ({"user_prompt": "What else is it?"}, "user_prompt"),
    ({"instruction": "Solve.\nThen check."}, "instruction"),
    ({"prompt": "这是什么？"}, "prompt"),
    ({"question_text": "What else is it?"}, "question_text"),
    ({"prompt": "Which is it", "problem": "What else?"}, "problem"),
]


@pytest.mark.parametrize(("row", "column"), TWO_QUESTIONS)
def test_two_questions_are_a_reason_whose_lines_work(row, column):
    part = ask(**row)
    assert isinstance(part, RejectedRow) and part.reason == "two questions in the row"
    line = f'"columns": {{"prompt": "{column}", "query": "question"}}'
    assert line in part.detail and '"columns": {"question": "question"}' in part.detail
    both = ask({"prompt": column, "query": "question"}, **row)
    assert both.question == f"{row[column]}\nWhich is it?"
    assert ask({"question": "question"}, **row).question == "Which is it?"


def test_a_prompt_beside_a_pair_of_conversations_asks_what_they_answer():
    user = {"role": "user", "content": "<image>\nWhich is it?"}
    pair = {
        name: [user, {"role": "assistant", "content": THINK.replace("one", number)}]
        for name, number in (("chosen", "two"), ("rejected", "three"))
    }
    for same in ("Which is it?", "which is  it?", "base_v2", None):
        (part,) = read_row({"prompt": same, "image": "a.png", **pair}, "long_thought", Options(ranking=True)).parts
        assert isinstance(part, Example) and part.notes == ()

    (part,) = read_row({"prompt": "Who is it?", "image": "a.png", **pair}, "long_thought", Options(ranking=True)).parts
    assert part.reason == "two questions in the row" and part.detail.startswith("prompt differs from what chosen")


def test_a_prompt_around_the_question_is_noted():
    for column in ("prompt", "instruction", "problem"):
        part = ask(**{column: "A long passage. Which is it?"})
        assert (part.question, part.notes) == ("Which is it?", (f"{NOT_TRAINED}: {column}",))


def test_instruction_and_input_are_joined_as_llamafactory_does():
    for prompt in ("instruction", "prompt"):
        (part,) = parts_of({prompt: "Solve.", "input": "x = 1", "output": THINK})
        assert (part.question, part.notes) == ("Solve.\nx = 1", ())


BESIDE_CHAT = [
    # (columns beside messages that ask "First?", reason or note)
    ({"question": "What else is it?", "response": THINK}, "two conversations in the row"),
    ({"instruction": "What else is it?", "output": THINK}, "two conversations in the row"),
    ({"conversations": [{"from": "human", "value": "Other one?"}, {"from": "gpt", "value": THINK}]}, "two conversations in the row"),
    ({"conversation": '[{"role": "user", "content": "Other one?"}]'}, "two conversations in the row"),
    ({"question": "What else is it?"}, f"{NOT_TRAINED_BESIDE_CHAT}: question"),
    ({"prompt": "What else is it?"}, f"{NOT_TRAINED_BESIDE_CHAT}: prompt"),
    ({"question": "First?", "response": "<think>a</think>another"}, f"{NOT_TRAINED_BESIDE_CHAT}: response"),
    ({"question": "First?", "response": THINK}, ""),
    ({"problem": "First?", "solution": "It is 1."}, ""),
    ({"conversations": [{"from": "human", "value": "<image>\nFirst?"}, {"from": "gpt", "value": "1"}]}, ""),
    ({"conversations": None, "question": None}, ""),
]  # fmt: skip


@pytest.mark.parametrize(("row", "told"), BESIDE_CHAT, ids=[str(row)[:60] for row, _ in BESIDE_CHAT])
def test_a_question_beside_messages(row, told):
    part = chat("First?", **row)
    if told.startswith("two"):
        assert isinstance(part, RejectedRow) and part.reason == told
        assert '"columns": {"messages": "messages"}' in part.detail
    else:
        assert part.question == "First?" and part.notes == ((told,) if told else ())


SYSTEMS = [
    # (system message inside of the messages, columns, what is trained on or None for a reason)
    ("Be kind.", {"system": "Be brief."}, None),
    ("Be kind.", {"system_prompt": "Be brief."}, None),
    ("Be kind.", {"system": "Be kind."}, "Be kind."),
    ("Be kind.\nBe brief.", {"system": "Be  brief."}, "Be kind.\nBe brief."),
    ("Be kind.", {"system": ""}, "Be kind."),
    (None, {"system": "Be brief."}, "Be brief."),
    (None, {"system_prompt": "Be brief."}, "Be brief."),
    (None, {"system_message": "Be brief."}, "Be brief."),
    (None, {"sys_prompt": "Be brief."}, "Be brief."),
    (None, {"systemPrompt": "Be brief."}, "Be brief."),
    (None, {"system": "Be kind.", "system_prompt": "Be brief."}, None),
    (None, {"system": "Be brief.", "system_prompt": "Be brief."}, "Be brief."),
    (None, {"system_prompt": "r1_zero"}, None),
]


@pytest.mark.parametrize(("inside", "row", "system"), SYSTEMS)
def test_the_system_message_is_one(inside, row, system):
    part = chat("First?", inside=inside, **row)
    if system is None and "r1_zero" not in row.values():
        assert isinstance(part, RejectedRow) and part.reason == "two system messages"
    else:
        assert part.system == system

    if inside is None:
        alone = ask(**row)
        assert isinstance(alone, RejectedRow) if isinstance(part, RejectedRow) else alone.system == system


def test_the_line_of_two_system_messages_works():
    row = {"system": "Be kind.", "system_prompt": "Be brief."}
    assert '"columns": {"system": "system"}' in ask(**row).detail
    assert ask({"system": "system"}, **row).system == "Be kind."
    assert ask({"system": "system_prompt"}, **row).system == "Be brief."


PAIRS = [
    ("winner", "loser"), ("chosen_response", "rejected_response"), ("better", "worse"), ("preferred", "dispreferred"),
    ("response_chosen", "response_rejected"), ("win", "lose"), ("winning_response", "losing_response"), ("y_w", "y_l"),
    ("chosen_answer", "rejected_answer"), ("best_response", "worst_response"), ("preferred", "rejected"), ("good", "bad"),
    ("positive_response", "negative_response"), ("chosen", "reject"), ("response", "rejected_response"),
    ("output", "rejected_output"), ("response", "rejected"), ("chosenResponse", "rejectedResponse"),
]  # fmt: skip


@pytest.mark.parametrize(("better", "worse"), PAIRS)
def test_a_preference_pair_of_any_name(better, worse):
    row = {"question": "Which is it?", worse: f"{THINK} or 2", better: THINK}
    (part,) = parts_of(row, ranking=True)
    assert (part.response, part.rejected.solution) == (LONG, "\\boxed{1} or 2")
    (told,) = parts_of(row)
    assert isinstance(told, RejectedRow) and '"ranking": true' in told.detail
    (one,) = parts_of(row, {"response": better})
    assert one.response == LONG and one.rejected is None


BY_NUMBER = [
    {"response_0": THINK, "response_1": f"{THINK} or 2", "better_response_id": 0},
    {"response_a": THINK, "response_b": f"{THINK} or 2", "winner": "model_a"},
    {"completion_a": THINK, "completion_b": f"{THINK} or 2", "preference": 1},
    {"output_1": THINK, "output_2": f"{THINK} or 2", "preferred_output": 2},
    {"answer_a": THINK, "answer_b": f"{THINK} or 2", "winner": "b"},
    {"response_1": THINK, "response_2": f"{THINK} or 2", "ranking": [1, 0]},
    {"response_1": THINK, "response_2": f"{THINK} or 2", "best_response": 1},
    {"model_response_a": THINK, "model_response_b": f"{THINK} or 2", "preference": "A"},
    {"response1": THINK, "response2": f"{THINK} or 2", "chosen_index": 1},
    {"output_a": THINK, "output_b": f"{THINK} or 2", "safer_response_id": 1},
]


@pytest.mark.parametrize("row", BY_NUMBER, ids=lambda row: "/".join(row))
@pytest.mark.parametrize("ranking", [True, False])
def test_a_pair_that_a_number_tells_is_a_reason(row, ranking):
    (part,) = parts_of({"question": "Which is it?"} | row, ranking=ranking)
    assert isinstance(part, RejectedRow) and part.reason == "a preference pair by number"
    assert all(name in part.detail for name in row)


NO_PAIR = [
    {"winner": "model_a", "loser": "model_b"}, {"chosen_score": 7, "rejected_score": 1}, {"good": True, "bad": False},
    {"positive": "yes", "negative": "no"}, {"w": 640, "l": 480}, {"rejected": None}, {"preference": None}, {"rank": 3},
]  # fmt: skip


@pytest.mark.parametrize("row", NO_PAIR, ids=str)
def test_marks_and_numbers_are_no_pair(row):
    part = ask(**row)
    assert isinstance(part, Example) and part.rejected is None


LACKING = [
    # (columns of the entry, row, name of the column that may be meant)
    ({"question": "asked_text"}, {"aksed_text": "Which is it?"}, "aksed_text"),
    ({"system": "system_txt"}, {"system_text": "Be brief."}, "system_text"),
    ({"query": "contxt"}, {"context": "A story."}, "context"),
    ({"response": "respnse_text"}, {"response_text": THINK}, "response_text"),
    ({"thought": "reasoning_text"}, {"reasoning_txt": "I look"}, "reasoning_txt"),
    ({"messages": "convs"}, {"conv": []}, "conv"),
    ({"prompt": "Instructions"}, {"instructions": "Which is it?"}, "instructions"),
    ({"chosen": "winer", "rejected": "loser"}, {"winner": THINK, "loser": THINK}, "winner"),
    ({"solution": "final_anser", "thought": "cot"}, {"final_answer": "1", "cot": "I look"}, "final_answer"),
    ({"assistant_prefix": "prefx"}, {"prefix": "I"}, "prefix"),
]


@pytest.mark.parametrize(("columns", "row", "near"), LACKING)
def test_a_column_that_is_not_there_is_told_with_the_nearest(columns, row, near):
    part = ask(columns, **row)
    assert (
        isinstance(part, RejectedRow) and part.reason.startswith("no column ") and f"is {near} meant?" in part.detail
    )


@pytest.mark.parametrize("name", ["query", "system", "assistant_prefix", "images"])
def test_a_column_that_not_every_row_has_is_counted_where_it_lacks(name):
    assert ask({name: "beside"}).notes == (f"{LACKS}: beside",)
    assert ask({name: "beside"}, beside=None).notes == ()


def test_columns_of_objects_are_named_with_dots():
    row = {"data": {"q": "Which is it?", "turn": {"a": THINK}, "pic": "a.png"}}
    (part,) = parts_of(row, {"question": "data.q", "response": "data.turn.a", "images": "data.pic"})
    assert (part.question, part.response, part.images) == ("<image>\nWhich is it?", LONG, ("a.png",))


WRAPPED = [
    ({"data": {"messages": [{"role": "user", "content": "Which is it?"}, {"role": "assistant", "content": THINK}]}}, {"messages": "data.messages"}),
    ({"json": {"conversations": [{"from": "human", "value": "Which is it?"}, {"from": "gpt", "value": THINK}]}, "__key__": "1"}, {"messages": "json.conversations"}),
    ({"sample": {"question": "Which is it?", "response": THINK}}, {"question": "sample.question", "response": "sample.response"}),
    ({"row": {"Problem": "Which is it?", "model_output": THINK}}, {"question": "row.Problem", "response": "row.model_output"}),
    ({"qa": {"question": "Which is it?", "reasoning": "I look: one.", "answer": "\\boxed{1}"}}, {"question": "qa.question", "thought": "qa.reasoning", "solution": "qa.answer"}),
]  # fmt: skip


@pytest.mark.parametrize(("row", "columns"), WRAPPED)
def test_a_row_inside_of_an_object_is_a_reason_whose_line_works(row, columns):
    (part,) = parts_of(row)
    assert isinstance(part, RejectedRow) and part.reason == "the row is inside of an object"
    assert f'"columns": {json.dumps(columns)}' in part.detail
    (part,) = parts_of(row, columns)
    assert (part.question, part.response) == ("Which is it?", LONG)


UNREADABLE = [
    ({"mesages": "a"}, "Perhaps messages for mesages"),
    ({"imges": "a", "promt": "b"}, "Perhaps images for imges, prompt for promt"),
    ({"prompt": "a", "question": "b"}, "are the same"),
    ({"thought": "a", "solution": "a"}, "both name a"),
    ({"chosen": "a", "rejected": "a"}, "both name a"),
    ({"xyz": "a"}, "is read by no format. It names"),
]


@pytest.mark.parametrize(("columns", "words"), UNREADABLE)
def test_columns_that_say_nothing_are_told_before_any_row(columns, words):
    with pytest.raises(UserError, match=words):
        options_of({"columns": columns})


SPLIT = [
    # (questions, pictures, what each part asks and has; None where it is not known)
    (["One?", "<image>Two?"], ["a"], [("One?", ()), ("<image>Two?", ("a",))]),
    (["One?", "<image>Two?", "Three?"], ["a"], [("One?", ()), ("<image>Two?", ("a",)), ("<image>\nThree?", ("a",))]),
    (["<image>One?", "Two?"], ["a"], [("<image>One?", ("a",)), ("<image>\nTwo?", ("a",))]),
    (["One?", "Two?"], ["a"], [("<image>\nOne?", ("a",)), ("<image>\nTwo?", ("a",))]),
    (["<image>One?", "<image>Two?"], ["a", "b"], [("<image>One?", ("a",)), ("<image>Two?", ("b",))]),
    (["<image>One?", "<image>Two?", "Three?"], ["a", "b"], [("<image>One?", ("a",)), ("<image>Two?", ("b",)), None]),
    (["<image>One?", "<image>Two?", "Three?"], ["a", "a"], [("<image>One?", ("a",)), ("<image>Two?", ("a",)), ("<image>\nThree?", ("a",))]),
    (["<image><image>One?", "Two?"], ["a", "b"], [("<image><image>One?", ("a", "b")), ("<image><image>\nTwo?", ("a", "b"))]),
    (["One?", "<image><image>Two?", "Three?"], ["a", "b"], [("One?", ()), ("<image><image>Two?", ("a", "b")), ("<image><image>\nThree?", ("a", "b"))]),
    (["One?", "Two?", "<image>Three?"], ["a"], [("One?", ()), ("Two?", ()), ("<image>Three?", ("a",))]),
    (["One?", "Two?"], [], [("One?", ()), ("Two?", ())]),
]  # fmt: skip


@pytest.mark.parametrize(("questions", "pictures", "expected"), SPLIT)
def test_a_question_that_is_split_off_has_the_pictures_it_asks_about(questions, pictures, expected):
    turns = [m for q in questions for m in ({"role": "user", "content": q}, {"role": "assistant", "content": THINK})]
    parts = parts_of({"messages": turns, "images": [f"{name}.png" for name in pictures]}, turns="split")
    for part, wanted in zip(parts, expected, strict=True):
        if wanted is None:
            assert isinstance(part, RejectedRow) and "turns: history" in part.detail
        else:
            assert (part.question, part.images) == (wanted[0], tuple(f"{name}.png" for name in wanted[1]))


@pytest.mark.parametrize(("columns", "told"), [({"label": 1}, True), ({}, False)])
def test_answers_beside_a_label_are_options(columns, told):
    (example,) = read_row(
        {"question": "Which?", "response": THINK, "answers": ["one of them", "another one"], **columns}, "long_thought"
    ).parts
    assert (f"{NOT_TRAINED}: answers" in example.notes) == told


TWO = THINK.replace("one", "two")
CORRECTED = [
    # (row, whether it is told): what was made of the response, and not of anything else
    *(({name: TWO}, True) for name in ("corrected_response", "human_edit", "correction", "fixed", "rewritten", "edited", "post_edit",
                                       "response_v2", "response_new", "improved_solution", "answer_edited")),
    ({"correction": "It is two, I am quite sure, since one is less."}, True),
    ({"corrected_messages": [{"role": "user", "content": "Which is it?"}, {"role": "assistant", "content": TWO}]}, True),
    ({"corrected_messages": [{"role": "user", "content": "Which is it?"}, {"role": "assistant", "content": THINK}]}, False),
    *(({name: value}, False) for name in ("corrected_response", "edited", "response_v2") for value in (THINK, "", None, 2, [], ["a"], "two")),
    ({"rewritten_prompt": TWO}, False), ({"fixed_at": TWO}, False), ({"version": TWO}, False),
]  # fmt: skip


@pytest.mark.parametrize(("row", "told"), CORRECTED, ids=str)
def test_a_corrected_response_beside_the_response_is_told(row, told):
    for beside in ({"question": "Which is it?", "response": THINK}, chat("Which is it?", raw=True)):
        (example,) = parts_of(beside | row)
        assert [note for note in example.notes if "not trained" in note] == [
            f"{SECOND_RESPONSE}: {next(iter(row))}"
        ] * told


SHOT = [
    {"role": "user", "content": "What colour is the sky?"},
    {"role": "assistant", "content": "<think>It is day.</think>Blue"},
]
OWN = [
    {"response": THINK},
    {"reasoning": "I look: one.", "answer": "\\boxed{1}"},
    {"thought": "I look: one.", "solution": "\\boxed{1}"},
    {"qwen_response": THINK},
    {"response": {"thinking": "I look: one.", "answer": "\\boxed{1}"}},
    {"response": json.dumps({"thinking": "I look: one.", "answer": "\\boxed{1}"})},
]


@pytest.mark.parametrize("own", OWN, ids=lambda own: "+".join(own))
@pytest.mark.parametrize("column", ["few_shot", "examples", "debate", "critique", "turns", "metadata", "v1"])
def test_messages_of_an_unknown_name_never_win_over_the_rows_own_response(column, own):
    for messages in (SHOT, json.dumps(SHOT), [*SHOT, {"role": "user", "content": "Which is it?"}, SHOT[1]]):
        (part,) = parts_of({"question": "Which is it?", **own, column: messages})
        assert (part.question, part.response, part.notes) == ("Which is it?", LONG, (f"{NOT_TRAINED}: {column}",))


def test_messages_of_any_name_are_read_where_they_are_the_rows_own():
    own = [{"role": "user", "content": "<image>\nWhich is it?"}, {"role": "assistant", "content": THINK}]
    part = ask(reannotated=[*SHOT, *own], image="a.png")
    assert (len(part.history), part.response, part.notes) == (1, LONG, ())
    part = ask({"question": "question", "response": "response"}, reannotated=[*SHOT, *own])
    assert (part.history, part.response) == ((), LONG)
    (part,) = parts_of({"question": "Which is it?", "response": "one", "chat": own[:2], "image": "a.png"})
    assert part.response == LONG


def test_few_shot_messages_are_not_the_question_of_a_pair():
    pair = {"question": "Which is it?", "chosen": THINK, "rejected": THINK.replace("1", "2"), "few_shot": SHOT[:1]}
    (part,) = parts_of(pair, ranking=True)
    assert (part.question, part.notes) == ("Which is it?", (f"{NOT_TRAINED}: few_shot",))


FIVE = THINK.replace("one", "five").replace("1", "5")


@pytest.mark.parametrize(
    "column",
    [
        "samples",
        "candidates",
        "generations",
        "rollouts",
        "responses",
        "completions",
        "outputs",
        "attempts",
        "solutions",
    ],
)
def test_a_list_of_responses_never_wins_over_a_response_of_the_rows_own(column):
    told = f"{SECOND_RESPONSE}: {column}"
    for more in ({}, {"correct": [True, False]}):
        part = ask(**{column: [FIVE, THINK]}, **more)
        assert part.response == LONG and told in part.notes

    part = ask(**{column: [{"content": FIVE, "is_correct": True}]})
    assert part.response == LONG and told in part.notes
    assert ask(**{column: [THINK]}).notes == ()
    part = ask({"response": column}, **{column: [FIVE]}, correct=[True])
    assert (part.response.solution, part.notes) == ("\\boxed{5}", ())
    (part,) = parts_of({"question": "Which is it?", column: [THINK, FIVE], "correct": [True, False]})
    assert (part.response, part.notes) == (LONG, ())


@pytest.mark.parametrize("name", ["correct", "rewards", "scores"])
def test_of_a_list_of_judged_responses_the_rows_own_may_be_the_right_one(name):
    assert ask(responses=[FIVE, THINK], **{name: [0, 1.0]}).notes == ()
    told = f"{SECOND_RESPONSE}: responses"
    assert told in ask(responses=[FIVE, THINK], **{name: [1, 0.0]}).notes
    assert told in ask(responses=[FIVE, THINK.replace("one", "three")], **{name: [0, 1]}).notes


@pytest.mark.parametrize(
    ("value", "is_told"), [("no", False), ("True", False), ("A | B\n1 | 2", True), ("none but one", True)]
)
def test_a_yes_or_no_is_no_context(value, is_told):
    assert (f"{NOT_TRAINED}: table" in ask(table=value).notes) == is_told


def test_a_list_of_judged_responses_beside_a_thought_and_its_solution():
    row = {"question": "Which is it?", "samples": [FIVE], "correct": [True]}
    own = {"thought": LONG.thought, "solution": LONG.solution}
    (part,) = parts_of(row | own)  # the normal form
    assert (part.response, part.notes) == (LONG, (f"{SECOND_RESPONSE}: samples",))
    own = {"reasoning": LONG.thought, "answer": LONG.solution}  # or how the gold answer is reached
    (part,) = parts_of(row | own)
    assert part.reason == "two responses in the row"
    line = json.loads(re.search(r'"columns": (\{.*?\})', part.detail)[1])
    assert parts_of(row | own, line)[0].response == LONG
    assert parts_of(row | own, {"response": "samples"})[0].response.solution == "\\boxed{5}"


HISTORIES = [
    "history",
    "chat_history",
    "dialog_history",
    "dialogue",
    "previous_turns",
    "previous",
    "conversation_history",
    "Past Messages",
]
HELLO = [{"role": "user", "content": "Hello?"}, {"role": "assistant", "content": "Hello."}]


@pytest.mark.parametrize("column", HISTORIES)
def test_earlier_turns_in_a_column_of_their_own_are_the_history(column):
    for value in ([["Hello?", "Hello."]], HELLO, json.dumps(HELLO), [{"question": "Hello?", "answer": "Hello."}]):
        for own in OWN[:2]:
            (part,) = parts_of({"question": "Which is it?", **own, column: value})
            (turn,) = part.history
            assert (turn.question, turn.response, turn.learned) == ("Hello?", "Hello.", False)
            assert (part.question, part.response) == ("Which is it?", LONG)

    for empty in (None, "", [], "[]"):
        assert ask(**{column: empty}).history == ()


def test_earlier_turns_that_no_reader_knows_are_a_reason():
    for column in HISTORIES:
        for value in ("User: Hello?\nAssistant: Hello.", ["Hello there?", "Hello to you."], {"turns": 2}):
            part = ask(**{column: value})
            if column == "dialogue":
                assert value == {"turns": 2} or part.notes == (f"{NOT_TRAINED}: dialogue",)
            else:
                assert "history" in part.reason or column in part.detail

    pairs = [["Hello?", "Hello."]]
    for row in (
        {"qwen_response": THINK},
        {"samples": [THINK], "correct": [True]},
        {"thought": "I look.", "solution": "1"},
    ):
        (part,) = parts_of({"question": "Which is it?", **row, "chat_history": pairs})
        assert isinstance(part, RejectedRow)


def test_the_history_may_be_named_in_columns():
    entry = {"columns": {"prompt": "question", "response": "response", "history": "before"}}
    (part,) = read_row(
        {"question": "Which is it?", "response": THINK, "before": [["Hello?", "Hello."]]},
        "long_thought",
        options_of(entry),
    ).parts
    assert (part.history[0].question, part.response) == ("Hello?", LONG)
    assert ask({"question": "question", "response": "response"}, chat_history="World history").response == LONG
    assert ask(previous="math-16").response == LONG


def test_a_second_whole_response_is_told_whatever_its_column_is_called():
    for column in ("final_response", "model_output", "response_2", "completion", "gemini_reply"):
        part = ask(**{column: FIVE})
        assert (part.response, part.notes) == (LONG, (f"{SECOND_RESPONSE}: {column}",))
        assert ask(**{column: THINK}).notes == () and ask(**{f"{column}_id": FIVE[:3]}).notes == ()

    assert ask(answer=FIVE).reason == "two responses in the row" and '"response"' in ask(answer=FIVE).detail
    assert ask(answer=THINK).response == ask({"response": "response"}, answer=FIVE).response == LONG
