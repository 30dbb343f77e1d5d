"""What people see of an evaluation: its scores as a table with a line of what was not as in the paper, and as a page."""

import itertools
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from virgo_factory.evaluation import benchmarks
from virgo_factory.evaluation.benchmarks import BENCHMARKS, Benchmark
from virgo_factory.evaluation.config import EvaluationConfig
from virgo_factory.evaluation.paper.tables import AVERAGE, average, departures, label_paper, ours_of, paper_value
from virgo_factory.evaluation.questions import files_of
from virgo_factory.evaluation.report.compare import number, percentage
from virgo_factory.evaluation.scores import PARTIAL, Score, of_published, published
from virgo_factory.evaluation.statistics import mean_interval
from virgo_factory.report.page import Picture, Section, Text, write_page
from virgo_factory.report.plots import draw, spans
from virgo_factory.report.table import Table


COLUMNS = ("benchmark", "n", "score", "95 %", "truncated", "loops", "unparsed", "unverif.", "tokens", "paper", "diff")
VIRGOS_FOUR = {"mathverse", "mathvision", "olympiadbench", "mmmu"}


def headline(config: EvaluationConfig, rows: Sequence[Score]) -> str:
    """Return what was asked how, in one line."""
    vllm = f"vLLM {rows[0]['vllm']}, " if rows and rows[0]["vllm"] else ""
    judge = f", judge {config.judge_model}" if config.judge_model else ""
    return (
        f"{config.output_dir}: {config.model_name_or_path}, {vllm}prefix {config.question_prefix}, "
        f"{config.image_max_pixels:,} px, {config.max_tokens:,} tokens, T {config.temperature:g}, "
        f"penalty {config.repetition_penalty:g}, scorer {config.scorer}{judge}"
    )


def title_of(row: Mapping[str, Any]) -> str:
    """Return what a row of scores.csv is called: its benchmark, and the metric where it is not the accuracy."""
    metric = row["metric"].removesuffix(PARTIAL)
    partial = " (partial)" if row["metric"].endswith(PARTIAL) else ""
    return benchmarks.title_of(row["benchmark"]) + ("" if metric == "accuracy" else f" {metric}") + partial


def scores_table(config: EvaluationConfig, rows: Sequence[Score]) -> Table:
    """Return the scores of whole benchmarks, in the order of the configuration, and their average."""
    order = {name: place for place, name in enumerate(config.benchmarks)}
    whole = sorted((row for row in rows if not row["group"]), key=lambda row: order.get(row["benchmark"], len(order)))
    lines = [_line(row, config.scorer) for row in whole]
    mean = _average(config, whole)
    return Table("Scores", COLUMNS, [*lines, *mean], styles={len(lines): "bold"} if mean else {})


def _line(row: Score, scorer: str) -> list[str]:
    responses = max(row["n"], 1)
    return [
        title_of(row) + (f" ({row['scorer']})" if row["scorer"] != scorer and scorer != "ours" else ""),
        of_published(row["n"], published(row["benchmark"], row["group"], row["asked"])),
        number(row["score"]),
        _interval(row["low"], row["high"]),
        *(percentage(row[name]) for name in ("truncated", "looping", "unparsed")),
        percentage(100 * row["unverifiable"] / responses),
        number(row["tokens_mean"], ",.0f"),
        number(row["paper"]),
        number(row["difference"], "+.1f"),
    ]


def _average(config: EvaluationConfig, whole: Sequence[Score]) -> list[list[str]]:
    """Return the line of the average, where there are several benchmarks with an accuracy; of what is partial there is none."""
    first = {row["benchmark"]: row for row in reversed(whole) if row["benchmark"] in BENCHMARKS}
    if len(first) < 2 or any(row["score"] == "" or row["metric"].endswith(PARTIAL) for row in first.values()):
        return []

    own = average([ours_of(row, 1).score for row in first.values()])
    bars = [[row[key] for key in ("score", "se", "low", "high")] for row in first.values()]
    interval = "" if "" in itertools.chain(*bars) else _interval(*mean_interval(bars))
    printed = None
    if config.paper_row and set(first) == VIRGOS_FOUR:
        printed = paper_value(label_paper(config.paper_row), config.paper_row)(AVERAGE, "", "", "accuracy")

    paper = ["", ""] if printed is None else [f"{printed[0]:.2f}", f"{own - Decimal(str(printed[0])):+.2f}"]
    return [["Average", "", f"{own}", interval, *[""] * 5, *paper]]


def _interval(low: Any, high: Any) -> str:
    return "" if low == "" or high == "" else f"{low:.1f} - {high:.1f}"


def not_as_in_the_paper(config: EvaluationConfig, rows: Sequence[Score]) -> str:
    """Return the line under the table; "" where the model is no row of a paper."""
    if not config.paper_row:
        return ""

    told = departures(label_paper(config.paper_row), rows)
    return f"Not as in the paper: {' '.join(told)}" if told else ""


def write_status_page(path: Path, config: EvaluationConfig, rows: Sequence[Score], left: str) -> int:
    """Write scores, their plot and what is outstanding as a page; return how many scores there are."""
    shown = [row for row in rows if not row["group"] and row["score"] != ""]
    bars = [(title_of(row), row["low"], row["score"], row["high"]) for row in shown if row["low"] != ""]
    plots = []
    if bars:
        marks = {title_of(row): row["paper"] for row in shown if row["paper"] != ""}
        drawn = draw(spans, bars, "Scores", "percent", "score", "95 % interval", marks, "paper", page=True)
        plots = [Picture(drawn, "Scores with their 95 % intervals")]

    notes = [Text(f"{line}\n") for line in (headline(config, rows), left, not_as_in_the_paper(config, rows)) if line]
    write_page(
        path, f"Evaluation {config.output_dir}", head=[Section("", [scores_table(config, rows), *plots, *notes])]
    )
    return len(rows)


def benchmark_rows(folder: Path | None = None) -> list[dict[str, Any]]:
    """Return what is known of each benchmark, `place` where its rows are on this machine ("" where they are not).

    `megabytes` are those of its files there, else of those on the hub where these are known.

    Args:
        folder: a benchmark_dir; None for the cache of the hub.
    """
    from huggingface_hub import constants

    cache = Path(constants.HF_HUB_CACHE)
    found = []
    for benchmark in BENCHMARKS.values():
        here = folder / benchmark.name if folder else cache / f"datasets--{benchmark.hub.replace('/', '--')}"
        size = size_of(benchmark, here) if here.is_dir() else None
        found.append(
            {
                "benchmark": benchmark.name,
                "title": benchmark.title,
                "questions": benchmark.count,
                "requests": benchmark.count * benchmark.samples,
                "hub": benchmark.hub,
                "place": str(here) if here.is_dir() else "",
                "megabytes": benchmark.megabytes if size is None else round(size / 1e6, 1),
                "licence": benchmark.licence,
                "judge": benchmark.needs_judge,
                "subset": benchmark.subset,
                "differs": benchmark.differs,
            }
        )

    return found


def size_of(benchmark: Benchmark, folder: Path) -> int:
    """Return the bytes of a benchmark's files in a folder, each once (a cache has links to them)."""
    paths = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    files = {paths[name].resolve() for name in files_of(list(paths), benchmark)}
    return sum(path.stat().st_size for path in files)


def size_told(row: Mapping[str, Any]) -> str:
    """Return the size in a row of `benchmark_rows` as people read it."""
    size = row["megabytes"]
    return "unknown" if size is None else f"{size:,.0f} MB" if size >= 1 else "under 1 MB"


def benchmarks_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """Return the list of benchmarks as a table."""
    lines = [
        (
            *(row[name] for name in ("benchmark", "questions", "requests")),
            row["place"] or f"hub: {row['hub']}",
            size_told(row),
            row["licence"],
            "needed" if row["judge"] else "",
        )
        for row in rows
    ]
    return Table(
        "Benchmarks",
        ("benchmark", "questions", "requests", "rows from", "size", "licence", "judge"),
        lines,
        words=(3, 5, 6),
    )


def differences(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return in a line each which rows of a benchmark are asked, and what differs from the papers."""
    return [
        f"{row['title']}: {'. '.join(filter(None, (row['subset'], row['differs'])))}"
        for row in rows
        if row["subset"] or row["differs"]
    ]
