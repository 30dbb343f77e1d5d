"""LlamaV-o1: a dialogue of four stages, asked for by fixed sentences.

Reference: raw_formats.md section 16. The layout of a stored row is inferred; the sentences are those of the project's
evaluation (eval/llama_vision.py), and only a dialogue with all four of them, word by word, is read so.
"""

from collections.abc import Mapping
from typing import Any

from virgo_factory.core.example import Example
from virgo_factory.formats.layouts.messages import message_column, read_messages
from virgo_factory.formats.layouts.thought_columns import long_thought
from virgo_factory.formats.marks.row_marks import learned_turns
from virgo_factory.formats.options import Options
from virgo_factory.formats.row import RejectedRow, example_of, read_images


FORMAT = "four_stages"
STAGES = (
    "Summarize how you will approach the problem and explain the steps you will take to reach the answer.",
    "Provide a detailed description of the image, particularly emphasizing the aspects related to the question.",
    "Provide a chain-of-thought, logical explanation of the problem. This should outline step-by-step reasoning.",
    "State the final answer in a clear and direct format. It must match the correct answer exactly.",
)


def recognises(row: Mapping[str, Any]) -> bool:
    """Whether the four questions end with the four sentences."""
    column = message_column(row)
    if column is None or not isinstance(row[column], list) or not 8 <= len(row[column]) <= 9:
        return False

    try:
        turns = read_messages(row, column).turns
    except RejectedRow:
        return False

    questions = [turn.question.strip() for turn in turns]
    return len(questions) == 4 and questions[0].endswith(STAGES[0]) and tuple(questions[1:]) == STAGES[1:]


def read(row: Mapping[str, Any], options: Options) -> Example:
    """Return the example of a dialogue: the first three answers are the thought, the last one is the solution."""
    chat = read_messages(row, message_column(row))
    why, _ = learned_turns(row, chat.responses)
    if any(why):  # the stages are one response
        raise next(filter(None, why))

    question = chat.turns[0][0].strip().removesuffix(STAGES[0]).strip()
    *stages, solution = (turn.response for turn in chat.turns)
    thought = long_thought("\n\n".join(stage.strip() for stage in stages), solution)
    images = read_images(row) or chat.images
    return example_of(row, question, thought, FORMAT, images=images, system=chat.system)
