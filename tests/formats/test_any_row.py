"""Whatever a row holds, reading it gives examples that can be trained on or reasons, never an exception, in linear time."""

import copy
import importlib.util
import json
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from virgo_factory.core.example import Example
from virgo_factory.core.thought import LongThought
from virgo_factory.formats import FORMATTINGS, Options, Reading, RejectedRow, read_row
from virgo_factory.formats.layouts.tags import TAG_SETS, format_of, parse_response
from virgo_factory.formats.row import rendered


def family_rows():
    spec = importlib.util.spec_from_file_location("families", Path(__file__).with_name("test_long_thought.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    rows = [row for _, row, _, _ in module.FAMILIES] + [module.PAIR, module.OPENR1, module.typed("a.png")]
    return rows + [module.turns("<image>One?", "Two?", image="a.png"), module.turns("One?", "Two?")]


ROWS = family_rows()
COLUMNS = sorted({column for row in ROWS for column in row} | {"response", "score", "conversation", "code", "pred"})
TAGS = sorted({tag for known in TAG_SETS.values() for tag in known.tags})
SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(TAGS)
    | st.text(st.characters(codec=None), max_size=6) | st.sampled_from(["<image>", "user", "gpt", "text", "image_url"])
)  # fmt: skip
KEYS = st.sampled_from(
    [
        *COLUMNS,
        "role",
        "from",
        "content",
        "value",
        "type",
        "text",
        "url",
        "title",
        "input",
        "output",
        "choices",
        "message",
        "parts",
    ]
)
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=12
)
OPTIONS = st.builds(
    Options,
    keep_malformed=st.booleans(),
    responses=st.sampled_from(["shortest", "all"]),
    ranking=st.booleans(),
    columns=st.sampled_from([{}, {"messages": "question", "images": "image"}, {"prompt": "problem", "query": "id"}]),
    difficulty=st.sampled_from([None, "medium"]),
)


def check(row, formatting, options):
    reading = read_row(row, formatting, options)
    assert isinstance(reading, Reading) and reading.parts
    for part in reading.parts:
        if isinstance(part, RejectedRow):
            assert part.reason and isinstance(part.detail, str) and len(part.detail) < 1500
            continue

        assert isinstance(part, Example) and isinstance(part.id, str) and part.id
        assert (part.rejected is not None) == options.ranking
        assert sum(turn.question.count("<image>") for turn in part.turns) == len(part.images)
        texts = [part.id, part.system or "", part.domain or "", part.answer or "", part.source or ""]
        for response in [turn.response for turn in part.turns] + [part.rejected] * options.ranking:
            assert options.keep_malformed or part.asked or isinstance(response, LongThought)
            texts.append(rendered(response))

        "".join(texts + [turn.question for turn in part.turns]).encode()  # what Arrow does with a text
        assert rendered(part.response).startswith(part.assistant_prefix)


@given(JSON | st.dictionaries(KEYS, JSON, max_size=6), st.sampled_from(sorted(FORMATTINGS)), OPTIONS)
def test_any_json_value(row, formatting, options):
    check(row, formatting, options)


def mutated(row, draw):
    """Return the row with one value, anywhere in it, replaced, removed or turned into another type."""
    row = copy.deepcopy(row)
    place, key = None, None
    value = row
    while isinstance(value, (dict, list)) and value:
        place, key = value, draw(st.sampled_from(sorted(value) if isinstance(value, dict) else range(len(value))))
        value = place[key]
        if draw(st.integers(0, 3)) == 0:
            break

    how = draw(st.sampled_from(["replace", "remove", "cut", "insert", "repeat"]))
    if how == "remove":
        del place[key]
    elif isinstance(value, str) and how == "cut":
        place[key] = value[: draw(st.integers(0, len(value)))]
    elif isinstance(value, str) and how == "insert":
        at = draw(st.integers(0, len(value)))
        place[key] = value[:at] + draw(st.sampled_from([*TAGS, "<image>", "<|im_end|>", "\ud800"])) + value[at:]
    elif isinstance(value, (str, list)) and how == "repeat":
        place[key] = value * 2
    else:
        place[key] = draw(JSON)

    return row


@given(st.data(), OPTIONS)
def test_changed_rows_of_every_family(data, options):
    row = mutated(data.draw(st.sampled_from(ROWS)), data.draw)
    for formatting in FORMATTINGS:
        check(mutated(row, data.draw) if data.draw(st.booleans()) and row else row, formatting, options)


@pytest.mark.slow
def test_changed_real_rows(shared_data):
    """Each text of real rows cut at, and with a tag put into, places chosen by a seeded generator."""
    chance = random.Random(0)
    names = ["marco_o1/CoT_demo.json", "huatuogpt_o1/demo_data.json", "long_perceptual_thoughts/sft_docci_all_extended_cots.json",
             "long_perceptual_thoughts/dpo_docci_all_extended_cots_O.json"]  # fmt: skip
    for name in names:
        for row in json.loads((shared_data / name).read_text(encoding="utf-8"))[:40]:
            text = json.dumps(row)
            for _ in range(3):
                at = chance.randrange(len(text))
                for changed in (
                    text[:at] + chance.choice(TAGS) + text[at:],
                    text[:at] + text[at + chance.randrange(1, 9) :],
                ):
                    try:
                        row = json.loads(changed)
                    except ValueError:
                        continue

                    check(row, "long_thought", Options(ranking="dpo" in name))


@pytest.mark.slow
def test_deeply_nested_values():
    """As deep as JSON can be read: whatever column they are in."""
    deep = json.loads("[" * 900 + "]" * 900)
    for row in ROWS:
        for column in row:
            check(row | {column: deep}, "long_thought", Options())

    for name in ("role", "content", "value", "from"):
        message = {"role": "user", "content": "q"} | {name: deep}
        check(
            {"messages": [message, {"role": "assistant", "content": "<think>a</think>b"}]}, "long_thought", Options()
        )


REPEATED = [
    "<think>", "</answer>", "</CONCLUSION>", "<|end_of_thought|>", "### The final answer is:\n", "\n", " ", "<",
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("tag", REPEATED)
def test_time_is_linear_in_the_response(tag, grows_linearly):
    """40,000 times the same tag, alone and inside an otherwise good response."""

    def look(count):
        for text in (tag * count, f"<think>{tag * count}</think><answer>b</answer>"):
            for name in {format_of(text), "think_answer", "headings"}:
                try:
                    parse_response(text, name)
                except RejectedRow as error:
                    assert len(str(error)) < 500

            read_row({"question": tag * count, "response": text}, "long_thought")

    grows_linearly(look, 10_000, 40_000)


def test_an_object_with_a_key_for_each_token_is_no_row():
    (part,) = read_row({f"token{number}": number for number in range(100_000)}, "long_thought").parts
    assert part.reason == "the row is a table of its own" and "100,000 columns" in part.detail
