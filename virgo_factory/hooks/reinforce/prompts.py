"""The prompts of a run: their order in every epoch, and their pictures as the model takes them."""

import json
from collections.abc import Iterator
from typing import Any

import torch
from torch.utils.data import Sampler

from virgo_factory.core.reinforcement import check_enough, easiest_first


RELIES_ON = {
    "trl/trainer/utils.py:1758": "        for chunk in indexes:\n            for _ in range(self.repeat_count):",
    "trl/trainer/grpo_trainer.py:658": "    def _get_train_sampler(self, dataset: Optional[Dataset] = None) -> Sampler:",
    "accelerate/data_loader.py:616": "            self.batch_sampler.batch_sampler.sampler.set_epoch(epoch)\n",
}


def arrange(dataset: Any, settings: dict[str, Any], rollout: int) -> Any:
    """Return the prompts in the order of `rl_curriculum`.

    Raises:
        ValueError: fewer prompts than one rollout asks; no pass rate to order by.
    """
    check_enough(len(dataset), rollout // settings["rl_num_generations"])
    if settings["rl_curriculum"] != "pass_rate":
        return dataset

    asked = [json.loads(text) for text in dataset["asked"]]
    return dataset.select(easiest_first([(facts["id"], facts.get("pass_rate")) for facts in asked]))


class PromptSampler(Sampler[int]):
    """The rows of an epoch as TRL's trainer takes them, whose order depends on seed and epoch alone.

    TRL's own sampler goes on with one random generator, so that a run resumed inside a later epoch would be asked the
    prompts of the first one.

    Args:
        prompts: how many there are.
        group: responses to each.
        together: prompts of a rollout.
        repeats: how often the trainer takes the same rollout: micro-steps of all its updates.
        seed: None keeps the order of the rows.
    """

    def __init__(self, prompts: int, group: int, together: int, repeats: int, seed: int | None) -> None:
        self.prompts, self.group, self.together, self.repeats, self.seed = prompts, group, together, repeats, seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch to iterate; accelerate calls it at the start of each."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        if self.seed is None:
            order = list(range(self.prompts))
        else:
            order = torch.randperm(
                self.prompts, generator=torch.Generator().manual_seed(self.seed + self.epoch)
            ).tolist()

        for start in range(0, self.prompts - self.together + 1, self.together):
            for _ in range(self.repeats):
                for at in order[start : start + self.together]:
                    yield from [at] * self.group

    def __len__(self) -> int:
        return self.prompts // self.together * self.together * self.group * self.repeats


def pictures(rows: list[dict[str, Any]], template: Any, processor: Any) -> dict[str, torch.Tensor]:
    """Return what the model takes of the pictures of some prompts, by LLaMA-Factory's own steps; {} without any.

    `rows`: `input_ids` and `images` (paths) of each; equal rows follow each other.
    """
    found: dict[str, list[torch.Tensor]] = {}
    last: tuple[Any, dict[str, Any]] = (None, {})
    for row in rows:
        images = row["images"] or []
        if not images:
            continue

        if last[0] != images:
            inputs = template.mm_plugin.get_mm_inputs(
                images, [], [], [len(images)], [0], [0], [row["input_ids"]], processor
            )
            last = images, {name: value for name, value in inputs.items() if isinstance(value, torch.Tensor)}

        for name, value in last[1].items():
            found.setdefault(name, []).append(value)

    return {name: torch.cat(values) for name, values in found.items()}
