"""Robustness: questions asked again on pictures that were turned, made darker or lighter, or given noise.

What a person reads of such a picture is the same, so what a model answers should be. Rotation does change the answer of some
questions ("which line is horizontal?"): those with a word of orientation are left out, and counted.
"""

import hashlib
import io
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from virgo_factory.core.errors import UserError
from virgo_factory.data.read.look import as_seen
from virgo_factory.data.read.media import resolve_image
from virgo_factory.evaluation.folder import Run, question_hash
from virgo_factory.evaluation.probes.below import alone
from virgo_factory.evaluation.questions import draw
from virgo_factory.evaluation.statistics import Comparison, compare
from virgo_factory.io.atomic import new_file, write_json
from virgo_factory.rollouts.pictures import store_picture
from virgo_factory.rollouts.question import FILE as QUESTIONS
from virgo_factory.rollouts.question import question_of, read_lines, write_question


FOLDER = "variants"
"""In the folder of an evaluation: a folder of an evaluation a variant, and ACCOUNT."""

ACCOUNT = "variants.json"
COUNT = 500
"""Questions that are drawn, as many of each benchmark as its share says."""

KINDS = {"rotate": (-10, 10), "brightness": (0.7, 1.3), "noise": (10,)}
"""Kind -> its amounts by default: degrees against the clock, a factor on RGB, the standard deviation on 0 to 255."""

ORIENTED = re.compile(
    r"\b(?:horizontal|vertical|left|leftmost|rightmost|above|below|beneath|top|bottom|upper|lower|upward|downward|upwards|"
    r"downwards|clockwise|counterclockwise|anticlockwise|north|south|east|west|upright|tilted|slope|steep|steeper|orientation|"
    r"rotated|rotation|x-axis|y-axis|right(?![ -](?:angle|angled|triangle|prism|cone|cylinder|pyramid|circular)))\w*\b"
    r"|水平|竖直|垂直|左|右|上方|下方|顺时针|逆时针|东|南|西|北",
    re.IGNORECASE,
)
"""Words by which an answer may hang on how the picture lies."""


@dataclass(frozen=True)
class Variant:
    """One change of a picture: a kind of KINDS and its amount."""

    kind: str
    amount: float

    @property
    def name(self) -> str:
        """Return what folders and tables call it, such as "rotate_-10"."""
        return f"{self.kind}_{self.amount:g}"


@dataclass(frozen=True)
class Change:
    """A variant against the questions as they are, on those that both runs answered.

    Attributes:
        before, after: share of correct responses.
        found: their paired difference, after minus before.
        same_answer: share of questions with the very same answer.
    """

    name: str
    before: float
    after: float
    found: Comparison
    right_to_wrong: int
    wrong_to_right: int
    same_answer: float


def variants_of(wanted: Mapping[str, Any]) -> list[Variant]:
    """Return the variants that a configuration names.

    Raises:
        ValueError: an unknown kind, or an amount that is none.

    >>> [variant.name for variant in variants_of({"rotate": [-10, 10], "noise": 10})]
    ['rotate_-10', 'rotate_10', 'noise_10']
    """
    found = []
    for kind, amounts in wanted.items():
        if kind not in KINDS:
            raise UserError(f"variants: {kind!r} is not one of {', '.join(KINDS)}")

        for amount in amounts if isinstance(amounts, list | tuple) else [amounts]:
            is_number = isinstance(amount, int | float) and not isinstance(amount, bool)
            if not is_number or (kind != "rotate" and amount <= 0) or (kind == "rotate" and not -180 < amount <= 180):
                raise UserError(f"variants: {kind}: {amount!r} is no amount; such as {KINDS[kind][-1]}")

            found.append(Variant(kind, float(amount)))

    return found


def is_oriented(question: Mapping[str, Any]) -> bool:
    """Return whether the answer of a question may hang on how its picture lies.

    >>> is_oriented({"question": "Which line is horizontal?"}), is_oriented({"question": "The right triangle ABC has"})
    (True, False)
    """
    texts = [question.get("question") or "", *(question.get("options") or ())]
    return any(ORIENTED.search(text) for text in texts)


def changed(image: Any, variant: Variant, question_hash: str) -> Any:
    """Return a picture changed; the same for the same question, whatever else is asked.

    `variant`: see KINDS; a rotation is bicubic, its corners are white and the canvas grows.
    `question_hash`: see folder.question_hash; the noise is drawn from it.
    """
    from PIL import Image, ImageEnhance

    if variant.kind == "rotate":
        return image.rotate(variant.amount, Image.Resampling.BICUBIC, expand=True, fillcolor="white")

    if variant.kind == "brightness":
        return ImageEnhance.Brightness(image).enhance(variant.amount)

    seed = hashlib.sha256(f"{question_hash} {variant.name}".encode()).digest()
    noise = np.random.default_rng(np.frombuffer(seed, np.uint32)).normal(0, variant.amount, (*image.size[::-1], 3))
    return Image.fromarray((np.asarray(image, float) + noise).round().clip(0, 255).astype(np.uint8))


def write_variants(folder: Path, variants: Sequence[Variant], count: int = COUNT, seed: int = 42) -> Counter:
    """Write FOLDER/variants/NAME/questions.jsonl of each variant, pictures changed, ids as they are; return the account of questions.

    What is there already is left as it is.

    Raises:
        ValueError: the folder's variants were drawn otherwise.
    """
    root, settings = folder / FOLDER, {"count": count, "seed": seed}
    with alone(root):
        if (root / ACCOUNT).is_file():
            old = json.loads((root / ACCOUNT).read_text(encoding="utf-8"))
            if old["settings"] != settings:
                raise UserError(f"{root}: was made with {old['settings']}, now {settings}. Name another output_dir.")

        rows, account = _unoriented(folder)
        drawn = draw({id: row["source"] for id, row in rows.items()}, count, seed)
        account += Counter({"asked": len(drawn), "not drawn": len(rows) - len(drawn)})
        for variant in variants:
            if not (root / variant.name / QUESTIONS).is_file():
                _write(folder, root / variant.name, variant, [row for id, row in rows.items() if id in drawn])

        write_json(root / ACCOUNT, {"settings": settings, "questions": account})

    return account


def _unoriented(folder: Path) -> tuple[dict[str, Mapping[str, Any]], Counter]:
    """Return the questions whose pictures may be changed, by id, and why others are left out."""
    rows, account = {}, Counter()
    for _, row in read_lines(folder / QUESTIONS):
        why = "no picture" if not row.get("images") else "a word of orientation" if is_oriented(row) else ""
        account[why] += bool(why)
        if not why:
            rows[row["id"]] = row

    return rows, account


def _write(folder: Path, target: Path, variant: Variant, rows: Sequence[Mapping[str, Any]]) -> None:
    from PIL import Image

    with new_file(target / QUESTIONS) as lines:
        for row in rows:
            stored = []
            for name in row["images"]:
                with Image.open(resolve_image(name, str(folder))) as opened:
                    image = changed(as_seen(opened).copy(), variant, question_hash(row))

                buffer = io.BytesIO()
                image.save(buffer, "PNG")
                stored.append(store_picture(buffer.getvalue(), target, target, image.width * image.height))

            pictures = {"images": [one.path for one in stored], "image_sha256": [one.sha256 for one in stored]}
            lines.write(write_question(question_of({**row, **pictures})))


def variants_in(folder: Path) -> tuple[list[Path], dict[str, int]]:
    """Return the folders of variants of an evaluation that were asked, and the account of its questions."""
    root = folder / FOLDER
    path = root / ACCOUNT
    account = json.loads(path.read_text(encoding="utf-8"))["questions"] if path.is_file() else {}
    return sorted(path.parent for path in root.glob("*/rollouts*.jsonl")), account


def change_of(name: str, base: Run, other: Run) -> Change:
    """Return how a variant's run differs from that on the questions as they are; both have them under the same ids.

    Raises:
        ValueError: no question was answered in both.
    """
    both = [id for id in other.answered if id in base.answered]
    if not both:
        raise UserError(f"{other.folder}: no question of it was answered in {base.folder}, too.")

    before, after = base.correct(both), other.correct(both)
    own, theirs = (dict(zip(run.held.place, run.held.answer, strict=True)) for run in (base, other))
    same = sum(own[base.answered[id]] == theirs[other.answered[id]] for id in both)
    found = compare(after, before, base.clusters(both))
    return Change(name, float(before.mean()), float(after.mean()), found, found.losses, found.wins, same / len(both))


def worst_of(base: Run, others: Sequence[Run]) -> float:
    """Return the share of questions that are right as they are and in all variants, of those that all answered."""
    ids = [id for id in base.answered if all(id in run.answered for run in others)]
    return float(np.min([run.correct(ids) for run in (base, *others)], axis=0).mean()) if ids else float("nan")
