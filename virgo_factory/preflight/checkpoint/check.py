"""What of a checkpoint survives in the programs that serve it: files whole, names, numbers, tokenizer, template, tower.

It is read from the files alone, without torch, in flat memory. `reduced` then runs a few layers of it.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from virgo_factory.data.tokens.image_size import PROCESSOR_FILES
from virgo_factory.preflight.checkpoint.adapter import check_adapter
from virgo_factory.preflight.checkpoint.change import judge_changes
from virgo_factory.preflight.checkpoint.copies import judge_copies
from virgo_factory.preflight.checkpoint.look import Model, Numbers, look_at_numbers
from virgo_factory.preflight.checkpoint.numbers import judge_numbers, spans
from virgo_factory.preflight.checkpoint.settings import check_against_base, check_types
from virgo_factory.preflight.checkpoint.vocabulary import GENERATION, check_vocabulary, read_vocabulary
from virgo_factory.preflight.checkpoint.weights import (
    LAYER,
    VOCABULARY,
    BrokenCheckpoint,
    Tensor,
    is_adapter,
    is_ours,
    read_json,
    read_settings,
    read_tensors,
)
from virgo_factory.preflight.diagnosis import Diagnosis
from virgo_factory.preflight.versions import reads_5


PROCESSOR, OF_5 = PROCESSOR_FILES
KEY = re.compile(r"(?:model\.(?:layers\.\d+|embed_tokens|norm)|visual\.(?:blocks\.\d+|merger|patch_embed)|lm_head)\.")
"""Names of tensors as transformers 4.x and vLLM read Qwen2-VL and Qwen2.5-VL; 5.x saves the tower under others."""
KEY_3 = re.compile(
    r"(?:model\.(?:language_model\.(?:layers\.\d+|embed_tokens|norm)"
    r"|visual\.(?:blocks\.\d+|merger|patch_embed|pos_embed|deepstack_merger_list\.\d+))|lm_head)\."
)
"""Names of Qwen3-VL's tensors: the model's own, in either."""
TOWER = re.compile(r"(?:model\.)?visual\.(?!merger\.)")
_LAYER = re.compile(r"(?:model\.)?(?:language_model\.)?(layers|visual\.blocks|visual\.deepstack_merger_list)\.(\d+)\.")
_NEEDED = ("config.json", "tokenizer.json", "tokenizer_config.json")
_READ = (
    *("config.json", "tokenizer_config.json", GENERATION, PROCESSOR, OF_5),
    *("chat_template.json", "adapter_config.json"),
)
"""JSON files that the programs which serve a model read; tokenizer.json is read as what it is."""


def check_checkpoint(
    folder: Path,
    base: Path | None = None,
    same_tower: bool = True,
    *,
    may_be_base: bool = False,
    on_bytes: Callable[[int], None] = lambda count: None,
) -> list[Diagnosis]:
    """Return what the files of a checkpoint say, those in order as well. Every number in them is looked at.

    What is known of Qwen2-VL, Qwen2.5-VL and Qwen3-VL (names, rotary positions, vision tower) is asked of them alone;
    the tensors of another family are to have the names that the base's have. `on_bytes` is called
    with the bytes of each part that was looked at, from several threads.
    """
    try:
        tensors = read_tensors(folder)
        before, found = _read_base(folder, base)
        if is_ours(folder) and not _is_qwen3(folder) and reads_5():
            tensors, before = _as_in_4(tensors), _as_in_4(before)

        numbers = look_at_numbers(tensors, None if is_adapter(folder) else before, on_bytes)
    except BrokenCheckpoint as error:
        return [Diagnosis("weights", "error", error.what, error.remedy)]

    found = [Diagnosis("weights", "ok", f"{len(tensors)} tensors, every file whole"), *found, *_files(folder)]
    vocabulary, added = {}, set()
    try:
        vocabulary, added = read_vocabulary(folder)
    except BrokenCheckpoint as error:
        found.append(Diagnosis("tokenizer", "error", error.what, error.remedy))

    if is_adapter(folder):
        found += check_adapter(folder, tensors, numbers, before)
        return [*found, *check_vocabulary(folder, tensors, vocabulary, True)]

    ours = is_ours(folder)
    found += _config(folder)
    found += _names(tensors, folder) if ours else _names_of_base(tensors, before)
    found += _shapes(tensors, before, ours)
    found += check_types(folder, tensors, before)
    tokens = {id: text for text, id in vocabulary.items()}
    model = Model(tensors, numbers, tokens, added, before, ours, _is_tied(read_settings(folder)))
    found += [*judge_numbers(model), *judge_copies(model)]
    if before is not None:
        found += _trained(tensors, numbers, before, may_be_base)
        found += judge_changes(model)
        found += check_against_base(folder, base) if base else []

    found += check_vocabulary(folder, tensors, vocabulary, ours)
    if ours:
        found += _tower(tensors, numbers, before if same_tower else None)

    return found


def _as_in_4(named: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return tensors by the names that 4.x saves: 5.x saves the vision tower of Qwen2-VL and Qwen2.5-VL under model.visual.

    >>> _as_in_4({"model.visual.merger.ln_q.weight": 1, "model.norm.weight": 2})
    {'visual.merger.ln_q.weight': 1, 'model.norm.weight': 2}
    """
    return named and {name.removeprefix("model.") if name.startswith("model.visual.") else name: value
                      for name, value in named.items()}  # fmt: skip


def _is_qwen3(folder: Path) -> bool:
    return read_settings(folder).get("model_type") == "qwen3_vl"


def _is_tied(config: Mapping[str, Any]) -> bool | None:
    """Return whether the output head is to be the embedding; None where the two places that say so do not agree."""
    said = {part.get("tie_word_embeddings") for part in (config, config.get("text_config") or {})} - {None}
    return said.pop() if len(said) == 1 else None


def _read_base(folder: Path, base: Path | None) -> tuple[dict[str, Tensor] | None, list[Diagnosis]]:
    """Return the base's tensors, and what is wrong with it; an adapter names its base itself."""
    if base is None and is_adapter(folder):
        named = read_settings(folder, "adapter_config.json").get("base_model_name_or_path")
        base = Path(named) if isinstance(named, str) and Path(named).is_dir() else None

    try:
        return (read_tensors(base) if base else None), []
    except BrokenCheckpoint as error:
        return None, [Diagnosis("base", "error", str(error), "name the folder of the base model")]


_PARTS = (
    ("language model", re.compile(r"(?!.*vis)(?:.*\.)?(?:layers\.(\d+)|norm)\.")),
    ("embedding and head", re.compile(f".*{VOCABULARY.pattern}")),
    ("vision tower", TOWER),
    ("projector", re.compile(r"(?:model\.)?visual\.merger\.|.*projector\.")),
    ("others", re.compile("")),
)


def _trained(
    tensors: Mapping[str, Tensor], numbers: Mapping[str, Numbers], before: Mapping[str, Tensor], may_be_base: bool
) -> Iterator[Diagnosis]:
    """Yield which parts of a model differ from its base."""
    if not any(name in before for name in tensors):
        yield Diagnosis("training", "warning", "not compared: no tensor has a name of the base's", "name its own base")
        return

    if all(seen.same for seen in numbers.values()):
        what = f"all {len(tensors)} tensors are the base's, number by number"
        if may_be_base:
            yield Diagnosis("training", "ok", what)
        else:
            yield Diagnosis(
                "training", "error", f"{what}: training or merging changed nothing",
                "look at learning_rate and at the adapter that was merged; --unchanged if it is meant to be the base",
            )  # fmt: skip

        return

    told, rest = [], dict(numbers)
    for part, pattern in _PARTS:
        names = [name for name in rest if pattern.match(name)]
        changed = sum(not rest.pop(name).same for name in names)
        if names:
            told.append(f"{part} {changed} of {len(names)}")

    what = f"tensors that are not the base's: {', '.join(told)}"
    layers: dict[int, bool] = {}
    for name, seen in numbers.items():
        if (match := _PARTS[0][1].match(name)) and match[1]:
            layers[int(match[1])] = layers.get(int(match[1]), False) or not seen.same

    as_before = sorted(layer for layer, is_changed in layers.items() if not is_changed)
    if as_before:
        which = "all layers" if len(as_before) == len(layers) else f"layers {spans(as_before)}"
        yield Diagnosis(
            "training", "warning", f"{what}; {which} of the language model as before",
            "nothing, if they were frozen; else save or merge again: a part was not gathered",
        )  # fmt: skip
    else:
        yield Diagnosis("training", "ok", what)


def _files(folder: Path) -> Iterator[Diagnosis]:
    """Yield files that a server needs and that are missing, files that cannot be read, and weights of another save."""
    processor = OF_5 if reads_5() and not (folder / PROCESSOR).is_file() else PROCESSOR
    needed = () if is_adapter(folder) else (*_NEEDED, *((processor,) if is_ours(folder) else ()))
    for name in needed:
        if not (folder / name).is_file():
            yield Diagnosis("files", "error", f"{name} is missing", "copy it from the base model's folder")

    for name in _READ:
        try:
            if (folder / name).is_file():
                read_json(folder / name)
        except BrokenCheckpoint as error:
            yield Diagnosis("files", "error", error.what, error.remedy)


def _config(folder: Path) -> Iterator[Diagnosis]:
    config = read_settings(folder)
    if not config:
        return

    text = {**config, **(config.get("text_config") or {})}
    scaling = text.get("rope_scaling") or (text.get("rope_parameters") if reads_5() else None)
    if isinstance(scaling, dict) and scaling.get("mrope_section"):
        yield Diagnosis("rope", "ok", f"mrope_section {scaling['mrope_section']}")
    elif "rope_parameters" in text:
        yield Diagnosis(
            "rope", "error", "saved as rope_parameters (transformers 5.x), which 4.x readers do not find",
            'train with "transformers>=4.57.1,<5", rename it to rope_scaling, or serve where transformers 5 is',
        )  # fmt: skip
    elif is_ours(folder):
        yield Diagnosis(
            "rope", "error", "no rope_scaling with an mrope_section", "copy it from the base's config.json"
        )

    version = str(config.get("transformers_version", ""))
    if version and not version.startswith("4."):
        told = f"saved by {version}; 4.x readers break"
        if reads_5():
            yield Diagnosis("transformers", "ok", f"{told}, those here read it")
        else:
            yield Diagnosis("transformers", "error", told, "train with transformers 4.57, or serve where 5 is")
    elif version:
        yield Diagnosis("transformers", "ok", f"saved by {version}")


def _names(tensors: Mapping[str, Tensor], folder: Path) -> Iterator[Diagnosis]:
    key = KEY_3 if _is_qwen3(folder) else KEY
    unknown = [name for name in tensors if not key.match(name)]
    if unknown:
        yield Diagnosis(
            "names", "error", f"{len(unknown)} tensors have names that vLLM and transformers 4.x do not read, such as "
            f"{unknown[0]}", 'save with "transformers>=4.57.1,<5"',
        )  # fmt: skip
        return

    config = read_settings(folder)
    text = {**config, **(config.get("text_config") or {})}
    vision = config.get("vision_config") or {}
    depths = {"layers": text.get("num_hidden_layers"), "visual.blocks": vision.get("depth")}
    if "deepstack_visual_indexes" in vision:
        depths["visual.deepstack_merger_list"] = len(vision["deepstack_visual_indexes"])

    found = {stack: {int(match[2]) for name in tensors if (match := _LAYER.match(name)) and match[1] == stack}
             for stack in depths}  # fmt: skip
    for stack, depth in depths.items():
        if depth is not None and found[stack] != set(range(depth)):
            remedy = "copy the whole folder again, or save again"
            yield Diagnosis("names", "error", f"{len(found[stack])} of {depth} {stack}", remedy)
            return

    if config and not text.get("tie_word_embeddings") and "lm_head.weight" not in tensors:
        yield Diagnosis("names", "error", "no lm_head.weight, though it is not tied", "save the model again")
        return

    readers = f"vLLM and transformers {'5' if reads_5() else '4.x'}"
    yield Diagnosis("names", "ok", f"all names are those that {readers} read")


def _names_of_base(tensors: Mapping[str, Tensor], before: Mapping[str, Tensor] | None) -> Iterator[Diagnosis]:
    if before is None:
        yield Diagnosis("names", "warning", f"{len(tensors)} tensors, not compared", "name the base with --base DIR")
        return

    missing, new = sorted(before.keys() - tensors.keys()), sorted(tensors.keys() - before.keys())
    if missing or new:
        yield Diagnosis(
            "names", "error", f"{len(missing)} of the base's tensors are missing and {len(new)} new, such as "
            f"{(missing or new)[0]}", "save with the transformers that the base was saved with",
        )  # fmt: skip
    else:
        yield Diagnosis("names", "ok", f"all {len(tensors)} names are the base's")


def _shapes(
    tensors: Mapping[str, Tensor], before: Mapping[str, Tensor] | None, all_layers_alike: bool
) -> Iterator[Diagnosis]:
    """Yield tensors of another shape than the base's, and layers that are not made of what most of their stack are."""
    wrong = []
    for name, tensor in tensors.items():
        other = (before or {}).get(name)
        rows_may_differ = bool(VOCABULARY.search(name))  # a vocabulary grows
        if other is not None and other.shape[rows_may_differ:] != tensor.shape[rows_may_differ:]:
            wrong.append(f"{name} is {list(tensor.shape)}, the base's {list(other.shape)}")

    stacks: dict[str, dict[int, dict[str, tuple[int, ...]]]] = {}
    for name, tensor in tensors.items() if all_layers_alike and not wrong else ():
        if match := LAYER.match(name):
            layers = stacks.setdefault(f"{match[1] or ''}{match[2]}", {})
            layers.setdefault(int(match[3]), {})[match[4]] = tensor.shape

    for stack, layers in stacks.items():
        most = dict(Counter(frozenset(parts.items()) for parts in layers.values()).most_common(1)[0][0])
        for layer, parts in sorted(layers.items()):
            for suffix in sorted(suffix for suffix in most | parts if most.get(suffix) != parts.get(suffix)):
                name, shape, usual = f"{stack}.{layer}.{suffix}", parts.get(suffix), most.get(suffix)
                if shape and usual:
                    wrong.append(f"{name} is {list(shape)}, in other layers {list(usual)}")
                else:
                    wrong.append(f"{name} is {'there' if shape else 'missing'}, unlike in other layers")

    if wrong:
        what = "; ".join(wrong[:3]) + (f"; and {len(wrong) - 3} more" if len(wrong) > 3 else "")
        yield Diagnosis("shapes", "error", what, "copy the folder again, or save or merge again")


def _tower(
    tensors: Mapping[str, Tensor], numbers: Mapping[str, Numbers], before: Mapping[str, Tensor] | None
) -> Iterator[Diagnosis]:
    tower = sorted(name for name in tensors if TOWER.match(name))
    if before is None:
        what = f"{len(tower)} tensors, not compared"
        yield Diagnosis("vision tower", "warning", what, "name the base with --base DIR")
        return

    differing = [name for name in tower if not numbers[name].same]
    missing = [name for name in before if TOWER.match(name) and name not in tensors]
    if differing or missing:
        yield Diagnosis(
            "vision tower", "error", f"{len(differing) + len(missing)} of {len(tower)} tensors differ from the base, "
            f"such as {(differing or missing)[0]}", "set freeze_vision_tower: true, or name the base it was trained from",
        )  # fmt: skip
    else:
        cast = sorted({tensors[name].kind for name in tower if tensors[name].kind != before[name].kind})
        how = f"number by number, as {', '.join(cast)}" if cast else "byte by byte"
        yield Diagnosis("vision tower", "ok", f"all {len(tower)} tensors are the base's, {how}")
