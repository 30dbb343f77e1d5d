"""Rows of `batch_order: packed`: collated one by one, and joined into bins that give the loss that stock's batches give.

Stock's loss of a model that sees is the mean over micro-batches of the mean over each one's tokens, so a token weighs
1 / learned tokens of its micro-batch, wherever the row goes. Rows do not read each other: with no mask, attention tells
them apart by the first of the four rows of positions, which begins at 0 in each. LLaMA-Factory fills that row with the
temporal one, which stands still inside a picture; without flash-attention 2 each of its tokens would be a row of its own.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import torch
from llamafactory.extras.constants import IGNORE_INDEX, IMAGE_PLACEHOLDER
from PIL import Image


RELIES_ON = {
    "llamafactory/data/collator.py:347": '            fake_images = [Image.new("RGB", (64, 64), (255, 255, 255))]\n',
    "llamafactory/data/collator.py:452": '            if features["position_ids"].dim() == 3:\n',
    "transformers/models/qwen2_vl/modeling_qwen2_vl.py:823": "        if position_ids.ndim == 3 and position_ids.shape[0] == 4:\n            text_position_ids = position_ids[0]\n",
    "transformers/models/qwen3_vl/modeling_qwen3_vl.py:828": "        if position_ids.ndim == 3 and position_ids.shape[0] == 4:\n            text_position_ids = position_ids[0]\n",
    "transformers/masking_utils.py:657": "    packed_sequence_mask = (position_diff != 1).cumsum(-1)\n",
    "transformers/modeling_flash_attention_utils.py:335": "    indices_q = (position_ids == 0).nonzero().view(-1)\n",
}

OF_TOKENS = ("input_ids", "labels", "position_ids", "loss_divisors")
OF_PICTURES = ("pixel_values", "image_grid_thw")


class RowCollator:
    """LLaMA-Factory's collator, row by row: a micro-batch is `{"rows": [...]}`, without padding and blank pictures.

    Args:
        stock: of supervised fine-tuning.
        model: whose positions are to be computed.
    """

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

    Args:
        rows: of `RowCollator`.
        blank: of `RowCollator.blank`.
        multiple: what the bin's tokens are to be a multiple of; a last row that is not learned fills it up.
    """
    rows = list(rows) if any("pixel_values" in row for row in rows) else [*rows, blank]
    if lacking := -sum(row["input_ids"].shape[-1] for row in rows) % multiple:
        first = {name: blank[name][..., :1].expand(*blank[name].shape[:-1], lacking) for name in OF_TOKENS}
        places = torch.arange(lacking, device=first["position_ids"].device)
        rows.append(first | {"position_ids": places.expand_as(first["position_ids"])})

    return {name: torch.cat([row[name] for row in rows], dim=-1) for name in OF_TOKENS} | {
        name: torch.cat([row[name] for row in rows if name in row]) for name in OF_PICTURES
    }
