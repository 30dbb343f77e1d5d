"""What a synthesis gives to training: files by the stage of their questions, entries in dataset_info.json, prompts for RL."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from virgo_factory.core.errors import UserError
from virgo_factory.data.read.source import INFO, read_info
from virgo_factory.data.rows.entry import file_name, write_entry
from virgo_factory.formats.row import RejectedRow
from virgo_factory.io.atomic import new_file
from virgo_factory.io.index import read_object
from virgo_factory.rollouts.question import VisualQuestion, check_texts, write_question
from virgo_factory.synthesis.words import Dropped, Question, Scene


SFT, DPO, RL = "sft", "dpo", "rl"
STAGES = (1, 2)


def entry_for(path: Path, dataset_dir: Path, kind: str) -> dict[str, Any]:
    """Return the entry of dataset_info.json for a file of rows.

    Args:
        path: of the file.
        dataset_dir: folder of dataset_info.json.
        kind: SFT, DPO or RL.
    """
    entry: dict[str, Any] = {"file_name": file_name(path, dataset_dir)}
    if kind == RL:
        return entry | {"formatting": "questions"}

    return entry | {"formatting": "long_thought"} | ({"ranking": True} if kind == DPO else {})


def split_by_stage(path: Path) -> dict[int, Path]:
    """Write the rows of a file of pairs into one file beside it for each stage of questions, and return those that have rows.

    Args:
        path: of rows with a column `stage`; `09_dpo.jsonl` gives `09_dpo_stage1.jsonl` and `09_dpo_stage2.jsonl`.

    Raises:
        ValueError: with file and line: a row without it.
    """
    paths = {stage: path.with_name(f"{path.stem}_stage{stage}{path.suffix}") for stage in STAGES}
    counts: Counter[int] = Counter()
    with ExitStack() as stack, path.open("rb") as rows:
        files = {stage: stack.enter_context(new_file(one, "wb")) for stage, one in paths.items()}
        for number, line in enumerate(rows, start=1):
            try:
                stage = read_object(line).get("stage")
            except ValueError as error:
                raise UserError(f"{path}:{number}: {error}. Remove the file: it is made again.") from None

            if stage not in files:
                raise UserError(f"{path}:{number}: no stage 1 or 2. Remove the file: it is made again.")

            files[stage].write(line)
            counts[stage] += 1

    for stage, one in paths.items():
        if not counts[stage]:
            one.unlink()

    return {stage: paths[stage] for stage in STAGES if counts[stage]}


def write_entries(dataset_dir: Path, entries: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Put entries into dataset_info.json and return the names of those that were not there.

    One that is there may say more of the same rows, such as what makes them.

    Raises:
        ValueError: a name is taken by another entry; nothing is written.
    """
    written = new_entries(dataset_dir, entries)
    for name in written:
        write_entry(dataset_dir, name, entries[name])

    return written


def new_entries(dataset_dir: Path, entries: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return the names of those that are not in dataset_info.json.

    Raises:
        ValueError: a name is taken by another entry.
    """
    known, new = read_info(dataset_dir) if (dataset_dir / INFO).exists() else {}, []
    for name, entry in entries.items():
        if (there := known.get(name)) is None:
            new.append(name)
        elif {key: there.get(key) for key in entry} != entry:
            raise UserError(
                f"{dataset_dir / INFO}: {name} is there already: {json.dumps(there, ensure_ascii=False)}. Choose another "
                "one (dataset=NAME behind the command, or in the configuration), or remove that entry first."
            )

    return new


def rl_questions(pairs: Iterable[tuple[Question, Scene]], source: str) -> Iterator[str | Dropped]:
    """Yield a line of `rl_questions.jsonl` for each question, which `formatting: questions` reads.

    `reinforce export --verl` makes verl's Parquet of them, as of any prompts.

    Args:
        pairs: questions and their scenes.
        source: name of the synthesis.
    """
    for question, scene in pairs:
        found = VisualQuestion(
            id=question.id,
            source=source,
            images=(scene.image,),
            image_sha256=(scene.image_sha256,),
            question=question.question,
            gold=question.answer,
            options=question.options,
            kind="choice",
            groups={"stage": str(question.stage), "kind": question.kind, "difficulty": question.difficulty},
            cluster=scene.id,
            origin=scene.origin,
        )
        try:
            check_texts(found)
        except RejectedRow as error:
            yield Dropped(question.id, error.reason, error.detail)
            continue

        yield write_question(found)
