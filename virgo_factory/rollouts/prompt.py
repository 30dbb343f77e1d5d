"""A question as it is sent to a server: pictures as training would see them, the recipe's prefix, the question."""

import base64
import hashlib
import io
import itertools
import json
import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from virgo_factory.answers.options import with_options
from virgo_factory.core.errors import UserError
from virgo_factory.core.example import IMAGE
from virgo_factory.data.read.images import inspect
from virgo_factory.data.read.look import as_seen
from virgo_factory.data.read.media import find_image
from virgo_factory.data.read.prefix import add_prefix
from virgo_factory.data.tokens.image_size import ImageProcessor, image_tokens
from virgo_factory.data.tokens.tokens import system_of
from virgo_factory.data.tokens.vocabulary import Vocabulary
from virgo_factory.formats.row import CONTROL_TOKENS
from virgo_factory.rollouts.question import VisualQuestion


TEMPLATE_ARGUMENTS: Mapping[str, Any] = {"question_prefix": ""}
"""Arguments of the chat template that go with every request: checkpoints trained with the plugin carry the prefix in
their template as default, and here it stands in the text already. Other templates do not look at it."""


STAND_IN = "Answer the question in the picture."
"""Sent as the text of a question that has a picture and no text, such as those of MathVerse's version Vision Only."""


@dataclass(frozen=True)
class Prompt:
    """What is sent for one response."""

    # OpenAI chat messages: system, where there is one; the user's, pictures as PNG data URIs in their places; and the
    # beginning of the assistant's where `prefill` is not empty
    messages: list[dict[str, Any]]
    text: str  # the user's text as sent, without the pictures
    images: tuple[tuple[int, int], ...]  # width and height of each picture as sent, in pixels
    sha256: str  # of the messages, pictures included, and the arguments of the chat template
    system: str = ""
    prefill: str = ""  # what the assistant has said already: the response goes on behind it, letter by letter


def compose(
    name: str, text: str, pictures: Sequence[tuple[tuple[int, int], bytes]] = (), system: str = "", prefill: str = ""
) -> Prompt:
    """Return a prompt: the user's text with `<image>` in the place of each picture (size and PNG); errors call it `name`.

    Raises ValueError where a text holds a control token, or another number of `<image>` than there are pictures.
    """
    pieces = text.split(IMAGE)
    forged = [token for token in CONTROL_TOKENS if any(token in one for one in (text, system, prefill))]
    if forged or len(pieces) != len(pictures) + 1:
        raise UserError(f"{name}: {[*forged, IMAGE][0]} in its text would be read as a control token. Drop it.")

    parts: list[dict[str, Any]] = []
    for piece, picture in itertools.zip_longest(pieces, pictures):
        if piece:
            parts.append({"type": "text", "text": piece})

        if picture:
            url = f"data:image/png;base64,{base64.b64encode(picture[1]).decode()}"
            parts.append({"type": "image_url", "image_url": {"url": url}})

    turns = (("system", system), ("user", parts if pictures else text), ("assistant", prefill))
    messages = [{"role": role, "content": content} for role, content in turns if content]
    sent = json.dumps([messages, TEMPLATE_ARGUMENTS], sort_keys=True)
    sizes = tuple(size for size, _ in pictures)
    return Prompt(messages, "".join(pieces), sizes, hashlib.sha256(sent.encode()).hexdigest(), system, prefill)


def make_prompt(
    question: VisualQuestion,
    folder: Path,  # of questions.jsonl, that its image paths are relative to
    # the text that goes directly behind the pictures that stand first (prefix.read_prefix); "" for none
    prefix: str = "",
    min_pixels: int = 32 * 32,  # the recipe's `image_min_pixels`
    max_pixels: int = 768 * 768,  # likewise
    system: str = "",  # text of the system's turn; "" for none
    layout: str = "inline",  # see `asked_text`
    prefill: str = "",  # see Prompt
) -> Prompt:
    """Return the prompt of a question; the ValueError of a bad picture or of a control token in a text names the question."""
    text = add_prefix(asked_text(question, layout), prefix)
    what = f"question {question.id}"
    pictures = [picture(what, name, folder, min_pixels, max_pixels) for name in question.images]
    return compose(what, text, pictures, system, prefill)


def asked_text(question: VisualQuestion, layout: str = "inline") -> str:
    r"""Return the text of a question, `<image>` in place of its pictures, with options as lines where it has none itself.

    This is also what a training row made of the question holds. `layout` "first" puts all pictures before the text, as without `parts`.

    >>> asked_text(VisualQuestion("a/1", "a", ("a.png",), (), " Which one?", "x", options=("x", "y")))
    '<image>Which one?\n(A) x\n(B) y'
    >>> asked_text(VisualQuestion("a/1", "a", ("a.png",), (), "Is red?", "x", parts=("Is ", 0, " red?")))
    'Is <image> red?'
    >>> asked_text(VisualQuestion("a/1", "a", ("a.png",), (), "", "A", options=("x", "y")))
    '<image>Answer the question in the picture.'
    """
    text = question.question.strip() or STAND_IN * bool(question.images)
    parts = question.parts if layout != "first" and question.parts else (*range(len(question.images)), text)
    # A picture may be an option: "(A) <image>".
    asked = "".join(IMAGE if isinstance(part, int) else part for part in parts).rstrip()
    is_in_picture = not question.question.strip()  # with its options, as in MathVerse's version Vision Only
    if is_in_picture:
        return asked

    return with_options(asked, question.options, read=asked if question.parts else text)


def picture(what: str, name: str, folder: Path, min_pixels: int, max_pixels: int) -> tuple[tuple[int, int], bytes]:
    """Return width and height of a picture of `folder` after LLaMA-Factory's resizing, and it as PNG; ValueError says what is wrong."""
    facts = inspect(name, folder, max_pixels)
    if not facts.is_readable:
        raise UserError(f"{what}: {'; '.join(finding.detail for finding in facts.findings)}.")

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about sizes, which `inspect` has looked at
        with Image.open(find_image(name, str(folder))) as opened:
            image = resize_as_trained(as_seen(opened), min_pixels, max_pixels)

    image.info = {}  # profiles, orientation and transparency mean nothing in training, and a server might obey them
    data = io.BytesIO()
    image.save(data, format="PNG", compress_level=1)
    return image.size, data.getvalue()


def resize_as_trained(image: Image.Image, min_pixels: int, max_pixels: int) -> Image.Image:
    """Return the picture that LLaMA-Factory hands to the processor, pixel for pixel, from one that `look.as_seen` returned.

    The steps of 0.9.5, data/mm_plugin.py:218-235 and 1912-1927, in their order: each resize has its own rounding and
    filter. A run of ours turns every picture to RGB before them (hooks/template/pictures.py).
    """
    if image.width * image.height > max_pixels:
        image = image.resize(_scaled(image.size, max_pixels))

    if image.width * image.height < min_pixels:
        image = image.resize(_scaled(image.size, min_pixels))

    if min(image.size) < 28:
        image = image.resize((max(image.width, 28), max(image.height, 28)))

    if image.width / image.height > 200:
        image = image.resize((image.height * 180, image.height))

    if image.height / image.width > 200:
        image = image.resize((image.width, image.width * 180))

    return image


def _scaled(size: tuple[int, int], pixels: int) -> tuple[int, int]:
    factor = math.sqrt(pixels / (size[0] * size[1]))
    return int(size[0] * factor), int(size[1] * factor)


def count_prompt_tokens(prompt: Prompt, vocabulary: Vocabulary, processor: ImageProcessor) -> int:
    """Return how many tokens a prompt takes, the heads of its turns included, without torch or transformers."""
    system = prompt.system or system_of("virgo")
    head = f"<|im_start|>system\n{system}<|im_end|>\n" if system else ""
    marks = "<|vision_start|><|vision_end|>" * len(prompt.images)
    turn = f"{head}<|im_start|>user\n{marks}{prompt.text}<|im_end|>\n<|im_start|>assistant\n{prompt.prefill}"
    everything = 2**62  # the pictures have their size already
    return vocabulary.count(turn) + sum(image_tokens(*size, 1, everything, processor) for size in prompt.images)
