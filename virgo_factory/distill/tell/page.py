"""A distillation as a page to look at: counts, plots, and drawn questions with their pictures, rollouts and verdicts."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from virgo_factory.answers import REASONS
from virgo_factory.answers.model import gold_text
from virgo_factory.distill.tell.status import (
    DROPPED,
    LENGTH_STEP,
    UNJUDGED,
    Status,
    headline,
    lines_of,
    summarise,
    tables_of,
)
from virgo_factory.io.index import Index
from virgo_factory.report.page import Article, Picture, Section, Text, write_page
from virgo_factory.report.plots import BLUE, GREEN, GREY, RED, YELLOW, columns, draw, outlines, shares
from virgo_factory.rollouts.long_thoughts import read_thought
from virgo_factory.rollouts.question import VisualQuestion, question_of
from virgo_factory.rollouts.shown import LEGEND, asked_with_options, picture_of, response_sections
from virgo_factory.rollouts.store.index import ROLLOUTS, VERDICT, VERDICTS, open_index, row_at
from virgo_factory.rollouts.store.rollout import DIFFICULTIES, GREEDY, Rollout, RolloutVerdict, rollout_of, verdict_of


@dataclass(frozen=True)
class Seen:
    """A question that was drawn, with its rollouts and their verdicts, the base model's first."""

    question: VisualQuestion
    level: str
    rollouts: tuple[tuple[Rollout, RolloutVerdict | None], ...]


def write_status_page(path: Path, folder: Path, questions: int = 40, seed: int = 0) -> int:
    """Write the page of a distillation's folder and return how many questions it shows, drawn as in `summarise`."""
    status = summarise(folder, questions, seed)
    articles = (article_of(seen, status, folder) for seen in look_at(folder, status.chosen))
    shown = f"Below: {len(status.chosen):,} questions that have rollouts, as many of each difficulty as there are"
    told = Text("\n".join([headline(status), *lines_of(status), shown]))
    head = [Section("", [told, *tables_of(status), *plots_of(status), *LEGEND])]
    return write_page(path, f"Distillation {status.config.dataset}", articles, head)


def look_at(folder: Path, chosen: Mapping[str, str]) -> Iterator[Seen]:
    """Yield the chosen questions (id -> difficulty) with all their rollouts, in the order in which they were chosen."""
    with open_index(folder) as index:
        found = index.ask(lambda index: [(id, *_places(index, id)) for id in chosen])
        for id, question, rollouts in found:
            said = [rollout_of(row_at(index, ROLLOUTS, place)) for place, _ in rollouts]
            judged = [None if at is None else verdict_of(row_at(index, VERDICTS, at)) for _, at in rollouts]
            rows = tuple(zip(said, judged, strict=True))
            yield Seen(question_of(row_at(index, "questions", question)), chosen[id], rows)


def _places(index: Index, id: str) -> tuple[int, list[tuple[int, int | None]]]:
    """Return where a question stands, and its rollouts, each with its verdict, the first of each sample."""
    ((question,),) = index.db.execute("SELECT max(place) FROM questions WHERE id = ?", (id,))
    select = f"SELECT min(place), (SELECT v.place {VERDICT}) FROM rollouts WHERE question = ? GROUP BY sample ORDER BY sample"
    return question, index.db.execute(select, (id,)).fetchall()


def article_of(seen: Seen, status: Status, folder: Path) -> Article:
    """Return a question as an article."""
    question, config = seen.question, status.config
    outcomes = {rollout.sample: _outcome(verdict) for rollout, verdict in seen.rollouts}
    samples = [outcome for sample, outcome in outcomes.items() if sample != GREEDY]
    facts = [("gold", gold_text(question.gold)), ("source", question.source), ("kind", question.kind or "")]
    if GREEDY in outcomes:
        facts.append(("base model", outcomes[GREEDY]))

    if samples:
        facts.append(("correct", f"{samples.count('correct')} of {len(samples)}"))

    facts.append(("origin", question.origin))
    pictures = (picture_of(folder, name) for name in question.images)
    content = [*pictures, Text(asked_with_options(question.asked), "prompt")]
    sections = [Section("Question", content)]
    for rollout, verdict in seen.rollouts:
        sections += _sections(rollout, verdict, config.response_format)

    labels = [question.source, *(f"a rollout is {outcome}" for outcome in sorted(set(outcomes.values())))]
    return Article(question.id, seen.level, sections, [fact for fact in facts if fact[1]], labels)


def _sections(rollout: Rollout, verdict: RolloutVerdict | None, response_format: str) -> Iterator[Section]:
    """Yield what is to be seen of a rollout: its solution or end, and folded its thought."""
    who = "Base model, greedy" if rollout.sample == GREEDY else f"Sample {rollout.sample + 1}"
    outcome = _outcome(verdict)
    notes = [f"{rollout.completion_tokens:,} tokens", FINISHED.get(rollout.finish_reason, rollout.finish_reason)]
    if verdict:
        found = f"answer {verdict.answer} ({verdict.rule} in the {verdict.where})" if verdict.answer else ""
        notes += [found, REASONS.get(verdict.reason, verdict.reason)]

    _, malformed = read_thought(rollout.response, response_format)
    if malformed and outcome == "correct" and rollout.sample != GREEDY:
        notes.append(f"not accepted: {malformed}")

    yield from response_sections(f"{who}: {outcome}", rollout.response, response_format, outcome, notes)


FINISHED = {"stop": "", "length": "cut at max_tokens", "loop": "cut off as a loop"}


def _outcome(verdict: RolloutVerdict | None) -> str:
    return verdict.outcome if verdict else UNJUDGED


LEVEL_COLOURS = dict(zip((*DIFFICULTIES, DROPPED), ("#c9ced6", GREEN, BLUE, RED, "#eceef1", GREY), strict=True))
OUTCOME_COLOURS = {"correct": GREEN, "wrong": RED, "truncated": YELLOW, "looping": "#8a63a8"}


def plots_of(status: Status) -> list[Picture]:
    """Return the plots that there is something to draw in: difficulty by source, lengths by outcome, correct of n."""
    plots = []
    if status.all.questions:
        levels = {name: group.levels for name, group in status.by_source.items()}
        given = shares, levels, LEVEL_COLOURS, "share of the source's questions (number in brackets)"
        plots.append(("Difficulty of the questions by source", given))

    if status.lengths.keys() & OUTCOME_COLOURS.keys():
        given = outlines, status.lengths, OUTCOME_COLOURS, LENGTH_STEP, "tokens of the response", "samples"
        plots.append(("Length of the samples by what became of them", given))

    if sum(status.correct_of.values()):
        given = columns, status.correct_of, "", f"correct samples of {status.config.samples}", "questions"
        plots.append(("How many samples of a question are correct", given))

    return [Picture(draw(*given, page=True), caption) for caption, given in plots]
