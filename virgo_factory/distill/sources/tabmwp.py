"""TabMWP (lupantech/PromptPG): word problems on a table, which is a picture; problems_SPLIT.json and tables/ID.png."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from virgo_factory.distill.sources.source_row import Asked, Found, attempt, chosen, rows_in, texts_of, train_first
from virgo_factory.formats.row import RejectedRow, text_of


LAYOUT = "problems_*.json, tables/ID.png"


def read(folder: Path) -> Iterator[Found]:
    """Yield the problems of every file."""
    for path, split in train_first(list(folder.glob("problems_*.json")), folder):
        for raw in rows_in(path):
            id = raw.get("id") if isinstance(raw, Mapping) else ""
            yield Found(str(id), f"{path.name}: {id}", attempt(ask, raw), (f"tables/{id}.png",), split)


def ask(raw: Mapping[str, Any]) -> Asked:
    """Return what a problem asks. The answer to a choice is the option's text; the unit is shown as PromptPG does."""
    question, options = text_of(raw, "question").strip(), texts_of(raw.get("choices"), "choices")
    answer = text_of(raw, "answer").strip()
    if options:
        if answer not in options:
            raise RejectedRow("the gold answer is none of the options", answer[:60])

        return Asked(question, chosen(options, options.index(answer)), options, "choice", grading="tabmwp")

    unit = raw.get("unit") or None
    if unit is not None and not isinstance(unit, str):
        raise RejectedRow("unit is not text", f"found {type(unit).__name__}")

    kind = "number" if str(raw.get("ans_type")).endswith("_number") else None
    return Asked(f"{question} (Unit: {unit})" if unit else question, answer, (), kind, unit, "tabmwp")
