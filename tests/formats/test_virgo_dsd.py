"""The released visual rows: the shortest correct response, or all correct ones."""

import pytest

from virgo_factory.core.example import Example
from virgo_factory.core.thought import MARKERS, LongThought
from virgo_factory.formats import Options, RejectedRow, options_of, read_row


BT, ET, BS, ES = MARKERS
ASKED = "<image>\nIs the red bar the tallest?"


def response(thought, solution="\\boxed{Yes}"):
    return LongThought(thought, solution).render()


def released(*responses, score=None, **columns):
    row = {"question": ASKED, "answer": "Yes", "images": ["figureqa/1.png"], "conversation": None}
    return row | {"response": list(responses), "score": [1] * len(responses) if score is None else score} | columns


def parts(row, **options):
    reading = read_row(row, "virgo_dsd", Options(**options))
    assert reading.format == "virgo_dsd"
    return reading.parts


FIVE = [response(thought) for thought in ("long " * 9, "two", "one", "longer " * 9, "six")]


def test_the_shortest_correct_one_is_taken_and_ties_go_by_order():
    (example,) = parts(released(*FIVE))
    assert (example.response.thought, example.images, example.question) == ("two", ("figureqa/1.png",), ASKED)
    assert (example.answer, example.source, example.format) == ("Yes", "virgo_dsd", "virgo_dsd")
    (example,) = parts(released(*FIVE, score=[1, 0, 0, 1, 0]))
    assert example.response.thought == ("long " * 9).strip()


def test_all_correct_ones():
    found = parts(released(*FIVE, score=[1, 0, True, 1.0, 0], id="r"), responses="all")
    assert [p.response.thought.split()[0] for p in found] == ["long", "one", "longer"]
    assert [p.id for p in found] == ["r-0", "r-2", "r-3"], "the number of the response"


@pytest.mark.parametrize(
    "broken",
    ["no tags", f"{BT}cut", response("a").replace("a", "<image>"), response("a").replace("a", "<|im_end|>"), None, 7]
    + [response("a") + "b", response("None"), response("Is the red bar the tallest?"), ""],
)
def test_a_malformed_shortest_passes_to_the_next_one(broken):
    (example,) = parts(released(broken, FIVE[0], FIVE[1]))
    assert example.response.thought == "two"
    (example,) = parts(released(broken, FIVE[0], FIVE[1]), keep_malformed=True)
    assert example.response.thought == "two", "a long thought comes before a text that is none"
    first, *others = parts(released(broken, FIVE[0], FIVE[1]), responses="all")
    assert isinstance(first, RejectedRow) and all(isinstance(other, Example) for other in others)


REJECTED = [
    # (name, row, reason, in the detail)
    ("none correct", released(*FIVE, score=[0] * 5), "no correct response", "0 of 5"),
    ("nulls for scores", released(*FIVE, score=[None] * 5), "no correct response", "0 of 5"),
    ("one correct, cut off", released(f"{BT}a", "b", score=[1, 0]), "no end of thought", "line 1"),
    ("all correct cut off", released(f"{BT}a", f"{BT}\nab"), "no end of thought", "line 1 of the response; the shortest of 2"),
    ("unlike reasons", released(f"{BT}a", "b", f"{BT}c"), "no usable response among the correct ones",
     "no end of thought (2), no marker in the response (1)"),
    ("four scores for two", released(*FIVE[:2], score=[1] * 4), "responses and verdicts do not match", "2 responses, 4"),
    ("no scores", released(*FIVE, score=[]), "no responses with scores, and no conversation", "expected question, answer"),
    ("nothing", {}, "no responses with scores, and no conversation", ""),
    ("null question", released(*FIVE, question=None), "no question", "expected one of question"),
    ("one place, two images", released(*FIVE, images=["a", "b"]), "<image> and images do not match", "1 <image> and 2"),
    ("two places, one image", released(*FIVE, question="<image><image>a?"), "<image> and images do not match", "2 <image>"),
    ("a place, no image", released(*FIVE, images=None), "<image> and images do not match", "1 <image> and 0"),
]  # fmt: skip


@pytest.mark.parametrize(("row", "reason", "detail"), [case[1:] for case in REJECTED], ids=[c[0] for c in REJECTED])
def test_rows_that_are_rejected(row, reason, detail):
    (rejected,) = parts(row)
    assert rejected.reason == reason
    assert detail in rejected.detail


def test_a_place_is_put_only_where_there_is_one_image_and_none():
    (example,) = parts(released(FIVE[1], question="Is it?"))
    assert example.question == "<image>\nIs it?"
    (example,) = parts(released(FIVE[1], question="Is <image> it?"))
    assert example.question == "Is <image> it?"
    (example,) = parts(released(FIVE[1], question="Is it?", images=[]))
    assert (example.question, example.images) == ("Is it?", ())


@pytest.mark.parametrize("spelling", [("from", "value", "human", "gpt"), ("role", "content", "user", "assistant")])
def test_a_row_without_scores_is_its_conversation(spelling):
    role, content, user, assistant = spelling
    conversation = [{role: user, content: "Is it?"}, {role: assistant, content: FIVE[1]}]
    row = {"question": "Is it?", "images": ["a.png"], "answer": "Yes", "conversation": conversation, "response": None}
    (example,) = parts(row)
    assert (example.question, example.response.thought, example.answer) == ("<image>\nIs it?", "two", "Yes")
    assert example.format == "virgo_dsd"
    (example,) = parts(released(*FIVE, question=None, conversation=conversation))
    assert example.question == "<image>\nIs it?", "the question may be there only"


@pytest.mark.parametrize(
    ("score", "level"), [([1] * 5, "medium"), ([1, 0, 1, 1, 1], "medium"), ([1, 1, 1, 0, 0], "hard"), ([0, 1, 1, 0, 0], "hard")]
)  # fmt: skip
def test_difficulty_is_the_number_correct_of_five(score, level):
    other = "hard" if level == "medium" else "medium"
    assert isinstance(parts(released(*FIVE, score=score), difficulty=level)[0], Example)
    (rejected,) = parts(released(*FIVE, score=score), difficulty=other)
    assert (rejected.reason, rejected.detail) == (
        f"difficulty is not {other}",
        f"{sum(score)} of 5 responses are correct",
    )


def test_difficulty_that_is_not_known():
    assert parts(released(*FIVE, score=[0, 0, 0, 0, 1]), difficulty="hard")[0].reason == "difficulty is not hard"
    assert parts(released(*FIVE[:2]), difficulty="hard")[0].reason == "difficulty not known"


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({}, Options()),
        ({"formatting": "virgo_dsd", "responses": "all", "difficulty": "hard"}, Options(responses="all", difficulty="hard")),
        ({"ranking": True, "columns": {"messages": "m"}}, Options(ranking=True, columns={"messages": "m"})),
        ({"columns": None}, Options()),
    ],
)  # fmt: skip
def test_options_of_an_entry(entry, expected):
    assert options_of(entry) == expected
    assert options_of(entry, "keep").keep_malformed and not options_of(entry, "error").keep_malformed


@pytest.mark.parametrize(
    ("entry", "names"),
    [
        ({"responses": "longest"}, ["responses", "'longest'", "shortest, all"]),
        ({"responses": ["all"]}, ["responses", "shortest, all"]),
        ({"ranking": "yes"}, ["ranking", "'yes'", "true or false"]),
        ({"difficulty": "easy", "formatting": "virgo_dsd"}, ["difficulty", "'easy'", "medium, hard"]),
        ({"difficulty": "hard", "formatting": "virgo_dt"}, ["difficulty", "virgo_dsd", "'virgo_dt'"]),
        ({"columns": ["messages"]}, ["columns", "object"]),
        ({"columns": {"messages": 3}}, ["columns", "object"]),
        ({"columns": {"tools": "tools"}}, ["tools", "messages, prompt"]),
    ],
)
def test_wrong_options_are_named(entry, names):
    with pytest.raises(ValueError) as caught:
        options_of(entry)

    assert all(name in str(caught.value) for name in names), caught.value
