"""IconQA (lupantech/IconQA): [SPLIT/]TYPE/ID/data.json and image.png; options are texts, pictures, or there are none."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from virgo_factory.distill.sources.source_row import Asked, Found, attempt, chosen, object_in, texts_of, train_first
from virgo_factory.formats.row import RejectedRow, text_of


LAYOUT = "[SPLIT/]TYPE/ID/data.json, [SPLIT/]TYPE/ID/image.png, [SPLIT/]TYPE/ID/choice_N.png"

_ORDINALS = ("second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")


def read(folder: Path) -> Iterator[Found]:
    """Yield the question of every folder."""
    for path, split in train_first(list(folder.rglob("data.json")), folder):
        place = path.parent.relative_to(folder)
        raw = object_in(path)
        asked, pictures = attempt(ask, raw), ("image.png",)
        if isinstance(asked, Asked) and raw["ques_type"] == "choose_img":
            pictures = ("image.png", *texts_of(raw["choices"], "choices"))

        shown = tuple(str(place / name) for name in pictures)
        yield Found(str(place), str(place / path.name), asked, shown, split)


def ask(raw: Mapping[str, Any]) -> Asked:
    """Return what a question asks; options that are pictures follow the question's own and are named by their order."""
    question = text_of(raw, "question").strip()
    if isinstance(raw.get("hint"), str) and raw["hint"].strip():
        question = f"{question}\n{raw['hint'].strip()}"

    kind, answer = raw.get("ques_type"), raw.get("answer")
    if kind == "fill_in_blank":
        unit = raw.get("unit") if isinstance(raw.get("unit"), str) else None
        return Asked(question, text_of(raw, "answer").strip(), unit=unit, grading="iconqa")

    if kind not in ("choose_txt", "choose_img"):
        raise RejectedRow("ques_type unknown", f"{kind!r}"[:60])

    options = texts_of(raw.get("choices"), "choices")
    if kind == "choose_img":
        if len(options) > len(_ORDINALS):
            raise RejectedRow("too many pictures", f"{len(options)} options")

        options = tuple(f"the {ordinal} picture" for ordinal in _ORDINALS[: len(options)])
        question = f"{question}\nThe first picture belongs to the question, each of the others is an option."

    if isinstance(answer, bool) or not isinstance(answer, int):
        raise RejectedRow("no gold answer", f"expected the place of an option, found {answer!r}"[:80])

    return Asked(question, chosen(options, answer), options, "choice")
