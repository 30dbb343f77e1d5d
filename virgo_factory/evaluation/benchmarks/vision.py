"""Benchmarks of seeing: MMStar, V*, CV-Bench and MMVP."""

import re

from virgo_factory.answers.options import inline_options, read_options
from virgo_factory.evaluation.benchmarks.benchmark import LETTERED, Benchmark, Row, listed, picture, question_row


_INSTRUCTION = re.compile(r"\s*Answer with the option'?s letter[^\n]*$", re.IGNORECASE)


def ask_mmstar(row: Row, file: str):
    """Yield the question of a row of MMStar, its options inside."""
    groups = {"category": row["category"], "l2_category": row["l2_category"]}
    options = inline_options(row["question"])
    image = picture(row, "image")
    yield question_row(row["index"], row["question"], row["answer"], [image], groups, options=options, **LETTERED)


def ask_vstar(row: Row, file: str):
    """Yield the question of a row of V*, without its sentence on the form of the answer."""
    text = _INSTRUCTION.sub("", row["text"])
    image, groups = picture(row, "image"), {"category": row["category"]}
    options = inline_options(text)
    yield question_row(
        f"{row['category']}/{row['question_id']}", text, row["label"], [image], groups, options=options, **LETTERED
    )


def ask_cv_bench(row: Row, file: str):
    """Yield the question of a row of CV-Bench."""
    groups = {name: row[name] for name in ("type", "task", "source")}
    options, gold = listed(row["choices"]), row["answer"].strip("() ")
    yield question_row(row["idx"], row["question"], gold, [picture(row, "image")], groups, options=options, **LETTERED)


def ask_mmvp(row: Row, file: str):
    """Yield the question of a row of MMVP; rows 1 and 2, 3 and 4 and so on are pairs."""
    number = int(row["Index"])
    options, gold = read_options(row["Options"]), row["Correct Answer"].strip("() ").upper()
    image, pair = picture(row, "image"), (number + 1) // 2
    yield question_row(number, row["Question"], gold, [image], cluster=pair, options=options, **LETTERED)


MMSTAR = Benchmark(
    name="mmstar",
    title="MMStar",
    hub="Lin-Chen/MMStar",
    split="val",
    count=1500,
    licence="none stated",
    columns=("index", "question", "image", "answer", "category", "l2_category"),
    ask=ask_mmstar,
    groups=("category", "l2_category"),
    metrics=("mean of l2 categories", "accuracy"),
    draw_by="category",
)
VSTAR = Benchmark(
    name="vstar",
    title="V*",
    hub="lmms-lab/vstar-bench",
    split="test",
    count=191,
    licence="unconfirmed",
    columns=("image", "text", "label", "category", "question_id"),
    ask=ask_vstar,
    groups=("category",),
    differs="Its pictures are large: image_max_pixels decides the score.",
)
CV_BENCH = Benchmark(
    name="cv_bench",
    title="CV-Bench",
    hub="nyu-visionx/CV-Bench",
    split="test",
    count=2638,
    licence="Apache-2.0",
    columns=("idx", "type", "task", "image", "question", "choices", "answer", "source"),
    ask=ask_cv_bench,
    groups=("type", "task", "source"),
    metrics=("mean of 2D and 3D", "accuracy"),
    draw_by="task",
    differs="Published is the mean of Omni3D and the mean of ADE20K and COCO; harnesses print the plain mean.",
)
MMVP = Benchmark(
    name="mmvp",
    title="MMVP",
    hub="lmms-lab-eval/MMVP",
    split="(?:test|train)",
    count=300,
    licence="MIT",
    columns=("Index", "Question", "Options", "Correct Answer", "image"),
    ask=ask_mmvp,
    cluster="pair",
    metrics=("pair", "accuracy"),
    drawn_whole=True,
    differs="Published is the share of pairs with both right. In the original golds 99 and 100, 279 and 280 are swapped.",
)
