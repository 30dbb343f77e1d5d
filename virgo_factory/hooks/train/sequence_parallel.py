"""The recipe key `sequence_parallel_size`: the ranks of a group share the tokens of each packed bin (Ulysses).

Every rank of a group has the same bin. It embeds the tokens and looks at the pictures itself, then works on its own part
of the sequence; in attention alone parts become heads: each rank gets the whole sequence of some heads, and gives it back
(arXiv 2309.14509). So the language model's activations and the loss, which is of the rank's own tokens, are a share of what
they were. Only the attention of this language model exchanges, not the vision tower's.
"""

from types import MethodType
from typing import Any

import torch
from torch import distributed
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS


RELIES_ON = {
    "transformers/models/qwen2_vl/modeling_qwen2_vl.py:535": "            position_ids=position_ids,  # pass positions for FA2\n",
    "transformers/models/qwen3_vl/modeling_qwen3_vl.py:1230": "            visual_pos_masks=visual_pos_masks,\n            deepstack_visual_embeds=deepstack_visual_embeds,\n",
    "transformers/models/qwen3_vl/modeling_qwen3_vl.py:203": "            attention_interface = ALL_ATTENTION_FUNCTIONS[self.config._attn_implementation]\n",
}


class Group:
    """The ranks that share a bin, and this one's part of it.

    Attributes:
        row: the first row of positions of the bin at work, whole: what tells its rows apart. A backward pass that
            computes layers again finds it here, since no other bin is begun before.
    """

    def __init__(self, size: int) -> None:
        self.handle, _ = distributed.new_subgroups(size)
        self.size, self.rank = size, distributed.get_rank(self.handle)
        self.row: torch.Tensor | None = None

    def part(self, values: torch.Tensor, dim: int = -1) -> torch.Tensor:
        """Return this rank's part of something that belongs to a whole bin."""
        return values.chunk(self.size, dim)[self.rank]


class _Exchange(torch.autograd.Function):
    """Give the i-th of as many equal parts as there are ranks to rank i; its own transpose."""

    @staticmethod
    def forward(ctx, parts, group):
        ctx.group = group
        received = torch.empty_like(parts, memory_format=torch.contiguous_format)
        distributed.all_to_all_single(received, parts.contiguous(), group=group)
        return received

    @staticmethod
    def backward(ctx, gradient):
        return _Exchange.apply(gradient, ctx.group), None


def share_sequences(model: Any, group: Group) -> None:
    """Let the ranks of a group share the sequences of a model in training; its hidden states are then the rank's own.

    Args:
        model: of one of `formats.row.QWEN_VL_FAMILIES`, with or without adapters, after `packed_rows.attend_by_rows`.
        group: whose size divides the language model's attention and key-value heads.
    """
    model = model.get_base_model() if hasattr(model, "peft_config") else model
    language = model.model.language_model
    stock = language.forward
    modules = {layer.self_attn for layer in language.layers}

    def forward(self, inputs_embeds=None, position_ids=None, **inputs):
        if not self.training:
            return stock(inputs_embeds=inputs_embeds, position_ids=position_ids, **inputs)

        group.row = position_ids[0]
        if inputs.get("visual_pos_masks") is not None:  # Qwen3-VL adds features of pictures to its first layers, too
            seen = inputs["visual_pos_masks"]
            first = int(seen[:, : group.rank * seen.shape[1] // group.size].sum())
            inputs["visual_pos_masks"] = group.part(seen)
            own = slice(first, first + int(inputs["visual_pos_masks"].sum()))
            inputs["deepstack_visual_embeds"] = [one[own] for one in inputs["deepstack_visual_embeds"]]

        inputs_embeds = group.part(inputs_embeds, 1).clone()  # Qwen3-VL writes into it
        return stock(inputs_embeds=inputs_embeds, position_ids=group.part(position_ids), **inputs)

    language.forward = MethodType(forward, language)
    name = language.config._attn_implementation
    attention = ALL_ATTENTION_FUNCTIONS[name]

    def exchanging(module, query, key, value, attention_mask, position_ids=None, **how):
        if module not in modules or not module.training:
            return attention(module, query, key, value, attention_mask, position_ids=position_ids, **how)

        query, key, value = (_whole_sequence(states, group) for states in (query, key, value))
        found, weights = attention(module, query, key, value, attention_mask, position_ids=group.row, **how)
        return _own_part(found, group), weights

    ALL_ATTENTION_FUNCTIONS.register(name, exchanging)


def _whole_sequence(states: torch.Tensor, group: Group) -> torch.Tensor:
    """Return (1, heads / ranks, tokens, width) of (1, heads, tokens / ranks, width)."""
    _, heads, _, width = states.shape
    parts = _Exchange.apply(states.reshape(group.size, heads // group.size, -1, width), group.handle)
    return parts.transpose(0, 1).reshape(1, heads // group.size, -1, width)


def _own_part(found: torch.Tensor, group: Group) -> torch.Tensor:
    """Return (1, tokens / ranks, heads, width) of (1, tokens, heads / ranks, width)."""
    _, tokens, heads, width = found.shape
    parts = _Exchange.apply(found.reshape(group.size, tokens // group.size, heads, width), group.handle)
    return parts.transpose(0, 1).reshape(1, tokens // group.size, group.size * heads, width)
