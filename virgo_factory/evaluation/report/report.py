"""The report on runs: tables of papers with our values, scores, groups, comparisons, plots, and a page with a sample.

FOLDER/report.md, report.html, scores.csv, comparisons.csv, paper_tables.csv and the plots; all from one reading of each file.
"""

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from virgo_factory.core.errors import UserError
from virgo_factory.evaluation.benchmarks import title_of
from virgo_factory.evaluation.folder import Run, read_run
from virgo_factory.evaluation.paper import tables as paper_tables
from virgo_factory.evaluation.probes.budget import Level, levels_of
from virgo_factory.evaluation.probes.process import dimensions_of
from virgo_factory.evaluation.probes.recheck import looked_at
from virgo_factory.evaluation.report import beside
from virgo_factory.evaluation.report.compare import COLUMNS as PAIR_COLUMNS
from virgo_factory.evaluation.report.compare import (
    Pair,
    check_same_questions,
    comparison_table,
    differing_keys,
    interval,
    number,
    pairs_of,
    percentage,
)
from virgo_factory.evaluation.report.page import articles
from virgo_factory.evaluation.report.plots import GROUPS, Plot, plots_of
from virgo_factory.evaluation.scorers.rescore import DIFFER, DIFFER_SHOWN, read_rows, scorers_of
from virgo_factory.evaluation.scores import ABOUT, COLUMNS, PARTIAL, Score, of_published, published, write_csv
from virgo_factory.io.atomic import replace_file
from virgo_factory.io.files import check_folder
from virgo_factory.report.page import Picture, Section, write_page
from virgo_factory.report.table import Table, markdown
from virgo_factory.report.text import one_line


SAMPLE = 5
"""Responses of each benchmark and outcome that the page shows of a run."""

SMALL = 20
"""Questions below which a group's line is grey."""

LISTED = 20
CELL_COLUMNS = (
    *("paper", "table", "model", "condition", "benchmark", "group", "value", "metric", "printed"),
    *("ours", "low", "high", "n", "asked", "difference", "source"),
)


@dataclass
class Part:
    """A part of a report: tables, then plots."""

    title: str
    tables: Sequence[Table] = ()
    plots: Sequence[Plot] = ()
    folded: bool = False


@dataclass
class Report:
    """What was written."""

    folder: Path
    scores: list[Score]
    pairs: list[Pair]
    departures: list[str]
    responses: int = 0
    skipped: list[str] = field(default_factory=list)


def write_report(
    folders: Sequence[Path],
    out: Path | None = None,
    paper: str = "virgo",
    tell: Callable[[str], None] = lambda what: None,
) -> Report:
    """Write the report on folders of evaluations.

    Raises:
        ValueError: see `read_run`; no such paper; or a folder stands there twice.
    """
    out = out or folders[0] / "report"
    paper_tables.facts(paper)  # or that there is none
    if len({folder.resolve() for folder in folders}) < len(folders):
        raise UserError("a folder is named twice: a run is compared with others, not with itself.")

    check_folder(out)
    runs = []
    for folder in folders:
        tell(f"reading {folder}")
        runs.append(read_run(folder))

    if len({run.name for run in runs}) < len(runs):
        for run in runs:
            run.name = str(run.folder)

    tell("scores")
    own = [row for run in runs for row in run.scores(paper)]
    others = [
        {**row, "run": run.name}
        for run in runs
        for name in scorers_of(run.folder)
        for row in read_rows(run.folder, "scores", name)
    ]
    pairs, skipped = _compared(runs)
    labels = {run.name: run.label(paper) for run in runs}
    filling = _for_the_paper(own, others, paper)
    filled = paper_tables.filled(paper, filling, labels)
    report = Report(out, [*own, *others], pairs, paper_tables.departures(paper, filling), skipped=skipped)

    tell("plots")
    levels = {run.name: levels_of(run) for run in runs}
    plots = list(plots_of(runs, own, report.pairs, paper, levels))
    made = _parts(runs, report, own, others, filled, plots, levels)
    write_csv(out / "scores.csv", COLUMNS, report.scores)
    write_csv(out / "comparisons.csv", PAIR_COLUMNS, (pair.row() for pair in report.pairs))
    write_csv(out / "paper_tables.csv", CELL_COLUMNS, _cells(filled))
    for name, _, png in plots:
        replace_file(out / f"{name}.png", png)

    title = "Evaluation of " + (runs[0].model or runs[0].name if len(runs) == 1 else f"{len(runs)} runs")
    replace_file(out / "report.md", _markdown(title, made).encode())
    tell("page")
    head = [
        Section(part.title, [*part.tables, *(Picture(png, words) for _, words, png in part.plots)], part.folded)
        for part in made
    ]
    report.responses = write_page(out / "report.html", title, articles(runs, SAMPLE), head)
    return report


def _compared(runs: Sequence[Run]) -> tuple[list[Pair], list[str]]:
    """Return the comparisons of all runs that were asked the same, and why others are not compared."""
    couples, skipped = [], []
    for first, second in itertools.combinations(runs, 2):
        try:
            check_same_questions(first, second)
            couples.append((first, second))
        except ValueError as error:
            skipped.append(" ".join(line.strip() for line in str(error).splitlines()[:2]))

    return pairs_of(couples), skipped


def _for_the_paper(own: Sequence[Score], others: Sequence[Score], paper: str) -> list[Score]:
    """Return what fills the paper's tables: rows by its own scorer where that ran, else ours."""
    scorer = paper_tables.PAPER_SETTINGS[paper]["scorer"]
    theirs = {(row["run"], row["benchmark"]) for row in others if row["scorer"] == scorer}
    return [
        *(row for row in own if (row["run"], row["benchmark"]) not in theirs),
        *(row for row in others if row["scorer"] == scorer),
    ]


def _parts(
    runs: Sequence[Run],
    report: Report,
    own: Sequence[Score],
    others: Sequence[Score],
    filled: Sequence[paper_tables.Table],
    plots: Sequence[Plot],
    levels: Mapping[str, Sequence[Level]],
) -> list[Part]:
    """Return the parts of the report in their order."""

    def drawn(*names: str) -> list[Plot]:
        return [plot for plot in plots if plot[0].startswith(names)]

    made = [
        Part("Runs", [_runs_table(runs)]),
        Part("Scores", [*score_tables(own), *_second_columns(own, others)], drawn("forest")),
    ]
    tables = [_paper_table(table) for table in filled]
    told = f"{filled[0].paper.capitalize()}: printed / ours [95 %] (difference)"
    made.append(Part(told, [*tables, *_sentences("Not as in the paper", report.departures)]))
    if report.pairs or report.skipped:
        tables = [comparison_table(report.pairs)] if report.pairs else []
        keys = [
            Table(f"Asked in another way: {one.name} and {other.name}", ("key", one.name, other.name), found, (1, 2))
            for one, other in itertools.combinations(runs, 2)
            if (found := differing_keys(one, other))
        ]
        tables += [*keys, *_sentences("Not compared", report.skipped)]
        made.append(Part("Differences", tables, drawn("differences")))

    made += _beside(runs, levels, drawn("budgets"))
    made.append(Part("Length of responses", [], drawn("figure_2", "lengths_")))
    made.append(Part("By group", list(group_tables(own)), drawn(*{name for name, _, _ in GROUPS}), folded=True))
    return [*made, *_differing(runs)]


def _beside(runs: Sequence[Run], levels: Mapping[str, Sequence[Level]], plots: Sequence[Plot]) -> Iterator[Part]:
    """Yield what was asked beside the benchmarks."""
    if changes := [table for run in runs for table in beside.changes(run)]:
        yield Part("Changed pictures", changes)

    if closed := [beside.levels(run, found) for run in runs if (found := levels[run.name])]:
        yield Part("Thought budgets", closed, plots)

    if marks := [table for run in runs if (found := dimensions_of(run)) for table in beside.dimensions(run, found)]:
        yield Part("The process, as a judge that sees the picture marks it", marks)

    if looked := [beside.looked(run, found) for run in runs if (found := looked_at(run.folder))]:
        yield Part("Claims of the thoughts, looked at again by the model", looked)


def _runs_table(runs: Sequence[Run]) -> Table:
    names = ("model", "epoch", *ABOUT)
    rows = [(name, *(str(run.about[name]) for run in runs)) for name in names]
    return Table("", ("", *(run.name for run in runs)), [row for row in rows if any(row[1:])], range(1, len(runs) + 1))


def score_tables(scores: Iterable[Score]) -> list[Table]:
    """Return the scores of whole benchmarks as a table, and what stands beside them as another."""
    rows = [row for row in scores if not row["group"]]
    several = len({row["run"] for row in rows}) > 1
    lines, beside = [], []
    for row in rows:
        metric = row["metric"].removesuffix(PARTIAL)
        name = title_of(row["benchmark"]) + ("" if metric == "accuracy" else f", {metric}")
        name += " (partial)" if row["metric"].endswith(PARTIAL) else ""
        names = (name, row["run"]) if several else (name,)
        share = f"{100 * float(row['unverifiable']) / int(row['n']):.1f}%" if int(row["n"]) else ""
        paper = [number(row[key], form) for key, form in (("paper", ".1f"), ("difference", "+.1f"))]
        lines.append((*names, of_asked(row), *_with_bar(row), share, *paper))
        shares = [percentage(row[key]) for key in ("truncated", "looping", "unparsed", "no_end_of_thought", "gave_up")]
        beside.append((*names, *shares, *(number(row[key], ",.0f") for key in ("tokens_mean", "tokens_p95"))))

    names, words = (("benchmark", "run"), (1,)) if several else (("benchmark",), ())
    return [
        Table("", (*names, "n", "score", "95 %", "unverifiable", "paper", "difference"), lines, words),
        Table(
            "Responses",
            (*names, "truncated", "loops", "unparsed", "no end of thought", "gave up", "tokens", "p95"),
            beside,
            words,
        ),
    ]


def of_asked(row: Score) -> str:
    """Return on how many questions a score stands, "n of N" where it is not all of a benchmark."""
    return of_published(int(row["n"]), published(row["benchmark"], row["group"], int(row["asked"])))


def _with_bar(row: Score) -> tuple[str, str]:
    if row["score"] == "":
        return "", ""

    bar = "" if row["low"] == "" else interval(float(row["low"]) / 100, float(row["high"]) / 100)
    return f"{float(row['score']):.1f}", bar


def group_tables(scores: Iterable[Score]) -> Iterator[Table]:
    """Yield a table for each group of each benchmark; lines of fewer than SMALL questions are grey."""
    found: dict[tuple[str, str], list[Score]] = {}
    for row in scores:
        if row["group"]:
            found.setdefault((row["benchmark"], row["group"]), []).append(row)

    for (benchmark, group), rows in found.items():
        several = len({row["run"] for row in rows}) > 1
        order = list(dict.fromkeys(row["value"] for row in rows))
        rows = sorted(rows, key=lambda row: order.index(row["value"]))
        lines = [
            (
                row["value"],
                *((row["run"],) if several else ()),
                of_asked(row),
                *_with_bar(row),
                percentage(row["truncated"]),
                number(row["paper"], ".1f"),
            )
            for row in rows
        ]
        columns = (group, *(("run",) if several else ()), "n", "score", "95 %", "truncated", "paper")
        small = {place: "dim" for place, row in enumerate(rows) if int(row["n"]) < SMALL}
        yield Table(f"{title_of(benchmark)} by {group}", columns, lines, (1,) if several else (), small)


def _second_columns(own: Sequence[Score], others: Sequence[Score]) -> list[Table]:
    """Return our scores beside those by other scorers on the same responses."""
    scorers = list(dict.fromkeys(row["scorer"] for row in others))
    if not scorers:
        return []

    theirs = {(row["run"], row["benchmark"], row["scorer"]): row for row in others if not row["group"]}
    rows = []
    for row in own:
        found = [theirs.get((row["run"], row["benchmark"], name)) for name in scorers]
        if not row["group"] and row["metric"].removesuffix(PARTIAL) == "accuracy" and any(found):
            columns = [" (".join(_with_bar(one)) + ")" if one and one["score"] != "" else "" for one in (row, *found)]
            rows.append((title_of(row["benchmark"]), row["run"], *columns))

    return [Table("By other scorers", ("benchmark", "run", own[0]["scorer"], *scorers), rows, (1,))]


def _differing(runs: Sequence[Run]) -> list[Part]:
    """Return the items on which two scorers differ, the first of each run."""
    parts = []
    for run in runs:
        for name in scorers_of(run.folder):
            rows = read_rows(run.folder, DIFFER, name)
            columns = ("question", "gold", "ours", "our_answer", name, "its_answer")
            lines = [[row["question"], *(one_line(row[key], 60) for key in DIFFER_SHOWN)] for row in rows[:LISTED]]
            title = f"{len(rows):,} responses on which {name} and ours differ, {run.name}"
            parts.append(Part(title, [Table("", columns, lines, range(1, 6))] if lines else [], folded=True))

    return parts


def _paper_table(table: paper_tables.Table) -> Table:
    (_, _, *titles), *rows = table.texts()
    return Table(f"Table {table.number}", ("model", "training", *titles), rows, (1,))


def _sentences(title: str, told: Sequence[str]) -> list[Table]:
    return [Table("", (title,), [(sentence,) for sentence in told])] if told else []


def _cells(filled: Iterable[paper_tables.Table]) -> Iterator[Mapping[str, Any]]:
    """Yield the cells of the paper's tables, each printed value once."""
    for table in filled:
        for (row, column), cell in table.cells.items():
            fact, ours = cell.fact, cell.ours
            told = (table.paper, table.number, *row, *column, fact.printed if fact else "")
            bar = ("", "") if ours is None or math.isnan(ours.low) else (round(ours.low, 4), round(ours.high, 4))
            mine = (ours.score, *bar, ours.n, ours.asked) if ours else ("",) * 5
            difference = "" if cell.difference is None else cell.difference
            yield dict(zip(CELL_COLUMNS, (*told, *mine, difference, fact.source if fact else ""), strict=True))


def _markdown(title: str, made: Sequence[Part]) -> str:
    blocks = [f"# {one_line(title, 200)}"]
    for part in made:
        blocks.append(f"## {one_line(part.title, 200)}")
        for table in part.tables:
            blocks += [f"### {one_line(table.title, 200)}"] if table.title else []
            blocks.append("\n".join(markdown(table)))

        blocks += [f"![{words}]({name}.png)\n\n{words}" for name, words, _ in part.plots]

    return "\n\n".join(blocks) + "\n"
