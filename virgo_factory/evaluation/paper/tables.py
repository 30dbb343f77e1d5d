"""The papers' tables as data, filled with the scores of our runs: the paper's value, ours, the difference.

The values were typed in from the papers, each with its source; cells that a paper leaves empty are not there.
"""

import csv
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal
from difflib import get_close_matches
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from virgo_factory.core.errors import UserError
from virgo_factory.evaluation.benchmarks import BENCHMARKS
from virgo_factory.evaluation.scores import PARTIAL, PaperValue, Score, of_published, published
from virgo_factory.evaluation.statistics import mean_interval


PAPERS = ("virgo", "openmmreasoner")
AVERAGE, NINE, QUESTIONS = "average", "average of nine", "questions"
OWN_TABLES = {"virgo": ("2", "3"), "openmmreasoner": ("6, 8",)}
"""Tables that a run that is no row of the paper gets a row of its own in."""

SAME = {"D_T:n=5000": "D_T", "D_T+D_SD:medium": "D_T+D_SD", "arxiv-v1": "", "arxiv-v2": "", "baseline": ""}
"""Condition of a row -> that of another row which is the same model."""

FIGURE_2 = "Virgo's Figure 2 says in words: responses to MMMU are the shortest, to OlympiadBench the longest, below 4,000 tokens on average."


class Column(NamedTuple):
    """What a column of a table shows."""

    benchmark: str
    group: str
    value: str
    metric: str

    @property
    def title(self) -> str:
        """Return its heading."""
        if self.metric == QUESTIONS:
            return "questions"

        name = BENCHMARKS[self.benchmark].title if self.benchmark in BENCHMARKS else self.benchmark.capitalize()
        return " ".join(filter(None, (name, self.value.lower(), "" if self.metric == "accuracy" else self.metric)))


@dataclass(frozen=True)
class Fact:
    """One cell of a paper.

    Attributes:
        model: or data set, of its row.
        printed: the value with the decimals that it has there; scores in percent.
    """

    table: str
    model: str
    condition: str
    column: Column
    printed: Decimal
    source: str


@dataclass(frozen=True)
class Ours:
    """Our value for a cell, rounded as the paper rounds, with its 95 % interval in percent; nan where a single cluster gives none."""

    score: Decimal
    low: float
    high: float
    n: int
    asked: int


@dataclass
class Cell:
    """A cell of a filled table: the paper's fact, ours, or both."""

    fact: Fact | None = None
    ours: Ours | None = None

    @property
    def difference(self) -> Decimal | None:
        """Ours minus the paper's."""
        return self.ours.score - self.fact.printed if self.ours and self.fact else None

    def __str__(self) -> str:
        """Return it as tables show it: paper / ours (difference), with n of N where ours is not whole."""
        printed = f"{self.fact.printed}" if self.fact else ""
        if self.ours is None:
            return printed

        told = f"{self.ours.score}" + (
            "" if math.isnan(self.ours.low) else f" [{self.ours.low:.1f}, {self.ours.high:.1f}]"
        )
        told += f" {of_published(self.ours.n, self.ours.asked)}" if self.ours.n < self.ours.asked else ""
        return f"{printed} / {told} ({self.difference:+})" if self.fact else f"- / {told}"


@dataclass
class Table:
    """A table of a paper with our values.

    Attributes:
        rows: (model, condition), the paper's first, then runs that are no row of it.
    """

    paper: str
    number: str
    rows: list[tuple[str, str]] = field(default_factory=list)
    columns: list[Column] = field(default_factory=list)
    cells: dict[tuple[tuple[str, str], Column], Cell] = field(default_factory=dict)

    def texts(self) -> list[list[str]]:
        """Return its cells as texts, a heading and two columns of names with them."""
        heading = ["", "", *(column.title for column in self.columns)]
        return [
            heading,
            *([*row, *(str(self.cells.get((row, column), "")) for column in self.columns)] for row in self.rows),
        ]


@cache
def facts(paper: str) -> tuple[Fact, ...]:
    """Return the cells of a paper in its order.

    Raises:
        ValueError: no such paper.
    """
    if paper not in PAPERS:
        raise UserError(f"paper: {paper!r} is not one of {', '.join(PAPERS)}")

    with Path(__file__).with_name(f"{paper}.csv").open(encoding="utf-8", newline="") as file:
        return tuple(
            Fact(
                *(row[name] for name in ("table", "model", "condition")),
                Column(*(row[name] for name in Column._fields)),
                Decimal(row["printed"]),
                row["source"],
            )
            for row in csv.DictReader(file)
        )


def is_row(label: str, model: str, condition: str) -> bool:
    """Return whether a run's label, such as "Virgo-7B D_T", names a row of a paper.

    >>> is_row("Virgo-7B D_T", "Virgo-7B", "D_T:n=5000"), is_row("Virgo-7B D_T", "Virgo-7B", "D_SD")
    (True, False)
    """
    return label in (f"{model} {condition}".strip(), f"{model} {SAME.get(condition, condition)}".strip())


def label_paper(label: str) -> str:
    """Return which of PAPERS has the row of a label.

    Raises:
        ValueError: none has, with labels that are near.
    """
    rows = {f"{fact.model} {fact.condition}".strip(): paper for paper in PAPERS for fact in facts(paper)}
    found = [paper for paper in PAPERS if any(is_row(label, fact.model, fact.condition) for fact in facts(paper))]
    if not found:
        near = get_close_matches(label, rows, 3, 0.4) or list(rows)[:3]
        raise UserError(f"{label!r} is no row of a paper's tables. Is it {' or '.join(near)}?")

    return found[0]


def paper_value(paper: str, label: str) -> PaperValue:
    """Return what looks a value of a run's row up in its paper: the first that its tables print."""
    own = [fact for fact in facts(paper) if is_row(label, fact.model, fact.condition)]

    def find(*key: str) -> tuple[float, str] | None:
        return next(((float(fact.printed), fact.source) for fact in own if fact.column == key), None)

    return find


def filled(paper: str, scores: Iterable[Score], labels: Mapping[str, str]) -> list[Table]:
    """Return the tables of a paper, each of its values in exactly one cell, ours beside those that were run.

    `labels`: run -> the row of the paper that it is; a run without one gets rows of its own in OWN_TABLES.
    """
    tables: dict[str, Table] = {}
    for fact in facts(paper):
        table, row = tables.setdefault(fact.table, Table(paper, fact.table)), (fact.model, fact.condition)
        table.rows += [] if row in table.rows else [row]
        table.columns += [] if fact.column in table.columns else [fact.column]
        table.cells[row, fact.column] = Cell(fact)

    runs: dict[str, dict[Column, Score]] = {}
    for score in scores:
        names = (score["benchmark"], score["group"], score["value"], score["metric"].removesuffix(PARTIAL))
        if score["score"] != "":
            runs.setdefault(score["run"], {})[Column(*names)] = score

    for run, own in runs.items():
        for table in tables.values():
            rows = [row for row in table.rows if is_row(labels.get(run, ""), *row)] if labels.get(run) else []
            if not rows and not labels.get(run) and table.number in OWN_TABLES[paper]:
                rows = [(run, "ours")]

            for row in rows:
                _fill(table, row, own)

    return list(tables.values())


def _fill(table: Table, row: tuple[str, str], own: Mapping[Column, Score]) -> None:
    found = {column: ours_of(own[column], _decimals(table, column)) for column in table.columns if column in own}
    parts = [column for column in table.columns if column.benchmark not in (AVERAGE, NINE)]
    for column in table.columns:
        if column.benchmark == AVERAGE and parts and all(part in found for part in parts):
            found[column] = _average([found[part] for part in parts], [_number(own[part]["se"]) for part in parts])

    for column, ours in found.items():
        table.cells.setdefault((row, column), Cell()).ours = ours

    if found and row not in table.rows:
        table.rows.append(row)


def ours_of(score: Score, decimals: int) -> Ours:
    """Return a row of scores.csv as a cell, from its counts where they are whole so that nothing is rounded twice."""
    value = Decimal(str(score["score"]))
    correct = float(score["correct"])
    if score["metric"].removesuffix(PARTIAL) == "accuracy" and correct.is_integer() and int(score["n"]):
        rounded = percent(int(correct), int(score["n"]), decimals)
    else:
        rounded = value.quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_UP)

    asked = published(score["benchmark"], score["group"], int(score["asked"]))
    return Ours(rounded, _number(score["low"]), _number(score["high"]), int(score["n"]), asked)


def _number(value: Any) -> float:
    return math.nan if value == "" else float(value)


def percent(k: int, n: int, decimals: int) -> Decimal:
    """Return k of n in percent as papers print it: rounded half up.

    >>> percent(227, 295, 2), percent(1, 8, 0)
    (Decimal('76.95'), Decimal('13'))
    """
    return _half_up(Fraction(100 * k, n), decimals)


def average(scores: Sequence[Decimal], decimals: int = 2) -> Decimal:
    """Return the plain mean of printed scores, rounded half up; binary floats and half-even rounding miss some of Virgo's.

    >>> average([Decimal("35.3"), Decimal("19.2"), Decimal("4.2"), Decimal("65.8")])
    Decimal('31.13')
    """
    return _half_up(sum(map(Fraction, scores), Fraction()) / len(scores), decimals)


def _half_up(exact: Fraction, decimals: int) -> Decimal:
    return Decimal(math.floor(exact * 10**decimals + Fraction(1, 2))).scaleb(-decimals)


def _average(cells: Sequence[Ours], errors: Sequence[float]) -> Ours:
    """Return the average of cells, whose benchmarks are independent."""
    bars = [(float(cell.score), error, cell.low, cell.high) for cell, error in zip(cells, errors, strict=True)]
    n, asked = sum(cell.n for cell in cells), sum(cell.asked for cell in cells)
    return Ours(average([cell.score for cell in cells]), *mean_interval(bars), n, asked)


def _decimals(table: Table, column: Column) -> int:
    """Return how many decimals the paper prints in a column."""
    printed = [cell.fact.printed for (_, other), cell in table.cells.items() if other == column and cell.fact]
    return max((-value.as_tuple().exponent for value in printed), default=1)


PAPER_SETTINGS: dict[str, dict[str, Any]] = {
    "virgo": {
        **{"scorer": "paper", "question_prefix": "virgo", "image_max_pixels": 12_845_056, "max_tokens": 8192},
        "temperature": 0.0,
    },
    "openmmreasoner": {"scorer": "omr", "max_tokens": 49_152},
}
"""How the papers ran, as far as they say (Virgo: the release's README; OpenMMReasoner: section 4 and its tasks)."""


def departures(paper: str, scores: Iterable[Score]) -> list[str]:
    """Return in sentences what was not as in the paper, for the rows of a run."""
    told: dict[str, None] = {}
    for score in scores:
        benchmark = BENCHMARKS.get(score["benchmark"])
        if score["group"] or benchmark is None:  # questions of one's own are in no paper
            continue

        for name, wanted in PAPER_SETTINGS[paper].items():
            found = score[name]
            if str(found) not in (str(wanted), str(wanted).removesuffix(".0")):
                told[f"{name}: {found if found != '' else 'not known'}, in the paper: {wanted}."] = None

        if int(score["asked"]) < benchmark.count or int(score["n"]) < int(score["asked"]):
            told[f"{benchmark.title}: {int(score['n']):,} of {benchmark.count:,} questions."] = None

        if benchmark.differs:
            told[f"{benchmark.title}: {benchmark.differs}"] = None

    if paper == "virgo" and told:
        told[
            "The paper prints one and the same 7B model twice with 0.3 to 0.7 points between (Tables 2, 4 and 5)."
        ] = None

    return list(told)


class Point(NamedTuple):
    """A point of Figure 2: how long the responses of a run to a benchmark are, and how many of them are right."""

    run: str
    benchmark: str
    tokens: float
    score: float
    low: float
    high: float


def figure_2(scores: Iterable[Score]) -> list[Point]:
    """Return the points of Figure 2; see FIGURE_2 for what the paper says, whose values are not printed."""
    return [
        Point(row["run"], row["benchmark"], *(float(row[name]) for name in ("tokens_mean", "score", "low", "high")))
        for row in scores
        if not row["group"]
        and row["metric"].removesuffix(PARTIAL) == "accuracy"
        and "" not in (row["score"], row["low"], row["tokens_mean"])
    ]
