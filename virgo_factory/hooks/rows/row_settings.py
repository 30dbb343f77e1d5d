"""Everything that the tokenised rows of a run depend on, for comparison beside `tokenized_path`.

Of the arguments of data every one is compared but those that are known not to matter.
"""

import dataclasses
import hashlib
import importlib.metadata
import json
from typing import Any

from llamafactory.hparams.model_args import ProcessorArguments

from virgo_factory.data.read.data_files import part_files
from virgo_factory.data.read.prefix import read_prefix
from virgo_factory.formats import FORMATTINGS
from virgo_factory.hooks.data.dataset_lookup import datasets_of, local_path
from virgo_factory.hooks.template.template import BASES, carried
from virgo_factory.io.fingerprint import code_hash, content_hash


RELIES_ON = {
    "llamafactory/hparams/model_args.py:301": "@dataclass\nclass ProcessorArguments:",
}

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

OF_MODEL = (
    *(item.name for item in dataclasses.fields(ProcessorArguments)),
    "use_fast_tokenizer",
    "split_special_tokens",
)
"""Fields of ModelArguments that the tokenised rows depend on, beside vocabulary and image processor, which are compared themselves."""


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
    found = {name: getattr(model_args, name) for name in OF_MODEL} | {
        item.name: getattr(data_args, item.name)
        for item in dataclasses.fields(data_args)
        if item.name not in SAME_ROWS_DATA and (data_args.packing or item.name not in PACKS)
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
