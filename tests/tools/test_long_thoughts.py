"""The long thoughts of the demo: always the same bytes, in the public form, with equations that hold."""

import json
import math
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from random import Random

import pytest

from demo_rows import long_thoughts as thoughts
from virgo_factory.core.thought import LongThought, MalformedThought


ROOT = Path(__file__).parents[2]
ROWS = [json.loads(line) for line in thoughts.PATH.read_text(encoding="utf-8").splitlines()]


def is_cut(row: dict) -> bool:
    try:
        LongThought.parse(row["combined_text"])
    except MalformedThought:
        return True
    return False


WHOLE = [row for row in ROWS if not is_cut(row)]


def test_the_shipped_file_is_what_the_generator_makes(tmp_path):
    code = f"from demo_rows import long_thoughts; from pathlib import Path; long_thoughts.write(Path({str(tmp_path)!r}) / 'a')"
    environment = {"PYTHONHASHSEED": "7", "PATH": "", "PYTHONPATH": f"{ROOT / 'tools'}:{ROOT}"}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)
    assert (tmp_path / "a").read_bytes() == thoughts.PATH.read_bytes()
    assert thoughts.to_jsonl(thoughts.make_rows()).encode() == thoughts.PATH.read_bytes()
    assert thoughts.PATH.stat().st_size < 700_000


def test_another_seed_gives_other_rows():
    asked = {row["question"] for row in ROWS}
    assert len(asked & {row["question"] for row in thoughts.make_rows(seed=1)}) < 5


def test_rows_are_in_the_public_form():
    assert all(list(row) == ["id", "question", "combined_text", "domain"] for row in ROWS)
    assert len({row["id"] for row in ROWS}) == len({row["question"] for row in ROWS}) == len(ROWS) == 320


def test_domains_stand_in_the_proportion_of_the_paper():
    counts = Counter(row["domain"] for row in ROWS)
    shares = {
        "math": counts["math"],
        "science": counts["physics"] + counts["chemistry"] + counts["biology"],
        "code": counts["code"],
        "puzzle": counts["puzzle"],
    }
    for domain, paper in {"math": 3.7, "science": 0.9, "code": 0.2, "puzzle": 0.1}.items():
        assert shares[domain] / len(ROWS) == pytest.approx(paper / 4.9, abs=0.01)


def test_every_whole_row_has_one_box_in_its_solution_and_none_in_its_thought():
    for row in WHOLE:
        parsed = LongThought.parse(row["combined_text"])
        assert parsed.render() == row["combined_text"] and "\\boxed" not in parsed.thought, row["id"]
        assert len(re.findall(r"\\boxed\{[^{}]*\}", parsed.solution)) == 1, row["id"]


def test_every_task_is_in_the_file():
    names = {name for tasks in thoughts.TASKS.values() for name in tasks} | {"several"}
    assert {row["id"].split("-")[1] for row in WHOLE} == names


def test_only_the_rows_meant_to_be_cut_are_malformed():
    cut = [int(row["id"].split("-")[-1]) for row in ROWS if is_cut(row)]
    assert tuple(cut) == thoughts.CUT
    for number in cut:
        with pytest.raises(MalformedThought) as error:
            LongThought.parse(ROWS[number - 1]["combined_text"])
        assert error.value.reason == "thought_not_closed"


def test_a_share_of_the_thoughts_holds_a_corrected_mistake():
    share = sum("Wait, " in row["combined_text"] for row in WHOLE) / len(WHOLE)
    assert 0.2 < share < 0.4


TERM = r"(?:-?\d+|\(-\d+\))"
SIDE = rf"{TERM}(?: [x+*-] {TERM})*"
EQUATION = re.compile(
    rf"(?<![\d^/)*%x+=-] )(?<![\w.^/(*+=%-]){SIDE}(?: = {SIDE})+"
    r"(?!\.\d|[\d/\w%^]| [x+*/%^=-]| mod| (?:mol|A|V|ohm|m|s|g)\b)"
)


def value_of(side: str) -> int:
    """An integer expression with x or * for the product; no division."""
    return sum(
        (-1 if sign == "-" else 1) * math.prod(int(factor.strip("()")) for factor in re.split(" [x*] ", term))
        for sign, term in re.findall(rf"(?:^| )([+-]? ?)({TERM}(?: [x*] {TERM})*)", side)
        for sign in [sign.strip()]
    )


def test_equations_in_the_thoughts_are_true_unless_corrected():
    """Every "a x b + c = d" holds; a false one is the slip that the same thought corrects afterwards."""
    true = wrong = 0
    for row in WHOLE:
        thought = LongThought.parse(row["combined_text"]).thought
        for found in EQUATION.finditer(thought):
            if len({value_of(side) for side in found.group().split(" = ")}) == 1:
                true += 1
            else:
                wrong += 1
                assert "Wait, " in thought[found.end() :], (row["id"], found.group())
    assert true > 900
    assert 0 < wrong < 60


@pytest.mark.slow
@pytest.mark.parametrize("domain", thoughts.TASKS)
def test_tasks_slip_exactly_when_asked(domain):
    """Many draws of every task: the mistake is there when asked for, and only then."""
    for name, task in thoughts.TASKS[domain].items():
        for seed in range(40):
            for slip in (False, True):
                problem = task(Random(f"{name}-{seed}"), slip)
                assert ("Wait, " in "\n".join(problem.thought)) == slip, (name, seed)
