"""Benchmarks without pictures: AIME 2024 and 2025, GPQA-Diamond, MMLU-Pro."""

import hashlib
import random
from dataclasses import replace

from virgo_factory.evaluation.benchmarks.benchmark import LETTERED, Benchmark, Row, listed, question_row


def ask_aime(row: Row, file: str):
    """Yield the problem of a row; answers are whole numbers from 0 to 999."""
    number = row.get("id", row.get("problem_number", row.get("ID")))
    id = hashlib.sha256(row["problem"].encode()).hexdigest()[:12] if number is None else number
    yield question_row(id, row["problem"], str(row["answer"]), kind="number")


def ask_gpqa(row: Row, file: str):
    """Yield the question of a row, its four options in an order that depends on the question alone."""
    text = row["Question"].strip()
    digest = hashlib.sha256(text.encode()).hexdigest()
    right = row["Correct Answer"].strip()
    options = [right, *(row[f"Incorrect Answer {number}"].strip() for number in (1, 2, 3))]
    random.Random(digest).shuffle(options)
    groups = {"domain": row.get("High-level domain")}
    gold = "ABCD"[options.index(right)]
    yield question_row(
        row.get("Record ID") or digest[:12], text, gold, groups=groups, options=tuple(options), **LETTERED
    )


def ask_mmlu_pro(row: Row, file: str):
    """Yield the question of a row; it has up to ten options."""
    options, groups = listed(row["options"]), {"category": row["category"]}
    yield question_row(row["question_id"], row["question"], row["answer"], groups=groups, options=options, **LETTERED)


AIME24 = Benchmark(
    name="aime24",
    title="AIME24",
    hub="simplescaling/aime24_nofigures",
    split="train",
    count=30,
    licence="unconfirmed",
    columns=("problem", "answer"),
    ask=ask_aime,
    metrics=("accuracy", "majority", "pass"),
    samples=8,
    temperature=1.0,
)
AIME25 = replace(AIME24, name="aime25", title="AIME25", hub="simplescaling/aime25_nofigures")
GPQA_DIAMOND = Benchmark(
    name="gpqa_diamond",
    title="GPQA-Diamond",
    hub="Idavidrein/gpqa",
    config="gpqa_diamond",
    split="train",
    count=198,
    licence="CC BY 4.0; asks not to publish items in clear",
    columns=("Question", "Correct Answer", "Incorrect Answer 1", "Incorrect Answer 2", "Incorrect Answer 3"),
    ask=ask_gpqa,
    groups=("domain",),
    differs="The order of the options is ours.",
)
MMLU_PRO = Benchmark(
    name="mmlu_pro",
    title="MMLU-Pro",
    hub="TIGER-Lab/MMLU-Pro",
    split="test",
    count=12032,
    licence="MIT (unconfirmed)",
    columns=("question_id", "question", "options", "answer", "category"),
    ask=ask_mmlu_pro,
    groups=("category",),
    draw_by="category",
)
