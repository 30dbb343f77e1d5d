"""What a training step holds in memory, by arithmetic: one formula a part, each checked against a measurement.

Parameter counts are exact for Qwen2-VL, Qwen2.5-VL and Qwen3-VL (tests/preflight/plan/test_memory.py compares with the models' own),
model states follow ZeRO (arXiv 1910.02054, section 3), activations are the bytes that autograd saves in transformers
4.57's Qwen2-VL and Qwen3-VL decoders with scaled-dot-product or flash attention (the test counts them with saved_tensors_hooks).
All sizes are bytes on one GPU.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from virgo_factory.core.errors import UserError
from virgo_factory.formats.row import QWEN_VL_FAMILIES
from virgo_factory.preflight.zero import Zero


BF16, FP32, INT64 = 2, 4, 8
CHUNK = 1024
"""Positions that `fused_loss: true` projects at once (hooks/train/fused_loss.py): 0.6 GB in float32 of 152,064 entries."""


@dataclass(frozen=True)
class Vision:
    """Sizes of a vision tower."""

    width: int  # its hidden size
    layers: int
    mlp: int
    patch: int  # the pixels that one patch is made of, in all channels and frames
    merge: int  # patches a side that become one token
    positions: int = 0  # learned ones (Qwen3-VL)
    # layers whose output also goes into the language model (Qwen3-VL); LLaMA-Factory freezes their mergers with the
    # tower (model/model_utils/visual.py:394)
    deepstack: int = 0


@dataclass(frozen=True)
class Lora:
    """Adapters of the language model's linear layers."""

    rank: int  # `lora_rank`
    targets: tuple[str, ...]  # names of PROJECTIONS


@dataclass(frozen=True)
class Method:
    """What is trained, and how a micro-batch is worked on."""

    zero: Zero | None = None  # the DeepSpeed file; None for plain data parallelism
    ranks: int = 1  # GPUs, over which ZeRO shards
    per_device: int = 1  # rows of a micro-batch
    tower: bool = False  # whether the vision tower is trained; `connector` and `language` likewise
    connector: bool = True
    language: bool = True
    lora: Lora | None = None  # adapters in place of the language model's own weights
    pairs: bool = False  # a row is two sequences, chosen and rejected (DPO)
    reference: bool = False  # a second model, not trained, is held beside the first
    checkpointing: bool = True  # a layer keeps its input only, and computes the rest again in its backward pass
    fused_loss: bool = False  # Liger's cross-entropy, which never holds the logits
    chunked_loss: bool = False  # `fused_loss: true`, which holds those of CHUNK positions
    # tokens of a forward pass of `batch_order: packed`; None: those of a padded micro-batch
    packing_tokens: int | None = None
    share: int = 1  # ranks that share each sequence (`sequence_parallel_size`)
    # attention without a mask: flash-attention 2, or `batch_order: packed`, which attends row by row without it
    flash: bool = True

    @property
    def stage(self) -> int:
        """Stage of ZeRO; 0 without DeepSpeed."""
        return self.zero.stage if self.zero else 0

    @property
    def groups(self) -> int:
        """Ranks that have rows of their own: all of them, unless some share each sequence."""
        return max(self.ranks // self.share, 1)

    @property
    def sequences(self) -> int:
        """Sequences of a micro-batch."""
        return self.per_device * (2 if self.pairs else 1)


@dataclass(frozen=True)
class Memory:
    """Bytes on one GPU, by part, and in the host's memory for one GPU."""

    held: dict[str, float]  # what is there at every moment: weights, gradients, optimiser, buffers
    inputs: float  # of the checkpointed layers (all saved activations without checkpointing)
    layer: float  # one layer at work in its backward pass: what it computes again, and gradients
    loss: float  # the last norm, the logits and the loss at work, or their fused form
    images: float  # pixels and what the connector saves
    # float32 gradients that DeepSpeed makes for the optimiser's step, when all activations are gone
    update: float = 0.0
    host: float = 0.0  # what DeepSpeed's offload keeps in the host's memory

    @property
    def peak(self) -> float:
        """Return the bytes at the fullest moment: a layer, the loss and the optimiser are never at work at once."""
        return sum(self.held.values()) + max(self.inputs + self.images + max(self.layer, self.loss), self.update)


@dataclass(frozen=True)
class Shape:
    """Sizes of a vision-language model, as its config.json gives them; `head` is the width of one, where it says that."""

    family: str
    hidden: int
    mlp: int
    layers: int
    heads: int
    kv_heads: int
    vocabulary: int
    tied: bool
    vision: Vision
    head: int = 0

    @property
    def head_width(self) -> int:
        return self.head or self.hidden // self.heads

    @property
    def query_width(self) -> int:
        """Width of queries, and of what attention gives."""
        return self.head_width * self.heads

    @property
    def kv_width(self) -> int:
        """Width of keys, and of values."""
        return self.head_width * self.kv_heads


def read_shape(config: Mapping[str, Any]) -> Shape:
    """Return the sizes in a config.json.

    Raises UserError for another model family, or a size that is missing.
    """
    family = config.get("model_type")
    if family not in QWEN_VL_FAMILIES:
        raise UserError(f"config.json: model_type {family!r} is not one of {', '.join(QWEN_VL_FAMILIES)}.")

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
                positions=vision.get("num_position_embeddings", 0) if family == "qwen3_vl" else 0,
                deepstack=len(vision.get("deepstack_visual_indexes", ())) if family == "qwen3_vl" else 0,
            ),
            head=text.get("head_dim") or 0 if family == "qwen3_vl" else 0,
        )
    except KeyError as error:
        raise UserError(f"config.json: {error.args[0]} is missing.") from None


def count_parameters(shape: Shape) -> dict[str, int]:
    """Return the number of parameters by part: vision_tower, connector, language_model (with both embeddings)."""
    hidden, mlp, vision = shape.hidden, shape.mlp, shape.vision
    width, merged = vision.width, vision.width * vision.merge**2
    attention = 2 * hidden * (shape.query_width + shape.kv_width)
    if shape.family == "qwen3_vl":  # norms of queries and keys
        attention += 2 * shape.head_width
    else:  # biases
        attention += shape.query_width + 2 * shape.kv_width

    layer = attention + 3 * hidden * mlp + 2 * hidden
    embeddings = shape.vocabulary * hidden * (1 if shape.tied else 2)
    vision_attention = 4 * width * width + 4 * width
    if shape.family != "qwen2_5_vl":  # LayerNorm and an MLP of two layers
        block = vision_attention + 2 * width * vision.mlp + vision.mlp + width + 4 * width
        norm = 2 * width
    else:  # RMSNorm and a gated MLP
        block = vision_attention + 3 * width * vision.mlp + 2 * vision.mlp + width + 2 * width
        norm = width

    merger = (merged + 1) * merged + (merged + 1) * hidden
    tower = vision.patch * width + vision.layers * block + vision.deepstack * (2 * merged + merger)
    if shape.family == "qwen3_vl":  # a bias of the patches, and learned positions
        tower += width + vision.positions * width

    return {
        "vision_tower": tower,
        "connector": norm + merger,
        "language_model": embeddings + shape.layers * layer + hidden,
    }


def model_states(parameters: int, trainable: int, stage: int, ranks: int) -> dict[str, float]:
    """Return the bytes of weights, gradients and optimiser (Adam) on one rank.

    With DeepSpeed (`stage` 1, 2, 3) weights and gradients are bfloat16, and the optimiser holds a float32 copy of the
    trained weights beside its two moments: 12 B a trained parameter (ZeRO, section 3.1). Without (`stage` 0)
    LLaMA-Factory keeps trained weights and their gradients in float32 (model/adapter.py:313-325): no second copy.
    Under ZeRO-2 a rank also holds the rest of a gradient that its share begins or ends in; that is not counted.
    """
    if ranks < 1:
        raise UserError(f"ranks: {ranks} is not a number of GPUs.")

    if stage not in (0, 1, 2, 3):
        raise UserError(f"ZeRO stage: {stage} is not one of 0, 1, 2, 3.")

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
    cosines and sines, and gate, activated gate and up projection of the MLP. Qwen3-VL: the same of its norms of queries and
    keys.
    """
    hidden = shape.hidden
    norms = 2 * (FP32 * hidden + FP32 + BF16 * hidden)
    if shape.family == "qwen3_vl":
        normed = shape.query_width + shape.kv_width
        norms += FP32 * normed + FP32 * (shape.heads + shape.kv_heads) + BF16 * normed

    projections = 2 * BF16 * hidden
    attention = BF16 * (2 * shape.query_width + 2 * shape.kv_width) + FP32 * shape.heads
    rotary = 2 * BF16 * shape.head_width
    return norms + projections + attention + rotary + 4 * BF16 * shape.mlp


def saved_activations(shape: Shape, tokens: int, checkpointing: bool, fused_loss: bool) -> dict[str, int]:
    """Return the bytes that autograd holds for one micro-batch when the backward pass begins.

    `tokens` are those of the micro-batch, padding included (rows x longest row).
    """
    kept = BF16 * shape.hidden if checkpointing else saved_by_layer(shape)
    head = (FP32 + 2 * BF16) * shape.hidden + FP32  # the last norm, and the input of lm_head
    return {
        "layers": tokens * shape.layers * kept,
        "head": tokens * head,
        "loss": 0 if fused_loss else tokens * (FP32 * shape.vocabulary + 2 * INT64),
    }


PROJECTIONS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


def adapter_parameters(shape: Shape, lora: Lora) -> int:
    """Return the parameters of adapters: rank x (inputs + outputs) a linear layer (LoRA, arXiv 2106.09685)."""
    hidden, mlp = shape.hidden, shape.mlp
    widths = dict(
        zip(
            PROJECTIONS,
            (
                *(hidden + shape.query_width, hidden + shape.kv_width, hidden + shape.kv_width),
                *(hidden + shape.query_width, *[hidden + mlp] * 3),
            ),
            strict=True,
        )
    )
    return shape.layers * lora.rank * sum(widths[name] for name in lora.targets)


def trained_parameters(shape: Shape, method: Method) -> int:
    """Return the number of parameters that get gradients."""
    if method.lora:
        return adapter_parameters(shape, method.lora)

    counts = count_parameters(shape)
    parts = {"vision_tower": method.tower, "connector": method.connector, "language_model": method.language}
    return sum(counts[part] for part, is_trained in parts.items() if is_trained)


def step_memory(shape: Shape, method: Method, tokens: int, image_tokens: int = 0) -> Memory:
    """Return what a training step holds on one GPU.

    `tokens` are those of the longest sequence, to which its micro-batch is padded; `image_tokens` those of one
    sequence.
    """
    parameters = sum(count_parameters(shape).values())
    trained = trained_parameters(shape, method)
    if method.lora:
        parameters += trained

    states = model_states(parameters, trained, method.stage, method.ranks)
    host = 0.0
    zero = method.zero
    if zero and zero.offload_optimizer:
        host += states.pop("optimiser") + states.pop("gradients")

    if zero and zero.offload_weights:
        host += states.pop("weights")

    if method.reference:
        states["reference model"] = BF16 * parameters / (method.ranks if method.stage == 3 else 1)
        if zero and zero.offload_weights:
            host += states.pop("reference model")

    batch = method.sequences * (-(-tokens // 8) * 8)  # LLaMA-Factory pads to a multiple of 8 (train/sft/workflow.py)
    if method.packing_tokens is not None:
        batch = max(tokens, method.packing_tokens)

    mask = 0 if method.flash else 3 * batch * batch // method.sequences  # bool, and its bfloat16 form
    exchanged = 0
    if method.share > 1:  # queries, keys, values and output of attention, sent and received
        batch = -(-batch // method.share)
        exchanged = batch * 2 * BF16 * 2 * (shape.query_width + shape.kv_width)

    saved = saved_activations(shape, batch, method.checkpointing, method.fused_loss or method.chunked_loss)
    adapters = batch * saved_by_adapters(shape, method.lora, copies=method.stage == 0) if method.lora else 0
    return Memory(
        held={**states, "buffers": _buffers(shape, method, trained)},
        inputs=saved["layers"] + (0 if method.checkpointing else shape.layers * adapters),
        layer=batch * (working_by_layer(shape) - (0 if method.checkpointing else saved_by_layer(shape)))
        + (adapters if method.checkpointing else 0)
        + mask
        + exchanged,
        loss=saved["head"] + _loss_at_work(shape, method, batch),
        images=image_tokens * method.sequences * saved_by_image_token(shape, method.connector and not method.lora),
        update=_update(method, trained),
        host=host,
    )


def saved_by_adapters(shape: Shape, lora: Lora, copies: bool) -> int:
    """Return the bytes a token that the adapters of one layer save beside `saved_by_layer`.

    `copies`: adapters are float32 (no DeepSpeed): peft then casts the input of each, a copy apiece, in place of the
    two normalised inputs that frozen layers need not save.
    """
    inner = (BF16 + FP32) * lora.rank * len(lora.targets)
    if not copies:
        return inner

    inputs = {"down_proj": shape.mlp, "o_proj": shape.query_width}
    widths = [inputs.get(name, shape.hidden) for name in lora.targets]
    return inner + max(BF16 * sum(widths) - 2 * BF16 * shape.hidden, 0)


def working_by_layer(shape: Shape) -> int:
    """Return the bytes a token that one layer at work holds in its backward pass: what it saves, and gradients.

    The fullest moment is the MLP's: gradients of its three wide activations beside those of the residual stream.
    """
    return saved_by_layer(shape) + 3 * BF16 * shape.mlp + 2 * BF16 * shape.hidden


def _loss_at_work(shape: Shape, method: Method, batch: int) -> float:
    """Return the bytes of logits and loss at their fullest moment.

    Plain: in the backward pass of cross-entropy the float32 log-probabilities, their gradient and that of the logits
    (benchmarks/plan_vs_measured.py). Fused: a chunk of logits about as large as the hidden states, the gradient of the
    hidden states, and that of lm_head (liger_kernel/ops/fused_linear_cross_entropy.py; not measured). In chunks: one
    chunk's logits, its float32 logits, log-probabilities and their gradient, and the gradient of its logits; the learned
    hidden states and their gradient; the gradient of lm_head so far and that of the chunk (read, not measured). Pairs: the
    reference's float32 logits and log-probabilities beside the policy's (LLaMA-Factory, train/dpo/trainer.py:220-275;
    not measured).
    """
    if method.pairs:
        return batch * shape.vocabulary * FP32 * (4 if method.reference or method.lora else 3)

    if method.chunked_loss:
        weight = 2 * BF16 * shape.vocabulary * shape.hidden if not method.lora else 0
        return batch * 2 * BF16 * shape.hidden + weight + min(batch, CHUNK) * shape.vocabulary * (2 * BF16 + 3 * FP32)

    if method.fused_loss:
        weight = BF16 * shape.vocabulary * shape.hidden if not method.lora else 0
        return batch * 2 * BF16 * shape.hidden + weight

    return batch * (shape.vocabulary * 3 * FP32 + 2 * INT64)


def _update(method: Method, trained: int) -> float:
    """Return the bytes of float32 gradients in the optimiser's step.

    Of a rank's share at stages 1 and 2, of a sub-group at stage 3 (deepspeed 0.18.4, stage_1_and_2.py:2099, stage3.py
    `_prepare_fp32_grad_for_sub_group`; read, not measured).
    """
    if not method.stage or method.zero.offload_optimizer:
        return 0.0

    share = trained / method.ranks
    return FP32 * (share if method.stage < 3 else min(share, method.zero.sub_group))


def _buffers(shape: Shape, method: Method, trained: int) -> float:
    """Return the bytes that communication holds beside the model states.

    Without DeepSpeed: DDP's buckets are as large as all gradients, and autocast keeps a bfloat16 copy of each trained
    weight during a forward pass. ZeRO: the bucket that gradients are reduced in, and the largest gradient before it is
    there. ZeRO-3 also gathers weights: as many as `stage3_max_live_parameters` allows, at least the largest.
    """
    if method.zero is None or method.stage == 0:
        return trained * (BF16 + (FP32 if method.ranks > 1 else 0))

    embedding = shape.vocabulary * shape.hidden
    zero = method.zero
    bucket = zero.reduce_bucket or shape.hidden**2
    gradient = 0 if method.lora else embedding
    if method.ranks == 1:
        return BF16 * (bucket + gradient)

    reduced = BF16 * (bucket * (2 if zero.overlap else 1) + gradient)
    if method.stage < 3:
        return reduced

    parameters = sum(count_parameters(shape).values())
    live = min(parameters, max(zero.max_live, embedding))
    prefetched = zero.prefetch_bucket or int(0.9 * shape.hidden**2)
    return reduced + BF16 * (live + prefetched)


def saved_by_image_token(shape: Shape, connector: bool) -> int:
    """Return the bytes an image token of its pixels (float32) and of what the connector saves for its backward pass.

    The frozen tower saves nothing, but for what goes from its layers into the language model (Qwen3-VL). The connector:
    input and output of its norm, and of its two layers the inputs.
    """
    vision = shape.vision
    patches = vision.merge**2
    pixels = FP32 * vision.patch * patches
    features = BF16 * shape.hidden * (1 + vision.deepstack)
    if not connector:
        return pixels + features

    merged = vision.width * patches
    return pixels + features + 4 * BF16 * merged
