"""The process: a judge that sees the picture marks how a response came to its answer, a sentence of it quoted.

Perception, logic, answer and integration are ok, at fault, or cannot be told; a fault without a sentence that stands in the response
cannot be told, nor can what a judge fails on. Replies are kept in judgements.jsonl: nothing is judged twice, and weights are no part
of what is asked. Whether the judge can be trusted only labels by hand can say: without enough of them it is not calibrated.
"""

import functools
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import orjson

from virgo_factory.answers.model import gold_text
from virgo_factory.core.errors import UserError
from virgo_factory.evaluation.folder import Run, read_run
from virgo_factory.evaluation.questions import draw
from virgo_factory.evaluation.scorers.judging import AT_ONCE
from virgo_factory.evaluation.statistics import Estimate, interval_share
from virgo_factory.io.atomic import new_file
from virgo_factory.rollouts.judge.llm_judge import LLMJudge, judgements
from virgo_factory.rollouts.prompt import make_prompt
from virgo_factory.rollouts.question import VisualQuestion, question_of
from virgo_factory.rollouts.shown import asked_with_options
from virgo_factory.rollouts.store.jsonl import digest, lines_of


DIMENSIONS = ("perception", "logic", "answer", "integration")
"""What is marked; their weights are W1 to W4."""

OK, FAULT, CANNOT_TELL = MARKS = ("ok", "fault", "cannot tell")
FILE = "process.jsonl"
TEMPLATE = "judge_process.txt"
COUNT = 500
ENOUGH = 100
"""Responses labelled by hand, from which on the judge counts as calibrated."""

MOST_RESPONSE = 60_000
"""Characters of a response that the judge sees, its end."""

MOST_PIXELS = 2048 * 2048
"""Of a picture that the judge is shown: a request with a larger one has tens of megabytes."""

REPLY_TOKENS = 1024
SECONDS = 300.0


@dataclass(frozen=True)
class Dimension:
    """How responses did in one dimension, or in all of them together by their weights.

    Attributes:
        name: of DIMENSIONS, or "weighted".
        ok: share of responses that are ok; the interval also covers that all are that cannot be told.
        labels: responses labelled by hand.
        agree, kappa: share of these that the judge marked alike, and Cohen's kappa; nan where there are none.
    """

    name: str
    weight: float
    ok: Estimate
    fault: float
    cannot_tell: float
    labels: int
    agree: float
    kappa: float


def read_labels(path: Path) -> dict[tuple[str, int], dict[str, str]]:
    """Return the marks that people gave: (question, sample) -> dimension -> mark.

    Args:
        path: JSONL with question, sample (0 by default) and a mark for some of DIMENSIONS; the rows of process.jsonl can be
            labelled as they are, `{"mark": "ok"}` or just "ok". A row with `response` is of that response alone.

    Raises:
        ValueError: a row has none of these, or a mark that is none, with file and line.
    """
    found = {}
    for number, row in lines_of(path):
        given = {name: row[name] for name in DIMENSIONS if row.get(name)}
        marks = {name: one.get("mark") if isinstance(one, dict) else one for name, one in given.items()}
        if "question" not in row or not marks or not set(marks.values()) <= set(MARKS):
            raise UserError(
                f"{path}:{number}: expected question and a mark ({', '.join(MARKS)}) for some of {', '.join(DIMENSIONS)}."
            )

        found[row["question"], row.get("sample", 0)] = marks | (
            {"response": row["response"]} if "response" in row else {}
        )

    return found


def judge_process(
    folder: Path, judge: LLMJudge, count: int = COUNT, seed: int = 42, labels: Mapping[tuple[str, int], Mapping] = {}
) -> tuple[int, int]:
    """Write process.jsonl, the marks on the first response to questions with a picture; return how many, and how many failed.

    A row on which the judge failed says so (`failed`): its marks cannot be told, and the next call asks again.
    """
    run, done, failed = read_run(folder), 0, 0
    with judgements(folder) as stored, ThreadPoolExecutor(AT_ONCE) as threads, new_file(folder / FILE, "wb") as lines:
        marked = functools.partial(_marked, replace(judge, stored=stored, seconds=SECONDS), folder)
        for done, row in enumerate(threads.map(marked, _drawn(run, count, seed)), start=1):
            by_hand = labels.get((row["question"], row["sample"]), {})
            if by_hand and by_hand.get("response", row["response"]) == row["response"]:
                row["labels"] = {name: by_hand[name] for name in DIMENSIONS if name in by_hand}

            failed += row.get("failed", False)
            lines.write(orjson.dumps(row) + b"\n")

    return done, failed


def _drawn(run: Run, count: int, seed: int) -> Iterator[tuple[VisualQuestion, Mapping]]:
    """Yield first responses to questions with pictures."""
    strata = {row["id"]: row["source"] for row in run.questions if row.get("images")}
    drawn = draw(strata, count, seed)
    for place, number in zip(run.held.place, run.held.row, strict=True):
        if run.ids[place] in drawn and not (rollout := run.rollouts[number])["sample"]:
            yield question_of(run.questions[place]), rollout


def _marked(judge: LLMJudge, folder: Path, answered: tuple[VisualQuestion, Mapping[str, Any]]) -> dict[str, Any]:
    question, rollout = answered
    response = rollout["response"]
    texts = {"question": asked_with_options(question.asked), "gold": gold_text(question.gold), "answer": response}
    prompt = judge.filled(TEMPLATE, texts, MOST_RESPONSE)
    shown = make_prompt(replace(question, question="", parts=(), options=()), folder, max_pixels=MOST_PIXELS)
    pictures = [part["image_url"]["url"] for part in shown.messages[-1]["content"] if part["type"] == "image_url"]
    marks = judge.ask(prompt, response, lambda reply: read_marks(reply, response), REPLY_TOKENS, pictures)
    failed = {} if marks else {"failed": True}
    marks = marks or {name: {"mark": CANNOT_TELL, "quote": ""} for name in DIMENSIONS}
    key = {"question": question.id, "sample": rollout["sample"], "response": digest(response)}
    return key | marks | {"judge": judge.model} | failed


def read_marks(reply: str, response: str) -> dict[str, dict[str, str]] | None:
    """Return the marks in a judge's reply; None where it is not the object that was asked for.

    A fault counts only with words that stand in the response; else it cannot be told. A quote that does not is left out.

    >>> reply = '{"perception": {"mark": "fault", "quote": "I see  4"}, "logic": {"mark": "fault", "quote": "So 5"}, '
    >>> reply += '"answer": {"mark": "ok"}, "integration": {"mark": "cannot tell"}}'
    >>> [(one["mark"], one["quote"]) for one in read_marks(reply, "I see 4 bars.").values()]
    [('fault', 'I see 4'), ('cannot tell', ''), ('ok', ''), ('cannot tell', '')]
    """
    try:
        told = orjson.loads(re.sub(r"^\s*```(?:json)?\s*|\s*```\s*$", "", reply))
        given = {name: (told[name]["mark"], " ".join((told[name].get("quote") or "").split())) for name in DIMENSIONS}
    except (ValueError, TypeError, KeyError, AttributeError):
        return None

    if any(mark not in MARKS for mark, _ in given.values()):
        return None

    text, marks = " ".join(response.split()), {}
    for name, (mark, quote) in given.items():
        quote = quote if quote in text else ""
        marks[name] = {"mark": CANNOT_TELL if mark == FAULT and not quote else mark, "quote": quote}

    return marks


def marks_in(folder: Path) -> dict[tuple[str, int], dict[str, Any]]:
    """Return the rows of process.jsonl of a folder by question and sample; none where it is not there."""
    path = folder / FILE
    return {(row["question"], row["sample"]): row for _, row in lines_of(path)} if path.is_file() else {}


def dimensions_of(run: Run) -> list[Dimension]:
    """Return how the responses of a run did in each dimension, and by all weights together; nothing where no judge was asked."""
    rows = list(marks_in(run.folder).values())
    if not rows:
        return []

    clusters_of = {id: question.cluster for id, question in zip(run.ids, run.held.questions, strict=True)}
    clusters = [clusters_of.get(row["question"], row["question"]) for row in rows]
    weights = {name: float((run.config.get("process") or {}).get(name, 0)) for name in DIMENSIONS}
    total = sum(weights.values())
    shares = {
        mark: {name: [float(row[name]["mark"] == mark) for row in rows] for name in DIMENSIONS} for mark in MARKS
    }
    found = []
    for name in DIMENSIONS:
        pairs = [(row[name]["mark"], row["labels"][name]) for row in rows if name in row.get("labels", {})]
        own = [shares[mark][name] for mark in MARKS]
        ok = interval_share(own[0], own[2], clusters)
        found.append(Dimension(name, weights[name], ok, *map(_mean, own[1:]), len(pairs), *agreement(pairs)))

    if total:
        own = [
            [
                sum(weights[name] * shares[mark][name][place] for name in DIMENSIONS) / total
                for place in range(len(rows))
            ]
            for mark in MARKS
        ]
        ok = interval_share(own[0], own[2], clusters)
        found.append(Dimension("weighted", total, ok, *map(_mean, own[1:]), 0, math.nan, math.nan))

    return found


def agreement(pairs: Sequence[tuple[str, str]]) -> tuple[float, float]:
    """Return the share of equal marks and Cohen's kappa; nan where there is nothing to tell.

    >>> [round(one, 3) for one in agreement([("ok", "ok"), ("ok", "fault"), ("fault", "fault"), ("fault", "fault")])]
    [0.75, 0.5]
    """
    if not pairs:
        return math.nan, math.nan

    n = len(pairs)
    equal = sum(one == other for one, other in pairs) / n
    first, second = (Counter(pair[side] for pair in pairs) for side in (0, 1))
    by_chance = sum(first[mark] * second[mark] for mark in first) / n**2
    return equal, (equal - by_chance) / (1 - by_chance) if by_chance < 1 else math.nan


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
