"""MMMU validation and MMMU-Pro: college questions whose pictures stand inside the text and the options."""

import re
from dataclasses import replace

from virgo_factory.answers.options import list_in_string
from virgo_factory.evaluation.benchmarks.benchmark import (
    Benchmark,
    Row,
    inline_parts,
    listed,
    picture,
    pictures,
    question_row,
)


_SUBJECT = re.compile(r"(?:dev|validation|test)_(.+)_\d+")
DISCIPLINES = {
    "Art and Design": ("Art", "Art_Theory", "Design", "Music"),
    "Business": ("Accounting", "Economics", "Finance", "Manage", "Marketing"),
    "Science": ("Biology", "Chemistry", "Geography", "Math", "Physics"),
    "Health and Medicine": (
        "Basic_Medical_Science", "Clinical_Medicine", "Diagnostics_and_Laboratory_Medicine", "Pharmacy", "Public_Health",
    ),
    "Humanities and Social Science": ("History", "Literature", "Psychology", "Sociology"),
    "Tech and Engineering": (
        "Agriculture", "Architecture_and_Engineering", "Computer_Science", "Electronics", "Energy_and_Power", "Materials",
        "Mechanical_Engineering",
    ),
}  # fmt: skip
_DISCIPLINE = {subject: discipline for discipline, subjects in DISCIPLINES.items() for subject in subjects}
_GROUPS = ("topic_difficulty", "discipline", "subject", "img_type", "subfield", "type")


def _groups(row: Row) -> dict:
    subject = _SUBJECT.fullmatch(str(row["id"]))
    subject = subject[1] if subject else row.get("subject")
    kinds = list_in_string(row["img_type"]) if isinstance(row.get("img_type"), str) else None
    return {
        "topic_difficulty": row.get("topic_difficulty"),
        "discipline": _DISCIPLINE.get(subject),
        "subject": subject,
        "img_type": ", ".join(map(str, kinds)) if kinds else row.get("img_type"),
        "subfield": row.get("subfield"),
        "type": row.get("question_type"),
    }


def ask(row: Row, file: str):
    """Yield the question of a row, pictures where the text names them; any gold of a list counts."""
    options = listed(row["options"])
    parts, images = inline_parts(row["question"], options, pictures(row, "image", 7))
    golds = list_in_string(row["answer"]) if not options else None
    yield question_row(
        row["id"],
        row["question"],
        golds or row["answer"],
        images,
        _groups(row),
        options=options,
        kind="choice" if options else None,
        grading="mmmu",
        parts=parts if images else None,
    )


def ask_in_picture(row: Row, file: str):
    """Yield the question of a row that has question and options in its picture."""
    options = listed(row["options"])
    images = [picture(row, "image")]
    groups = _groups(row)
    yield question_row(row["id"], "", row["answer"], images, groups, options=options, kind="choice", grading="mmmu")


MMMU = Benchmark(
    name="mmmu",
    title="MMMU",
    hub="MMMU/MMMU",
    split="validation",
    count=900,
    licence="Apache-2.0",
    columns=(
        *("id", "question", "options", "answer", "question_type", "topic_difficulty", "img_type", "subfield"),
        "image_1",
    ),
    ask=ask,
    groups=_GROUPS,
    draw_by="subject",
    differs="Virgo's scorer and where it put the pictures are not released; it says VLMEvalKit's conventions.",
)
MMMU_DEV = replace(
    MMMU, name="mmmu_dev", title="MMMU dev", split="dev", count=150, differs="For choosing, not for tables."
)
MMMU_PRO = Benchmark(
    name="mmmu_pro",
    title="MMMU-Pro standard",
    hub="MMMU/MMMU_Pro",
    config=r"standard \(10 options\)",
    split="test",
    count=1730,
    licence="Apache-2.0",
    columns=("id", "question", "options", "answer", "subject", "image_1"),
    ask=ask,
    groups=("topic_difficulty", "discipline", "subject", "img_type"),
    draw_by="subject",
)
MMMU_PRO_VISION = replace(
    MMMU_PRO,
    name="mmmu_pro_vision",
    title="MMMU-Pro vision",
    config="vision",
    columns=("id", "options", "answer", "subject", "image"),
    ask=ask_in_picture,
    groups=("discipline", "subject"),
)
