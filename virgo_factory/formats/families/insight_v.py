"""Insight-V: the thought in steps.

Reference: raw_formats.md section 17; the steps are those of its generator (data_generation/data_generation.py), which
ends with a final answer of its own, either as an object or as a list ["Final Answer", text, seconds].
"""

import json
from collections.abc import Mapping
from typing import Any

from virgo_factory.core.example import Example
from virgo_factory.formats.layouts.thought_columns import long_thought
from virgo_factory.formats.options import Options
from virgo_factory.formats.row import RejectedRow, example_of, plain, question_of, text_of


FORMAT = "steps"
ANY_OF = ("steps",)


def recognises(row: Mapping[str, Any]) -> bool:
    """Whether there is a list of steps with title and content."""
    steps = row.get("steps")
    return isinstance(steps, list) and bool(steps) and _is_step(steps[0])


def _is_step(step: Any) -> bool:
    return isinstance(step, dict) and "title" in step and "content" in step


def read(row: Mapping[str, Any], options: Options) -> Example:
    """Return the example of a row: the steps' contents in order, and the final answer's content."""
    *steps, last = row["steps"]
    final = plain(row.get("final"))
    if final is None and (not _is_step(last) or _is_final(last)):
        final = plain(last)
    else:
        steps.append(last)

    if not steps:
        raise RejectedRow("no step before the final answer")

    contents = []
    for position, step in enumerate(steps, start=1):
        if not _is_step(step):
            raise RejectedRow("a step is not an object with title and content", f"step {position}")

        if step["title"] == "Error":
            raise RejectedRow("a step failed", f"step {position} has the title Error")

        contents.append(text_of(step, "content").strip())

    question = question_of(row)
    return example_of(row, question, long_thought("\n\n".join(contents), _final_text(final)), FORMAT)


def _is_final(step: Mapping[str, Any]) -> bool:
    return isinstance(step["title"], str) and step["title"].strip().lower() == "final answer"


def _final_text(final: Any) -> str:
    if isinstance(final, list) and len(final) == 3 and final[0] == "Final Answer":
        final = final[1]

    if isinstance(final, str):
        try:
            final = json.loads(final) if final.lstrip().startswith("{") else {"content": final}
        except (ValueError, RecursionError):
            raise RejectedRow("the final answer is not readable", "it begins like JSON and is none") from None

    if not isinstance(final, dict):
        raise RejectedRow("no final answer", "expected a column final, or a last step with this title")

    return text_of(final, "content")
