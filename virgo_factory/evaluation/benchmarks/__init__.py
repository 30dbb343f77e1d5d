"""The benchmarks: one small file each says where its rows are and what question a row asks."""

from virgo_factory.evaluation.benchmarks.benchmark import Benchmark
from virgo_factory.evaluation.benchmarks.charxiv import CHARXIV
from virgo_factory.evaluation.benchmarks.dynamath import DYNAMATH
from virgo_factory.evaluation.benchmarks.logicvista import LOGICVISTA
from virgo_factory.evaluation.benchmarks.mathverse import MATHVERSE
from virgo_factory.evaluation.benchmarks.mathvision import MATHVISION, TESTMINI
from virgo_factory.evaluation.benchmarks.mathvista import MATHVISTA
from virgo_factory.evaluation.benchmarks.mmmu import MMMU, MMMU_DEV, MMMU_PRO, MMMU_PRO_VISION
from virgo_factory.evaluation.benchmarks.olympiadbench import ENGLISH, OLYMPIADBENCH
from virgo_factory.evaluation.benchmarks.text import AIME24, AIME25, GPQA_DIAMOND, MMLU_PRO
from virgo_factory.evaluation.benchmarks.vision import CV_BENCH, MMSTAR, MMVP, VSTAR
from virgo_factory.evaluation.benchmarks.we_math import WE_MATH


__all__ = ["BENCHMARKS", "Benchmark", "samples_of", "title_of"]

BENCHMARKS: dict[str, Benchmark] = {
    benchmark.name: benchmark
    for benchmark in (
        *(MATHVERSE, MATHVISION, OLYMPIADBENCH, ENGLISH, MMMU, MMMU_DEV),
        *(MATHVISTA, TESTMINI, MMMU_PRO, MMMU_PRO_VISION, WE_MATH, DYNAMATH, LOGICVISTA, CHARXIV),
        *(MMSTAR, VSTAR, CV_BENCH, MMVP),
        *(AIME24, AIME25, GPQA_DIAMOND, MMLU_PRO),
    )
}


def title_of(name: str) -> str:
    """Return what papers call a benchmark."""
    return BENCHMARKS[name].title if name in BENCHMARKS else name


def samples_of(name: str, samples: int) -> int:
    """Return how many responses a question of a benchmark, or of one's own, gets: its own number where it has one.

    >>> samples_of("aime24", 1), samples_of("mmmu", 2)
    (8, 2)
    """
    own = BENCHMARKS[name].samples if name in BENCHMARKS else 1
    return own if own > 1 else samples
