"""DynaMath: 501 problems in ten variants each; what counts is the average, and the worst variant of each problem."""

import re

from virgo_factory.answers.options import inline_options
from virgo_factory.evaluation.benchmarks.benchmark import Benchmark, Row, picture, question_row
from virgo_factory.formats.row import RejectedRow


_VARIANT = re.compile(r"(?:variant|trial)_?(\d+)")


def ask(row: Row, file: str):
    """Yield the question of a row; its variant is in the name of its file, or of the folder in its authors' repository."""
    variant = _VARIANT.findall(file)
    if not variant:
        raise RejectedRow("its file names no variant", f"{file}; expected sample_variant1, trial1 and the like")

    kind, options = row["answer_type"], inline_options(row["question"])
    yield question_row(
        f"{row['id']}/{variant[-1]}",
        row["question"],
        row["ground_truth"] if "ground_truth" in row else row["answer"],
        [picture(row, "decoded_image", "image")],
        {
            "subject": row["subject"],
            "level": row.get("knowledge_level") or row.get("level"),
            "type": kind,
            "variant": variant[-1],
        },
        cluster=row["id"],
        options=options if kind == "multiple choice" else (),
        kind={"multiple choice": "choice", "float": "number"}.get(kind),
        tolerance=0.001 if kind == "float" else None,
        grading="letters",
    )


DYNAMATH = Benchmark(
    name="dynamath",
    title="DynaMath",
    hub="DynaMath/DynaMath_Sample",
    split=r"(?:sample_variant|trial)_?\d+",
    count=5010,
    licence="Apache-2.0",
    columns=("id", "question", "answer_type", "subject"),
    ask=ask,
    groups=("subject", "level", "type"),
    cluster="problem",
    metrics=("worst", "accuracy"),
    drawn_whole=True,
    differs="OpenMMReasoner prints the worst case.",
)
