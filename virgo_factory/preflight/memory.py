"""What a training step holds in memory, by arithmetic: one formula a part, each checked against a measurement.

Parameter counts are exact for Qwen2-VL and Qwen2.5-VL (tests/preflight/test_memory.py compares with the models' own),
model states follow ZeRO (arXiv 1910.02054, section 3), activations are the bytes that autograd saves in transformers
4.57's Qwen2-VL decoder with scaled-dot-product or flash attention (the test counts them with saved_tensors_hooks).
All sizes are bytes on one GPU.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


BF16, FP32, INT64 = 2, 4, 8
FAMILIES = ("qwen2_vl", "qwen2_5_vl")


@dataclass(frozen=True)
class Vision:
    """Sizes of a vision tower; `width` is its hidden size, `patch` the pixels that one patch is made of."""

    width: int
    layers: int
    mlp: int
    patch: int
    merge: int


@dataclass(frozen=True)
class Shape:
    """Sizes of a vision-language model, as its config.json gives them."""

    family: str
    hidden: int
    mlp: int
    layers: int
    heads: int
    kv_heads: int
    vocabulary: int
    tied: bool
    vision: Vision

    @property
    def kv_width(self) -> int:
        """Width of keys, and of values."""
        return self.hidden // self.heads * self.kv_heads


def read_shape(config: Mapping[str, Any]) -> Shape:
    """Return the sizes in a config.json.

    Raises:
        ValueError: another model family, or a size that is missing.
    """
    family = config.get("model_type")
    if family not in FAMILIES:
        raise ValueError(f"config.json: model_type {family!r} is not one of {', '.join(FAMILIES)}.")

    text, vision = {**config, **config.get("text_config", {})}, config.get("vision_config", {})
    try:
        width = vision["embed_dim" if family == "qwen2_vl" else "hidden_size"]
        return Shape(
            family=family,
            hidden=text["hidden_size"],
            mlp=text["intermediate_size"],
            layers=text["num_hidden_layers"],
            heads=text["num_attention_heads"],
            kv_heads=text["num_key_value_heads"],
            vocabulary=text["vocab_size"],
            tied=bool(text.get("tie_word_embeddings", False)),
            vision=Vision(
                width=width,
                layers=vision["depth"],
                mlp=int(width * vision.get("mlp_ratio", 4)) if family == "qwen2_vl" else vision["intermediate_size"],
                patch=vision.get("in_channels", vision.get("in_chans", 3))
                * vision.get("temporal_patch_size", 2)
                * vision.get("patch_size", 14) ** 2,
                merge=vision.get("spatial_merge_size", 2),
            ),
        )
    except KeyError as error:
        raise ValueError(f"config.json: {error.args[0]} is missing.") from None


def count_parameters(shape: Shape) -> dict[str, int]:
    """Return the number of parameters by part: vision_tower, connector, language_model (with both embeddings)."""
    hidden, mlp, vision = shape.hidden, shape.mlp, shape.vision
    width, merged = vision.width, vision.width * vision.merge**2
    attention = 2 * hidden * hidden + hidden + 2 * (hidden + 1) * shape.kv_width
    layer = attention + 3 * hidden * mlp + 2 * hidden
    embeddings = shape.vocabulary * hidden * (1 if shape.tied else 2)
    vision_attention = 4 * width * width + 4 * width
    if shape.family == "qwen2_vl":  # LayerNorm and an MLP of two layers
        block = vision_attention + 2 * width * vision.mlp + vision.mlp + width + 4 * width
        norm = 2 * width
    else:  # RMSNorm and a gated MLP
        block = vision_attention + 3 * width * vision.mlp + 2 * vision.mlp + width + 2 * width
        norm = width

    return {
        "vision_tower": vision.patch * width + vision.layers * block,
        "connector": norm + (merged + 1) * merged + (merged + 1) * hidden,
        "language_model": embeddings + shape.layers * layer + hidden,
    }


def model_states(parameters: int, trainable: int, stage: int, ranks: int) -> dict[str, float]:
    """Return the bytes of weights, gradients and optimiser (Adam) on one rank.

    With DeepSpeed (`stage` 1, 2, 3) weights and gradients are bfloat16, and the optimiser holds a float32 copy of the
    trained weights beside its two moments: 12 B a trained parameter (ZeRO, section 3.1). Without (`stage` 0)
    LLaMA-Factory keeps trained weights and their gradients in float32 (model/adapter.py:313-325): no second copy.

    Args:
        parameters: of the whole model.
        trainable: of those, the ones that are trained.
        stage: of ZeRO; 0 for plain data parallelism.
        ranks: over which ZeRO shards.

    Raises:
        ValueError: no rank, or a stage that does not exist.
    """
    if ranks < 1:
        raise ValueError(f"ranks: {ranks} is not a number of GPUs.")

    if stage not in (0, 1, 2, 3):
        raise ValueError(f"ZeRO stage: {stage} is not one of 0, 1, 2, 3.")

    if stage == 0:
        return {
            "weights": BF16 * (parameters - trainable) + FP32 * trainable,
            "gradients": FP32 * trainable,
            "optimiser": 2 * FP32 * trainable,
        }

    return {
        "weights": BF16 * parameters / (ranks if stage == 3 else 1),
        "gradients": BF16 * trainable / (ranks if stage >= 2 else 1),
        "optimiser": 3 * FP32 * trainable / ranks,
    }


def saved_by_layer(shape: Shape) -> int:
    """Return the bytes a token that one decoder layer saves for its backward pass.

    Two RMSNorms (input in float32, its inverse root, the normalised input), the inputs of the four projections and of
    the MLP's down projection, queries, keys, values and output of attention with its float32 log-sum-exp, the rotary
    cosines and sines, and gate, activated gate and up projection of the MLP.
    """
    hidden = shape.hidden
    norms = 2 * (FP32 * hidden + FP32 + BF16 * hidden)
    projections = 2 * BF16 * hidden
    attention = BF16 * (2 * hidden + 2 * shape.kv_width) + FP32 * shape.heads
    rotary = 2 * BF16 * hidden // shape.heads
    return norms + projections + attention + rotary + 4 * BF16 * shape.mlp


def saved_activations(shape: Shape, tokens: int, checkpointing: bool, fused_loss: bool) -> dict[str, int]:
    """Return the bytes that autograd holds for one micro-batch when the backward pass begins.

    Args:
        shape: of the model.
        tokens: of the micro-batch, padding included (rows x longest row).
        checkpointing: a layer keeps its input only, and saves the rest again when its turn comes.
        fused_loss: Liger's cross-entropy, which never holds the logits.
    """
    kept = BF16 * shape.hidden if checkpointing else saved_by_layer(shape)
    head = (FP32 + 2 * BF16) * shape.hidden + FP32  # the last norm, and the input of lm_head
    return {
        "layers": tokens * shape.layers * kept,
        "head": tokens * head,
        "loss": 0 if fused_loss else tokens * (FP32 * shape.vocabulary + 2 * INT64),
    }
