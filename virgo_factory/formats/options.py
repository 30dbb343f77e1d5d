"""What the user says about a dataset in dataset_info.json, as far as reading its rows depends on it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from virgo_factory.core.errors import UserError


RESPONSES = ("shortest", "all")
TURNS = ("history", "split")
DIFFICULTIES = {"medium": (4, 5), "hard": (2, 3)}
"""Virgo's levels: how many of five responses are correct."""

RATED = ("virgo_dsd", "long_thought")
"""Values of `formatting` under which rows can tell their difficulty."""

REQUIRED = ("messages", "prompt", "response", "chosen", "rejected", "question", "thought", "solution")
COLUMNS = (*REQUIRED, "gold", "pass_rate", "query", "history", "images", "system", "assistant_prefix", "kto_tag")
"""Names of columns that some format reads: LLaMA-Factory's, three of the normal form, two of prompts, KTO's verdict. A row must
have those of REQUIRED that are named."""


TAGS = {"role_tag": "role", "content_tag": "content", "user_tag": "user", "assistant_tag": "assistant", "system_tag": "system",
        "observation_tag": "tool", "function_tag": "function"}  # fmt: skip
"""LLaMA-Factory's `tags` of an entry -> the key or role of a message that is meant."""


@dataclass(frozen=True)
class Options:
    """How to read the rows of one dataset."""

    # keep a response that is no long thought as the text it is (recipe key `malformed: keep`)
    keep_malformed: bool = False
    # of a row with several responses, "shortest": the shortest correct one, as Virgo does; "all": every correct
    # one
    responses: str = "shortest"
    ranking: bool = False  # rows are preference pairs
    # name of a column (one of COLUMNS) -> its name in the file
    columns: Mapping[str, str] = field(default_factory=dict)
    # only rows of this level (a key of DIFFICULTIES), by their five scores or their own column `difficulty`; None
    # for all
    difficulty: str | None = None
    # of a conversation, "history": one example, earlier turns are its history; "split": each question an example
    # of its own, for sets whose questions on a picture do not depend on each other
    turns: str = "history"
    # how keys and roles of messages are called in the file -> what they are, as TAGS has it
    tags: Mapping[str, str] = field(default_factory=dict)


def options_of(entry: Mapping[str, Any], malformed: str = "drop") -> Options:
    """Return the options of a dataset_info.json entry.

    Raises ValueError for a value that a key cannot have, and where `columns` names a column that no format reads. `malformed`:
    the recipe key of this name.
    """
    responses, turns = entry.get("responses", "shortest"), entry.get("turns", "history")
    for key, value, allowed in (("responses", responses, RESPONSES), ("turns", turns, TURNS)):
        if value not in allowed:
            raise UserError(f"{key}: {value!r} in dataset_info.json. It is one of {', '.join(allowed)}.")

    ranking = entry.get("ranking", False)
    if not isinstance(ranking, bool):
        raise UserError(f"ranking: {ranking!r} in dataset_info.json. It is true or false.")

    difficulty = entry.get("difficulty")
    if not (difficulty is None or isinstance(difficulty, str) and difficulty in DIFFICULTIES):
        raise UserError(f"difficulty: {difficulty!r} in dataset_info.json. It is one of {', '.join(DIFFICULTIES)}.")

    if difficulty and entry.get("formatting") not in RATED:
        raise UserError(
            f"difficulty in dataset_info.json needs rows that tell it: formatting {' or '.join(RATED)}, "
            f"not {entry.get('formatting')!r}."
        )

    columns, tags = entry.get("columns") or {}, entry.get("tags") or {}
    for key, names, such in (("columns", columns, '{"messages": "chat"}'), ("tags", tags, '{"role_tag": "speaker"}')):
        if not isinstance(names, Mapping) or not all(isinstance(name, str) for name in names.values()):
            raise UserError(f"{key}: {names!r} in dataset_info.json. It is an object such as {such}.")

    if unknown := [str(name) for name in columns if name not in COLUMNS]:
        near = [f"{close[0]} for {name}" for name in unknown if (close := get_close_matches(name, COLUMNS, 1))]
        meant = f"Perhaps {', '.join(near)}. " if near else ""
        raise UserError(
            f"columns: {', '.join(unknown)} in dataset_info.json is read by no format. {meant}"
            f"It names some of {', '.join(COLUMNS)}."
        )

    if "prompt" in columns and "question" in columns:
        raise UserError("columns: prompt and question in dataset_info.json are the same. Name one of them.")

    places: dict[str, str] = {}
    for name, column in columns.items():
        if (other := places.setdefault(column, name)) != name:
            raise UserError(
                f"columns: {other} and {name} in dataset_info.json both name {column}. It can be one of them."
            )

    if ("thought" in columns or "solution" in columns) and entry.get("formatting", "long_thought") != "long_thought":
        raise UserError(
            f"columns: thought and solution in dataset_info.json need formatting long_thought, not "
            f"{entry['formatting']!r}."
        )

    if "solution" in columns and "thought" not in columns:
        raise UserError("columns: solution in dataset_info.json needs thought beside it.")

    if unknown := [str(name) for name in tags if name not in TAGS]:
        raise UserError(
            f"tags: {', '.join(unknown)} in dataset_info.json is read by no format. There are {', '.join(TAGS)}."
        )

    named = {name: TAGS[tag] for tag, name in tags.items() if name != TAGS[tag]}
    return Options(malformed == "keep", responses, ranking, dict(columns), difficulty, turns, named)
