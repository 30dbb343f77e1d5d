"""Which rollouts are trained on: from questions, rollouts and verdicts to rows in the normal form, each loss counted."""

import contextlib
import itertools
import json
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from virgo_factory.core.errors import UserError
from virgo_factory.core.example import Example
from virgo_factory.core.thought import LongThought
from virgo_factory.data.make.pipeline import check_targets
from virgo_factory.data.make.sampling import seeded_order
from virgo_factory.data.make.writing import normal_row, published, spooled, write_spool
from virgo_factory.data.read.source import INFO, read_info
from virgo_factory.data.rows.entry import file_name
from virgo_factory.data.rows.repetition import find_loop
from virgo_factory.distill.config import BLOCKS, SEVERAL, DistillConfig, read_folder
from virgo_factory.distill.select.diversity import Diversity, most_diverse
from virgo_factory.distill.select.selection_card import SelectionCard, told_level, write_card
from virgo_factory.formats.row import check_example
from virgo_factory.io.atomic import replace_file
from virgo_factory.io.index import Index
from virgo_factory.io.recipes import merge_entries, read_text
from virgo_factory.rollouts.judge.verdicts import judge_rollouts
from virgo_factory.rollouts.long_thoughts import long_thought_of
from virgo_factory.rollouts.prompt import asked_text
from virgo_factory.rollouts.question import VisualQuestion, question_of
from virgo_factory.rollouts.store.index import (
    OUTCOMES,
    ROLLOUTS,
    VERDICT,
    VERDICTS,
    count_cases,
    open_index,
    question_file,
    records,
    row_at,
)
from virgo_factory.rollouts.store.rollout import DIFFICULTIES
from virgo_factory.rollouts.store.store import lock


def _select(
    folder: Path,
    config: DistillConfig,
    out: Path,
    command: str,
    overwrite: bool,
    progress: Callable[[int, int], None],
) -> SelectionCard:
    """Write the chosen rollouts of those that are judged, with a card and an entry; samples without a verdict count as missing."""
    entry = {"file_name": file_name(out, config.dataset_dir), "formatting": "long_thought"}
    _check_entry(config, entry, overwrite)
    media_dir = question_file(folder).parent
    repeating, diversity = Counter(), Diversity()
    with open_index(folder, config.response_format) as index:
        dropped = index.ask(lambda index: _drop(index, folder, config), progress)
        kept, numbers = _numbers(index, config)
        index.release()  # the rows are of this moment, however long writing them takes
        if not kept:
            told = "".join(f"\n  {count:,} {reason}" for reason, count in Counter(dropped).most_common())
            raise UserError(
                f"{folder}: none of {numbers['questions']:,} questions is kept; nothing was written.{told}"
            )

        with spooled(out, _rows(index, config, media_dir, repeating, diversity)) as spool, published([out]):
            written = write_spool(spool, out)
            card = SelectionCard(
                command=command,
                config=config,
                output={"file": out.name, "rows": written.rows, "bytes": written.bytes, "sha256": written.sha256},
                entry={config.dataset: entry},
                media_dir=str(media_dir),
                kept=kept,
                dropped=dropped,
                repeating=repeating.total(),
                diversity=diversity.means(),
                **numbers,
            )
            write_card(out, card)

    _write_entry(config, entry)
    return card


def choose(
    folder: Path,
    overrides: Sequence[str] = (),
    out: Path | None = None,  # .jsonl or .parquet; `selected.jsonl` in the folder by default
    command: str = "",  # the command line, for the card
    overwrite: bool = False,  # replace the file, and an entry of that name which names another file
    # called with the bytes of rollouts read, and of all
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> SelectionCard:
    """Judge what a folder's rollouts still lack, and write those that are chosen by `key=value` of selection keys, `dataset` or `dataset_dir`.

    They are rows of the normal form, with a card and an entry in dataset_info.json.

    Where a run writes to the folder, which judges by itself, only the verdicts that are there count. `out` is NAME.jsonl for another
    `dataset` than the configuration's by default. Raises ValueError: the output or the entry is in the way, a file is broken, no row is
    left (the message counts why), the folder's rollouts cannot give such a selection, or an override is of another key.
    """
    free = {*BLOCKS["selection"], "dataset", "dataset_dir"}
    if wrong := [key for key, *_ in (override.split("=") for override in overrides) if key not in free]:
        raise UserError(f"{', '.join(wrong)}: not a key of the selection; these are {', '.join(sorted(free))}.")

    before, config = read_folder(folder), read_folder(folder, overrides)
    if config.responses not in SEVERAL and any(override.startswith("k=") for override in overrides):
        raise UserError(
            f"k={config.k}: responses: {config.responses} takes {'one' if config.responses == 'shortest' else 'all'} of a "
            f"question. Add responses: {' or '.join(SEVERAL)} (--responses)."
        )

    out = out or folder / ("selected.jsonl" if config.dataset == before.dataset else f"{config.dataset}.jsonl")
    check_targets([out], [], overwrite)
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(lock(folder))
        except ValueError:
            pass  # a run writes to it, or nobody can
        else:
            judge_rollouts(folder, len(os.sched_getaffinity(0)))

        return _select(folder, config, out, command, overwrite, progress)


def training_row(
    question: VisualQuestion, thought: LongThought, id: str | None = None, layout: str = "inline"
) -> Example:
    """Return what is trained on: the question as it was asked, without the prefix that the recipe adds, and the thought."""
    gold = question.gold
    return Example(
        id=id or question.id,
        question=asked_text(question, layout),  # as `make_prompt` puts it
        response=thought,
        images=question.images,
        answer=gold if isinstance(gold, str) else json.dumps(gold, ensure_ascii=False),
        source=question.source,
    )


def _drop(index: Index, folder: Path, config: DistillConfig) -> dict[str, int]:
    """Say in `cases` of each question its level, and why it is left out (`drop_reason`, NULL for kept); return the counts of these."""
    db, samples = index.db, config.samples
    count_cases(index, samples)
    if not db.execute("SELECT count(*) FROM cases").fetchone()[0]:
        raise UserError(f"{question_file(folder)}: no questions in the file.")

    if db.execute("SELECT 1 FROM cases GROUP BY id HAVING count(*) > 1").fetchone():
        raise UserError(
            f"{question_file(folder)}: an id stands there twice. Make the file again with virgo-factory distill questions."
        )

    ((solved,),) = db.execute("SELECT count(*) FROM cases WHERE solved")
    if config.difficulty == "random" and solved:
        raise UserError(
            f"{folder}: difficulty random takes questions whether or not the base model solves them, but the "
            f"{solved:,} that it solved have no rollouts. Distil without base_model_name_or_path."
        )

    db.execute("ALTER TABLE cases ADD COLUMN drop_reason TEXT")
    dropped: dict[str, int] = {}

    def drop(reason: str, condition: str, *values: object) -> None:
        gone = db.execute(
            f"UPDATE cases SET drop_reason = ? WHERE drop_reason IS NULL AND {condition}", (reason, *values)
        ).rowcount
        if gone:
            dropped[reason] = dropped.get(reason, 0) + gone

    drop("could not be asked", "dropped AND judged = 0")
    drop("easy (solved by the base model)", "level = 'easy'")
    drop("no rollout was judged", "judged = 0")
    if config.difficulty in ("medium", "hard"):
        drop("undecided (rollouts are missing or unverifiable)", "level = 'undecided'")
        for name in DIFFICULTIES:
            if name != config.difficulty:
                drop(f"{name} ({told_level(name, samples)})", "level = ?", name)

    drop("no correct response", "correct = 0")
    reasons = db.execute(
        "SELECT first_reason FROM cases WHERE first_reason = last_reason GROUP BY 1 ORDER BY min(place)"
    )
    for (reason,) in reasons.fetchall():
        alone = "NOT accepted AND first_reason = ? AND last_reason = first_reason"
        drop(f"no correct response is well formed: {reason}", alone, reason)

    drop("no correct response is well formed: for several reasons", "NOT accepted")

    def beyond(reason: str, condition: str, most: int, *values: object) -> None:
        """Keep so many of some questions, drawn by the seed."""
        left = db.execute(
            f"SELECT hash, rowid FROM cases WHERE drop_reason IS NULL AND {condition}", values
        ).fetchall()
        hashes, rows = np.array(left, np.int64).reshape(-1, 2).T
        order = seeded_order(hashes.astype(np.uint64), np.zeros(len(left)), config.seed)
        for row in rows[order][most:].tolist():
            drop(reason, "rowid = ?", row)

    if config.source_quota:
        for name, wanted in config.sources.items():
            beyond("beyond the number asked of its source", "source = ?", wanted, name)

    share = config.max_binary_share
    if share is not None and share < 1:
        ((others,),) = db.execute("SELECT count(*) FROM cases WHERE drop_reason IS NULL AND NOT is_binary")
        most = int(others * share / (1 - share) + 1e-9)
        beyond("beyond the share of yes/no questions (max_binary_share)", "is_binary", most)

    return dropped


def _numbers(index: Index, config: DistillConfig) -> tuple[int, dict[str, Any]]:
    """Return how many questions are kept, and the counts of the card; the candidates stand in `candidates` afterwards."""
    db, samples = index.db, config.samples
    db.execute(
        f"CREATE TEMP TABLE candidates AS SELECT cases.place AS question, level, rollouts.place AS place, sample, response, "
        f"(SELECT v.place {VERDICT}) AS verdict FROM cases JOIN rollouts ON question = id AND sample BETWEEN 0 AND {samples - 1} WHERE drop_reason IS NULL AND outcome = 'correct' AND reason IS NULL "
        "AND NOT again ORDER BY cases.place, length, sample"
    )

    def one(select: str) -> dict[str, Any]:
        return records(index, f"SELECT {select} FROM cases")[0]

    kept = "sum(drop_reason IS NULL) AS kept"
    found = one(
        "sum(base) AS base, sum(samples) AS samples, (SELECT count(*) FROM rollouts WHERE NOT again) - sum(base) - sum(samples) AS "
        f"stray, (SELECT count(*) FROM rollouts WHERE sample >= {samples} AND NOT again AND question IN (SELECT id FROM cases)) "
        "AS beyond, (SELECT count(*) FROM rollouts WHERE again) AS twice"
    )
    found["stray"] -= found["beyond"]
    levels = records(
        index,
        f"SELECT level, count(*) AS questions, sum(is_binary) AS binary, {kept}, sum(drop_reason IS NULL AND is_binary) AS binary_kept "
        "FROM cases GROUP BY level",
    )
    by_level = ", ".join(f"sum(level = '{name}') AS {name}" for name in DIFFICULTIES)
    sources = records(
        index, f"SELECT source, count(*) AS questions, {by_level}, {kept} FROM cases GROUP BY 1 ORDER BY min(place)"
    )
    malformed = db.execute(
        f"SELECT reason, count(*) FROM rollouts WHERE sample BETWEEN 0 AND {samples - 1} AND outcome = 'correct' AND reason IS NOT "
        "NULL AND NOT again AND question IN (SELECT id FROM cases) GROUP BY 1 ORDER BY 2 DESC, min(place)"
    )
    by_level = {row.pop("level"): row for row in levels}
    return one(kept)["kept"], {
        **one(
            f"count(*) AS questions, sum(accepted) AS candidates, sum(drop_reason IS NULL AND judged < {samples}) AS fewer"
        ),
        "rollouts": {kind: count for kind, count in found.items() if count},
        "outcomes": one(", ".join(f"sum({name}) AS {name}" for name in OUTCOMES)),
        "malformed": dict(malformed.fetchall()),
        "candidates_kept": db.execute("SELECT count(*) FROM candidates").fetchone()[0],
        "wordings": db.execute("SELECT count(*) FROM (SELECT DISTINCT question, response FROM candidates)").fetchone()[
            0
        ],
        "levels": {name: by_level[name] for name in DIFFICULTIES if name in by_level},
        "sources": {(name := row.pop("source")): {**row, "wanted": config.sources.get(name)} for row in sources},
    }


def _rows(
    index: Index, config: DistillConfig, media_dir: Path, repeating: Counter, diversity: Diversity
) -> Iterator[dict[str, Any]]:
    """Yield the rows; those that say the same again and again are counted by source in `repeating`.

    A question of which several may be taken gives rows whose ids name it and the sample, so that x1 is inside of x2, x4 and x8
    whatever else is taken; what the verdicts read as their answers is counted in `diversity` with them.
    """
    order = "question, sample" if config.responses == "first" else "rowid"
    candidates = index.db.execute(f"SELECT question, level, place, sample, verdict FROM candidates ORDER BY {order}")
    for (place, level), group in itertools.groupby(candidates, key=lambda row: row[:2]):
        question = question_of(row_at(index, "questions", place))
        if gone := [path for path in question.images if not (media_dir / path).is_file()]:
            raise UserError(f"{media_dir / gone[0]}: no such picture (of question {question.id}). Put it back.")

        there = itertools.islice(group, 1) if config.responses == "shortest" else group
        responses: dict[int, str] = {}
        verdicts: dict[int, int] = {}
        for _, _, at, sample, verdict in there:
            response = row_at(index, ROLLOUTS, at)["response"]
            if response not in responses.values():  # the same words twice would only weigh more
                responses[sample], verdicts[sample] = response, verdict

            if config.responses == "first" and len(responses) == config.k:
                break

        if config.responses == "diverse":
            chosen = [list(responses)[at] for at in most_diverse(list(responses.values()), config.k)]
            responses = {sample: responses[sample] for sample in chosen}

        several = config.responses != "shortest"
        if several and len(responses) > 1:
            answers = [row_at(index, VERDICTS, verdicts[sample])["answer"] for sample in responses]
            diversity.add(list(responses.values()), answers)

        for sample in sorted(responses):
            id = f"{question.id}#{sample}" if several else question.id
            thought = long_thought_of(responses[sample], config.response_format)
            if find_loop(thought.thought):
                repeating[question.source] += 1

            row = check_example(training_row(question, thought, id, config.layout))
            yield normal_row(row, difficulty=level, question_id=question.id if several else None)


def _check_entry(config: DistillConfig, entry: Mapping[str, Any], overwrite: bool) -> None:
    """Raise ValueError where dataset_info.json has the name for another file."""
    there = read_info(config.dataset_dir).get(config.dataset)
    if there is None or overwrite:
        return

    if not _reads_the_same(config, there, entry):
        raise UserError(
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
