"""Scores: questions, rollouts and verdicts -> a row for each benchmark, metric and group, with its error bar.

Read as streams; of a rollout a few bytes are held, never its text. All shares are in percent in the rows.
"""

import csv
import math
from array import array
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from virgo_factory import __version__
from virgo_factory.answers.prose.response import parts
from virgo_factory.core.errors import UserError
from virgo_factory.core.thought import END_THOUGHT
from virgo_factory.evaluation.benchmarks import BENCHMARKS
from virgo_factory.evaluation.statistics import Estimate, bootstrap, interval_share
from virgo_factory.io.atomic import new_file
from virgo_factory.rollouts.store.jsonl import hash_of


COUNTS = ("n", "asked", "correct", "unverifiable", "score", "se", "low", "high", "clusters")
SHARES = ("truncated", "looping", "unparsed", "no_end_of_thought", "gave_up", "tokens_mean", "tokens_p95")
ABOUT = ("scorer", "question_prefix", "image_max_pixels", "max_tokens", "temperature", "vllm", "judge")
COLUMNS = (
    *("run", "model", "epoch", "benchmark", "group", "value", "metric", *COUNTS, *SHARES),
    *("paper", "paper_source", "difference", *ABOUT, "package"),
)
"""Of scores.csv: score to high, all shares, paper and difference in percent; correct and unverifiable in questions."""

PARTIAL = ", partial"
"""Ends the metric of a row that does not stand on all questions asked."""

Score = dict[str, Any]
PaperValue = Callable[[str, str, str, str], tuple[float, str] | None]
"""Benchmark, group, value, metric -> the paper's value and where it stands."""


@dataclass(frozen=True)
class Asked:
    """A question as scores need it."""

    benchmark: str
    groups: Mapping[str, str]
    cluster: str


@dataclass
class Held:
    """What is held of a folder: its questions, and some numbers of each rollout, in the order of their lines.

    Attributes:
        questions: in the order of their lines.
        refused: places of questions that a server refused: they are neither right nor wrong, and not outstanding.
        place: of the rollout's question in `questions`.
        row, verdict: which rows of `hold`'s rollouts and verdicts they are, from 0.
        answer: stands for what it answered; 0 where nothing was found.
        flags: see FLAGS.
        tokens: of its response.
    """

    questions: list[Asked] = field(default_factory=list)
    refused: set[int] = field(default_factory=set)
    place: array = field(default_factory=lambda: array("l"))
    row: array = field(default_factory=lambda: array("l"))
    verdict: array = field(default_factory=lambda: array("l"))
    answer: array = field(default_factory=lambda: array("Q"))
    flags: array = field(default_factory=lambda: array("B"))
    tokens: array = field(default_factory=lambda: array("l"))


FLAGS = {
    name: 1 << bit for bit, name in enumerate(("correct", "unverifiable", "truncated", "looping", "unparsed", "open"))
}
"""What is held of a rollout: bits."""


def hold(
    questions: Iterable[Mapping],
    rollouts: Iterable[Mapping],
    verdicts: Iterable[Mapping],
    dropped: Iterable[Mapping] = (),
) -> Held:
    """Return what scores need of the rows of questions.jsonl, rollouts.jsonl, verdicts.jsonl and dropped.jsonl.

    Of several rollouts of one sample the first counts, of several verdicts on a response the last; a greedy pass of a base
    model (sample -1) does not count, nor a rollout without a verdict.
    """
    held, places = Held(), {}
    for row in questions:
        places[row["id"]] = len(held.questions)
        held.questions.append(Asked(row["source"], row.get("groups") or {}, row.get("cluster") or row["id"]))

    judged: dict[tuple[int, int, int], tuple[int, int, int]] = {}
    for number, row in enumerate(verdicts):
        if (place := places.get(row["question"])) is not None:
            judged[place, row["sample"], int(row["response"], 16)] = (
                _flags(row),
                hash_of(row["answer"].strip()) if row["answer"].strip() else 0,
                number,
            )

    seen = set()
    for number, row in enumerate(rollouts):
        place, sample = places.get(row["question"]), row["sample"]
        if place is None or sample < 0 or (place, sample) in seen:
            continue

        response = row["response"]
        found = judged.get((place, sample, hash_of(response)))
        if found is None:
            continue

        seen.add((place, sample))
        is_open = END_THOUGHT not in response and not parts(response)[1]
        held.place.append(place)
        held.flags.append(found[0] | (FLAGS["open"] if is_open else 0))
        held.answer.append(found[1])
        held.verdict.append(found[2])
        held.row.append(number)
        held.tokens.append(row["completion_tokens"])

    held.refused = {places[row["question"]] for row in dropped if row["question"] in places}
    return held


def _flags(verdict: Mapping) -> int:
    state = verdict["state"]
    unparsed = verdict["reason"] == "no_answer" and state == "complete"
    names = (verdict["verdict"], state, "unparsed" if unparsed else "")
    return sum(FLAGS[name] for name in names if name in FLAGS)


@dataclass(frozen=True)
class View:
    """The questions of one benchmark, or of a group of them, with their responses.

    Attributes:
        questions: asked.
        correct: (questions,) share of a question's responses that are correct.
        unverifiable: (questions,) likewise.
        present: (questions,) whether all its responses are there and judged.
        answers: for each question (answer, whether it is correct) of its responses; only where there are several.
    """

    questions: Sequence[Asked]
    correct: np.ndarray
    unverifiable: np.ndarray
    present: np.ndarray
    answers: Sequence[Sequence[tuple[int, bool]]] = ()

    @cached_property
    def most(self) -> np.ndarray:
        """(questions,) the share if all unverifiable responses, and all that are not there, are correct."""
        return np.where(self.present, self.correct + self.unverifiable, 1.0)

    def clusters(self) -> dict[str, list[int]]:
        """Return the places of questions by cluster, of clusters with all their questions there."""
        found = defaultdict(list)
        for place, question in enumerate(self.questions):
            found[question.cluster].append(place)

        return {name: places for name, places in found.items() if self.present[places].all()}


def accuracy(view: View) -> Estimate:
    """Share of correct responses: over the questions that are there; its interval reaches over all that were asked."""
    names = np.array([question.cluster for question in view.questions])
    there = view.present
    found = interval_share(view.correct[there], view.unverifiable[there], names[there])
    if there.all():
        return found

    least = np.where(there, view.correct, 0.0)
    over_all = interval_share(least, view.most - least, names)
    return Estimate(found.score, found.se, over_all.low, over_all.high, found.n, found.clusters)


def _by_cluster(view: View, value: Callable[[View, np.ndarray, list[int]], float]) -> Estimate:
    """Return the mean over clusters of a value that is no mean over questions, with a bootstrap interval; nan is left out."""
    clusters = list(view.clusters().values())

    def estimate(scores: np.ndarray) -> Estimate:
        values = np.array([[value(view, scores, places), 1.0] for places in clusters]).reshape(-1, 2)
        there = ~np.isnan(values[:, 0])
        n = sum(len(places) for places, is_there in zip(clusters, there, strict=True) if is_there)
        return bootstrap(values[there], lambda sums: sums[..., 0] / sums[..., 1], n)

    found = estimate(view.correct)
    high = estimate(view.most).high if view.unverifiable.any() else found.high
    return Estimate(found.score, found.se, found.low, high, found.n, found.clusters)


def worst(view: View) -> Estimate:
    """Share of clusters with all questions right: DynaMath's worst case, MMVP's pairs."""
    return _by_cluster(view, lambda view, scores, places: float(scores[places].min()))


def we_math(view: View, is_strict: bool) -> Estimate:
    """We-Math's score: a composite counts 1 where it is right and some step is (strict: all are), 1/2 where only the steps are.

    The formula of the benchmark's four_dimensional_metrics.py, (525 - 0.5 IG - IK - RM) / 525, by composite.
    """

    def value(view: View, scores: np.ndarray, places: list[int]) -> float:
        right = {view.questions[place].groups["step"]: scores[place] > 0.5 for place in places}
        whole = right.pop("multi", None)
        if whole is None or not right:  # a part of a composite, where fewer rows than published are there
            return math.nan

        return float(all(right.values()) if is_strict else any(right.values())) if whole else 0.5 * all(right.values())

    return _by_cluster(view, value)


def majority(view: View) -> Estimate:
    """maj@k: the answer given most often is what counts, of equally frequent ones the first; no answer never wins."""

    def value(view: View, scores: np.ndarray, places: list[int]) -> float:
        found = []
        for place in places:
            told = [one for one in view.answers[place] if one[0]]
            best = Counter(answer for answer, _ in told).most_common(1)  # of equal ones the first that came
            found.append(float(dict(reversed(told))[best[0][0]]) if best else 0.0)

        return float(np.mean(found))

    return _by_cluster(view, value)


def any_of(view: View) -> Estimate:
    """pass@k for k = all responses of a question: whether one of them is correct."""
    return _by_cluster(view, lambda view, scores, places: float(np.mean(scores[places] > 0)))


def mean_of_groups(view: View, group: str, levels: Sequence[Sequence[str]] = ()) -> Estimate:
    """Mean of the means of groups; with `levels` of the means of these sets of groups."""
    there = np.flatnonzero(view.present)
    values = sorted({view.questions[place].groups.get(group, "") for place in there})
    if levels and not all(set(level) & set(values) for level in levels):
        return Estimate(*[math.nan] * 4, len(there), 0)

    column = {value: number for number, value in enumerate(values)}
    sets = [[column[value] for value in level if value in column] for level in levels] or [
        [n] for n in column.values()
    ]
    rows: dict[str, np.ndarray] = {}
    for place in there:
        question = view.questions[place]
        sums = rows.setdefault(question.cluster, np.zeros((2, 2, len(values))))
        number = column[question.groups.get(group, "")]
        sums[:, 0, number] += view.correct[place], view.most[place]
        sums[:, 1, number] += 1

    def statistic(sums: np.ndarray) -> np.ndarray:
        scores, counts = np.split(sums, 2, axis=-1)
        with np.errstate(invalid="ignore"):
            means = scores / counts
            return np.mean([means[..., numbers].mean(axis=-1) for numbers in sets], axis=0)

    sums = np.array(list(rows.values())).reshape(len(rows), 2, -1)
    found, most = (bootstrap(sums[:, which], statistic, len(there)) for which in (0, 1))
    return Estimate(found.score, found.se, found.low, most.high, found.n, found.clusters)


METRICS: dict[str, Callable[[View], Estimate]] = {
    "accuracy": accuracy,
    "worst": worst,
    "pair": worst,
    "loose": lambda view: we_math(view, is_strict=False),
    "strict": lambda view: we_math(view, is_strict=True),
    "majority": majority,
    "pass": any_of,
    "mean of l2 categories": lambda view: mean_of_groups(view, "l2_category"),
    "mean of 2D and 3D": lambda view: mean_of_groups(view, "source", (("ADE20K", "COCO"), ("Omni3D",))),
}
"""How the responses to a benchmark become a number."""


class Counted(NamedTuple):
    """What is there of each question, as (questions,) arrays.

    Attributes:
        there: responses that are judged.
        present: whether these are all that it gets.
        sums: flag -> how many of them have it.
    """

    there: np.ndarray
    present: np.ndarray
    sums: Mapping[str, np.ndarray]

    def share(self, flag: str) -> np.ndarray:
        """Return the share of each question's responses that have a flag."""
        return self.sums[flag] / np.maximum(self.there, 1)


def counted(held: Held, samples: Mapping[str, int] | None = None) -> Counted:
    """Return what is there of each question; `samples` as in `scores`."""
    place, flags, size = np.array(held.place, int), np.array(held.flags, np.uint8), len(held.questions)
    there = np.bincount(place, minlength=size)
    wanted = np.array([(samples or {}).get(question.benchmark, 1) for question in held.questions], int)
    return Counted(
        there, there >= wanted, {name: np.bincount(place, (flags & bit) > 0, size) for name, bit in FLAGS.items()}
    )


def scores(
    held: Held,
    about: Mapping[str, Any],
    samples: Mapping[str, int] | None = None,
    allow_partial: bool = False,
    paper: PaperValue = lambda benchmark, group, value, metric: None,
) -> list[Score]:
    """Return the rows of scores.csv, benchmarks in the order of their questions: each metric, then each group's accuracy.

    `samples`: benchmark -> responses that a question gets; 1 where it is not named.
    `allow_partial`: score what is there where questions are outstanding; the metric of such a row ends with PARTIAL.

    Raises:
        ValueError: questions are outstanding, by benchmark.
    """
    names = [question.benchmark for question in held.questions]
    place, tokens, samples = np.array(held.place, int), np.array(held.tokens, int), samples or {}
    told = counted(held, samples)
    there, present, sums = told
    correct, unverifiable = told.share("correct"), told.share("unverifiable")
    refused = np.zeros(len(names), bool)
    refused[list(held.refused)] = True
    outstanding = Counter(names[number] for number in np.flatnonzero(~present & ~refused))
    if outstanding and not allow_partial:
        which = ", ".join(f"{name} {count:,}" for name, count in outstanding.items())
        raise UserError(
            f"questions without a judged response: {which}. Let `evaluate run` finish, or score what is there as partial."
        )

    answers: dict[int, list[tuple[int, bool]]] = defaultdict(list)
    for number, answer, flag in zip(held.place, held.answer, held.flags, strict=True):
        if samples.get(names[number], 1) > 1:
            answers[number].append((answer, bool(flag & FLAGS["correct"])))

    members: dict[tuple[str, str, str], list[int]] = defaultdict(list)
    for number, question in enumerate(held.questions):
        members[question.benchmark, "", ""].append(number)
        for group in _groups_of(question):
            members[question.benchmark, group, question.groups[group]].append(number)

    order, bounds = np.argsort(place, kind="stable"), np.concatenate([[0], np.cumsum(there)])
    first = {name: place for place, name in reversed(list(enumerate(names)))}
    rows = []
    for (name, group, value), numbers in sorted(members.items(), key=lambda one: _order(one[0], first)):
        chosen = np.array(numbers)
        view = View(
            [held.questions[number] for number in numbers],
            correct[chosen],
            unverifiable[chosen],
            present[chosen],
            [answers.get(number, ()) for number in numbers],
        )
        taken = np.concatenate([order[bounds[number] : bounds[number + 1]] for number in numbers])
        count = max(len(taken), 1)
        lengths = tokens[taken]
        row: Score = dict.fromkeys(COLUMNS, "") | {
            name: about.get(name, "") for name in ("run", "model", "epoch", *ABOUT)
        }
        row |= {"benchmark": name, "group": group, "value": value, "package": __version__}
        row |= {"asked": len(numbers), "gave_up": _percent(float((refused & ~present)[chosen].mean()))}
        for share, flag in (("truncated",) * 2, ("looping",) * 2, ("unparsed",) * 2, ("no_end_of_thought", "open")):
            row[share] = _percent(sums[flag][chosen].sum() / count) if len(taken) else ""

        if len(lengths := lengths[lengths > 0]):  # 0 where a log does not tell
            row |= {
                "tokens_mean": round(float(lengths.mean()), 1),
                "tokens_p95": round(float(np.percentile(lengths, 95)), 1),
            }

        for key in ("correct", "unverifiable"):
            row[key] = round(float(getattr(view, key)[view.present].sum()), 4)

        for metric in _metrics(name, group, samples.get(name, 1)):
            rows.append(row | _estimated(METRICS[metric](view), bool(outstanding[name]), metric, paper, row))

    return rows


def _groups_of(question: Asked) -> list[str]:
    benchmark = BENCHMARKS.get(question.benchmark)
    wanted = benchmark.groups if benchmark else question.groups
    return [group for group in wanted if group in question.groups]


def _order(key: tuple[str, str, str], first: Mapping[str, int]) -> tuple:
    """Return what puts benchmarks in the order in which they stand, the whole first, groups as the benchmark lists them."""
    name, group, value = key
    groups = BENCHMARKS[name].groups if name in BENCHMARKS else ()
    number = int(value) if value.isdecimal() else -1
    return first[name], bool(group), groups.index(group) if group in groups else 0, group, number, value


def _metrics(name: str, group: str, samples: int) -> tuple[str, ...]:
    if group or name not in BENCHMARKS:
        return ("accuracy",)

    return tuple(metric for metric in BENCHMARKS[name].metrics if samples > 1 or metric not in ("majority", "pass"))


def _estimated(found: Estimate, is_partial: bool, metric: str, paper: PaperValue, row: Score) -> Score:
    told: Score = {"metric": metric + (PARTIAL if is_partial else ""), "n": found.n, "clusters": found.clusters}
    told |= {key: _percent(getattr(found, key)) for key in ("score", "se", "low", "high")}
    if printed := paper(row["benchmark"], row["group"], row["value"], metric):
        told |= {"paper": printed[0], "paper_source": printed[1]}
        if told["score"] != "":
            told["difference"] = round(told["score"] - printed[0], 4)

    return told


def _percent(share: float) -> float | str:
    """Return a share in percent, within 0 and 100; "" where there is none."""
    return "" if math.isnan(share) else round(100 * min(max(share, 0.0), 1.0), 4)


def published(benchmark: str, group: str, asked: int) -> int:
    """Return of how many questions a score speaks: of a whole benchmark those that were published, of a group those that were asked."""
    return max(asked, BENCHMARKS[benchmark].count if benchmark in BENCHMARKS and not group else 0)


def of_published(n: int, all_of_it: int) -> str:
    """Return on how many questions a score stands, "n of N" where not on all.

    >>> of_published(900, 900), of_published(240, 3040)
    ('900', '240 of 3,040')
    """
    return f"{n:,}" if n == all_of_it else f"{n:,} of {all_of_it:,}"


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Write a table such as scores.csv; it is there whole or not at all."""
    with new_file(path) as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
