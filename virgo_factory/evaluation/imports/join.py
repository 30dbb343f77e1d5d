"""A log joined with the questions of its benchmark, as a folder that `report`, `compare` and `rescore` read.

The join is by row number, or by id where the log has ids; every gold is checked, since a log of another version or subset has
the same numbers. What the log does not tell (how a response ended, often how long it is) stays unknown and is said so.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from virgo_factory.answers import grading, judge
from virgo_factory.answers.model import Question, gold_text
from virgo_factory.core.errors import UserError
from virgo_factory.evaluation.folder import CONFIG, HARNESS, read_run
from virgo_factory.evaluation.imports.logs import HARNESSES, Logged
from virgo_factory.evaluation.questions import Taken, benchmark_of, read_benchmark, write_questions
from virgo_factory.io.atomic import new_file, replace_file
from virgo_factory.io.files import check_folder
from virgo_factory.rollouts.judge.verdicts import judge_rollouts
from virgo_factory.rollouts.pictures import StoredPicture, store_picture
from virgo_factory.rollouts.question import FILE as QUESTIONS
from virgo_factory.rollouts.store.rollout import Rollout
from virgo_factory.rollouts.store.store import RolloutStore


TABLE = "imported.csv"
COLUMNS = ("question", "line", "mark", "theirs", "verdict", "reason", "answer", "gold")
MOST_PIXELS = 12_845_056
FEWEST_EQUAL = 0.9
"""Share of golds that must be the log's own, so that a join is taken for one."""


@dataclass
class Imported:
    """What became of a log.

    Attributes:
        joined: how: "by id" or "by row, from 0".
        failed: requests that failed; they count as given up, neither right nor wrong.
        other_gold: lines whose gold is another one, by place; they are left out.
        unknown: lines that no question belongs to, by place.
        twice: lines on a question that an earlier line is on, by place.
        mark: the harness's metric that stands beside ours; "" where it has none.
        theirs: its mean in percent over the responses with a verdict.
        ours: share of correct verdicts in percent, over the same.
        table: their mark x our verdict -> responses.
    """

    folder: Path
    lines: int = 0
    joined: str = ""
    responses: int = 0
    failed: int = 0
    other_gold: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    twice: list[str] = field(default_factory=list)
    mark: str = ""
    theirs: float = 0.0
    ours: float = 0.0
    table: Counter[tuple[str, str]] = field(default_factory=Counter)


def import_log(
    log: Path, harness: str, benchmark: str, out: Path, benchmark_dir: Path | None = None, model: str = ""
) -> Imported:
    """Write a folder of an evaluation from a log; it must not be there yet.

    Raises:
        ValueError: no such harness or benchmark, the folder has an evaluation already, or the log is of other questions.
    """
    if harness not in HARNESSES:
        raise UserError(f"--harness {harness}: not one of {', '.join(HARNESSES)}.")

    known = benchmark_of(benchmark)
    if not log.is_file():
        raise UserError(f"{log}: no such file.")

    if (out / QUESTIONS).exists() or (out / CONFIG).exists():
        raise UserError(f"{out} has an evaluation already. Name another --out.")

    check_folder(out)
    lines = list(HARNESSES[harness](log))
    if not lines:
        raise UserError(f"{log}: not one line.")

    folder = None if benchmark_dir is None else benchmark_dir / benchmark
    by_row: dict[int, list[dict[str, Any]]] = defaultdict(list)
    taken = Taken(known, str(folder or known.hub))
    for question in read_benchmark(known, folder, taken):
        question.pop("images")
        by_row[taken.rows - 1].append(question)

    found = Imported(out, len(lines))
    found.joined, pairs = _joined(lines, by_row, benchmark)
    pictures: dict[str, StoredPicture] = {}

    def store(image: Any, media_dir: Path) -> tuple[str, str]:
        stored = store_picture(image, media_dir, out, MOST_PIXELS, pictures)
        return stored.path, stored.sha256

    write_questions({benchmark: None}, out / QUESTIONS, store, benchmark_dir, allow_partial=True)
    name = model or log.stem
    _write_config(out, log, harness, benchmark, name)
    marked = _write_rollouts(out, pairs, name, harness, found)
    judge_rollouts(out)
    _write_marks(out, marked, found)
    return found


def _joined(
    lines: Sequence[Logged], by_row: Mapping[int, Sequence[dict[str, Any]]], benchmark: str
) -> tuple[str, list[tuple[Logged, dict[str, Any] | None, bool]]]:
    """Return how the lines were joined, and each with its question and whether the golds are the same."""
    by_id = {question["id"]: [question] for questions in by_row.values() for question in questions}
    ways = {
        "by id": lambda key: by_id.get(f"{benchmark}/{key}", ()),
        "by row, from 0": lambda key: by_row.get(int(key), ()) if key.isdigit() else (),
        "by row, from 1": lambda key: by_row.get(int(key) - 1, ()) if key.isdigit() else (),
    }
    tried = {}
    for name, way in ways.items():
        pairs = [(line, *_of_gold(line, way(line.key))) for line in lines]
        tried[name] = sum(is_same for _, _, is_same in pairs), pairs

    best = max(tried, key=lambda name: tried[name][0])
    equal, pairs = tried[best]
    if equal < FEWEST_EQUAL * len(lines):
        line = next((pair for pair in pairs if not pair[2]), None)
        where = (
            f" The first: {line[0].place} has {str(line[0].gold)[:60]!r}, ours {gold_text(line[1]['gold'])[:60]!r}."
            if line and line[1]
            else ""
        )
        raise UserError(
            f"{benchmark}: only {equal:,} of {len(lines):,} golds of the log are those of the benchmark's rows, {best}. It is of "
            f"another benchmark, split, version or order.{where}"
        )

    return best, pairs


def _of_gold(line: Logged, questions: Iterable[dict[str, Any]]) -> tuple[dict[str, Any] | None, bool]:
    """Return which of a row's questions a line is on, and whether its gold is that one's."""
    first = None
    for question in questions:
        first = first or question
        if line.gold is None or _same_gold(line.gold, question):
            return question, True

    return first, False


def _same_gold(theirs: Any, question: Mapping[str, Any]) -> bool:
    ours = question["gold"]
    if gold_text(theirs).strip() == gold_text(ours).strip():
        return True

    asked = Question(
        question.get("question", ""), options=tuple(question.get("options") or ()), kind=question.get("kind")
    )
    config = grading(question.get("grading", "math"))
    return judge(gold_text(theirs), ours, asked, config).correct is True


def _write_config(out: Path, log: Path, harness: str, benchmark: str, model: str) -> None:
    values = {
        "benchmarks": [benchmark],
        "model_name_or_path": model,
        "scorer": "ours",
        "samples": 1,
        "output_dir": str(out),
    }
    body = "".join(f"{name}: {json.dumps(value, ensure_ascii=False)}\n" for name, value in values.items())
    head = f"# Imported from {harness}: {log.name}. How its responses were sampled and ended is not known.\n"
    replace_file(out / CONFIG, (head + body).encode())


def _write_rollouts(
    out: Path, pairs: Sequence[tuple[Logged, dict[str, Any] | None, bool]], model: str, harness: str, found: Imported
) -> dict[str, Logged]:
    """Write the responses, and why there is none; return the lines by their questions' ids."""
    marked: dict[str, Logged] = {}
    with RolloutStore(out) as store:
        for line, question, is_same in pairs:
            if question is None:
                found.unknown.append(line.place)
            elif not is_same:
                found.other_gold.append(line.place)
            elif question["id"] in marked:
                found.twice.append(line.place)
            elif line.failure:
                marked[question["id"]] = line
                found.failed += 1
                store.drop(question["id"], model, f"{harness}: {line.failure[:200]}")
            else:
                marked[question["id"]] = line
                known = (question["id"], model, 0, line.response, "stop", 0, line.tokens, 0.0, 0, "")
                store.append(Rollout(*known, {HARNESS: harness}))

    return marked


def _write_marks(out: Path, marked: Mapping[str, Logged], found: Imported) -> None:
    """Write imported.csv, and count their marks against our verdicts."""
    import csv

    run = read_run(out)
    found.mark = next((name for line in marked.values() for name in line.marks), "")
    right = theirs = 0.0
    with new_file(out / TABLE) as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for place, number in zip(run.held.place, run.held.verdict, strict=True):
            line, verdict = marked[run.ids[place]], run.verdicts[number]
            mark = line.marks.get(found.mark)
            told = "no mark" if mark is None else "right" if mark >= 0.5 else "wrong"
            found.responses += 1
            right += verdict["verdict"] == "correct"
            theirs += mark or 0.0
            key = (told, verdict["verdict"])
            found.table[key] += 1
            writer.writerow(
                (run.ids[place], line.place, found.mark, "" if mark is None else mark)
                + (verdict["verdict"], verdict["reason"], verdict["answer"], gold_text(line.gold))
            )

    found.ours, found.theirs = (100 * value / max(found.responses, 1) for value in (right, theirs))
