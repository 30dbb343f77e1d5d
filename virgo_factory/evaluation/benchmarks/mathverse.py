"""MathVerse testmini: 788 problems in five versions, from most of it in the text to all of it in the picture."""

from virgo_factory.answers.options import inline_options
from virgo_factory.evaluation.benchmarks.benchmark import Benchmark, Row, picture, question_row


def ask(row: Row, file: str):
    """Yield the question of a row; "Vision Only" has its text in the picture, and its options are for judging only."""
    version, about = row["problem_version"].replace("_", " "), row["metadata"] or {}
    if version == "Text Only":
        return

    text = (row["question"] or "").strip()
    is_choice = row["question_type"].startswith("multi")
    hidden = inline_options(row.get("question_for_eval") or "") if is_choice and not text else ()
    yield question_row(
        row["sample_index"],
        text,
        row["answer"],
        [picture(row, "image")],
        {
            "version": version,
            **{name: about.get(name) for name in ("subject", "subfield")},
            "type": row["question_type"],
        },
        cluster=row["problem_index"],
        options=hidden,
        kind="choice" if is_choice else None,
        grading="mathverse",
    )


MATHVERSE = Benchmark(
    name="mathverse",
    title="MathVerse",
    hub="AI4Math/MathVerse",
    config="testmini",
    split="testmini",
    count=3940,
    megabytes=167,
    licence="MIT",
    columns=(
        *("sample_index", "problem_index", "problem_version", "question", "image", "answer", "question_type"),
        "metadata",
    ),
    ask=ask,
    subset="without the version Text Only",
    groups=("version", "subject", "subfield", "type"),
    cluster="problem",
    draw_by="version",
    differs="Virgo's text of each question (Vision Only, option lines) is not released; its judge is GPT-3.5, ours are rules.",
)
