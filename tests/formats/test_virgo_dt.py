"""Rows as they come from outside: an example, or a row rejected with a reason, and nothing else."""

import dataclasses
import hashlib
import json
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from virgo_factory.core.example import Example, Turn
from virgo_factory.core.thought import MARKERS, REASONS, LongThought, MalformedThought
from virgo_factory.formats import Options, Reading, read_row
from virgo_factory.formats.row import CONTROL_TOKENS, RejectedRow


BT, ET, BS, ES = MARKERS
LONG = LongThought("Three squared: 9. Wait, (-3)^2 too.", "\\boxed{\\pm 3}")
WHOLE = LONG.render()
CUT = f"{BT}\n\nThree squared"
QUESTION = "Find all x with x^2 = 9."


def published(**columns):
    """Return a row of the published layout, with some columns changed; `...` takes a column away."""
    row = {"question": QUESTION, "combined_text": WHOLE, "domain": "math"} | columns
    return {name: value for name, value in row.items() if value is not ...}


def chat(*messages, column="messages", **columns):
    """Return a chat row; messages are (role, content) pairs."""
    return {column: [{"role": role, "content": content} for role, content in messages]} | columns


def to_example(row, formatting="virgo_dt", keep_malformed=False):
    """Return the one example of a row, or raise the reason why there is none."""
    reading = read_row(row, formatting, Options(keep_malformed))
    assert isinstance(reading, Reading) and reading.format == formatting
    (part,) = reading.parts
    if isinstance(part, RejectedRow):
        raise part

    return part


def answered(question=QUESTION, response=WHOLE):
    return ("user", question), ("assistant", response)


IMAGE_ITEM = {"type": "image", "image": "a.png"}
READ = [
    # (name, row, expected attributes of the example)
    ("published", published(), {"question": QUESTION, "response": LONG, "domain": "math", "images": ()}),
    ("no domain", published(domain=...), {"domain": None}),
    ("domain of another type", published(domain=3), {"domain": None}),
    ("Windows line ends", published(question="a\r\nb", combined_text=WHOLE.replace("\n", "\r\n")), {"question": "a\nb"}),
    ("solution without blank lines", published(combined_text=f"{BT}\n\na\n\n{ET}\n\n{BS}b{ES}"), {}),
    ("own id", published(id="m-17"), {"id": "m-17"}),
    ("id 0", published(id=0), {"id": "0"}),
    ("idx", published(id=None, uuid="", idx=12), {"id": "12"}),
    ("one image", published(question="<image>\nHow many?", images=["a.png"]), {"images": ("a.png",)}),
    ("one image, not in a list", published(question="<image>How many?", image="a.png"), {"images": ("a.png",)}),
    ("image as a dictionary", published(question="<image>?", image={"path": "a"}), {"images": ({"path": "a"},)}),
    ("images null", published(images=None), {"images": ()}),
    ("images empty, image given", published(question="<image>?", images=[], image="a"), {"images": ("a",)}),
    ("messages", chat(*answered()), {"question": QUESTION, "response": LONG, "system": None, "history": ()}),
    ("conversations", chat(*answered(), column="conversations"), {"question": QUESTION}),
    ("conversation", chat(*answered(), column="conversation"), {"question": QUESTION}),
    (
        "from and value, human and gpt",
        {"conversations": [{"from": "human", "value": QUESTION}, {"from": "gpt", "value": WHOLE}]},
        {"question": QUESTION, "response": LONG},
    ),
    ("a chat row that names its question, too", chat(*answered(), question="Find x."), {"question": QUESTION}),
    ("system message", chat(("system", "Think."), *answered()), {"system": "Think.", "question": QUESTION}),
    ("system column", chat(*answered(), system="Think."), {"system": "Think."}),
    ("empty system column", chat(*answered(), system=""), {"system": None}),
    ("empty system message", chat(("system", ""), *answered()), {"system": None}),
    ("two turns", chat(*answered("First?"), *answered("Second?")), {"question": "Second?", "history": (Turn("First?", LONG),), "response": LONG}),
    (
        "typed content",
        chat(
            *answered([IMAGE_ITEM, {"type": "text", "text": "How\r\nmany?"}], [{"type": "text", "text": WHOLE}]),
            images=["a.png"],
        ),
        {"question": "<image>How\nmany?", "response": LONG},
    ),
    (
        "image_url items, two of them",
        chat(
            *answered([{"type": "image_url"}, {"type": "text", "text": "x"}, {"type": "image_url"}]), images=["a", "b"]
        ),
        {"question": "<image>x<image>", "images": ("a", "b")},
    ),
    ("images over two turns", chat(*answered("<image>First?"), *answered("<image>Second?"), images=["a", "b"]), {"images": ("a", "b")}),
    ("markers in the question are text", published(question=f"What does {BT} mean?"), {"question": f"What does {BT} mean?"}),
]  # fmt: skip


@pytest.mark.parametrize(("row", "expected"), [case[1:] for case in READ], ids=[case[0] for case in READ])
def test_rows_that_give_an_example(row, expected):
    before = json.dumps(row)
    example = to_example(row, "virgo_dt")
    assert {name: getattr(example, name) for name in expected} == expected
    assert (example.source, example.answer) == ("virgo_dt", None)
    assert json.dumps(row) == before


REJECTED = [
    # (name, row, reason, part of the detail)
    ("a list", [published()], "the row is not an object", "found list"),
    ("null", None, "the row is not an object", "found NoneType"),
    ("no columns", {}, "columns not known", "columns found: none"),
    ("other columns", {"instruction": "a", "output": "b"}, "columns not known", "columns found: instruction, output"),
    ("no response", published(combined_text=...), "no column combined_text", "columns found: question, domain"),
    ("no question", published(question=...), "no column question", "columns found: combined_text, domain"),
    ("response null", published(combined_text=None), "combined_text is null", ""),
    ("response a number", published(combined_text=7), "combined_text is not text", "found int"),
    ("response a list", published(combined_text=[WHOLE]), "combined_text is not text", "found list"),
    ("question an object", published(question={"a": QUESTION}), "question is not text", "found dict"),
    ("blank question", published(question=" \r\n"), "the question is empty", ""),
    ("a sign in place of a question", published(question="-"), "the question is empty", "-"),
    ("a line in place of a question", published(question="<image>\n---", images=["a"]), "the question is empty", "---"),
    ("only an image", published(question="<image>\n", images=["a"]), "the question is empty", ""),
    ("messages null", {"messages": None}, "messages is not a list of messages", "found NoneType"),
    ("messages empty", {"messages": []}, "messages is not a list of messages", "found list"),
    ("messages a text", {"messages": "user: hi"}, "messages is not a list of messages", "found str"),
    ("a message that is text", {"messages": ["hi", "ho"]}, "a message is not an object", "found str in messages"),
    ("content null", chat(*answered(response=None)), "a message is not text", "its content is NoneType"),
    ("content a number", chat(*answered(5)), "a message is not text", "its content is int"),
    ("no content", {"messages": [{"role": "user"}]}, "a message is not text", "its content is NoneType"),
    ("video item", chat(*answered([{"type": "video", "video": "a"}])), "a video, which is not trained on", "'a'"),
    ("item without text", chat(*answered([{"type": "text"}])), "a message is not text", "'text'"),
    ("item that is a number", chat(*answered([7])), "a message is not text", "None"),
    ("assistant first", chat(("assistant", WHOLE), ("user", QUESTION)), "messages out of order", "message 1"),
    ("two questions", chat(("user", "a"), ("user", "b")), "messages out of order", "message 2"),
    ("two system messages", chat(("system", "a"), ("system", "b"), *answered()), "messages out of order", "message 1"),
    ("a tool turn", chat(("user", "a"), ("tool", "b")), "tool calls are not trained", "message 2 of messages"),
    ("a role that is a list", chat((["user"], "a"), ("assistant", WHOLE)), "messages out of order", "['user']"),
    ("only a system message", chat(("system", "a")), "no response to the last question", "0 messages"),
    ("only a question", chat(("user", "a")), "no response to the last question", "1 messages"),
    ("last question open", chat(*answered(), ("user", "And?")), "no response to the last question", "3 messages"),
    ("earlier turn cut off", chat(*answered(response=CUT), *answered()), REASONS["thought_not_closed"], "line 3"),
    ("image without its place", published(images=["a"]), "<image> and images do not match", "0 <image> and 1 images"),
    ("place without an image", published(question="<image>?"), "<image> and images do not match", "1 <image> and 0"),
    ("two places, one image", published(question="<image><image>?", image="a"), "<image> and images do not match", "2"),
    ("images a number", published(images=3), "<image> and images do not match", "1 images"),
    ("<image> in the thought", published(combined_text=WHOLE.replace("Wait", "<image>")), "control token in the response", "<image>"),
    ("<image> in an earlier response", chat(*answered(response=WHOLE.replace("Wait", "<image>")), *answered()), "control token in the response", "<image>"),
    ("<image> in the system message", chat(("system", "<image>"), *answered()), "control token in the system message", "<image>"),
    ("control in the system message", chat(*answered(), system="<|im_end|>"), "control token in the system message", "<|im_end|>"),
    ("system a number", chat(*answered(), system=5), "the system message is not text", "found int"),
    ("half a surrogate pair in the question", published(question="a\ud83d"), "text is not valid Unicode", "question"),
    ("half a surrogate pair in the thought", published(combined_text=WHOLE.replace("Wait", "\udc00")), "text is not valid Unicode", "response"),
    ("half a surrogate pair in the system message", chat(*answered(), system="\ud83d"), "text is not valid Unicode", "system"),
    ("half a surrogate pair in the id", published(id="\ud83d"), "text is not valid Unicode", "id"),
]  # fmt: skip


@pytest.mark.parametrize(("row", "reason", "detail"), [case[1:] for case in REJECTED], ids=[c[0] for c in REJECTED])
def test_rows_that_are_rejected(row, reason, detail):
    with pytest.raises(RejectedRow) as caught:
        to_example(row, "virgo_dt")

    assert caught.value.reason == reason
    assert detail in caught.value.detail


@pytest.mark.parametrize("token", CONTROL_TOKENS)
@pytest.mark.parametrize("place", ["question", "response"])
def test_a_control_token_anywhere_is_rejected(token, place):
    row = (
        published(question=f"What is {token}?")
        if place == "question"
        else published(combined_text=WHOLE.replace("Wait", token))
    )
    for keep in (False, True):
        with pytest.raises(RejectedRow) as caught:
            to_example(row, "virgo_dt", keep)

        assert (caught.value.reason, caught.value.detail) == (f"control token in the {place}", token)


def test_the_control_tokens_are_those_of_the_real_tokenizer(shared_data):
    added = json.loads((shared_data / "qwen2.5_vl_tokenizer" / "tokenizer_config.json").read_text())[
        "added_tokens_decoder"
    ]
    special = {token["content"] for token in added.values() if token["special"]}
    assert special and special <= set(CONTROL_TOKENS)


def test_ids_without_one_are_a_hash_of_the_question():
    expected = hashlib.sha256(QUESTION.encode()).hexdigest()[:12]
    assert to_example(published(), "virgo_dt").id == to_example(chat(*answered()), "virgo_dt").id == expected
    assert to_example(published(question="Another?"), "virgo_dt").id != expected


@pytest.mark.parametrize("response", [CUT, "It is 3.", WHOLE + "And more.", f"{BT}{ET}{BS}{ES}"])
def test_keep_malformed_keeps_the_text_itself(response):
    for row in (published(combined_text=response), chat(*answered(response=response))):
        with pytest.raises(RejectedRow):
            to_example(row, "virgo_dt")

        assert to_example(row, "virgo_dt", keep_malformed=True).response == response


@pytest.mark.parametrize(
    "row", [published(combined_text=" \n"), published(combined_text=None), published(question="")]
)
def test_keep_malformed_keeps_no_empty_row(row):
    with pytest.raises(RejectedRow):
        to_example(row, "virgo_dt", keep_malformed=True)


def test_keep_malformed_leaves_whole_rows_as_they_are():
    assert to_example(published(), "virgo_dt", keep_malformed=True).response == LONG


def test_the_error_crosses_processes():
    error = pickle.loads(pickle.dumps(RejectedRow("columns not known", "found a")))
    assert (error.reason, error.detail, str(error)) == ("columns not known", "found a", "columns not known: found a")


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(st.characters(codec=None), max_size=8),
    st.sampled_from(["user", "assistant", "system", "human", "gpt", "text", "image", "<image>", QUESTION, WHOLE, CUT]),
)
NAMES = st.sampled_from(
    ["question", "combined_text", "messages", "conversations", "conversation", "role", "from", "content", "value"]
    + ["type", "text", "images", "image", "id", "uuid", "idx", "system", "domain"]
)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES | st.text(max_size=3), inner, max_size=5),
)
MESSAGE = st.fixed_dictionaries(
    {
        "role": st.sampled_from(["user", "assistant", "system"]) | SCALARS,
        "content": st.sampled_from([QUESTION, WHOLE]) | JSON,
    }
)
ROWS = st.one_of(
    JSON,
    st.dictionaries(NAMES, JSON),
    st.fixed_dictionaries({"question": st.just(QUESTION), "combined_text": st.just(WHOLE)}, optional={
        "images": JSON, "image": JSON, "id": JSON, "domain": JSON, "system": JSON}),
    st.fixed_dictionaries(
        {"messages": st.lists(MESSAGE, max_size=5) | st.just(chat(*answered())["messages"])},
        optional={"images": JSON, "id": JSON, "domain": JSON, "system": JSON},
    ),
)  # fmt: skip


@pytest.mark.slow
@given(ROWS, st.booleans())
def test_any_json_value_is_an_example_or_a_rejected_row(row, keep):
    try:
        example = to_example(row, "virgo_dt", keep)
    except RejectedRow as error:
        assert error.reason and isinstance(error.detail, str)
        return

    assert isinstance(example, Example)
    for name in ("id", "question"):
        assert isinstance(getattr(example, name), str) and getattr(example, name)

    for name in ("system", "answer", "source", "domain"):
        assert getattr(example, name) is None or isinstance(getattr(example, name), str)

    texts = [example.id, example.system or "", example.domain or ""]
    for turn in example.turns:
        assert keep or isinstance(turn.response, LongThought)
        texts += [turn.question, turn.response if isinstance(turn.response, str) else turn.response.render()]

    "".join(texts).encode()  # what Arrow does with a text
    assert sum(turn.question.count("<image>") for turn in example.turns) == len(example.images)
    with pytest.raises(dataclasses.FrozenInstanceError):
        example.question = "another"


def real_rows(folder):
    """Yield (problem, response) of the real files."""
    for path in sorted(folder.glob("*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            yield from ((row["question"], response) for response in row["code"])

    for path in sorted(folder.glob("*.json")):
        for row in json.loads(path.read_text(encoding="utf-8")).values():
            yield from ((row["problem"], response["content"]) for response in row["responses"].values())


@pytest.mark.slow
def test_real_rows_give_the_same_example_in_both_layouts(shared_data):
    kept = 0
    for question, response in real_rows(shared_data / "skythought"):
        rows = (
            published(question=question, combined_text=response),
            chat(*answered(question, response), domain="math"),
        )
        try:
            whole = LongThought.parse(response)
        except MalformedThought as error:
            for row in rows:
                with pytest.raises(RejectedRow) as caught:
                    to_example(row, "virgo_dt")

                assert caught.value.reason == REASONS[error.reason]

            continue

        first, second = (to_example(row, "virgo_dt") for row in rows)
        assert first == second
        assert first.response == whole
        assert first.question == question.replace("\r\n", "\n")
        kept += 1

    assert kept == 842
