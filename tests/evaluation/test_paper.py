"""The papers' tables: every printed value once, averages and bins from the same code, our values beside them."""

import csv
from collections import Counter
from decimal import Decimal

import pytest

from virgo_factory.evaluation.benchmarks import BENCHMARKS
from virgo_factory.evaluation.paper.tables import (
    AVERAGE,
    NINE,
    PAPERS,
    Column,
    average,
    departures,
    facts,
    figure_2,
    filled,
    paper_value,
    percent,
)
from virgo_factory.evaluation.scores import COLUMNS, METRICS


VIRGO = ("mathverse", "mathvision", "olympiadbench", "mmmu")


def score(run: str, benchmark: str, correct: int, n: int, group: str = "", value: str = "", **more) -> dict:
    """Return a row of scores.csv."""
    told = {
        "run": run,
        "benchmark": benchmark,
        "group": group,
        "value": value,
        "metric": "accuracy",
        "asked": n,
        "n": n,
    }
    told |= {"correct": float(correct), "score": round(100 * correct / n, 4), "se": 1.0, "tokens_mean": 1500.0}
    told |= {"low": told["score"] - 2, "high": told["score"] + 2, "max_tokens": 8192, "temperature": 0.0}
    return dict.fromkeys(COLUMNS, "") | told | more


def test_every_value_of_virgos_tables_is_placed_exactly_once(shared_data):
    with (shared_data.parent / "reference/virgo_tables.csv").open(encoding="utf-8", newline="") as file:
        listed = Counter((row["table"], row["row"], row["condition"], row["value"]) for row in csv.DictReader(file))

    tables = filled("virgo", [], {})
    placed = Counter(
        (table.number, row[0], row[1] or "none", str(cell.fact.printed))
        for table in tables
        for (row, _), cell in table.cells.items()
    )
    assert sum(listed.values()) == 159 and placed == listed
    assert [table.number for table in tables] == ["1", "2", "3", "4", "5", "6"]
    for table in tables:
        shown = [text.split(" / ")[0] for line in table.texts()[1:] for text in line[2:] if text]
        assert len(shown) == len(table.cells)


@pytest.mark.parametrize("paper", PAPERS)
def test_a_value_has_one_place_one_source_and_a_column_that_can_be_filled(paper):
    places = Counter((fact.table, fact.model, fact.condition, fact.column) for fact in facts(paper))
    assert set(places.values()) == {1} and all(fact.source for fact in facts(paper))
    for fact in facts(paper):
        name, group, _, metric = fact.column
        if name and name not in (AVERAGE, NINE):
            assert metric in BENCHMARKS[name].metrics and metric in METRICS
            assert not group or group in BENCHMARKS[name].groups


def test_the_thirteen_averages_of_table_2():
    rows = {}
    for fact in facts("virgo"):
        if fact.table == "2":
            rows.setdefault((fact.model, fact.condition), {})[fact.column.benchmark] = fact.printed

    averages = {row: values.pop(AVERAGE) for row, values in rows.items() if AVERAGE in values}
    assert len(averages) == 13
    assert all(average([rows[row][name] for name in VIRGO]) == printed for row, printed in averages.items())


def test_the_bins_of_table_3_are_k_of_n():
    counts = {
        ("QVQ-72B-preview", ""): (227, 279, 88),
        ("Qwen2-VL-72B-Instruct", ""): (220, 264, 91),
        ("Virgo-72B", "D_T"): (215, 267, 99),
        ("Virgo-72B", "D_T+D_SD"): (220, 262, 103),
    }
    sizes = {"Easy": 295, "Medium": 424, "Hard": 181}
    scores = []
    for (model, condition), correct in counts.items():
        run = f"{model} {condition}".strip()
        bins = zip(sizes.items(), correct, strict=True)
        scores += [score(run, "mmmu", k, n, "topic_difficulty", level) for (level, n), k in bins]
        scores.append(score(run, "mmmu", sum(correct), 900))

    table = next(
        table for table in filled("virgo", scores, {row["run"]: row["run"] for row in scores}) if table.number == "3"
    )
    differences = {(row, column.value): cell.difference for (row, column), cell in table.cells.items()}
    assert len(differences) == 16 and None not in differences.values()
    wrong = {place: told for place, told in differences.items() if told}
    # The paper's overall of the base model does not follow from its own bins (63.89).
    assert wrong == {(("Qwen2-VL-72B-Instruct", ""), ""): Decimal("-0.6")}
    assert percent(575, 900, 2) == Decimal("63.89")


def test_our_scores_stand_beside_the_paper_in_every_table_that_has_the_model():
    scores = [score("evals/a", name, 30, 100) for name in VIRGO]
    tables = {table.number: table for table in filled("virgo", scores, {"evals/a": "Virgo-7B D_T"})}
    cell = tables["2"].cells[("Virgo-7B", "D_T"), Column("mathverse", "", "", "accuracy")]
    assert str(cell) == "32.2 / 30.0 [28.0, 32.0] 100 of 3,940 (-2.2)" and cell.difference == Decimal("-2.2")
    ours = {number: sum(1 for cell in table.cells.values() if cell.ours) for number, table in tables.items()}
    assert ours == {"1": 0, "2": 5, "3": 0, "4": 0, "5": 4, "6": 0}  # four and their average; 5,000 rows of D_T
    mean = tables["2"].cells[("Virgo-7B", "D_T"), Column(AVERAGE, "", "", "accuracy")].ours
    assert (mean.score, mean.high - mean.low) == (Decimal("30.00"), pytest.approx(2 * 1.96 * 2 / 4, abs=0.1))
    assert any("32.2 / 30.0 [28.0, 32.0] 100 of 3,940 (-2.2)" in line for line in tables["2"].texts())


def test_a_run_that_is_no_row_of_the_paper_gets_a_row_of_its_own():
    scores = [score("evals/mine", "mathverse", 30, 100) | {"n": 90}, score("evals/mine", "aime24", 3, 10)]
    tables = {table.number: table for table in filled("virgo", scores, {})}
    assert tables["2"].rows[-1] == ("evals/mine", "ours") and ("evals/mine", "ours") not in tables["3"].rows
    assert str(tables["2"].cells[("evals/mine", "ours"), Column("mathverse", "", "", "accuracy")]) == (
        "- / 33.3 [28.0, 32.0] 90 of 3,940"
    )


def test_base_models_and_versions_of_a_row_are_found():
    assert paper_value("virgo", "Virgo-72B D_T")("mmmu", "", "", "accuracy") == (
        64.6,
        "Virgo (arXiv 2501.01904), Table 2",
    )
    value = paper_value("virgo", "Virgo-72B D_T")("mmmu", "topic_difficulty", "Hard", "accuracy")
    assert value == (54.7, "Virgo (arXiv 2501.01904), Table 3")
    assert paper_value("virgo", "QVQ-72B-preview")("mathvision", "", "", "accuracy")[0] == 35.9
    assert paper_value("virgo", "mine")("mmmu", "", "", "accuracy") is None
    assert paper_value("openmmreasoner", "OpenMMReasoner, RL")("we_math", "", "", "loose")[0] == 79.0


def test_what_was_not_as_in_the_paper_is_said():
    as_in_paper = {"scorer": "paper", "question_prefix": "virgo", "image_max_pixels": 12_845_056}
    own = score("a", "my questions", 10, 10, scorer="ours", question_prefix="none")
    assert departures("virgo", [own]) == []
    told = departures("virgo", [own, score("a", "mathvision", 10, 3040, **as_in_paper)])
    assert told[0].startswith("MathVision: Virgo's text") and "0.3 to 0.7" in told[-1] and len(told) == 2
    told = departures(
        "virgo", [score("a", "mathvision", 10, 300, **as_in_paper | {"image_max_pixels": 262_144, "scorer": "ours"})]
    )
    assert told[:3] == [
        "scorer: ours, in the paper: paper.",
        "image_max_pixels: 262144, in the paper: 12845056.",
        "MathVision: 300 of 3,040 questions.",
    ]


def test_figure_2_has_a_point_for_each_benchmark_of_a_run():
    scores = [
        score("a", "mmmu", 1, 2),
        score("a", "mmmu", 1, 2, "topic_difficulty", "Easy"),
        score("a", "dynamath", 1, 2, metric="worst"),
    ]
    (point,) = figure_2(scores)
    assert point == ("a", "mmmu", 1500.0, 50.0, 48.0, 52.0)
