"""Scorers of papers, with their faults, for their tables alone: pure functions that say what a judge has to be asked."""

from virgo_factory.evaluation.scorers.omr import omr
from virgo_factory.evaluation.scorers.paper import PAPER
from virgo_factory.evaluation.scorers.step import JudgeRequest, Scorer, Step


__all__ = ["PAPER", "JudgeRequest", "Scorer", "Step", "omr"]
