"""`neat_packing` of rows without pictures, for a model that sees: an attention mask as long as its rows.

LLaMA-Factory puts a blank picture behind a batch that has none, and counts its tokens once more in the mask of a packed
batch. Flash-attention 2 is given no mask; every other attention stops at the first step: "The size of tensor a (1032)
must match the size of tensor b (1040)".
"""

from types import ModuleType
from typing import Any

from virgo_factory.hooks.hook import Hook


RELIES_ON = {
    "llamafactory/data/collator.py:204": '    def _compute_rope_position_ids_with_packing(\n        self,\n        features: dict[str, "torch.Tensor"],',
    "llamafactory/data/collator.py:314": '            features["attention_mask"] = torch.cat(\n                [features["attention_mask"], dummy_image_right_padding_attention_mask], dim=-1\n            )',
    "llamafactory/data/collator.py:416": "        features: dict[str, torch.Tensor] = super().__call__(features)",
}


def keep_length(module: ModuleType) -> None:
    """Keep the mask that a packed batch had before the blank picture."""
    collator = module.MultiModalDataCollatorForSeq2Seq
    stock = collator._compute_rope_position_ids_with_packing

    def _compute_rope_position_ids_with_packing(self, features: dict[str, Any], *args, **kwargs) -> None:
        mask = features["attention_mask"]
        stock(self, features, *args, **kwargs)
        features["attention_mask"] = mask

    collator._compute_rope_position_ids_with_packing = _compute_rope_position_ids_with_packing


HOOK = Hook(modules=("llamafactory.data.collator",), relies_on=RELIES_ON, apply=keep_length)
