"""Answers: from a long thought to a verdict that can be trusted. Pure: no torch, no LLaMA-Factory.

`extract` finds the answer in a response, `judge` compares it with the gold answer, `score` does both, and
`score_many` does it for many in processes that can be killed.
"""

from virgo_factory.answers.batch import Task, score_many
from virgo_factory.answers.extraction import extract
from virgo_factory.answers.grading import GRADINGS, GradingConfig, grading
from virgo_factory.answers.judging import judge, score
from virgo_factory.answers.model import KINDS, REASONS, Answer, Question, Verdict


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
