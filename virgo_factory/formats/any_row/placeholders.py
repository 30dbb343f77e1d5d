"""Placeholders that another column of the row is to fill: a model would learn to write them."""

from collections.abc import Mapping
from typing import Any

from virgo_factory.core.example import Example
from virgo_factory.core.lazy_pattern import LazyPattern
from virgo_factory.formats.any_row.foreign_tokens import outside_code
from virgo_factory.formats.any_row.second_columns import SecondColumns
from virgo_factory.formats.pictures.values import is_blank
from virgo_factory.formats.row import rendered
from virgo_factory.formats.texts import decoded


REASON = "a placeholder that is not filled"
_GROUNDING = LazyPattern(r"<(?:bbox|ref-object)>")
"""ms-swift's, which it fills from `objects` when it trains."""
_OF_TEMPLATE = LazyPattern(r"(?<![\\\w$^{}'])\{{1,2} ?(?P<name>[A-Za-z_]\w{3,}) ?\}{1,2}(?![\w{}'])")


def unfilled(row: Mapping[str, Any], example: Example, plan: SecondColumns | None) -> str:
    """Return a placeholder in a text of an example that a column of its row is to fill, and which; "" without one.

    `plan`: the columns that may hold a part of the prompt; others, such as `name`, fill nothing.
    """
    turns = (*example.history, example)
    if (objects := row.get("objects")) and not is_blank(decoded(objects) if isinstance(objects, str) else objects):
        for turn in turns:
            if found := _GROUNDING.search(f"{turn.question}\n{rendered(turn.response)}"):
                return f"{found.group()}, which objects fills"

    parts = (*plan.questions, *plan.contexts, *plan.options) if plan else ()
    for text in (example.system or "", *[turn.question for turn in turns]) if parts else ():
        for found in outside_code(text, _OF_TEMPLATE) if "{" in text else ():
            name = found["name"]
            if name in parts and not is_blank(row[name]) and str(row[name]).strip() not in text:
                return f"{found.group()}, which {name} fills"

    return ""
