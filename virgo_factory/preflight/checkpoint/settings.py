"""Whether the tensors are stored as config.json says, and whether config.json computes what the base's does."""

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from virgo_factory.preflight.checkpoint.weights import KINDS, LAYER, Tensor, read_settings
from virgo_factory.preflight.diagnosis import Diagnosis


_KIND_OF = {"bfloat16": "BF16", "float16": "F16", "half": "F16", "float32": "F32", "float": "F32", "float64": "F64"}
_NUMBERS = ("weight", "bias")
"""Last words of the names of tensors that are computed with; others (`position_ids`) may well be integers."""
_WRITER = "transformers_version"
_IRRELEVANT = frozenset((
    *("_name_or_path", "name_or_path", _WRITER, "torch_dtype", "dtype", "use_cache", "architectures", "auto_map", "model_type"),
    *("output_attentions", "output_hidden_states", "return_dict", "gradient_checkpointing", "initializer_range", "quant_method"),
    *("_attn_implementation", "attn_implementation", "_attn_implementation_autoset", "vocab_size", "tie_word_embeddings"),
))  # fmt: skip
"""Keys that do not change what is computed, or that other checks look at."""
_OF_WINDOWS = ("use_sliding_window", "sliding_window", "max_window_layers", "layer_types")
"""Keys that say nothing where no window slides."""
_LONGER = ("rope_scaling.", "max_position_embeddings")
"""Keys that a training for longer contexts changes."""


def check_types(
    folder: Path, tensors: Mapping[str, Tensor], before: Mapping[str, Tensor] | None
) -> Iterator[Diagnosis]:
    """Yield tensors that are stored as integers, or as other numbers than config.json and the rest of them."""
    config = read_settings(folder)
    text = {**(config.get("text_config") or {}), **config}
    if text.get("quantization_config") or text.get("compression_config"):
        return

    whole = [name for name, tensor in tensors.items() if tensor.kind not in KINDS and name.endswith(_NUMBERS)]
    if whole:
        yield Diagnosis(
            "types", "error", f"{_such(whole, tensors)}: integers, and config.json has no quantization_config",
            "save or merge again, or copy the quantization_config of the program that quantised it",
        )  # fmt: skip

    floats = {name: tensor.kind for name, tensor in tensors.items() if tensor.kind in KINDS}
    told = str(text.get("dtype") or text.get("torch_dtype") or "").removeprefix("torch.")
    usual = _KIND_OF.get(told) or next((kind for kind, _ in Counter(floats.values()).most_common(1)), "")
    mixed = {
        _layer_of(name) for name, kind in floats.items() if kind != "F32"
    }  # a training in mixed precision saves whole ones
    others = [
        name
        for name, kind in floats.items()
        if kind != usual
        and (name not in (before or {}) or before[name].kind != kind)
        and (kind != "F32" or _layer_of(name) in mixed)
    ]
    if others:
        like = f"config.json says {told}" if told in _KIND_OF else f"the others are {usual}"
        yield Diagnosis(
            "types", "warning", f"{_such(others, tensors)}; {like}", "save it as one type, or mend config.json"
        )


def _layer_of(name: str) -> str:
    match = LAYER.match(name)
    return name[: match.start(4)] if match else name


def _such(names: list[str], tensors: Mapping[str, Tensor]) -> str:
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return f"{names[0]}{more} of {len(tensors)} tensors stored as {', '.join(sorted({tensors[name].kind for name in names}))}"


def check_against_base(folder: Path, base: Path) -> Iterator[Diagnosis]:
    """Yield settings by which a model computes something else than its base.

    A key that one of the two lacks has its default there, which may be the other's value: it is compared only where the
    same transformers wrote both, or where it changes the rotary positions.
    """
    own, other = _settings(folder), _settings(base)
    all_keys = own.pop(_WRITER, None) == other.pop(_WRITER, None)
    differing = [
        key
        for key in sorted(own.keys() | other.keys())
        if own.get(key) != other.get(key)
        and (all_keys or key.startswith("rope_scaling.") or key in own and key in other)
    ]
    longer = [key for key in differing if key.startswith(_LONGER)]
    for severity, keys in (("error", [key for key in differing if key not in longer]), ("warning", longer)):
        told = [f"{key} is {own.get(key, 'missing')}, the base's {other.get(key, 'missing')}" for key in keys]
        if told:
            more = f"; and {len(told) - 3} more" if len(told) > 3 else ""
            remedy = "nothing, if it was trained so; else " if severity == "warning" else "no training changes them: "
            yield Diagnosis("settings", severity, "; ".join(told[:3]) + more, f"{remedy}copy the base's config.json")


def _settings(folder: Path) -> dict[str, Any]:
    """Return what changes the computation, in one spelling: the language model's at the top, one name for rotary scaling."""
    config = read_settings(folder)
    found = {key: value for key, value in config.items() if key != "text_config"}
    for key, value in (config.get("text_config") or {}).items():
        if value is not None:  # 4.57 writes both places: where they differ it is told
            is_double = key in found and found[key] != value and not isinstance(value, Mapping)
            found[key] = f"{value} and {found[key]}" if is_double else value

    rope = {**(found.pop("rope_scaling", None) or {}), **(found.pop("rope_parameters", None) or {})}
    kind = rope.pop("rope_type", rope.pop("type", "default"))
    rope.pop("type", None)
    if "rope_theta" in rope:
        found["rope_theta"] = rope.pop("rope_theta")

    found["rope_scaling"] = {**rope, "rope_type": "default" if kind == "mrope" else kind}
    if not found.get("use_sliding_window", True):
        found = {key: value for key, value in found.items() if key not in _OF_WINDOWS}

    return {**dict(_flat(found)), _WRITER: config.get(_WRITER)}


def _flat(settings: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in settings.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{key}.")
        elif key not in _IRRELEVANT and "dropout" not in key and not key.endswith("token_id"):
            yield f"{before}{key}", value
