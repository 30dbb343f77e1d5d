"""The question prefix: the sentence between the images of a question and its text. Pure but for reading the file."""

import os
import re
from pathlib import Path

from virgo_factory.core.errors import UserError
from virgo_factory.io.files import TEMPLATES


SUFFIX = ".prefix.txt"
_IMAGES = re.compile(
    r"(?:\s*(?:<image>|<video>|<\|vision_start\|>(?:<\|image_pad\|>|<\|video_pad\|>)*<\|vision_end\|>))*\s*"
)


def read_prefix(name: str | None) -> str:
    r"""Return the text of a question prefix; "" for None and "none".

    `name` is `virgo` (any NAME of templates/NAME.prefix.txt), or the path of a text file. Raises ValueError where there is
    no such prefix (the message lists those that there are), or its file holds no text.

    >>> read_prefix("virgo")
    'Please first think deeply about the question, and then put the final answer in \\boxed{}.'
    """
    if name is None or name == "none":
        return ""

    if isinstance(name, str):
        for path in (Path(name), Path("templates", name), TEMPLATES / name, TEMPLATES / f"{name}{SUFFIX}"):
            if os.path.isfile(path):  # False for whatever cannot be a path; Path.is_file raises on a long one
                return _read_file(path)

    known = ", ".join(sorted(path.name.removesuffix(SUFFIX) for path in TEMPLATES.glob(f"*{SUFFIX}")))
    raise UserError(f"question_prefix: {name!r} is not one of none, {known}, and no such file exists.")


def _read_file(path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8").strip()
    except UnicodeDecodeError:
        raise UserError(f"question_prefix: {path} is not UTF-8 text.") from None

    if not text:
        raise UserError(f"question_prefix: {path} is empty. For no prefix say question_prefix: none.")

    return text


def add_prefix(question: str, prefix: str) -> str:
    r"""Return the question with the prefix after its leading images, once, and a line break before the text.

    The form is that of the released Virgo (reference: code README): image, prefix without a break, break, question.

    >>> add_prefix("<image>\nHow many?", "Think.")
    '<image>Think.\nHow many?'
    """
    if not prefix:
        return question

    split = _IMAGES.match(question).end()
    images, text = "".join(question[:split].split()), question[split:]
    return f"{images}{text}" if not text or text.startswith(prefix) else f"{images}{prefix}\n{text}"
