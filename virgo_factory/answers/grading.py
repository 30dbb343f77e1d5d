"""How strict a verdict is: one frozen configuration a dataset, by name."""

from dataclasses import dataclass, replace
from typing import Literal

from virgo_factory.core.errors import UserError


@dataclass(frozen=True)
class GradingConfig:
    """The rules of one dataset. The defaults are those for mathematics.

    Attributes:
        name: what the configuration is asked for by.
        relative_tolerance: of numbers that are not whole (Qwen2.5-Math and OlympiadBench use 1e-4 and less).
        relaxed: apply `relative_tolerance` to whole numbers too (ChartQA); years stay exact.
        rounding: accept an answer that rounds to the gold at the gold's own decimals.
        percent_scale: accept 75 for 0.75 without any percent sign (Qwen2.5-Math's grader).
        ordered_lists: the order of a bare list counts. Tuples, intervals and matrices are always ordered.
        gold_list: a gold that is a list names "all" answers or "any" one that is accepted.
        option_base: 0 or 1 where a bare number given for a choice is the option's index; None where it is its text.
        letters: whether a single letter where the options are letters themselves is a "label", or "either" label or text.
        accept_thought: judge an answer that stands only inside the thought.
        synonyms: (word, the word it stands for), of answers that are one word.
    """

    name: str = "math"
    relative_tolerance: float = 1e-4
    relaxed: bool = False
    rounding: bool = False
    percent_scale: bool = False
    ordered_lists: bool = False
    gold_list: Literal["all", "any"] = "all"
    option_base: Literal[0, 1] | None = None
    letters: Literal["either", "label"] = "either"
    accept_thought: bool = True
    synonyms: tuple[tuple[str, str], ...] = ()


_CLEVR = {
    **{"large": ("big",), "small": ("tiny",), "metal": ("metallic", "shiny"), "rubber": ("matte",)},
    **{"cube": ("block",), "sphere": ("ball",)},
}
"""The words that CLEVR's generator uses for one another (reference: visual_sources.md section 4)."""

MATH = GradingConfig()

GRADINGS = {
    config.name: config
    for config in (
        MATH,
        replace(MATH, name="letters", letters="label"),
        replace(MATH, name="olympiadbench", relative_tolerance=1e-8),
        replace(MATH, name="mathvision"),
        replace(MATH, name="mathverse", rounding=True),
        replace(MATH, name="mathvista"),
        replace(MATH, name="mmmu", gold_list="any", rounding=True, letters="label"),
        replace(MATH, name="chartqa", relative_tolerance=0.05, relaxed=True),
        replace(MATH, name="figureqa"),
        replace(MATH, name="clevr", synonyms=tuple((word, of) for of, others in _CLEVR.items() for word in others)),
        replace(MATH, name="tabmwp"),
        replace(MATH, name="iconqa", option_base=0),
        replace(MATH, name="geos", option_base=1),
        replace(MATH, name="geometry3k", rounding=True),
        replace(MATH, name="geoqa", rounding=True),
        replace(MATH, name="strict", accept_thought=False),
    )
}
"""The named configurations."""


def grading(name: str) -> GradingConfig:
    """Return the configuration of that name."""
    if name not in GRADINGS:
        raise UserError(f"grading: {name!r} is not one of {', '.join(GRADINGS)}")
    return GRADINGS[name]
