"""Expansions: the prefill letter by letter, each filter's faults, and what the filters do to released expansions."""

from collections import Counter
from dataclasses import replace

import pytest

from virgo_factory.synthesis.thoughts import expanding
from virgo_factory.synthesis.thoughts.expanding import CUES, FORBIDDEN, JOINS, expansion_asks, expansions_of
from virgo_factory.synthesis.words import Dropped, Thought


def ask_of(thoughts, text, cue="Wait,", join="\n"):
    short = replace(thoughts.short(0, "A"), thought=text)
    (ask,) = expansion_asks(thoughts.scene, thoughts.question, short, cues=(cue,), joins=(join,))
    return short, ask


@pytest.mark.parametrize(
    ("text", "planted"),
    [
        ("I see A Red cup.", "I see A Red cup.\nWait,"),
        ("So it is (A) red", "So it is (A) red.\nWait,"),
        ('It says "PAN."', 'It says "PAN."\nWait,'),
        ("Is it red?", "Is it red?\nWait,"),
    ],
)
def test_the_prefill_is_the_short_thought_letter_by_letter(text, planted, thoughts):
    short, ask = ask_of(thoughts, text)
    assert ask.prefill == f"<think>{planted}"
    assert planted[: ask.about["prefix_end"]] == text and planted[: ask.about["cue_end"]] == planted
    assert (ask.of, ask.image, ask.system) == (short.id, "", "")


def test_the_reasoner_is_told_no_numbers_of_boxes_and_nothing_of_captions(thoughts):
    _, ask = ask_of(thoughts, "It is red.")
    assert "A blue cup on a table.\ncup 1: bottom left" in ask.text and "(B) blue" in ask.text
    assert "220" not in ask.text and "{" not in ask.text
    without = ask.text.replace("A blue cup on a table.", "")
    assert not [word for word in FORBIDDEN if word in without.lower().split()]


def test_cues_are_drawn_by_the_thought_and_stay(thoughts):
    shorts = [thoughts.short(number, "A") for number in range(200)]
    asks = [expansion_asks(thoughts.scene, thoughts.question, one)[0] for one in shorts]
    assert asks == [expansion_asks(thoughts.scene, thoughts.question, one)[0] for one in shorts]
    assert {(ask.about["cue"], ask.about["join"]) for ask in asks} == {(cue, join) for cue in CUES for join in JOINS}
    other = [expansion_asks(thoughts.scene, thoughts.question, one, seed=1)[0] for one in shorts]
    assert [ask.prefill for ask in other] != [ask.prefill for ask in asks]


def test_an_expansion_and_its_offsets(thoughts, say):
    short, ask = ask_of(thoughts, "It is red")
    response = " no. Looking again, it is blue.\n</think>\n\nThe text says so.\n\n<answer>B</answer>"
    (found,) = expansions_of(thoughts.question, short, ask, [say(response, 1)])
    assert found.thought == "It is red.\nWait, no. Looking again, it is blue."
    assert (found.id, found.short, found.answer, found.is_correct) == (f"{short.id}/l1", short.id, "B", True)
    assert found.thought[: found.prefix_end] == "It is red" and found.thought[: found.cue_end].endswith(found.cue)


WHOLE = " it is blue. </think> <answer>B</answer>"
LOOPING = " " + "I look at the cup on the table. " * 3
FAULTS = [
    (" it is", "length", "cut off"),
    (" it is blue. </think> So", "length", "cut off"),
    (" it is blue.", "stop", "the thought is not closed"),
    (" it is blue. </think>", "stop", "no answer"),
    (" it is. </think> <answer>none of them</answer>", "stop", "the answer is none of the options"),
    (" it is. </think> <answer>A, B</answer>", "stop", "more than one answer"),
    ("  </think> <answer>B</answer>", "stop", "nothing is added"),
    (" <think> it is. </think> <answer>B</answer>", "stop", "tags out of order"),
    (" it is. </think> </think> <answer>B</answer>", "stop", "tags out of order"),
    (" the Description has it. </think> <answer>B</answer>", "stop", "a forbidden word"),
    (" it is, as the image described. </think> <answer>B</answer>", "stop", "a forbidden word"),
    (" it is <image>. </think> <answer>B</answer>", "stop", "control token in the response"),
    (f"{LOOPING}</think> <answer>B</answer>", "stop", "a loop"),
    (f"{' Is it, or is it not, a cup?' * 60} </think> <answer>B</answer>", "stop", "a loop"),
    (WHOLE, "loop", "a loop"),
    (" so it is (C) green. </think> <answer>B</answer>", "stop", "its last sentence contradicts its answer"),
    (
        " so the answer is C. I see it now. </think> <answer>B</answer>",
        "stop",
        "its last sentence contradicts its answer",
    ),
]


@pytest.mark.parametrize(("response", "finish_reason", "reason"), FAULTS)
def test_a_fault(response, finish_reason, reason, thoughts, say):
    short, ask = ask_of(thoughts, "It is red.")
    (found,) = expansions_of(thoughts.question, short, ask, [say(response, finish_reason=finish_reason)])
    assert isinstance(found, Dropped) and (found.of, found.reason) == (f"{short.id}/l0", reason)


@pytest.mark.parametrize(
    "response",
    [
        WHOLE,
        " its texture, in this context, restates nothing. It is blue. </think> <answer>B</answer>",  # words inside others
        " is it red? No, not red. So B. </think> The description says <answer>B</answer>",  # only the thought is looked at
        " it could be (C) green. But it is not. </think> <answer>B</answer>",
        " it is (C) green. </think> <answer>C</answer>",  # wrong, and kept: pairs reject it
    ],
)
def test_no_fault(response, thoughts, say):
    short, ask = ask_of(thoughts, "The text says it is red.")  # what was not added is not looked at
    (found,) = expansions_of(thoughts.question, short, ask, [say(response)])
    assert isinstance(found, Thought)


def test_the_same_addition_is_kept_once(thoughts, say):
    short, ask = ask_of(thoughts, "It is red.")
    found = list(expansions_of(thoughts.question, short, ask, [say(WHOLE, 1), say(WHOLE, 0)]))
    assert [type(one) for one in found] == [Thought, Dropped]
    assert (found[0].id, found[1].of) == (f"{short.id}/l0", f"{short.id}/l1")
    assert found[1].reason == expanding.DUPLICATE


def test_words_are_the_callers(thoughts, say):
    short, ask = ask_of(thoughts, "It is red.")
    replies = [say(" the text is blue. </think> <answer>B</answer>")]
    assert isinstance(next(expansions_of(thoughts.question, short, ask, replies, forbidden=())), Thought)
    (found,) = expansions_of(thoughts.question, short, ask, replies, forbidden=("blue",))
    assert (found.reason, found.detail) == ("a forbidden word", "blue")


@pytest.mark.slow
def test_released_expansions_pass_but_for_those_that_contradict_themselves(released, say, thoughts):
    """165 expansions that passed LongPerceptualThoughts' filters; three of them end with another option than they conclude."""
    reasons: Counter[str] = Counter()
    flipped: Counter[str] = Counter()
    for question, begin, join, added, answer in released.expansions():
        short = Thought("s0", question.id, begin, "", False)
        (ask,) = expansion_asks(thoughts.scene, question, short, cues=("Wait,",), joins=(join.removeprefix("."),))
        assert ask.prefill == f"<think>{begin}{join}Wait,"
        for letter in ("", *"ABCD"):
            response = f"{added}\n</think>\n\nSo it is.\n\n<answer>{letter or answer}</answer>"
            (found,) = expansions_of(question, short, ask, [say(response)])
            if not letter:
                reasons[getattr(found, "reason", "")] += 1
                (own,) = expansions_of(question, short, ask, [say(response)], forbidden=())
                right = getattr(own, "answer", "")
            elif right and letter != right:
                flipped[getattr(found, "reason", "")] += 1

    assert reasons == {"": 162, expanding.CONTRADICTS: 3}
    assert flipped[expanding.CONTRADICTS] / flipped.total() > 0.9 and flipped.total() == 3 * 162
