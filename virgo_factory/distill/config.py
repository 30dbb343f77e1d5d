"""A distillation's configuration: what asking is told (rollouts/config.py), and the keys of questions and selection."""

import functools
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, field_validator

from virgo_factory.core.errors import UserError
from virgo_factory.rollouts import config as asking
from virgo_factory.rollouts.config import AskConfig, Count, DatasetName, Problems


FILE = "distill.yaml"  # the resolved configuration inside the folder that it made

SOURCES = (
    *("geos", "geoqa_plus", "geometry3k", "unigeo", "tabmwp", "figureqa", "chartqa", "clevr"),  # Virgo, Table 1
    "iconqa",
)

SEVERAL = ("first", "diverse")
"""Values of `responses` that take up to `k` of a question: as they were sampled (OpenMMReasoner's), or most unlike."""

_ASKING = AskConfig.BLOCKS
BLOCKS: Mapping[str, tuple[str, ...]] = {
    "questions": (
        *("questions", "sources", "pool_factor", "source_dir", "onevision", "benchmarks", "questions_per_image"),
        "seed",
    ),
    "prompt": _ASKING["prompt"],
    "base model": ("base_model_name_or_path", "base_urls", "base_served_model_name"),
    "rollout model": _ASKING["model"],
    "sampling": (
        *("samples", "temperature", "top_p", "top_k", "repetition_penalty", "max_tokens", "base_max_tokens"),
        *("cut_loops", "stop_when_decided"),
    ),
    "budget": _ASKING["budget"],
    "selection": ("response_format", "responses", "k", "difficulty", "source_quota", "max_binary_share"),
    "output": ("output_dir", "dataset", "dataset_dir"),
}


class DistillConfig(AskConfig):
    """What a distillation is told beside what asking is told."""

    FILE: ClassVar = FILE
    KIND: ClassVar = "a distillation"
    EXAMPLE: ClassVar = "recipes/distill/dsd_virgo7b.yaml"
    START: ClassVar = " Start one: distill run CONFIG"
    RESUME: ClassVar = "virgo-factory distill resume"
    BLOCKS: ClassVar = BLOCKS
    FREE: ClassVar = (*AskConfig.FREE, "base_urls", "base_served_model_name", "stop_when_decided")
    FREE_BLOCKS: ClassVar = ("budget", "selection", "output")
    RENAMED: ClassVar = {"diverse": "k"}

    questions: Path | None = None
    sources: dict[str, Annotated[int, Field(ge=0)]] = {}
    pool_factor: float = Field(1.0, ge=1, le=1000, allow_inf_nan=False)
    source_dir: Path | None = None
    onevision: str = "lmms-lab/LLaVA-OneVision-Data"
    benchmarks: tuple[str, ...] = ()
    questions_per_image: Count = 1

    base_model_name_or_path: str | None = Field(None, min_length=1)
    base_urls: tuple[str, ...] = ()
    base_served_model_name: str | None = None
    base_max_tokens: Count = 2048
    stop_when_decided: bool = False

    responses: Literal["shortest", "all", "first", "diverse"] = "shortest"
    k: Count = 4
    difficulty: Literal["medium", "hard", "random", "any"] = "medium"
    source_quota: bool = True
    max_binary_share: float | None = Field(None, ge=0, le=1)

    dataset: DatasetName
    dataset_dir: Path = Path(".")

    @field_validator("sources")
    @classmethod
    def _known_sources(cls, sources: dict[str, int]) -> dict[str, int]:
        if unknown := [name for name in sources if name not in SOURCES]:
            raise UserError(f"{', '.join(unknown)}: not one of {', '.join(SOURCES)}")

        return sources

    def missing_files(self) -> list[tuple[str, str]]:
        """Return (key, message) for whatever the configuration names on this machine that is not there."""
        found = []
        if self.questions is not None:
            from virgo_factory.distill.questions.given import problem_of  # only here: a status needs none of it

            if problem := problem_of(self.questions, self.dataset_dir):
                found.append(("questions", f"questions: {problem}"))

        if self.source_dir is not None and not self.source_dir.is_dir():
            found.append(("source_dir", f"source_dir: no folder {self.source_dir}"))

        for given in self.benchmarks:
            if not Path(given).is_file() and not Path(given.rpartition(":")[0]).is_file():
                found.append(("benchmarks", f"benchmarks: no file {given}"))

        return found + self._missing_model("base_model_name_or_path", self.base_urls) + super().missing_files()

    def contradictions(self) -> Problems:
        """Return (keys, message) for values that are wrong together."""
        found = super().contradictions()
        if self.questions is None and not sum(self.sources.values()):
            found.append((("questions", "sources"), "sources: missing; name at least one, or a file of questions"))

        if self.base_model_name_or_path:
            found += self._no_room("base_max_tokens")
        elif (most := self.max_rollouts) and most < self.samples:
            told = f"max_rollouts: {most} is fewer than the {self.samples} samples of a question, so none is asked"
            found.append((("max_rollouts", "samples"), told))

        if self.base_urls and not self.base_model_name_or_path:
            found.append((("base_urls",), "base_urls: base_model_name_or_path is missing"))

        if self.difficulty == "random" and self.base_model_name_or_path:
            told = "difficulty: random takes questions whether or not the base model solves them; leave base_model_name_or_path out"
            found.append((("difficulty", "base_model_name_or_path"), told))

        if self.responses in SEVERAL and self.k > self.samples:
            found.append((("k", "samples"), f"k: {self.k} of only {self.samples} samples"))

        return found

    @classmethod
    def stand_ins(cls, wrong: set[str]) -> dict[str, Any]:
        """Return a file of questions where one is named, though not as it should be."""
        return {"questions": "questions.jsonl"} if wrong & {"sources", "questions"} else {}


read_config, read_folder = (
    functools.partial(read, DistillConfig) for read in (asking.read_config, asking.read_folder)
)
"""See rollouts.config: the configuration in a YAML file, and the one that made a folder."""


def questions_wanted(config: DistillConfig) -> int | None:
    """Return how many questions are drawn from the sources; None where a file of questions is given.

    >>> questions_wanted(
    ...     DistillConfig(sources={"geos": 3}, pool_factor=1.5, model_name_or_path="m", output_dir="out", dataset="d")
    ... )
    5
    """
    if config.questions is not None:
        return None

    return sum(math.ceil(count * config.pool_factor) for count in config.sources.values())
