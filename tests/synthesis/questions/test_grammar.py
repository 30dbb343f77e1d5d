"""What a writer wrote: the same question in many spellings, and what is no question or two at once."""

import json
import re
from random import Random
from time import process_time

import pytest

from virgo_factory.synthesis.questions.grammar import NONE, TWO, index_of, items_of, normal
from virgo_factory.synthesis.questions.votes import vote_of
from virgo_factory.synthesis.questions.writing import questions_of


OPTIONS = ("red", "dark blue", "4", "a star")

SPELLED = {
    "ours": "<q>Which?</q><o>red</o><o>dark blue</o><o>4</o><o>a star</o><a>dark blue</a><k>place</k><t>ball 1</t>",
    "bold": "**1.** <q>**Which?**</q>\n<o>- red</o><o>- dark blue</o><o>- 4</o><o>- a star</o><a>**dark blue**</a>"
    "<k>place</k><t>ball 1</t>",
    "open": "1. <q>Which?\n<o>red\n<o>dark blue\n<o>4\n<o>a star\n<a>dark blue\n<k>place\n<t>ball 1\n\nI hope this helps.",
    "spaced": "< Q > Which? </ Q ><O>red</O><O>dark blue</O><O>4</O><O>a star</O><A> dark blue </A><K>place</K><T>ball 1</T>",
    "thinking": "<think>\n<q>No?</q>\n</think>\n<q>Which?</q><o>red</o><o>dark blue</o><o>4</o><o>a star</o>"
    "<a>dark blue</a><k>place</k><t>ball 1</t>",
    "lettered": "<q>Which?</q><o>(A) red</o><o>(B) dark blue</o><o>(C) 4</o><o>(D) a star</o><a>dark blue</a>"
    "<k>place</k><t>ball 1</t>",
    "LPT": "1. <question> Which? </question> <choices> (A) red (B) dark blue (C) 4 (D) a star </choices>"
    " <answer> dark blue </answer> <type> place </type> <tags>ball 1</tags>",
    "LPT, lines": "Here it is:\n\n1. <question>Which?</question>\n<choices>\nA. red\nB. dark blue\nC. 4\nD. a star\n</choices>\n"
    "<answer>dark blue</answer>\n<type>place</type><tags>ball 1</tags>",
    "LPT, open": "<question> Which? <choices> A) red B) dark blue C) 4 D) a star <answer> dark blue <type> place <tags> ball 1",
    "choices with tags": "<q>Which?</q><choices><option>red</option><option>dark blue</option><option>4</option>"
    "<option>a star</option></choices><a>dark blue</a><k>place</k><t>ball 1</t>",
    "JSON": json.dumps(
        [{"question": "Which?", "options": OPTIONS, "answer": "dark blue", "kind": "place", "tags": ["ball 1"]}]
    ),
    "JSON in a fence": "Sure:\n```json\n"
    + json.dumps({"q": [], "question": "Which?", "choices": dict(zip("ABCD", OPTIONS, strict=True))})[:-1]
    + ', "answer": "dark blue", "type": "place", "tags": "ball 1"}\n```',
    "JSON lines": '{"question": "Which?", "options": "(A) red (B) dark blue (C) 4 (D) a star", "answer": "dark blue",'
    ' "kind": "place", "tags": "ball 1"},\nand that is all.',
}


@pytest.mark.parametrize("name", SPELLED)
def test_one_question_in_many_spellings(name):
    (item,) = items_of(SPELLED[name])
    assert (item.question, item.options, item.answer, item.fault) == ("Which?", OPTIONS, "dark blue", "")
    assert (item.kind, item.things) == ("place", ("ball 1",))


@pytest.mark.parametrize(
    "text",
    [
        SPELLED["ours"] + "<c>count(ball) = 2</c>",
        SPELLED["open"].replace("\n\nI", "\n<c>count(ball) = 2\n\nI"),
        SPELLED["LPT"] + " <claim> count(ball) = 2 </claim>",
        *(
            SPELLED["JSON"].replace('"kind"', f'"{key}": {claim}, "kind"')
            for key in ("claim", "claims", "Claim", "c")
            for claim in ('"count(ball) = 2"', '["count(ball) = 2"]')
        ),
    ],
)
def test_a_claim_in_many_spellings(text):
    assert [(item.claim, item.answer, item.things) for item in items_of(text)] == [
        ("count(ball) = 2", "dark blue", ("ball 1",))
    ]


@pytest.mark.parametrize("claim", ["none", "N/A", "-", " None. "])
def test_no_claim_in_many_spellings(claim):
    assert [item.claim for item in items_of(SPELLED["ours"] + f"<c>{claim}</c>")] == [""]


def test_two_claims_are_one_behind_the_other():
    (item,) = items_of(SPELLED["ours"] + "<c>count(ball) = 2</c><c>left_of(ball 1, ball 2)</c>")
    assert item.claim == "count(ball) = 2; left_of(ball 1, ball 2)"


def test_items_stay_apart_whatever_is_left_open():
    text = "1. <q>One?\n<o>a\n<o>b\n<a>a\n\n2. <q>Two?</q><choices>(A) x (B) y</choices><answer>(B)\n\n3) <q>Three?"
    first, second, third = items_of(text)
    assert (first.question, first.options, first.answer) == ("One?", ("a", "b"), "a")
    assert (second.question, second.options, second.answer) == ("Two?", ("x", "y"), "(B)")
    assert third.fault == "it has no options"
    first, second = items_of("1. <q>One?\n<o>a\n<o>b\n<a>a\n<k>place\n<t>\n2. <q>Two?\n<o>a\n<o>b\n<a>a\n<t>")
    assert (first.things, second.things, second.answer) == (None, None, "a")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "One could ask what is red. A) the ball B) the star",
        "<think>I would ask <q>Which?</q> but",
        "[1, 2]",
        '{"answer": "B"}',
        "```json\nnot json\n```",
    ],
)
def test_prose_holds_no_question(text):
    assert items_of(text) == []


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("<q>Which?</q><o>x</o><o>y</o><a>x</a><a>y</a>", "it has two of answer"),
        (
            "<q>Which?</q><choices>(A) x (B) y</choices><choices>(A) y (B) x</choices><a>(A)</a>",
            "it has two of choices",
        ),
        ("<q>Which?</q><choices>(A) x (B) y</choices><o>x</o><a>(A)</a>", "its options stand in two places"),
        ("<q>Which?</q><choices>(B) x (A) y (C) z (D) w</choices><a>(A)</a>", "it has no options"),
        ("<q>Which?</q><choices>(A) x (B) as (A) (C) z (D) w</choices><a>(A)</a>", "it has no options"),
        ("<q>Which?</q><choices>one of (A) x (B) y</choices><a>(A)</a>", "it has no options"),
        ("<q>Which?</q><o>x</o><o>y</o>", "it has no answer"),
        ("<q></q><o>x</o><o>y</o><a>x</a>", "it has no question"),
    ],
)
def test_what_can_be_read_in_two_ways_is_not_read(text, fault):
    (item,) = items_of(text)
    assert item.fault == fault


def test_the_end_of_a_reply_that_was_cut_off_is_not_read():
    text = "<q>Which?</q><o>red</o><o>red ball</o><a>red"
    assert items_of(text)[0].fault == "" and items_of(text, is_whole=False)[0].fault == "it was cut off"
    assert items_of(text + "</a>", is_whole=False)[0].fault == ""


@pytest.mark.parametrize(
    ("answer", "place"),
    [
        *[
            (text, 1)
            for text in ("dark blue", "Dark blue.", "the dark blue", "B", "(b)", "B.", "(B) dark blue", "Option B")
        ],
        *[(text, 2) for text in ("4", "four", "C: 4", "(C)")],
        *[(text, 3) for text in ("star", "A star", "(D) the star")],
        *[(text, TWO) for text in ("(A) dark blue", "C. a star", "option A: star")],
        *[(text, NONE) for text in ("blue", "red or dark blue", "it is red", "not red", "-4", "E", "(E) red", "A, B")],
        *[(text, NONE) for text in ("(A) dark", "")],
    ],
)
def test_an_answer_is_one_option_by_identity(answer, place):
    assert index_of(answer, OPTIONS) == place


def test_an_option_may_deny_something():
    options = ("yes", "no", "it is not there at all", "A. Smith")
    assert index_of("(C) it is not there at all", options) == 2 and index_of("it is not there at all", options) == 2
    assert index_of("A. Smith", options) == index_of("D", options) == index_of("(D) A. Smith", options) == 3


def test_a_letter_that_is_the_text_of_another_option_is_both():
    assert index_of("A", ("B", "A", "C", "D")) == TWO
    assert index_of("A", ("A", "B", "C", "D")) == 0


def test_words_as_they_are_compared():
    assert normal("The 2 red balls") == normal("two Red balls!") == ("2", "red", "balls")
    assert normal("vitamin A") != normal("vitamin") and normal("A") == ("a",) and normal("?") == ()


@pytest.mark.slow
@pytest.mark.parametrize(
    "piece",
    [
        "\n",
        " ",
        "<",
        "< ",
        "<q>",
        "<a>",
        "```",
        "```json\n",
        "(A) ",
        "(",
        "{",
        "[",
        "**",
        "<think>",
        "1. ",
        "<t>(",
        "<q>x</q><t>, ",
    ],
)
def test_a_reply_that_loops_is_read_in_no_time(piece, scene, question, say):
    """A character more must not cost more than the one before: no pattern may run over the rest at every place."""
    for text in (piece * (30_000 // len(piece)), "<q>Which?\n<o>" + piece * (30_000 // len(piece))):
        started = process_time()
        list(questions_of(scene, [say(text)]))
        vote_of(text, question)
        assert process_time() - started < 1


def test_whatever_is_lost_of_a_reply_no_answer_becomes_another_option():
    """Tags, letters, line breaks and the end go missing, as they do in replies."""
    written = "\n\n".join(
        f"{number}. <question> What lies on plate {number}? </question> <choices> (A) a cup (B) a fork {number} (C) two forks"
        f" (D) a red cup </choices> <answer> {answer} </answer> <type> Recognition </type>"
        for number, answer in enumerate(("a cup", "(B)", "two forks", "(D) a red cup", "D.", "A fork 6"), start=1)
    )
    wanted = {one.question: one.options[index_of(one.answer, one.options)] for one in items_of(written)}
    assert len(wanted) == 6
    draw, read, lost = Random(11), 0, 0
    for _ in range(400):
        text, is_whole = written, draw.random() < 0.5
        for _ in range(draw.randint(1, 4)):
            text = draw.choice(LOSSES)(text, draw)

        for item in items_of(text, is_whole):
            place = index_of(item.answer, item.options) if not item.fault and len(item.options) == 4 else NONE
            if item.question in wanted and isinstance(place, int):
                read += 1
                assert item.options[place] == wanted[item.question], text
            else:
                lost += 1

    assert read > 500 and lost > 100


def _without(pattern: str):
    def lose(text: str, draw: Random) -> str:
        found = list(re.finditer(pattern, text))
        one = draw.choice(found) if found else None
        return text[: one.start()] + draw.choice(("", " ")) + text[one.end() :] if one else text

    return lose


LOSSES = (
    _without(r"</?[a-z]+>"),
    _without(r"\([A-D]\)"),
    _without(r"\n\n"),
    _without(r"\d\. "),
    lambda text, draw: text[: draw.randrange(len(text))],
)
