"""Short thoughts: what is read of a thinker's reply, and what is not."""

from collections import Counter
from dataclasses import replace

import pytest

from virgo_factory.synthesis.thoughts.short import shorts_of, thinker_ask
from virgo_factory.synthesis.words import Dropped, Thought


def test_what_the_thinker_is_asked(thoughts):
    ask = thinker_ask(thoughts.scene, thoughts.question)
    assert ask.text == "<image>What colour is the cup?\n(A) red\n(B) blue\n(C) green\n(D) white"
    assert (ask.of, ask.prefill, ask.image) == ("coco/1/ab", "<think>", "pictures/1.png")
    assert "<think> and </think>" in ask.system and "{" not in ask.system


@pytest.mark.parametrize(
    ("response", "letter"),
    [
        ("It is blue. </think> <answer> (B) </answer>", "B"),
        ("It is blue.\n\n</think>\n<answer>B</answer>", "B"),
        ("It is blue.</think>\nSo the cup is blue.\n\n<answer>blue</answer>", "B"),
        ("It is blue.</think>\n<answer>The answer is B.</answer>", "B"),
        ("<think> It is blue. </think> <answer>B. blue</answer>", "B"),
        ("It is blue. </think> <answer> (A) </answer>", "A"),
        ("It is blue. </think> <answer> none of these </answer>", ""),
    ],
)
def test_a_thought_and_the_option_it_ends_with(response, letter, thoughts, say):
    (found,) = shorts_of(thoughts.question, [say(response, 3)])
    assert found == Thought(
        "coco/1/ab/s3", "coco/1/ab", "It is blue.", letter, letter == "B", model="model", tokens=50
    )


@pytest.mark.parametrize(
    ("response", "finish_reason", "reason"),
    [
        ("It is blue, and", "length", "cut off"),
        ("It is blue. </think> <ans", "length", "cut off"),
        ("It is blue.", "stop", "the thought is not closed"),
        ("It is blue. </think>", "stop", "no answer"),
        ("It is blue. </think> The answer is B.", "stop", "no answer"),
        ("It is blue. </think> <answer>B", "length", "cut off"),
        ("It is blue. </think> <answer>(C) blue</answer>", "stop", "more than one answer"),
        ("It is blue. </think> <answer>(A) blue</answer>", "stop", "more than one answer"),
        (" </think> <answer>B</answer>", "stop", "no thought"),
        ("It <think> is. </think> <answer>B</answer>", "stop", "tags out of order"),
        ("<answer>B</answer> </think> <answer>B</answer>", "stop", "tags out of order"),
        ("It is <image>. </think> <answer>B</answer>", "stop", "control token in the response"),
        ("It is <|im_end|>. </think> <answer>B</answer>", "stop", "control token in the response"),
        ("It is <|end_of_thought|>. </think> <answer>B</answer>", "stop", "a marker occurs more than once"),
        ("Blue. </think> <answer>B</answer>", "loop", "a loop"),
    ],
)
def test_a_reply_that_is_none(response, finish_reason, reason, thoughts, say):
    (found,) = shorts_of(thoughts.question, [say(response, finish_reason=finish_reason)])
    assert isinstance(found, Dropped) and (found.of, found.reason) == ("coco/1/ab/s0", reason)


def test_the_same_thought_is_kept_once(thoughts, say):
    same = "It is  blue. </think> <answer>B</answer>"
    replies = [say(same, 2), say(same.replace("  ", " "), 0), say(same.replace(">B<", ">A<"), 1)]
    found = list(shorts_of(thoughts.question, replies))
    assert [(one.id if isinstance(one, Thought) else one.of)[-1] for one in found] == ["0", "1", "2"]
    assert isinstance(found[2], Dropped) and found[2].reason == "the same thought as another of its question"


def test_an_option_that_is_a_letter_of_another(thoughts, say):
    """By identity: the text B is option C here."""
    question = replace(thoughts.question, options=("2", "3", "4", "5"), answer="C")
    for answer, letter in (("4", "C"), ("(C)", "C"), ("3", "B"), ("D. 5", "D"), ("C. 3", None)):
        (found,) = shorts_of(question, [say(f"I count. </think> <answer>{answer}</answer>")])
        assert getattr(found, "answer", None) == letter, answer


def test_an_option_that_sounds_like_a_denial(thoughts, say):
    question = replace(thoughts.question, options=("yes", "no", "not at all", "it is not there"), answer="D")
    for answer in ("(D) it is not there", "D. it is not there", "D", "it is not there"):
        (found,) = shorts_of(question, [say(f"I look. </think> <answer>{answer}</answer>")])
        assert found.answer == "D", answer


def test_all_400_short_thoughts_that_were_released_are_read_letter_by_letter(released, say):
    read = 0
    for id, texts in released.shorts.items():
        for text in texts:
            (found,) = shorts_of(released.questions[id], [say(f" {text} </think> <answer> A </answer>")])
            assert found.thought == text
            read += 1

    assert read == 400


def test_released_rows_have_the_verdict_that_their_files_say(released, say):
    """94 rows for SFT are right; of the pairs every chosen one is, and no rejected one."""
    verdicts = Counter()
    rows = [("sft", row, row["messages"][-1]) for row in released.sft]
    rows += [
        (side, row, row[side]) for pairs in released.pairs.values() for row in pairs for side in ("chosen", "rejected")
    ]
    for kind, row, message in rows:
        question = released.questions[row["metadata"]["mcq_unique_id"]]
        (found,) = shorts_of(question, [say(message["content"].removeprefix("<think>"))])
        verdicts[kind, found.is_correct] += 1

    assert verdicts == {("sft", True): 94, ("chosen", True): 156, ("rejected", False): 156}
