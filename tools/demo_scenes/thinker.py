"""Thinker and reasoner: short thoughts that are wrong at times, and expansions that correct, confirm, or have a known fault."""

import re
from collections.abc import Mapping, Sequence
from random import Random

from demo_scenes import truth
from demo_scenes.scenes import DrawnScene
from demo_scenes.truth import LETTERS


WRONG_THOUGHT = "wrong thought"
THOUGHT_FAULTS = ("unclosed thought", "no answer")
FLIPS, LEAKS, REPEATS, CUT, CONTRADICTS, KEEPS = (
    "flips a right answer",
    "leaks a word",
    "repeats",
    "is cut",
    "contradicts its answer",
    "keeps a wrong answer",
)
EXPANSION_FAULTS = (LEAKS, REPEATS, CUT, CONTRADICTS)

_LOOKING = (
    "I go over it from left to right once more.",
    "I look at the part of the picture that matters and leave out the rest.",
    "It helps to look at one thing after another.",
    "The edges are clear enough to tell one from the other.",
    "Something small may hide behind what lies in front.",
    "Colours come first here, then forms.",
    "What is large catches the eye, so I look for what is small.",
    "Near the border there could be more of it.",
    "I compare each option with what is there.",
    "One glance is not enough for this.",
    "The light ground makes it easy to see where each thing ends.",
    "I keep in mind which way is up and which way is down.",
)
_LEAKED = ("The description says so too.", "As mentioned, this is so.", "The text states it like this.")
_CONCLUDED = re.compile(r"So it is \(([A-D])\)")


def think(scene: DrawnScene | None, asked: str, rates: Mapping[str, float], rng: Random) -> tuple[str, str]:
    """Return a thinker's response behind `<think>`, and its label: "" for right, WRONG_THOUGHT, or one of THOUGHT_FAULTS."""
    question, options = truth.asked_in(asked)
    held = truth.right_options(scene, question, options) if scene else []
    right = LETTERS[held[0]] if held else ""
    is_wrong = not right or rng.random() < rates.get(WRONG_THOUGHT, 0.0)
    letter = rng.choice([one for one in LETTERS if one != right]) if is_wrong else right
    looking = rng.sample(_LOOKING, 3)
    told = truth.sentence(scene, question) if scene and not is_wrong else looking.pop()
    concluded = f"So it is ({letter}) {options[LETTERS.index(letter)]}."
    thought = " ".join(["I look for what the question is about.", *looking, told, concluded])
    fault = truth.drawn({name: rates.get(name, 0.0) for name in THOUGHT_FAULTS}, rng)
    if fault == "unclosed thought":
        return f" {thought} <answer>({letter})</answer>", fault

    if fault == "no answer":
        return f" {thought} </think> I cannot say.", fault

    return f" {thought} </think> <answer>{_form(letter, options, rng)}</answer>", WRONG_THOUGHT if is_wrong else ""


def go_on(
    scene: DrawnScene | None, asked: str, prefill: str, rates: Mapping[str, float], rng: Random
) -> tuple[str, str, bool]:
    """Return a reasoner's response behind a short thought and its cue, its label, and whether it was cut off.

    A right short thought is confirmed, or turned into a wrong one in the share FLIPS; a wrong one is corrected, or kept in the share
    KEEPS. Labels: "" for what ends right, FLIPS, KEEPS, or one of EXPANSION_FAULTS.
    """
    question, options = truth.asked_in(asked)
    held = truth.right_options(scene, question, options) if scene else []
    right = LETTERS[held[0]] if held else rng.choice(LETTERS)
    before = found[-1] if (found := _CONCLUDED.findall(prefill)) else ""
    was_right, wrong = (
        before == right,
        before if before and before != right else rng.choice([one for one in LETTERS if one != right]),
    )
    label = ""
    if rng.random() < rates.get(FLIPS if was_right else KEEPS, 0.0):
        label = FLIPS if was_right else KEEPS

    letter = wrong if label else right
    looking = rng.sample(_LOOKING, rng.randint(3, 5))
    told = truth.sentence(scene, question) if scene and not label else looking.pop()
    steps = [f" {looking.pop()}", told]
    if letter != before:
        steps.append("That does not fit what I thought before.")

    steps += looking
    fault = truth.drawn({name: rates.get(name, 0.0) for name in EXPANSION_FAULTS}, rng)
    if fault == LEAKS:
        steps.insert(rng.randint(1, len(steps)), rng.choice(_LEAKED))
    elif fault == REPEATS:
        steps += ["I look at the left side and then at the right side again."] * rng.randint(4, 5)

    ended = letter if fault != CONTRADICTS else next(one for one in LETTERS if one != letter)
    text = " ".join((*steps, f"So it is ({ended}) {options[LETTERS.index(ended)]}."))
    if fault == CUT:
        return text[: len(text) * 2 // 3], fault, True

    return f"{text}\n</think>\n<answer>{_form(letter, options, rng)}</answer>", fault or label, False


def _form(letter: str, options: Sequence[str], rng: Random) -> str:
    return rng.choice((letter, f"({letter})", f"({letter}) {options[LETTERS.index(letter)]}"))
