"""LogicVista: 447 puzzles with their options in the picture; the one without a gold answer (v1_382) is left out."""

from pathlib import PurePosixPath

from virgo_factory.evaluation.benchmarks.benchmark import Benchmark, Row, picture, question_row


def ask(row: Row, file: str):
    """Yield the question of a row; golds are letters, three of them two."""
    skills = row["skill"] if isinstance(row["skill"], list | tuple) else [row["skill"]]
    gold = row["answer"]
    is_choice = str(gold or "").replace(",", "").replace(" ", "").isalpha()
    yield question_row(
        row.get("id") or PurePosixPath(str(row["imagename"])).stem,
        row["question"],
        gold,
        [picture(row, "image", "imagename")],
        {"skill": ", ".join(map(str, skills))},
        kind="choice" if is_choice else None,
        several="," in str(gold) or None,
    )


LOGICVISTA = Benchmark(
    name="logicvista",
    title="LogicVista",
    hub="lscpku/LogicVista",
    split="(?:test|dataset)",
    count=447,
    licence="Apache-2.0 (repository)",
    columns=("imagename", "question", "answer", "skill"),
    ask=ask,
    subset="without v1_382, which has no gold answer",
    groups=("skill",),
    draw_by="skill",
    differs="Its authors and VLMEvalKit use a judge.",
)
