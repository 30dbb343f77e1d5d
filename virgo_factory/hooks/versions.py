"""What is otherwise in transformers 5 than in 4.57: the one place of the hooks that asks which of them this is."""

import importlib.metadata
import re
from collections.abc import Callable, Iterable
from typing import Any

from virgo_factory.core.errors import UserError
from virgo_factory.preflight.versions import is_5


RELIES_ON = {
    "transformers/trainer.py:1060": "        if self.args.group_by_length:\n",
    "transformers/trainer.py:2301": "                self._train_batch_size = state.train_batch_size\n",
}

TRANSFORMERS_5 = is_5(importlib.metadata.version("transformers"))


def groups_by_length(training_args: Any) -> bool:
    """Whether the stock sampler is to order rows by length."""
    if TRANSFORMERS_5:
        return training_args.train_sampling_strategy == "group_by_length"

    return training_args.group_by_length


def goes_on_with_the_old_batch(training_args: Any) -> bool:
    """Whether a resumed run takes the rows a device from its checkpoint, not from its recipe."""
    return not (TRANSFORMERS_5 or training_args.auto_find_batch_size)


def ties_embeddings(config: Any) -> bool:
    """Whether the output head of a model with this configuration is its embedding."""
    return bool((config if TRANSFORMERS_5 else config.get_text_config(decoder=True)).tie_word_embeddings)


def forget_grown_vocabulary(model: Any) -> None:
    """Take away the size that LLaMA-Factory writes beside the one of the language model (model_utils/embedding.py).

    peft 0.18 looks for it in the base's configuration, too, when it saves an adapter, and stops there: in transformers 5 a
    model that sees has it in `text_config` alone.
    """
    if TRANSFORMERS_5 and model.config.get_text_config() is not model.config:
        vars(model.config).pop("vocab_size", None)


def renaming(model: Any) -> Callable[[str], str]:
    """Return the function from a tensor's saved name to the parameter that it is, as `from_pretrained` would name it.

    It raises a ValueError for a tensor that is saved in another form than it has in the model.
    """
    if not TRANSFORMERS_5:
        mapping = getattr(model, "_checkpoint_conversion_mapping", None) or {}
        return lambda saved: own_name(saved, mapping)

    from transformers.conversion_mapping import get_model_conversion_mapping
    from transformers.core_model_loading import WeightRenaming, rename_source_key

    steps = getattr(model, "_weight_conversions", None)  # those that it was loaded by, which it is saved by
    steps = get_model_conversion_mapping(model, add_legacy=False) if steps is None else steps
    renamings = [step for step in steps if isinstance(step, WeightRenaming)]
    converters = [step for step in steps if not isinstance(step, WeightRenaming)]

    def rename(saved: str) -> str:
        name, converted = rename_source_key(saved, renamings, converters)
        if converted is not None:
            raise UserError(
                f"{saved} is saved in another form than this model has it in (transformers 5), so a run cannot go on from "
                "it. Train with deepspeed, whose checkpoints have it as it is."
            )

        return name

    return rename


def stock_loads(model: Any, saved: Iterable[str]) -> bool:
    """Whether transformers itself resumes a model from tensors of these names, since each is saved under its own.

    Never so in 4.57, where what is saved under none of the model's names is left out without a word. So it is in 5.5, but
    there most families are saved under their own.

    Raises:
        ValueError: a tensor is saved in another form.
    """
    if not TRANSFORMERS_5:
        return False

    own, rename = model.state_dict(), renaming(model)
    return all(rename(name) in own and name in own for name in saved)


def own_name(saved: str, mapping: dict[str, str]) -> str:
    """Return the parameter that a saved name stands for in transformers 4.57 (the first pattern that fits)."""
    for pattern, replacement in mapping.items():
        name, found = re.subn(pattern, replacement, saved)
        if found:
            return name

    return saved
