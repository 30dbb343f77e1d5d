"""What stands on the pages (README, docs/) and in the recipes, for the tests that hold it against the code."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from virgo_factory.io.yaml_text import read_yaml


ROOT = Path(__file__).parents[1]


def text_of(page: str) -> str:
    """Return the text of a page or another file of the repository."""
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(language: str, page: str = "README.md") -> list[str]:
    """Return a page's code blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text_of(page), re.MULTILINE | re.DOTALL)


def commands(page: str, word: str = "") -> list[str]:
    """Return a page's commands in which a word stands."""
    return [line for block in blocks("bash", page) for line in block.splitlines() if word in line]


def sample(page: str, beginning: str) -> tuple[str, list[str]]:
    """Return the one command of a page that begins so and is shown with its output, and that output's lines."""
    ((command, _, shown),) = (block.partition("\n") for block in blocks("text", page) if block.startswith(beginning))
    return command, lines_of(shown)


def lines_of(text: str) -> list[str]:
    """Return the lines of what a command printed, without blank ones and indentation."""
    return [line.strip() for line in text.replace("\xa0", " ").splitlines() if line.strip()]


def load(recipe: str) -> dict[str, Any]:
    """Return a recipe's keys and values."""
    return read_yaml(text_of(recipe))


def header(recipe: str) -> str:
    """Return the comment lines above the first block of a recipe as one text."""
    text = text_of(recipe)
    return " ".join(line.lstrip("#").strip() for line in text[: text.index("\n### ")].splitlines())


def check_style(name: str, known: Mapping[str, Sequence[str]]) -> list[str]:
    """Check a recipe that asks models: its header, and its keys in their block, in its order; return its blocks."""
    text = (ROOT / name).read_text(encoding="utf-8")
    found = dict(re.findall(r"^### (.+)\n((?:(?!### ).*\n)*)", text, re.MULTILINE))
    assert list(found) == [block for block in known if block in found]
    for block, body in found.items():
        keys = re.findall(r"^(\w+):", body, re.MULTILINE)
        assert keys == [key for key in known[block] if key in keys]

    assert max(map(len, text.splitlines())) <= 119
    assert not [key for key, value in load(name).items() if value in (None, "", [])], "empty keys"
    assert all(words in header(name) for words in ("Paper row:", "Hardware:", "Cost:", "Launch:", "Override:"))
    return list(found)
