"""A synthesis' configuration: everyone's model, and what differs in a role's own block; scenes, votes, thoughts, rows."""

import contextlib
import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, ValidationError

from virgo_factory.rollouts import config as asking
from virgo_factory.rollouts.config import AskConfig, Count, DatasetName, Problems
from virgo_factory.synthesis.scenes.source import SceneSource


FILE = "synthesis.yaml"
"""The resolved configuration inside the folder that it made."""

_ASKING = AskConfig.BLOCKS
_SAMPLING = tuple(key for key in _ASKING["sampling"] if key != "seed")
_OWN = (*_ASKING["model"], *_SAMPLING, "requests_in_flight", "request_timeout", "retries")
"""Keys that a role's block may have; all but those of sampling may stand outside, too, and are everyone's then."""

ROLES: Mapping[str, Mapping[str, Any]] = {
    "writer": {"samples": 1, "temperature": 0.7, "max_tokens": 4096},
    "solver": {"samples": 3, "temperature": 0.7, "max_tokens": 1024},
    "blind": {"samples": 4, "temperature": 1.0, "max_tokens": 1024},
    "composer": {"samples": 1, "temperature": 0.7, "max_tokens": 2048},
    "thinker": {"samples": 3, "temperature": 0.7, "top_p": 0.8, "max_tokens": 1024},
    "reasoner": {"samples": 3, "temperature": 0.6, "top_p": 0.95, "max_tokens": 256},
}
"""Who is asked, and how by default: LongPerceptualThoughts' values where it has the role (arXiv 2504.15362, code and F.1)."""

SAME_MODEL = {"blind": "solver", "composer": "writer"}
"""A role without a model of its own has this one's."""


class RoleConfig(AskConfig):
    """What one role is asked with; made of a SynthesisConfig, never read from a file."""

    FILE: ClassVar = FILE
    KIND: ClassVar = "a synthesis"
    EXAMPLE: ClassVar = "recipes/synthesize/lgt.yaml"
    RESUME: ClassVar = "virgo-factory synthesize resume"


class SynthesisConfig(AskConfig):
    """What a synthesis is told. Keys of models and budgets are everyone's; a role's block says what differs for it.

    Attributes:
        scenes: where captions and boxes are, see scenes.read.
        media_dir: that paths of pictures are relative to, in the rows too.
        shard: "2/8" for the second of eight parts of the scenes.
        max_scenes: the first so many.
        max_objects, min_score: objects of a scene that are told: so many of the surest, none below a score.
        confirmed: solvers that must give the stated answer; 1 keeps what they are split over as hard.
        blind_right: so many right answers without the picture drop a question.
        compositions: composed questions tried for each picture; 0 for none.
        composed_of: how many questions one is composed of.
        cues: that an expansion may begin with; one is drawn for each short thought.
        sft_share, x_to_o: how many rows are drawn for SFT, see thoughts.sets.
        pairs_per_question, compact_pairs: which pairs are kept, see thoughts.pairs.
        dataset: what the names of its entries in dataset_info.json begin with.
    """

    FILE: ClassVar = FILE
    KIND: ClassVar = "a synthesis"
    EXAMPLE: ClassVar = "recipes/synthesize/lgt.yaml"
    START: ClassVar = " Start one: synthesize run CONFIG"
    RESUME: ClassVar = "virgo-factory synthesize resume"
    BLOCKS: ClassVar = {
        "scenes": ("scenes", "media_dir", "shard", "max_scenes", "max_objects", "min_score", "seed"),
        "model": _ASKING["model"],
        "roles": tuple(ROLES),
        "pictures": ("image_max_pixels", "image_min_pixels"),
        "questions": ("confirmed", "blind_right", "compositions", "composed_of"),
        "thoughts": ("cues",),
        "rows": ("sft_share", "x_to_o", "pairs_per_question", "compact_pairs"),
        "budget": _ASKING["budget"],
        "output": ("output_dir", "dataset", "dataset_dir"),
    }

    scenes: tuple[SceneSource, ...]
    media_dir: Path
    shard: str = Field("", pattern=r"^([1-9]\d*/[1-9]\d*)?$")
    max_scenes: Count | None = None
    max_objects: Count = 40
    min_score: float = Field(0.0, ge=0, le=1)

    model_name_or_path: str = ""
    writer: dict[str, Any] = {}
    solver: dict[str, Any] = {}
    blind: dict[str, Any] = {}
    composer: dict[str, Any] = {}
    thinker: dict[str, Any] = {}
    reasoner: dict[str, Any] = {}

    image_max_pixels: Count = 512 * 512
    confirmed: Count = 1
    blind_right: Count = 3
    compositions: int = Field(2, ge=0, le=100)
    composed_of: tuple[Literal[2, 3], ...] = (2, 3)
    cues: tuple[Annotated[str, Field(min_length=1)], ...] = ("Wait,", "Hmm,")
    sft_share: float = Field(0.1, gt=0, le=1)
    x_to_o: float = Field(1.0, ge=0, allow_inf_nan=False)
    pairs_per_question: Count = 4
    compact_pairs: bool = False
    dataset: DatasetName
    dataset_dir: Path = Path(".")

    def role(self, name: str) -> RoleConfig:
        """Return what a role is asked with: everyone's keys, its defaults, its own block.

        Raises:
            pydantic.ValidationError: a value of its block is wrong.
        """
        shared = {key: getattr(self, key) for key in (*_ASKING["model"], *_ASKING["budget"], "seed", "output_dir")}
        shared |= {key: getattr(self, key) for key in self.BLOCKS["pictures"]}
        model = {key: value for key, value in self._block(SAME_MODEL.get(name)).items() if key in _ASKING["model"]}
        return RoleConfig(**shared | model | ROLES[name] | self._block(name))

    def _block(self, name: str | None) -> dict[str, Any]:
        return {key: value for key, value in (getattr(self, name) if name else {}).items() if key in _OWN}

    @property
    def roles(self) -> tuple[str, ...]:
        """Those that are asked."""
        return tuple(name for name in ROLES if self.compositions or name != "composer")

    def shapes(self) -> dict[str, Any]:
        """Return what decides what a reply is, beside what was sent: each role's model and sampling, the size of pictures, the seed."""
        values = self.model_dump(mode="json")
        decided = {key: values[key] for key in (*self.BLOCKS["pictures"], "seed")}
        for name in self.roles:
            role = self.role(name).model_dump(mode="json")
            decided |= {f"{name}.{key}": role[key] for key in ("model_name_or_path", *_SAMPLING) if key != "samples"}

        return decided

    def missing_files(self) -> list[tuple[str, str]]:
        """Return (key, message) for whatever the configuration names on this machine that is not there."""
        found = [] if self.media_dir.is_dir() else [("media_dir", f"media_dir: no folder {self.media_dir}")]
        paths = [item for source in self.scenes for item in source.paths()]
        found += [("scenes", f"scenes: {key}: no file or folder {path}") for key, path in paths if not path.exists()]
        for name in self.roles:
            with contextlib.suppress(ValidationError):  # told by `contradictions`
                for key, message in self.role(name).missing_files():
                    own = key in getattr(self, name)
                    found.append((name if own else key, f"{name}: {message}" if own else message))

        return list(dict.fromkeys(found))

    def contradictions(self) -> Problems:
        """Return (keys, message) for values that are wrong together, those of a role with its name before them."""
        found: Problems = []
        if self.image_min_pixels > self.image_max_pixels:
            found.append((("image_min_pixels", "image_max_pixels"), "image_min_pixels: more than image_max_pixels"))

        folders = [path.resolve() for path in (self.output_dir, self.media_dir)]
        if any(one.is_relative_to(other) for one, other in (folders, folders[::-1])):
            found.append(
                (
                    ("output_dir", "media_dir"),
                    f"output_dir: {self.output_dir} and media_dir: {self.media_dir}: one lies in the other. Keep rows and pictures apart",
                )
            )

        found += [
            ((key,), f"{key}: name at least one")
            for key in ("scenes", "composed_of", "cues")
            if not getattr(self, key)
        ]
        index, _, count = self.shard.partition("/")
        if self.shard and int(index) > int(count):
            found.append((("shard",), f"shard: {self.shard}: expected I/N with I from 1 to N, such as 2/8"))

        for key in sorted(self.model_fields_set & AskConfig.model_fields.keys() - _EVERYONES):
            told = (
                f"{key}: stands in a role's block, such as writer: {{{key}: ...}}"
                if key in _SAMPLING
                else f"{key}: is no key of a synthesis"
            )
            found.append(((key,), told))

        for name in self.roles:
            found += self._wrong_in(name)

        return found

    @classmethod
    def stand_ins(cls, wrong: set[str]) -> dict[str, Any]:
        """Return a source of scenes in place of none, or of a wrong one."""
        return {"scenes": (SceneSource("rows", Path("scenes.jsonl")),)}

    def _wrong_in(self, name: str) -> Problems:
        found: Problems = []
        block = getattr(self, name)
        for key in block.keys() - set(_OWN):
            found.append(
                (
                    (f"{name}.{key}", name),
                    f"{name}: {key}: no such key in a role's block. It may have {', '.join(_OWN)}",
                )
            )

        try:
            role = self.role(name)
        except ValidationError as error:
            for item in error.errors(include_url=False):
                told = asking.told(item)
                if item["loc"][0] == "model_name_or_path":
                    told = "model_name_or_path: missing, here and outside of the roles"

                found.append(((f"{name}.{item['loc'][0]}", name), f"{name}: {told}"))

            return found

        found += [((name,), f"{name}: {message}") for _, message in role.contradictions()]
        if name in PREFILLED and role.dialect == "openai":
            found.append(
                (
                    (f"{name}.dialect", name),
                    f"{name}: dialect: openai cannot go on behind the beginning of a response, which this role needs. Serve it with vLLM",
                )
            )

        for of, key in (("blind", "blind_right"), ("solver", "confirmed")):
            if name == of and getattr(self, key) > role.samples:
                found.append(((key, name), f"{key}: {getattr(self, key)} of only {role.samples} samples"))

        return found


PREFILLED = ("thinker", "reasoner")
"""Roles that go on behind a beginning of their response."""

_EVERYONES = {*_ASKING["model"], *_ASKING["budget"], "seed", "image_max_pixels", "image_min_pixels", "output_dir"}


read_config, read_folder = (
    functools.partial(read, SynthesisConfig) for read in (asking.read_config, asking.read_folder)
)
"""See rollouts.config: the configuration in a YAML file, and the one that made a folder."""
