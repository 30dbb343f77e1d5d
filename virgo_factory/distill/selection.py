"""Which rollouts are trained on: from questions, rollouts and verdicts to rows in the normal form, each loss counted."""

import contextlib
import json
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from virgo_factory.adapters.row import check_example
from virgo_factory.datasets.duplicates import sequence_hashes, word_hashes
from virgo_factory.datasets.entry import file_name
from virgo_factory.datasets.produce import check_targets
from virgo_factory.datasets.repetition import find_loop
from virgo_factory.datasets.selection import seeded_order
from virgo_factory.datasets.source import INFO, read_info
from virgo_factory.datasets.writing import normal_row, published, spooled, write_spool
from virgo_factory.distill.candidates import (
    OUTCOMES,
    SEVERAL,
    Candidates,
    Questions,
    count_questions,
    count_verdicts,
    find_candidates,
    long_thought_of,
)
from virgo_factory.distill.config import BLOCKS, DistillConfig, read_config, read_folder
from virgo_factory.distill.config import FILE as CONFIG
from virgo_factory.distill.lines import Lines, shards_of
from virgo_factory.distill.prompt import asked_text
from virgo_factory.distill.question import VisualQuestion, read_questions
from virgo_factory.distill.selection_card import SelectionCard, told_level, write_card
from virgo_factory.distill.store import ROLLOUTS, lock
from virgo_factory.distill.verdicts import DIFFICULTIES, difficulty_of, judge_rollouts, question_file
from virgo_factory.example import IMAGE, Example
from virgo_factory.recipes import merge_entries, read_text, replace_file
from virgo_factory.thought import LongThought


SEQUENCE = 5
"""Words of the sequences by which responses are compared."""
UNDECIDED = DIFFICULTIES.index("undecided")


def select(
    folder: Path,
    config: DistillConfig,
    out: Path | None = None,
    command: str = "",
    overwrite: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> SelectionCard:
    """Write the chosen rollouts as rows of the normal form, with a card and an entry in dataset_info.json.

    Every sample that is asked for must have been judged before (verdicts.judge_rollouts); those without a verdict count
    as missing. Memory holds numbers only, some hundred bytes a rollout.

    Args:
        folder: of the distillation.
        config: whose selection keys, `dataset` and `dataset_dir` are used.
        out: .jsonl or .parquet; `selected.jsonl` in the folder by default.
        command: the command line, for the card.
        overwrite: replace the file, and an entry of that name which names another file.
        progress: called with the bytes of rollouts read, and of all.

    Raises:
        ValueError: the output or the entry is in the way, a file is broken, no row is left (the message counts why), or
            the folder's rollouts cannot give such a selection.
    """
    out = out or folder / "selected.jsonl"
    check_targets([out], [], overwrite)
    entry = {"file_name": file_name(out, config.dataset_dir), "formatting": "long_thought"}
    _check_entry(config, entry, overwrite)
    file = question_file(folder)
    questions, correct, outcomes = count_verdicts(folder, config, count_questions(file))
    if config.difficulty == "random" and questions.solved.any():
        raise ValueError(
            f"{folder}: difficulty random takes questions whether or not the base model solves them, but the "
            f"{int(questions.solved.sum()):,} that it solved have no rollouts. Distil without base_model_name_or_path."
        )

    rollouts = shards_of(folder, ROLLOUTS)
    candidates, found = find_candidates(rollouts, config, questions, correct, progress)
    levels = _levels(questions, config)
    reasons, words = _fates(questions, candidates, levels, config)
    kept = np.flatnonzero(reasons == 0)
    if not len(kept):
        counts = Counter(words[code] for code in reasons)
        told = "".join(f"\n  {count:,} {reason}" for reason, count in counts.most_common())
        raise ValueError(f"{folder}: none of {len(questions):,} questions is kept; nothing was written.{told}")

    fewer = kept[questions.counts[kept].sum(axis=1) < config.samples]
    repeating = Counter()
    with (
        Lines(rollouts) as lines,
        spooled(out, _rows(file, kept, candidates, lines, levels, config, repeating)) as spool,
        published([out]),
    ):
        written = write_spool(spool, out)
        card = SelectionCard(
            command=command,
            config=config,
            output={"file": out.name, "rows": written.rows, "bytes": written.bytes, "sha256": written.sha256},
            entry={config.dataset: entry},
            media_dir=str(file.parent),
            questions=len(questions),
            kept=len(kept),
            dropped=_count(reasons, words),
            rollouts=found,
            outcomes=outcomes,
            malformed=dict(candidates.malformed.most_common()),
            candidates=len(candidates.question),
            candidates_kept=int(np.isin(candidates.question, kept).sum()),
            levels=_by_level(questions, levels, kept),
            sources=_by_source(questions, levels, kept, config),
            fewer=len(fewer),
            repeating=repeating.total(),
        )
        write_card(out, card)

    _write_entry(config, entry)
    return card


def choose(
    folder: Path,
    overrides: Sequence[str] = (),
    out: Path | None = None,
    command: str = "",
    overwrite: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> SelectionCard:
    """Judge what a folder's rollouts still lack, then `select` from them.

    Where a run writes to the folder, which judges by itself, only the verdicts that are there count.

    Args:
        folder: of the distillation.
        overrides: `key=value` of selection keys, `dataset` or `dataset_dir`.
        out: `selected.jsonl` in the folder by default, NAME.jsonl for another `dataset` than the configuration's.
        command: see `select`.
        overwrite: see `select`.
        progress: see `select`.

    Raises:
        ValueError: see `select`; or an override of another key.
    """
    free = {*BLOCKS["selection"], "dataset", "dataset_dir"}
    if wrong := [key for key, *_ in (override.split("=") for override in overrides) if key not in free]:
        raise ValueError(f"{', '.join(wrong)}: not a key of the selection; these are {', '.join(sorted(free))}.")

    before = read_folder(folder)
    config = read_config(folder / CONFIG, overrides, files=False).model_copy(update={"output_dir": folder})
    out = out or folder / ("selected.jsonl" if config.dataset == before.dataset else f"{config.dataset}.jsonl")
    check_targets([out], [], overwrite)
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(lock(folder))
        except ValueError:
            pass  # a run writes to it
        else:
            judge_rollouts(folder, len(os.sched_getaffinity(0)))

        return select(folder, config, out, command, overwrite, progress)


def training_row(question: VisualQuestion, thought: LongThought, id: str | None = None) -> Example:
    """Return what is trained on: the question as it was asked, without the prefix that the recipe adds, and the thought."""
    gold = question.gold
    return Example(
        id=id or question.id,
        question=IMAGE * len(question.images) + asked_text(question),  # as `make_prompt` puts it
        response=thought,
        images=question.images,
        answer=gold if isinstance(gold, str) else json.dumps(gold, ensure_ascii=False),
        source=question.source,
    )


def most_diverse(responses: Sequence[str], count: int) -> list[int]:
    """Return the positions of `count` responses that have little in common, in the order in which they were taken.

    The first is taken, then again and again the one whose largest overlap with those taken is smallest, of equal ones the
    first. Overlap: shared sequences of five words over all of both (Jaccard). OpenMMReasoner keeps up to eight correct
    traces of a question as they come, without looking at diversity; this is our choice.

    >>> most_diverse(["a b c d e f", "a b c d e f g", "v w x y z"], 2)
    [0, 2]
    """
    grams = [_grams(response) for response in responses]
    taken = [0]
    nearest = np.zeros(len(responses))
    while len(taken) < min(count, len(responses)):
        nearest = np.maximum(nearest, [_overlap(grams[taken[-1]], other) for other in grams])
        nearest[taken] = np.inf
        taken.append(int(nearest.argmin()))

    return taken


def _grams(response: str) -> np.ndarray:
    words = word_hashes(response.casefold().split())
    return np.unique(sequence_hashes(words, min(SEQUENCE, max(1, len(words)))))


def _overlap(first: np.ndarray, second: np.ndarray) -> float:
    shared = len(np.intersect1d(first, second, assume_unique=True))
    return shared / max(1, len(first) + len(second) - shared)


def _levels(questions: Questions, config: DistillConfig) -> np.ndarray:
    """Return the difficulty of each question as its place in DIFFICULTIES."""
    correct = questions.counts[:, 0].astype(int)
    wrong = questions.counts.sum(axis=1, dtype=int) - correct - questions.counts[:, OUTCOMES.index("unverifiable")]
    cases = np.stack([correct, wrong, questions.solved.astype(int)], axis=1)
    different, which = np.unique(cases, axis=0, return_inverse=True)
    levels = [
        DIFFICULTIES.index(difficulty_of(int(right), int(bad), config.samples, bool(solved)))
        for right, bad, solved in different
    ]
    return np.array(levels, np.uint8)[which.reshape(-1)]


def _fates(
    questions: Questions, candidates: Candidates, levels: np.ndarray, config: DistillConfig
) -> tuple[np.ndarray, list[str]]:
    """Return for each question a code, 0 for kept, and the words of the codes."""
    words = ["kept"]
    fates = np.zeros(len(questions), np.int16)

    def drop(mask: np.ndarray, reason: str) -> None:
        chosen = mask & (fates == 0)
        if chosen.any():
            if reason not in words:
                words.append(reason)

            fates[chosen] = words.index(reason)

    finished = questions.counts.sum(axis=1)
    drop(questions.unaskable & (finished == 0), "could not be asked")
    drop(questions.solved, "easy (solved by the base model)")
    drop(finished == 0, "no rollout was judged")
    if config.difficulty in ("medium", "hard"):
        drop(levels == UNDECIDED, "undecided (rollouts are missing or unverifiable)")
        for name in DIFFICULTIES:
            if name != config.difficulty:
                drop(levels == DIFFICULTIES.index(name), f"{name} ({told_level(name, config.samples)})")

    drop(questions.counts[:, 0] == 0, "no correct response")
    has = np.zeros(len(questions), bool)
    has[candidates.question] = True
    for code, reason in [*enumerate(candidates.reasons), (SEVERAL, "for several reasons")]:
        drop(~has & (candidates.why == code), f"no correct response is well formed: {reason}")

    drop(~has, "a correct response has a verdict, but is no longer there")
    order = seeded_order(questions.hashes, np.zeros(len(questions)), config.seed)
    rank = np.empty(len(questions), np.int64)
    rank[order] = np.arange(len(order))
    if config.source_quota:
        for code, name in enumerate(questions.sources):
            if (wanted := config.sources.get(name)) is not None:
                left = np.flatnonzero((fates == 0) & (questions.source == code))
                beyond = np.zeros(len(questions), bool)
                beyond[left[np.argsort(rank[left])][wanted:]] = True
                drop(beyond, "beyond the number asked of its source")

    if config.max_binary_share is not None and config.max_binary_share < 1:
        binary = np.flatnonzero((fates == 0) & questions.binary)
        others = int(((fates == 0) & ~questions.binary).sum())
        share = config.max_binary_share
        most = int(others * share / (1 - share) + 1e-9)
        beyond = np.zeros(len(questions), bool)
        beyond[binary[np.argsort(rank[binary])][most:]] = True
        drop(beyond, "beyond the share of yes/no questions (max_binary_share)")

    return fates, words


def _rows(
    file: Path,
    kept: np.ndarray,
    candidates: Candidates,
    lines: Lines,
    levels: np.ndarray,
    config: DistillConfig,
    repeating: Counter,
) -> Iterator[dict[str, Any]]:
    """Yield the rows; those that say the same again and again are counted by source in `repeating`."""
    is_kept = np.zeros(len(levels), bool)
    is_kept[kept] = True
    for place, question in enumerate(read_questions(file)):
        if not is_kept[place]:
            continue

        there = range(len(candidates.question))[candidates.of(place)]
        if config.responses == "shortest":
            there = there[:1]

        responses: dict[int, str] = {}
        for at in there:
            response = lines.read(int(candidates.file[at]), int(candidates.start[at]))["response"]
            if response not in responses.values():  # the same words twice would only weigh more
                responses[at] = response

        if config.responses == "diverse":
            chosen = [list(responses)[at] for at in most_diverse(list(responses.values()), config.diverse)]
            responses = {at: responses[at] for at in chosen}

        for at in sorted(responses, key=lambda at: candidates.sample[at]):
            id = question.id if config.responses == "shortest" else f"{question.id}-{candidates.sample[at]}"
            thought = long_thought_of(responses[at], config.response_format)
            if find_loop(thought.thought):
                repeating[question.source] += 1

            yield normal_row(
                check_example(training_row(question, thought, id)), difficulty=DIFFICULTIES[levels[place]]
            )


def _count(fates: np.ndarray, words: Sequence[str]) -> dict[str, int]:
    counts = np.bincount(fates, minlength=len(words))
    return {words[code]: int(counts[code]) for code in range(1, len(words))}


def _by_level(questions: Questions, levels: np.ndarray, kept: np.ndarray) -> dict[str, dict[str, int]]:
    """Return level -> questions, of them yes/no, kept, of them yes/no."""
    is_kept = np.zeros(len(questions), bool)
    is_kept[kept] = True
    found = {}
    for code, name in enumerate(DIFFICULTIES):
        there = levels == code
        if there.any():
            found[name] = {
                "questions": int(there.sum()),
                "binary": int((there & questions.binary).sum()),
                "kept": int((there & is_kept).sum()),
                "binary_kept": int((there & is_kept & questions.binary).sum()),
            }

    return found


def _by_source(
    questions: Questions, levels: np.ndarray, kept: np.ndarray, config: DistillConfig
) -> dict[str, dict[str, int | None]]:
    """Return source -> questions of each level, kept, and how many were wanted."""
    is_kept = np.zeros(len(questions), bool)
    is_kept[kept] = True
    found = {}
    for code, name in enumerate(questions.sources):
        there = questions.source == code
        numbers = np.bincount(levels[there], minlength=len(DIFFICULTIES))
        found[name] = {
            "questions": int(there.sum()),
            **{level: int(number) for level, number in zip(DIFFICULTIES, numbers, strict=True)},
            "kept": int((there & is_kept).sum()),
            "wanted": config.sources.get(name),
        }

    return found


def _check_entry(config: DistillConfig, entry: Mapping[str, Any], overwrite: bool) -> None:
    """Raise ValueError where dataset_info.json has the name for another file."""
    there = read_info(config.dataset_dir).get(config.dataset)
    if there is None or overwrite:
        return

    if not _reads_the_same(config, there, entry):
        raise ValueError(
            f"{config.dataset_dir / INFO}: {config.dataset} is there already: {json.dumps(there, ensure_ascii=False)}. "
            "Choose another name (dataset=NAME), or replace that entry with --overwrite."
        )


def _write_entry(config: DistillConfig, entry: Mapping[str, Any]) -> None:
    path = (config.dataset_dir / INFO).resolve()  # a link stays a link
    text = read_text(path) if path.exists() else "{}\n"
    there = read_info(config.dataset_dir).get(config.dataset, {})
    if not _reads_the_same(config, there, entry):
        text, _, _ = merge_entries(text, {config.dataset: dict(entry)}, force=True)
        replace_file(path, text.encode("utf-8"))


def _reads_the_same(config: DistillConfig, there: Mapping[str, Any], entry: Mapping[str, Any]) -> bool:
    names = [os.path.abspath(config.dataset_dir / str(row.get("file_name"))) for row in (there, entry)]
    return names[0] == names[1] and there.get("formatting") == entry["formatting"]
