"""What is told of prompts and responses before anybody is asked: tokens, counted where the model's files are here."""

from virgo_factory.data.tokens.image_size import ImageProcessor, read_processor
from virgo_factory.data.tokens.tokens import model_folder
from virgo_factory.data.tokens.vocabulary import Vocabulary, load_vocabulary
from virgo_factory.rollouts.prompt import Prompt, count_prompt_tokens


CHARACTERS_A_TOKEN = 3.0  # of a question, where the model's tokenizer is not on this machine: a careful guess

RESPONSE_TOKENS = 2_000
"""Mean tokens of a response where nothing was measured yet: a guess. Of Virgo's models it is only said that the longest
average over a benchmark is below 4,000 (Figure 2)."""


def short(tokens: float) -> str:
    """Return a large number in words.

    >>> short(950), short(41_620_000), short(1.4e9)
    ('950', '42 million', '1.4 billion')
    """
    for size, name in ((1e9, "billion"), (1e6, "million")):
        if tokens >= size:
            return f"{tokens / size:.{0 if tokens >= 10 * size else 1}f} {name}"

    return f"{tokens:,.0f}"


def tokenizer_of(model: str) -> tuple[Vocabulary | None, ImageProcessor]:
    """Return vocabulary and image processor of a model on this machine, None and Qwen2-VL's sizes otherwise."""
    try:
        folder = model_folder(model, local_files_only=True)
        return load_vocabulary(folder), read_processor(folder)
    except (ValueError, OSError):  # not there, or no such name
        return None, ImageProcessor()


def prompt_tokens(prompt: Prompt, vocabulary: Vocabulary | None, processor: ImageProcessor) -> int:
    """Return the tokens of a prompt, a guess without a vocabulary."""
    if vocabulary is not None:
        return count_prompt_tokens(prompt, vocabulary, processor)

    pictures = sum(width * height // 784 for width, height in prompt.images)
    return round(len(prompt.text) / CHARACTERS_A_TOKEN) + pictures + 30
