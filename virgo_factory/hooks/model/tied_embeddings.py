"""The embedding and the output head of a model under LoRA: two matrices, or one that has to be trained and merged as one."""

import contextlib
from collections.abc import Iterator
from typing import Any

from virgo_factory.core.errors import UserError
from virgo_factory.hooks.model.adapter import EMBEDDING, HEAD, TrainedAdapter, known_config
from virgo_factory.hooks.versions import ties_embeddings as ties


RELIES_ON = {
    "llamafactory/model/adapter.py:241": '                "modules_to_save": finetuning_args.additional_target,\n',
    "llamafactory/model/adapter.py:222": "        if model_args.resize_vocab and finetuning_args.additional_target is None:\n",
    "llamafactory/model/adapter.py:273": "                peft_config = LoraConfig(\n                    task_type=TaskType.CAUSAL_LM,",
}


def target_problems(model_args: Any, finetuning_args: Any, marker_tokens: bool) -> list[str]:
    """Return what is wrong with `additional_target` of a LoRA run, one sentence each with its remedy."""
    adapter = getattr(model_args, "virgo_adapter", None)
    targets = {EMBEDDING, HEAD} & set(finetuning_args.additional_target or [])
    if not targets and not marker_tokens:
        return []

    needed = f"{EMBEDDING},{HEAD}"
    if tied := ties_embeddings(model_args):
        needed = EMBEDDING
        if model_args.use_unsloth or model_args.use_kt:
            return [
                f"additional_target: {','.join(sorted(targets)) or needed}: not with use_unsloth or use_kt on a model whose "
                "output head is its embedding: the two would be trained apart and saved as one. Remove that key."
            ]

        if HEAD in targets:
            return [
                f"additional_target: {','.join(sorted(targets))}: the output head of this model is its embedding "
                "(tie_word_embeddings), so the two would be trained apart and a merge would lose one of them. Set "
                f"additional_target: {EMBEDDING}, which trains both as one."
            ]

    if marker_tokens and not (adapter and adapter.markers) and targets != set(needed.split(",")):
        return [
            f"marker_tokens: with LoRA the new rows are trained only if the recipe says additional_target: {needed}"
            + (" (the output head of this model is its embedding)." if tied else ".")
        ]

    return []


def ties_embeddings(model_args: Any) -> bool:
    """Whether the output head of the base model is its embedding; False where its configuration cannot be read."""
    config = known_config(model_args)
    return config is not None and ties(config)


def check_merge(adapter: TrainedAdapter | None, model_args: Any) -> None:
    """Raise if a merged model could not hold what the adapter was trained to.

    Raises:
        ValueError: two matrices were trained where the base model has one.
    """
    if adapter and adapter.apart and model_args.export_dir and ties_embeddings(model_args):
        raise UserError(
            f"{adapter.apart} was trained with {EMBEDDING} or {HEAD} apart from the other, and "
            f"{model_args.model_name_or_path} has one matrix for both (tie_word_embeddings): a merged model would lose "
            f"what it learned. Serve the adapter on its base, or train it again with additional_target: {EMBEDDING}."
        )


@contextlib.contextmanager
def tying(model: Any, model_args: Any, finetuning_args: Any) -> Iterator[None]:
    """Let a new LoRA adapter train the one matrix of a model with tied embeddings as one.

    peft otherwise makes a copy for the embedding alone (peft 0.18, tuners_utils.py, `_check_tied_modules`), and
    LLaMA-Factory adds both matrices to the adapter where a vocabulary has grown.
    """
    import llamafactory.model.adapter as module

    stock = module.LoraConfig
    head = model.get_output_embeddings()
    if head is not None and head.weight is model.get_input_embeddings().weight:
        if model_args.resize_vocab and finetuning_args.additional_target is None:
            finetuning_args.additional_target = [EMBEDDING]

        if EMBEDDING in (finetuning_args.additional_target or []):
            module.LoraConfig = lambda **settings: stock(**settings, ensure_weight_tying=True)

    try:
        yield
    finally:
        module.LoraConfig = stock
