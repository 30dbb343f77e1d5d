"""Everything that the tokenised rows of a run depend on, for comparison beside `tokenized_path`.

What is compared is not listed: every argument is, but those that are known not to matter.
"""

import dataclasses
import hashlib
import importlib.metadata
import json
from typing import Any

from virgo_factory.data.read.data_files import part_files
from virgo_factory.data.read.prefix import read_prefix
from virgo_factory.formats import FORMATTINGS
from virgo_factory.hooks.data.dataset_lookup import datasets_of, local_path
from virgo_factory.hooks.template.template import BASES, carried
from virgo_factory.io.fingerprint import code_hash, content_hash


PACKS = ("preprocessing_batch_size", "preprocessing_num_workers")
"""Arguments that rows depend on only where they are packed, which is done batch by batch in every worker."""

SAME_ROWS_DATA = {
    "dataset_dir": "the place; its entries and files are compared by content",
    "buffer_size": "of streaming, which is refused",
    "overwrite_cache": "whether caches are read, not what is in them",
    "eval_num_beams": "of generating",
    "ignore_pad_token_for_loss": "of the collator",
    "tokenized_path": "the place itself",
    "data_shared_file_system": "which ranks wait for each other",
}
"""Fields of DataArguments that the tokenised rows do not depend on, with the reason. All others are compared."""

SAME_ROWS_MODEL = {
    name: reason
    for reason, names in {
        "the place; vocabulary and image processor are compared by content": "model_name_or_path adapter_name_or_path "
        "adapter_folder cache_dir model_revision hf_hub_token ms_hub_token om_hub_token trust_remote_code",
        "of the vocabulary, which is compared": "add_tokens add_special_tokens new_special_tokens_config",
        "of the weights": "resize_vocab init_special_tokens low_cpu_mem_usage rope_scaling mixture_of_depths "
        "moe_aux_loss_coef train_from_scratch offload_folder print_param_status compute_dtype device_map",
        "of the forward and backward pass": "flash_attn shift_attn use_unsloth use_unsloth_gc enable_liger_kernel "
        "disable_gradient_checkpointing use_reentrant_gc upcast_layernorm upcast_lmhead_output use_v1_kernels "
        "block_diag_attn",
        "cutoff_len again": "model_max_length",
        "of serving": "infer_backend infer_dtype use_kv_cache vllm_maxlen vllm_gpu_util vllm_enforce_eager "
        "vllm_max_lora_rank vllm_config sglang_maxlen sglang_mem_fraction sglang_tp_size sglang_config "
        "sglang_lora_backend",
        "of export": "export_dir export_size export_device export_quantization_bit export_quantization_dataset "
        "export_quantization_nsamples export_quantization_maxlen export_legacy_format export_hub_model_id",
        "of quantisation": "quantization_method quantization_bit quantization_type double_quantization "
        "quantization_device_map",
        "of KTransformers": "use_kt kt_weight_path kt_expert_checkpoint_path kt_use_lora_experts kt_lora_expert_num "
        "kt_lora_expert_intermediate_size",
    }.items()
    for name in names.split()
}
"""Fields of ModelArguments that the tokenised rows do not depend on, with the reason. All others are compared."""


def row_settings(
    model_args: Any, data_args: Any, training_args: Any, stage: str, tokenizer: Any, processor: Any
) -> dict[str, Any]:
    """Return everything that the tokenised rows of a run depend on, for comparison beside `tokenized_path`."""
    data, entries = {}, {}
    for attribute in datasets_of(data_args):
        entries[attribute.virgo_name] = attribute.virgo_entry
        name, path = attribute.virgo_name, local_path(attribute, data_args.dataset_dir)
        if path and attribute.formatting in FORMATTINGS:
            parts = part_files(path, f"dataset {name}", attribute.virgo_entry.get("split"))
            data[name] = [f"{file.name} {content_hash(file)}" for files in parts.values() for file in files]
        else:
            data[name] = content_hash(path) if path else f"{attribute.load_from} {attribute.dataset_name}"

    # Half a second, so only where it is compared.
    vocabulary = json.dumps(sorted(tokenizer.get_vocab().items())) if data_args.tokenized_path else ""
    found = {
        item.name: getattr(arguments, item.name)
        for arguments, ignored in ((data_args, SAME_ROWS_DATA), (model_args, SAME_ROWS_MODEL))
        for item in dataclasses.fields(arguments)
        if item.name not in ignored and (data_args.packing or item.name not in PACKS)
    }
    found["question_prefix"] = read_prefix(data_args.question_prefix)  # the text: a file may be edited
    if getattr(data_args, "virgo_serving", False) and data_args.template in BASES:
        found["question_prefix"], found["default_system"] = carried(tokenizer.chat_template, data_args.template)

    found["marker_tokens"] = bool(model_args.marker_tokens)
    images = getattr(processor, "image_processor", None)
    return {
        **json.loads(json.dumps(found, default=str)),
        "image_processor": json.loads(images.to_json_string()) if images is not None else None,
        "stage": stage,
        "seed": training_args.seed,
        "predict_with_generate": training_args.predict_with_generate,
        "tokenizer": hashlib.sha256(vocabulary.encode()).hexdigest()[:16],
        "data": data,
        "dataset_info": entries,
        "llamafactory": importlib.metadata.version("llamafactory"),
        "virgo_factory_code": code_hash(),
    }
