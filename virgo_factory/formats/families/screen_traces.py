"""VLM-Reasoning-Traces: thoughts on phone screenshots, trace and answer as lists of text.

Real rows of LlamaTouch/VLM-Reasoning-Traces: ScreenSpot files have `instruction` and `filename` (the screenshot),
AndroidControl files only name an episode, so that no question can be made of their rows.
"""

from collections.abc import Mapping
from typing import Any

from virgo_factory.core.example import Example
from virgo_factory.formats.layouts.thought_columns import long_thought
from virgo_factory.formats.options import Options
from virgo_factory.formats.row import RejectedRow, example_of, own_id, plain, question_of, read_images, text_id


FORMAT = "screen_traces"
ANY_OF = ("thinking",)


def recognises(row: Mapping[str, Any]) -> bool:
    """Whether there are lists `thinking` and `text`."""
    return isinstance(row.get("thinking"), list) and isinstance(row.get("text"), list)


def read(row: Mapping[str, Any], options: Options) -> Example:
    """Return the example of a row."""
    question = question_of(row)
    filename = row.get("filename")
    images = read_images(row) or ((filename,) if isinstance(filename, str) and filename else ())
    thought = long_thought(_joined(row, "thinking"), _joined(row, "text"))
    return example_of(row, question, thought, FORMAT, _id(row, question), images=images)


def _joined(row: Mapping[str, Any], column: str) -> str:
    texts = plain(row[column])
    if not texts or not all(isinstance(text, str) for text in texts):
        raise RejectedRow(f"{column} is not a list of texts")

    return "\n\n".join(texts)


def _id(row: Mapping[str, Any], question: str) -> str:
    """Return the id: one screenshot has several instructions, and one episode several screenshots."""
    if known := own_id(row):
        return known

    if isinstance(row.get("episode_id"), (str, int)) and isinstance(row.get("index"), (str, int)):
        return f"{row['episode_id']}-{row['index']}"

    return text_id(f"{row.get('filename')}\n{question}")
