"""What a report tells of what was asked beside the benchmarks: changed pictures, thought budgets, claims, the process."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

from virgo_factory.evaluation.folder import Run, read_run
from virgo_factory.evaluation.probes.budget import Level
from virgo_factory.evaluation.probes.process import ENOUGH, Dimension, marks_in
from virgo_factory.evaluation.probes.recheck import Looked
from virgo_factory.evaluation.probes.variants import change_of, variants_in, worst_of
from virgo_factory.evaluation.report.compare import interval
from virgo_factory.report.plots import BLUE, GREEN, ORANGE, RED, YELLOW
from virgo_factory.report.table import Table


COLOURS = (BLUE, ORANGE, GREEN, RED, YELLOW)


def changes(run: Run) -> Iterator[Table]:
    """Yield how the answers of a run change with its pictures, and which questions were not asked so."""
    folders, account = variants_in(run.folder)
    others = [read_run(folder) for folder in folders]
    rows = []
    for other in others:
        change = change_of(other.name, run, other)
        estimate = change.found.difference
        shares = (change.before, change.after, change.same_answer)
        before, after, same = (f"{100 * share:.1f}" for share in shares)
        moved = (f"{100 * estimate.score:+.1f}", interval(estimate.low, estimate.high))
        rows.append(
            (change.name, estimate.n, before, after, *moved, change.right_to_wrong, change.wrong_to_right, f"{same}%")
        )

    if rows:
        columns = (
            *("variant", "n", "as it is", "changed", "d", "95 %", "right -> wrong", "wrong -> right"),
            "same answer",
        )
        rows.append(("right in all", "", "", f"{100 * worst_of(run, others):.1f}", "", "", "", "", ""))
        yield Table(run.name, columns, rows)
        left_out = [(why, number) for why, number in account.items() if number]
        yield Table("", ("questions", "how many"), left_out)


def levels(run: Run, found: Sequence[Level]) -> Table:
    """Return how the thought budgets of a run did beside its whole thoughts."""
    rows = []
    for level in found:
        score = (f"{100 * level.score.score:.1f}", interval(level.score.low, level.score.high))
        moved: tuple[Any, ...] = ("", "", "", "")
        if level.change:
            apart = level.change.found.difference
            moved = (f"{100 * apart.score:+.1f}", interval(apart.low, apart.high))
            moved += (level.change.right_to_wrong, level.change.wrong_to_right)

        closed = f"{100 * level.closed:.1f}%" if level.tokens else ""
        names = (f"{level.tokens:,}" if level.tokens else "whole thoughts", level.by or "")
        rows.append((*names, level.score.n, *score, f"{level.mean:,.0f}", closed, *moved))

    columns = (
        *("budget", "by", "n", "score", "95 %", "tokens", "closed", "d", "95 % of d", "right -> wrong"),
        "wrong -> right",
    )
    return Table(run.name, columns, rows, words=(1,))


def tokens_and_accuracy(axes: Any, named: Sequence[tuple[str, Sequence[Level]]]) -> None:
    """Draw the score against the mean tokens of a response: a line for each run and way of giving budgets."""
    lines: dict[str, list[Level]] = {}
    for run, found in named:
        whole = found[-1]
        for level in found[:-1]:
            way = f"by {level.by}" if level.by else "the same for all"
            lines.setdefault(f"{run}, {way}" if len(named) > 1 else way, [whole]).append(level)

    for number, (name, found) in enumerate(lines.items()):
        found = sorted(found, key=lambda level: level.mean)
        x, y = [level.mean for level in found], [100 * level.score.score for level in found]
        bars = [
            [100 * max(0.0, level.score.score - level.score.low) for level in found],
            [100 * max(0.0, level.score.high - level.score.score) for level in found],
        ]
        colour, is_below = COLOURS[number % len(COLOURS)], number % 2 == 0
        axes.errorbar(x, y, bars, fmt="o-", color=colour, capsize=3, label=name[-60:])
        side = {"xytext": (8, -14) if is_below else (-8, 8), "ha": "left" if is_below else "right"}
        for level in found:
            if level.tokens or is_below:  # the whole thoughts end all lines of a run
                told = f"{level.tokens:,}" if level.tokens else "whole thoughts"
                place = (level.mean, 100 * level.score.score)
                axes.annotate(told, place, color=colour, fontsize=9, textcoords="offset points", **side)

    most = max(level.mean for found in lines.values() for level in found)
    axes.set_title("Thought budgets: score and tokens, 95 % intervals", loc="left")
    axes.set_xlabel("mean tokens of a response")
    axes.set_ylabel("score, %")
    axes.set_xlim(0, 1.2 * most or 1)
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.figure.legend(frameon=False, loc="outside lower center", ncols=2)


def looked(run: Run, found: Sequence[Looked]) -> Table:
    """Return what the model said of its own claims when it looked again."""
    rows = []
    for one in found:
        said = (one.said.get(word, 0) for word in ("yes", "no", "unsure", "unread"))
        bar = (
            (f"{100 * one.denied.score:.1f}%", interval(one.denied.low, one.denied.high)) if one.denied.n else ("", "")
        )
        rows.append((one.what, one.claims, *said, *bar))

    columns = ("claims", "asked", "yes", "no", "not shown", "unread", "denied", "95 %")
    return Table(run.name, columns, rows)


def dimensions(run: Run, found: Sequence[Dimension]) -> Iterator[Table]:
    """Yield how responses did in each dimension of their process, and how far the judge can be trusted."""
    rows = []
    for one in found:
        agree = "" if math.isnan(one.agree) else f"{100 * one.agree:.0f}%"
        kappa = "" if math.isnan(one.kappa) else f"{one.kappa:.2f}"
        bar = (f"{100 * one.ok.score:.1f}", interval(one.ok.low, one.ok.high))
        shares = (f"{100 * share:.1f}%" for share in (one.fault, one.cannot_tell))
        rows.append((one.name, f"{one.weight:g}", one.ok.n, *bar, *shares, one.labels or "", agree, kappa))

    columns = ("dimension", "weight", "n", "ok, %", "95 %", "fault", "cannot tell", "labelled", "agree", "kappa")
    yield Table(run.name, columns, rows)
    fewest = min(one.labels for one in found if one.name != "weighted")
    told, n = [], found[0].ok.n
    if failed := sum(row.get("failed", False) for row in marks_in(run.folder).values()):
        told.append(f"On {failed:,} of {n:,} responses its reply could not be read: nothing can be told of them.")

    if fewest < ENOUGH:
        told.append(
            f"Not calibrated: {fewest} responses are labelled by hand in every dimension, {ENOUGH} are needed."
        )

    if told:
        yield Table("", ("the judge",), [(line,) for line in told])
