"""The card beside selected rows: every count from question to row, for people and for programs."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from math import comb
from pathlib import Path
from typing import Any

from virgo_factory import __version__
from virgo_factory.distill.config import BLOCKS, SEVERAL, DistillConfig
from virgo_factory.distill.select.diversity import SEQUENCE
from virgo_factory.report.card import Card
from virgo_factory.report.card import write_card as write
from virgo_factory.report.table import Table
from virgo_factory.report.text import quoted
from virgo_factory.rollouts.store.rollout import DIFFICULTIES, difficulty_of


@dataclass(frozen=True)
class SelectionCard:
    """What is known of selected rows."""

    command: str  # the command line, as it can be entered again
    config: DistillConfig  # of the distillation, with the selection keys that were used
    output: Mapping[str, Any]  # name, rows, bytes and SHA-256 of the file
    entry: Mapping[str, Any]  # name and entry of dataset_info.json that read it
    media_dir: str  # the folder that image paths start from
    questions: int  # in questions.jsonl = kept + all of `dropped`
    kept: int
    dropped: Mapping[str, int]  # reason -> questions
    # kind -> rows of rollouts.jsonl: samples, base (greedy), stray (of no question here), beyond (samples above the
    # configured number), twice (whose sample is there already)
    rollouts: Mapping[str, int]
    outcomes: Mapping[str, int]  # correct, wrong, unverifiable, truncated, looping -> samples
    malformed: Mapping[str, int]  # reason -> correct samples that are no long thought
    candidates: int  # samples that are correct and well formed; `candidates_kept` those of kept questions
    candidates_kept: int
    levels: Mapping[str, Mapping[str, int]]  # difficulty -> questions, binary, kept, binary_kept
    sources: Mapping[str, Mapping[str, int | None]]  # source -> questions of each difficulty, kept, wanted
    fewer: int  # kept questions with fewer judged samples than configured
    # of the candidates of kept questions, those that differ word for word from the others of their question
    wordings: int = 0
    repeating: int = 0  # rows whose thought says the same again and again, though it came to its end
    # of questions with several rows, see diversity.Diversity.means
    diversity: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raise AssertionError where counts do not add up, which is a defect of this package."""
        if self.questions != self.kept + sum(self.dropped.values()):
            raise AssertionError(f"{self.questions} questions, {self.kept} kept, left out: {self.dropped}")

        if self.outcomes["correct"] < self.candidates + sum(self.malformed.values()):
            raise AssertionError(f"{self.outcomes}, {self.candidates} candidates, malformed: {self.malformed}")

    @property
    def unjudged(self) -> int:
        """Samples without a verdict."""
        return self.rollouts.get("samples", 0) - sum(self.outcomes.values())


def write_card(path: Path, card: SelectionCard) -> None:
    """Write both cards of the output `path`."""
    write(path, people_card(card), to_json(card))


def to_json(card: SelectionCard) -> dict[str, Any]:
    """Return the card for programs."""
    values = {field.name: getattr(card, field.name) for field in fields(card)}
    config = card.config.model_dump(mode="json", exclude=set(NOT_TOLD))
    return {**values, "config": config, "version": __version__}


def training_line(card: SelectionCard) -> str:
    """Return what is put behind a recipe to train on the rows."""
    name = next(iter(card.entry))
    return f"dataset={name} media_dir={quoted(card.media_dir)}"


def notes_of(card: SelectionCard) -> list[str]:
    """Return the sentences that a reader must know."""
    config, notes = card.config, []
    if card.fewer:
        why = "stop_when_decided asks no further once the level is certain" if config.stop_when_decided else (
            "the run was not finished, or rollouts were lost"
        )  # fmt: skip
        what = {
            "shortest": "their response is the shortest correct one of fewer samples, and longer on average",
            "all": "they have fewer correct responses than there could be",
            "first": "they have fewer correct responses than there could be",
            "diverse": "their responses were chosen among fewer",
        }[config.responses]
        notes.append(
            f"{card.fewer:,} of the {card.kept:,} questions have fewer than {config.samples} judged samples ({why}): {what}."
        )

    if mean := card.diversity:
        notes.append(
            f"Diversity of the {mean['questions']:,} questions with several rows, {mean['rows']:.1f} of them each: two of a "
            f"question share {mean['overlap']:.0%} of their {SEQUENCE}-word sequences; answers are spelled in "
            f"{mean['final_forms']:.2f} ways; the shortest has {mean['shortest_words']:,.0f} words, the longest "
            f"{mean['longest_words']:,.0f}. Of {card.candidates_kept:,} correct responses {card.wordings:,} differ word for word."
        )

    if card.repeating:
        notes.append(
            f"Rows that say the same again and again, though they came to their end: {card.repeating:,}; data check lists them."
        )

    if card.unjudged > 0:
        notes.append(f"{card.unjudged:,} samples have no verdict yet and count as missing.")

    if config.samples != 5:
        levels = ", ".join(
            f"{name} {told_level(name, config.samples)}" for name in ("medium", "hard", "unsolved")
        ).replace(" correct", "")
        notes.append(
            f"Virgo's levels are for 5 samples (medium 4-5, hard 2-3 correct); for {config.samples} the same shares, from "
            f"4/5 and from 2/5 on, are taken: {levels}."
        )

    if config.difficulty == "random":
        notes.append("Questions were taken whether or not the base model solves them; it was not asked.")

    for name, level in card.levels.items():
        if level["binary_kept"] and name in ("medium", "hard"):
            chance = by_coin(name, config.samples)
            share = f"{level['binary_kept']:,} of {level['kept']:,} kept {name} questions ({level['binary_kept'] / level['kept']:.0%})"
            notes.append(
                f"Answered by yes or no, or by one of two options: {share}. A coin makes {chance:.0%} of such questions "
                f"{name} (max_binary_share caps them)."
            )

    malformed, correct = sum(card.malformed.values()), card.outcomes["correct"]
    if 2 * malformed > correct:
        notes.append(
            f"{malformed:,} of {correct:,} correct samples are malformed: is response_format {config.response_format} the "
            "model's own?"
        )

    return notes


def by_coin(level: str, samples: int) -> float:
    """Return the chance that a coin answers a yes/no question so that it gets that level.

    >>> by_coin("medium", 5), by_coin("hard", 5)
    (0.1875, 0.625)
    """
    counts = [count for count in range(samples + 1) if difficulty_of(count, samples - count, samples) == level]
    return sum(comb(samples, count) for count in counts) / 2**samples


def told_level(name: str, samples: int) -> str:
    """Return what a level means for that many samples, in words.

    >>> told_level("medium", 5), told_level("hard", 5), told_level("unsolved", 5), told_level("hard", 1)
    ('4-5 of 5 correct', '2-3 of 5 correct', '0-1 of 5 correct', 'not with 1 sample')
    """
    if name == "easy":
        return "solved by the base model"

    if name == "undecided":
        return "rollouts are missing or unverifiable"

    counts = [count for count in range(samples + 1) if difficulty_of(count, samples - count, samples) == name]
    if not counts:
        return f"not with {samples} sample{'s' * (samples > 1)}"

    return f"{'-'.join(map(str, sorted({counts[0], counts[-1]})))} of {samples} correct"


def accounts(card: SelectionCard) -> tuple[list[tuple[str, int]], list[tuple[str, int]]]:
    """Return the account of the questions and that of the rollouts, as (words, count); the last of each is what is kept."""
    config = card.config
    questions = [("in questions.jsonl", card.questions)]
    questions += [(f"left out: {reason}", count) for reason, count in card.dropped.items()]
    questions.append(("kept", card.kept))

    rollouts = [(f"samples of {config.model_name_or_path}", card.rollouts.get("samples", 0))]
    if "base" in card.rollouts:
        rollouts.insert(0, (f"greedy ones of {config.base_model_name_or_path}", card.rollouts["base"]))

    rollouts += [(f"samples: {name}", count) for name, count in card.outcomes.items()]
    more = {
        "samples: no verdict yet": card.unjudged,
        **{f"correct, but malformed: {reason}": count for reason, count in card.malformed.items()},
        "correct and well formed, of questions left out": card.candidates - card.candidates_kept,
        "correct and well formed, not chosen": card.candidates_kept - card.output["rows"],
        "of no question here": card.rollouts.get("stray", 0),
        f"sample {config.samples} and above": card.rollouts.get("beyond", 0),
        "there twice": card.rollouts.get("twice", 0),
    }
    rollouts += [(words, count) for words, count in more.items() if count]
    rollouts.append(("rows", card.output["rows"]))
    return questions, rollouts


def people_card(card: SelectionCard) -> Card:
    """Return the card for people."""
    config, output = card.config, card.output
    chosen = {"shortest": "the shortest correct response of each question", "all": "every correct response"}
    chosen["first"] = f"up to {config.k} correct responses of each question, as they were sampled"
    chosen["diverse"] = f"up to {config.k} correct responses of each question that have little in common"
    level = (
        "questions of any difficulty" if config.difficulty in ("any", "random") else f"{config.difficulty} questions"
    )
    lead = (
        f"{output['rows']:,} visual long thoughts on {card.kept:,} {level}, made by `virgo-factory distill` {__version__}: "
        f"{chosen[config.responses]}, sampled from `{config.model_name_or_path}`."
    )
    accounted = [
        Table(title, ("", title.lower()), account, styles={len(account) - 1: "bold"})
        for title, account in zip(("Questions", "Rollouts"), accounts(card), strict=True)
    ]
    return Card(
        name=output["file"],
        lead=lead,
        tables=[*accounted, _levels(card), _sources(card)],
        settings=_settings(card),
        sha256=output["sha256"],
        notes=[
            *notes_of(card),
            "yes/no: a coin answers it right half of the time; questions with two options count as well.",
        ],
        command=card.command,
        entry=card.entry,
        use=f"Image paths start from `{card.media_dir}`. Behind a recipe: `{training_line(card)}`",
    )


def _levels(card: SelectionCard) -> Table:
    rows = [
        (
            *(
                name,
                told_level(name, card.config.samples),
                level["questions"],
                _share(level["binary"], level["questions"]),
            ),
            *(level["kept"], _share(level["binary_kept"], level["kept"])),
        )
        for name, level in card.levels.items()
    ]
    return Table("By difficulty", ("level", "", "questions", "yes/no", "kept", "yes/no"), rows, words=(1,))


def _sources(card: SelectionCard) -> Table:
    columns = ("questions", *(name for name in DIFFICULTIES if name in card.levels), "kept")
    wanted = {name: row["wanted"] if card.config.source_quota else None for name, row in card.sources.items()}
    rows = [
        (name, *(row[key] for key in columns), "all" if wanted[name] is None else wanted[name])
        for name, row in card.sources.items()
    ]
    return Table("By source", ("source", *columns, "wanted"), rows)


def _settings(card: SelectionCard) -> dict[str, Any]:
    values = card.config.model_dump(mode="json")
    untold = set(NOT_TOLD)
    if values["questions"]:
        untold |= {"pool_factor", "onevision", "questions_per_image"}

    if values["responses"] not in SEVERAL:
        untold.add("k")

    return {key: values[key] for block in TOLD for key in BLOCKS[block] if key not in untold}


TOLD = ("questions", "prompt", "base model", "rollout model", "sampling", "selection")
NOT_TOLD = (
    *("urls", "base_urls", "api_key_env", "served_model_name", "base_served_model_name", "server_args"),
    *("tensor_parallel_size", "data_parallel_size", "server_start_minutes", "max_model_len"),
)
"""How the models were served is no matter of the rows."""


def _share(part: int, whole: int) -> str:
    return f"{part:,} ({part / whole:.0%})" if whole else "0"
