"""ChartQA (vis-nlp/ChartQA): questions on charts; any folder of SPLIT_human*.json and SPLIT_augmented*.json beside png/."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from virgo_factory.distill.sources.source_row import Asked, Found, attempt, rows_in, train_first
from virgo_factory.formats.row import RejectedRow, text_id, text_of


LAYOUT = "**/SPLIT_human*.json, **/SPLIT_augmented*.json, each beside png/NAME.png"

_LIST = re.compile(r"\[(.+)\]", re.DOTALL)


def read(folder: Path) -> Iterator[Found]:
    """Yield the questions of every file."""
    paths = [path for kind in ("human", "augmented") for path in folder.rglob(f"*_{kind}*.json")]
    for path, split in train_first(paths, folder):
        place = path.parent.relative_to(folder)
        for number, raw in enumerate(rows_in(path)):
            asked, id, pictures = attempt(ask, raw), f"{path.stem}-{number}", ()
            if isinstance(asked, Asked):
                name = raw.get("imgname")
                if isinstance(name, str):
                    id = f"{name.rpartition('.')[0] or name}-{text_id(raw['query'])[:6]}"
                    pictures = (str(place / "png" / name),)
                else:
                    asked = RejectedRow("no picture", "imgname is not text")

            yield Found(id, f"{place / path.name}: {number + 1}", asked, pictures, split)


def ask(raw: Mapping[str, Any]) -> Asked:
    """Return what a row asks; `[Slovenia, Turkey]` is a list of answers."""
    question, label = text_of(raw, "query").strip(), text_of(raw, "label").strip()
    kind: str | None = None
    gold: Any = label
    if found := _LIST.fullmatch(label):
        gold, kind = [part.strip() for part in found[1].split(",")], "sequence"
    elif label.lower() in ("yes", "no"):
        kind = "boolean"

    return Asked(question, gold, kind=kind, grading="chartqa")
