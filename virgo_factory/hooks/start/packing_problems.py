"""The recipes that cannot have `batch_order: packed` or `fused_loss`, and the rows that cannot be packed."""

from typing import Any

from transformers.utils import is_flash_attn_2_available

from virgo_factory.core.errors import UserError
from virgo_factory.formats.row import QWEN_VL_FAMILIES
from virgo_factory.hooks.model.adapter import known_config
from virgo_factory.hooks.train.batch_order import token_lengths


RELIES_ON = {
    "llamafactory/hparams/model_args.py:141": "    moe_aux_loss_coef: float | None = field(",
    "llamafactory/train/sft/trainer.py:108": "        if finetuning_args.use_dft_loss:\n",
    "llamafactory/train/sft/trainer.py:68": "        if processor is not None:\n            # avoid wrong loss under gradient accumulation\n",
    "llamafactory/data/mm_plugin.py:1908": "class Qwen2VLPlugin(BasePlugin):",
    "llamafactory/data/mm_plugin.py:2258": "class Qwen3VLPlugin(Qwen2VLPlugin):",
    "llamafactory/extras/constants.py:130": "class AttentionFunction(StrEnum):\n",
}

PLUGINS = ("Qwen2VLPlugin", "Qwen3VLPlugin")
"""Plugins of templates whose pictures are one flat list of patches."""


def packing_problems(
    keys: dict[str, Any], model_args: Any, data_args: Any, training_args: Any, finetuning_args: Any
) -> list[str]:
    """Return why a recipe cannot have the keys of packing and of the loss that it has, with a remedy each."""
    packs = keys.get("batch_order") == "packed"
    key = "batch_order: packed" if packs else "fused_loss: true"
    idle = [name for name in ("packing_tokens", "sequence_parallel_size") if name in keys and not packs]
    if idle:
        return [f"{', '.join(idle)}: only with batch_order: packed. Set it, or remove {' and '.join(idle)}."]

    if not (packs or keys.get("fused_loss")):
        return []

    every_loss = "since the loss would not be a sum over tokens that can be weighed one by one"
    reasons = dict.fromkeys(("use_dft_loss", "use_eaft_loss", "use_asft_loss"), every_loss)
    reasons |= dict.fromkeys(("label_smoothing_factor", "moe_aux_loss_coef"), every_loss)
    reasons |= dict.fromkeys(("use_unsloth", "use_kt", "mixture_of_depths"), "which has a forward pass of its own")
    reasons["torch_compile"] = "which it has not been tried with"
    if packs:
        reasons["neftune_noise_alpha"] = "whose noise is by the length of a micro-batch"
        reasons["shift_attn"] = "which lets rows of one forward pass read each other"
        reasons["fsdp"] = "which it has not been tried with; use deepspeed"

    problems = []
    for name, why in reasons.items():
        if any(getattr(place, name, None) for place in (model_args, training_args, finetuning_args)):
            problems.append(f"{key}: not with {name}, {why}. Remove one of them.")

    if finetuning_args.finetuning_type == "lora" and "lm_head" in (finetuning_args.lora_target or []):
        problems.append(f"{key}: not with lm_head in lora_target. Put it into additional_target, or remove it.")

    if not packs:
        if finetuning_args.stage != "sft":
            problems.append(f"{key}: only in the stage sft, not in {finetuning_args.stage}.")
        elif not training_args.do_train:
            problems.append(f"{key}: only with do_train: true. Remove it.")

    if packs and keys.get("fused_loss") is False:
        problems.append(f"{key}: always takes the loss as fused_loss does. Remove fused_loss: false.")

    config = known_config(model_args)
    is_known = config is not None and config.model_type in QWEN_VL_FAMILIES
    if packs and keys.get("sequence_parallel_size", 1) > 1:
        problems += _sharing_problems(keys["sequence_parallel_size"], config if is_known else None, training_args)

    if config is not None and not is_known:
        problems.append(
            f"{key}: not with a {config.model_type} model, only with {', '.join(QWEN_VL_FAMILIES)}: rows are told apart, and the "
            f"loss taken apart, in ways that hold for these. Remove {key.split(':')[0]}."
        )

    if packs:
        problems += _attention_problems(key, model_args, config) + _template_problems(key, data_args.template)

    return problems


def _sharing_problems(size: int, config: Any, training_args: Any) -> list[str]:
    key, problems = f"sequence_parallel_size: {size}", []
    if training_args.world_size % size:
        problems.append(
            f"{key}: does not divide the ranks of this run, {training_args.world_size}. Choose one that does, or start a "
            f"multiple of {size} ranks."
        )

    if training_args.per_device_train_batch_size > 1:
        problems.append(
            f"{key}: needs per_device_train_batch_size: 1, not {training_args.per_device_train_batch_size}; "
            "gradient accumulation keeps the global batch."
        )

    if config is None:
        return problems

    text = config.get_text_config(decoder=True)
    heads = {"attention heads": text.num_attention_heads, "key-value heads": text.num_key_value_heads}
    if wrong := [f"{count} {name}" for name, count in heads.items() if count % size]:
        problems.append(
            f"{key}: does not divide the model's {' and '.join(wrong)}, which are shared out in attention. Choose a "
            f"divisor of {text.num_key_value_heads}."
        )

    if _slides(config):
        problems.append(f"{key}: not with a model whose use_sliding_window is true.")

    return problems


def _slides(config: Any) -> bool:
    return getattr(config.get_text_config(decoder=True), "use_sliding_window", False)


def _attention_problems(key: str, model_args: Any, config: Any) -> list[str]:
    attention = str(getattr(model_args.flash_attn, "value", model_args.flash_attn))
    if attention == "fa2":
        if is_flash_attn_2_available():
            return []

        return [
            f"{key}: flash-attention 2 is not installed, so another attention would be used. Install flash-attn, or set "
            "flash_attn: sdpa."
        ]

    if attention not in ("auto", "sdpa"):
        return [
            f"{key}: not with flash_attn: {attention}, under which rows would read each other. Set flash_attn: fa2, or "
            "sdpa where flash-attn is not installed."
        ]

    if config is not None and _slides(config):
        return [
            f"{key}: not with flash_attn: {attention} and a model whose use_sliding_window is true. Set flash_attn: fa2."
        ]

    return []


def _template_problems(key: str, template: str | None) -> list[str]:
    from llamafactory.data.template import TEMPLATES

    plugin = type(TEMPLATES[template].mm_plugin).__name__ if template in TEMPLATES else ""
    if not plugin or plugin in PLUGINS:  # a template that there is not is told by its own check
        return []

    return [
        f"{key}: not with template: {template}, whose pictures are not Qwen-VL's. Use virgo, virgo_qwen3_vl, qwen2_vl or "
        "qwen3_vl."
    ]


def check_packed_rows(dataset: Any, processor: Any, finetuning_args: Any) -> None:
    """Raise if rows cannot be packed, or their loss not be taken apart; called before the model is loaded.

    Raises:
        ValueError: rows are longer than `packing_tokens`, there are videos among them, or the model's folder has no
            processor, without which stock weighs rows otherwise.
    """
    packs = finetuning_args.batch_order == "packed"
    if not (packs or finetuning_args.fused_loss):
        return

    key = "batch_order: packed" if packs else "fused_loss: true"
    if processor is None:
        raise UserError(
            f"{key}: the model's folder has no processor, so that LLaMA-Factory takes another loss. Copy the "
            "base model's preprocessor_config.json into it."
        )

    if not packs:
        return

    if token_lengths(dataset, "videos").any():
        raise UserError(
            f"{key}: {int((token_lengths(dataset, 'videos') > 0).sum())} rows have videos. Leave them out."
        )

    lengths, room = token_lengths(dataset), finetuning_args.packing_tokens
    if room is not None and (over := int((lengths > room).sum())):
        raise UserError(
            f"packing_tokens: {room}, but {over:,} of {len(lengths):,} rows are longer, up to {lengths.max():,} tokens. "
            f"Set packing_tokens: {lengths.max()} or remove it, or drop those rows with cutoff_len: {room}."
        )
