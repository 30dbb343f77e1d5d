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
    """What became of a stage.

    Attributes:
        stage: its name.
        seconds: it took.
        found: what it showed; of a failed stage the reason.
        remedy: of a failed stage: what to do.
        log: of a failed stage: where all of its output is.
        ok: whether it passed.
        notes: what is worth a look although it passed.
    """

    stage: str
    seconds: float
    found: str
    remedy: str = ""
    log: str = ""
    ok: bool = True
    notes: tuple[str, ...] = ()


class StageFailed(Exception):
    """A stage that did not pass: the reason, the remedy and the log."""

    def __init__(self, reason: str, remedy: str = "", log: Path | None = None) -> None:
        super().__init__(reason)
        self.reason, self.remedy, self.log = reason, remedy, log


@dataclass
class Smoke:
    """A smoke run: what was asked for, and what its stages have found out so far.

    Attributes:
        recipe: a .yaml file, or the name of one that ships.
        work: folder for everything it writes; made by `run`.
        ranks: CPU processes; None: two for a recipe with DeepSpeed, else one.
        model: folder of tokenizer and processor; None: those of the recipe's model.
        data: file to take the rows from, in place of the recipe's datasets.
        serve: whether vLLM loads the result, where it is installed.
        overrides: recipe keys that were given on top.
        substituted: grows while the stages run.
    """

    recipe: str
    work: Path
    ranks: int | None = None
    model: Path | None = None
    data: Path | None = None
    serve: bool = True
    overrides: Mapping[str, Any] = field(default_factory=dict)
    substituted: list[Substitution] = field(default_factory=list)
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
        """The tiny model."""
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
        """Note a replacement."""
        self.substituted.append(Substitution(recipe, used, untested))


Found = tuple[str, Sequence[str]]
