"""We-Math testmini: 525 composite problems, each with the steps that it is made of: 1,740 questions."""

from virgo_factory.answers.options import inline_options
from virgo_factory.evaluation.benchmarks.benchmark import LETTERED, Benchmark, Row, picture, question_row
from virgo_factory.formats.row import RejectedRow


def ask(row: Row, file: str):
    """Yield the question of a row; ids are shared by a composite and its steps, those of two and of three steps apart."""
    steps, _, step = row["key"].partition("steps_")
    options = inline_options("\n" + str(row["option"]).replace(";", "\n"))
    if not options or not step:
        raise RejectedRow("options or key are of another form", f"{row['option']!r:.80}, {row['key']!r:.40}")

    yield question_row(
        f"{row['ID']}/{row['key']}",
        row["question"],
        row["answer"],
        [picture(row, "image", "image_path")],
        {"steps": steps, "step": step},
        cluster=f"{row['ID']}/{steps}",
        options=options,
        **LETTERED,
    )


WE_MATH = Benchmark(
    name="we_math",
    title="We-Math",
    hub="We-Math/We-Math",
    split="testmini",
    count=1740,
    licence="CC BY-NC 4.0",
    columns=("ID", "question", "option", "answer", "key"),
    ask=ask,
    groups=("steps", "step"),
    cluster="composite problem",
    metrics=("loose", "strict", "accuracy"),
    drawn_whole=True,
    draw_by="",
    differs="OpenMMReasoner prints the loose score.",
)
