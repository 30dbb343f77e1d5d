"""What a run that uses the plugin must satisfy, before anything is loaded.

A run uses the plugin when its template is one of ours, one of its datasets has one of our formattings, or one of our
keys stands in its recipe. Every other run goes through here untouched.
"""

import contextlib
import difflib
import importlib.metadata
import os
from pathlib import Path
from types import ModuleType
from typing import Any

from llamafactory.extras import logging
from llamafactory.extras.misc import get_device_count, has_tokenized_data

from virgo_factory.autoload import TESTED, check_hooks
from virgo_factory.datasets.data_files import part_of
from virgo_factory.datasets.reasoning import template_problem
from virgo_factory.datasets.split import check_entry
from virgo_factory.files import check_folder
from virgo_factory.global_batch import accumulation_steps
from virgo_factory.hooks.adapter import check_merge, read_adapter, take_markers, target_problems, trained_prefix
from virgo_factory.hooks.arguments import our_keys
from virgo_factory.hooks.batch_order import batch_order_problems
from virgo_factory.hooks.cpu import prepare_cpu_ranks
from virgo_factory.hooks.kept_epochs import kept_epochs_problems
from virgo_factory.hooks.rebind import rebind
from virgo_factory.hooks.resume import choose_checkpoint, tell_found_checkpoints
from virgo_factory.hooks.template import BASES
from virgo_factory.preflight.names import unknown_datasets, uses_plugin


RELIES_ON = {
    "hparams/parser.py": [
        "def get_train_args(args: dict[str, Any] | list[str] | None = None) -> _TRAIN_CLS:",
        "def get_infer_args(args: dict[str, Any] | list[str] | None = None) -> _INFER_CLS:",
        "def read_args(args: dict[str, Any] | list[str] | None = None) -> dict[str, Any] | list[str]:",
    ],
    "extras/misc.py": ["def get_device_count() -> int:"],
    "train/tuner.py": [
        "    model_args, data_args, training_args, finetuning_args, generating_args = get_train_args(args)"
    ],
}

ROW_KEYS = ("overlong", "malformed", "min_response_tokens", "max_response_tokens")

logger = logging.get_logger(f"llamafactory.{__name__}")  # else INFO is not shown


def wrap_argument_parsers(module: ModuleType) -> None:
    """Hook on llamafactory.hparams.parser."""
    stock_train, stock_infer = module.get_train_args, module.get_infer_args

    def get_train_args(args=None):
        check_device(module.read_args(args))
        parsed = stock_train(args)
        prepare_training(*parsed[:4])
        return parsed

    def get_infer_args(args=None):
        parsed = stock_infer(args)
        prepare_serving(*parsed[:3])
        return parsed

    rebind(stock_train, get_train_args)
    rebind(stock_infer, get_infer_args)
    tell_found_checkpoints(module)


NEED_GPU = ("bf16", "fp16", "pure_bf16", "tf32", "fp8", "deepspeed")
"""Keys with which transformers ends a run that sees no GPU and does not say use_cpu; without them it would train on the CPU."""


def check_device(recipe: Any) -> None:
    """Tell a training of ours that sees no GPU what to do about it, before transformers speaks of bf16.

    Args:
        recipe: its keys; a command line in `--key value` is left to transformers.

    Raises:
        ValueError: it would end for want of a GPU.
    """
    if not isinstance(recipe, dict) or not _is_yes(recipe.get("do_train")) or get_device_count() > 0:
        return

    if _is_yes(recipe.get("use_cpu")) or _is_yes(recipe.get("no_cuda")) or not uses_plugin(recipe):
        return

    told = (
        "virgo-factory: no GPU is visible to this training (nvidia-smi and CUDA_VISIBLE_DEVICES say which there are); "
        "without one, `make demo` or `virgo-factory demo` shows a whole training, and `virgo-factory smoke RECIPE` tries "
        "this recipe on a tiny model, both on the CPU. To train the real one there, set use_cpu: true and bf16: true."
    )
    if any(recipe.get(key) not in (None, False, "false") for key in NEED_GPU):
        raise ValueError(told)

    logger.warning_rank0(told)


def _is_yes(value: Any) -> bool:
    return str(value).lower() in ("true", "1", "yes", "y", "t")


def template_names_problem(template: str | None) -> str | None:
    """Return which template is nearest to one that there is not; None where there is one of that name, or none is named."""
    from llamafactory.data.template import TEMPLATES

    if template is None or template in TEMPLATES:
        return None

    near = difflib.get_close_matches(template, TEMPLATES, 3)
    hint = f"Did you mean {' or '.join(near)}?" if near else f"Ours are {' and '.join(BASES)}."
    return f"template: {template}: no such template. {hint}"


def prepare_training(model_args: Any, data_args: Any, training_args: Any, finetuning_args: Any) -> None:
    """Check and complete the arguments of a training run that uses the plugin; leave every other one alone.

    Raises:
        ValueError: all that is wrong, together.
    """
    keys = our_keys(data_args) | our_keys(model_args) | our_keys(finetuning_args)
    formattings = formattings_of(data_args)
    is_ours = bool(keys or formattings or data_args.template in BASES)
    adapter = read_adapter(model_args, hub=is_ours)
    if not (is_ours or (adapter and adapter.markers)):
        return

    check_plugin()
    model_args.virgo_adapter = adapter
    take_markers(adapter, model_args, training=True)
    keys |= our_keys(model_args)
    names = ("dataset", "eval_dataset", "dataset_dir", "tokenized_path")
    problems = unknown_datasets({name: getattr(data_args, name) for name in names}, ours=True)
    if not problems:  # else it is not known what they are
        problems = find_problems(keys, formattings, model_args, data_args, training_args, finetuning_args)
        problems += data_problems(data_args)

    problems += filter(None, [template_names_problem(data_args.template)])
    if finetuning_args.global_batch_size is not None and training_args.gradient_accumulation_steps == 1:
        try:
            _set_global_batch(finetuning_args.global_batch_size, training_args)
        except ValueError as error:
            problems.append(str(error))

    if training_args.do_train:
        try:
            checkpoint = choose_checkpoint(training_args.resume_from_checkpoint, training_args)
            training_args.resume_from_checkpoint = checkpoint
        except ValueError as error:
            problems.append(str(error))

    if training_args.process_index == 0 and not problems:
        try:
            check_folder(Path(training_args.output_dir))
        except ValueError as error:
            problems.append(f"output_dir: {error}")

    if problems:
        raise ValueError("virgo-factory:\n" + "\n".join(f"  - {problem}" for problem in problems))

    finetuning_args.virgo_used = True
    training_args.virgo_finetuning_args = finetuning_args  # for the look ahead: get_dataset is not given it
    data_args.virgo_used = finetuning_args.stage in ("sft", "dpo") and not data_args.streaming

    if training_args.use_cpu:
        prepare_cpu_ranks(training_args)


def prepare_serving(model_args: Any, data_args: Any, finetuning_args: Any) -> None:
    """Check the arguments of `api`, `chat`, `export` and the like, and let them serve what the model was trained with.

    Raises:
        ValueError: keys of training, or what the adapter was not trained with.
    """
    keys = our_keys(data_args) | our_keys(model_args) | our_keys(finetuning_args)
    formattings = formattings_of(data_args)  # scripts/vllm_infer.py reads datasets with these arguments
    is_ours = bool(keys or formattings or data_args.template in BASES)
    adapter = read_adapter(model_args, hub=is_ours)
    if not (is_ours or (adapter and (adapter.markers or trained_prefix(adapter.chat_template)))):
        return

    check_plugin()
    heeded = ("question_prefix", "marker_tokens", *(ROW_KEYS if formattings else ()))
    idle = [key for key in keys if key not in heeded]
    if idle:
        raise ValueError(f"virgo-factory: {', '.join(idle)} does nothing outside training. Remove it.")

    take_markers(adapter, model_args, training=False)
    check_merge(adapter, model_args)
    data_args.virgo_serving = True
    model_args.virgo_adapter, model_args.virgo_served_data_args = adapter, data_args
    data_args.virgo_used = bool(formattings) and not data_args.streaming


def check_plugin() -> None:
    """Raise if the hooks cannot be relied on: one failed, or this LLaMA-Factory has not been tested.

    Raises:
        RuntimeError: with the tested versions; DISABLE_VERSION_CHECK=1, LLaMA-Factory's own switch, makes an untested
            version a warning. A failed hook is never passed over: the run would train on something else.
    """
    check_hooks()
    if _version() not in TESTED:
        message = f"virgo-factory has not been tested with LLaMA-Factory {_version()}, only with {', '.join(TESTED)}."
        if os.environ.get("DISABLE_VERSION_CHECK", "0").lower() not in ("1", "true", "y"):
            raise RuntimeError(f"{message} Install one of these, or set DISABLE_VERSION_CHECK=1 to go on.")

        logger.warning_rank0(message)


def _version() -> str:
    return importlib.metadata.version("llamafactory")


def formattings_of(data_args: Any) -> dict[str, str]:
    """Return name -> formatting of the run's datasets that are in one of ours; {} where stock will report an error."""
    from llamafactory.data.parser import get_dataset_list

    from virgo_factory.hooks.rows import our_formattings

    try:
        names = [*(data_args.dataset or []), *(data_args.eval_dataset or [])]
        return our_formattings(get_dataset_list(names, data_args.dataset_dir))
    except Exception:
        return {}  # the loader meets the same error again and tells it


def data_problems(data_args: Any) -> list[str]:
    """Return what is wrong with the entries of a run's datasets of ours, among it files that are made first."""
    from llamafactory.data.parser import get_dataset_list

    if has_tokenized_data(data_args.tokenized_path or ""):
        return []

    names = [*(data_args.dataset or []), *(data_args.eval_dataset or [])]
    problems = []
    with contextlib.suppress(Exception):  # the loader meets the same error again and tells it
        for attribute in get_dataset_list(names, data_args.dataset_dir):
            path = Path(str(data_args.dataset_dir), attribute.dataset_name)
            made_by = attribute.virgo_entry.get("made_by")
            if made_by and attribute.load_from == "file" and not path.exists():
                problems.append(f"dataset {attribute.virgo_name}: no file {path}. Make it with: {made_by}")

            where, split = f"dataset {attribute.virgo_name}", attribute.virgo_entry.get("split")
            try:
                check_entry(attribute.virgo_entry, where, part_of(path, where, split))
            except ValueError as error:
                problems.append(str(error))

    return problems


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

    if wants_rows and stage not in ("sft", "dpo"):
        problems.append(f"{wants_rows}: only in the stages sft and dpo, not in {stage}.")

    if formattings and (problem := template_problem(data_args.template)):
        problems.append(problem)

    for switch in ("use_mca", "use_hyper_parallel"):
        if getattr(finetuning_args, switch, False):
            problems.append(f"{switch}: its own loader and trainer know nothing of virgo-factory. Remove {switch}.")

    idle = [
        key for key in ("malformed", "min_response_tokens", "max_response_tokens", "question_prefix") if key in keys
    ]
    if idle and not formattings and (training_args.do_train or "question_prefix" not in idle):
        problems.append(
            f"{', '.join(idle)}: does nothing, because no dataset has one of the plugin's formattings. "
            "Set formatting: virgo_dt in its dataset_info.json, or remove the key."
        )

    if keys.get("question_prefix", "none") != "none" and data_args.template not in BASES:
        problems.append(
            f"question_prefix: needs template: {' or '.join(BASES)}, whose chat template is saved with it; with "
            f"{data_args.template!r} the model would be served without the prefix that it was trained with."
        )

    if keys.get("marker_tokens"):
        problems += _marker_problems(model_args, finetuning_args)

    if finetuning_args.finetuning_type == "lora" and not (keys.get("marker_tokens") and model_args.quantization_bit):
        problems += target_problems(model_args, finetuning_args, bool(keys.get("marker_tokens")))

    if "global_batch_size" in keys and training_args.gradient_accumulation_steps != 1:
        problems.append("global_batch_size and gradient_accumulation_steps: set one of them, not both.")

    if "global_batch_size" in keys and not training_args.do_train:
        problems.append("global_batch_size: only with do_train: true. Remove it.")

    if "batch_order" in keys:
        problems += batch_order_problems(keys["batch_order"], data_args, training_args, finetuning_args)

    if "keep_model_at_epochs" in keys:
        problems += kept_epochs_problems(keys["keep_model_at_epochs"], stage, data_args.streaming, training_args)

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


def _set_global_batch(rows: int, training_args: Any) -> None:
    steps = accumulation_steps(rows, training_args.world_size, training_args.per_device_train_batch_size)
    training_args.gradient_accumulation_steps = steps
    if training_args.deepspeed:
        # TrainingArguments.__post_init__ has filled the file's "auto" values already (transformers 4.57.6,
        # training_args.py:2074-2081): fill them again, from the file, with the new number.
        from accelerate.utils import DeepSpeedPlugin
        from transformers.integrations.deepspeed import HfTrainerDeepSpeedConfig

        training_args.hf_deepspeed_config = HfTrainerDeepSpeedConfig(training_args.deepspeed)
        training_args.hf_deepspeed_config.trainer_config_process(training_args)
        training_args.deepspeed_plugin = DeepSpeedPlugin(hf_ds_config=training_args.hf_deepspeed_config)

    logger.info_rank0(
        f"virgo-factory: global batch {rows} = {training_args.world_size} ranks x "
        f"{training_args.per_device_train_batch_size} rows x {steps} accumulation steps."
    )
