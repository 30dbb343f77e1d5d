"""How sure a score is: shares with clustered standard errors, paired differences, bootstrap, Holm.

After Miller, "Adding Error Bars to Evals" (arXiv 2411.00640): questions are a sample of what could be asked; those that
belong together are one draw (a cluster); two models on the same questions are compared question by question.
All values are shares from 0 to 1.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special  # scipy.stats takes seconds to import


LEVEL = 0.95
POWER = 2.8
"""Standard errors of a difference that is found in 80 % of the cases at a level of 5 %: 1.96 + 0.84."""

FEW = 200
"""Questions below which a share without clusters gets Wilson's interval, as does one of fewer than ten of either kind."""

DRAWS = 10_000
_DRAWN_AT_ONCE = 2_000_000


@dataclass(frozen=True)
class Estimate:
    """A score and its 95 % interval.

    Attributes:
        score: the share; nan without questions.
        clusters: groups of questions that count as one draw.
    """

    score: float
    se: float
    low: float
    high: float
    n: int
    clusters: int


@dataclass(frozen=True)
class Comparison:
    """Two runs on the same questions: first minus second.

    Attributes:
        difference: its 95 % interval and standard error as an estimate.
        wins, losses: questions on which the first scores higher, lower.
        p: of no difference, two-sided.
        visible: the smallest difference that this set shows in four of five cases.
    """

    difference: Estimate
    wins: int
    losses: int
    p: float
    visible: float


def share(scores: Sequence[float], clusters: Sequence | None = None) -> Estimate:
    """Return the mean of scores with its interval.

    Clustered standard error, and Student's t for the number of clusters; for single questions that are right or wrong,
    and few of them (see FEW), Wilson's interval, as where all of them or none are right.

    `clusters`: what each question belongs to; None where each stands for itself.

    >>> found = share([1, 1, 0, 0], ["a", "a", "b", "b"])
    >>> found.score, round(found.se, 3), found.clusters
    (0.5, 0.5, 2)
    """
    values = np.asarray(scores, float)
    n = len(values)
    if not n:
        return Estimate(math.nan, math.nan, math.nan, math.nan, 0, 0)

    mean, se, groups = _mean(values, clusters)
    binary = bool(np.isin(values, (0, 1)).all())
    ones = float(values.sum())
    if binary and (mean in (0, 1) or (groups == n and (n < FEW or min(ones, n - ones) < 10))):
        return Estimate(mean, se, *wilson(mean, groups), n, groups)

    half = _t(groups - 1) * se
    return Estimate(mean, se, mean - half, mean + half, n, groups)


def interval_share(
    correct: Sequence[float], unverifiable: Sequence[float], clusters: Sequence | None = None
) -> Estimate:
    """Return the share of correct verdicts, with an interval that also covers that all unverifiable ones are correct."""
    found = share(correct, clusters)
    if not any(unverifiable):
        return found

    most = share(np.asarray(correct, float) + np.asarray(unverifiable, float), clusters)
    return Estimate(found.score, found.se, found.low, most.high, found.n, found.clusters)


def mean_interval(scores: Sequence[tuple[float, float, float, float]]) -> tuple[float, float]:
    """Return the 95 % interval of the mean of independent scores, each (score, standard error, low, high).

    Errors add in squares. What an interval reaches beyond them (for responses that are unverifiable, questions that are not there)
    is no error that evens out: it adds as it is.

    >>> [round(end, 2) for end in mean_interval([(50.0, 1.0, 48.0, 52.0), (30.0, 1.0, 28.0, 42.0)])]
    [38.57, 46.43]
    """
    z, count = _t(math.inf), len(scores)
    mean = sum(score for score, *_ in scores) / count
    half = z * math.sqrt(sum(se * se for _, se, _, _ in scores)) / count
    below = sum(max(0.0, score - z * se - low) for score, se, low, _ in scores) / count
    above = sum(max(0.0, high - score - z * se) for score, se, _, high in scores) / count
    return mean - half - below, mean + half + above


def wilson(mean: float, n: int) -> tuple[float, float]:
    """Return Wilson's 95 % interval of a share of n.

    >>> [round(end, 3) for end in wilson(0.0, 10)]
    [0.0, 0.278]
    """
    z = _t(math.inf)
    middle, half = mean + z * z / (2 * n), z * math.sqrt(mean * (1 - mean) / n + z * z / (4 * n * n))
    return max(0.0, (middle - half) / (1 + z * z / n)), min(1.0, (middle + half) / (1 + z * z / n))


def compare(first: Sequence[float], second: Sequence[float], clusters: Sequence | None = None) -> Comparison:
    """Return how two runs differ on the same questions, in the same order.

    The p value is McNemar's exact one where single questions are right or wrong and fewer than 50 differ, else of t. Where the
    standard error of right and wrong ones is 0, since all clusters differ alike or none does, the interval is `newcombe`'s of
    so many clusters, and p that of the sign test.

    >>> found = compare([1] * 5, [0] * 5)
    >>> round(found.difference.low, 2), found.difference.high, round(found.p, 3)
    (0.39, 1.0, 0.062)
    """
    first, second = np.asarray(first, float), np.asarray(second, float)
    differences = first - second
    if len(first) != len(second):
        raise ValueError(f"{len(first)} scores against {len(second)}: not the same questions")

    n = len(differences)
    wins, losses = int((differences > 0).sum()), int((differences < 0).sum())
    mean, se, groups = _mean(differences, clusters)
    if groups == n and wins + losses < 50 and np.isin(differences, (-1, 0, 1)).all():
        p = min(1.0, 2 * float(special.bdtr(min(wins, losses), wins + losses, 0.5)))
    elif se > 0:
        p = 2 * float(special.stdtr(groups - 1, -abs(mean / se)))
    else:
        p = 1.0 if not mean else math.nan if groups < 2 else 2 * 0.5**groups

    half = _t(groups - 1) * se if groups > 1 else math.nan
    low, high, visible = mean - half, mean + half, POWER * se
    if se == 0 and np.isin([first, second], (0, 1)).all():
        low, high = newcombe(first, second, groups)
        visible = POWER * max(mean - low, high - mean) / _t(math.inf)

    return Comparison(Estimate(mean, se, low, high, n, groups), wins, losses, p, visible)


def newcombe(first: np.ndarray, second: np.ndarray, n: int) -> tuple[float, float]:
    """Return the 95 % interval of the difference of two shares of the same n, from Wilson's of each.

    Method 10 of Newcombe, "Improved confidence intervals for the difference between binomial proportions based on paired
    data" (Statistics in Medicine 17, 1998).

    >>> first, second = np.array([1] * 48 + [0] * 2), np.array([1] * 36 + [0] * 12 + [1] * 2)  # a row of his table
    >>> [round(end, 4) for end in newcombe(first, second, 50)]
    [0.0569, 0.3404]
    """
    (low1, high1), (low2, high2) = (wilson(float(one.mean()), n) for one in (first, second))
    one, other, both = float(first.mean()), float(second.mean()), float((first * second).mean())
    spread = math.sqrt(one * (1 - one) * other * (1 - other))
    alike = both - one * other  # (both x neither - first x second) / n^2
    phi = (alike if alike < 0 else max(alike - 1 / (2 * n), 0)) / spread if spread else 0.0

    def reach(one: float, other: float) -> float:
        return math.sqrt(max(0.0, one * one - 2 * phi * one * other + other * other))

    difference = one - other
    low, high = difference - reach(one - low1, high2 - other), difference + reach(high1 - one, other - low2)
    return max(-1.0, low), min(1.0, high)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p values that hold for all comparisons of a report together (Holm).

    >>> [round(p, 3) for p in holm([0.01, 0.04, 0.03])]
    [0.03, 0.06, 0.06]
    """
    order = sorted(range(len(p_values)), key=lambda place: p_values[place])
    found, highest = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(order):
        highest = max(highest, min(1.0, p_values[place] * (len(p_values) - rank)))
        found[place] = highest

    return found


def bootstrap(
    sums: np.ndarray, statistic: Callable[[np.ndarray], np.ndarray], n: int, draws: int = DRAWS, seed: int = 0
) -> Estimate:
    """Return a statistic of sums over clusters with its interval: clusters are drawn again, with replacement.

    `sums`: (clusters, m): what the statistic needs of each cluster, summed.
    `statistic`: (..., m) sums over the drawn clusters -> (...) values; may give nan where a draw has nothing to count.
    """
    sums = np.asarray(sums, float)
    clusters = len(sums)
    if not clusters:
        return Estimate(math.nan, math.nan, math.nan, math.nan, n, 0)

    score = float(statistic(sums.sum(axis=0)))
    if clusters < 2:
        return Estimate(score, math.nan, math.nan, math.nan, n, clusters)

    generator, found = np.random.default_rng(seed), []
    at_once = max(1, _DRAWN_AT_ONCE // clusters)
    for start in range(0, draws, at_once):
        rows = min(at_once, draws - start)
        drawn = generator.integers(clusters, size=(rows, clusters)) + np.arange(rows)[:, None] * clusters
        times = np.bincount(drawn.ravel(), minlength=rows * clusters).reshape(rows, clusters)
        found.append(statistic(times @ sums))

    values = np.concatenate(found)
    values = values[np.isfinite(values)]
    low, high = np.percentile(values, [50 * (1 - LEVEL), 50 * (1 + LEVEL)])
    return Estimate(score, float(values.std(ddof=1)), float(low), float(high), n, clusters)


def _mean(values: np.ndarray, clusters: Sequence | None) -> tuple[float, float, int]:
    """Return a mean, its clustered standard error, and how many clusters there are."""
    if not len(values):
        return math.nan, math.nan, 0

    if clusters is not None and len(clusters) != len(values):
        raise ValueError(f"{len(clusters)} clusters of {len(values)} scores")

    mean, places = float(values.mean()), {}
    sums = values - mean
    if clusters is not None:
        sums = np.bincount([places.setdefault(name, len(places)) for name in clusters], weights=sums)

    groups = len(sums)
    se = math.sqrt(groups / (groups - 1) * float(sums @ sums)) / len(values) if groups > 1 else math.nan
    return mean, se, groups


def _t(freedom: float) -> float:
    """Return the 97.5 % quantile of Student's t; of the normal distribution for infinitely many degrees of freedom."""
    return float(special.stdtrit(freedom, (1 + LEVEL) / 2))
