"""The options of a choice question: given as a list, as a string of a list, or written inline in the question."""

import ast
import json
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from virgo_factory.answers.model import Question


LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_MAX_LIST = 20_000

_STYLES = tuple(
    re.compile(pattern, re.MULTILINE)
    for pattern in (
        r"\\(?:textbf|mathbf|mathrm|text|bf|textrm)\s*\{\s*\(?\s*([A-J])\s*[).:]*\s*\}[.:)]?\s*~?",
        r"^[ \t]*[*_]*[(\[]\s*([A-J])\s*[)\]][*_]*[.:]?[ \t]*",
        r"(?<![\w])[(\[]\s*([A-J])\s*[)\]][.:]?[ \t]*",
        r"^[ \t]*[*_]*([A-J])\s*[.):：．、][*_]*[ \t]*",
        r"(?<![\w(])([A-J])\s*[.):：．、][ \t]*",
        r"^[ \t]*[(\[]\s*([a-j])\s*[)\]][ \t]*",
        r"(?<![\w])[(\[]\s*([a-j])\s*[)\]][ \t]*",
        r"^[ \t]*([a-j])\s*[.):][ \t]*",
    )
)
"""Ways a letter stands before its option, the more telling ones first."""

_CARRIED = re.compile(r"\s*(?:[(\[（【]\s*([A-Za-z])\s*[)\]）】][.:：]?|([A-Za-z])\s*[.):：．、）])\s*(.*)", re.DOTALL)
_LETTER = re.compile(r"[A-Za-z]")
_LISTED = re.compile(r"(?:choices|options|choose from)\s*(?:are)?\s*:?\s*(\[[^\[\]]{3,4000}\])", re.IGNORECASE)
_PLAIN = re.compile(r"[^\W\d]+(?:[ -][^\W\d]+)*")
_NUMBERED = re.compile(r"^[ \t]*(?:[(\[]\s*)?([1-9])\s*[)\].:][ \t]*", re.MULTILINE)


def options_of(question: Question) -> tuple[str, ...]:
    """Return the options' texts: the given ones, else those written in the question, else nothing.

    >>> options_of(Question("How many?\\nChoices:\\nA:40\\nB:60\\nC:120"))
    ('40', '60', '120')
    >>> options_of(Question("Which? (A) red (B) light blue (C) green"))
    ('red', 'light blue', 'green')
    """
    return without_letters(question.options) if question.options else inline_options(question.text[-20_000:])


def read_options(value: Any) -> tuple[str, ...]:
    """Return the options of a column: a list, an object of letters, or a string of either, of lines, or with a sign between them.

    >>> read_options("A. red\\nB. blue"), read_options("red; blue"), read_options({"B": "blue", "A": "red"})
    (('red', 'blue'), ('red', 'blue'), ('red', 'blue'))
    """
    if isinstance(value, str):
        text = value.strip()
        try:
            value = json.loads(text) if text.startswith("{") and len(text) <= _MAX_LIST else list_in_string(text)
        except ValueError:
            value = None
        if value is None:
            return _marked(text[:_MAX_LIST], at_once=True) or _separated(text[:_MAX_LIST])
    if isinstance(value, dict):
        value = [value[name] for name in (sorted(value) if all(map(_LETTER.fullmatch, map(str, value))) else value)]
    if not isinstance(value, list | tuple):
        return ()
    return without_letters(tuple(str(option) for option in value if option is not None))


def _separated(text: str) -> tuple[str, ...]:
    """The options of a string with one sign between them."""
    for sign in ("\n", ";", "；", "|", "\t", "、"):
        parts = tuple(part.strip() for part in text.strip(sign + " ").split(sign))
        if len(parts) > 1 and all(parts):
            return without_letters(parts)
    parts = tuple(part.strip() for part in re.split("[,，]", text))
    return parts if len(parts) > 1 and all(map(_PLAIN.fullmatch, parts)) else ()


@lru_cache(maxsize=1_000)
def without_letters(options: tuple[str, ...]) -> tuple[str, ...]:
    """Return options in the order of the letters that they all carry, without those; others as they are.

    >>> without_letters(("(A) red", "(B) blue")), without_letters(("A. Smith", "B. Jones", "C"))
    (('red', 'blue'), ('A. Smith', 'B. Jones', 'C'))
    """
    found = [_CARRIED.fullmatch(option) for option in options]
    if len(options) < 2 or not all(found):
        return options
    carried = {(match[1] or match[2]).upper(): match[3].strip() for match in found}
    names = LETTERS[: len(options)]
    return tuple(carried[name] for name in names) if set(carried) == set(names) and all(carried.values()) else options


def with_options(text: str, options: Sequence[str], read: str | None = None) -> str:
    r"""Return the text of a question with its options as lines behind it, where it (or `read`) does not have them itself.

    >>> with_options("Which one?", ("x", "y")), with_options("Which? (A) x (B) y", ("x", "y"))
    ('Which one?\n(A) x\n(B) y', 'Which? (A) x (B) y')
    """
    if len(inline_options(text if read is None else read)) == len(options):
        return text

    lines = [f"({letter}) {option}" for letter, option in zip(LETTERS, options, strict=False)]
    return "\n".join([text, *lines])


@lru_cache(maxsize=1_000)
def inline_options(text: str) -> tuple[str, ...]:
    """Return the texts of the options written in a question."""
    if (listed := _LISTED.search(text)) and len(found := list_in_string(listed[1]) or ()) > 1:
        return tuple(map(str, found))
    if options := _marked(text):
        return options
    asked = re.search(r"choices|options|choose|select", text, re.IGNORECASE)
    return _last_run(list(_NUMBERED.finditer(text)), text, "123456789") if asked else ()


def _marked(text: str, at_once: bool = False) -> tuple[str, ...]:
    """The options behind letters in a text; `at_once`: only where it begins with the first of them."""
    for style in _STYLES:
        found = list(style.finditer(text))
        if found and not (at_once and text[: found[0].start()].strip(" \t\n*-")):
            if options := _last_run(found, text, LETTERS):
                return options
    return ()


def _last_run(found: list[re.Match[str]], text: str, order: str) -> tuple[str, ...]:
    """The last run of two or more markers A, B, C, ... with something after each of them."""
    runs: list[list[re.Match[str]]] = []
    for match in found:
        name = match[1].upper()
        if name == order[0]:
            runs.append([match])
        elif runs and len(runs[-1]) < len(order) and name == order[len(runs[-1])]:
            runs[-1].append(match)
    for run in reversed(runs):
        if len(run) > 1:
            last = text.find("\n", run[-1].end())
            ends = [match.start() for match in run[1:]] + [last if last >= 0 else len(text)]
            options = tuple(_strip(text[match.end() : end]) for match, end in zip(run, ends, strict=True))
            if all(options) and max(map(len, options)) <= 1000:
                return options
    return ()


def _strip(option: str) -> str:
    """An option without list marks, spaces and separators around it."""
    option = re.sub(r"\n[ \t]*[-*•]$", "", option.strip()).rstrip(";,").strip()
    option = re.sub(r"^(?:\\[ ,;]|~|\s)+|(?:\\qquad|\\quad|\s|,|;)+$", "", option)
    return option.removesuffix("$") if option.count("$") == 1 else option


def list_in_string(text: str) -> list | None:
    """Return the list that a string is the spelling of (JSON or Python), else None. Literals only; never evaluated.

    >>> list_in_string("['a', 'b']"), list_in_string('["a"]'), list_in_string("[1, 2)")
    (['a', 'b'], ['a'], None)
    """
    text = text.strip()
    if len(text) > _MAX_LIST or not (text.startswith("[") and text.endswith("]")) or text.count("[") > 200:
        return None
    for read in (json.loads, ast.literal_eval):
        try:
            found = read(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
            continue
        if isinstance(found, list) and all(isinstance(part, (str, int, float)) for part in found):
            return found
    return None
