"""A few hundred long thoughts, made by program and always the same: the text data of the demo.

Rows have the public form of RUC-AIBOX/long_form_thought_data_5k (question, combined_text, domain) and an id. The domains
stand in about the proportion of Virgo's text data (paper: math 3.7K, science 0.9K, code 0.2K, puzzle 0.1K). In a share
of the rows a mistake is made, noticed and corrected. A few rows are very long, and two are cut off inside the thought as
real model output is: a training run has to drop those, and to say so.
"""

import json
from pathlib import Path
from random import Random

from demo_rows import code_tasks, math_tasks, puzzle_tasks, science_tasks
from demo_rows.problem import Problem, Task
from virgo_factory.core.thought import END_THOUGHT, LongThought
from virgo_factory.io.files import RECIPES


PATH = RECIPES / "demo" / "long_thoughts.jsonl"
SEED = 2501
COUNTS = {"math": 240, "physics": 28, "chemistry": 20, "biology": 10, "code": 14, "puzzle": 8}
"""Rows per domain, 320 in all."""

SLIP_SHARE = 0.3
"""Share of rows with a mistake that is noticed and corrected."""

LONG = 5
"""Mathematics rows that work through several problems in one thought: the long tail of real data."""

CUT = (57, 211)
"""Numbers of the rows that were cut off inside the thought."""

TASKS: dict[str, dict[str, Task]] = {
    "math": math_tasks.TASKS,
    "physics": science_tasks.PHYSICS,
    "chemistry": science_tasks.CHEMISTRY,
    "biology": science_tasks.BIOLOGY,
    "code": code_tasks.TASKS,
    "puzzle": puzzle_tasks.TASKS,
}
_WHOLE = ("addition", "multiplication", "euclid", "series", "divisors", "power", "either", "system")
"""Tasks whose answer is an integer, so that answers can be added up."""


def make_rows(seed: int = SEED) -> list[dict[str, str]]:
    """Return the rows: id, question, combined_text, domain. The same seed gives the same rows everywhere."""
    rng = Random(f"virgo-demo-{seed}")
    drawn: list[tuple[str, str, Problem]] = []
    asked: set[str] = set()
    for domain, count in COUNTS.items():
        names = list(TASKS[domain])
        for i in range(count):
            name = names[i % len(names)]
            problem = None
            while problem is None or problem.question in asked:
                slip = rng.random() < SLIP_SHARE
                if domain == "math" and i < LONG:
                    name, problem = "several", several(rng, slip)
                else:
                    problem = TASKS[domain][name](rng, slip)
            asked.add(problem.question)
            drawn.append((domain, name, problem))
    rng.shuffle(drawn)

    rows = []
    for number, (domain, name, problem) in enumerate(drawn, start=1):
        response = LongThought("\n\n".join(problem.thought), _write_up(problem)).render()
        if number in CUT:
            response = response[: response.index(END_THOUGHT) * 2 // 3]
        row_id = f"{domain}-{name}-{number:04d}"
        rows.append({"id": row_id, "question": problem.question, "combined_text": response, "domain": domain})
    return rows


def several(rng: Random, slip: bool) -> Problem:
    """Several problems in one; the answer is the sum of theirs."""
    names = rng.sample(_WHOLE, rng.randint(4, 6))
    problems = [math_tasks.TASKS[name](rng, slip and i == 1) for i, name in enumerate(names)]
    thought = []
    for i, problem in enumerate(problems, start=1):
        thought += [f"Part {i}. {problem.question}", *problem.thought, f"Part {i} gives {problem.answer}."]
    answers = [int(problem.answer) for problem in problems]
    thought.append(f"All together: {' + '.join(f'({a})' if a < 0 else str(a) for a in answers)} = {sum(answers)}.")
    parts = "\n".join(f"{i}. {problem.question}" for i, problem in enumerate(problems, start=1))
    return Problem(
        f"Solve these {len(problems)} problems and give the sum of their answers.\n{parts}",
        tuple(thought),
        "\n".join(f"{i}. {problem.solution} It is {problem.answer}." for i, problem in enumerate(problems, start=1)),
        str(sum(answers)),
    )


def _write_up(problem: Problem) -> str:
    return f"{problem.solution}\n\nThe answer is \\boxed{{{problem.answer}}}."


def to_jsonl(rows: list[dict[str, str]]) -> str:
    """Return the rows as JSON lines."""
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def write(path: Path = PATH) -> Path:
    """Write the rows to a file, by default the one that ships with the project, and return its path."""
    path.write_text(to_jsonl(make_rows()), encoding="utf-8")
    return path
