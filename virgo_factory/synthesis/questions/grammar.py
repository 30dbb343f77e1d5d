"""What a writer wrote -> items: in our tags, in those of LongPerceptualThoughts, or as JSON. Pure.

Models drift: items are numbered, tags are left open, options carry letters, answers are letters. All that is read; what can be
read in two ways is not.
"""

import functools
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from virgo_factory.answers.choice import letter_of
from virgo_factory.answers.options import without_letters
from virgo_factory.synthesis.prompts import FIELDS, one_line
from virgo_factory.synthesis.words import LETTERS


@dataclass(frozen=True)
class Item:
    """A question as it was written.

    Attributes:
        question, kind: texts, in one line; "" where there is none.
        options: texts without their letters.
        answer: as it was written: an option's text, its letter, or both.
        things: tags or names of what it is about; None where the item does not list them.
        needs: numbers of the questions that it needs; None where the item does not list them.
        claim: what makes its answer right, in the form of `scenes.stated`; "" where it states nothing.
        fault: why it cannot be read; "" where it can.
    """

    question: str
    options: tuple[str, ...] = ()
    answer: str = ""
    kind: str = ""
    things: tuple[str, ...] | None = None
    needs: tuple[int, ...] | None = None
    claim: str = ""
    fault: str = ""


_FIELD_OF = {tag: field for field, tags in FIELDS.items() for tag in tags}
_TAG = re.compile(
    rf"<\s{{0,3}}(/?)\s{{0,3}}({'|'.join(sorted(_FIELD_OF, key=len, reverse=True))})\s{{0,3}}>", re.IGNORECASE
)
_LEAD = re.compile(r"^\s*(?:\*\*\s*)?(?:\d{1,2}\s*[.):]|[-*•])\s+|\*\*")
_NEXT_NUMBER = re.compile(r"\n\s*(?:[-*•#]\s*)?(?:\*\*)?(?:question\s*)?\d{1,3}\s*[.):]?(?:\*\*)?\s*$", re.IGNORECASE)
_TAIL = 60
"""Characters at the end of a field in which the number of the next item may stand."""
_LABELS = (
    re.compile(r"[(\[]\s*([A-Ha-h])\s*[)\]]\s*[.:]?"),
    re.compile(r"(?<!\S)([A-H])\s*[.):]\s"),
    re.compile(r"^[ \t]*(?:[-*•][ \t]*)?([a-h1-8])\s*[.):]\s", re.MULTILINE),
)
_SPLIT = re.compile(r"\s*[,;\n]\s*")
_NOTHING = re.compile(r"(?:none|n/?a|-|nothing)?", re.IGNORECASE)


def items_of(response: str, is_whole: bool = True) -> list[Item]:
    """Return the items of a writer's response, in their order; none of prose.

    Args:
        response: as it was sampled; a thought in front of it is not read.
        is_whole: whether it came to its end; of one that was cut off the last item must be closed.

    >>> [one.options for one in items_of("1. <q>Which?</q><o>x</o><o>y</o><a>y</a>")]
    [('x', 'y')]
    """
    text = response.rpartition("</think>")[2]
    if "<think>" in text:
        return []

    tags = list(_TAG.finditer(text))
    if any(_FIELD_OF[tag[2].lower()] == "question" and not tag[1] for tag in tags):
        return _tagged(text, tags, is_whole)

    return [_of_json(row) for row in _json_rows(text)]


def index_of(answer: str, options: tuple[str, ...]) -> int | str:
    """Return the place of the option that an answer is; a text that says why it is none, or not one.

    By identity: an answer is an option's text, its letter, or its letter with its text. An answer that only holds or resembles an
    option's text is none.

    >>> index_of("(B) blue", ("red", "blue")), index_of("B", ("red", "blue")), index_of("(A) blue", ("red", "blue"))
    (1, 1, 'it names two options')
    """
    marked, said = _MARKED.match(answer), answer.casefold()
    by_text = [place for place, option in enumerate(options) if option.casefold() == said]
    if not by_text and not marked:
        by_text = [place for place, option in enumerate(options) if normal(option) == normal(answer)]

    letter, rest = (marked[1], answer[marked.end() :]) if marked else letter_of(answer, len(options)) or ("", "")
    by_letter = LETTERS.find(letter.upper()) if letter else -1
    words = normal(rest)
    if by_text:
        is_other = letter and not words and by_letter not in by_text
        return TWO if len(by_text) > 1 or is_other else by_text[0]

    if not 0 <= by_letter < len(options):
        return NONE

    if words and words != normal(options[by_letter]):
        return TWO if any(words == normal(option) for option in options) else NONE

    return by_letter


NONE, TWO = "it is none of the options", "it names two options"
_MARKED = re.compile(
    r"\W*(?:(?:option|choice|answer)\W*)?(?:[(\[]\s*(?=[A-Za-z]\s*[)\]])|(?=[A-Za-z]\s*[.):]))([A-Za-z])\s*[.):\]]+",
    re.IGNORECASE,
)
"""A letter in front of an answer, in brackets or with a sign behind it."""
_WORD = re.compile(r"-?\d+(?:[.,:/]\d+)*|[^\W\d_]+(?:['’][^\W\d_]+)*|[%$€£+=<>&°#]")
_ARTICLES = frozenset(("a", "an", "the"))
_NUMBERS = {
    word: str(number)
    for number, word in enumerate(
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen"
        " nineteen twenty".split()
    )
}


@functools.lru_cache(maxsize=8192)
def normal(text: str) -> tuple[str, ...]:
    """Return the words of a text as they are compared: without case, articles and punctuation, numbers as digits.

    >>> normal("The red ball.") == normal("red ball"), normal("Two") == normal("2"), normal("-5") == normal("5")
    (True, True, False)
    """
    written = _WORD.findall(text.replace("\u2212", "-"))
    kept = [word for place, word in enumerate(written) if not _is_article(word, place, len(written))]
    return tuple(_NUMBERS.get(word, word) for word in map(str.casefold, kept))


def _is_article(word: str, place: int, count: int) -> bool:
    """Whether a word says nothing: a capital A inside of a text, or alone, is a letter."""
    return count > 1 and word.casefold() in _ARTICLES and (word != "A" or not place)


# --- tags ------------------------------------------------------------------------------------------------------------


def _tagged(text: str, tags: list[re.Match[str]], is_whole: bool) -> list[Item]:
    """The items of a text with tags: each begins where a question is opened, each field ends at the next tag."""
    items: list[list[tuple[str, str, bool]]] = []
    for place, tag in enumerate(tags):
        field, after = _FIELD_OF[tag[2].lower()], tags[place + 1] if place + 1 < len(tags) else None
        if tag[1]:
            continue

        content = text[tag.end() : after.start() if after else len(text)]
        is_closed = after is not None and bool(after[1]) and _FIELD_OF[after[2].lower()] == field
        if field == "question":
            items.append([])

        if items:
            items[-1].append((field, content if is_closed else _unclosed(field, content), is_closed))

    read = [_of_fields(fields) for fields in items]
    if not is_whole and not items[-1][-1][2]:
        read[-1] = Item(read[-1].question, fault="it was cut off")

    return read


def _unclosed(field: str, content: str) -> str:
    """A field whose tag was left open: without the number of the next item; short ones end with their line."""
    content = content.rstrip()
    content = (content[:-_TAIL] + _NEXT_NUMBER.sub("", content[-_TAIL:])).strip()
    return content if field in ("question", "choices") else content.partition("\n")[0]


def _of_fields(fields: list[tuple[str, str, bool]]) -> Item:
    by_name: dict[str, list[str]] = {}
    for name, content, _ in fields:
        if content.strip():
            by_name.setdefault(name, []).append(content.strip())

    twice = [name for name in ("answer", "kind", "things", "needs", "choices") if len(by_name.get(name, ())) > 1]
    question = _text(by_name.get("question", [""])[0])
    if twice:
        return Item(question, fault=f"it has two of {twice[0]}")

    listed = tuple(by_name.get("option", ()))
    if listed and "choices" in by_name:
        return Item(question, fault="its options stand in two places")

    options = without_letters(listed) if listed else _options_in(by_name.get("choices", [""])[0])
    things, needs = (by_name.get(name, [None])[0] for name in ("things", "needs"))
    return _item(
        question,
        options,
        by_name.get("answer", [""])[0],
        by_name.get("kind", [""])[0],
        None if things is None else _SPLIT.split(things),
        None if needs is None else re.findall(r"\d+", needs),
        "; ".join(by_name.get("claim", [])),
    )


def _options_in(text: str) -> tuple[str, ...]:
    """The options of one text: behind letters that stand in their order, else its lines."""
    for style in _LABELS:
        found = list(style.finditer(text))
        labels = "".join(one[1].upper() for one in found)
        if len(found) > 1 and labels in ("ABCDEFGH"[: len(found)], "12345678"[: len(found)]):
            if text[: found[0].start()].strip(" \t\n*-•"):
                return ()

            ends = [one.start() for one in found[1:]] + [len(text)]
            return tuple(text[one.end() : end] for one, end in zip(found, ends, strict=True))

    if any(style.search(text) for style in _LABELS):
        return ()

    return tuple(line for line in text.splitlines() if line.strip())


def _item(question: str, options: Any, answer: str, kind: str, things: Any, needs: Any, claim: str) -> Item:
    """An item with its texts tidied, and what it lacks."""
    options = tuple(_text(option).rstrip(",;") for option in options)
    answer = _text(answer)
    things = None if things is None else tuple(one for thing in things if not _NOTHING.fullmatch(one := _text(thing)))
    needs = None if needs is None else tuple(dict.fromkeys(map(int, needs)))
    lacks = [
        name
        for name, there in (("question", question), ("options", all(options) and options), ("answer", answer))
        if not there
    ]
    fault = f"it has no {lacks[0]}" if lacks else ""
    claim = "" if _NOTHING.fullmatch(_text(claim).rstrip(".")) else _text(claim)
    return Item(question, options, answer, one_line(kind), things, needs, claim, fault)


def _text(text: str) -> str:
    """A text in one line, without the marks of a list, of bold print, and quotes around all of it."""
    text = one_line(_LEAD.sub("", text))
    return text[1:-1] if re.fullmatch(r"\"[^\"]*\"|“[^”]*”", text) else text


# --- JSON ------------------------------------------------------------------------------------------------------------

_KEYS = {
    "question": ("question", "q"),
    "options": ("options", "choices", "o"),
    "answer": ("answer", "correct_answer", "correct", "a"),
    "kind": ("kind", "type", "k"),
    "things": ("tags", "things", "t"),
    "needs": ("needs", "n"),
    "claim": ("claim", "claims", "c"),
}


def _json_rows(text: str) -> Iterator[dict[str, Any]]:
    """The objects with a question in a text that is JSON, or has it in a fence; nothing of anything else."""
    for piece in [piece.removeprefix("json") for piece in text.split("```")[1::2]] or [text]:
        try:
            found = json.loads(piece)
        except (ValueError, RecursionError):
            found = list(_json_lines(piece))

        if isinstance(found, dict) and not any(name in found for name in _KEYS["question"]):
            found = next((value for value in found.values() if isinstance(value, list)), [])

        for row in found if isinstance(found, list) else [found]:
            if isinstance(row, dict) and any(name in row for name in _KEYS["question"]):
                yield row


def _json_lines(text: str) -> Iterator[Any]:
    for line in text.splitlines():
        try:
            yield json.loads(line.strip().rstrip(","))
        except (ValueError, RecursionError):
            continue


def _of_json(row: dict[str, Any]) -> Item:
    row = {name.lower(): found for name, found in row.items()}
    value = {name: next((row[key] for key in keys if row.get(key) is not None), None) for name, keys in _KEYS.items()}
    options = value["options"]
    if isinstance(options, dict):
        names = [str(name).strip("() .").upper() for name in options]
        options = list(options.values()) if "".join(names) == "ABCDEFGH"[: len(names)] else None
    elif isinstance(options, str):
        options = _options_in(options)

    texts = (
        options
        if isinstance(options, (list, tuple)) and all(isinstance(one, (str, int, float)) for one in options)
        else ()
    )
    things, needs = (
        None
        if found is None
        else _SPLIT.split(found)
        if isinstance(found, str)
        else found
        if isinstance(found, list)
        else None
        for found in (value["things"], value["needs"])
    )
    return _item(
        _text(str(value["question"])),
        without_letters(tuple(map(str, texts))),
        "" if value["answer"] is None or isinstance(value["answer"], (list, dict, bool)) else str(value["answer"]),
        str(value["kind"] or ""),
        things and map(str, things),
        needs and re.findall(r"\d+", " ".join(map(str, needs))),
        "; ".join(map(str, value["claim"] if isinstance(value["claim"], list) else [value["claim"] or ""])),
    )
