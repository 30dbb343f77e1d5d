"""What stands in the logs of other harnesses: which row, what was answered, the gold as they have it, their own marks.

lmms-eval `--log_samples`: DATE_samples_TASK.jsonl, a line a question: doc_id (row of the split), target, filtered_resps (and
resps where they differ), token_counts, and the task's metrics. VLMEvalKit: MODEL_DATASET.tsv (or .xlsx): index, prediction,
answer, thinking where SPLIT_THINK was set, and hit or score once it was judged.
"""

import csv
import importlib.util
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from virgo_factory.core.errors import UserError
from virgo_factory.rollouts.store.jsonl import lines_of


@dataclass(frozen=True)
class Logged:
    """One line of a log.

    Attributes:
        place: file and line, for people.
        key: of the question, as the harness names it.
        gold: as the harness has it; None where it says nothing.
        response: "" where there is none.
        tokens: of the response; 0 where they are not told.
        marks: the harness's own metrics, as numbers.
    """

    place: str
    key: str
    gold: Any
    response: str
    failure: str = ""
    tokens: int = 0
    marks: Mapping[str, float] = field(default_factory=dict)


_LMMS_OWN = frozenset(
    ("doc_id", "doc", "doc_hash", "target", "target_hash", "prompt_hash", "input", "input_media", "arguments", "resps")
    + ("filtered_resps", "token_counts", "task", "submission")
)
_LMMS_FAILED = "[LMMS_EVAL_REQUEST_FAILED"
_VLM_FAILED = "Failed to obtain answer via API"
_VLM_MARKS = ("hit", "score", "correct", "match")
_SCORES = ("score", "scores", "correct", "acc", "accuracy", "exact_match", "hit")


def read_lmms_eval(path: Path) -> Iterator[Logged]:
    """Yield the lines of a sample log of lmms-eval.

    Raises:
        ValueError: no such log.
    """
    for number, row in lines_of(path):
        place = f"{path}:{number}"
        missing = [name for name in ("doc_id", "target") if name not in row]
        if missing or not row.keys() & {"resps", "filtered_resps"}:
            what = ", ".join(missing) or "resps or filtered_resps"
            raise UserError(f"{place}: no {what}. Is it the file NAME_samples_TASK.jsonl that --log_samples writes?")

        response = _first_text(row.get("resps")) or _first_text(row.get("filtered_resps"))
        failure = response if _LMMS_FAILED in response else ""
        counts = next(iter(row.get("token_counts") or []), None) or {}
        marks = {
            name: mark for name, value in row.items() if name not in _LMMS_OWN and (mark := _mark(value)) is not None
        }
        yield Logged(
            place,
            str(row["doc_id"]),
            row["target"],
            "" if failure else response,
            failure or ("" if response.strip() else "an empty response"),
            int(counts.get("output_tokens") or 0),
            marks,
        )


def read_vlmevalkit(path: Path) -> Iterator[Logged]:
    """Yield the lines of a file of predictions of VLMEvalKit.

    Raises:
        ValueError: no such file, or an Excel file that nothing here reads.
    """
    for number, row in enumerate(_table_rows(path), start=2):
        place = f"{path}:{number}"
        missing = [name for name in ("index", "prediction") if name not in row]
        if missing:
            found = ", ".join(map(str, row))[:200]
            raise UserError(
                f"{path}: no column {', '.join(missing)}; found {found}. VLMEvalKit's predictions have both."
            )

        response, thinking = row["prediction"] or "", row.get("thinking") or ""
        failure = response if _VLM_FAILED in response else "" if response.strip() else "an empty response"
        marks = {name: mark for name in _VLM_MARKS if (mark := _mark(row.get(name))) is not None}
        whole = f"<think>{thinking}</think>{response}" if thinking else response
        yield Logged(place, str(row["index"]), row.get("answer"), "" if failure else whole, failure, 0, marks)


HARNESSES: dict[str, Callable[[Path], Iterator[Logged]]] = {"lmms-eval": read_lmms_eval, "vlmevalkit": read_vlmevalkit}


def _table_rows(path: Path) -> Iterator[Mapping[str, str]]:
    if path.suffix in (".xlsx", ".xls"):
        if importlib.util.find_spec("openpyxl") is None:
            raise UserError(
                f"{path}: nothing in this environment reads Excel files. Set VLMEvalKit's PRED_FORMAT=tsv, or save it as .tsv "
                "(tabs, UTF-8), and import that."
            )

        import pandas

        yield from pandas.read_excel(path, dtype=str, keep_default_na=False).to_dict("records")
        return

    csv.field_size_limit(1 << 30)  # a long thought is one field
    with path.open(encoding="utf-8-sig", newline="") as file:
        yield from csv.DictReader(file, delimiter="," if path.suffix == ".csv" else "\t")


def _first_text(value: Any) -> str:
    """Return the first text in a list of lists, as the harness nests its responses."""
    while isinstance(value, list) and value:
        value = value[0]

    return value if isinstance(value, str) else ""


def _mark(value: Any) -> float | None:
    """Return a metric as a number: the harness's own tasks write numbers, lists of them, and objects that hold one.

    >>> _mark(True), _mark({"answer": "B", "score": 0.0}), _mark([True, False]), _mark("1"), _mark("B")
    (1.0, 0.0, 0.5, 1.0, None)
    """
    if isinstance(value, Mapping):
        value = next((value[name] for name in _SCORES if name in value), None)

    if isinstance(value, list):
        found = [_mark(one) for one in value]
        return sum(found) / len(found) if found and None not in found else None

    try:
        number = float(value)
    except (TypeError, ValueError):
        return None

    return number if math.isfinite(number) else None
