"""Rows in spellings that no published card has but users' files do: each gives its thought, or a reason with its remedy."""

import json

import pytest

from virgo_factory.core.example import Example
from virgo_factory.core.thought import LongThought
from virgo_factory.formats import RejectedRow, options_of, read_row
from virgo_factory.formats.marks.response_marks import NOT_UNDERSTOOD
from virgo_factory.formats.texts import decoded


ASKED, THOUGHT, SOLUTION = "How many balls?", "Three red.\n\nWait, and four blue: it's 7.", "It is \\boxed{7}."
LONG = LongThought(THOUGHT, SOLUTION)
THINK = f"<think>\n{THOUGHT}\n</think>\n\n{SOLUTION}"
OTHER = "<think>\nEight.\n</think>\n\nIt is \\boxed{8}."
USER, MODEL = {"role": "user", "content": ASKED}, {"role": "assistant", "content": THINK}
BARE = {"role": "assistant", "content": SOLUTION}


def read(row, **entry):
    (part,) = read_row(row, "long_thought", options_of(entry)).parts
    return part


READ = {
    "messages as Python writes them (a CSV of pandas)": {"messages": str([USER, MODEL])},
    "a list of texts": {"messages": [json.dumps(USER), json.dumps(MODEL)]},
    "a list in a list": {"messages": [[USER, MODEL]]},
    "XTuner": {"conversation": [{"system": "", "input": ASKED, "output": THINK}]},
    "Firefly": {"conversation": [{"human": ASKED, "assistant": THINK}]},
    "turns with a thought": {"interactions": [{"query": ASKED, "think": THOUGHT, "answer": SOLUTION}]},
    "LangChain, one by one": {"messages": [{"type": "human", "content": ASKED}, {"type": "ai", "content": THINK, "additional_kwargs": {}}]},
    "LangChain, as dicts": {
        "messages": [
            {"type": "human", "data": {"content": ASKED, "type": "human", "example": False}},
            {"type": "ai", "data": {"content": SOLUTION, "additional_kwargs": {"reasoning_content": THOUGHT}, "tool_calls": []}},
        ]
    },
    "speakers": {"dialog": [{"speaker": "user", "text": ASKED}, {"speaker": "assistant", "text": THINK}]},
    "Gemini": {"contents": [{"role": "user", "parts": [{"text": ASKED}]}, {"role": "model", "parts": [{"text": THINK}]}]},
    "LangChain": {"messages": [USER, {**BARE, "additional_kwargs": {"reasoning_content": THOUGHT}}]},
    "LiteLLM": {"messages": [USER, {**BARE, "provider_specific_fields": {"reasoning_content": THOUGHT}}]},
    "AM without tags": {"messages": [USER, {**BARE, "info": {"think_content": THOUGHT, "answer_content": SOLUTION}}]},
    "AM": {"messages": [USER, {**MODEL, "info": {"think_content": f" {THOUGHT}\n", "answer_content": SOLUTION}}]},
    "a list of one response": {"question": ASKED, "response": [THINK]},
    "vLLM": {"prompt": ASKED, "outputs": [{"text": THINK, "finish_reason": "stop"}]},
    "rollouts with marks": {"question": ASKED, "rollouts": [{"text": OTHER, "correct": False}, {"text": THINK, "correct": True}]},
    "an object": {"input": ASKED, "output": {"reasoning": THOUGHT, "answer": SOLUTION}},
    "JSON": {"question": ASKED, "output": json.dumps({"thinking": THOUGHT, "answer": SOLUTION})},
    "two channels in columns": {"user": ASKED, "analysis": THOUGHT, "final": SOLUTION},
    "a monologue": {"question": ASKED, "internal_monologue": THOUGHT, "reply": SOLUTION},
    "AM's columns": {"question": ASKED, "think_content": THOUGHT, "answer_content": SOLUTION},
    "Unsloth": {"question": ASKED, "response": f"<start_working_out>{THOUGHT}<end_working_out><SOLUTION>{SOLUTION}</SOLUTION>"},
}  # fmt: skip


@pytest.mark.parametrize("row", READ.values(), ids=READ)
def test_the_thought_is_read_letter_for_letter(row):
    part = read(row)
    assert (part.question, part.response, part.images) == (ASKED, LONG, ())


def test_a_turn_in_one_object_keeps_its_picture_and_its_marks():
    turn = {"question": ASKED, "answer": OTHER, "image": "a.png", "correct": False}
    part = read({"turns": [turn, {"question": "Again.", "answer": THINK}]})
    assert [(asked.question, asked.learned) for asked in part.turns] == [
        (f"<image>\n{ASKED}", False),
        ("Again.", True),
    ]
    assert (part.images, part.response) == (("a.png",), LONG)


def test_questions_that_are_examples_are_no_conversation():
    shots = [{"question": "1 + 1?", "answer": "2"}]
    assert read({"question": ASKED, "response": THINK, "shots": shots}).question == ASKED


def test_tags_of_the_entry_name_keys_and_roles():
    row = {"talk": [{"by": "question", "says": ASKED}, {"by": "bing", "says": THINK}]}
    tags = {"role_tag": "by", "content_tag": "says", "user_tag": "question", "assistant_tag": "bing"}
    assert read(row, tags=tags).response == LONG
    assert isinstance(read(row), RejectedRow)
    unknown = read({"messages": [USER, {"role": "bing", "content": THINK}]})
    assert unknown.reason == "messages out of order" and '"tags": {"user_tag"' in unknown.detail
    with pytest.raises(ValueError, match="tags: speaker_tag in dataset_info.json is read by no format"):
        options_of({"tags": {"speaker_tag": "by"}})


def test_several_responses_without_verdicts_say_what_is_missing():
    part = read({"question": ASKED, "responses": [THINK, OTHER]})
    assert part.reason == "no verdicts on the responses" and "a list `correct`" in part.detail


LEFT_OUT = [{"label": False}, {"label": 0}, {"grad": False}, {"loss": 0}]


@pytest.mark.parametrize("mark", LEFT_OUT, ids=str)
def test_a_turn_that_is_marked_is_context(mark):
    part = read({"messages": [USER, {**MODEL, "content": OTHER, **mark}, USER, MODEL]})
    assert [turn.learned for turn in part.turns] == [False, True]


def test_a_list_of_labels_speaks_of_turns_where_it_is_one_of_flags():
    messages = [USER, {**MODEL, "content": OTHER}, USER, MODEL]
    for labels, learned in (([False, True], [False, True]), ([0, 3], [True, True]), (["cat", "dog"], [True, True])):
        assert [turn.learned for turn in read({"messages": messages, "labels": labels}).turns] == learned

    assert isinstance(read({"question": ASKED, "response": THINK, "labels": [0]}), Example)


def test_a_flag_that_no_table_has_is_told_where_it_differs():
    def notes(*flags):
        messages = [message for flag in flags for message in (USER, {**MODEL, **flag})]
        return [note for note in read({"messages": messages}).notes if note.startswith(NOT_UNDERSTOOD)]

    assert notes({"weird": False}, {"weird": True}) == [f"{NOT_UNDERSTOOD}: weird of a message"]
    assert notes({"weird": False}, {"weird": False}) == notes({"weird": True}, {"weird": True}) == notes({}, {}) == []


@pytest.mark.parametrize(
    ("mark", "outcome"),
    [
        ({"label": "incorrect"}, "the response is marked wrong"),
        ({"label": "correct"}, ""),
        ({"是否正确": "否"}, "the response is marked wrong"),
        ({"是否正确": "是"}, ""),
        ({"评分": 0}, "the response is marked wrong"),
        ({"截断": True}, "the response was cut off at the token limit"),
    ],
    ids=str,
)
def test_marks_in_other_words(mark, outcome):
    part = read({"messages": [USER, MODEL], **mark})
    assert (part.reason if isinstance(part, RejectedRow) else ", ".join(part.notes)) == outcome


def test_a_label_that_is_asked_for_is_no_mark():
    asked = {"role": "user", "content": "Is the proof correct or incorrect?"}
    assert read({"messages": [asked, MODEL], "label": "incorrect"}).notes == ()


def test_a_document_that_the_row_is_from_is_none_of_it():
    row = {"image": "a.png", "messages": [USER, MODEL]}
    assert read({**row, "metadata": {"pdf": "x.pdf", "page_number": 3}}).images == ("a.png",)
    assert read({**row, "pdf": "x.pdf"}).reason == "a document, which is not trained on"
    assert read({**row, "input": {"pdf": "x.pdf"}}).reason == "a document, which is not trained on"


@pytest.mark.parametrize(
    "text", ["[1] is a reference.", "{x | x > 1}", "[a, b]", "7", '"a"', "[" * 5000, "{'a': \\d}"]
)
def test_what_only_begins_like_a_list_is_a_text(text):
    assert decoded(text) is None


def test_lists_are_decoded_as_python_and_json_write_them():
    value = [{"a": None, "b": [True, "it's \\frac"]}]
    assert decoded(json.dumps(value)) == decoded(str(value)) == value


@pytest.mark.parametrize(
    ("response", "remedy"),
    [
        (THINK.replace("<", "&lt;").replace(">", "&gt;"), "html.unescape"),
        (f'<details type="reasoning" done="true">\n{THOUGHT}\n</details>\n{SOLUTION}', "into a column thought"),
        (f"{THOUGHT} {SOLUTION}", "virgo_dqvq"),
    ],
)
def test_tags_that_are_not_read_say_what_to_do_first(response, remedy):
    told = read({"question": ASKED, "response": response}).detail
    assert remedy in told[: told.index("expected one of")]
