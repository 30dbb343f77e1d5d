"""LongPerceptualThoughts' raw stage files, put through our readers and filters: what passes each of its filters, and what of ours.

python benchmarks/synthesis_replay.py FOLDER

FOLDER is its `outputs` (`data_gen/example_outputs` of its repository): docci_mcq.csv, stage_2_simple_cot/intermediate_df/MODEL.jsonl and
stage_3_expand_cot/intermediate_df/MODEL/MODEL/CUE.jsonl. Nobody is asked. A line for each file; short thoughts are held against no words.
"""

import argparse
import csv
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from virgo_factory.answers.options import inline_options
from virgo_factory.core.errors import UserError
from virgo_factory.synthesis.thoughts.expanding import FORBIDDEN, expansions_of
from virgo_factory.synthesis.thoughts.reading import THINK
from virgo_factory.synthesis.thoughts.short import shorts_of
from virgo_factory.synthesis.thoughts.steps import Steps
from virgo_factory.synthesis.words import LETTERS, Ask, Question, Reply, Thought


LISTED, TURN_ENDS = "Select from the following choices.\n", re.compile(r"<\|im_end\|>|<｜Assistant｜>")


def rows_of(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the lines of a raw file and their numbers."""
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            yield number, json.loads(line)


def question_of(row: Mapping[str, Any], mcqs: Mapping[str, Mapping[str, str]]) -> Question:
    """Return the question of a raw line: its options in the order in which they were shown, with those letters."""
    id = row["metadata"]["metadata"]["mcq_unique_id"]
    if id not in mcqs:
        raise UserError(f"question {id} is not in docci_mcq.csv")

    mcq = mcqs[id]
    options = inline_options(TURN_ENDS.split(row["prompt"].rpartition(LISTED)[2])[0])
    if len(options) != len(LETTERS) or options.count(mcq["mcq_answer"]) != 1:
        raise UserError(f"question {id}: its answer {mcq['mcq_answer']!r} is not one of four options: {options}")

    return Question(id, mcq["image_id"], mcq["mcq_question"], options, LETTERS[options.index(mcq["mcq_answer"])])


def replies_of(responses: list[str]) -> list[Reply]:
    """Return responses as replies; how they ended is not recorded."""
    known = {"key": "", "of": "", "mode": "", "model": "", "prompt_tokens": 0, "completion_tokens": 0}
    known |= {"finish_reason": "stop", "seconds": 0.0, "seed": 0, "prompt_sha256": ""}
    return [Reply(sample=number, response=text, **known) for number, text in enumerate(responses)]


def expanded(row: Mapping[str, Any], cue: str, number: int) -> tuple[Thought, Ask, list[Reply]]:
    """Return a short thought, what was asked with it, and the replies: raw responses begin with what was planted."""
    planted = re.match(rf"\.?[\n ]{re.escape(cue)}", row["predict"][0])
    if not planted or not all(text.startswith(planted.group()) for text in row["predict"]):
        raise UserError(f"its responses do not begin with the cue {cue!r} of the file's name")

    begin = row["simple_cot"].removeprefix(THINK).strip()
    short = Thought(f"s{number}", "", begin, "", False)
    about = {"cue": cue, "prefix_end": len(begin), "cue_end": len(begin) + planted.end()}
    replies = replies_of([text[planted.end() :] for text in row["predict"]])
    return short, Ask(short.id, "", prefill=f"{THINK}{begin}{planted.group()}", about=about), replies


def replay(path: Path, mcqs: Mapping[str, Mapping[str, str]], cue: str | None) -> Steps:
    """Return the counts of a raw file.

    Args:
        path: of it.
        mcqs: lines of docci_mcq.csv, by the id of their question.
        cue: that its expansions begin with; None for a file of short thoughts.

    Raises:
        ValueError: with file and line: it is no such file.
    """
    steps = Steps(FORBIDDEN if cue else ())
    for number, row in rows_of(path):
        try:
            question = question_of(row, mcqs)
            if cue:
                short, ask, replies = expanded(row, cue, number)
                found = expansions_of(question, short, ask, replies)
            else:
                replies = replies_of([text.lstrip().removeprefix(THINK) for text in row["predict"]])
                found = shorts_of(question, replies)
        except (UserError, KeyError, TypeError, IndexError) as error:
            raise UserError(f"{path}:{number}: {error if isinstance(error, UserError) else repr(error)}") from None

        for reply, one in zip(replies, found, strict=True):
            steps.add(reply.response, one)

    return steps


def main() -> None:
    """Print a line for each file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    csv.field_size_limit(1 << 30)
    with (folder / "docci_mcq.csv").open(encoding="utf-8", newline="") as file:
        mcqs = {row["mcq_unique_id"]: row for row in csv.DictReader(file)}

    shorts = sorted(folder.glob("stage_2_simple_cot/intermediate_df/*.jsonl"))
    longs = sorted(folder.glob("stage_3_expand_cot/intermediate_df/*/*/*.jsonl"))
    for path in (*shorts, *longs):
        steps = replay(path, mcqs, path.stem if path in longs else None)
        print(f"{path.relative_to(folder)}: {steps.told()}")


if __name__ == "__main__":
    main()
