"""What the files of a LoRA adapter say, by themselves and beside the base."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from virgo_factory.preflight.checkpoint.look import Model, Numbers
from virgo_factory.preflight.checkpoint.numbers import judge_numbers, listed
from virgo_factory.preflight.checkpoint.weights import Tensor, read_settings
from virgo_factory.preflight.diagnosis import Diagnosis


CONFIG = "adapter_config.json"
_SIDES = (("lora_A", "lora_B"), ("lora_embedding_A", "lora_embedding_B"))
_ZERO = ("lora_B", "lora_embedding_A")
"""Those that peft begins with as zeros (tuners/lora/layer.py, reset_lora_parameters)."""
_WRAPPERS = {"base_model", "model", "language_model", "transformer", "base_layer"}
"""Parts of a name that differ between a model in memory, as an adapter has it, and its files."""


@dataclass(frozen=True)
class Pair:
    """The two matrices of one module: (rank, in) and (out, rank); of an embedding (rank, tokens) and (width, rank)."""

    module: str
    down: Tensor
    up: Tensor
    is_embedding: bool


def check_adapter(
    folder: Path, tensors: Mapping[str, Tensor], numbers: Mapping[str, Numbers], base: Mapping[str, Tensor] | None
) -> Iterator[Diagnosis]:
    """Yield what is right and wrong with an adapter."""
    if not (folder / CONFIG).is_file():
        yield Diagnosis("files", "error", f"{CONFIG} is missing", "copy the whole folder again")

    others = {name: tensor for name, tensor in tensors.items() if not _begins_as_zero(name)}
    yield from judge_numbers(Model(others, {name: numbers[name] for name in others}))
    ups = {name: tensor for name, tensor in tensors.items() if name not in others}
    yield from _ups(ups, numbers)
    pairs, alone = find_pairs(tensors)
    if alone or not pairs:
        what = f"{len(alone)} matrices without their other half: {listed(alone)}" if alone else "no lora_A and lora_B"
        yield Diagnosis("adapter", "error", what, "copy the folder again, or save the adapter again")
        return

    wrong = [pair.module for pair in pairs if pair.down.shape[0] != pair.up.shape[1]]
    if wrong:
        what = f"the two matrices have different ranks: {listed(wrong)}"
        yield Diagnosis("adapter", "error", what, "copy the folder again, or save the adapter again")
        return

    yield from _fits(pairs, base, read_settings(folder, CONFIG))


def _begins_as_zero(name: str) -> bool:
    return any(f".{side}." in f"{name}." for side in _ZERO)


def _ups(ups: Mapping[str, Tensor], numbers: Mapping[str, Numbers]) -> Iterator[Diagnosis]:
    """Yield what is wrong with the matrices that are zero before the first step, of an embedding for each token not seen."""
    zero = [name for name in ups if len(numbers[name].zero) == numbers[name].rows]
    sides = " and ".join(side for side in _ZERO if any(f".{side}." in f"{name}." for name in ups))
    if zero and len(zero) == len(ups):
        yield Diagnosis(
            "adapter", "error", f"all {len(zero)} {sides} are zero: it changes nothing",
            "look at learning_rate and at the losses of the training, or take a later checkpoint",
        )  # fmt: skip
    elif zero:
        what = f"{len(zero)} of {len(ups)} {sides} are zero: {listed(zero)}"
        yield Diagnosis("adapter", "warning", what, "these modules were not trained: is that meant?")

    bad = {name: numbers[name] for name in ups if numbers[name].not_finite}
    if bad:
        yield from judge_numbers(Model({name: ups[name] for name in bad}, bad))


def find_pairs(tensors: Mapping[str, Tensor]) -> tuple[list[Pair], list[str]]:
    """Return the pairs of an adapter, and the matrices that have no other half."""
    pairs, alone = [], []
    for down, up in _SIDES:
        for name, tensor in tensors.items():
            for one, other, is_down in ((down, up, True), (up, down, False)):
                if f".{one}." not in f"{name}.":
                    continue

                partner = name.replace(f".{one}", f".{other}")
                if partner not in tensors:
                    alone.append(name)
                elif is_down:
                    module = name.rpartition(f".{one}")[0]
                    pairs.append(Pair(module, tensor, tensors[partner], down.startswith("lora_embedding")))

    return pairs, alone


def _fits(pairs: list[Pair], base: Mapping[str, Tensor] | None, config: Mapping[str, Any]) -> Iterator[Diagnosis]:
    ranks = sorted({pair.down.shape[0] for pair in pairs})
    what = f"{len(pairs)} modules, rank {', '.join(map(str, ranks))}"
    told = config.get("r")
    if isinstance(told, int) and told not in ranks and not config.get("rank_pattern"):
        yield Diagnosis("adapter", "error", f"{what}, though {CONFIG} says {told}", "copy the whole folder again")
    elif base is None:
        yield Diagnosis("adapter", "warning", f"{what}; not compared with its base", "name the base with --base DIR")
    else:
        there = _by_short_name(base)
        lost = [pair.module for pair in pairs if _short(pair.module) not in there]
        other = [pair.module for pair in pairs
                 if (name := there.get(_short(pair.module))) and base[name].shape != _shape(pair)]  # fmt: skip
        if lost or other:
            what = f"{len(lost)} of its modules are not in the base, {len(other)} have other sizes there: "
            yield Diagnosis(
                "adapter", "error", what + listed(lost + other),
                f"name the base it was trained from ({config.get('base_model_name_or_path') or 'not said'})",
            )  # fmt: skip
        else:
            yield Diagnosis("adapter", "ok", f"{what}, all of them the base's, in their sizes")


def _by_short_name(tensors: Mapping[str, Tensor]) -> dict[str, str]:
    """Return module -> name of its weight, without what a model in memory and its files name differently."""
    return {_short(name.removesuffix(".weight")): name for name in tensors if name.endswith(".weight")}


def _short(module: str) -> str:
    """Return a module's name without wrappers.

    >>> _short("base_model.model.model.language_model.layers.0.mlp.up_proj"), _short("model.layers.0.mlp.up_proj")
    ('layers.0.mlp.up_proj', 'layers.0.mlp.up_proj')
    """
    return ".".join(part for part in module.split(".") if part not in _WRAPPERS)


def _shape(pair: Pair) -> tuple[int, int]:
    """Return the shape of the weight that a pair is added to."""
    shape = pair.up.shape[0], pair.down.shape[1]
    return shape[::-1] if pair.is_embedding else shape
