"""A model's configuration made small by the names that transformers' configurations share: for twins of any family."""

import copy
from collections.abc import Iterator, Mapping
from typing import Any

from virgo_factory.core.errors import UserError


LAYERS = 2
HEADS = 2
TEXT_CONFIGS = ("text_config", "llm_config", "language_config")
_DEPTHS = ("num_hidden_layers", "max_window_layers", "depth", "num_layers", "n_layer")
_AT_MOST = {
    **dict.fromkeys(("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts"), 4),
    **dict.fromkeys(("num_experts_per_tok", "moe_k", "moe_topk"), 2),
    **dict.fromkeys(("n_group", "topk_group", "n_shared_experts", "first_k_dense_replace"), 1),
}


def spread(depth: int, layers: int) -> list[int]:
    """Return layers of a stack from its whole depth: the first, the last, and those between at like distances.

    >>> spread(80, 4), spread(28, 2), spread(3, 4), spread(8, 1)
    ([0, 26, 53, 79], [0, 27], [0, 1, 2], [0])
    """
    if layers >= depth:
        return list(range(depth))

    return [round(place * (depth - 1) / max(1, layers - 1)) for place in range(layers)]


def cut_layers(config: Mapping[str, Any], layers: int = LAYERS) -> dict[str, Any]:
    """Return a configuration with layers from the whole depth only, see `spread`, of the language model and the tower."""
    config = copy.deepcopy(dict(config))
    for part in (*_text_parts(config), config.get("vision_config") or {}):
        depth = next((part[key] for key in ("num_hidden_layers", "depth") if isinstance(part.get(key), int)), layers)
        kept = spread(depth, layers)
        for key in _DEPTHS:
            if isinstance(part.get(key), int):
                part[key] = min(part[key], layers)

        if isinstance(part.get("layer_types"), list):
            part["layer_types"] = [part["layer_types"][place] for place in kept if place < len(part["layer_types"])]

        if part.get("fullatt_block_indexes"):
            whole = part["fullatt_block_indexes"]
            part["fullatt_block_indexes"] = [new for new, old in enumerate(kept) if old in whole] or [len(kept) - 1]

        if part.get("deepstack_visual_indexes"):
            part["deepstack_visual_indexes"] = list(range(part["depth"]))[: len(part["deepstack_visual_indexes"])]

    return config


def reduce_config(config: Mapping[str, Any], layers: int = LAYERS) -> dict[str, Any]:
    """Return the configuration of a tiny model of the same family: few layers, two heads of their real width, few experts.

    Of layers of several kinds each kind is kept once. Vocabulary, rotary embedding and the widths of a vision tower
    stay. `config` holds all values, so it is of a configuration object: a file may leave defaults out. Raises
    UserError where there are no sizes under the names that language models share.

    >>> small = reduce_config(
    ...     {
    ...         "hidden_size": 4096,
    ...         "num_attention_heads": 32,
    ...         "num_key_value_heads": 8,
    ...         "num_hidden_layers": 36,
    ...         "intermediate_size": 12288,
    ...         "vocab_size": 151936,
    ...     }
    ... )
    >>> small["hidden_size"], small["num_key_value_heads"], small["num_hidden_layers"], small["vocab_size"]
    (256, 1, 2, 151936)
    """
    config = copy.deepcopy(dict(config))
    for part in _text_parts(config):
        kinds = list(dict.fromkeys(part.get("layer_types") or ()))
        if kinds:
            part["layer_types"] = kinds * layers
            layers = max(layers, len(kinds))
            part["layer_types"] = part["layer_types"][:layers]
            part["num_hidden_layers"] = min(part.get("num_hidden_layers", layers), layers)

    config = cut_layers(config, layers)
    widths = [_narrow(part) for part in _text_parts(config) if part.keys() >= {"hidden_size", "num_attention_heads"}]
    if not widths:
        raise UserError(
            f"model_type {config.get('model_type')!r}: no hidden_size and num_attention_heads in its config.json"
        )

    vision = config.get("vision_config") or {}
    if "out_hidden_size" in vision:
        vision["out_hidden_size"] = widths[-1]

    for key in ("quantization_config", "auto_map"):
        config.pop(key, None)

    return config


def _narrow(part: dict[str, Any]) -> int:
    """Make a language model narrow, and return its width."""
    heads, key_value_heads = part["num_attention_heads"], part.get("num_key_value_heads")
    head = part.get("head_dim") or part["hidden_size"] // heads
    part["num_attention_heads"] = HEADS
    if key_value_heads:
        part["num_key_value_heads"] = HEADS if key_value_heads == heads else 1

    part["hidden_size"] = HEADS * head
    if "intermediate_size" in part:
        part["intermediate_size"] = 4 * head

    for key in part:
        if key.endswith(("_intermediate_size", "intermediate_size_mlp")) and isinstance(part[key], int):
            part[key] = head
        elif key in _AT_MOST and isinstance(part[key], int):
            part[key] = min(part[key], _AT_MOST[key])

    if part.get("mlp_only_layers"):
        part["mlp_only_layers"] = []

    return part["hidden_size"]


def _text_parts(config: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield config
    for key in TEXT_CONFIGS:
        if isinstance(config.get(key), dict):
            yield config[key]
