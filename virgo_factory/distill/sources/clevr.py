"""CLEVR v1.0: questions on scenes of solids; questions/CLEVR_SPLIT_questions.json and images/SPLIT/NAME.png."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from virgo_factory.distill.sources.source_row import Asked, Found, attempt, rows_in, train_first
from virgo_factory.formats.row import RejectedRow, text_of


LAYOUT = "questions/CLEVR_SPLIT_questions.json, images/SPLIT/NAME.png"


def read(folder: Path) -> Iterator[Found]:
    """Yield the questions of every file; those of the published test split have no answers."""
    for path, split in train_first(list(folder.glob("questions/CLEVR_*_questions.json")), folder):
        for number, raw in enumerate(rows_in(path, "questions")):
            asked, id, pictures = attempt(ask, raw), str(number), ()
            if isinstance(asked, Asked):
                name, part = raw.get("image_filename"), raw.get("split")
                if isinstance(name, str) and isinstance(part, str):
                    index = raw.get("question_index", number)
                    id, pictures = f"{name.rpartition('.')[0] or name}-{index}", (f"images/{part}/{name}",)
                else:
                    asked = RejectedRow("no picture", "image_filename or split is not text")

            yield Found(id, f"questions/{path.name}: {number + 1}", asked, pictures, split)


def ask(raw: Mapping[str, Any]) -> Asked:
    """Return what a row asks; its answer is one of 28 words and numbers."""
    question = text_of(raw, "question").strip()
    if raw.get("answer") is None:
        raise RejectedRow("no gold answer", "CLEVR's test split has none")

    answer = text_of(raw, "answer").strip()
    kind = "boolean" if answer in ("yes", "no") else "count" if answer.isdigit() else "text"
    return Asked(question, answer, kind=kind, grading="clevr")
