"""A folder of an evaluation, each of its files read once: what scores need, and where the rows of a response stand."""

import hashlib
import itertools
import json
import re
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from virgo_factory.core.errors import UserError
from virgo_factory.evaluation.benchmarks import samples_of
from virgo_factory.evaluation.paper.tables import facts, is_row, label_paper, paper_value
from virgo_factory.evaluation.scores import ABOUT, Counted, Held, Score, counted, hold, scores
from virgo_factory.io.index import read_object
from virgo_factory.io.yaml_text import read_yaml
from virgo_factory.rollouts.question import FILE as QUESTIONS
from virgo_factory.rollouts.store.index import DROPPED, ROLLOUTS, VERDICTS
from virgo_factory.rollouts.store.jsonl import shards_of


CONFIG = "evaluation.yaml"
HARNESS = "harness"
"""Among the parameters of a response from another harness's log, which does not tell how it ended."""

PAPER_ROW = "paper_row"
"""Key of the configuration that names the row of a paper that a run is, such as "Virgo-7B D_T"."""


class Rows:
    """The rows of a folder's files of a name, in their order; where each stands is kept, so that some can be read again."""

    def __init__(self, folder: Path, name: str) -> None:
        self._files = [(path, path.stat().st_size) for path in shards_of(folder, name)]
        self._starts = array("q")

    def __iter__(self) -> Iterator[dict[str, Any]]:
        self._starts, before = array("q"), 0
        for path, size in self._files:
            start = before
            with path.open("rb") as lines:
                for number, line in enumerate(lines, start=1):
                    if not line.endswith(b"\n") or start >= before + size:  # half a line, or more than was there
                        break

                    if line.strip():
                        self._starts.append(start)
                        try:
                            yield read_object(line)
                        except ValueError as error:
                            raise UserError(f"{path}:{number}: {error}.") from None

                    start += len(line)

            before += size

    def __getitem__(self, number: int) -> dict[str, Any]:
        """Return a row that was read, by its number from 0."""
        start = self._starts[number]
        for path, size in self._files:
            if start < size:
                with path.open("rb") as file:
                    file.seek(start)
                    return read_object(file.readline())

            start -= size

        raise IndexError(number)


@dataclass
class Run:
    """An evaluation that was read.

    Attributes:
        hashes: of each question's text, options, gold and pictures.
        params: of its first rollout.
        scorer: whose verdicts these are.
    """

    folder: Path
    config: Mapping[str, Any]
    questions: Rows
    rollouts: Rows
    verdicts: Rows
    held: Held = field(default_factory=Held)
    ids: list[str] = field(default_factory=list)
    hashes: list[str] = field(default_factory=list)
    params: Mapping[str, Any] = field(default_factory=dict)
    name: str = ""
    scorer: str = "ours"

    @cached_property
    def samples(self) -> dict[str, int]:
        """Benchmark -> responses that a question gets; of another harness's log, got at the most."""
        if isinstance(samples := self.config.get("samples"), int):
            return {name: samples_of(name, samples) for name in self.places}

        most: dict[str, int] = {}
        times = Counter(self.held.place)
        for place, count in times.items():
            name = self.held.questions[place].benchmark
            most[name] = max(most.get(name, 1), count)

        return most

    @cached_property
    def counted(self) -> Counted:
        """What is there of each question."""
        return counted(self.held, self.samples)

    @cached_property
    def answered(self) -> dict[str, int]:
        """Id -> place of the questions that have all their responses."""
        return {id: place for place, id in enumerate(self.ids) if self.counted.present[place]}

    def correct(self, ids: Sequence[str]) -> np.ndarray:
        """Return the share of correct responses to each of some answered questions."""
        return self.counted.share("correct")[[self.answered[id] for id in ids]]

    def clusters(self, ids: Iterable[str]) -> list[str]:
        """Return what each of some answered questions shares with others."""
        return [self.held.questions[self.answered[id]].cluster for id in ids]

    @property
    def places(self) -> dict[str, list[int]]:
        """Benchmark -> places of its questions."""
        found: dict[str, list[int]] = {}
        for place, question in enumerate(self.held.questions):
            found.setdefault(question.benchmark, []).append(place)

        return found

    @property
    def about(self) -> dict[str, Any]:
        """Return the columns of scores.csv that say what the run is."""
        told = {name: self.config.get(name, "") for name in ABOUT}
        told |= {"scorer": self.scorer, "vllm": self.params.get("vllm", "")}
        told["judge"] = self.config.get("judge_model") or ""
        epoch = re.search(r"epoch-(\d+)/?$", self.model)
        return told | {"run": self.name, "model": self.model, "epoch": epoch[1] if epoch else ""}

    @property
    def model(self) -> str:
        """Return the name or path of the model."""
        return str(self.config.get("model_name_or_path", ""))

    def label(self, paper: str) -> str:
        """Return the row of a paper that the run is: as PAPER_ROW says, else by the model's name; "" for none."""
        known = [(fact.model, fact.condition) for fact in facts(paper)]
        for label in filter(None, (self.config.get(PAPER_ROW), Path(self.model).name)):
            if any(is_row(label, *row) for row in known):
                return label

        return ""

    @property
    def paper(self) -> str:
        """Return the paper that has the row which the configuration names; "" where it names none."""
        label = self.config.get(PAPER_ROW)
        return label_paper(label) if label else ""

    def scores(self, paper: str) -> list[Score]:
        """Return its rows of scores.csv; those on which questions are outstanding say that they are partial."""
        values = paper_value(paper, self.label(paper)) if paper else lambda *key: None
        rows = scores(self.held, self.about, self.samples, allow_partial=True, paper=values)
        unknown = {"truncated": ""} if HARNESS in self.params else {}
        return [row | unknown for row in rows]


def read_run(folder: Path, verdicts: str = VERDICTS, may_be_empty: bool = False) -> Run:
    """Return an evaluation.

    Raises:
        ValueError: it is none, it has no responses that are judged, or a line of it is broken.
    """
    missing = [name for name in (CONFIG, QUESTIONS) if not (folder / name).is_file()]
    if missing:
        raise UserError(f"{folder} is no folder of an evaluation: no {' and no '.join(missing)} in it.")

    run = Run(
        folder,
        _config(folder / CONFIG),
        *(Rows(folder, name) for name in (QUESTIONS.removesuffix(".jsonl"), ROLLOUTS, verdicts)),
        name=folder.resolve().name,
        scorer=verdicts.removeprefix(VERDICTS).removeprefix(".") or "ours",
    )

    def questions() -> Iterator[Mapping]:
        for row in run.questions:
            run.ids.append(row["id"])
            run.hashes.append(question_hash(row))
            yield row

    def rollouts() -> Iterator[Mapping]:
        rows = iter(run.rollouts)
        for first in itertools.islice(rows, 1):
            run.params = first["params"]
            yield first

        yield from rows

    try:
        run.held = hold(questions(), rollouts(), run.verdicts, Rows(folder, DROPPED))
    except KeyError as error:
        raise UserError(f"{folder}: a row without {error}; are its files of an evaluation?") from None

    if not run.held.place and not may_be_empty:
        raise UserError(f"{folder}: no response that is judged yet. Let `evaluate run` go on, then report.")

    return run


def _config(path: Path) -> dict[str, Any]:
    try:
        found = read_yaml(path.read_text(encoding="utf-8"))
    except (ValueError, yaml.YAMLError) as error:
        raise UserError(f"{path}: not YAML: {error}.") from None

    if not isinstance(found, dict):
        raise UserError(f"{path}: expected keys and values.")

    return found


def question_hash(row: Mapping[str, Any]) -> str:
    """Return sixteen digits that tell a question from others: of its text, options, gold and pictures.

    >>> question_hash({"question": "How many?", "gold": "2"}) == question_hash({"question": "How many?", "gold": "3"})
    False
    """
    told = [row.get(name) or None for name in ("question", "parts", "options", "gold", "image_sha256")]
    return hashlib.sha256(json.dumps(told, ensure_ascii=False).encode("utf-8", "surrogatepass")).hexdigest()[:16]
