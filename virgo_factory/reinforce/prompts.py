"""The prompts of a recipe of `stage: grpo` with their pictures, as its training reads and sees them."""

import io
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from virgo_factory.core.errors import UserError
from virgo_factory.core.example import Example
from virgo_factory.core.reinforcement import check_enough, easiest_first
from virgo_factory.data.read.images import inspect
from virgo_factory.data.read.look import as_seen, is_as_seen
from virgo_factory.data.read.media import find_image
from virgo_factory.data.read.prefix import add_prefix, read_prefix
from virgo_factory.data.read.source import Settings, Source, raw_rows
from virgo_factory.data.tokens.image_size import trained_size
from virgo_factory.data.tokens.tokens import is_known_template, system_of
from virgo_factory.formats import read_row
from virgo_factory.formats.row import RejectedRow, rendered
from virgo_factory.io.atomic import new_path


SHOWN = 20  # rows left out that an error names
ROWS = 64  # rows of a row group: pictures are held in memory that long


@dataclass(frozen=True)
class Prompt:
    """One prompt."""

    dataset: str  # its name in dataset_info.json
    example: Example  # as the row is read; its `asked` holds the gold answer
    # `role` and `content`, the recipe's prefix and system message in them, an <image> for each picture
    messages: list[dict[str, str]]
    pictures: list[bytes]  # files, as they are seen in training: upright, on white, within the recipe's pixels


@dataclass
class Prompts:
    """The prompts of some datasets, to be iterated once; then `rows` = those yielded + all of `dropped`."""

    sources: Sequence[Source]  # all of `formatting: questions`
    settings: Settings
    rows: int = 0  # read so far
    dropped: Counter[str] = field(default_factory=Counter)  # reason -> rows left out
    examples: list[str] = field(default_factory=list)  # of the first rows left out, where they stand and why

    def __iter__(self) -> Iterator[Prompt]:
        """Yield the prompts of each dataset in its order.

        UserError: a dataset of another formatting; or `malformed: error`, at the end, with the rows that are no prompts.
        """
        others = [
            f"{one.name} (formatting: {one.formatting})" for one in self.sources if one.formatting != "questions"
        ]
        if others:
            raise UserError(
                f"{', '.join(others)}: no prompts with gold answers. Set formatting: questions in its dataset_info.json."
            )

        for source in self.sources:
            for row in raw_rows(source):
                if self.settings.max_samples is not None and row.number >= self.settings.max_samples:
                    break

                self.rows += 1
                try:
                    yield self._prompt(source, row.raw, row.problem)
                except RejectedRow as error:
                    self.dropped[error.reason] += 1
                    if len(self.examples) < SHOWN:
                        self.examples.append(
                            f"{row.place}: {error.reason}" + (f", {error.detail}" if error.detail else "")
                        )

        if self.settings.malformed == "error" and self.dropped:
            told = "\n  ".join(self.examples)
            raise UserError(
                f"malformed: error, and {self.dropped.total()} of {self.rows} rows are no prompts:\n  {told}\n"
                "Repair them, or set malformed: drop."
            )

    def _prompt(self, source: Source, raw: Any, problem: str) -> Prompt:
        if problem:
            raise RejectedRow("the row cannot be read", problem)

        (example,) = read_row(raw, source.formatting, source.options).parts
        if isinstance(example, RejectedRow):
            raise example

        pictures = [_picture(image, source, self.settings) for image in example.images]
        return Prompt(source.name, example, _messages(example, self.settings), pictures)


def write_prompts(
    prompts: Prompts,
    folder: Path,
    schema: Any,
    row: Callable[[Prompt, int], dict[str, Any]],
    keys: Mapping[str, Any],
    least: int,
) -> int:
    """Write FOLDER/train.parquet and return how many prompts are in it; the folder is new or empty.

    `row` makes one of a prompt and its place. The schema is explicit: without it a column without values has no type. With
    `rl_curriculum: pass_rate` in the recipe's keys the easiest come first; then all are held in memory. UserError: there is something
    in the folder, fewer prompts than `least`, or one without a pass rate.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    if folder.exists() and any(folder.iterdir()):
        raise UserError(f"{folder}: there is something in it. Name a new folder, or empty it.")

    folder.mkdir(parents=True, exist_ok=True)
    found: Any = prompts
    if keys.get("rl_curriculum") == "pass_rate":
        found = list(prompts)
        order = easiest_first([(one.example.id, one.example.asked.get("pass_rate")) for one in found])
        found = [found[at] for at in order]

    count, waiting = 0, []
    with new_path(folder / "train.parquet") as partial, pq.ParquetWriter(partial, schema) as writer:
        for prompt in found:
            waiting.append(row(prompt, count))
            count += 1
            if len(waiting) == ROWS:
                writer.write_table(pa.Table.from_pylist(waiting, schema))
                waiting = []

        if waiting:
            writer.write_table(pa.Table.from_pylist(waiting, schema))

        if not count:
            told = "\n  ".join(prompts.examples)
            raise UserError(f"none of {prompts.rows} rows is a prompt with a gold answer:\n  {told}")

        check_enough(count, least)  # here, so that no file is left that would be in the way of the next try

    return count


def reward_file(engine: str, function: str) -> bytes:
    """Return the file by which verl, or what is made of it, gets the reward of a run."""
    told = f'"""The reward of this run: {engine} loads this file and calls `{function}` (virgo_factory/answers/engines.py)."""'
    taken = f"from virgo_factory.answers.engines import {function}"
    return f'{told}\n\n{taken}\n\n\n__all__ = ["{function}"]\n'.encode()


def _messages(example: Example, settings: Settings) -> list[dict[str, str]]:
    own = system_of(settings.template) if is_known_template(settings.template) else ""
    system = example.system or settings.default_system or own
    messages = [{"role": "system", "content": system}] if system else []
    prefix = read_prefix(settings.question_prefix)
    for turn in example.turns:
        messages.append({"role": "user", "content": add_prefix(turn.question, prefix)})
        messages.append({"role": "assistant", "content": rendered(turn.response)})

    return messages[:-1]  # the last response is what is asked for


def _picture(image: Any, source: Source, settings: Settings) -> bytes:
    """Return the file of a picture: its own where the model sees that as it is, else a PNG of what it sees."""
    facts = inspect(image, source.media_dir, settings.image_max_pixels, source.hub)
    if not facts.is_readable:
        worst = next(finding for finding in facts.findings if finding.severity == "error")
        raise RejectedRow(worst.code.replace("_", " "), worst.detail)

    found = find_image(image, str(source.media_dir), source.hub)
    content = Path(found).read_bytes() if isinstance(found, str) else found
    with Image.open(io.BytesIO(content)) as opened:
        size = trained_size(facts.width, facts.height, settings.image_min_pixels, settings.image_max_pixels)
        if is_as_seen(opened) and opened.size == size:
            return content

        seen = as_seen(opened)
        buffer = io.BytesIO()
        (seen if seen.size == size else seen.resize(size)).save(buffer, "PNG")
        return buffer.getvalue()
