"""FigureQA (Microsoft): yes/no questions on synthetic figures; qa_pairs.json beside png/INDEX.png, in a folder a split."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from virgo_factory.distill.sources.source_row import Asked, Found, attempt, rows_in, train_first
from virgo_factory.formats.row import RejectedRow, text_of


LAYOUT = "qa_pairs.json, png/INDEX.png; or SPLIT/qa_pairs.json, SPLIT/png/INDEX.png"


def read(folder: Path) -> Iterator[Found]:
    """Yield the questions of every file."""
    paths = [*folder.glob("qa_pairs.json"), *folder.glob("*/qa_pairs.json")]
    for path, split in train_first(paths, folder):
        place = path.parent.relative_to(folder)
        for number, raw in enumerate(rows_in(path, "qa_pairs")):
            asked, id, pictures = attempt(ask, raw), str(number), ()
            if isinstance(asked, Asked):
                names = ("image_index", "question_id", "color1_id", "color2_id")
                image, *template = (raw.get(name) for name in names)
                if isinstance(image, int):
                    parts = [*place.parts, str(image), *(str(part) for part in template if part != -1)]
                    id, pictures = "-".join(parts), (str(place / "png" / f"{image}.png"),)
                else:
                    asked = RejectedRow("no picture", "image_index is not a number")

            yield Found(id, f"{place / path.name}: {number + 1}", asked, pictures, split)


def ask(raw: Mapping[str, Any]) -> Asked:
    """Return what a row asks; its answer is stored as 0 or 1."""
    answer = raw.get("answer")
    if not isinstance(answer, int) or answer not in (0, 1):
        raise RejectedRow("no gold answer", f"expected 0 or 1, found {answer!r}"[:80])

    return Asked(text_of(raw, "question_string").strip(), ("No", "Yes")[answer], kind="boolean", grading="figureqa")
