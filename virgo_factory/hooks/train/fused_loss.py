"""The recipe key `fused_loss`: the stock loss without the logits of a whole micro-batch, of which 32K tokens take 20 GB.

Positions that are not learned are dropped before the output head, the others projected in chunks that the backward pass
computes again, and their losses summed, each by its weight. The head is called as one module, once a forward pass:
under ZeRO-3 its weight is gathered once, and as often on every rank.
"""

import inspect
from types import MethodType
from typing import Any

import torch
from llamafactory.extras.constants import IGNORE_INDEX
from torch.nn import functional
from torch.utils.checkpoint import checkpoint
from transformers.modeling_outputs import CausalLMOutput

from virgo_factory.preflight.plan.memory import CHUNK


RELIES_ON = {
    "transformers/models/qwen2_vl/modeling_qwen2_vl.py:1374": "        hidden_states = outputs[0]\n        logits = self.lm_head(hidden_states)\n",
    "transformers/models/qwen2_5_vl/modeling_qwen2_5_vl.py:1499": "        logits = self.lm_head(hidden_states",
    "transformers/models/qwen3_vl/modeling_qwen3_vl.py:1362": "        logits = self.lm_head(hidden_states[:, slice_indices, :])\n",
    "transformers/loss/loss_utils.py:55": "    logits = logits.float()\n",
    "transformers/loss/loss_utils.py:59": "        labels = nn.functional.pad(labels, (0, 1), value=ignore_index)\n",
    "peft/utils/other.py:549": "        return self.modules_to_save[self.active_adapters[0]](x, *args, **kwargs)\n",
}


def use_fused_loss(model: Any, group: Any = None) -> None:
    """Let a model compute its loss in chunks while it is trained; evaluation and generation keep the stock forward.

    In training the model then takes `loss_divisors` beside `labels`, a number for each position's own label: the loss is
    the sum of each label's loss over its divisor. Without them it is the mean, as in stock.

    Args:
        model: of one of `formats.row.QWEN_VL_FAMILIES`, whose forward is language model, output head, loss, and nothing between;
            with or without adapters, before it is wrapped for several ranks.
        group: the ranks that share its sequences (hooks/train/sequence_parallel.py): each takes the loss of its own part,
            times their number, since gradients are averaged over all ranks and not only over groups.
    """
    model = model.get_base_model() if hasattr(model, "peft_config") else model
    head = model.get_output_embeddings()
    if hasattr(head, "modules_to_save"):
        head = head.modules_to_save[head.active_adapters[0]]

    stock, project = model.forward, head.forward

    def head_forward(self, hidden, targets=None, divisors=None):
        if targets is None:
            return project(hidden)

        chunks = zip(hidden.split(CHUNK), targets.split(CHUNK), divisors.split(CHUNK), strict=True)
        return sum(
            checkpoint(_chunk_loss, project, *chunk, use_reentrant=False, preserve_rng_state=False) for chunk in chunks
        )

    def forward(self, labels=None, loss_divisors=None, **inputs):
        if labels is None or not self.training:
            return stock(labels=labels, **inputs)

        hidden = self.model(**inputs | {"use_cache": False, "return_dict": True})[0]
        targets = _next(labels, IGNORE_INDEX)
        divisors = (targets != IGNORE_INDEX).sum().expand(labels.shape)
        if loss_divisors is not None:
            divisors = _next(loss_divisors, 1)

        if group is not None:
            targets, divisors = group.part(targets), group.part(divisors) / group.size

        learned = targets != IGNORE_INDEX
        return CausalLMOutput(loss=self.lm_head(hidden[learned], targets[learned], divisors[learned]))

    forward.__signature__ = inspect.signature(type(model).forward)  # generation looks what it may give
    head.forward, model.forward = MethodType(head_forward, head), MethodType(forward, model)


def _next(values: torch.Tensor, last: int) -> torch.Tensor:
    """Return at each position what belongs to the token after it, which it is to predict."""
    return functional.pad(values[..., 1:], (0, 1), value=last)


def _chunk_loss(project: Any, hidden: torch.Tensor, targets: torch.Tensor, divisors: torch.Tensor) -> torch.Tensor:
    logits = project(hidden)
    logits = logits.float() if logits.element_size() < 4 else logits
    return (functional.cross_entropy(logits, targets, reduction="none") / divisors).sum()
