"""Message lists in from/value or role/content, the responses in any of the tag sets.

Reference raw_formats.md: sections 4 and 6 (Sky-T1, Bespoke-Stratos, OpenThoughts), 8 (LLaVA-CoT), 9 (Vision-R1), 10
(Mulberry), 12 (R1-Onevision), 13 (MMR1), 14 (OpenMMReasoner: typed contents), 15 (LongPerceptualThoughts: context
prefix and preference pairs); Dolphin-R1, Llama-Nemotron (the response in columns beside). They differ in the tags of their responses and in optional columns, not in the layout.
"""

import reprlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from virgo_factory.core.example import IMAGE, Example, Turn
from virgo_factory.core.thought import BEGIN_THOUGHT, LongThought
from virgo_factory.formats.fields import (
    MESSAGE_FIELDS,
    like_a_thought,
    pair_columns,
    question_columns,
    thought_of_message,
)
from virgo_factory.formats.layouts import thought_columns
from virgo_factory.formats.layouts.messages import (
    Chat,
    Said,
    content_text,
    either,
    listed,
    message_column,
    read_messages,
    role_of,
)
from virgo_factory.formats.layouts.tags import TAG_SETS, format_of, parse_response, shows
from virgo_factory.formats.marks.row_marks import UNLEARNED, learned_turns
from virgo_factory.formats.options import Options
from virgo_factory.formats.row import (
    Reading,
    RejectedRow,
    attempt,
    bare,
    example_of,
    first_column,
    own_id,
    plain,
    question_of,
    read_images,
    rendered,
    text_id,
    with_image,
)
from virgo_factory.formats.texts import unix


FIELDS = "thought_fields"
"""Format of a chat whose thoughts stand in fields or items of their own."""

METADATA_IDS = ("extended_cot_unique_id", "simple_cot_unique_id", "mcq_unique_id")


def recognises(row: Mapping[str, Any]) -> bool:
    """Whether there is a column of messages."""
    return message_column(row) is not None


def pair_of(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a preference pair of another layout as messages that end with a question; any other row as it is.

    Whatever their columns are called (`winner` and `loser`, say), they become `chosen` and `rejected`. Read are two whole
    conversations that differ in their last message (TRL, UltraFeedback), and a question column with two texts (alpaca:
    instruction, input, chosen, rejected). Raises RejectedRow where the two conversations ask something else.
    """
    if not (names := pair_columns(tuple(row))):
        return row

    chosen, rejected = (row[name] for name in names)
    if names != ("chosen", "rejected"):
        if not all(map(_is_response, (chosen, rejected))) or chosen == rejected:
            return row

        row = {name: value for name, value in row.items() if name not in names} | {
            "chosen": chosen,
            "rejected": rejected,
        }

    if chosen is None or rejected is None:
        return row

    both = [value if isinstance(value, list) else None for value in (listed(plain(chosen)), listed(plain(rejected)))]
    if all(both) and min(map(len, both)) > 1:
        if both[0][:-1] != both[1][:-1]:
            raise RejectedRow(
                "chosen and rejected answer different questions", "their messages before the last differ"
            )

        return {**row, "messages": both[0][:-1], "chosen": both[0][-1], "rejected": both[1][-1]}

    columns = question_columns(tuple(row))
    if message_column(row) or first_column(row, columns) is None:
        return row

    return {**row, "messages": [{"role": "user", "content": question_of(row, columns)}]}


def _is_response(value: Any) -> bool:
    """Whether a value is a text of several words, or a list or an object: no name of a model, mark or number."""
    value = plain(value)
    return isinstance(value, list | dict) if not isinstance(value, str) else len(value.split()) > 1


def read(row: Mapping[str, Any], options: Options) -> Reading:
    """Return the examples of a chat row. Raises RejectedRow where the messages cannot be read at all."""
    is_pair = row.get("chosen") is not None or row.get("rejected") is not None
    chat = read_messages(row, message_column(row), is_pair, lambda: thought_columns.response_beside(row))
    *earlier, last = chat.turns or [None]
    if is_pair:
        chosen, rejected = (_answer(row, name) for name in ("chosen", "rejected"))
        chat = replace(chat, turns=(*chat.turns, chosen._replace(question=chat.asked)))
        return read_chat(row, chat, options, rejected)

    if not last.thought and (thought := thought_columns.thought_beside(row)) and format_of(last.response) is None:
        chat = replace(chat, turns=(*earlier, last._replace(thought=thought)))

    return read_chat(row, chat, options)


def read_chat(row: Mapping[str, Any], chat: Chat, options: Options, rejected: Said | None = None) -> Reading:
    """Return the examples of a chat: one with the earlier turns as history, or one a question (`turns: split`).

    Questions that are split off get the images of their own places, or those that the earlier ones have where they have
    none: of one of them, that is; which of several they ask about is not known.
    Turns that the row marks as not to be learned stay as context, whatever they look like. Of a preference pair the last
    turn has the chosen response, and `rejected` is the other one.
    """
    turns, said = chat.turns, [*chat.turns, *([rejected] if rejected else [])]
    names = [None if one.thought else format_of(one.response) for one in said]
    name = next(filter(None, names), None)
    format = next((name for name, one in zip(names, said, strict=True) if shows(one.response, name)), None)
    format = format or (FIELDS if any(one.thought for one in said) else None)
    images = read_images(row) or chat.images
    questions = [one.question for one in turns]
    if len(images) == 1 or images and len(questions) == 1:  # else it is not known to which question they belong
        if not any(IMAGE in question for question in questions):
            questions[0] = with_image(questions[0], images)

    id = _id(row, chat, questions[0], [one.response for one in said])
    last = len(questions) - 1
    try:
        why, notes = learned_turns(row, chat.responses)
        if rejected and why[-1]:
            raise why[-1]
    except RejectedRow as error:
        return Reading(format, (bare(error),))

    def bare_turn(at: int) -> bool:
        """Whether a turn only has the solution: the template of its model strips the thoughts of earlier turns."""
        is_last_whole = bool(turns[last].thought) or names[last] is not None
        return at < last and is_last_whole and names[at] is None and not options.keep_malformed

    def turn(at: int, question: str) -> Turn:
        _, text, thought, message = turns[at]
        if thought:
            return Turn(question, thought_columns.beside(thought, text), why[at] is None)

        if bare_turn(at):
            return Turn(question, text, False)

        try:
            response = parse_response(text, names[at] or name, options.keep_malformed or why[at] is not None)
        except RejectedRow as error:
            if names[at] is not None or not (field := like_a_thought(message)):
                raise

            remedy = f"the message has {field[:60]} beside its content: where that is its thought, call it {MESSAGE_FIELDS[0]}"
            raise RejectedRow(error.reason, f"{remedy}; {error.detail}") from None

        return Turn(question, response, why[at] is None)

    def example(id: str, at: int, question: str, images: tuple[Any, ...], **more: Any) -> Example:
        asked = turn(at, question)
        prefix = prefix_of(row, asked.response, name) if at == last and asked.learned else ""
        more |= {"images": images, "system": chat.system, "assistant_prefix": prefix, "learned": asked.learned}
        return example_of(row, question, asked.response, format, id, **more)

    def split_off(at: int) -> Example:
        if why[at]:
            raise why[at]

        if bare_turn(at):
            raise RejectedRow("no thought in the response", f"response {at + 1} of {last + 1}")

        before = sum(question.count(IMAGE) for question in questions[:at])
        own = images[before : before + questions[at].count(IMAGE)]
        with_places = [question.count(IMAGE) for question in questions if IMAGE in question]
        earlier = [question.count(IMAGE) for question in questions[:at] if IMAGE in question]
        if not own and len(earlier) > 1 and len(set(map(str, images[:before]))) > 1:
            raise RejectedRow(
                "which picture the question is about is not known",
                f"question {at + 1} has no <image>, and {len(earlier)} before it have one; turns: history keeps them",
            )

        shared = images[: earlier[0]] if earlier else () if with_places else images
        question = questions[at] if own else f"{IMAGE * len(shared)}\n{questions[at]}" if shared else questions[at]
        return example(f"{id}-{at}", at, question, own or shared)

    def whole() -> Example:
        noted = tuple(dict.fromkeys([*notes, *([UNLEARNED] if any(map(bare_turn, range(last))) else [])]))
        history = tuple(turn(at, question) for at, question in enumerate(questions[:-1]))
        other = _other(rejected, names[-1] or name, options) if rejected else None
        return example(id, last, questions[-1], images, history=history, rejected=other, notes=noted)

    if options.turns == "split" and last and not rejected:
        return Reading(format, tuple(attempt(lambda at=at: split_off(at)) for at in range(last + 1)))

    return Reading(format, (attempt(whole),))


def _answer(row: Mapping[str, Any], column: str) -> Said:
    """Return the response in `chosen` or `rejected`: a text, or one message."""
    value = plain(row.get(column))
    if isinstance(value, list) and len(value) == 1:
        value = value[0]

    thoughts: list[str] = []
    try:
        if not isinstance(value, dict):
            return Said("", content_text(value, []), None, {})

        if (role := role_of(value)) not in (None, "assistant"):
            raise RejectedRow(f"{column} is not a response", f"its role is {reprlib.repr(role)}")

        beside = thought_of_message(value)
        text = content_text(plain(either(value, "content", "value")), [], thoughts)
    except RejectedRow as error:
        raise RejectedRow(f"{column} is not a response", error.detail) from None

    return Said("", text, beside or "\n\n".join(thoughts) or None, value)


def _other(said: Said, name: str | None, options: Options) -> LongThought | str:
    try:
        if said.thought:
            return thought_columns.beside(said.thought, said.response)

        return parse_response(said.response, name, options.keep_malformed)
    except RejectedRow as error:
        raise RejectedRow(error.reason, f"rejected response; {error.detail}") from None


def _id(row: Mapping[str, Any], chat: Chat, question: str, responses: list[str]) -> str:
    """Return the row's id, with the hash of its responses where a source gives one id to several rows.

    OpenMMReasoner's (typed contents) are one row a correct response; LongPerceptualThoughts' pairs and first thoughts
    have the id of their question.
    """
    known, is_shared = own_id(row), chat.is_typed or chat.asked is not None
    metadata = row.get("metadata")
    if not known and isinstance(metadata, dict):
        name = next((name for name in METADATA_IDS if isinstance(metadata.get(name), str)), None)
        known, is_shared = metadata[name] if name else "", is_shared or name == METADATA_IDS[-1]

    if known and is_shared:
        return f"{known}-{text_id(chr(10).join(responses))[:8]}"

    return known or text_id(question)


def prefix_of(row: Mapping[str, Any], response: LongThought | str, name: str | None) -> str:
    """Return LongPerceptualThoughts' `assistant_prefix` as a prefix of the rendered response.

    In the source it is the beginning of the response's text, tag included; it is mapped onto the thought, where it has
    to be a literal prefix again. "" if the row has none. Raises RejectedRow where it is not text, or no prefix of the thought.
    """
    prefix = row.get("assistant_prefix")
    if prefix is None or prefix == "":
        return ""

    if not isinstance(prefix, str):
        raise RejectedRow("assistant_prefix is not text", f"found {type(prefix).__name__}")

    prefix = unix(prefix)
    if rendered(response).startswith(prefix):
        return prefix

    opening = TAG_SETS[name].tags[0] if name else ""
    inside = prefix.lstrip().removeprefix(opening)
    if not isinstance(response, LongThought) or inside == prefix or not response.thought.startswith(inside.lstrip()):
        raise RejectedRow("the response does not begin with assistant_prefix", repr(prefix[-40:]))

    return f"{BEGIN_THOUGHT}\n\n{inside.lstrip()}"
