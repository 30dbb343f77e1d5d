"""Virgo's published scorers, faults included (reference: the release's evaluation folder), for its Table 2 alone.

Kept: MathVerse's box that ends at the first brace, the joining of all boxes, the limit of 100 characters, prediction and gold
in each other's place. Not kept: asking a judge until it answers, `eval`. The prompts are in our words, and equality of formulas
is that of the answers room, not sympy's; numbers made with another judge or prompt differ.
"""

import re
from collections.abc import Sequence
from typing import Any

from virgo_factory.answers import grading, judge
from virgo_factory.answers.model import Question, gold_text
from virgo_factory.answers.options import LETTERS
from virgo_factory.core.thought import BEGIN_SOLUTION, END_SOLUTION
from virgo_factory.evaluation.scorers.step import JudgeRequest, Scorer, Step, told, zero_one
from virgo_factory.rollouts.shown import asked_with_options


WORDS = 30
"""Words from the end that MathVerse's judge sees (`--trunk_response 30`)."""

LONGEST = 100
"""Characters of OlympiadBench's joined boxes beyond which an answer is wrong."""

PRECISION = 1e-8
_BOX = "\\boxed{"


def mathverse(response: str, gold: Any, question: Question, replies: Sequence[str] = ()) -> Step:
    """Return the next step for MathVerse: a judge extracts from the last words of the last box or the solution, one compares."""
    said = " ".join(_mathverse_said(response).split()[-WORDS:])
    if not replies:
        return JudgeRequest("judge_extract.txt", {"question": question.text, "answer": said})

    return _compared(replies[0], gold, question, replies[1:])


def _mathverse_said(response: str) -> str:
    r"""Return the last box up to its first closing brace, else the solution, else everything.

    >>> _mathverse_said(r"so \boxed{\frac{1}{2}}")
    '\\frac{1'
    """
    if _BOX in response:
        return response.rpartition(_BOX)[2].partition("}")[0]

    if BEGIN_SOLUTION in response:
        return response.rpartition(BEGIN_SOLUTION)[2].partition(END_SOLUTION)[0]

    return response


def mathvision(response: str, gold: Any, question: Question, replies: Sequence[str] = ()) -> Step:
    """Return the next step for MathVision: a judge compares all boxes together; without a box it is wrong."""
    said = joined_boxes(response)
    return _compared(said, gold, question, replies) if said else told(False, "", "none")


def joined_boxes(response: str) -> str:
    r"""Return the insides of all boxes, a comma behind each; nothing where the braces of one are not balanced.

    >>> joined_boxes(r"\boxed{1} or \boxed{\frac{1}{2}}"), joined_boxes(r"\boxed{1} or \boxed{2")
    ('1,\\frac{1}{2},', '')
    """
    found = ""
    for start in (match.end() for match in re.finditer(re.escape(_BOX), response)):
        depth = 1
        for end, sign in enumerate(response[start:], start=start):
            depth += (sign == "{") - (sign == "}")
            if not depth:
                found += response[start:end] + ","
                break
        else:
            return ""

    return found


def _compared(said: str, gold: Any, question: Question, replies: Sequence[str]) -> Step:
    if not replies:
        texts = {"question": asked_with_options(question), "gold": gold_text(gold), "answer": said}
        return JudgeRequest("judge_zero_one.txt", texts)

    return told(zero_one(replies[0]), said, "box", by_judge=True)


def olympiadbench(response: str, gold: Any, question: Question, replies: Sequence[str] = ()) -> Step:
    """Return the verdict for OlympiadBench, by rules: parts of the joined boxes paired with those of the gold.

    The prediction is taken for the gold and the gold for the prediction, so several tolerances follow the prediction's order.
    """
    said = joined_boxes(response)
    if len(said) > LONGEST:
        return told(False, said, "box")

    tolerance = question.tolerance if question.tolerance is not None else PRECISION
    return told(bool(said) and _paired(_cleaned(said), _cleaned(gold_text(gold)), tolerance), said, "box")


_REPLACED = {
    **{"\\left": "", "\\right": "", "∶": ":", "，": ",", "$": "", "\\approx": "=", "\\simeq": "=", "\\sim": "="},
    **{"^\\prime": "'", "^{\\prime}": "'", "^\\circ": "", "%": ""},
}


def _cleaned(text: str) -> str:
    text = text.partition("\\in ")[2] or text
    for sign, other in _REPLACED.items():
        text = text.replace(sign, other)

    return re.sub(r"\\(?:mathrm|mathbf)\{~?([^}]*)\}", r"\1", text.strip("\n$,.:;^_=+`!@#$%^&*~，。"))


def _paired(first: str, second: str, tolerance: float | Sequence[float]) -> bool:
    """Return whether each part of the first has its own equal part of the second, and none is left."""
    if first == second:
        return True

    ours, others = (_parts(re.sub(r"[\u4e00-\u9fff]+", "", text)) for text in (first, second))
    allowed = [tolerance] * len(ours) if isinstance(tolerance, int | float) else list(tolerance)
    if len(ours) != len(others) or len(allowed) < len(ours):
        return False

    for part, most in zip(ours, allowed, strict=False):
        same = next((place for place, other in enumerate(others) if _equal(part, other, most)), None)
        if same is None:
            return False

        del others[same]

    return True


def _parts(text: str) -> list[str]:
    """Return what stands between commas outside of brackets, a plus-minus sign as two."""
    parts, depth, start = [], 0, 0
    for place, sign in enumerate(f"{text},"):
        depth += (sign in "([") - (sign in ")]")
        if sign == "," and not depth:
            parts.append(text[start:place].strip())
            start = place + 1

    both = ([part.replace("\\pm", sign) for sign in "+-"] if "\\pm" in part else [part] for part in parts)
    return [part for some in both for part in some]


def _equal(reference: str, other: str, tolerance: float) -> bool:
    """Return whether two parts are equal; a number also where it is a hundred times or a hundredth of the reference."""
    if reference == other:
        return bool(reference)

    try:
        value, wanted = float(other), float(reference)
    except ValueError:
        config = grading("olympiadbench")
        return judge(other, reference, Question(tolerance=tolerance), config).correct is True

    return any(abs(scaled - value) <= tolerance * 1.01 for scaled in (wanted / 100, wanted, wanted * 100))


_REFUSALS = (
    *("Sorry, I can't help with images of people yet.", "I can't process this file."),
    *("I'm sorry, but without the image provided", "Cannot determine the answer"),
)


def mmmu(response: str, gold: Any, question: Question, replies: Sequence[str] = ()) -> Step:
    """Return the next step for MMMU, whose scorer is not released: VLMEvalKit's rule for the letter, then a judge.

    An open question is a choice between the gold and "Other Answers", as there.
    """
    golds = list(gold) if isinstance(gold, list | tuple) else [gold]
    options = question.options or (str(golds[0]), "Other Answers")
    wanted = str(gold).strip() if question.options else "A"
    letter = _letter(response, LETTERS[: len(options)]) or _letter_of_text(response, options)
    if letter:
        return told(letter == wanted, letter, "letter")

    if not replies:
        asked = asked_with_options(Question(question.text, options=options))
        return JudgeRequest("judge_choice.txt", {"question": asked, "answer": response})

    found = re.fullmatch(r"\s*\(?([A-Z])\)?\s*\.?\s*", replies[0])
    return told(found[1] == wanted if found else None, found[1] if found else "", "letter", by_judge=True)


def _letter(response: str, letters: str) -> str:
    """Return the only option's letter among a response's words; "Z" for a refusal, nothing where it is not clear."""
    if any(refusal in response for refusal in _REFUSALS):
        return "Z"

    words = re.sub(r"[.()\[\],:;!*#{}]", " ", response).split()
    found = [letter for letter in letters if letter in words]
    if len(found) == 1 and not ("A" in words and len(words) > 3):  # an article
        return found[0]

    return "Z" if not found and "Z" in words else ""


def _letter_of_text(response: str, options: Sequence[str]) -> str:
    lowered = response.lower()
    found = [letter for letter, option in zip(LETTERS, options, strict=False) if option.lower() in lowered]
    return found[0] if len(found) == 1 else ""


PAPER: dict[str, Scorer] = {
    **{"mathverse": mathverse, "mathvision": mathvision, "mathvision_testmini": mathvision, "mmmu": mmmu},
    **{"olympiadbench": olympiadbench, "olympiadbench_en": olympiadbench},
}
"""Benchmark -> Virgo's scorer of it; it has none for others."""
