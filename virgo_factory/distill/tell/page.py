"""A distillation as a page to look at: counts, plots, and drawn questions with their pictures, rollouts and verdicts."""

import io
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from virgo_factory.answers import REASONS
from virgo_factory.data.read.media import BadMedia, resolve_image
from virgo_factory.data.show.page import Card, Picture, Section, Table, Text, scaled, write_page
from virgo_factory.distill.tell.status import (
    DROPPED,
    LENGTH_STEP,
    UNJUDGED,
    Status,
    summarise,
)
from virgo_factory.io.index import Index
from virgo_factory.rollouts.long_thoughts import read_thought
from virgo_factory.rollouts.question import VisualQuestion, question_of
from virgo_factory.rollouts.run.progress import duration
from virgo_factory.rollouts.store.index import OUTCOMES, ROLLOUTS, VERDICT, VERDICTS, open_index, row_at
from virgo_factory.rollouts.store.rollout import DIFFICULTIES, GREEDY, Rollout, RolloutVerdict, rollout_of, verdict_of


END_SHOWN = 600
"""Characters shown of the end of a response that is not one thought and one solution."""

KIND_OF_TEXT = {"correct": "trained", "wrong": "rejected"}
"""Outcome -> how its solution is coloured; what is neither right nor wrong stands on yellow."""

LEGEND = (
    Text("question", "prompt"),
    Text("correct", "trained"),
    Text("wrong", "rejected"),
    Text("unverifiable, truncated or looping", "context"),
)


@dataclass(frozen=True)
class Seen:
    """A question that was drawn, with its rollouts and their verdicts, the base model's first."""

    question: VisualQuestion
    level: str
    rollouts: tuple[tuple[Rollout, RolloutVerdict | None], ...]


def write_status_page(path: Path, folder: Path, questions: int = 40, seed: int = 0) -> int:
    """Write the page of a distillation's folder and return how many questions it shows.

    Args:
        path: of the page.
        folder: of the distillation.
        questions: how many are drawn, as many of each difficulty as can be.
        seed: of that draw.

    Raises:
        ValueError: see `summarise`.
    """
    status = summarise(folder, questions, seed)
    cards = (card_of(seen, status, folder) for seen in look_at(folder, status.chosen))
    title = f"Distillation {status.config.dataset}"
    return write_page(path, title, cards, summary_of(status), plots_of(status), LEGEND, tables_of(status))


def look_at(folder: Path, chosen: Mapping[str, str]) -> Iterator[Seen]:
    """Yield the chosen questions (id -> difficulty) with all their rollouts, in the order in which they were chosen."""
    with open_index(folder) as index:
        found = index.ask(lambda index: [(id, *_places(index, id)) for id in chosen])
        for id, question, rollouts in found:
            rows = [
                (
                    rollout_of(row_at(index, ROLLOUTS, place)),
                    None if judged is None else verdict_of(row_at(index, VERDICTS, judged)),
                )
                for place, judged in rollouts
            ]
            yield Seen(question_of(row_at(index, "questions", question)), chosen[id], tuple(rows))


def _places(index: Index, id: str) -> tuple[int, list[tuple[int, int | None]]]:
    """Return where a question stands, and its rollouts, each with its verdict, the first of each sample."""
    ((question,),) = index.db.execute("SELECT max(place) FROM questions WHERE id = ?", (id,))
    select = f"SELECT min(place), (SELECT v.place {VERDICT}) FROM rollouts WHERE question = ? GROUP BY sample ORDER BY sample"
    return question, index.db.execute(select, (id,)).fetchall()


def card_of(seen: Seen, status: Status, folder: Path) -> Card:
    """Return a question as a card."""
    question, config = seen.question, status.config
    outcomes = {rollout.sample: _outcome(verdict) for rollout, verdict in seen.rollouts}
    samples = [outcome for sample, outcome in outcomes.items() if sample != GREEDY]
    facts = [("gold", _gold(question)), ("source", question.source), ("kind", question.kind or "")]
    if GREEDY in outcomes:
        facts.append(("base model", outcomes[GREEDY]))

    if samples:
        facts.append(("correct", f"{samples.count('correct')} of {len(samples)}"))

    facts.append(("origin", question.origin))
    content = [*_pictures(question, folder), Text(_asked(question), "prompt")]
    sections = [Section("Question", content)]
    for rollout, verdict in seen.rollouts:
        sections += _sections(rollout, verdict, config.response_format)

    labels = [question.source, *(f"a rollout is {outcome}" for outcome in sorted(set(outcomes.values())))]
    return Card(question.id, seen.level, sections, [fact for fact in facts if fact[1]], labels)


def _sections(rollout: Rollout, verdict: RolloutVerdict | None, response_format: str) -> Iterator[Section]:
    """Yield what is to be seen of a rollout: its solution or end, and folded its thought."""
    who = "Base model, greedy" if rollout.sample == GREEDY else f"Sample {rollout.sample + 1}"
    outcome = _outcome(verdict)
    colour = KIND_OF_TEXT.get(outcome, "context")
    notes = [f"{rollout.completion_tokens:,} tokens", FINISHED.get(rollout.finish_reason, rollout.finish_reason)]
    if verdict:
        found = f"answer {verdict.answer} ({verdict.rule} in the {verdict.where})" if verdict.answer else ""
        notes += [found, REASONS.get(verdict.reason, verdict.reason)]

    thought, malformed = read_thought(rollout.response, response_format)
    if malformed and outcome == "correct" and rollout.sample != GREEDY:
        notes.append(f"not accepted: {malformed}")

    head = Section(f"{who}: {outcome}", [], note=" · ".join(filter(None, notes)), apart=True)
    if thought:
        yield replace(head, content=[Text(thought.solution, colour)])
        yield Section("Thought", [Text(thought.thought)], True, f"{len(thought.thought):,} characters")
    elif len(rollout.response) <= END_SHOWN:
        yield replace(head, content=[Text(rollout.response, colour)])
    else:
        yield replace(head, content=[Text(f"... {rollout.response[-END_SHOWN:].lstrip()}", colour)])
        told = f"{len(rollout.response):,} characters; {malformed}"
        yield Section("Whole response", [Text(rollout.response)], True, told)


FINISHED = {"stop": "", "length": "cut at max_tokens", "loop": "cut off as a loop"}


def _outcome(verdict: RolloutVerdict | None) -> str:
    return verdict.outcome if verdict else UNJUDGED


def _asked(question: VisualQuestion) -> str:
    options = [f"({letter}) {text}" for letter, text in zip("ABCDEFGHIJ", question.options, strict=False)]
    return "\n".join([question.question, *options])


def _gold(question: VisualQuestion) -> str:
    gold = question.gold
    return ", ".join(map(str, gold)) if isinstance(gold, list | tuple) else str(gold)


def _pictures(question: VisualQuestion, folder: Path) -> Iterator[Picture]:
    from PIL import Image

    for name in question.images:
        try:
            with Image.open(resolve_image(name, str(folder))) as image:
                size = "x".join(map(str, image.size))
                yield Picture(scaled(image), f"{name}, {size}")
        except (BadMedia, OSError, ValueError, Image.DecompressionBombError) as error:
            yield Picture(b"", f"{name}: {error}")


def tables_of(status: Status) -> list[Table]:
    """Return the questions and the rollouts by source, all of them in the last line where there are several."""
    groups = list(status.by_source.items())
    if len(groups) > 1:
        groups.append(("all", status.all))

    questions, rollouts = [], []
    for name, group in groups:
        levels = [group.levels[level] for level in (*DIFFICULTIES, DROPPED)]
        questions.append([name, *(f"{count:,}" for count in (group.questions, group.binary, *levels))])
        outcomes = [group.outcomes[outcome] for outcome in OUTCOMES]
        numbers = [f"{count:,}" for count in (group.rollouts, *outcomes, group.accepted, group.tokens)]
        rollouts.append([name, *numbers, f"{group.tokens_per_accepted or 0:,.0f}" if group.accepted else "-"])

    return [
        Table("Questions", ("source", "questions", "yes/no or 1 of 2", *DIFFICULTIES, "cannot be asked"), questions),
        Table("Rollouts", ("source", "rollouts", *OUTCOMES, "accepted", "tokens", "per accepted"), rollouts),
    ]


def summary_of(status: Status) -> list[tuple[str, str]]:
    """Return what stands above the page."""
    group, config = status.all, status.config
    rows = [("folder", str(config.output_dir)), ("rollouts by", config.model_name_or_path)]
    if config.base_model_name_or_path:
        rows.append(("base model", config.base_model_name_or_path))
        rows.append(("solved by it", f"{group.base_solved:,} of {group.base_asked:,} questions asked"))

    left = f"{status.left:,} left at most" if status.left or status.base_left else "none left to ask"
    rows += [
        ("questions", f"{group.questions:,}"),
        ("rollouts", f"{group.rollouts:,}, {config.samples} a question; {left}"),
        (
            "tokens",
            f"{group.tokens:,}" + (f" and {group.base_tokens:,} of the base model" if group.base_tokens else ""),
        ),
    ]
    if group.accepted:
        accepted = f"{group.accepted:,} rollouts correct, complete and well formed"
        rows.append(("accepted", f"{accepted}; {group.tokens_per_accepted:,.0f} tokens each"))

    if group.outcomes.get(UNJUDGED):
        rows.append((UNJUDGED, f"{group.outcomes[UNJUDGED]:,} rollouts"))

    rows += [("cannot be asked", f"{count:,}: {reason}") for reason, count in list(status.dropped.items())[:10]]
    if status.seconds_left and status.running:
        rows.append(("time left", duration(status.seconds_left)))

    shown = len(status.chosen)
    rows.append(("below", f"{shown:,} questions that have rollouts, as many of each difficulty as there are"))
    return rows


BLUE, GREEN, RED, YELLOW, GREY, LIGHT = "#3b6ea8", "#4c9a62", "#c8553d", "#d9a441", "#6b6b6b", "#c9ced6"
LEVEL_COLOURS = dict(zip((*DIFFICULTIES, DROPPED), (LIGHT, GREEN, BLUE, RED, "#eceef1", GREY), strict=True))
OUTCOME_COLOURS = {"correct": GREEN, "wrong": RED, "truncated": YELLOW, "looping": "#8a63a8"}


def plots_of(status: Status) -> list[Picture]:
    """Return the plots that there is something to draw in: difficulty by source, lengths by outcome, correct of n."""
    plots: list[tuple[str, Callable]] = []
    if status.all.questions:
        plots.append(("Difficulty of the questions by source", _difficulty))

    if status.lengths:
        plots.append(("Length of the samples by what became of them", _lengths))

    if sum(status.correct_of.values()):
        plots.append(("How many samples of a question are correct", _correct_of))

    return [Picture(_drawn(draw, status), caption) for caption, draw in plots]


def _drawn(draw: Callable, status: Status) -> bytes:
    import matplotlib
    from matplotlib.figure import Figure

    buffer = io.BytesIO()
    with matplotlib.rc_context({"font.size": 10, "axes.spines.top": False, "axes.spines.right": False}):
        figure = Figure(figsize=(6.4, 4), layout="constrained")
        draw(figure.add_subplot(), status)
        figure.savefig(buffer, dpi=140)

    return buffer.getvalue()


def _difficulty(axes, status: Status) -> None:
    """Draw a bar a source, in shares of its questions."""
    from matplotlib.ticker import PercentFormatter

    names = sorted(status.by_source, key=lambda name: -status.by_source[name].questions)[:MOST_BARS]
    groups = [status.by_source[name] for name in names]
    left = [0.0] * len(names)
    for level in LEVEL_COLOURS:
        shares = [group.levels[level] / max(group.questions, 1) for group in groups]
        if any(shares):
            axes.barh(range(len(names)), shares, 0.7, left, color=LEVEL_COLOURS[level], label=level)
            left = [start + share for start, share in zip(left, shares, strict=True)]

    axes.set_yticks(range(len(names)), [f"{_short(name)} ({group.questions:,})" for name, group in zip(names, groups, strict=True)])  # fmt: skip
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_xlim(0, 1)
    axes.xaxis.set_major_formatter(PercentFormatter(1))
    axes.set_xlabel("share of the source's questions (number in brackets)")
    axes.legend(frameon=False, loc="lower center", bbox_to_anchor=(0.45, 1), ncols=5, fontsize=9, handlelength=1)


MOST_BARS = 12


def _lengths(axes, status: Status) -> None:
    """Draw the lengths of each outcome as a line, each in shares of itself, so that few long ones are seen."""
    longest = max(max(steps) for steps in status.lengths.values())
    width = max(1, -(-(longest + 1) // 40))  # steps in a bin
    for outcome, colour in OUTCOME_COLOURS.items():
        if steps := status.lengths.get(outcome):
            bins = [0] * (longest // width + 1)
            for step, count in steps.items():
                bins[step // width] += count

            edges = [place * width * LENGTH_STEP for place in range(len(bins) + 1)]
            axes.stairs(bins, edges, color=colour, linewidth=1.8, label=f"{outcome} ({sum(bins):,})")
            axes.stairs(bins, edges, color=colour, alpha=0.15, fill=True)

    axes.set_xlim(0)
    axes.set_ylim(0)
    axes.set_xlabel("tokens of the response")
    axes.set_ylabel("samples")
    axes.legend(frameon=False)
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.yaxis.set_major_formatter("{x:,.0f}")


def _correct_of(axes, status: Status) -> None:
    """Draw how many questions have how many correct samples, of those whose samples are all judged."""
    numbers, questions = list(status.correct_of), list(status.correct_of.values())
    axes.bar(numbers, questions, 0.75, color=BLUE)
    axes.set_xticks(numbers)
    axes.set_xlabel(f"correct samples of {status.config.samples}")
    axes.set_ylabel("questions")
    axes.yaxis.set_major_formatter("{x:,.0f}")
    axes.set_ylim(0, max(questions) * 1.12)
    for number, count in zip(numbers, questions, strict=True):
        axes.text(number, count, f"{count:,}", ha="center", va="bottom", color=GREY)


def _short(text: str, most: int = 24) -> str:
    text = " ".join(text.split())
    return (text if len(text) <= most else f"{text[: most - 3]}...").replace("$", r"\$")
