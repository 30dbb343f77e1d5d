"""What people and judges are shown of a question: its text with the options, its pictures."""

from pathlib import Path

from virgo_factory.answers import Question
from virgo_factory.answers.options import LETTERS
from virgo_factory.data.read.look import scaled
from virgo_factory.data.read.media import BadMedia, resolve_image
from virgo_factory.report.page import Picture


def asked_with_options(question: Question) -> str:
    """Return a question with its options as lines, as judges see it."""
    lines = [f"({letter}) {option}" for letter, option in zip(LETTERS, question.options, strict=False)]
    return "\n".join([question.text, *lines])


def picture_of(folder: Path, name: str) -> Picture:
    """Return a picture of a folder, scaled down to be looked at; without it where it cannot be read."""
    from PIL import Image

    try:
        with Image.open(resolve_image(name, str(folder))) as image:
            return Picture(scaled(image), f"{name}, {image.width}x{image.height}")
    except (BadMedia, OSError, ValueError, Image.DecompressionBombError) as error:
        return Picture(b"", f"{name}: {error}")
