"""An evaluation: questions of its benchmarks, asked in one pass, longest first; verdicts, and scores once all are there."""

import contextlib
import functools
import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from virgo_factory import __version__
from virgo_factory.core.errors import UserError
from virgo_factory.evaluation.asking import Evaluation, Kept
from virgo_factory.evaluation.config import EvaluationConfig, read_folder
from virgo_factory.evaluation.folder import Run, read_run
from virgo_factory.evaluation.probes.below import alone
from virgo_factory.evaluation.probes.budget import Budgeted, budgets_of, write_level
from virgo_factory.evaluation.probes.process import judge_process, read_labels
from virgo_factory.evaluation.probes.recheck import check_drawn, write_recheck
from virgo_factory.evaluation.probes.variants import FOLDER as VARIANTS
from virgo_factory.evaluation.probes.variants import variants_of, write_variants
from virgo_factory.evaluation.questions import NOT_DRAWN, Taken, write_questions
from virgo_factory.evaluation.scorers.judging import OURS, rejudge, scorer_of
from virgo_factory.evaluation.scores import COLUMNS, PARTIAL, Score, write_csv
from virgo_factory.formats.row import RejectedRow
from virgo_factory.io.fingerprint import file_hash
from virgo_factory.report.card import Card, card_files, write_card
from virgo_factory.report.table import Table
from virgo_factory.report.text import amount
from virgo_factory.rollouts.judge.llm_judge import LLMJudge
from virgo_factory.rollouts.pictures import StoredPicture, store_picture
from virgo_factory.rollouts.question import FILE as QUESTIONS
from virgo_factory.rollouts.question import first_of, numbered_questions, read_questions, write_question
from virgo_factory.rollouts.run.launch import Outcome, ask
from virgo_factory.rollouts.run.run import Event
from virgo_factory.rollouts.store.index import ROLLOUTS, VERDICTS
from virgo_factory.rollouts.store.jsonl import Shard, shards_of
from virgo_factory.rollouts.store.store import lock


SCORES = "scores.csv"

LONG = ("aime25", "aime24", "olympiadbench", "olympiadbench_en", "mathvision", "dynamath", "mathverse", "we_math")
"""Benchmarks with long responses, the longest first: the slots of the servers stay full to the end. Of Virgo's four the paper says
that OlympiadBench has the longest and MMMU the shortest (Figure 2); the rest is a guess, and decides time alone."""


@dataclass(frozen=True)
class Evaluated:
    """How a start ended.

    Attributes:
        rows: of scores.csv, those by a paper's scorer where that ran; None where it was not written, since something is outstanding.
    """

    outcome: Outcome
    rows: list[Score] | None


def evaluate(
    config: EvaluationConfig,
    shard: Shard | None = None,
    on_event: Callable[[Event], None] = lambda event: None,
) -> Evaluated:
    """Ask all that is still to be asked of an evaluation, judge it, and write its scores once nothing is outstanding.

    Then what is asked beside it (see `_beside`), each in a folder of an evaluation of its own.

    Raises:
        ValueError: benchmarks, servers or the judge are not as they must be; see rollouts' `ask`.
    """
    with contextlib.ExitStack() as stack:
        go = functools.partial(_evaluate, kept=Kept(stack), shard=shard, on_event=on_event)
        found = go(config, make_questions, Evaluation)
        outcome = found.outcome
        for own, asking in () if outcome.left.samples else _beside(config, found.rows is not None, on_event):
            told = functools.partial(_told_of, own.output_dir, on_event)
            done = go(own, lambda config: None, asking, on_event=told).outcome
            outcome = done if done.left.samples and not outcome.left.samples else outcome

    return Evaluated(outcome, found.rows)


def _evaluate(
    config: EvaluationConfig,
    make: Callable[[EvaluationConfig], None],
    asking: Callable[..., Evaluation],
    kept: Kept,
    shard: Shard | None,
    on_event: Callable[[Event], None],
) -> Evaluated:
    judge = judge_of(config)

    def prepare() -> None:
        problems = []
        for check in (lambda: make(config), lambda: _check(config, judge)):
            try:
                check()
            except ValueError as error:
                problems.append(str(error))

        if problems:
            raise UserError("\n".join(problems))

    ours = functools.partial(asking, kept=kept)
    return Evaluated(ask(prepare, config, shard, on_event, asking=ours), _score(config, judge, on_event))


def _told_of(folder: Path, on_event: Callable[[Event], None], event: Event) -> None:
    """Pass an event on; the first of a pass beside the benchmarks says which one begins."""
    on_event(replace(event, message=f"asking {folder}") if event.kind == "start" else event)


def _check(config: EvaluationConfig, judge: LLMJudge | None) -> None:
    """Raise ValueError where what comes behind the questions cannot be: the judge, marks by people, budgets."""
    if judge is not None:
        judge.check(sees=bool(config.process))

    if config.process_labels is not None:
        read_labels(config.process_labels)

    if config.recheck:
        check_drawn(config.output_dir, config.recheck, config.seed)

    if config.budget and (config.output_dir / QUESTIONS).is_file():
        budgets_of(config.output_dir, 1, config.budget_by, 1)


def _beside(
    config: EvaluationConfig, is_finished: bool, on_event: Callable[[Event], None]
) -> Iterator[tuple[EvaluationConfig, Callable[..., Evaluation]]]:
    """Yield what is asked beside an evaluation: changed pictures, and, of one that is finished, claims and closed thoughts."""
    folder, variants = config.output_dir, variants_of(config.variants)
    if variants:
        write_variants(folder, variants, config.variant_questions, config.seed)

    for variant in variants:
        yield _below(config, folder / VARIANTS / variant.name), Evaluation

    if config.recheck and is_finished:
        target = write_recheck(folder, config.recheck, config.seed, config.response_format)
        if (target / QUESTIONS).stat().st_size:
            once = {"question_prefix": "none", "samples": 1, "temperature": 0.0}
            once |= {"scorer": "ours", "judge_url": None, "judge_model": None}
            yield _below(config, target).model_copy(update=once), Evaluation
        else:
            on_event(Event("judging", message="recheck: no thought claims to see anything that could be asked about"))

    for tokens in config.budget if is_finished else ():
        target = write_level(folder, tokens, config.budget_by)
        budgets = budgets_of(folder, tokens, config.budget_by, config.most_thought)
        yield _below(config, target), functools.partial(Budgeted, source=folder, budgets=budgets)


def _below(config: EvaluationConfig, folder: Path) -> EvaluationConfig:
    """Return how the questions of a folder below the evaluation's are asked: as those above, and nothing beside them."""
    beside = ("variants", "process", "process_labels", "recheck", "budget", "budget_by", "paper_row", "benchmarks")
    nothing = {key: EvaluationConfig.model_fields[key].default for key in beside}
    return config.model_copy(update={**nothing, "questions": folder / QUESTIONS, "output_dir": folder})


def _score(config: EvaluationConfig, judge: LLMJudge | None, on_event: Callable[[Event], None]) -> list[Score] | None:
    """Write scores.csv and return its rows, and have the process marked; None where something is outstanding."""
    folder = config.output_dir
    with lock(folder, None, ".scores.lock"):
        rows = scores_of(config, OURS)
        if any(row["metric"].endswith(PARTIAL) for row in rows):  # of this shard, or of another one
            return None

        name = rejudge(folder, config.scorer, judge)
        if judge is not None:
            rows = scores_of(config, OURS)

        write_csv(folder / SCORES, COLUMNS, rows)
        if name != VERDICTS:
            theirs = scores_of(config, config.scorer)
            write_csv(folder / f"scores.{config.scorer}.csv", COLUMNS, theirs)
            rows = _or_ours(config.scorer, theirs, rows)

        if config.process:
            labels = read_labels(config.process_labels) if config.process_labels else {}
            done, failed = judge_process(folder, judge, config.process_questions, config.seed, labels)
            if failed:
                told = f"process: {judge.model} gave no marks that can be read on {failed:,} of {done:,} responses"
                on_event(Event("judging", message=f"{told}; the next start asks for them again"))

    return rows


def wanted_of(config: EvaluationConfig) -> dict[str, int | None]:
    """Return the benchmarks of a configuration in the order in which they are asked: those with long responses first."""
    return dict(
        sorted(config.benchmarks.items(), key=lambda one: (one[0] not in LONG, one[0] in LONG and LONG.index(one[0])))
    )


def make_questions(config: EvaluationConfig) -> None:
    """Make FOLDER/questions.jsonl, its pictures and its card, where they are not there as this configuration wants them.

    Raises:
        ValueError: see `write_questions`; all benchmarks are told together.
    """
    folder, settings = config.output_dir, _settings(config)
    card = card_files(folder / QUESTIONS)[1]
    with alone(folder):
        if (folder / QUESTIONS).is_file() and card.is_file():
            old = json.loads(card.read_text(encoding="utf-8"))["settings"]
            if old == settings:
                return

            if shards_of(folder, ROLLOUTS) and any(path.stat().st_size for path in shards_of(folder, ROLLOUTS)):
                changed = [
                    f"{key}: {old.get(key)!r}, now {settings[key]!r}"
                    for key in settings
                    if settings[key] != old.get(key)
                ]
                raise UserError(f"{folder / QUESTIONS}: was made with {'; '.join(changed)}. Name another output_dir.")

        made = folder / ".questions.jsonl.made"
        for killed in folder.glob(f".{made.name}.*"):  # what a start left that was killed while it wrote
            killed.unlink()

        taken = _write(config, made)
        _write_card(config, made, taken, settings)
        os.replace(made, folder / QUESTIONS)


def _settings(config: EvaluationConfig) -> dict[str, Any]:
    questions, own = None, config.questions
    if own is not None:
        questions = {"file": str(own), "sha256": file_hash(own) if own.is_file() else ""}

    return {
        "benchmarks": dict(config.benchmarks),
        "questions": questions,
        "seed": config.seed,
        "image_max_pixels": config.image_max_pixels,
    }


def _write(config: EvaluationConfig, target: Path) -> list[Taken]:
    """Write the questions of benchmarks, and those of one's own file; return what became of the benchmarks' rows."""
    folder = config.output_dir
    known: dict[str, StoredPicture] = {}

    def store(image: Any, media_dir: Path) -> tuple[str, str]:
        done = store_picture(image, media_dir, folder, config.image_max_pixels, known)
        return done.path, done.sha256

    taken = write_questions(wanted_of(config), target, store, config.benchmark_dir, config.seed, config.allow_partial)
    if config.questions is not None:
        ids = {question.id: f"a question of {question.source}" for question in read_questions(target)}
        with target.open("a", encoding="utf-8") as lines:
            problems: list[str] = []
            for line, question in numbered_questions(config.questions, problems):
                place = f"{config.questions}:{line} (id {question.id})"
                if question.id in ids:
                    problems.append(f"{place}: {ids[question.id]} has this id already. Give it an id of its own")
                    continue

                try:
                    stored = [store(image, config.questions.parent) for image in question.images]
                except RejectedRow as error:
                    start = config.questions.parent
                    problems.append(
                        f"{place}: {error}. Mend it, or take the row out; paths of pictures start from {start}"
                    )
                    continue

                names, hashes = (tuple(part) for part in zip(*stored, strict=True)) if stored else ((), ())
                lines.write(write_question(replace(question, images=names, image_sha256=hashes)))

        if problems:
            raise UserError("\n".join(first_of(problems)))

    if not sum(1 for _ in read_questions(target)):  # every row can be asked, before anybody is
        raise UserError(f"no question is left of {', '.join(config.benchmarks) or config.questions}.")

    return taken


def _write_card(config: EvaluationConfig, made: Path, taken: Sequence[Taken], settings: dict[str, Any]) -> None:
    reasons = list(dict.fromkeys(reason for one in taken for reason in one.left_out))
    rows = [
        (one.benchmark.title, one.rows, one.asked, one.benchmark.count, *(one.left_out[reason] for reason in reasons))
        for one in taken
    ]
    if config.questions is not None:
        own = sum(1 for _ in read_questions(config.questions))
        rows.append((config.questions.name, own, own, own, *[0] * len(reasons)))

    notes = [f"{one.benchmark.title}: {one.benchmark.subset}" for one in taken if one.benchmark.subset]
    notes += [f"{one.benchmark.title}: {text}." for one in taken for text in one.examples.values()]
    files = [(f"{one.benchmark.name}/{name}", digest) for one in taken for name, digest in one.files.items()]
    card = Card(
        QUESTIONS,
        f"Questions, made by virgo-factory {__version__}. Rows read give the questions asked and those left out.",
        [table for table in (
            Table("Rows", ("benchmark", "rows read", "asked", "published", *(f"left out: {why}" for why in reasons)), rows),
            Table("Sources", ("benchmark", "read from", "revision", "licence"), [
                (one.benchmark.title, one.place, one.revision, one.benchmark.licence) for one in taken
            ], words=(1, 2, 3)),
            Table("Files", ("file", "SHA-256"), files, words=(1,)),
        ) if table.rows],
        settings,
        file_hash(made),
        notes,
    )  # fmt: skip
    content = {
        "virgo_factory": __version__,
        "settings": settings,
        "sha256": card.sha256,
        "benchmarks": [
            {
                "name": one.benchmark.name,
                "place": one.place,
                "revision": one.revision,
                "files": one.files,
                "rows": one.rows,
            }
            | {"asked": one.asked, "published": one.benchmark.count, "left_out": dict(one.left_out)}
            | {"drawn_of": one.found if one.left_out[NOT_DRAWN] else None}
            for one in taken
        ],
    }
    write_card(config.output_dir / QUESTIONS, card, content)


def scores_of(config: EvaluationConfig, scorer: str) -> list[Score]:
    """Return the rows of scores.csv of an evaluation's folder; those on which questions are outstanding say `partial`."""
    run = _read(config.output_dir, scorer)
    return [row for row in run.scores(run.paper) if scorer == OURS or scorer_of(scorer, row["benchmark"])]


def _or_ours(scorer: str, theirs: Sequence[Score], ours: Sequence[Score]) -> list[Score]:
    """Return the rows by a paper's scorer, and ours of the benchmarks that it has no rules for."""
    return [*theirs, *(row for row in ours if not scorer_of(scorer, row["benchmark"]))]


def _read(folder: Path, scorer: str) -> Run:
    return read_run(folder, VERDICTS if scorer == OURS else f"{VERDICTS}.{scorer}", may_be_empty=True)


def judge_of(config: EvaluationConfig) -> LLMJudge | None:
    """Return the judge that a configuration names."""
    return LLMJudge(config.judge_url, config.judge_model, config.judge_key_env) if config.judge_url else None


@dataclass(frozen=True)
class Status:
    """What is known of an evaluation's folder.

    Attributes:
        asked, judged, refused: responses that there will be, those with a verdict, questions that a server refused.
    """

    config: EvaluationConfig
    rows: list[Score]
    asked: int
    judged: int
    refused: int

    @property
    def told(self) -> str:
        """Return what is outstanding, in a sentence."""
        lacks = f" {amount(self.refused, 'question was', 'questions were')} refused, see dropped.jsonl."
        refused = lacks if self.refused else ""
        left = self.asked - self.judged
        if left > 0:
            return f"{self.judged:,} of {amount(self.asked, 'response is', 'responses are')} there and judged. Go on: {self.config.resume_command()}{refused}"

        return f"All {self.asked:,} responses are judged.{refused}"


def status_of(folder: Path) -> Status:
    """Return what the files of an evaluation's folder tell.

    Raises:
        ValueError: it is none, or a line is broken.
    """
    config = read_folder(folder)
    if not (folder / QUESTIONS).is_file():
        raise UserError(f"{folder}: no {QUESTIONS} yet. Let `evaluate run` make it.")

    held = _read(folder, OURS).held
    samples = sum(config.samples_of(question.benchmark) for question in held.questions)
    refused = sum(config.samples_of(held.questions[place].benchmark) for place in held.refused)
    rows = scores_of(config, OURS)
    if (folder / f"scores.{config.scorer}.csv").is_file():
        rows = _or_ours(config.scorer, scores_of(config, config.scorer), rows)

    return Status(config, rows, samples - refused, len(held.place), len(held.refused))
