"""What the demo did, proved from the files and the log that it left: each proof reads them and can fail."""

import json
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image, ImageDraw
from safetensors import safe_open
from transformers import AutoModelForImageTextToText, AutoProcessor, AutoTokenizer

from virgo_factory.core.errors import UserError
from virgo_factory.core.thought import LongThought, MalformedThought
from virgo_factory.data.read.prefix import read_prefix
from virgo_factory.data.rows.account import FILE_NAME, from_json
from virgo_factory.demo.run import DATASET, Demo, losses


LANGUAGE, VISION, CONNECTOR = "language model", "vision tower", "connector"
FALL = 0.7  # the mean of the last five losses is below this share of the mean of the first five

QUESTION = "Which colour has the tallest bar?"
BARS = {"red": 90, "green": 160, "blue": 40, "orange": 120}
SIDE = 252  # pixels: 63,504 in all, inside the recipe's image_max_pixels, and 9 x 9 visual tokens

ANSWER_SEED = 2
"""Of the sampling: the most readable of four that were tried. No proof hangs on it, and none of them makes sense."""


@dataclass(frozen=True)
class Proof:
    """One statement about the run, whether it holds, and the numbers that say so."""

    name: str
    holds: bool
    evidence: str


@dataclass(frozen=True)
class Change:
    """How many tensors of a part of the model differ from the start, of how many, and their parameters."""

    changed: int
    tensors: int
    parameters: int


@dataclass(frozen=True)
class Answer:
    """What the trained model said to a picture, and how the question went in."""

    prompt: str
    image_tokens: int
    response: str
    tokens: int


def part_of(name: str) -> str:
    """Return the part of a Qwen2-VL model that a tensor belongs to.

    >>> part_of("visual.merger.ln_q.weight"), part_of("model.layers.0.mlp.up_proj.weight")
    ('connector', 'language model')
    """
    if ".merger." in f".{name}":
        return CONNECTOR
    return VISION if "visual." in name else LANGUAGE


def compare(start: Path, end: Path) -> dict[str, Change]:
    """Return by part how a checkpoint differs from another, bit by bit, one tensor at a time; ValueError where the tensors are others.

    Both sides are widened to float32 first, which loses nothing: LLaMA-Factory keeps trainable parameters in float32
    (model/adapter.py:53), so that a bfloat16 tensor that did not move is saved as the same numbers in float32.
    """
    counts: dict[str, list[int]] = {part: [0, 0, 0] for part in (LANGUAGE, VISION, CONNECTOR)}
    with safe_open(start / "model.safetensors", "pt") as first, safe_open(end / "model.safetensors", "pt") as second:
        if different := set(first.keys()) ^ set(second.keys()):
            raise UserError(f"{start} and {end} do not hold the same tensors: {', '.join(sorted(different)[:5])}")

        for name in first.keys():
            one, two = first.get_tensor(name), second.get_tensor(name)
            if one.shape != two.shape:
                raise UserError(f"{name} is {tuple(one.shape)} in {start} and {tuple(two.shape)} in {end}")

            count = counts[part_of(name)]
            count[0] += not torch.equal(one.float().view(torch.int32), two.float().view(torch.int32))
            count[1] += 1
            count[2] += one.numel()

    return {part: Change(*count) for part, count in counts.items()}


def prove(demo: Demo) -> Iterator[Proof]:
    """Yield one proof after the other, cheap ones first. A file that is missing makes its proof fail, not the demo."""
    changes = compare(demo.base, demo.output)
    yield vision_frozen(changes)
    yield language_trained(changes)
    yield loss_fell(demo)
    yield rows_accounted(demo)


def vision_frozen(changes: dict[str, Change]) -> Proof:
    """Every tensor of the vision tower equals the start's."""
    vision = changes[VISION]
    holds = vision.tensors > 0 and vision.changed == 0
    return Proof("vision tower frozen", holds, f"{vision.changed} of {vision.tensors} tensors differ from the start")


def language_trained(changes: dict[str, Change]) -> Proof:
    """Every tensor of the language model moved."""
    language = changes[LANGUAGE]
    holds = language.tensors > 0 and language.changed == language.tensors
    return Proof("language model trained", holds, f"{language.changed} of {language.tensors} tensors changed")


def loss_fell(demo: Demo) -> Proof:
    """The loss is clearly lower at the end."""
    values = [loss for _, _, loss in losses(demo)]
    if len(values) < 10 or not all(map(math.isfinite, values)):
        return Proof("loss fell", False, f"{len(values)} losses in trainer_log.jsonl, not all of them numbers")

    first, last = sum(values[:5]) / 5, sum(values[-5:]) / 5
    return Proof("loss fell", last < FALL * first, f"first step {values[0]:.2f}, last step {values[-1]:.2f}")


def rows_accounted(demo: Demo) -> Proof:
    """The row account adds up and names the very rows that a count of our own finds to be too long or cut off."""
    name = "rows accounted for"
    file = demo.output / FILE_NAME
    if not file.is_file():
        return Proof(name, False, f"{file} is not there")

    accounts = from_json(json.loads(file.read_text(encoding="utf-8")))
    if [account.name for account in accounts] != [DATASET]:
        return Proof(name, False, f"{file} is about {[account.name for account in accounts]}")

    (account,) = accounts
    total, expected = count_rows(demo)
    found = {row.id: row.reason for row in account.dropped_rows}
    holds = (
        account.rows_in == total == account.kept + account.dropped
        and account.dropped == len(account.dropped_rows)
        and Counter(found.values()) == Counter(account.reasons)
        and found.keys() == expected.keys()
        and all(("overlong" in found[row_id]) == (reason == "overlong") for row_id, reason in expected.items())
        and str(account) in demo.log.read_text(encoding="utf-8", errors="replace")
    )
    evidence = str(account).removeprefix(f"{DATASET}: ")
    return Proof(
        name, holds, evidence if holds else f"{evidence}; our own count drops {dict(sorted(expected.items()))}"
    )


def count_rows(demo: Demo) -> tuple[int, dict[str, str]]:
    """Return how many rows there are, and id -> why of those to be dropped, counted without LLaMA-Factory.

    Lengths are those of the chat template that was saved with the checkpoint.
    """
    tokenizer = AutoTokenizer.from_pretrained(demo.output)
    limit = demo.settings["cutoff_len"]
    dropped, total = {}, 0
    for line in demo.rows.read_text(encoding="utf-8").splitlines():
        row, total = json.loads(line), total + 1
        try:
            response = LongThought.parse(row["combined_text"]).render()
        except MalformedThought as error:
            dropped[row["id"]] = error.reason
            continue

        messages = [{"role": "user", "content": row["question"]}, {"role": "assistant", "content": response}]
        if len(tokenizer.apply_chat_template(messages, return_dict=False)) > limit:
            dropped[row["id"]] = "overlong"

    return total, dropped


def draw_chart(file: Path) -> Path:
    """Draw a bar chart of four colours and return its file."""
    picture = Image.new("RGB", (SIDE, SIDE), "white")
    pen = ImageDraw.Draw(picture)
    width = SIDE // (2 * len(BARS) + 1)
    for i, (colour, height) in enumerate(BARS.items()):
        left = (2 * i + 1) * width
        pen.rectangle((left, SIDE - 30 - height, left + width, SIDE - 30), fill=colour)

    pen.line((width // 2, SIDE - 30, SIDE - width // 2, SIDE - 30), fill="black", width=2)
    picture.save(file)
    return file


def ask(demo: Demo, max_new_tokens: int = 200) -> Answer:
    """Return what the trained model answers to a question about a picture, with transformers alone, seeded.

    Sampling is that of the checkpoint's generation_config.json, as a user would get it.
    """
    processor = AutoProcessor.from_pretrained(demo.output, use_fast=True)
    model = AutoModelForImageTextToText.from_pretrained(demo.output, dtype=torch.float32).eval()
    content = [{"type": "image"}, {"type": "text", "text": QUESTION}]
    prompt = processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)
    with Image.open(draw_chart(demo.picture)) as picture:
        inputs = processor(text=[prompt], images=[picture.convert("RGB")], return_tensors="pt")

    with torch.inference_mode(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(ANSWER_SEED)
        output = model.generate(**inputs, max_new_tokens=max_new_tokens)

    new = output[0, inputs["input_ids"].shape[1] :]
    image_tokens = int((inputs["input_ids"] == model.config.image_token_id).sum())
    response = processor.tokenizer.decode(new, skip_special_tokens=True)
    return Answer(prompt, image_tokens, response, len(new))


def answered(demo: Demo, answer: Answer) -> Proof:
    """A picture went in as visual tokens with the trained question prefix, and text came out."""
    prefix = read_prefix(demo.settings["question_prefix"])
    wanted = (SIDE // 28) ** 2
    holds = (
        f"<|vision_end|>{prefix}\n{QUESTION}" in answer.prompt
        and answer.prompt.count(prefix) == 1
        and answer.image_tokens == wanted
        and bool(answer.response.strip())
    )
    return Proof(
        "image question answered",
        holds,
        f"{answer.image_tokens} visual tokens and the trained prefix in, {answer.tokens} tokens out",
    )
