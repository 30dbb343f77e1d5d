"""What a run that uses the plugin must satisfy, before anything is loaded.

A run uses the plugin when its template is one of ours, one of its datasets has one of our formattings, or one of our
keys stands in its recipe. Every other run goes through here untouched.
"""

import contextlib
import hashlib
import importlib.metadata
import json
import math
import os
import re
from pathlib import Path
from types import ModuleType
from typing import Any

from llamafactory.extras import logging
from llamafactory.extras.misc import has_tokenized_data

from virgo_factory.autoload import TESTED, check_hooks
from virgo_factory.datasets.fingerprint import code_hash, content_hash
from virgo_factory.datasets.reasoning import template_problem
from virgo_factory.datasets.split import check_entry
from virgo_factory.global_batch import accumulation_steps
from virgo_factory.hooks.arguments import our_keys
from virgo_factory.hooks.batch_order import batch_order_problems
from virgo_factory.hooks.cpu import prepare_cpu_ranks
from virgo_factory.hooks.rebind import rebind
from virgo_factory.hooks.template import BASES
from virgo_factory.prefix import read_prefix


RELIES_ON = {
    "hparams/parser.py": [
        "def get_train_args(args: dict[str, Any] | list[str] | None = None) -> _TRAIN_CLS:",
        "def get_infer_args(args: dict[str, Any] | list[str] | None = None) -> _INFER_CLS:",
        "            training_args.resume_from_checkpoint = last_checkpoint\n",
    ],
    "train/tuner.py": [
        "    model_args, data_args, training_args, finetuning_args, generating_args = get_train_args(args)"
    ],
}

ROW_KEYS = ("overlong", "malformed", "min_response_tokens", "max_response_tokens")
LORA_TARGETS = ("embed_tokens", "lm_head")

logger = logging.get_logger(f"llamafactory.{__name__}")  # else INFO is not shown


def wrap_argument_parsers(module: ModuleType) -> None:
    """Hook on llamafactory.hparams.parser."""
    stock_train, stock_infer = module.get_train_args, module.get_infer_args

    def get_train_args(args=None):
        parsed = stock_train(args)
        prepare_training(*parsed[:4])
        return parsed

    def get_infer_args(args=None):
        parsed = stock_infer(args)
        prepare_serving(*parsed[:3])
        return parsed

    rebind(stock_train, get_train_args)
    rebind(stock_infer, get_infer_args)


def prepare_training(model_args: Any, data_args: Any, training_args: Any, finetuning_args: Any) -> None:
    """Check and complete the arguments of a training run that uses the plugin; leave every other one alone.

    Raises:
        ValueError: all that is wrong, together.
    """
    keys = our_keys(data_args) | our_keys(model_args) | our_keys(finetuning_args)
    formattings = _formattings(data_args)
    if not (keys or formattings or data_args.template in BASES):
        return

    check_plugin()
    problems = find_problems(keys, formattings, model_args, data_args, training_args, finetuning_args)
    problems += data_problems(data_args)
    if finetuning_args.global_batch_size is not None and training_args.gradient_accumulation_steps == 1:
        try:
            _set_global_batch(finetuning_args.global_batch_size, training_args)
        except ValueError as error:
            problems.append(str(error))

    if problems:
        raise ValueError("virgo-factory:\n" + "\n".join(f"  - {problem}" for problem in problems))

    finetuning_args.virgo_used = True
    training_args.virgo_finetuning_args = finetuning_args  # for the look ahead: get_dataset is not given it
    data_args.virgo_used = finetuning_args.stage in ("sft", "dpo") and not data_args.streaming

    if training_args.resume_from_checkpoint is not None and not finetuning_args.use_mca:
        training_args.resume_from_checkpoint = complete_checkpoint(training_args.resume_from_checkpoint)

    if training_args.use_cpu:
        prepare_cpu_ranks(training_args)


def prepare_serving(model_args: Any, data_args: Any, finetuning_args: Any) -> None:
    """Check the arguments of `api`, `chat`, `export` and the like, and let the template carry the trained prefix."""
    keys = our_keys(data_args) | our_keys(model_args) | our_keys(finetuning_args)
    if not (keys or data_args.template in BASES):
        return

    check_plugin()
    idle = [key for key in keys if key not in ("question_prefix", "marker_tokens")]
    if idle:
        raise ValueError(f"virgo-factory: {', '.join(idle)} does nothing outside training. Remove it.")

    data_args.virgo_serving = True


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


def _formattings(data_args: Any) -> dict[str, str]:
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

            try:
                check_entry(attribute.virgo_entry, f"dataset {attribute.virgo_name}")
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

    if "global_batch_size" in keys and training_args.gradient_accumulation_steps != 1:
        problems.append("global_batch_size and gradient_accumulation_steps: set one of them, not both.")

    if "global_batch_size" in keys and not training_args.do_train:
        problems.append("global_batch_size: only with do_train: true. Remove it.")

    if "batch_order" in keys:
        problems += batch_order_problems(keys["batch_order"], data_args, training_args, finetuning_args)

    epochs = keys.get("keep_model_at_epochs", [])
    if epochs and (stage != "sft" or not training_args.do_train):
        problems.append("keep_model_at_epochs: only in the stage sft with do_train: true.")
    elif epochs and training_args.max_steps <= 0 and max(epochs) > training_args.num_train_epochs:
        problems.append(
            f"keep_model_at_epochs: {epochs}, but the run has num_train_epochs: {training_args.num_train_epochs:g}."
        )

    return problems


def _marker_problems(model_args: Any, finetuning_args: Any) -> list[str]:
    if model_args.quantization_bit is not None:
        return ["marker_tokens: not with quantization_bit, since rows of a quantised model cannot be trained."]

    if finetuning_args.finetuning_type == "lora":
        targets = finetuning_args.additional_target or []
        if not set(LORA_TARGETS) <= set(targets):
            return [
                "marker_tokens: with LoRA the new rows are trained only if the recipe says "
                f"additional_target: {','.join(LORA_TARGETS)}."
            ]
    elif finetuning_args.finetuning_type != "full":
        return [f"marker_tokens: needs finetuning_type: full or lora, not {finetuning_args.finetuning_type}."]

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


def complete_checkpoint(checkpoint: str) -> str | None:
    """Return the checkpoint to resume from, or the last complete one before it, or None if there is none.

    A run that was killed while it saved leaves a folder that LLaMA-Factory picks and cannot load. The trainer writes
    trainer_state.json last (transformers 4.57.6, trainer.py, `_save_checkpoint`).
    """
    found = re.fullmatch(r"checkpoint-(\d+)", Path(checkpoint).name)
    if found is None or _is_complete(Path(checkpoint)):
        return checkpoint

    steps = [
        int(folder.name.removeprefix("checkpoint-"))
        for folder in Path(checkpoint).parent.glob("checkpoint-*")
        if folder.name.removeprefix("checkpoint-").isdigit() and _is_complete(folder)
    ]
    earlier = max((step for step in steps if step < int(found.group(1))), default=None)
    instead = str(Path(checkpoint).parent / f"checkpoint-{earlier}") if earlier is not None else None
    logger.warning_rank0(
        f"virgo-factory: {checkpoint} was cut short while it was saved (no whole trainer_state.json); "
        + (f"resuming from {instead}." if instead else "no complete checkpoint is left, so training starts again.")
    )
    return instead


def _is_complete(checkpoint: Path) -> bool:
    """Whether trainer_state.json is there, whole: a kill between its opening and its writing leaves it empty."""
    try:
        return isinstance(json.loads((checkpoint / "trainer_state.json").read_text(encoding="utf-8")), dict)
    except (OSError, ValueError):
        return False


def check_steps_left(dataset: Any, training_args: Any) -> None:
    """Raise if the checkpoint to resume from is the run's last: LLaMA-Factory would train 0 steps and exit 0.

    The count is that of transformers 4.57.6 (trainer.py, set_initial_training_values).
    """
    checkpoint = training_args.resume_from_checkpoint
    state = checkpoint and Path(str(checkpoint), "trainer_state.json")
    if not (training_args.do_train and state and state.is_file() and dataset is not None):
        return

    batches = math.ceil(len(dataset) / (training_args.per_device_train_batch_size * training_args.world_size))
    per_epoch = max(math.ceil(batches / training_args.gradient_accumulation_steps), 1)
    steps = (
        training_args.max_steps
        if training_args.max_steps > 0
        else math.ceil(training_args.num_train_epochs * per_epoch)
    )
    done = json.loads(state.read_text(encoding="utf-8"))["global_step"]
    if done >= steps:
        raise ValueError(
            f"{training_args.output_dir} holds a finished run ({done} of {steps} steps), so this one would train "
            "0 steps. Choose another output_dir, set overwrite_output_dir: true to start again, or raise "
            "num_train_epochs to go on."
        )


def row_settings(model_args: Any, data_args: Any, training_args: Any, stage: str, tokenizer: Any) -> dict[str, Any]:
    """Return everything that the tokenised rows of a run depend on, for comparison beside `tokenized_path`."""
    from llamafactory.data.parser import get_dataset_list

    names = [*(data_args.dataset or []), *(data_args.eval_dataset or [])]
    data, entries = {}, {}
    for attribute in get_dataset_list(names, data_args.dataset_dir):
        entries[attribute.virgo_name] = attribute.virgo_entry
        path = Path(str(data_args.dataset_dir), attribute.dataset_name)
        local = attribute.load_from == "file" and path.exists()
        data[attribute.virgo_name] = content_hash(path) if local else f"{attribute.load_from} {attribute.dataset_name}"

    keys = (
        *("template", "cutoff_len", "train_on_prompt", "mask_history", "packing", "neat_packing", "default_system"),
        *("tool_format", "max_samples", "val_size", "mix_strategy", "interleave_probs", "dataset", "eval_dataset"),
        *("overlong", "malformed", "min_response_tokens", "max_response_tokens"),
    )
    # Half a second, so only where it is compared.
    vocabulary = json.dumps(sorted(tokenizer.get_vocab().items())) if data_args.tokenized_path else ""
    return {
        **{key: getattr(data_args, key) for key in keys},
        "question_prefix": read_prefix(data_args.question_prefix),  # the text: a file may be edited
        "marker_tokens": bool(model_args.marker_tokens),
        "image_max_pixels": model_args.image_max_pixels,
        "image_min_pixels": model_args.image_min_pixels,
        "stage": stage,
        "seed": training_args.seed,
        "predict_with_generate": training_args.predict_with_generate,
        "tokenizer": hashlib.sha256(vocabulary.encode()).hexdigest()[:16],
        "data": data,
        "dataset_info": entries,
        "llamafactory": _version(),
        "virgo_factory_code": code_hash(),
    }
