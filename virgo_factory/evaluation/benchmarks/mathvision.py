"""MathVision test: 3,040 competition problems, each on one picture."""

from dataclasses import replace

from virgo_factory.answers.options import LETTERS
from virgo_factory.evaluation.benchmarks.benchmark import Benchmark, Row, listed, picture, question_row, without_places


def ask(row: Row, file: str):
    """Yield the question of a row. Options that are bare A, B, C ... are drawn in the picture, so they are not written again."""
    options = listed(row["options"])
    drawn = all(option.strip("() ") == letter for option, letter in zip(options, LETTERS, strict=False))
    yield question_row(
        row["id"],
        without_places(row["question"]),
        row["answer"],
        [picture(row, "decoded_image", "image")],
        {"level": row["level"], "subject": row["subject"]},
        options=() if drawn else options,
        kind="choice" if options else None,
        grading="mathvision",
    )


MATHVISION = Benchmark(
    name="mathvision",
    title="MathVision",
    hub="MathLLMs/MathVision",
    split="test",
    count=3040,
    licence="MIT",
    columns=("id", "question", "options", "answer", "level", "subject", "image"),
    ask=ask,
    groups=("level", "subject"),
    draw_by="level",
    differs="Virgo's text of each question is not released; it joins all boxes and asks a judge, ours are rules.",
)
TESTMINI = replace(
    MATHVISION,
    name="mathvision_testmini",
    title="MathVision testmini",
    split="testmini",
    count=304,
    differs="All its questions are in test too: nothing for choosing.",
)
