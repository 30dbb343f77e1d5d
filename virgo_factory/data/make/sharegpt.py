"""The stock layout: chat messages with the four markers, which LLaMA-Factory reads without this package."""

from collections.abc import Mapping
from typing import Any

from virgo_factory.core.thought import LongThought
from virgo_factory.data.make.writing import Layout, Written


_MESSAGE = {"role": "text", "content": "text"}
_KEPT = ("id", "images", "answer", "source", "domain", "system", "difficulty")
TAGS = {
    "role_tag": "role",
    "content_tag": "content",
    "user_tag": "user",
    "assistant_tag": "assistant",
    "system_tag": "system",
}


def _columns(used: list[str]) -> list[str]:
    pairs = ["chosen", "rejected"] if "rejected" in used else []
    return ["id", "messages", *pairs, *(column for column in used if column in _KEPT[1:])]


def _row(row: Mapping[str, Any]) -> dict[str, Any]:
    messages = []
    for turn in row.get("history") or []:
        messages += [_said("user", turn["question"]), _response(turn)]

    messages.append(_said("user", row["question"]))
    answered: dict[str, Any] = {"messages": messages}
    if "rejected" in row:
        answered |= {"chosen": _response(row), "rejected": _response(row["rejected"])}
    else:
        messages.append(_response(row))

    return {"id": row["id"], **answered, **{column: row[column] for column in _KEPT[1:] if column in row}}


def _said(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


def _response(parts: Mapping[str, str]) -> dict[str, str]:
    return _said("assistant", LongThought(parts["thought"], parts["solution"]).render())


SHAREGPT = Layout(
    columns=_columns,
    row=_row,
    types={"messages": [_MESSAGE], "chosen": _MESSAGE, "rejected": _MESSAGE, "images": ["text"]},
)


def stock_entry(written: Written) -> dict[str, Any]:
    """Return the dataset_info.json entry of a file in this layout.

    Every column that LLaMA-Factory is to read must be listed, and every tag (reference llamafactory_095.md section 5).
    """
    entry: dict[str, Any] = {"file_name": written.path.name, "formatting": "sharegpt"}
    named = {"messages": "messages"}
    named |= {name: name for name in ("images", "system") if name in written.used}
    if "rejected" in written.used:
        entry["ranking"] = True
        named |= {"chosen": "chosen", "rejected": "rejected"}

    return {**entry, "columns": named, "tags": dict(TAGS)}
