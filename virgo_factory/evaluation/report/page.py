"""The sample of a report: responses of each outcome to look at, with picture, thought, solution, answer, gold and rule."""

from collections.abc import Iterator, Mapping, Sequence, Set
from pathlib import Path
from typing import Any

from virgo_factory.answers import REASONS
from virgo_factory.answers.model import gold_text
from virgo_factory.answers.prose.response import parts
from virgo_factory.evaluation.benchmarks import title_of
from virgo_factory.evaluation.folder import Run
from virgo_factory.evaluation.probes.process import DIMENSIONS, marks_in
from virgo_factory.evaluation.scores import FLAGS
from virgo_factory.report.page import Article, Picture, Section, Text
from virgo_factory.rollouts.long_thoughts import read_thought
from virgo_factory.rollouts.question import VisualQuestion, question_of
from virgo_factory.rollouts.shown import asked_with_options, picture_of
from virgo_factory.rollouts.store.index import OUTCOMES
from virgo_factory.rollouts.store.jsonl import digest, hash_of
from virgo_factory.rollouts.store.rollout import rollout_of, verdict_of


COLOURS = {"correct": "trained", "wrong": "rejected"}
END_SHOWN = 1_000
"""Characters shown of the end of a response that is not one thought and one solution."""


def outcome_of(flags: int) -> str:
    """Return what a response counts as: correct, wrong, unverifiable, truncated or looping."""
    for name in ("truncated", "looping", "correct", "unverifiable"):
        if flags & FLAGS[name]:
            return name

    return "wrong"


def chosen(run: Run, most: int, first: Set[str] = frozenset()) -> list[int]:
    """Return which of the responses held are shown: of each benchmark and outcome `most`, the same questions of all runs.

    Those to the questions of `first` come first.
    """
    held, left = run.held, {}
    keys = [(run.ids[place] not in first, hash_of(run.ids[place])) for place in held.place]
    order = sorted(range(len(held.place)), key=keys.__getitem__)
    found = []
    for number in order:
        key = held.questions[held.place[number]].benchmark, outcome_of(held.flags[number])
        left.setdefault(key, most)
        if left[key]:
            left[key] -= 1
            found.append((OUTCOMES.index(key[1]), number))

    worth_a_look = (1, 3, 4, 2, 0)  # wrong, truncated, looping, unverifiable, correct
    return [number for outcome, number in sorted(found, key=lambda one: worth_a_look.index(one[0]))]


def articles(runs: Sequence[Run], most: int) -> Iterator[Article]:
    """Yield the sample of all runs, one response at a time."""
    for run in runs:
        marks = marks_in(run.folder)
        for number in chosen(run, most, {question for question, _ in marks}):
            yield article(run, number, marks, is_named=len(runs) > 1)


def article(run: Run, number: int, marks: Mapping[tuple[str, int], Mapping], is_named: bool = False) -> Article:
    """Return one of the responses held, with a judge's marks where it has some; `is_named` where the run is told, too."""
    held = run.held
    question = question_of(run.questions[held.place[number]])
    rollout, verdict = rollout_of(run.rollouts[held.row[number]]), verdict_of(run.verdicts[held.verdict[number]])
    outcome = outcome_of(held.flags[number])
    found = f"{verdict.rule} in the {verdict.where}" if verdict.answer else verdict.rule
    facts = [
        ("gold", gold_text(question.gold)),
        ("answer", verdict.answer or "none"),
        ("found by", found),
        ("rule", REASONS.get(verdict.reason, verdict.reason)),
        ("tokens", f"{rollout.completion_tokens:,}"),
        *_marked(marks.get((question.id, rollout.sample)), rollout.response),
        *question.groups.items(),
        *([("run", run.name)] if is_named else []),
    ]
    asked = Section("Question", list(_asked(question, run.folder)))
    labels = [title_of(question.source), *([run.name] if is_named else [])]
    sections = [asked, *_response(rollout.response, run.config.get("response_format", "auto"), outcome)]
    return Article(f"{question.id}, sample {rollout.sample + 1}", outcome, sections, facts, labels)


def _marked(row: Mapping[str, Any] | None, response: str) -> Iterator[tuple[str, str]]:
    """Yield the marks on the process of a response, each with the words that it goes by."""
    if row and row["response"] == digest(response):
        for name in DIMENSIONS:
            quote = f': "{row[name]["quote"]}"' if row[name]["quote"] else ""
            yield name, row[name]["mark"] + quote


def _response(response: str, response_format: str, outcome: str) -> Iterator[Section]:
    """Yield the thought, folded, and the solution; of a response that is not made of these its end, and folded the whole."""
    colour = COLOURS.get(outcome, "context")
    thought, _ = read_thought(response, response_format)
    if thought:
        yield Section("Thought", [Text(thought.thought)], True, f"{len(thought.thought):,} characters")
        yield Section("Solution", [Text(thought.solution, colour)])
        return

    part, has_end = parts(response)
    end = part.text if has_end and part.where == "solution" else response
    is_whole = len(end) <= END_SHOWN
    title = "Response" if end is response else "Solution"
    yield Section(title, [Text(end if is_whole else f"... {end[-END_SHOWN:].lstrip()}", colour)])
    if not is_whole or end is not response:
        yield Section("Whole response", [Text(response)], True, f"{len(response):,} characters")


def _asked(question: VisualQuestion, folder: Path) -> Iterator[Text | Picture]:
    """Yield the question as it was asked, its pictures in their places."""
    for part in question.parts or range(len(question.images)):
        yield Text(part, "prompt") if isinstance(part, str) else picture_of(folder, question.images[part])

    if not question.parts:
        yield Text(asked_with_options(question.asked), "prompt")
    elif question.options and not any(question.options[0] in str(part) for part in question.parts):
        yield Text("\n" + asked_with_options(question.asked).removeprefix(question.question).lstrip("\n"), "prompt")
