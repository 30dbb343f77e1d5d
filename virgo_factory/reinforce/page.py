"""The rollouts of a training by rewards as a page to look at: curves, and groups of responses to one prompt with their verdicts."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from virgo_factory.answers import REASONS
from virgo_factory.answers.model import gold_text
from virgo_factory.reinforce.curves import picture
from virgo_factory.reinforce.steps import outcome_of, prompt_of, read_rollouts, read_steps, steps_table
from virgo_factory.report.page import Article, Picture, Section, Text, write_page
from virgo_factory.rollouts.shown import LEGEND, picture_of, response_sections


def write_rollouts_page(path: Path, folder: Path, groups: int = 40) -> int:
    """Write the page of a training's folder and return how many groups it shows: the first, the last and others at equal distances.

    Raises UserError: no training by rewards, or a broken line of its rollouts.
    """
    steps = read_steps(folder)
    total = sum(1 for _ in _groups(folder))
    count = min(groups, total)
    chosen = {round(place * (total - 1) / max(1, count - 1)) for place in range(count)}
    articles = (_article(group) for place, group in enumerate(_groups(folder)) if place in chosen)
    head = [Section("", [steps_table(steps, narrow=False), Picture(picture(steps, page=True), "Curves"), *LEGEND])]
    return write_page(path, f"Rollouts of {folder.resolve().name}", articles, head)


def _groups(folder: Path) -> Iterator[list[dict[str, Any]]]:
    """Yield the responses to one prompt in one step, as they stand in the file one after the other."""
    for _, rows in groupby(read_rollouts(folder), lambda row: (row["step"], prompt_of(row))):
        yield list(rows)


def _article(group: Sequence[Mapping[str, Any]]) -> Article:
    first, outcomes = group[0], [outcome_of(row) for row in group]
    pictures = [picture_of(Path(name).parent, Path(name).name) for name in first.get("images") or ()]
    sections = [Section("Question", [*pictures, Text(first.get("asked") or first["question"], "prompt")])]
    for row, outcome in zip(group, outcomes, strict=True):
        reward = row.get("reward")
        notes = [
            "" if reward is None else f"reward {reward:.3f}",
            f"format {row.get('format', 0):g}",
            f"{row.get('completion_tokens', 0):,} tokens",
            f"answer {row['answer']}" if row.get("answer") else "",
            REASONS.get(row.get("reason"), str(row.get("reason") or "")),
        ]
        title = f"Sample {row.get('sample', 0) + 1}: {outcome}"
        sections += response_sections(title, row["response"], "auto", outcome, notes)

    right = outcomes.count("correct")
    is_flat = len({row.get("reward") for row in group}) == 1
    kind = "no gradient" if is_flat else "some right" if right else "none right"
    facts = [
        ("gold", gold_text(first.get("gold"))),
        ("correct", f"{right} of {len(group)}"),
        ("step", f"{first['step']:,}"),
    ]
    labels = [f"a response is {outcome}" for outcome in sorted(set(outcomes))]
    return Article(f"Step {first['step']:,}: {first['question']}", kind, sections, facts, labels)
