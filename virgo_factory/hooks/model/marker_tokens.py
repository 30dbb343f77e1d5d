"""`marker_tokens: true`: the four markers as single, plain vocabulary entries with meaningful first weights.

LLaMA-Factory's own `add_tokens` initialises rows only when the embedding has to grow, and then counts them from the old
embedding size instead of the token ids (model/model_utils/embedding.py:181-192): on Qwen2-VL, whose 152,064 rows have
room, nothing would be initialised.
"""

import contextlib
import copy
import json
from types import ModuleType
from typing import Any

import torch
from llamafactory.extras import logging
from tokenizers import Tokenizer
from transformers import AddedToken

from virgo_factory.core.thought import MARKERS
from virgo_factory.hooks.hook import Hook, rebind, replace
from virgo_factory.hooks.model.adapter import check_markers, serve_as_trained
from virgo_factory.hooks.model.tied_embeddings import tying
from virgo_factory.hooks.versions import forget_grown_vocabulary


RELIES_ON = {
    "llamafactory/model/loader.py:95": "    patch_tokenizer(tokenizer, model_args)\n",
    "llamafactory/model/loader.py:71": 'def load_tokenizer(model_args: "ModelArguments") -> "TokenizerModule":',
    "llamafactory/model/loader.py:183": "    model = init_adapter(config, model, model_args, finetuning_args, is_trainable)\n",
    "llamafactory/model/loader.py:180": "        patch_model(model, tokenizer, model_args, is_trainable, add_valuehead)\n",
    "llamafactory/model/model_utils/embedding.py:181": "    if len(tokenizer) > current_embedding_size:",
}

logger = logging.get_logger(f"llamafactory.{__name__}")  # else INFO is not shown


def wrap_model_loader(module: ModuleType) -> None:
    """Add tokens after the tokenizer has loaded and set rows before the adapter is put on, both as trained."""
    stock_tokenizer, stock_adapter, stock_load = module.patch_tokenizer, module.init_adapter, module.load_tokenizer

    def patch_tokenizer(tokenizer, model_args):
        stock_tokenizer(tokenizer, model_args)
        if getattr(model_args, "marker_tokens", None):
            add_marker_tokens(tokenizer, model_args)
            check_markers(getattr(model_args, "virgo_adapter", None), tokenizer)

    def init_adapter(config, model, model_args, finetuning_args, is_trainable):
        if pieces := getattr(model_args, "virgo_marker_pieces", None):
            initialise_rows(model, pieces)

        if not (is_trainable and getattr(finetuning_args, "virgo_used", False)):
            return stock_adapter(config, model, model_args, finetuning_args, is_trainable)

        forget_grown_vocabulary(model)
        with tying(model, model_args, finetuning_args):
            return stock_adapter(config, model, model_args, finetuning_args, is_trainable)

    def load_tokenizer(model_args):
        loaded = stock_load(model_args)
        data_args = getattr(model_args, "virgo_served_data_args", None)
        if data_args is not None:
            serve_as_trained(loaded, getattr(model_args, "virgo_adapter", None), data_args)

        return loaded

    # Only in this module: patch_tokenizer and init_adapter are called from nowhere else.
    replace(module, "patch_tokenizer", patch_tokenizer)
    replace(module, "init_adapter", init_adapter)
    rebind(stock_load, load_tokenizer)


def add_marker_tokens(tokenizer: Any, model_args: Any) -> None:
    """Add the markers that the tokenizer lacks, and note each one's text pieces by its new token id."""
    lacking = [marker for marker in MARKERS if len(tokenizer.encode(marker, add_special_tokens=False)) > 1]
    if not lacking:
        return

    tokenizer.virgo_text_tokenizer = copy.deepcopy(tokenizer)  # counts tokens "with the markers as text"
    pieces = {marker: tokenizer.encode(marker, add_special_tokens=False) for marker in lacking}
    tokenizer.add_tokens([AddedToken(marker, normalized=False, special=False) for marker in lacking])
    ids = dict(zip(lacking, tokenizer.convert_tokens_to_ids(lacking), strict=True))
    model_args.virgo_marker_pieces = {ids[marker]: pieces[marker] for marker in lacking}
    model_args.resize_vocab = True  # as for add_tokens: a vocabulary without room has to grow
    logger.info_rank0(
        f"virgo-factory: added as single plain tokens: {', '.join(f'{m} = {i}' for m, i in ids.items())}."
    )


def text_tokenizer(tokenizer: Any) -> Any:
    """Return a tokenizer that reads the markers as text; the given one itself where it does.

    It only counts: its `encode(text, add_special_tokens=False)` has the right length.
    """
    if hasattr(tokenizer, "virgo_text_tokenizer"):
        return tokenizer.virgo_text_tokenizer

    if not set(MARKERS) & set(tokenizer.get_added_vocab()) or not tokenizer.is_fast:
        return tokenizer

    core = json.loads(tokenizer.backend_tokenizer.to_str())  # of a later stage: the tokens came with the checkpoint
    core["added_tokens"] = [token for token in core["added_tokens"] if token["content"] not in MARKERS]
    return Tokenizer.from_str(json.dumps(core))


def initialise_rows(model: Any, pieces: dict[int, list[int]]) -> None:
    """Set the rows of new tokens, in the input embedding and an untied lm_head, to the mean of their pieces' rows.

    Args:
        model: before adapters are put on it; its parameters may be partitioned (ZeRO-3).
        pieces: new token id -> ids of the tokens that its text was before.
    """
    weights = [model.get_input_embeddings().weight]
    output = model.get_output_embeddings()
    if output is not None and output.weight is not weights[0]:
        weights.append(output.weight)

    for weight in weights:
        with _gathered(weight) as writes, torch.no_grad():
            if not writes:
                continue

            before = {token: weight[token].float().norm().item() for token in pieces}
            for token, parts in pieces.items():
                weight[token] = weight[parts].float().mean(dim=0).to(weight.dtype)

            norms = ", ".join(f"{t}: {before[t]:.3f} -> {weight[t].float().norm().item():.3f}" for t in pieces)
            logger.info_rank0(f"virgo-factory: marker rows set in a matrix of {weight.shape[0]} rows; norms {norms}.")


@contextlib.contextmanager
def _gathered(weight: Any):
    """Give the whole weight, under ZeRO-3 too; yields whether this rank is to write."""
    if not hasattr(weight, "ds_id"):
        yield True
        return

    import deepspeed

    with deepspeed.zero.GatheredParameters([weight], modifier_rank=0):
        yield torch.distributed.get_rank() == 0


HOOK = Hook(modules=("llamafactory.model.loader",), relies_on=RELIES_ON, apply=wrap_model_loader)
