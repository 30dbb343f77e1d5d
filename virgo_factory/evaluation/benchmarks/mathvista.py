"""MathVista testmini: 1,000 questions on pictures of many kinds; numbers are compared at the decimals that a row names."""

from virgo_factory.evaluation.benchmarks.benchmark import Benchmark, Row, listed, picture, question_row


def ask(row: Row, file: str):
    """Yield the question of a row; the gold of a choice question is an option's text."""
    options, about = listed(row["choices"]), row["metadata"] or {}
    is_float = row["answer_type"] == "float" and row["precision"]
    yield question_row(
        row["pid"],
        row["question"],
        row["answer"],
        [picture(row, "decoded_image", "image")],
        {name: about.get(name) for name in ("task", "grade", "source")} | {"type": row["question_type"]},
        options=options,
        kind="choice" if options else {"integer": "number", "float": "number"}.get(row["answer_type"]),
        unit=row["unit"],
        precision=int(row["precision"]) if is_float else None,
        grading="mathvista",
    )


MATHVISTA = Benchmark(
    name="mathvista",
    title="MathVista",
    hub="AI4Math/MathVista",
    split="testmini",
    count=1000,
    licence="CC BY-SA 4.0",
    columns=(
        *("pid", "question", "image", "choices", "unit", "precision", "answer", "question_type", "answer_type"),
        "metadata",
    ),
    ask=ask,
    groups=("task", "grade", "source", "type"),
    draw_by="task",
    differs="OpenMMReasoner scores with its reward and a judge, ours are rules.",
)
