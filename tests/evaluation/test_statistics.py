"""Error bars that hold what they promise: coverage, size, and equality with other ways to the same number."""

import math

import numpy as np
import pytest
from scipy import stats

from virgo_factory.evaluation.statistics import bootstrap, compare, holm, interval_share, share, wilson


def clustered(generator, clusters: int, size: int, chance: float = 0.4, spread: float = 0.25) -> np.ndarray:
    """Return (clusters, size) right and wrong answers; members of a cluster are alike, and on average `chance` are right."""
    a, b = chance * (1 / spread - 1), (1 - chance) * (1 / spread - 1)
    return (generator.random((clusters, size)) < generator.beta(a, b, size=(clusters, 1))).astype(float)


@pytest.mark.slow
@pytest.mark.parametrize(("clusters", "size"), [(40, 5), (150, 5), (500, 10)])
def test_the_interval_covers_the_truth_in_95_of_100_samples_of_clustered_questions(clusters, size):
    generator, names = np.random.default_rng(1), np.repeat(np.arange(clusters), size).tolist()
    samples = 1000
    held = naive = 0
    for _ in range(samples):
        scores = clustered(generator, clusters, size).ravel()
        found, plain = share(scores, names), share(scores)
        held += found.low <= 0.4 <= found.high
        naive += plain.low <= 0.4 <= plain.high

    assert 0.93 <= held / samples <= 0.97
    assert naive / samples < 0.9  # without clusters the bar promises too much


@pytest.mark.parametrize(("chance", "n"), [(0.4, 900), (0.05, 150), (0.98, 60)])
def test_the_interval_of_single_questions_covers_the_truth(chance, n):
    generator = np.random.default_rng(2)
    samples = 1000
    found = [share((generator.random(n) < chance).astype(float)) for _ in range(samples)]
    assert 0.93 <= sum(one.low <= chance <= one.high for one in found) / samples <= 0.985


@pytest.mark.parametrize("chance", [0.1, 0.4])
def test_few_questions_that_differ_are_tested_exactly(chance):
    generator = np.random.default_rng(3)
    samples = 600
    found = 0
    for _ in range(samples):
        both = (generator.random((2, 60)) < chance).astype(float)
        found += compare(*both).p < 0.05

    assert found / samples <= 0.05 + 0.02  # an exact test is below its level


def test_a_paired_test_finds_nothing_in_five_of_100_where_there_is_nothing():
    generator, names = np.random.default_rng(4), np.repeat(np.arange(100), 5)
    samples = 1000
    found = 0
    for _ in range(samples):
        chances = generator.beta(1.2, 1.8, size=(100, 1))
        first, second = ((generator.random((100, 5)) < chances).astype(float).ravel() for _ in range(2))
        found += compare(first, second, names).p < 0.05

    assert 0.03 <= found / samples <= 0.07


def test_the_smallest_visible_difference_is_found_in_four_of_five_cases():
    generator = np.random.default_rng(5)
    chances = generator.beta(1.2, 1.8, size=3000) * 0.8
    draws = [(generator.random((2, 3000)) < chances).astype(float) for _ in range(40)]
    visible = np.mean([compare(*draw).visible for draw in draws])
    found = 0
    for _ in range(400):
        better = generator.random(3000) < chances + visible
        found += compare(better.astype(float), (generator.random(3000) < chances).astype(float)).p < 0.05

    assert 0.72 <= found / 400 <= 0.88


def test_the_clustered_standard_error_is_that_of_the_cluster_robust_regression():
    generator = np.random.default_rng(6)
    names = generator.integers(60, size=500)
    scores = (generator.random(500) < 0.3 + 0.4 * (names % 3 == 0)).astype(float)
    found = share(scores, names)
    score = np.array([(scores - scores.mean())[names == name].sum() for name in range(60) if (names == name).any()])
    groups = len(score)
    assert found.clusters == groups
    by_hand = math.sqrt(groups / (groups - 1) * (score**2).sum()) / 500
    assert found.se == pytest.approx(by_hand, rel=1e-12)
    try:
        import statsmodels.api as sm
    except ImportError:
        return

    fitted = sm.OLS(scores, np.ones(500)).fit(
        cov_type="cluster", cov_kwds={"groups": names, "use_correction": True}, use_t=True
    )
    # statsmodels' factor also has (n - 1) / (n - k), which is 1 for a mean.
    assert found.se == pytest.approx(float(fitted.bse[0]), rel=1e-9)
    assert [found.low, found.high] == pytest.approx(list(fitted.conf_int()[0]), rel=1e-6)


def test_without_clusters_it_is_the_standard_error_of_a_mean():
    scores = np.random.default_rng(7).random(1000)
    found = share(scores)
    assert found.se == pytest.approx(stats.sem(scores)) and found.clusters == found.n == 1000
    assert (found.low, found.high) == pytest.approx(stats.t.interval(0.95, 999, scores.mean(), stats.sem(scores)))


def test_wilson_is_scipys():
    for k, n in ((0, 10), (3, 50), (50, 50), (199, 900)):
        interval = stats.binomtest(k, n).proportion_ci(method="wilson")
        assert wilson(k / n, n) == pytest.approx((interval.low, interval.high), abs=1e-12)


def test_all_right_or_nothing_at_all_still_has_a_bar():
    found = share([1.0] * 40, [n // 4 for n in range(40)])
    assert (found.score, found.clusters) == (1.0, 10) and found.high == pytest.approx(1) and 0.6 < found.low < 0.75
    assert math.isnan(share([]).score) and math.isnan(share([1, 0], ["a", "a"]).se)


@pytest.mark.parametrize(
    ("second", "clusters", "score", "ends"),
    [(0, 5, 1.0, (0.3855, 1)), (1, 54, 0.0, (-0.0664, 0.0664)), (0, 60, 1.0, (0.9149, 1))],
)
@pytest.mark.parametrize("size", [1, 3])
def test_all_or_none_that_differ_still_have_a_bar(second, clusters, score, ends, size):
    found = compare([1] * clusters * size, [second] * clusters * size, np.repeat(np.arange(clusters), size).tolist())
    bar = found.difference
    assert bar.score == score and (bar.low, bar.high) == pytest.approx(ends, abs=1e-4) and found.visible > 0
    assert found.p == pytest.approx(2 * 0.5**clusters if score else 1)


def test_unverifiable_is_an_interval_and_never_wrong():
    plain = share([1, 1, 0, 0] * 100)
    found = interval_share([1, 1, 0, 0] * 100, [0, 0, 0, 1] * 100)
    assert found.score == plain.score and found.low == plain.low
    assert found.high == pytest.approx(share([1, 1, 0, 1] * 100).high)


def test_bootstrap_of_a_mean_is_its_interval():
    scores = clustered(np.random.default_rng(8), 400, 5)
    names = np.repeat(np.arange(400), 5)
    found = share(scores.ravel(), names)
    sums = np.stack([scores.sum(axis=1), np.full(400, 5)], axis=1)
    drawn = bootstrap(sums, lambda total: total[..., 0] / total[..., 1], 2000)
    assert drawn.score == found.score and drawn.clusters == 400
    assert drawn.se == pytest.approx(found.se, rel=0.05)
    assert (drawn.low, drawn.high) == pytest.approx((found.low, found.high), abs=0.003)
    assert drawn == bootstrap(sums, lambda total: total[..., 0] / total[..., 1], 2000)


def test_wins_losses_and_p_of_a_pair():
    first, second = [1, 1, 1, 1, 0, 1, 0, 0], [0, 0, 0, 1, 1, 1, 0, 0]
    found = compare(first, second)
    assert (found.wins, found.losses, found.difference.score) == (3, 1, 0.25)
    assert found.p == stats.binomtest(3, 4).pvalue
    assert compare([1, 0, 1], [1, 0, 1]).p == 1.0
    with pytest.raises(ValueError, match="not the same questions"):
        compare([1], [1, 0])


def test_holm_never_finds_more_than_single_tests():
    p_values = [0.001, 0.2, 0.012, 0.03]
    assert holm(p_values) == pytest.approx([0.004, 0.2, 0.036, 0.06])
    assert holm([]) == []
