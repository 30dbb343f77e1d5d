"""Rows of `batch_order: packed`: collated one by one, and joined into bins that give the loss that stock's batches give.

Stock's loss of a model that sees is the mean over micro-batches of the mean over each one's tokens, so a token weighs
1 / learned tokens of its micro-batch, wherever the row goes. Rows do not read each other: with no mask, attention tells
them apart by the first of the four rows of positions, which begins at 0 in each. LLaMA-Factory fills that row with the
temporal one, which stands still inside a picture.

Flash-attention 2 takes a whole bin in one call. Without it each row is attended to by itself, in PyTorch's own kernels:
the same sum, more calls, and no mask of the square of a bin.
"""

import dataclasses
from collections.abc import Sequence
from types import MethodType
from typing import Any

import torch
from llamafactory.extras.constants import IGNORE_INDEX, IMAGE_PLACEHOLDER
from PIL import Image
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS


RELIES_ON = {
    "llamafactory/data/collator.py:347": '            fake_images = [Image.new("RGB", (64, 64), (255, 255, 255))]\n',
    "llamafactory/data/collator.py:452": '            if features["position_ids"].dim() == 3:\n',
    "transformers/models/qwen2_vl/modeling_qwen2_vl.py:823": "        if position_ids.ndim == 3 and position_ids.shape[0] == 4:\n            text_position_ids = position_ids[0]\n",
    "transformers/models/qwen3_vl/modeling_qwen3_vl.py:828": "        if position_ids.ndim == 3 and position_ids.shape[0] == 4:\n            text_position_ids = position_ids[0]\n",
    "transformers/models/qwen2_vl/modeling_qwen2_vl.py:535": "            position_ids=position_ids,  # pass positions for FA2\n",
    "transformers/models/qwen2_vl/modeling_qwen2_vl.py:831": "        if not isinstance(causal_mask_mapping := attention_mask, dict):\n",
    "transformers/models/qwen3_vl/modeling_qwen3_vl.py:203": "            attention_interface = ALL_ATTENTION_FUNCTIONS[self.config._attn_implementation]\n",
    "transformers/masking_utils.py:710": "    if isinstance(attention_mask, (torch.Tensor, BlockMask)) and len(attention_mask.shape) == 4:\n",
    "transformers/integrations/sdpa_attention.py:81": '        is_causal = query.shape[2] > 1 and attention_mask is None and getattr(module, "is_causal", True)\n',
    "transformers/modeling_flash_attention_utils.py:335": "    indices_q = (position_ids == 0).nonzero().view(-1)\n",
}

OF_TOKENS = ("input_ids", "labels", "position_ids", "loss_divisors")
OF_PICTURES = ("pixel_values", "image_grid_thw")


class RowCollator:
    """LLaMA-Factory's collator, row by row: a micro-batch is `{"rows": [...]}`, without padding and blank pictures."""

    def __init__(self, stock: Any, model: Any) -> None:
        self.stock = dataclasses.replace(stock, model=model)

    def __call__(self, features: Sequence[dict[str, Any]]) -> dict[str, list[dict[str, torch.Tensor]]]:
        rows = [self.row(feature) for feature in features]
        learned = sum(int((row["labels"] != IGNORE_INDEX).sum()) for row in rows)
        for row in rows:
            row["loss_divisors"] = torch.full_like(row["labels"], max(learned, 1))

        return {"rows": rows}

    def row(self, feature: dict[str, Any]) -> dict[str, torch.Tensor]:
        """Return the tensors of one row."""
        has_pictures = bool(feature.get("images"))
        batch = self.stock([feature])
        kept = batch["attention_mask"][0].bool()
        row = {name: batch[name][..., kept] for name in ("input_ids", "labels", "position_ids")}
        row["labels"][:, 0] = IGNORE_INDEX  # nothing of the row stands before it
        row["position_ids"][0] = torch.arange(int(kept.sum()))
        return row | ({name: batch[name] for name in OF_PICTURES} if has_pictures else {})

    def blank(self) -> dict[str, torch.Tensor]:
        """Return a row of one small picture that is not learned.

        A bin without a picture would leave the vision tower out: ranks that train it, or gather its weights, would wait.
        """
        stock, pictures = self.stock, [Image.new("RGB", (64, 64), (255, 255, 255))]
        messages = [{"role": "user", "content": IMAGE_PLACEHOLDER}]
        plugin = stock.template.mm_plugin
        text = plugin.process_messages(messages, pictures, [], [], stock.processor)[0]["content"]
        ids = stock.tokenizer.encode(text, add_special_tokens=False)
        row = {"input_ids": ids, "attention_mask": [1] * len(ids), "labels": [IGNORE_INDEX] * len(ids)}
        return self([row | {"images": pictures}])["rows"][0]


def join(
    rows: Sequence[dict[str, torch.Tensor]], blank: dict[str, torch.Tensor], multiple: int = 1
) -> dict[str, torch.Tensor]:
    """Return one bin of rows, the arguments of a forward pass; with the blank picture where none of them has one.

    `multiple`: what the bin's tokens are to be a multiple of; a last row that is not learned fills it up.
    """
    rows = list(rows) if any("pixel_values" in row for row in rows) else [*rows, blank]
    if lacking := -sum(row["input_ids"].shape[-1] for row in rows) % multiple:
        first = {name: blank[name][..., :1].expand(*blank[name].shape[:-1], lacking) for name in OF_TOKENS}
        places = torch.arange(lacking, device=first["position_ids"].device)
        rows.append(first | {"position_ids": places.expand_as(first["position_ids"])})

    return {name: torch.cat([row[name] for row in rows], dim=-1) for name in OF_TOKENS} | {
        name: torch.cat([row[name] for row in rows if name in row]) for name in OF_PICTURES
    }


def attend_by_rows(model: Any) -> None:
    """Let the language model of a bin attend to its rows one by one while it is trained, unless its attention does so.

    The vision tower, which has its own way, and evaluation keep what they have.

    Args:
        model: of one of `formats.row.QWEN_VL_FAMILIES`, with or without adapters, whose attention is flash-attention 2 or PyTorch's.
    """
    model = model.get_base_model() if hasattr(model, "peft_config") else model
    language = model.model.language_model
    name = language.config._attn_implementation
    if name == "flash_attention_2":
        return

    stock_forward, stock_attention = language.forward, ALL_ATTENTION_FUNCTIONS[name]
    modules = {layer.self_attn for layer in language.layers}
    takes_one = hasattr(type(language), "_deepstack_process")  # Qwen3-VL takes a mask, the others one a kind of layer

    def forward(self, inputs_embeds=None, attention_mask=None, **inputs):
        if self.training:  # a mask that is given is not made, and a bin's would be as large as its square
            nothing = inputs_embeds.new_empty(0, 0, 0, 0)
            attention_mask = nothing if takes_one else {"full_attention": nothing}

        return stock_forward(inputs_embeds=inputs_embeds, attention_mask=attention_mask, **inputs)

    def attention(module, query, key, value, attention_mask, position_ids=None, **how):
        if module not in modules or not module.training:
            return stock_attention(module, query, key, value, attention_mask, position_ids=position_ids, **how)

        lengths = row_lengths(position_ids)
        rows = zip(*(states.split(lengths, dim=2) for states in (query, key, value)), strict=True)
        return torch.cat([stock_attention(module, *row, None, **how)[0] for row in rows], dim=1), None

    language.forward = MethodType(forward, language)
    ALL_ATTENTION_FUNCTIONS.register(name, attention)


def row_lengths(position_ids: torch.Tensor) -> list[int]:
    """Return the tokens of each row of a bin.

    >>> row_lengths(torch.tensor([[0, 1, 2, 0, 0, 1]]))
    [3, 1, 2]
    """
    starts = (position_ids[0] == 0).nonzero().flatten().tolist()
    return [end - start for start, end in zip(starts, [*starts[1:], position_ids.shape[-1]], strict=True)]
