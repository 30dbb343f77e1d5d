"""Plots: each is drawn, with what it says; that they are readable has been looked at."""

import io

import pytest
from matplotlib.figure import Figure
from PIL import Image

from virgo_factory.report import plots


HOSTILE = f"$\\frac{{x}} ^_{'x' * 80}\n\x1b[31m"


def texts(plot, *arguments, **more) -> str:
    """Return all words of a plot."""
    axes = Figure(layout="constrained").add_subplot()
    plot(axes, *arguments, **more)
    legend = next(iter(axes.figure.legends), axes.get_legend())
    labels = [*axes.get_xticklabels(), *axes.get_yticklabels(), *axes.texts, *(legend.get_texts() if legend else ())]
    return "\n".join(
        [axes.get_title(loc="left"), axes.get_xlabel(), axes.get_ylabel(), *(one.get_text() for one in labels)]
    )


PLOTS = {
    plots.bars: ({HOSTILE: 5, "b": 7_000_000}, HOSTILE, "rows"),
    plots.columns: ({0: 4, 1: 1234}, HOSTILE, "images", "rows"),
    plots.lengths: ({10: 5, 900: 2}, HOSTILE, "tokens", "rows", 500),
    plots.outlines: (
        {"correct": {0: 3, 90: 1}, HOSTILE: {7: 2}},
        {"correct": "green", HOSTILE: "red"},
        64,
        "tokens",
        "rows",
    ),
    plots.shares: ({HOSTILE: {"easy": 3, "hard": 1}, "none": {}}, {"easy": "green", "hard": "blue"}, "share"),
    plots.curves: ({HOSTILE: [(n, n % 7) for n in range(90)], "b": [(1, 0.5)]}, HOSTILE, "step", "share"),
    plots.spans: ([(HOSTILE, 1.0, 2.0, 3.0), ("b", -1.0, 0.5, 2.5)], HOSTILE, "score", "score", "95% interval"),
}


@pytest.mark.slow
@pytest.mark.parametrize("plot", PLOTS, ids=lambda plot: plot.__name__)
def test_every_plot_is_drawn_with_hostile_names(plot):
    for page, size in ((False, (1080, 600)), (True, (896, 560))):
        with Image.open(io.BytesIO(plots.draw(plot, *PLOTS[plot], page=page))) as picture:
            assert picture.size == size and len(picture.convert("L").getcolors()) > 20


def test_every_public_plot_is_tested():
    several = ("draw", "sheet")
    assert set(PLOTS) == {
        value for name, value in vars(plots).items() if name in plots.__all__ and name not in several
    }


@pytest.mark.slow
def test_a_sheet_holds_its_plots():
    panels = [lambda axes: plots.curves(axes, {"a": [(1, 0), (2, 0)]}, "t", "step", "y")] * 3
    figure = Figure(layout="constrained")
    plots.sheet(figure.add_subplot(), panels)
    assert len(figure.axes) == 3 and figure.axes[0].get_ylim()[0] == 0
    with Image.open(io.BytesIO(plots.draw(plots.sheet, panels))) as picture:
        assert picture.width == 1350


def test_bars_put_the_rest_together():
    told = texts(plots.bars, {f"d{n}": 100 - n for n in range(20)}, "t", "rows")
    assert "6 further ones" in told and "d14" not in told.split() and "100  (5.5%)" in told


def test_lengths_say_the_median_and_what_is_beyond_the_limit():
    told = texts(plots.lengths, {10: 3, 1000: 1}, "t", "tokens", "rows", 500, "cutoff_len")
    assert (
        "median 10" in told and "cutoff_len 500" in told and "1 rows (25.0%)" in told and "97.1% of the tokens" in told
    )


def test_a_forest_has_intervals_and_published_values():
    scores = [("MathVista", 58.1, 61.2, 64.0), ("MMMU", 50.0, 53.5, 57.0)]
    told = texts(plots.spans, scores, "Scores", "accuracy", "ours", "95% interval", marks={"MMMU": 54.2}, mark="paper")
    assert {"MathVista", "ours", "95% interval", "paper"} <= set(told.split("\n"))
    assert "paper" not in texts(plots.spans, scores, "Scores", "accuracy", "ours", "interval", marks={}, mark="paper")


def test_no_bar_is_cut_off():
    axes = Figure(layout="constrained").add_subplot()
    plots.bars(axes, {f"d{n}": 5 for n in range(30)}, "t", "rows")
    assert axes.get_xlim()[1] > max(bar.get_width() for bar in axes.patches) == 80, "the rest together is the largest"
