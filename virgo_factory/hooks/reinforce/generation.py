"""Responses of the policy: what every way to make them gives, and the way without a server, by Hugging Face's generate."""

from dataclasses import dataclass
from typing import Any

import torch
from trl.models import unwrap_model_for_generation


RELIES_ON = {
    "trl/models/utils.py:308": "def unwrap_model_for_generation(\n",
    "trl/trainer/grpo_trainer.py:1284": '            with (\n                profiling_context(self, "transformers.generate"),',
}


@dataclass(frozen=True)
class Sample:
    """One response.

    Attributes:
        ids: of the response, its stop token included.
        logprobs: of each of them where it was drawn, at the temperature of the run; None where the trainer drew it.
    """

    prompt_ids: list[int]
    ids: list[int]
    logprobs: list[float] | None
    finish_reason: str


def generate(trainer: Any, rows: list[dict[str, Any]], pictures: dict[str, torch.Tensor]) -> list[Sample]:
    """Return a response to each row, drawn by the model that is being trained."""
    device, pad = trainer.accelerator.device, trainer.pad_token_id
    prompts = [row["input_ids"] for row in rows]
    width = max(map(len, prompts))
    ids = torch.tensor([[pad] * (width - len(prompt)) + prompt for prompt in prompts], device=device)
    mask = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts], device=device)
    with (
        torch.no_grad(),
        trainer.accelerator.autocast(),
        unwrap_model_for_generation(
            trainer.model_wrapped, trainer.accelerator, gather_deepspeed3_params=trainer.args.ds3_gather_for_generation
        ) as model,
    ):
        model.eval()  # in training mode a layer with checkpoints keeps no cache
        drawn = model.generate(
            input_ids=ids,
            attention_mask=mask,
            generation_config=trainer.generation_config,
            disable_compile=True,
            use_model_defaults=False,  # else the model's own top_p and temperature take the place of a 1.0 of ours
            **pictures,
        )
        model.train()

    stops = set(trainer.generation_config.eos_token_id)
    samples = []
    for prompt, response in zip(prompts, drawn[:, width:].tolist(), strict=True):
        end = next((at + 1 for at, token in enumerate(response) if token in stops), None)
        samples.append(Sample(prompt, response[:end], None, "length" if end is None else "stop"))

    return samples
