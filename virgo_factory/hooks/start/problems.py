"""What is wrong with the recipe of a training that uses the plugin, one sentence each with its remedy."""

import contextlib
import os
from collections import Counter
from pathlib import Path
from typing import Any

from llamafactory.extras.misc import has_tokenized_data

from virgo_factory.data.read.data_files import part_files
from virgo_factory.data.read.split import check_entry
from virgo_factory.data.read.templates import TEMPLATE_TAGS, family_problem, template_problem
from virgo_factory.formats import FORMATTINGS
from virgo_factory.hooks.data.dataset_lookup import datasets_of, local_path
from virgo_factory.hooks.model.adapter import known_config
from virgo_factory.hooks.model.tied_embeddings import target_problems
from virgo_factory.hooks.start.packing_problems import packing_problems
from virgo_factory.hooks.template.template import BASES
from virgo_factory.hooks.train.batch_order import batch_order_problems
from virgo_factory.hooks.train.kept_epochs import kept_epochs_problems


ROW_KEYS = ("overlong", "malformed", "min_response_tokens", "max_response_tokens")


def find_problems(
    keys: dict[str, Any],
    formattings: dict[str, str],
    model_args: Any,
    data_args: Any,
    training_args: Any,
    finetuning_args: Any,
) -> list[str]:
    """Return what is wrong with a training run that uses the plugin, one sentence each with its remedy."""
    stage = finetuning_args.stage
    row_keys = [key for key in ROW_KEYS if key in keys]
    wants_rows = ", ".join([*row_keys, *(f"formatting {name}" for name in sorted(set(formattings.values())))])
    problems = []
    if wants_rows and data_args.streaming:
        problems.append(f"{wants_rows}: not with streaming: true, since rows cannot be counted. Remove streaming.")

    if wants_rows and stage not in ("sft", "dpo", "grpo"):
        problems.append(f"{wants_rows}: only in the stages sft, dpo and grpo, not in {stage}.")

    if formattings and (problem := template_problem(data_args.template)):
        problems.append(problem)

    if data_args.template in BASES and (config := known_config(model_args)):
        problems += filter(None, [family_problem(data_args.template, config.model_type)])

    for switch in ("use_mca", "use_hyper_parallel"):
        if getattr(finetuning_args, switch, False):
            problems.append(f"{switch}: its own loader and trainer know nothing of virgo-factory. Remove {switch}.")

    idle = [
        key for key in ("malformed", "min_response_tokens", "max_response_tokens", "question_prefix") if key in keys
    ]
    if idle and not formattings and (training_args.do_train or "question_prefix" not in idle):
        problems.append(
            f"{', '.join(idle)}: does nothing, because no dataset has one of the plugin's formattings. "
            "Set formatting: long_thought in its dataset_info.json, or remove the key."
        )

    if keys.get("question_prefix", "none") != "none" and data_args.template not in BASES:
        problems.append(
            f"question_prefix: needs template: {' or '.join(BASES)}, whose chat template is saved with it; with "
            f"{data_args.template!r} the model would be served without the prefix that it was trained with."
        )

    if keys.get("marker_tokens"):
        problems += _marker_problems(model_args, finetuning_args)
        if TEMPLATE_TAGS.get(data_args.template, "virgo") != "virgo":
            problems.append(f"marker_tokens: template {data_args.template} trains on other tags. Remove it.")

    if finetuning_args.finetuning_type == "lora" and not (keys.get("marker_tokens") and model_args.quantization_bit):
        problems += target_problems(model_args, finetuning_args, bool(keys.get("marker_tokens")))

    if "global_batch_size" in keys and training_args.gradient_accumulation_steps != 1:
        remedy = "set one of them, not both."
        if os.environ.get("LLAMABOARD_ENABLED") == "1":  # it always gives the second (webui/runner.py)
            remedy = "set Gradient accumulation to 1 in LlamaBoard."

        problems.append(f"global_batch_size and gradient_accumulation_steps: {remedy}")

    if "global_batch_size" in keys and not training_args.do_train:
        problems.append("global_batch_size: only with do_train: true. Remove it.")

    if "batch_order" in keys:
        problems += batch_order_problems(keys["batch_order"], data_args, training_args, finetuning_args)

    problems += packing_problems(keys, model_args, data_args, training_args, finetuning_args)
    if "keep_model_at_epochs" in keys:
        problems += kept_epochs_problems(keys["keep_model_at_epochs"], stage, data_args.streaming, training_args)

    return problems


def data_problems(data_args: Any, stage: str) -> list[str]:
    """Return what is wrong with the entries of a run's datasets of ours, among it files that are made first."""
    if has_tokenized_data(data_args.tokenized_path or ""):
        return []

    problems = [
        f"max_samples: {count} draws no row. Give a number of at least 1, or remove it."
        for count in [data_args.max_samples]
        if count is not None and count < 1
    ]
    problems += [
        f"dataset: {name} stands there twice, and would be read once. To weigh it: num_samples in its entry, or interleave_probs."
        for names in (data_args.dataset or [], data_args.eval_dataset or [])
        for name, times in Counter(names).items()
        if times > 1
    ]
    with contextlib.suppress(Exception):  # the loader meets the same error again and tells it
        for attribute in datasets_of(data_args):
            if stage in ("sft", "dpo") and attribute.ranking != (stage == "dpo"):
                has, takes = ("pairs", "no pairs") if attribute.ranking else ("no pairs", "pairs")
                problems.append(
                    f'dataset {attribute.virgo_name}: its entry says {has} ("ranking": {str(attribute.ranking).lower()}), and '
                    f"stage: {stage} takes {takes}. Choose another stage, or another dataset."
                )

            path = Path(str(data_args.dataset_dir), attribute.dataset_name)
            made_by = attribute.virgo_entry.get("made_by")
            if made_by and attribute.load_from == "file" and not path.exists():
                problems.append(f"dataset {attribute.virgo_name}: no file {path}. Make it with: {made_by}")

            where, split = f"dataset {attribute.virgo_name}", attribute.virgo_entry.get("split")
            try:
                check_entry(attribute.virgo_entry, where)
                if attribute.formatting in FORMATTINGS and local_path(attribute, data_args.dataset_dir):
                    part_files(path, where, split)
            except ValueError as error:
                problems.append(str(error))

    return problems


def _marker_problems(model_args: Any, finetuning_args: Any) -> list[str]:
    if model_args.quantization_bit is not None:
        return ["marker_tokens: not with quantization_bit, since rows of a quantised model cannot be trained."]

    if finetuning_args.finetuning_type not in ("full", "lora"):
        return [f"marker_tokens: needs finetuning_type: full or lora, not {finetuning_args.finetuning_type}."]

    if finetuning_args.finetuning_type == "full" and finetuning_args.freeze_language_model:
        return [
            "marker_tokens: not with freeze_language_model: true, which leaves the new rows untrained. Remove one."
        ]

    return []
