"""What the files of a LoRA adapter say, by themselves, beside the base, and beside the model that it was merged into."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from virgo_factory.preflight.checkpoint.look import Model, Numbers
from virgo_factory.preflight.checkpoint.numbers import judge_numbers, listed
from virgo_factory.preflight.checkpoint.weights import Tensor, read_rows, read_settings
from virgo_factory.preflight.diagnosis import Diagnosis
from virgo_factory.preflight.twin.small_config import spread


CONFIG = "adapter_config.json"
_SIDES = (("lora_A", "lora_B"), ("lora_embedding_A", "lora_embedding_B"))
_ZERO = ("lora_B", "lora_embedding_A")
"""Those that peft begins with as zeros (tuners/lora/layer.py, reset_lora_parameters)."""
_ROWS = 16
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


def check_merged(
    tensors: Mapping[str, Tensor],
    numbers: Mapping[str, Numbers],
    before: Mapping[str, Tensor],
    adapter: Path,
    parts: Mapping[str, Tensor],
) -> Iterator[Diagnosis]:
    """Yield whether a model is its base with an adapter added: some rows of every module, and all else byte by byte.

    `numbers` were compared with the base `before`; `parts` are the adapter's tensors.
    """
    config = read_settings(adapter, CONFIG)
    pairs, _ = find_pairs(parts)
    there = _by_short_name(before)
    names = {there[_short(pair.module)]: pair for pair in pairs if _short(pair.module) in there}
    if config.get("use_dora") or not names or len(names) < len(pairs):
        why = "DoRA" if config.get("use_dora") else f"{len(pairs) - len(names)} of its modules are not in the base"
        yield Diagnosis("merged", "warning", f"not compared with {adapter}: {why}", "name its base with --base DIR")
        return

    saved = {short for name in parts if ".lora_" not in name for short in [_short(name.removesuffix(".weight"))]}
    changed = [name for name, seen in numbers.items() if seen.same is False and name not in names
               and _short(name.removesuffix(".weight")) not in saved]  # fmt: skip
    unlike = [name for name, pair in names.items()
              if name not in tensors or tensors[name].shape != before[name].shape
              or not _is_sum(tensors[name], before[name], pair, config)]  # fmt: skip
    if unlike:
        yield Diagnosis(
            "merged", "error", f"{len(unlike)} of {len(names)} modules are not base + adapter: {listed(unlike)}",
            f"merge again, with adapter_name_or_path: {adapter}",
        )  # fmt: skip

    if changed:
        yield Diagnosis(
            "merged", "error", f"{len(changed)} tensors differ from the base though no adapter is theirs: "
            f"{listed(changed)}", "merge again into the base that the adapter was trained on",
        )  # fmt: skip

    if not unlike and not changed:
        yield Diagnosis("merged", "ok", f"{len(names)} modules are base + adapter, all other tensors the base's")


def _is_sum(merged: Tensor, base: Tensor, pair: Pair, config: Mapping[str, Any]) -> bool:
    """Whether some rows of a weight are base + scale x up x down, but for rounding to the merged type."""
    rank = pair.down.shape[0]
    scale = config.get("lora_alpha", rank) / (rank**0.5 if config.get("use_rslora") else rank)
    rows = spread(merged.count // merged.width, _ROWS)
    down = read_rows(pair.down, list(range(rank)))
    if pair.is_embedding:
        delta = scale * (read_rows(pair.up, list(range(pair.up.shape[0]))) @ down[:, rows]).T
    else:
        delta = scale * (read_rows(pair.up, rows) @ down)

    is_, was = read_rows(merged, rows), read_rows(base, rows)
    step = 2.0**-20 if (merged.kind, base.kind) == ("F32", "F32") else 2.0**-8
    room = step * (np.abs(was + delta) + np.abs(was)) + 4 * step * np.abs(delta) + 1e-6
    return float((np.abs(is_ - was - delta) <= room).mean()) > 0.98
