"""What stands beside the question in columns of its own: options, a context, a second question, a system message.

Options are read: they become lettered lines behind a question that lacks them. A system message under another name is
read as `system`. Of what else may belong to the prompt and is in no text of the example, a note is left, by which `data
check` names the column; two questions, two conversations or two system messages are a reason: none is chosen silently.
"""

import functools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from virgo_factory.core.example import IMAGE, Example
from virgo_factory.core.lazy_pattern import LazyPattern
from virgo_factory.core.thought import MARKERS
from virgo_factory.formats import fields
from virgo_factory.formats.fields import (
    MESSAGE_FIELDS,
    OF_OTHERS,
    is_thought,
    pair_columns,
    question_columns,
    thought_text,
)
from virgo_factory.formats.layouts import tagged_columns, thought_columns
from virgo_factory.formats.layouts.messages import (
    MESSAGE_COLUMNS,
    content_text,
    either,
    listed,
    message_column,
    other_chats,
    role_of,
)
from virgo_factory.formats.layouts.tags import format_of
from virgo_factory.formats.layouts.unknown import TEMPLATED
from virgo_factory.formats.marks.names import Kind, kinds_of, snake
from virgo_factory.formats.marks.response_marks import verdict_lists
from virgo_factory.formats.marks.values import said
from virgo_factory.formats.options import REQUIRED
from virgo_factory.formats.pictures.tags import without_tags
from virgo_factory.formats.pictures.values import is_blank
from virgo_factory.formats.row import (
    IMAGE_COLUMNS,
    OPTION_COLUMN,
    Reading,
    RejectedRow,
    bare,
    check_example,
    naming,
    plain,
    rendered,
)
from virgo_factory.formats.texts import decoded


SYSTEM_COLUMNS = ("system", "system_prompt", "system_message", "system_instruction", "sys_prompt", "system_content", "developer")  # fmt: skip
NOT_TRAINED = "a column beside the question is not trained on"
"""Begins the notes of rows with such a column; its name follows."""
SECOND_RESPONSE = "a second response is not trained on"
"""Begins the notes of rows with two responses that differ; the name of the other column follows."""
NOT_TRAINED_BESIDE_CHAT = "a column beside the messages is not trained on"
"""The same of rows whose question stands in messages."""
ADDED = "with the options of a column behind the question"
"""Note of rows to whose question the options were added."""

LACKS = "without a column that dataset_info.json names"
"""Begins the notes of rows that lack one which not every row must have; its name follows."""

_KNOWN = ("huatuogpt_o1",)
"""Formats of which the card says which of several questions the response answers."""

_QUESTION = LazyPattern(r"(?:question|problem|prompt|user_prompt|query|instruction|user)(?:_text|_content)?")
_RESPONSE = LazyPattern(r"(?:response|output|completion|generation|solution)s?|samples|candidates|rollouts|attempts")
_WHOLE_RESPONSE = LazyPattern(r"(?:\w+_)?(?:response|output|completion|generation|reply)(?:_?\d+)?")
"""Names of what is a second response only where it is a whole one, with its thought."""
_CONTEXT = LazyPattern(
    r"(?:(?:image|question|problem|input|additional|extra|retrieved|supporting|previous|prior|earlier)_)*"
    r"(?:context|passage|paragraph|hint|caption|background|premise|article|story|lecture|input|document|evidence|excerpt"
    r"|scenario|support|knowledge|ocr|table|supporting_fact|material|description|observation|constraint|definition|fact|hypothes[ie]|body|rule"
    r"|(?:figure|diagram|geometry|scene|chart)_(?:description|caption)|function_signature|code_snippet|source_text|schema"
    r"|code|text|data|content|given|condition|info(?:rmation)?|abstract|stem|statement|setup|situation|dialog(?:ue)?|transcript|snippet|log"
    r"|(?:image_|figure_|diagram_)?svg(?:_(?:code|text|content))?|tikz(?:_code)?|additional_info(?:rmation)?|starter_code|output_format|format_instruction|few_?shot_example|instruction)s?(?:_text)?"
    r"|(?:prompt|question|instruction)_(?:prefix|suffix)"
    r"|(?:follow_?up|second|next|sub|previous|prior|earlier)_(?:question|prompt)s?|(?:question|prompt)_?\d"
)
_OF_PICTURE = LazyPattern(r"(?:\w+_)?captions?|(?:figure|diagram|geometry|scene|chart|image)_descriptions?")
_NOUN = r"(?:response|output|completion|solution|answer|generation|reply|text|version|messages|conversations?)"
_EDITED = r"(?:correct(?:ed|ions?)|revis(?:ed|ion)|edit(?:ed)?|fixed|rewrit(?:ten|e)|improved|refined)"
_CORRECTED = LazyPattern(
    rf"(?:(?:human|expert|manual|manually|post|llm|model|gpt\d?|teacher|user)_)*{_EDITED}(?:_{_NOUN})?|{_NOUN}_(?:v\d|new|{_EDITED})"
)
"""Names of what someone made of the response."""
_CHAT = LazyPattern(r"(?:\w+_)?(?:messages|conversations?|dialogs?|dialogues?|chat)(?:_\w+)?")
_A_NAME = LazyPattern(r"\s*[\w./:+-]*\s*", re.ASCII)
"""A word that is none of a language, but the name of a prompt, a person or a file."""
_CARRIED = LazyPattern(r"\s*[(\[（]?(?:[A-Za-z]|\d{1,2})[)\].:：、）]\s*\S")
_MARKED = LazyPattern(r"(?<![A-Za-z0-9])(?:[(\[（]\s*)?([A-J]|[a-j]|[1-9])\s*(?:\}\s*)?[)\].:：、）]")
_BEFORE_ONE = LazyPattern(r"(?:^|[:：\n•*\-])\W{0,6}$")
_LETTERED = LazyPattern(r"(?:(?:options?|choices?|opt?|ending)_?)?([A-Ja-j]|\d{1,2})")
_PLACE = LazyPattern(r"\bimage \d+\b")
"""What pictures/tags.py makes of a tag that names a picture again."""
_TAGS = LazyPattern(r"</?[A-Za-z_]+(?:\s[^<>\n]{0,80})?>|<\|[a-z_]+\|>")
_TEXT_KEYS = ("text", "content", "option", "choice", "value", "answer", "label")
_LABEL_KEYS = ("label", "letter", "key", "id", "option_label", "index")


class SecondColumns(NamedTuple):
    """Columns of a row that may hold a part of its prompt, by their names alone."""

    systems: tuple[str, ...]
    questions: tuple[str, ...]
    chats: tuple[str, ...]
    responses: tuple[str, ...]
    contexts: tuple[str, ...]
    options: tuple[str, ...]
    thoughts: tuple[str, ...]
    corrections: tuple[str, ...]


@functools.lru_cache(1024)
def second_columns(columns: tuple[Any, ...]) -> SecondColumns | None:
    """Return which of some columns are of a kind; None where a row of them has one question at most and nothing beside it."""
    words = {name: snake(name) for name in columns if isinstance(name, str)}

    def named(pattern: re.Pattern[str]) -> tuple[str, ...]:
        return tuple(name for name, word in words.items() if pattern.fullmatch(word))

    questions, chats, options = named(_QUESTION), named(_CHAT), named(OPTION_COLUMN)
    questions = tuple(filter(str.isascii, questions)) or questions  # one in Chinese beside it is the same
    letters = tuple(name for name in options if _LETTERED.fullmatch(snake(name)))
    if len(letters) < 2 or not all(name.isupper() for name in letters if len(name) == 1):
        options = tuple(name for name in options if name not in letters)

    responses = named(_RESPONSE)
    responses += tuple(name for name in named(_WHOLE_RESPONSE) if name not in responses) if responses else ()
    responses = tuple(
        name for name in responses if not (OF_OTHERS.fullmatch(words[name]) or _CORRECTED.fullmatch(words[name]))
    )
    is_whole = chats or any(words[name] not in ("solution", "solutions") for name in responses)
    thoughts = (
        [name for name, _ in fields.thought_columns(tuple(words)) if words[name].startswith(MESSAGE_FIELDS)]
        if is_whole
        else []
    )
    systems = tuple(name for word in SYSTEM_COLUMNS for name in words if words[name] == word)
    contexts = tuple(name for name in named(_CONTEXT) if name not in questions)
    contexts += tuple(
        name for name in columns if name == "candidates" or name == "answers" and "label" in words
    )  # options (ReClor)
    corrections = named(_CORRECTED)
    found = SecondColumns(systems, questions, chats, responses, contexts, options, tuple(thoughts), corrections)
    is_plain = (
        len(questions) + len(chats) < 2
        and len(responses) + len(chats) < 2
        and not (contexts or options or systems or thoughts or corrections)
        and not (questions and pair_columns(columns))  # its two conversations have the question, too
    )
    return None if is_plain else found


def without_other_chats(row: Mapping[str, Any], columns: Mapping[str, str]) -> tuple[Mapping[str, Any], list[str]]:
    """Return a row that has a question and a response of its own without lists of other messages, and notes of these.

    Few-shot examples, a debate, a critique: under a name that says nothing, only the conversation of the row's own texts is
    read. A response or thought that `columns` names is read whatever stands beside it.
    """
    chats = [] if "messages" in columns else list(other_chats(row))
    if not chats or not (chats := [name for name in chats if name not in question_columns(tuple(row))]):
        return row, []

    rest = {name: value for name, value in row.items() if name not in chats}
    is_named = not {"response", "thought"}.isdisjoint(columns)
    questions = [name for name in question_columns(tuple(rest)) if isinstance(rest[name], str)]
    if not questions or not (
        is_named
        or tagged_columns.recognises(rest)
        or thought_columns.layout_of(rest)
        or pair_columns(tuple(rest))
        or any(_is_object(rest.get(name)) for name in thought_columns.RESPONSES_BESIDE)
    ):
        return row, []

    own = {_bare(value) for value in rest.values() if isinstance(value, str)}
    same = [name for name in chats if all(text in own for text in _last_texts(row[name]))]
    unread = [name for name in chats if name not in same]
    kept = {name: value for name, value in row.items() if name not in (chats if is_named else unread)}
    told = {name: SECOND_RESPONSE if _CORRECTED.fullmatch(snake(name)) else NOT_TRAINED for name in unread}
    return kept, [f"{what}: {name}" for name, what in told.items()]


def _is_object(value: Any) -> bool:
    """Whether a response is an object, a list of them, or the JSON of one."""
    return bool(decoded(value) if isinstance(value, str) else isinstance(value, dict | list) and value)


def _last_texts(messages: Any) -> list[str]:
    """Return the last question of a conversation, and the response to it."""
    texts: list[str] = []
    for message in reversed(listed(messages)):
        texts += map(_bare, _texts(either(message, "content", "value")) if isinstance(message, dict) else ())
        if not isinstance(message, dict) or role_of(message) == "user":
            break

    return texts


def with_system(row: Mapping[str, Any], plan: SecondColumns) -> Mapping[str, Any]:
    """Return the row with its system message in `system`, whatever its column is called.

    Raises RejectedRow where two columns hold different ones, or it is no text.
    """
    if not plan.systems or plan.systems == ("system",) and isinstance(row["system"], str | None):
        return row

    found = {name: text for name in plan.systems if (text := _system_text(row[name])) and not is_blank(text)}
    found = {name: text for name, text in found.items() if name == "system" or not _A_NAME.fullmatch(text)}
    first = next(iter(found), None)
    for name, text in found.items():
        if _bare(text) not in _bare(found[first]):
            told = f"{first} and {name} differ; say which is meant: {naming(system=first)}"
            raise RejectedRow("two system messages", told)

    system = row.get("system") if first is None else found[first]
    if not isinstance(system, str) and not is_blank(system):
        raise RejectedRow("the system message is not text", f"found {type(system).__name__}")

    return {**row, "system": None if is_blank(system) else system}


def _system_text(value: Any) -> str | None:
    """Return the text of a system message, also of one in items (Anthropic's) or parts (Gemini's)."""
    value = plain(value)
    items = value.get("parts") if isinstance(value, dict) else value
    return content_text(items, []) if isinstance(items, str | list) and items else None


def with_second_columns(
    row: Mapping[str, Any],
    reading: Reading,
    plan: SecondColumns | None,
    columns: Mapping[str, str],
    unread: Sequence[str] = (),
) -> Reading:
    """Return the reading with options behind their question, and with notes of columns that are not trained on.

    Where question or messages are among `columns`, those that dataset_info.json names, nothing else is looked for. `unread`:
    notes of columns that were left out before; see `without_other_chats`.
    """
    lacking = [
        *unread,
        *(f"{LACKS}: {column}" for name, column in columns.items() if _lacks(row, name, column)),
    ]
    if plan is None and not lacking or reading.format in _KNOWN:
        return reading

    if plan and reading.is_chosen:  # from one of the lists
        plan = plan._replace(responses=tuple(name for name in plan.responses if isinstance(row[name], str)))

    is_named = not {"question", "prompt", "messages"}.isdisjoint(columns)
    is_one = len({part.question for part in reading.parts if isinstance(part, Example)}) == 1

    def whole(part: Example | RejectedRow) -> Example | RejectedRow:
        if isinstance(part, RejectedRow):
            return part

        try:
            if not (part.system or is_blank(system := row.get("system"))):  # its format looks for none
                part = check_example(replace(part, system=system))

            notes = lacking + ([] if is_named or plan is None else list(_beside(row, part, plan)))
        except RejectedRow as error:
            return bare(error)

        question = part.question
        if plan and plan.options:
            question, told = _with_options(row, part, plan.options, is_one)
            notes += told

        return replace(part, question=question, notes=(*part.notes, *notes)) if notes else part

    return replace(reading, parts=tuple(map(whole, reading.parts)))


def _beside(row: Mapping[str, Any], example: Example, plan: SecondColumns) -> Iterator[str]:
    """Yield notes of columns whose texts are in no text of the example. Raises RejectedRow for a second question."""
    asked = _bare("\n".join([*(turn.question for turn in example.turns), example.system or ""]))
    question = _bare(example.question)
    chat = message_column(row)
    told = NOT_TRAINED_BESIDE_CHAT if chat else NOT_TRAINED
    others = []
    for name in plan.questions:
        text = row[name]
        if not isinstance(text, str) or is_blank(text) or _A_NAME.fullmatch(text) or TEMPLATED.search(text):
            continue

        if _bare(text) in asked:
            continue

        others += [] if question in _bare(text) else [name]
        if others:
            _refuse(row, plan, others[0], chat)

        yield f"{told}: {name}"

    for name in plan.chats:
        if name == chat or all(text in asked or question in text for text in _asked_in(row[name])):
            continue

        if name not in MESSAGE_COLUMNS:
            yield f"{told}: {name}"
        else:
            told = f"{chat} and {name} ask something else; say which is meant: {naming(messages=chat)}"
            raise RejectedRow("two conversations in the row", told)

    if chat and example.rejected is None:
        for name in plan.responses:
            text = row[name]
            if isinstance(text, str) and format_of(text):
                end = [piece for piece in _TAGS.split(text) if piece.strip()][-1:]
                if not all(_bare(piece) in _bare(rendered(example.response)) for piece in end):
                    yield f"{told}: {name}"

    if not chat and example.rejected is None:
        yield from (f"{SECOND_RESPONSE}: {name}" for name in plan.responses if _is_other_response(row, name, example))

    for name in plan.corrections if example.rejected is None else ():
        is_chat = isinstance(row[name], list) and row[name] and isinstance(row[name][0], dict)
        texts = _last_texts(row[name])[:1] if is_chat else [row[name]] if isinstance(row[name], str) else []
        if any(_is_whole(text) and _is_elsewhere(_TAGS.split(text), example) for text in texts):
            yield f"{SECOND_RESPONSE}: {name}"

    for name in plan.thoughts if example.rejected is None else ():
        if is_thought(row[name]) and (text := thought_text(row[name])) and _is_elsewhere(_TAGS.split(text), example):
            yield f"{told}: {name}"

    for name in plan.contexts:
        is_about_row = isinstance(row[name], dict) and Kind.NESTED in kinds_of(snake(name))  # verl's extra_info
        if name == chat or is_about_row or example.images and _OF_PICTURE.fullmatch(snake(name)):
            continue

        is_anything = snake(name) in _ANYTHING
        texts = [
            _bare(text)
            for text in _texts(row[name])
            if not (
                TEMPLATED.search(text)
                or text.strip().casefold() in _FLAGS
                or is_anything
                and (_A_NAME.fullmatch(text) or format_of(text))
                or _RESPONSE.fullmatch(snake(name))
                and format_of(text)
            )
        ]
        if missing := [text for text in texts if text and text not in asked]:
            own = [text for response in plan.responses if response != name for text in _texts(row[response])]
            given = _bare("\n".join([*(rendered(turn.response) for turn in example.turns), *own]))
            if not all(text in given for text in missing):
                yield f"{told}: {name}"


def _is_other_response(row: Mapping[str, Any], name: str, example: Example) -> bool:
    """Whether a column of responses holds one that is in no text of the example: tagged, or as long as a response.

    A `solution` without a thought is how the answer is proven in many sets, and no response of a model.
    """
    is_text = isinstance(row[name], str)
    texts = [row[name]] if is_text else _texts(row[name])
    own = next((at for at, text in enumerate(texts) if not _is_elsewhere(_TAGS.split(text), example)), -1)
    if own >= 0 and any(len(told) == len(texts) and said(told[own]) is True for _, told in verdict_lists(row)):
        return False  # judged samples, of which the row has taken a right one

    for text in texts:
        if (
            (tagged := format_of(text))
            or is_text
            and _RESPONSE.fullmatch(word := snake(name))
            and word not in _PROOFS
            and _is_whole(text)
        ):
            if _is_elsewhere(_TAGS.split(text) if tagged else [text], example):
                return True

    return False


def _is_whole(text: str) -> bool:
    """Whether a text may be a response: several words, or tags."""
    return len(text.split()) >= 8 or format_of(text) is not None


def _is_elsewhere(pieces: Sequence[str], example: Example) -> bool:
    """Whether one of the pieces of a text is in no response of an example."""
    given = "\n".join(rendered(turn.response) for turn in example.turns)
    for marker in MARKERS:  # with which a text would be searched for tags of pictures
        given = given.replace(marker, " ")

    given = _bare(given)
    return not all(_bare(piece) in given for piece in pieces)


_FLAGS = ("yes", "no", "true", "false")
_ANYTHING = ("code", "text", "data", "content", "info", "information", "log", "statement")
"""Names of columns that may hold anything: a word there, or a response, is no part of the prompt."""
_PROOFS = ("solution", "generation")


def _refuse(row: Mapping[str, Any], plan: SecondColumns, name: str, chat: str | None) -> None:
    """Raise RejectedRow where a row asks two questions; beside messages it does where it also has a second response."""
    if chat and any(isinstance(row[other], str) and format_of(row[other]) for other in plan.responses):
        told = f"{chat} asks something else than {name}; say which is meant: {naming(messages=chat)}"
        raise RejectedRow("two conversations in the row", told)

    if not chat:
        used = next((other for other in question_columns(tuple(row)) if row[other] is not None), name)
        told = f"{name} differs from what chosen and rejected answer; take one out of the rows"
        if used != name:
            both, one = naming(prompt=name, query=used), naming(question=used)
            told = f"{used} and {name} differ. To train on both: {both}; on one: {one}"

        raise RejectedRow("two questions in the row", told)


def _lacks(row: Mapping[str, Any], name: str, column: str) -> bool:
    names = [part.strip().partition(".")[0] for part in (column, *column.split(","))]
    return name not in REQUIRED and name not in row and not any(part in row or part in IMAGE_COLUMNS for part in names)


@functools.lru_cache(32)  # a response is compared with each other text of its row
def _bare(text: str) -> str:
    """Return a text without places of pictures, in lower case and with single spaces, for comparison."""
    text = without_tags(text).lower()
    return " ".join((_PLACE.sub(" ", text) if "image" in text else text).split())


def _asked_in(messages: Any) -> list[str]:
    """Return what the user says in another column of messages."""
    messages = listed(messages)
    users = [message for message in messages if isinstance(message, dict) and role_of(message) == "user"] if isinstance(messages, list) else []  # fmt: skip
    return [_bare(text) for message in users for text in _texts(either(message, "content", "value"))]


def _texts(value: Any, depth: int = 4) -> list[str]:
    """Return the texts in a value, of lists and objects too."""
    value = plain(value)
    if isinstance(value, str):
        return [] if is_blank(value) else [value]

    if isinstance(value, dict) and role_of(value) in ("user", "assistant", "system"):
        value = either(value, "content", "value")
        return _texts(value, depth - 1) if depth else []

    if isinstance(value, dict | list) and depth:
        parts = value.values() if isinstance(value, dict) else value
        return [text for part in parts for text in _texts(part, depth - 1)]

    return []


# options


def _with_options(
    row: Mapping[str, Any], example: Example, columns: Sequence[str], is_one: bool
) -> tuple[str, list[str]]:
    """Return the question with the options of the row, and notes; the question itself where it has them."""
    question, notes = example.question, []
    for names, lines in options_of(row, columns):
        if lines is not None and lists(question, lines):
            continue

        if lines is None or example.history or not is_one:
            notes.append(f"{NOT_TRAINED}: {', '.join(names)}")
        else:
            question = "\n".join([question.rstrip(), *lines])
            notes.append(ADDED)

    return question, notes


def options_of(row: Mapping[str, Any], columns: Sequence[str]) -> Iterator[tuple[tuple[str, ...], list[str] | None]]:
    """Yield names of columns and the lines of their options, None where they are no list of some; columns of one letter together."""
    letters = {name: row[name] for name in columns if _LETTERED.fullmatch(snake(name))}
    others = [((name,), row[name]) for name in columns if name not in letters]
    for names, value in [*others, *([(tuple(letters), letters)] if letters else [])]:
        if not (is_blank(value) or isinstance(value, int | float) or _is_answers(value)):
            yield names, option_lines(value)


def _is_answers(value: Any) -> bool:
    """Whether a column called `choices` holds what a server answered."""
    first = value[0] if isinstance(value, list) and value else value
    return isinstance(first, dict) and ("message" in first or "finish_reason" in first)


def option_lines(value: Any) -> list[str] | None:
    r"""Return options as lines with a letter before each; None where a value is no list of options.

    They are texts or numbers in a list, an object of letters, objects of a letter and a text, two lists, lines, or the JSON or
    Python of one of these.

    >>> option_lines(["red", "blue"]), option_lines({"label": ["A", "B"], "text": ["red", "blue"]})
    (['A. red', 'B. blue'], ['A. red', 'B. blue'])
    """
    value = plain(value)
    if isinstance(value, str):
        text = value.strip()
        if text[:1] in ("[", "{") and (inner := decoded(text[:20_000])) is not None:
            return option_lines(inner)

        return text.split("\n")

    if isinstance(value, dict):
        label = next(
            (value[key] for key in ("label", "labels", "letter", "key") if isinstance(value.get(key), list)), None
        )
        text = next((value[key] for key in ("text", "texts", "choices", "options", "content") if isinstance(value.get(key), list)), None)  # fmt: skip
        if text is not None:
            return _lettered(text, label)

        named = {key: text for key, text in value.items() if not is_blank(text)}
        found = [_LETTERED.fullmatch(snake(str(key))) for key in named]
        return _lettered(list(named.values()), [match[1].upper() for match in found]) if all(found) else None

    if isinstance(value, list) and value and isinstance(value[0], dict):
        labels = [next((option[key] for key in _LABEL_KEYS if isinstance(option.get(key), str | int)), None) for option in value if isinstance(option, dict)]  # fmt: skip
        texts = [next((option[key] for key in _TEXT_KEYS if isinstance(option.get(key), str)), None) for option in value if isinstance(option, dict)]  # fmt: skip
        return _lettered(texts, labels if texts != labels and None not in labels else None)

    return _lettered(value) if isinstance(value, list) else None


def _lettered(texts: Sequence[Any], labels: Sequence[Any] | None = None) -> list[str] | None:
    given = [text for text in texts if not is_blank(text)]
    if len(given) < 2 or len(given) > 26 or not all(isinstance(text, str | int | float) for text in given):
        return None

    lines = [str(text).strip() for text in given]
    if all(map(_CARRIED.match, lines)):
        return lines

    names = [str(label).strip() for label in labels] if labels and len(labels) == len(given) else [chr(65 + at) for at in range(len(given))]  # fmt: skip
    return [f"{name}. {line}" for name, line in zip(names, lines, strict=True)]


def lists(question: str, lines: Sequence[str]) -> bool:
    """Whether a question has the options of some lines: these, their letters before something, or their texts one after another."""
    if question.endswith("\n".join(lines)):
        return True

    bare = "\n".join(map(_bare, question.splitlines()))
    options = [_bare(_CARRIED.sub(lambda found: found.group()[-1], line)).strip(" .;,$") for line in lines]
    if all(len(option) == 1 for option in options) and [option.upper() for option in options] == [
        chr(65 + at) for at in range(len(options))
    ]:
        return True  # the letters themselves: their texts are in the picture

    def places(option: str, end: int) -> list[int]:
        return [found.start() for found in re.finditer(rf"(?<!\w){re.escape(option)}(?!\w)", bare[:end])]

    names, count = {found.upper() for found in _MARKED.findall(question.replace(IMAGE, ""))}, len(options)
    if {chr(65 + at) for at in range(count)} <= names or count > 2 and {str(at + 1) for at in range(count)} <= names:
        if sum(bool(places(option, len(bare))) for option in options) * 2 >= count:
            return True

    at = len(bare)
    for option in reversed(options):
        at = max(places(option, at), default=-1)
        if at < 0:
            return False

    return bool(_BEFORE_ONE.search(bare[:at]))
