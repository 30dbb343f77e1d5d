"""An evaluation's configuration: what asking is told (rollouts/config.py), and the keys of benchmarks and scoring."""

import functools
import math
import re
from difflib import get_close_matches
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field, field_validator

from virgo_factory.core.errors import UserError
from virgo_factory.evaluation.benchmarks import BENCHMARKS, samples_of
from virgo_factory.evaluation.paper.tables import label_paper
from virgo_factory.evaluation.probes import process as marks
from virgo_factory.evaluation.probes.variants import COUNT, variants_of
from virgo_factory.evaluation.scorers import PAPER
from virgo_factory.rollouts import config as asking
from virgo_factory.rollouts.config import AskConfig, Count, Problems


FILE = "evaluation.yaml"
"""The resolved configuration inside the folder that it made."""

_ASKING = AskConfig.BLOCKS


class EvaluationConfig(AskConfig):
    """What an evaluation is told beside what asking is told.

    Attributes:
        benchmarks: name -> how many of its questions are drawn, None for all; a list of names stands for all of each.
        questions: a file of questions of one's own, asked beside the benchmarks.
        benchmark_dir: folder with a sub-folder a benchmark, in the hub's layout; None for the hub.
        allow_partial: go on where a benchmark has fewer rows than published.
        variants: kind of change of the pictures -> its amounts, such as {rotate: [-10, 10], noise: 10}; asked after all else.
        variant_questions: how many questions are drawn for them.
        process: perception, logic, answer, integration -> W1 to W4, the weight of each in the marks that the judge, which has to
            see pictures, gives to first responses; nothing is judged where it is empty.
        process_questions: how many questions are drawn for that.
        process_labels: a file of marks by people that the judge's are held against, see process.read_labels.
        recheck: of how many questions the model is asked again for what its thought claims to see.
        budget: mean tokens after which thoughts are closed and the solution is asked for; each is a run over all responses.
        budget_by: what a question's budget goes by: the folder of an earlier run, or a group of the questions that is a number.
        scorer: ours (rules), paper (Virgo's), omr (OpenMMReasoner's).
        judge_url, judge_model, judge_key_env: of the language model that scorers ask.
        paper_row: the row of a paper's tables that the model repeats, such as "Virgo-7B D_T".
    """

    FILE: ClassVar = FILE
    KIND: ClassVar = "an evaluation"
    EXAMPLE: ClassVar = "recipes/evaluate/virgo.yaml"
    START: ClassVar = " Start one: evaluate run CONFIG"
    RESUME: ClassVar = "virgo-factory evaluate run"
    BLOCKS: ClassVar = {
        "benchmarks": ("benchmarks", "questions", "benchmark_dir", "allow_partial", "seed"),
        "prompt": _ASKING["prompt"],
        "model": _ASKING["model"],
        "sampling": tuple(key for key in _ASKING["sampling"] if key != "seed"),
        "budget": _ASKING["budget"],
        "scoring": (
            *("scorer", "judge_url", "judge_model", "judge_key_env", "paper_row", "variants", "variant_questions"),
            *("process", "process_questions", "process_labels", "recheck", "budget", "budget_by"),
        ),
        "output": _ASKING["output"],
    }
    FREE: ClassVar = (*AskConfig.FREE, "benchmark_dir", "allow_partial")
    FREE_BLOCKS: ClassVar = ("budget", "scoring", "output")

    benchmarks: dict[str, Count | None] = {}
    questions: Path | None = None
    benchmark_dir: Path | None = None
    allow_partial: bool = False

    layout: Literal["auto", "inline", "first"] = "auto"
    image_max_pixels: Count = 12_845_056
    samples: int = Field(1, ge=1, le=1024)
    temperature: float = Field(0.0, ge=0, le=10)

    variants: dict[str, float | list[float]] = {}
    variant_questions: Count = COUNT
    process: dict[str, float] = {}
    process_questions: Count = marks.COUNT
    process_labels: Path | None = None
    recheck: Count | None = None
    budget: tuple[Count, ...] = ()
    budget_by: str | None = None

    scorer: Literal["ours", "paper", "omr"] = "ours"
    judge_url: str | None = None
    judge_model: str | None = None
    judge_key_env: str = "OPENAI_API_KEY"
    paper_row: str | None = None

    @field_validator("benchmarks", mode="before")
    @classmethod
    def _names(cls, given: Any) -> Any:
        is_list = isinstance(given, list | tuple) and all(isinstance(name, str) for name in given)
        return dict.fromkeys(given) if is_list else given

    @field_validator("benchmarks")
    @classmethod
    def _known(cls, given: dict[str, int | None]) -> dict[str, int | None]:
        if unknown := [name for name in given if name not in BENCHMARKS]:
            near = [get_close_matches(name.lower(), BENCHMARKS, 3, 0.5) or list(BENCHMARKS) for name in unknown]
            told = (f"{name} (is it {' or '.join(close)}?)" for name, close in zip(unknown, near, strict=True))
            raise UserError(f"not known: {'; '.join(told)}. `virgo-factory evaluate list` shows all")

        return given

    @field_validator("variants")
    @classmethod
    def _are_variants(cls, given: dict[str, float | list[float]]) -> dict[str, float | list[float]]:
        variants_of(given)
        return given

    @field_validator("process")
    @classmethod
    def _are_weights(cls, given: dict[str, float]) -> dict[str, float]:
        are_weights = all(0 <= weight < math.inf for weight in given.values())  # NaN is none
        if given and (not set(given) <= set(marks.DIMENSIONS) or not are_weights or not sum(given.values())):
            raise UserError(
                f"expected a weight from 0 on for some of {', '.join(marks.DIMENSIONS)}, not all of them 0"
            )

        return given

    @field_validator("budget", mode="before")
    @classmethod
    def _several(cls, given: Any) -> Any:
        return [given] if isinstance(given, int) else given

    @field_validator("judge_url")
    @classmethod
    def _is_url(cls, url: str | None) -> str | None:
        if url is not None and not re.fullmatch(r"https?://[^\s/@]+(/[^\s@]*)?", url):
            raise UserError("expected http://HOST:PORT/v1, without user or password (a key goes into judge_key_env)")

        return url

    @field_validator("judge_key_env")
    @classmethod
    def _is_variable(cls, name: str) -> str:
        return cls._name_of_a_variable(name)

    @field_validator("paper_row")
    @classmethod
    def _is_row(cls, label: str | None) -> str | None:
        if label is not None:
            label_paper(label)

        return label

    @property
    def most_thought(self) -> int:
        """Tokens of the largest budget of a thought: an eighth of max_tokens is the solution's."""
        return self.max_tokens * 7 // 8

    def samples_of(self, source: str) -> int:
        """Return how many responses a question of a benchmark gets: its own number where it has one."""
        return samples_of(source, self.samples)

    def temperature_of(self, source: str) -> float:
        """Return the temperature at which a benchmark is asked; see `samples_of`."""
        is_own = source in BENCHMARKS and BENCHMARKS[source].samples > 1
        return BENCHMARKS[source].temperature if is_own else self.temperature

    def missing_files(self) -> list[tuple[str, str]]:
        """Return (key, message) for whatever the configuration names on this machine that is not there."""
        found = [
            (key, f"{key}: no file {path}")
            for key in ("questions", "process_labels")
            if (path := getattr(self, key)) is not None and not path.is_file()
        ]
        if self.budget_by and "/" in self.budget_by and not Path(self.budget_by).is_dir():
            found.append(("budget_by", f"budget_by: no folder {self.budget_by}"))

        if self.benchmark_dir is not None:
            if not self.benchmark_dir.is_dir():
                found.append(("benchmark_dir", f"benchmark_dir: no folder {self.benchmark_dir}"))
            elif lacking := [name for name in self.benchmarks if not (self.benchmark_dir / name).is_dir()]:
                told = "; ".join(f"{name}: the files of {BENCHMARKS[name].hub}" for name in lacking)
                found.append(("benchmarks", f"benchmark_dir: no folder in {self.benchmark_dir} for {told}"))

        return found + super().missing_files()

    def contradictions(self) -> Problems:
        """Return (keys, message) for values that are wrong together."""
        found = super().contradictions()
        if not self.benchmarks and self.questions is None:
            found.append((("benchmarks",), "benchmarks: missing; name at least one, or a file of questions"))

        if bool(self.judge_url) != bool(self.judge_model):
            found.append(
                (("judge_url", "judge_model"), "judge_url and judge_model: a judge needs both, its URL and its name")
            )

        if not self.judge_url and self.scorer != "ours":
            needs = "asks" if self.scorer == "omr" else f"asks (for {', '.join(PAPER)})"
            told = f"scorer: {self.scorer} {needs} a judge about most responses. Name judge_url and judge_model"
            found.append((("scorer", "judge_url"), told))

        if self.scorer == "paper" and self.benchmarks and not set(self.benchmarks) & set(PAPER):
            told = f"scorer: paper has rules for {', '.join(PAPER)} alone. Name one of them in benchmarks, or scorer: ours"
            found.append((("scorer", "benchmarks"), told))

        if self.process and not self.judge_url:
            told = "process: marks are given by a judge that sees pictures. Name judge_url and judge_model"
            found.append((("process", "judge_url"), told))

        if self.budget and max(self.budget) > (most := self.most_thought):
            told = f"budget: {max(self.budget):,} leaves a solution no room in max_tokens; at most {most:,} (seven eighths of it)"
            found.append((("budget", "max_tokens"), told))

        if self.budget and self.dialect == "openai":
            found.append(
                (("budget", "dialect"), "budget: only vLLM goes on behind a thought; the public API does not")
            )

        if self.budget_by and not self.budget:
            found.append((("budget_by",), "budget_by: of no budget; name the tokens in budget, such as [512, 2048]"))

        judged = [name for name in self.benchmarks if name in BENCHMARKS and BENCHMARKS[name].needs_judge]
        if judged and not self.judge_url:
            told = f"benchmarks: {', '.join(judged)} cannot be judged by rules. Name judge_url and judge_model"
            found.append((("benchmarks", "judge_url"), told))

        return found

    @classmethod
    def stand_ins(cls, wrong: set[str]) -> dict[str, Any]:
        """Return a benchmark where some are named, though not as they should be."""
        return {"benchmarks": ["mathvision"]} if wrong & {"benchmarks", "questions"} else {}

    def resume_command(self, shard: tuple[int, int] | None = None) -> str:
        """Return the command that goes on with its folder: the run's own, with the configuration kept there."""
        part = f" --shard {shard[0]}/{shard[1]}" if shard else ""
        return f"{self.RESUME} {self.output_dir / FILE}{part}"


read_config, read_folder = (
    functools.partial(read, EvaluationConfig) for read in (asking.read_config, asking.read_folder)
)
"""See rollouts.config: the configuration in a YAML file, and the one that made a folder."""
