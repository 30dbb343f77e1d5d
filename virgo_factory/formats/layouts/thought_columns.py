"""Thought and solution in columns of their own: no tags to parse.

Reference raw_formats.md section 5 (OpenThoughts-114k metadata); HuatuoGPT-o1 (rows of its released demo data); s1K-1.1;
the project's own normal form, which also carries history, rejected response and context prefix; and any row with a
question whose other columns are called as `fields` knows them.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from virgo_factory.core.example import IMAGE, Example, Turn
from virgo_factory.core.thought import REASONS, LongThought, MalformedThought
from virgo_factory.formats.fields import (
    is_thought,
    question_columns,
    same_thoughts,
    thought_columns,
    thought_of_message,
    thought_text,
)
from virgo_factory.formats.layouts.messages import content_text, either, message_column, role_of
from virgo_factory.formats.layouts.tags import (
    ANOTHER_SOLUTION,
    PAIRS,
    TAG_SETS,
    bare_solution,
    bare_thought,
    ends_thought,
    format_of,
    parse_response,
)
from virgo_factory.formats.marks.response_marks import WRONG
from virgo_factory.formats.marks.row_marks import learned_turns
from virgo_factory.formats.marks.values import said
from virgo_factory.formats.options import Options
from virgo_factory.formats.row import (
    QUESTION_COLUMNS,
    Reading,
    RejectedRow,
    answer_of,
    attempt,
    example_of,
    naming,
    plain,
    question_of,
    read_images,
    row_id,
    text_of,
    with_image,
)
from virgo_factory.formats.texts import unix


@dataclass(frozen=True)
class Columns:
    """Names of the columns of one layout; `grade` is the one that says "No" of a wrong solution."""

    format: str
    thought: str
    solution: str
    question: tuple[str, ...] = QUESTION_COLUMNS
    grade: str = ""


HUATUO_QUESTIONS = ("Question", "Open-ended Verifiable Question")
NAMED = Columns("thought_solution", "thought", "solution")
LAYOUTS = (
    NAMED,
    Columns("openthoughts_metadata", "deepseek_reasoning", "deepseek_solution"),
    Columns("huatuogpt_o1", "Complex_CoT", "Response", HUATUO_QUESTIONS),
    Columns("reasoning_solution", "reasoning", "solution"),
    Columns("s1k", "deepseek_thinking_trajectory", "deepseek_attempt", grade="deepseek_grade"),
)
FOUND = "thought_columns"
"""Format of a row whose thought is in a column that only its name tells (see fields.py)."""

KINDS = dict.fromkeys(("s1k", FOUND), "think")
"""Format -> what it is a mere spelling of, as in `tags.KINDS`: names of models in front of the columns tell no layout."""


def layout_of(row: Mapping[str, Any]) -> Columns | None:
    """Return the layout of which the row has both columns, and something in one of them."""
    for layout in LAYOUTS:
        if layout.thought in row and layout.solution in row:
            if row[layout.thought] is not None or row[layout.solution] is not None:
                return layout

    if (pair := pair_of(row)) is None:
        return None

    questions = tuple(name for name in question_columns(tuple(row)) if isinstance(row[name], str))
    if not questions:
        return None

    if format_of(bare_solution(row[pair[1]] or "")) is not None:
        return None  # it is a whole response

    return Columns(FOUND, *pair, questions[:1])


def pair_of(row: Mapping[str, Any]) -> tuple[str, str] | None:
    """Return the columns of thought and solution that their names tell, one with a thought in it first.

    An empty `attempt` is the solution: the one beside it is the gold one (s1K).
    """
    found = []
    for thought, solutions in thought_columns(tuple(row)):
        named = (
            name
            for name in solutions
            if _is_text(row[name]) or name.endswith("attempt") and isinstance(row[name], str | None)
        )
        if is_thought(row[thought]) and (solution := next(named, None)):
            found.append((thought, solution))

    return next((pair for pair in found if row[pair[0]]), found[0] if found else None)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def recognises(row: Mapping[str, Any]) -> bool:
    """Whether there is a thought and a solution."""
    layout = layout_of(row)
    return layout is not None and (layout.format != FOUND or message_column(row) is None)


def read(row: Mapping[str, Any], options: Options) -> Reading:
    """Return the example of a row. Raises RejectedRow where another column may as well hold its thought."""
    layout = layout_of(row)
    if other := _other_thought(row, layout):
        line = naming(thought=layout.thought, solution=layout.solution)
        raise RejectedRow(
            "two thoughts in the row", f"{layout.thought} and {other} differ; say which is meant: {line}"
        )

    return Reading(layout.format, (attempt(lambda: _example(row, layout)),))


def _other_thought(row: Mapping[str, Any], layout: Columns) -> str | None:
    """Return another column of the same model's thought that says something else; None without one."""
    for name in same_thoughts(tuple(row), layout.thought):
        if name != layout.solution and row[name] is not None and is_thought(row[name]):
            own, other = (" ".join((thought_text(row[column]) or "").split()) for column in (layout.thought, name))
            if not (other in own or own in other):
                return name

    return None


def read_named(row: Mapping[str, Any], options: Options) -> Reading:
    """Return the example of a row whose thought `columns` names: `solution`, or else `response`, is the solution."""
    layout = NAMED if "solution" in options.columns else replace(NAMED, solution="response")
    if "response" not in options.columns and "solution" not in options.columns and (pair := pair_of(row)):
        layout = replace(NAMED, solution=pair[1])

    questions = tuple(name for name in question_columns(tuple(row)) if isinstance(row[name], str))
    layout = replace(layout, question=questions[:1] or QUESTION_COLUMNS)
    return Reading(layout.format, (attempt(lambda: _example(row, layout)),))


def _example(row: Mapping[str, Any], layout: Columns) -> Example:
    if layout.grade and said(row.get(layout.grade)) is False:
        raise RejectedRow(WRONG, f"{layout.grade} is {row[layout.grade]}")

    images = read_images(row)
    question = question_of(row, layout.question)
    earlier = _objects(row, "history")
    why, notes = learned_turns(row, (*earlier, {}))
    history = tuple(_turn(item, reason is None) for item, reason in zip(earlier, why[:-1], strict=True))
    if not history or (len(images) == 1 and not any(IMAGE in turn.question for turn in history)):
        question = with_image(question, images)

    rejected = _objects(row, "rejected")
    prefix = row.get("assistant_prefix")
    if not isinstance(prefix, str | None):
        raise RejectedRow("assistant_prefix is not text", f"found {type(prefix).__name__}")

    is_learned = why[-1] is None
    answer = answer_of(row, layout.solution)
    try:
        response = _response(row, layout.thought, layout.solution, is_learned)
    except RejectedRow as error:
        if error.reason != ANOTHER_SOLUTION or layout.format != FOUND:
            raise

        response, answer = _with_gold(row, layout, error), row[layout.solution].strip()

    other = _response(rejected[0]) if rejected else None
    prefix = unix(prefix or "") if is_learned else ""
    more = {"history": history, "rejected": other, "assistant_prefix": prefix, "learned": is_learned, "notes": notes}
    system = row.get("system") or None
    return example_of(
        row, question, response, layout.format, row_id(row, question), answer=answer, system=system, **more
    )


def _with_gold(row: Mapping[str, Any], layout: Columns, error: RejectedRow) -> LongThought:
    """Return the whole response in the column of a thought, where what stands beside it is the gold answer that it gives.

    Raises RejectedRow where it gives another answer, none that is certain, or is not well formed.
    """
    text, gold = unix(thought_text(row[layout.thought]) or ""), text_of(row, layout.solution).strip()
    found = parse_response(text, format_of(text))
    if _gives(found.solution.strip(), gold):
        return found

    line = naming(question=layout.question[0], response=layout.thought)
    raise RejectedRow(error.reason, f"{error.detail}; where {layout.thought} is the whole response, say so: {line}")


_BEHIND_ANSWER = re.compile(r"(?:</answer>|[\s.*$])*\Z", re.IGNORECASE)


def _gives(solution: str, gold: str) -> bool:
    """Whether the last box of a solution, or else its end, is the gold answer letter by letter."""
    before, found, boxed = solution.rpartition("\\boxed{")
    if found:
        return boxed.startswith(f"{gold}}}")

    end = solution[: _BEHIND_ANSWER.search(solution, max(0, len(solution) - 40)).start()]
    return (
        end.endswith(gold) and not end[: -len(gold)][-1:].isalnum() and not end[: -len(gold)].endswith((".", "-", ","))
    )


_THOUGHT_OPENINGS = ("<thoughts>", *(opening.lower() for opening, _ in PAIRS.values()))


def response_of(row: Mapping[str, Any], thought: str, solution: str) -> LongThought:
    """Return the long thought of two columns; tags of their own around the whole of either are left out.

    Raises RejectedRow where one is missing, no text, blank, or holds a marker; for several thoughts in a list.
    """
    value = row.get(thought)
    if isinstance(value, list) and len(value) == 1:
        value = value[0]

    if isinstance(value, (list, dict)):
        if isinstance(value, list) and not all(isinstance(item, dict) for item in value):
            raise RejectedRow(f"{thought} is not one text", f"found a list of {len(value)}")

        value = thought_text(value)

    text = text_of(row | {thought: value}, thought)
    response = text_of(row, solution)
    if response.lstrip()[:40].lower().startswith(_THOUGHT_OPENINGS):
        return beside(text, response)

    return long_thought(text, bare_solution(response))


def beside(thought: str, response: str) -> LongThought:
    """Return the long thought of a thought and the response that it stands beside.

    The response may hold the thought once more, or an empty one, in tags of its own. Raises RejectedRow where one is blank or
    holds a marker, or the response holds another thought.
    """
    name = format_of(response)
    if name is None or not ends_thought(response, name):
        return long_thought(thought, bare_solution(response))

    opening, closing = TAG_SETS[name].tags[:2]
    try:
        whole = TAG_SETS[name].parse(response)
    except MalformedThought as error:
        if error.reason != "empty_thought":
            raise _rejected(error, "response") from None

        behind = response[response.lower().rfind(closing.lower()) + len(closing) :]  # a template's
        return long_thought(thought, bare_solution(behind))

    if whole.thought != long_thought(thought, whole.solution).thought:
        raise RejectedRow("two different thoughts in a message", f"one in {opening} and one in a field of its own")

    return whole


def thought_beside(row: Mapping[str, Any]) -> str | None:
    """Return the thought in a column beside a whole chat; None without one."""
    for column, _ in thought_columns(tuple(row)):
        if row[column] is not None and is_thought(row[column]):
            return thought_text(row[column])

    return None


def response_beside(row: Mapping[str, Any]) -> tuple[str | None, str] | None:
    """Return thought (None where it may be inside) and response in columns beside a chat that ends with a question.

    Thought and solution (Dolphin-R1), a response (Llama-Nemotron), or an answering message (TRL's `completion`).
    """
    if (pair := pair_of(row)) and row[pair[0]] is not None and (thought := thought_text(row[pair[0]])):
        solution = unix(row[pair[1]])
        if format_of(solution) is None:
            return thought, solution

    for column in RESPONSES_BESIDE:
        value = row.get(column)
        if isinstance(value, list) and len(value) == 1:
            value = value[0]

        if isinstance(value, str) and value.strip():
            return None, unix(value)

        if isinstance(value, dict) and role_of(value) in ("assistant", None):
            thoughts: list[str] = []
            text = content_text(plain(either(value, "content", "value")), [], thoughts)
            return "\n\n".join(thoughts) or thought_of_message(value), text

    return None


RESPONSES_BESIDE = ("response", "output", "completion", "generation")


def long_thought(thought: str, solution: str) -> LongThought:
    """Return the long thought of two texts; tags around the thought are left out. Raises RejectedRow if one is blank or holds a marker."""
    try:
        return LongThought(bare_thought(thought, solution), solution)
    except MalformedThought as error:
        raise _rejected(error, "thought or solution") from None


def _rejected(error: MalformedThought, place: str) -> RejectedRow:
    return RejectedRow(REASONS[error.reason], f"line {error.line} of the {place}")


def _objects(row: Mapping[str, Any], column: str) -> list[Mapping[str, Any]]:
    """Return the objects of a column: none, one, or a list."""
    value = plain(row.get(column))
    items = [] if value is None else value if isinstance(value, list) else [value]
    for item in items:
        if not isinstance(item, dict):
            raise RejectedRow(f"{column} is not in the normal form", f"found {type(item).__name__}")

    return items


def _turn(item: Mapping[str, Any], is_learned: bool) -> Turn:
    return Turn(text_of(item, "question"), _response(item, is_learned=is_learned), is_learned)


def _response(
    item: Mapping[str, Any], thought: str = "thought", solution: str = "solution", is_learned: bool = True
) -> LongThought | str:
    """Return a response; of one that is context only the solution may be there, which is the whole text then."""
    if not is_learned and not item.get(thought):
        return text_of(item, solution)

    return response_of(item, thought, solution)
