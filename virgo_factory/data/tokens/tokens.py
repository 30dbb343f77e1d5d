"""Tokens of a row as a training run would see it: our templates, the model's tokenizer, image tokens by size.

Equal to LLaMA-Factory's ids for the templates in SYSTEMS (tests/data/test_tokens.py); another template is tokenised by
LLaMA-Factory itself (`llamafactory_template.py`).
"""

import functools
import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from virgo_factory.core.errors import UserError
from virgo_factory.core.example import IMAGE, Example
from virgo_factory.core.thought import MARKERS, LongThought, in_tags
from virgo_factory.data.read.prefix import add_prefix, read_prefix
from virgo_factory.data.read.source import Settings
from virgo_factory.data.read.templates import TEMPLATE_TAGS
from virgo_factory.data.tokens.image_size import PROCESSOR_FILES, ImageProcessor, image_tokens, read_processor
from virgo_factory.data.tokens.vocabulary import TOKENIZER_FILES, load_vocabulary
from virgo_factory.io.files import TEMPLATES


__all__ = ["RowTokenizer", "Segment", "Tokens", "image_tokens", "is_known_template", "model_folder"]

TEMPLATE_FILES = {
    "virgo": "virgo",
    "qwen2_vl": "virgo",
    "virgo_qwen3_vl": "virgo_qwen3_vl",
    "think_qwen3_vl": "virgo_qwen3_vl",
    "omr": "omr",
}
"""Template of a recipe -> the file of templates/*.jinja that has its form. `qwen2_vl` is what `virgo` follows; the tags of a
response are not in a file."""

_SYSTEM = re.compile(r'set system = ("(?:[^"\\]|\\.)*")')
_END = "<|im_end|>\n"
_PICTURE = ("<|vision_start|>", "<|image_pad|>", "<|vision_end|>")
_HUB_ID = re.compile(r"[\w.-]+(/[\w.-]+)?")
MODEL_FILES = (*TOKENIZER_FILES, *PROCESSOR_FILES)


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of a row as the model sees it."""

    ids: list[int]  # its token ids
    text: str  # what they were made of
    trained: bool = False  # whether the loss counts them
    image: int | None = None  # which image of the row this is, from 0; None for text
    response: bool = False  # whether they are of a response: one that is not `trained` is context


@dataclass(frozen=True, slots=True)
class Tokens:
    """The lengths of one row in tokens."""

    # all that is context: system message, questions, images, turn heads, a prefix of the response, responses that are
    # not learned, all earlier turns of a preference pair
    prompt: int
    response: int  # the other responses as rendered (of a pair its two) without their ends of turn, markers as text
    image: int  # those of images, in `prompt` as well
    total: int  # the whole row; of a preference pair its longer side
    shortest: int  # of the responses: what the bounds look at
    longest: int  # likewise


def is_known_template(name: str) -> bool:
    """Whether a recipe's template is tokenised here, not by LLaMA-Factory."""
    return name in TEMPLATE_FILES


def system_of(template: str) -> str:
    """Return the system message of a template; "" for no system turn.

    >>> system_of("virgo")
    'You are a helpful assistant.'
    """
    text = (TEMPLATES / f"{TEMPLATE_FILES[template]}.jinja").read_text(encoding="utf-8")
    return json.loads(_SYSTEM.search(text).group(1))


def model_folder(name: str, files: Sequence[str] = MODEL_FILES, local_files_only: bool = False) -> Path:
    """Return the folder with a model's tokenizer files, or others: itself, or that of the Hugging Face cache.

    Files of a hub model that are not in the cache are downloaded, unless HF_HUB_OFFLINE is set or `local_files_only`.
    Raises UserError where none could be had, with the command that fetches them.
    """
    if os.path.isdir(name):
        return Path(name)

    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, allow_patterns=list(files), local_files_only=local_files_only))
    except Exception as error:  # the library raises ValueError, OSError and requests' errors for "not there"
        if not _HUB_ID.fullmatch(name):
            raise UserError(
                f"tokenizer {name}: no such folder. Make it first (where it is the output_dir of a training: train that), or "
                "correct its path."
            ) from None

        reason = str(error).strip().splitlines()
        raise UserError(
            f"tokenizer {name}: no such folder, and not in the Hugging Face cache ({type(error).__name__}: "
            f"{reason[0] if reason else ''}). Give a folder, or fetch the files where there is a network: "
            f"hf download {name} {' '.join(files)}"
        ) from None


class RowTokenizer:
    """Tokenises rows under the settings of a run.

    Raises:
        ValueError: no tokenizer, or one whose files cannot be read; a template that is not known here.
    """

    def __init__(self, settings: Settings) -> None:
        if settings.tokenizer is None:
            raise UserError(
                "no tokenizer: give the folder or the hub id of the model, such as Qwen/Qwen2-VL-7B-Instruct."
            )

        if not is_known_template(settings.template):
            raise UserError(f"template {settings.template!r} is not known here; known: {', '.join(TEMPLATE_FILES)}.")

        self.settings = settings
        self.tags = TEMPLATE_TAGS.get(settings.template, "virgo")
        self.folder = model_folder(settings.tokenizer)
        self.prefix = read_prefix(settings.question_prefix)
        self.system = settings.default_system or system_of(settings.template)
        vocabulary = load_vocabulary(self.folder)
        self.vocabulary = vocabulary.with_plain(MARKERS) if settings.marker_tokens else vocabulary
        self.text_vocabulary = vocabulary.without(MARKERS)  # a later stage's tokenizer has the markers already
        self._processor: ImageProcessor | None = None
        self._head_ids = functools.lru_cache(1000)(self.vocabulary.ids)  # rows may have system messages of their own
        self._ends = len(self.vocabulary.ids(_END))
        self._plain_end = self.vocabulary.ids("x" + _END)[-self._ends :] == self.vocabulary.ids(_END)

    @property
    def special(self) -> tuple[str, ...]:
        """The texts that the tokenizer reads as special tokens, which no row may hold."""
        return self.vocabulary.special

    @property
    def processor(self) -> ImageProcessor:
        """The sizes of the model's image processor, read when the first image comes."""
        if self._processor is None:
            self._processor = read_processor(self.folder)

        return self._processor

    def image_tokens(self, width: int, height: int) -> int:
        """Return the tokens of one image under the run's pixel budget."""
        return image_tokens(
            width, height, self.settings.image_min_pixels, self.settings.image_max_pixels, self.processor
        )

    def messages(self, example: Example) -> list[tuple[str, str]]:
        """Return the questions (with the prefix) and rendered responses of an example, in turns."""
        return [(add_prefix(turn.question, self.prefix), render(turn.response, self.tags)) for turn in example.turns]

    def _head(self, example: Example, first: bool) -> str:
        system = (example.system or self.system) if first else ""
        return f"<|im_start|>system\n{system}{_END}" if system else ""

    def encode(self, example: Example, sizes: Sequence[tuple[int, int]] | None = None) -> list[Segment]:
        """Return the row in segments, whole and in order; an image without its size has a single pad token.

        `sizes`: width and height of each image. Of a preference pair only the last response is trained on.
        """
        segments, image, turns = [], 0, example.turns
        ids = self.vocabulary.ids
        last = len(example.history)
        for position, (question, response) in enumerate(self.messages(example)):
            if head := self._head(example, position == 0):
                segments.append(Segment(self._head_ids(head), head))

            parts = f"<|im_start|>user\n{question}{_END}<|im_start|>assistant\n".split(IMAGE)
            for number, part in enumerate(parts):
                if number:
                    pads = self.image_tokens(*sizes[image]) if sizes else 1
                    text = f"{_PICTURE[0]}{_PICTURE[1] * pads}{_PICTURE[2]}"
                    segments.append(Segment(ids(text), text, image=image))
                    image += 1

                if part:
                    segments.append(Segment(ids(part), part))

            if example.asked is not None and position == last:  # it is the model's to answer
                break

            answer = response + _END
            context, found = 0, ids(answer)
            if position == last and (prefix := in_tags(example.assistant_prefix, self.tags)):
                context = self.vocabulary.tokens_before(response, len(prefix))
                segments.append(Segment(found[:context], prefix, response=True))
                answer = answer[len(prefix) :]

            trained = turns[position].learned and (position == last or example.rejected is None)
            segments.append(Segment(found[context:], answer, trained=trained, response=True))

        return segments

    def count(self, examples: Sequence[Example], sizes: Sequence[Sequence[tuple[int, int]]]) -> list[Tokens]:
        return [self._count(example, size) for example, size in zip(examples, sizes, strict=True)]

    def _count(self, example: Example, sizes: Sequence[tuple[int, int]]) -> Tokens:
        segments = self.encode(example)  # with one pad an image
        images = sum(self.image_tokens(*size) for size in sizes)
        total = images - len(sizes) + sum(len(segment.ids) for segment in segments)
        prompt = total - sum(len(segment.ids) for segment in segments if segment.trained)
        responses, text, whole = [], "", 0
        for segment in segments:
            text, whole = (text + segment.text, whole + len(segment.ids)) if segment.response else ("", 0)
            if segment.trained:  # its beginning that is context is part of a response
                responses.append(self._response(text.removesuffix(_END), whole))

        if example.rejected is not None:
            rejected = render(example.rejected, self.tags)
            other = self.vocabulary.count(rejected + _END)
            total += max(other - whole, 0)
            responses.append(self._response(rejected, other))

        return Tokens(prompt, sum(responses), images, total, min(responses, default=0), max(responses, default=0))

    def _response(self, answer: str, whole: int) -> int:
        """Return the tokens of a response alone, markers as text, given those with its end of turn."""
        if self.text_vocabulary is self.vocabulary and self._plain_end:
            return whole - self._ends

        return self.text_vocabulary.count(answer)


def render(response: LongThought | str, tags: str = "virgo") -> str:
    """Return the text of a response that is trained on, in the tags of a template."""
    return response if isinstance(response, str) else in_tags(response.render(), tags)
