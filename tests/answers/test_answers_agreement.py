"""Agreement with recorded labels, file by file, on rows taken evenly; benchmarks/answers.py has all rows and the peers."""

import importlib.util
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from virgo_factory.answers import Answer, Task, score, score_many


ROOT = Path(__file__).parents[2]
DATA = ROOT.parent / "shared" / "data"
ROWS = 400
"""Rows of a file; all rows where it has no more."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not DATA.is_dir(), reason="the labelled outputs (../shared/data) are not here"),
]


@cache
def _benchmark():
    spec = importlib.util.spec_from_file_location("benchmark_answers", ROOT / "benchmarks" / "answers.py")
    module = importlib.util.module_from_spec(spec)
    import sys

    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@cache
def _sampled() -> dict[str, list]:
    """File -> (case, verdict, label shown wrong) of the rows taken evenly, all scored in one batch."""
    benchmark = _benchmark()
    wrong = benchmark.wrong_labels()
    taken = []
    for name, (cases, _) in benchmark.files(DATA).items():
        held = list(cases())
        rows = ROWS if name != "answer_equivalence" else len(held)
        step = max(1, -(-len(held) // rows))
        taken += [(name, case, (name, case.id) in wrong) for case in held[::step]]
    tasks = (
        Task(
            Answer(case.given, "given", "given") if case.given is not None else case.response,
            case.gold,
            case.question,
            case.config,
        )
        for _, case, _ in taken
    )
    found: dict[str, list] = {}
    for (name, case, shown), verdict in zip(taken, score_many(tasks), strict=True):
        found.setdefault(name, []).append((case, verdict, shown))
    return found


FILES = {name: asked for name, (_, asked) in _benchmark().files(DATA).items()} if DATA.is_dir() else {}


@pytest.mark.parametrize("name", FILES)
def test_agreement_with_the_labels(name):
    """The figure asked for each file, without the labels that answers_labels_wrong.tsv shows to be wrong."""
    held = [(case, verdict) for case, verdict, shown in _sampled()[name] if not shown]
    agreed = sum(verdict.correct is case.label for case, verdict in held)
    assert agreed / len(held) >= (FILES[name] or 0.97), [
        case.id for case, verdict in held if verdict.correct is not case.label
    ]


def test_false_positives_are_rare():
    """At most 0.5 % of all verdicts say correct where the answer is wrong."""
    verdicts = [row for rows in _sampled().values() for row in rows]
    false = [case.id for case, verdict, shown in verdicts if verdict.correct and not case.label and not shown]
    assert len(false) <= 0.005 * len(verdicts), false


def test_wrong_labels_are_disagreements_with_a_reason():
    """Every label called wrong is one we disagree with, exists, and says why; no file hides behind them."""
    benchmark = _benchmark()
    wrong = benchmark.wrong_labels()
    assert all(len(reason) > 5 for reason in wrong.values())
    known = {(name, case.id): case for name, (cases, _) in benchmark.files(DATA).items() for case in cases()}
    assert not set(wrong) - set(known)
    per_file = Counter(name for name, _ in wrong)
    sizes = Counter(name for name, _ in known)
    # MathVista's labels of GPT-4 without a picture are guesses of its script in one row of eight.
    assert all(per_file[name] <= 0.14 * sizes[name] for name in per_file), per_file
    for rows in _sampled().values():
        for case, verdict, shown in rows:
            if shown:
                assert verdict.correct is not case.label, case.id


def test_golds_in_ten_spellings_and_against_each_other():
    """Every third spelling of the gold of TabMWP, ChartQA, FigureQA, IconQA, CLEVR, GEOS and Geometry3K."""
    seen = Counter()
    for index, spelling in enumerate(_benchmark().gold_spellings(DATA)):
        if index % 3 == 0 or spelling.source in ("tabmwp", "geos", "geometry3k"):
            verdict = score(spelling.response, spelling.gold, spelling.question, spelling.config)
            assert verdict.correct is spelling.expected, spelling
            seen[spelling.source, spelling.expected] += 1
    assert len(seen) == 14 and min(seen.values()) >= 30
