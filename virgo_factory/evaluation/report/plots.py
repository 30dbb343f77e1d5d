"""What a report draws: scores with their bars beside the paper's, paired differences, Figure 2, lengths, groups."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from virgo_factory.evaluation.benchmarks import title_of
from virgo_factory.evaluation.folder import Run
from virgo_factory.evaluation.paper.tables import FIGURE_2, figure_2
from virgo_factory.evaluation.probes.budget import Level
from virgo_factory.evaluation.report.beside import tokens_and_accuracy
from virgo_factory.evaluation.report.compare import Pair
from virgo_factory.evaluation.scores import FLAGS, PARTIAL, Score
from virgo_factory.report.plots import BEHIND, BLUE, GREEN, GREY, ORANGE, RED, YELLOW, draw, lengths, spans


GROUPS = (
    ("mmmu", "topic_difficulty", "MMMU by difficulty"),
    ("mathverse", "version", "MathVerse by version"),
    ("mathvision", "level", "MathVision by level"),
    ("mathvision", "subject", "MathVision by subject"),
)
COLOURS = (BLUE, ORANGE, GREEN, RED, YELLOW, GREY)
MOST_ROWS = 18
"""Of one plot; more would stand on each other."""

Plot = tuple[str, str, bytes]
"""Name of the file without its end, what is said below it, and the PNG."""


def plots_of(
    runs: Sequence[Run],
    scores: Sequence[Score],
    pairs: Sequence[Pair],
    paper: str,
    levels: Mapping[str, Sequence[Level]],
) -> Iterator[Plot]:
    """Yield the plots of a report, one after the other."""
    several = len(runs) > 1
    own = [row for row in scores if row["score"] != ""]
    whole = [row for row in own if not row["group"]]
    for name, rows, told in _drawn("forest", whole, several):
        yield (
            name,
            f"Scores with their 95 % intervals{told}; these also cover that all unverifiable responses are right.",
            _spans(
                rows,
                several and not told,
                f"Scores{told}" + (f", and {paper}'s" if any(row["paper"] != "" for row in rows) else ""),
            ),
        )

    for start in range(0, len(pairs), MOST_ROWS):
        name = "differences" if not start else f"differences_{start // MOST_ROWS + 1}"
        words = "Paired differences on the same questions."
        yield name, words, draw(differences, pairs[start : start + MOST_ROWS])

    if points := figure_2(own):
        yield "figure_2", FIGURE_2, draw(tokens_and_scores, points)

    if named := [(name, found) for name, found in levels.items() if found]:
        yield "budgets", "Score against tokens: thoughts closed at their budgets.", draw(tokens_and_accuracy, named)

    for benchmark, group, title in GROUPS:
        of_group = [row for row in own if (row["benchmark"], row["group"]) == (benchmark, group)]
        for name, rows, told in _drawn(f"{benchmark}_{group}", of_group, several):
            yield name, f"{title}{told}.", _spans(rows, several and not told, f"{title}{told}", of_values=True)

    for number, run in enumerate(runs, start=1):
        limit = run.config.get("max_tokens")
        for benchmark, counts, cut in _lengths(run):
            title = f"{title_of(benchmark)}: length of responses" + (f", {run.name}" if several else "")
            name = f"lengths_{number}_{benchmark}" if several else f"lengths_{benchmark}"
            yield name, f"{title}.", draw(response_lengths, counts, title, limit, cut)


def _drawn(name: str, rows: Sequence[Score], several: bool) -> Iterator[tuple[str, Sequence[Score], str]]:
    """Yield what one plot each has room for: all rows, else those of each run, with the plot's name and what it is of."""
    if len(rows) <= MOST_ROWS:
        yield from [(name, rows, "")] if rows else []
        return

    parts = []
    for run in dict.fromkeys(row["run"] for row in rows):
        its = [row for row in rows if row["run"] == run]
        cuts = [its[start : start + MOST_ROWS] for start in range(0, len(its), MOST_ROWS)]
        parts += [(cut, f", {run}" if several else f", part {number}") for number, cut in enumerate(cuts, start=1)]

    for number, (cut, told) in enumerate(parts, start=1):
        yield f"{name}_{number}", cut, told


def _spans(rows: Sequence[Score], several: bool, title: str, of_values: bool = False) -> bytes:
    """Draw scores of benchmarks, or of the values of a group, of several runs below each other."""
    order = list(dict.fromkeys((row["benchmark"], row["value"]) for row in rows))
    rows = sorted(rows, key=lambda row: order.index((row["benchmark"], row["value"])))
    named, marks = [], {}
    for row in rows:
        name = row["value"] if of_values else title_of(row["benchmark"])
        metric = row["metric"].removesuffix(PARTIAL)
        parts = [name, "" if metric == "accuracy" else metric, str(row["run"])[-18:] if several else ""]
        name = ", ".join(filter(None, parts))
        named.append(
            (name, *(float(row["score"] if row[key] == "" else row[key]) for key in ("low", "score", "high")))
        )
        if row["paper"] != "":
            marks[name] = float(row["paper"])

    return draw(spans, named, title, "score, %", "score", "95 %", marks, "paper")


def differences(axes: Any, pairs: Sequence[Pair]) -> None:
    """Draw paired differences in points with their intervals, and where there is none."""
    is_one = len({(pair.first, pair.second) for pair in pairs}) == 1
    rows = []
    for pair in pairs:
        which = "" if is_one else f", {pair.first[-12:]} - {pair.second[-12:]}"
        estimate = pair.found.difference
        values = [100 * value for value in (estimate.low, estimate.score, estimate.high)]
        rows.append((f"{title_of(pair.benchmark)}{which}", *(values if values[0] == values[0] else [values[1]] * 3)))

    title = f"{pairs[0].first} minus {pairs[0].second}" if is_one else "First minus second"
    spans(axes, rows, title, "difference, points", "difference", "95 %")
    axes.axvline(0, color=GREY, linewidth=1)
    low, high = (min(row[1] for row in rows), max(row[3] for row in rows))
    room = 0.08 * max(high - low, 1)
    axes.set_xlim(min(0, low) - room, max(0, high) + room)


def tokens_and_scores(axes: Any, points: Sequence[Any]) -> None:
    """Draw Figure 2: the score of a benchmark against the mean length of its responses."""
    runs = list(dict.fromkeys(point.run for point in points))
    for number, run in enumerate(runs):
        own = [point for point in points if point.run == run]
        bars = [[p.score - p.low for p in own], [p.high - p.score for p in own]]
        x, y = [point.tokens for point in own], [point.score for point in own]
        axes.errorbar(x, y, bars, fmt="o", color=COLOURS[number % len(COLOURS)], capsize=3, label=run[-40:])
        for point in own:
            place = {"xytext": (6, 4), "textcoords": "offset points"}
            axes.annotate(title_of(point.benchmark), (point.tokens, point.score), color=GREY, fontsize=9, **place)

    axes.set_title("Length of responses and score (Figure 2)", loc="left")
    axes.set_xlabel("mean tokens of a response")
    axes.set_ylabel("score, %")
    axes.set_xlim(0, 1.18 * max(point.tokens for point in points) or 1)
    axes.set_ylim(0, max(100, *(point.high for point in points)))
    if len(runs) > 1:
        axes.figure.legend(frameon=False, loc="outside lower center", ncols=2)


def response_lengths(axes: Any, counts: Mapping[int, int], title: str, limit: int | None, cut: int) -> None:
    """Draw how long responses are, with the limit that cut some of them."""
    lengths(axes, counts, title, "tokens of a response", "responses")
    if limit:
        axes.set_xlim(0, max(axes.get_xlim()[1], limit * 1.02))
        axes.axvline(limit, color=ORANGE, linewidth=1.5)
        told = f" max_tokens {limit:,} \n cut there: {cut:,} of {sum(counts.values()):,} "
        axes.text(limit, axes.get_ylim()[1] * 0.93, told, color=ORANGE, va="top", ha="right", bbox=BEHIND)


def _lengths(run: Run) -> Iterator[tuple[str, Counter, int]]:
    """Yield each benchmark with its lengths, and how many responses were cut at the limit."""
    held, found, cut = run.held, defaultdict(Counter), Counter()
    for place, tokens, flags in zip(held.place, held.tokens, held.flags, strict=True):
        if not tokens:  # a log does not tell
            continue

        name = held.questions[place].benchmark
        found[name][tokens] += 1
        cut[name] += bool(flags & FLAGS["truncated"])

    for name, counts in found.items():
        yield name, counts, cut[name]
