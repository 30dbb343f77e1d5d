"""Answers: from a long thought to a verdict that can be trusted. Pure: no torch, no LLaMA-Factory.

`extract` finds the answer in a response, `judge` compares it with the gold answer, `score` does both, and
`score_many` does it for many in processes that can be killed.
"""

import importlib
from typing import TYPE_CHECKING, Any

from virgo_factory.answers.grading import GRADINGS, GradingConfig, grading
from virgo_factory.answers.model import KINDS, REASONS, Answer, Question, Verdict


if TYPE_CHECKING:
    from virgo_factory.answers.batch import Task, score_many
    from virgo_factory.answers.extraction import extract
    from virgo_factory.answers.judging import judge, score

__all__ = [
    "GRADINGS",
    "KINDS",
    "REASONS",
    "Answer",
    "GradingConfig",
    "Question",
    "Task",
    "Verdict",
    "extract",
    "grading",
    "judge",
    "score",
    "score_many",
]

_MODULES = {"Task": "batch", "score_many": "batch", "extract": "extraction", "judge": "judging", "score": "judging"}
"""Imported when they are asked for: who needs a number read (`data check`, in each worker) need not wait for all patterns."""


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
