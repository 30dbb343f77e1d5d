"""Runs against each other on the same questions: paired differences, and what was asked in another way."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from virgo_factory.core.errors import UserError
from virgo_factory.evaluation.benchmarks import title_of
from virgo_factory.evaluation.folder import Run
from virgo_factory.evaluation.scores import of_published, published
from virgo_factory.evaluation.statistics import Comparison, compare, holm
from virgo_factory.report.table import Table
from virgo_factory.rollouts.config import AskConfig


KEYS = (*AskConfig.BLOCKS["prompt"], *AskConfig.BLOCKS["sampling"], "scorer", "judge_model")
"""Keys of the configuration that make a response or a verdict another one."""

COLUMNS = (
    *("first", "second", "benchmark", "n", "a", "b", "difference", "low", "high", "wins", "losses", "p"),
    "visible",
)
"""Of comparisons.csv: a, b, difference, low, high and visible in percent, p after Holm."""


@dataclass(frozen=True)
class Pair:
    """Two runs on one benchmark.

    Attributes:
        a, b: share of correct responses of either, on the questions that both answered.
        found: their paired difference.
        p: of no difference, for all pairs of a report together.
    """

    first: str
    second: str
    benchmark: str
    a: float
    b: float
    found: Comparison
    p: float = math.nan

    def row(self) -> dict[str, object]:
        """Return it as a row of comparisons.csv."""
        found, difference = self.found, self.found.difference
        shares = (self.a, self.b, difference.score, difference.low, difference.high)
        told = [self.first, self.second, self.benchmark, difference.n, *map(_percent, shares)]
        last = (found.wins, found.losses, _blank(self.p, 6), _percent(found.visible))
        return dict(zip(COLUMNS, (*told, *last), strict=True))


def pairs_of(couples: Iterable[tuple[Run, Run]]) -> list[Pair]:
    """Return the comparisons of couples of runs on the benchmarks that both have, p corrected over all of them.

    Of the same questions, see `check_same_questions`. A response that is unverifiable counts as not correct in both.
    """
    pairs = [pair for first, second in couples for pair in _pairs(first, second)]
    tested = [place for place, pair in enumerate(pairs) if not math.isnan(pair.found.p)]
    for place, p in zip(tested, holm([pairs[place].found.p for place in tested]), strict=True):
        pairs[place] = replace(pairs[place], p=p)

    return pairs


def _pairs(first: Run, second: Run) -> Iterator[Pair]:
    for benchmark in first.places:
        both = [id for id, place in first.answered.items() if first.held.questions[place].benchmark == benchmark]
        both = [id for id in both if id in second.answered]
        if both:
            a, b = first.correct(both), second.correct(both)
            found = compare(a, b, first.clusters(both))
            yield Pair(first.name, second.name, benchmark, float(a.mean()), float(b.mean()), found)


def check_same_questions(first: Run, second: Run) -> None:
    """Raise ValueError unless two runs have a benchmark in common, and the same questions of each that they have."""
    ours, others = first.places, second.places
    shared = [name for name in ours if name in others]
    if not shared:
        raise UserError(
            f"{first.folder} has {', '.join(ours)}, {second.folder} has {', '.join(others)}: no benchmark in common."
        )

    problems = []
    for name in shared:
        asked, other = (
            {run.ids[place]: run.hashes[place] for place in places}
            for run, places in ((first, ours[name]), (second, others[name]))
        )
        changed = [id for id in asked if id in other and asked[id] != other[id]]
        only = asked.keys() ^ other.keys()
        if changed or only:
            example = changed[0] if changed else min(only)
            problems.append(
                f"{name}: {len(changed):,} questions differ in text, options, gold or picture, {len(only):,} stand in one of "
                f"the two, such as {example}."
            )

    if problems:
        told = "\n".join(f"  {problem}" for problem in problems)
        raise UserError(
            f"{first.folder} and {second.folder} were not asked the same questions, so they cannot be paired.\n{told}\n"
            "Run both on the same files of the benchmark, with the same draw (seed)."
        )


def differing_keys(first: Run, second: Run) -> list[tuple[str, str, str]]:
    """Return (key, value of the first, value of the second) for what was asked or judged in another way."""
    pairs = ((key, first.config.get(key), second.config.get(key)) for key in KEYS)
    return [(key, _told(one), _told(other)) for key, one, other in pairs if one != other]


def _told(value: object) -> str:
    return "not set" if value is None else str(value)


def comparison_table(pairs: Sequence[Pair]) -> Table:
    """Return comparisons as a table; the runs stand in it where there are more than two."""
    is_one = len({(pair.first, pair.second) for pair in pairs}) == 1
    rows = []
    for pair in pairs:
        found, difference = pair.found, pair.found.difference
        rows.append(
            (
                *(() if is_one else (f"{pair.first} - {pair.second}",)),
                title_of(pair.benchmark),
                of_published(difference.n, published(pair.benchmark, "", difference.n)),
                f"{100 * pair.a:.1f}",
                f"{100 * pair.b:.1f}",
                f"{100 * difference.score:+.1f}",
                interval(difference.low, difference.high),
                f"{found.wins:,} : {found.losses:,}",
                "-" if math.isnan(pair.p) else f"{pair.p:.3f}" if pair.p >= 0.001 else "< 0.001",
                f"{100 * found.visible:.1f}",
            )
        )

    columns = ("benchmark", "n", "a", "b", "d = a - b", "95 %", "wins : losses", "p (Holm)", "visible")
    return Table("Paired differences", columns if is_one else ("runs", *columns), rows, () if is_one else (1,))


def interval(low: float, high: float) -> str:
    """Return an interval of shares in percent, which no line is broken in.

    >>> interval(0.284, 0.334), interval(-0.021, 0.03)
    ('28.4\\xa0to\\xa033.4', '-2.1\\xa0to\\xa03.0')
    """
    return "" if math.isnan(low) else f"{100 * low:.1f}\xa0to\xa0{100 * high:.1f}"


def number(value: Any, form: str = ".1f") -> str:
    """Return a number of a table, "" for an empty cell."""
    return "" if value == "" else f"{float(value):{form}}"


def percentage(value: Any) -> str:
    """Return a number in percent, "" for an empty cell."""
    return "" if value == "" else f"{float(value):.1f}%"


def _percent(share: float) -> float | str:
    return _blank(100 * share, 4)


def _blank(value: float, digits: int) -> float | str:
    return "" if math.isnan(value) else round(value, digits)
