"""Logs of chat APIs, and questions that are lists of typed items: text and pictures in their order, and how the answer ended."""

import json

import pytest

from virgo_factory.core.example import Example
from virgo_factory.core.thought import LongThought
from virgo_factory.formats import Options, RejectedRow, read_row
from virgo_factory.formats.marks.values import BROKEN_OFF, CUT


THOUGHT, SOLUTION = "3 red, 4 blue. Wait: 3 + 4 = 7.", "There are 7."
LONG = LongThought(THOUGHT, SOLUTION)
WHOLE = f"<think>{THOUGHT}</think>{SOLUTION}"
SYSTEM = "Be good."


def text(said, kind="text"):
    return {"type": kind, kind.rpartition("_")[2]: said}


def user(*items, key="content"):
    return [{"role": "user", key: list(items)}]


def output(*items):
    """Return what the Responses API answers."""
    return {"output": [{"id": "i", **item} for item in items]}


MESSAGE = {"type": "message", "role": "assistant", "status": "completed", "content": [{**text(SOLUTION, "output_text"), "annotations": []}]}  # fmt: skip
SUMMARY = {"type": "reasoning", "summary": [{"type": "summary_text", "text": THOUGHT}]}
PARTS = [{"text": THOUGHT, "thought": True}, {"text": SOLUTION}]
LOGS = {
    # API: (request, answer, how one that was cut off differs)
    "chat": (
        {"messages": [{"role": "system", "content": SYSTEM}, *user({"type": "image_url", "image_url": {"url": "a.png"}}, text("How?"))]},
        {"choices": [{"message": {"role": "assistant", "content": SOLUTION, "reasoning_content": THOUGHT}, "finish_reason": "stop"}]},
        {"choices": [{"message": {"role": "assistant", "content": SOLUTION, "reasoning_content": THOUGHT}, "finish_reason": "length"}]},
    ),
    "responses": (
        {"instructions": SYSTEM, "input": user({"type": "input_image", "image_url": "a.png"}, {"type": "input_text", "text": "How?"})},
        {"status": "completed", "reasoning": {"effort": "high"}, "tools": [], **output(SUMMARY, MESSAGE)},
        {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}},
    ),
    "responses with the thought itself": (
        {"instructions": SYSTEM, "input": user({"type": "input_image", "image_url": "a.png"}, {"type": "input_text", "text": "How?"})},
        output({"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": THOUGHT}]}, MESSAGE),
        output(SUMMARY, {**MESSAGE, "status": "incomplete"}),
    ),
    "anthropic": (
        {"system": [text(SYSTEM)], "messages": user({"type": "image", "source": {"type": "url", "url": "a.png"}}, text("How?"))},
        {"role": "assistant", "content": [{"type": "thinking", "thinking": THOUGHT, "signature": "x"}, text(SOLUTION)], "stop_reason": "end_turn"},
        {"stop_reason": "max_tokens"},
    ),
    "gemini": (
        {"systemInstruction": {"parts": [{"text": SYSTEM}]},
         "contents": user({"fileData": {"mimeType": "image/png", "fileUri": "a.png"}}, {"text": "How?"}, key="parts")},
        {"candidates": [{"content": {"role": "model", "parts": PARTS}, "finishReason": "STOP"}]},
        {"candidates": [{"content": {"role": "model", "parts": PARTS}, "finishReason": "MAX_TOKENS"}]},
    ),
    "ollama": (
        {"messages": [{"role": "system", "content": SYSTEM}, {"role": "user", "content": "<image>How?", "images": ["a.png"]}]},
        {"message": {"role": "assistant", "content": SOLUTION, "thinking": THOUGHT}, "done_reason": "stop"},
        {"done_reason": "length"},
    ),
}  # fmt: skip


def the_part(row):
    before = json.dumps(row)
    (part,) = read_row(row, "long_thought").parts
    assert json.dumps(row) == before
    return part


@pytest.mark.parametrize("place", ["columns", "objects", "bodies"])
@pytest.mark.parametrize(("request_", "answer", "cut"), LOGS.values(), ids=LOGS)
def test_a_log_is_one_conversation(request_, answer, cut, place):
    if place == "columns" and not {"choices", "output", "candidates"} & set(answer):
        place = "objects"

    def row(answer):
        objects = {"request": request_, "response": answer}
        bodies = {"custom_id": "1", "body": request_, "response": {"status_code": 200, "body": answer}}
        return {"columns": request_ | answer, "objects": objects, "bodies": bodies}[place]

    part = the_part(row(answer))
    assert (part.system, part.question, part.images, part.response) == (SYSTEM, "<image>How?", ("a.png",), LONG)
    assert part.notes == ()
    assert the_part(row(answer | cut)).reason == CUT


@pytest.mark.parametrize("place", ["objects", "bodies"])
@pytest.mark.parametrize(("tokens", "end", "is_told"), [(90, None, True), (80, None, False), (90, "stop", False)])
def test_an_answer_of_as_many_tokens_as_its_request_allows_is_told(tokens, end, is_told, place):
    message = {"role": "assistant", "content": SOLUTION, "reasoning_content": THOUGHT}
    request_ = {"messages": user(text("How?")), "max_tokens": 90}
    answer = {"choices": [{"message": message, "finish_reason": end}], "usage": {"completion_tokens": tokens}}
    row = {"request": request_, "response": answer}
    row = row if place == "objects" else {"body": request_, "response": {"body": answer}}
    assert the_part(row).notes == (("mark not understood: usage.completion_tokens",) if is_told else ())


def test_earlier_turns_keep_their_own_thoughts():
    items = [*user(text("A?", "input_text")), SUMMARY, MESSAGE, *user(text("B?", "input_text"))]
    part = the_part({"input": items, **output(SUMMARY, MESSAGE)})
    assert [(turn.question, turn.response, turn.learned) for turn in part.turns] == [("A?", LONG, True), ("B?", LONG, True)]  # fmt: skip


@pytest.mark.parametrize("question", [{"input": "How?"}, {"question": "How?"}, {"instruction": "How?", "input": ""}])
@pytest.mark.parametrize("answer", [LOGS["chat"][1], LOGS["ollama"][1], output(SUMMARY, MESSAGE)])
def test_a_question_that_is_a_text(question, answer):
    part = the_part({**question, "response": answer})
    assert (part.question, part.response) == ("How?", LONG)


def test_what_stands_beside_the_question_of_a_log_is_told():
    part = the_part({"question": "How?", "input": "A long story.", "response": LOGS["chat"][1]})
    assert (part.question, part.response) == ("How?", LONG) and part.notes[0].endswith(": input")


def test_an_answer_that_is_a_text():
    part = the_part({"request": LOGS["chat"][0], "response": WHOLE})
    assert (part.question, part.response) == ("<image>How?", LONG)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"input": "How?", **output({**MESSAGE, "content": [{"type": "refusal", "refusal": "No."}]})}, BROKEN_OFF),
        ({"input": "How?", **output({"type": "function_call", "name": "f"}, MESSAGE)}, "several messages in one answer"),
        ({"input": "How?", **output({"type": "reasoning", "summary": []}, MESSAGE)}, "the thought is redacted"),
        ({"input": "How?", "response": output(SUMMARY, MESSAGE), "previous_response_id": "r"}, "no earlier turns"),
        ({"request": {**LOGS["chat"][0], "tools": [{"name": "f"}]}, "response": LOGS["chat"][1]}, "tool calls are not trained"),
        ({"input": "How?", "response": {"choices": LOGS["chat"][1]["choices"] * 2}}, "several choices in one answer"),
    ],
)  # fmt: skip
def test_a_log_that_is_no_whole_conversation_is_a_reason(row, reason):
    part = the_part(row)
    assert isinstance(part, RejectedRow) and part.reason == reason and part.detail


ITEMS = [
    # (question, its text, its pictures)
    ([text("See "), {"type": "image", "image": "a.png"}, text(". How?")], "See <image>. How?", ("a.png",)),
    ([{"type": "image_url", "image_url": {"url": "a.png"}}, "How?"], "<image>How?", ("a.png",)),
    ([{"image": "a.png"}, {"text": "How?"}, {"image": "b.png"}], "<image>How?<image>", ("a.png", "b.png")),
    ([{"image": "a.png", "text": "How?"}], "<image>How?", ("a.png",)),
    ({"type": "text", "text": "How?"}, "How?", ()),
    ({"text": "How?", "image": "a.png"}, "<image>How?", ("a.png",)),
]  # fmt: skip


@pytest.mark.parametrize("column", ["question", "problem", "prompt", "query"])
@pytest.mark.parametrize("as_text", [False, True])
@pytest.mark.parametrize(("question", "asked", "pictures"), ITEMS)
def test_a_question_of_typed_items(question, asked, pictures, as_text, column):
    given = json.dumps(question) if as_text else question
    for response in (WHOLE, [{"type": "thinking", "thinking": THOUGHT}, text(SOLUTION)], [text(WHOLE)]):
        part = the_part({column: given, "response": response})
        assert isinstance(part, Example), part
        assert (part.question, part.images, part.response) == (asked, pictures, LONG)


def test_places_in_items_are_those_of_the_pictures_of_a_column():
    part = the_part({"question": [{"type": "image"}, text("How?")], "image": "a.png", "response": WHOLE})
    assert (part.question, part.images) == ("<image>How?", ("a.png",))


@pytest.mark.parametrize("chat", [True, False])
def test_pictures_of_items_that_are_others_than_those_of_a_column_are_a_reason(chat):
    items = [text("How?"), {"type": "image", "image": "x/a.png"}]
    row = {"messages": [*user(*items), {"role": "assistant", "content": WHOLE}]} if chat else {"question": items, "response": WHOLE}  # fmt: skip
    assert the_part({**row, "image": "a.png"}).images == ("a.png",)
    part = the_part({**row, "image": "b.png"})
    assert part.reason == "pictures in several columns" and "x/a.png" in part.detail
    assert '"columns": {"images": "image"}' in part.detail
    (part,) = read_row({**row, "image": "b.png"}, "long_thought", Options(columns={"images": "image"})).parts
    assert part.images == ("b.png",)


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        ({"type": "video", "video": "a.mp4"}, "a video, which is not trained on"),
        ({"fileData": {"mimeType": "video/mp4", "fileUri": "gs://x/1"}}, "a video, which is not trained on"),
        ({"inline_data": {"mime_type": "audio/wav", "data": "UklG"}}, "an audio, which is not trained on"),
    ],
)
def test_other_media_among_items(item, reason):
    assert the_part({"question": [text("How?"), item], "response": WHOLE}).reason == reason
    messages = [*user(text("How?"), item), {"role": "assistant", "content": WHOLE}]
    assert the_part({"messages": messages}).reason == reason


ASKED = [{"role": "user", "content": "How?"}]
COMPLETIONS = [
    {"prompt": "How?", "completion": [{"role": "assistant", "content": WHOLE}]},
    {"question": "How?", "completion": [{"role": "assistant", "content": SOLUTION, "reasoning_content": THOUGHT}]},
    {"question": "How?", "response": json.dumps([{"role": "assistant", "content": WHOLE}])},
    {"prompt": ASKED, "completion": [{"role": "assistant", "content": [text(WHOLE)]}]},
    {"messages": ASKED, "output": [{"from": "gpt", "value": WHOLE}]},
]


@pytest.mark.parametrize("row", COMPLETIONS, ids=lambda row: "/".join(row))
def test_a_completion_that_is_a_list_of_messages(row):
    (part,) = read_row(row, "long_thought").parts
    assert (part.question, part.response, part.notes, part.history) == ("How?", LONG, (), ())
    (marked,) = read_row(row | {"label": False}, "long_thought").parts  # of rows for KTO
    assert marked.reason == "the response is marked wrong"


def test_a_completion_of_several_turns():
    turns = [
        {"role": "assistant", "content": WHOLE},
        {"role": "user", "content": "And?"},
        {"role": "assistant", "content": WHOLE},
    ]
    (part,) = read_row({"prompt": "How?", "completion": turns}, "long_thought").parts
    assert [(turn.question, turn.response) for turn in part.turns] == [("How?", LONG), ("And?", LONG)]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"exact_match": 0.0}, "the response is marked wrong"),
        ({"resps": [[WHOLE, WHOLE]]}, "no verdicts on the responses"),
        ({"resps": [[WHOLE], [WHOLE]], "exact_match": [0, 0]}, "no correct response"),
        ({"doc": {"text": "no question"}}, "format not known"),
        ({"doc": "a.pdf"}, "a document, which is not trained on"),
    ],
)
def test_a_sample_of_an_evaluation(change, reason):
    row = {"doc": {"question": "How?", "answer": "7"}, "target": "7", "resps": [[WHOLE]], "exact_match": 1.0} | change
    assert read_row(row, "long_thought").parts[0].reason == reason
