"""What a smoke run was asked for, what its stages found, and what stands in for what this machine cannot do."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from virgo_factory.data.read.source import Settings, Source


STEPS = 2
"""Steps an epoch, that is to the checkpoint; the run has two epochs, and is killed one step behind the checkpoint."""


@dataclass(frozen=True)
class Substitution:
    """What the recipe says, what was used instead, and what is not tested for that reason."""

    recipe: str
    used: str
    untested: str


@dataclass(frozen=True)
class Result:
    """What became of a stage."""

    stage: str  # its name
    seconds: float  # it took
    found: str  # what it showed; of a failed stage the reason
    remedy: str = ""  # of a failed stage: what to do
    log: str = ""  # of a failed stage: where all of its output is
    ok: bool = True  # whether it passed
    notes: tuple[str, ...] = ()  # what is worth a look although it passed


class StageFailed(Exception):
    """A stage that did not pass: the reason, the remedy and the log."""

    def __init__(self, reason: str, remedy: str = "", log: Path | None = None) -> None:
        super().__init__(reason)
        self.reason, self.remedy, self.log = reason, remedy, log


@dataclass
class Smoke:
    """A smoke run: what was asked for, and what its stages have found out so far."""

    recipe: str  # a .yaml file, or the name of one that ships
    work: Path  # folder for everything it writes; made by `run`
    ranks: int | None = None  # CPU processes; None: two for a recipe with DeepSpeed, else one
    model: Path | None = None  # folder of tokenizer and processor; None: those of the recipe's model
    data: Path | None = None  # file to take the rows from, in place of the recipe's datasets
    serve: bool = True  # whether vLLM loads the result, where it is installed
    overrides: Mapping[str, Any] = field(default_factory=dict)  # recipe keys that were given on top
    substituted: list[Substitution] = field(default_factory=list)  # grows while the stages run
    keys: dict[str, Any] = field(default_factory=dict)
    settings: Settings = field(default_factory=Settings)
    sources: list[Source] = field(default_factory=list)
    vocabulary: int = 0
    longest: int | None = None
    before: int = 0
    checkpoint: int = 0
    killed: str = ""

    @property
    def twin(self) -> Path:
        return self.work / "twin"

    @property
    def output(self) -> Path:
        """The `output_dir` of the training."""
        return self.work / "out"

    @property
    def tuned(self) -> Path:
        """The model that is served in the end: of a LoRA run the merged one."""
        return self.work / "merged" if self.keys.get("finetuning_type", "lora") == "lora" else self.output

    def substitute(self, recipe: str, used: str, untested: str) -> None:
        self.substituted.append(Substitution(recipe, used, untested))


Found = tuple[str, Sequence[str]]
