"""Prompts for reinforcement learning: a question with the gold answer that responses are held against, and no response.

Three layouts: questions.jsonl (rollouts/question.py), verl's (`prompt` as messages, `reward_model.ground_truth`,
`data_source`, `extra_info`), and any row with a question and an answer in columns of their own. Question, pictures and
system message are read as those of rows to imitate are, so that a prompt is the same tokens in both trainings.
"""

import contextlib
import functools
import re
from collections.abc import Mapping
from typing import Any

from virgo_factory.core.example import IMAGE, Example
from virgo_factory.formats.any_row.second_columns import second_columns
from virgo_factory.formats.layouts.messages import listed, message_column, read_messages, role_of
from virgo_factory.formats.marks.names import snake
from virgo_factory.formats.options import Options
from virgo_factory.formats.pictures.values import is_blank
from virgo_factory.formats.row import (
    ANSWER_COLUMNS,
    RejectedRow,
    columns_found,
    domain_of,
    plain,
    question_of,
    read_images,
    row_id,
    source_of,
    with_image,
)


GOLD_COLUMNS = ("gold", *ANSWER_COLUMNS, "solution")
PASS_RATES = ("pass_rate", "avg_reward")
"""Columns that say how often a model was right, from 0 to 1; the second is OpenMMReasoner's."""
_RATE = re.compile(r"(?:\w+_)?pass_rate(?:_\w+)?")
"""The same with the name of the model, in snake_case: `qwen3vl_4b_pass_rate` (MMFineReason), `PassRate_7BBase` (ViRL39K)."""
UNMEASURED = -1
"""What ViRL39K has where no rate was measured."""
FACTS = ("unit", "precision", "tolerance", "several", "grading")
"""What else a row of questions.jsonl may know for the verdict."""
_BOX = re.compile(r"\s*\\boxed\s*\{.*\}\s*", re.DOTALL)
UNCHECKABLE = "the gold answer cannot be checked"


def read(row: Mapping[str, Any], options: Options = Options()) -> Example:
    """Return the example of one prompt, without a response.

    Raises RejectedRow for no question, no gold answer, one that not even itself is held to be equal to, or no such grading.
    """
    images = read_images(row)
    system = None
    if column := message_column(row):
        chat = read_messages(row, column, is_pair=_ends_with_question(row[column]))
        if len(chat.turns) + (chat.asked is not None) > 1:
            raise RejectedRow("a prompt of several turns", f"{len(chat.turns) + 1} questions in {column}")

        system, images = chat.system, images or chat.images
        asked = chat.asked if chat.asked is not None else chat.turns[0][0]
    else:
        asked = _parts(row) or question_of(row)

    gold = _gold(row)
    choices = _choices(row)
    if "gold" in row:  # of questions.jsonl: asked as there (rollouts/prompt.py, asked_text)
        from virgo_factory.answers.options import with_options

        asked = with_options(asked if IMAGE in asked else IMAGE * len(images) + asked.strip(), choices, read=asked)

    facts = {name: plain(row[name]) for name in FACTS if row.get(name) is not None}
    facts |= {"gold": gold, "options": choices, "kind": _kind(row, choices), "text": asked.replace(IMAGE, "").strip()}
    if (rate := pass_rate(row)) is not None:
        facts["pass_rate"] = rate

    _check_gold(facts)
    more = row.get("extra_info") if isinstance(row.get("extra_info"), Mapping) else {}
    own = row if "index" not in more or "id" in row else {"id": f"{row.get('data_source', 'row')}/{more['index']}"}
    return Example(
        id=row_id(own, asked),
        question=with_image(asked, images),
        response="",
        images=images,
        system=system,
        answer=str(gold),
        source=source_of(row) or (str(row["data_source"]) if row.get("data_source") else None),
        domain=domain_of(row),
        format="questions",
        learned=False,  # there is nothing yet
        asked=facts,
    )


def _ends_with_question(messages: Any) -> bool:
    found = listed(messages)
    return bool(isinstance(found, list) and found and isinstance(found[-1], Mapping) and role_of(found[-1]) == "user")


def _parts(row: Mapping[str, Any]) -> str:
    """Return the text of `parts` (texts, and positions of pictures), or "" without them."""
    parts = plain(row.get("parts"))
    if not isinstance(parts, list):
        return ""

    return "".join(IMAGE if isinstance(part, int) else str(part) for part in parts).strip()


def _gold(row: Mapping[str, Any]) -> Any:
    reward, more = row.get("reward_model"), row.get("extra_info")
    places = [(name, row.get(name)) for name in GOLD_COLUMNS]
    places.insert(
        1, ("reward_model.ground_truth", reward.get("ground_truth") if isinstance(reward, Mapping) else None)
    )
    places.append(("extra_info.answer", more.get("answer") if isinstance(more, Mapping) else None))
    for name, value in places:
        value = plain(value)
        if is_blank(value):
            continue

        if not isinstance(value, str | int | float) and not (
            isinstance(value, list) and all(isinstance(part, str | int | float) for part in value)
        ):
            raise RejectedRow(
                "the gold answer is no text, number or list of these", f"{name} is a {type(value).__name__}"
            )

        return value

    empty = [name for name, value in places if value is not None]
    expected = f"{columns_found(row)}; expected one of {', '.join(name for name, _ in places)}"
    raise RejectedRow("no gold answer", f"{', '.join(empty)} is empty" if empty else expected)


def _choices(row: Mapping[str, Any]) -> list[str]:
    from virgo_factory.answers.options import read_options

    found = second_columns(tuple(row))
    columns = found.options if found else ()
    letters = {name: row[name] for name in columns if len(name) == 1 and not is_blank(row[name])}
    values = [row[name] for name in columns if name not in letters] + ([letters] if letters else [])
    return next((list(options) for value in values if (options := read_options(plain(value)))), [])


def _kind(row: Mapping[str, Any], choices: list[str]) -> str | None:
    from virgo_factory.answers import KINDS

    if row.get("kind") in KINDS:
        return row["kind"]

    return "choice" if choices else None  # so that a gold which is none of the options is told


@functools.lru_cache(1024)
def rate_columns(columns: tuple[Any, ...]) -> tuple[str, ...]:
    """Return those of some columns that say how often a model was right: `pass_rate` or `avg_reward` alone, where one is there.

    >>> (
    ...     rate_columns(("question", "PassRate_32BTrained", "PassRate_7BBase")),
    ...     rate_columns(("a_pass_rate", "pass_rate")),
    ... )
    (('PassRate_32BTrained', 'PassRate_7BBase'), ('pass_rate',))
    """
    plainly = next(((name,) for name in PASS_RATES if name in columns), None)
    return plainly or tuple(name for name in columns if isinstance(name, str) and _RATE.fullmatch(snake(name)))


def pass_rate(row: Mapping[str, Any], column: str | None = None) -> float | None:
    """Return how often a model was right, by the row; None where it does not say, or two models' rates do.

    `column`: whose rate is meant, where a row has several. Raises RejectedRow where its rate is no share.
    """
    names = (column,) if column else rate_columns(tuple(row))
    if len(names) != 1 or is_blank(value := row.get(names[0])):
        return None

    if isinstance(value, str):
        with contextlib.suppress(ValueError):
            value = float(value)

    if value == UNMEASURED or value != value or isinstance(value, str) and value.strip().lower() in ("n/a", "na"):
        return None

    if isinstance(value, bool | str) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise RejectedRow(f"{names[0]} is not a share from 0 to 1", f"found {value!r}"[:80])

    return float(value)


def shows_prompts(row: Any) -> bool:
    """Whether a row says by itself that it is a prompt with a gold answer, and no row to imitate.

    verl's and those with a pass rate, or with a gold answer that is nothing but a box (ViRL39K); a mere question with its
    answer may be anything.
    """
    if not isinstance(row, Mapping):
        return False

    reward = row.get("reward_model")
    if isinstance(reward, Mapping) and not is_blank(reward.get("ground_truth")):
        return True

    golds = [row[name] for name in GOLD_COLUMNS if not is_blank(row.get(name))]
    has_sign = bool(rate_columns(tuple(row))) or any(isinstance(gold, str) and _BOX.fullmatch(gold) for gold in golds)
    return bool(golds) and has_sign and not isinstance(_question(row), RejectedRow)


def _question(row: Mapping[str, Any]) -> str | RejectedRow:
    try:
        return _parts(row) or question_of(row)
    except RejectedRow as error:
        return error


def _check_gold(facts: Mapping[str, Any]) -> None:
    """Raise RejectedRow where no response could ever be right: the gold answer itself is not, or its grading is unknown."""
    from virgo_factory.answers import Answer
    from virgo_factory.answers.batch import Task, verdict_of
    from virgo_factory.answers.grading import GRADINGS
    from virgo_factory.answers.model import gold_text, question_from

    name = facts.get("grading", "math")
    if not isinstance(name, str) or name not in GRADINGS:
        raise RejectedRow("grading unknown", f"{repr(name)[:60]} is not one of {', '.join(GRADINGS)}")

    gold = facts["gold"]
    text = gold_text(gold)
    task = Task(Answer(text, "given", "given"), gold, question_from(facts), GRADINGS[name])
    verdict = verdict_of(task)
    if verdict.correct is not True:
        raise RejectedRow(UNCHECKABLE, f"{text[:80]!r}: {verdict.words}")
