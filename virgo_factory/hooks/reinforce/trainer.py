"""The trainer of `stage: grpo`: TRL's GRPOTrainer on LLaMA-Factory's prompts, pictures, optimisers, and our rewards."""

import hashlib
import importlib
import json
import math
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import DistributedType, gather, gather_object
from llamafactory.extras import logging
from llamafactory.train.callbacks import SaveProcessorCallback
from llamafactory.train.trainer_utils import create_custom_optimizer, create_custom_scheduler
from transformers import Trainer
from transformers.trainer_utils import SaveStrategy

from virgo_factory.answers.model import question_from
from virgo_factory.answers.rewards import RewardConfig, Rewards, RewardTask, fill_groups
from virgo_factory.core.errors import UserError
from virgo_factory.core.sampler_gap import GapGuard
from virgo_factory.hooks.reinforce.generation import Sample, generate
from virgo_factory.hooks.reinforce.policy import blank_picture, mask_tokens, never_sampled
from virgo_factory.hooks.reinforce.prompts import PromptSampler, pictures
from virgo_factory.hooks.reinforce.rollout_log import RolloutLog
from virgo_factory.hooks.reinforce.served import ServedRollouts


# TRL 0.24 imports names that no vLLM of today has as soon as one is installed, and we never use that part of it.
importlib.import_module("trl.import_utils")._vllm_available = False
from trl import GRPOTrainer  # noqa: E402


RELIES_ON = {
    "trl/trainer/grpo_trainer.py:83": "if is_vllm_available():\n    from vllm import LLM, SamplingParams\n",
    "trl/import_utils.py:89": "def is_vllm_available() -> bool:\n    if _vllm_available and",
    "trl/trainer/grpo_trainer.py:983": "    def _prepare_inputs(\n",
    "trl/trainer/grpo_trainer.py:1002": "            if self._step % generate_every == 0 or self._buffered_inputs is None:\n",
    "trl/trainer/grpo_trainer.py:1018": "    def _calculate_rewards(self, inputs, prompts, completions, completion_ids_list):",
    "trl/trainer/grpo_trainer.py:1310": "        return prompt_ids, completion_ids, logprobs, forward_kwargs\n",
    "trl/trainer/grpo_trainer.py:1740": '            normalizer = inputs["num_items_in_batch"] / self.accelerator.num_processes\n',
    "llamafactory/train/sft/trainer.py:78": "        if processor is not None:\n            self.add_callback(SaveProcessorCallback(processor))",
}

WITHOUT_GRADIENT = 10
"""Rollouts in a row of which no group has two different rewards, before the run says so."""

logger = logging.get_logger(f"llamafactory.{__name__}")  # else INFO is not shown


class PolicyTrainer(GRPOTrainer):
    """Trains a policy on the rewards of its own responses.

    `reference`: the first model, where `rl_beta` is above 0 and the model has no adapter to switch off.
    `served`: servers that make the responses; None: the trainer itself does.
    """

    def __init__(
        self,
        model: Any,
        args: Any,
        prompts: Any,
        tokenizer: Any,
        processor: Any,
        template: Any,
        finetuning_args: Any,
        settings: dict[str, Any],
        reference: Any = None,
        served: ServedRollouts | None = None,
        callbacks: Any = None,
    ) -> None:
        self.template, self.processor = template, processor
        self.finetuning_args, self.settings = finetuning_args, settings
        super().__init__(
            model=model,
            reward_funcs=[_reward],
            args=args,
            train_dataset=prompts,
            processing_class=tokenizer,
            callbacks=callbacks,
        )
        if processor is not None:
            self.add_callback(SaveProcessorCallback(processor))

        self.generation_config.eos_token_id = template.get_stop_token_ids(tokenizer)
        self.suppressed = never_sampled(model, tokenizer, template)
        mask_tokens(self.accelerator.unwrap_model(self.model), self.suppressed)
        wrapped = self.accelerator.distributed_type != DistributedType.NO  # also of one rank under torchrun
        self.blank = blank_picture(template, tokenizer, processor) if wrapped else None
        self._take_reference(reference)
        self._rewards = Rewards(
            RewardConfig(
                format_weight=settings["rl_format_weight"],
                tags=settings["rl_tags"],
                rule=settings["rl_reward"],
                max_response_tokens=settings["rl_max_response_tokens"],
                overlong_buffer=settings["rl_overlong_buffer"],
            )
        )
        self._served = served
        if served is not None:
            # Only now: TRL is to weigh by the ratio to the sampler's probabilities, and to start nothing.
            self.use_vllm = True
            self._guard = GapGuard(settings["rl_max_logprob_gap"])
        self._log_file: RolloutLog | None = None
        self._rows: list[dict[str, Any]] = []
        self._samples: list[Sample] = []
        self._flat = 0

    # LLaMA-Factory's optimisers

    def create_optimizer(self, *args: Any, **kwargs: Any) -> Any:
        """Return LLaMA-Factory's optimiser of the recipe."""
        if self.optimizer is None:
            self.optimizer = create_custom_optimizer(self.model, self.args, self.finetuning_args)

        return super().create_optimizer(*args, **kwargs)

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        """Return LLaMA-Factory's schedule of the recipe."""
        create_custom_scheduler(self.args, num_training_steps, optimizer)
        return super().create_scheduler(num_training_steps, optimizer)

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        Trainer._save_checkpoint(self, model, trial)  # TRL's would write a model card of its own

    def _keep(self) -> None:
        """Save a checkpoint of this step, unless there is one or the recipe wants none."""
        saved = Path(self.args.output_dir, f"checkpoint-{self.state.global_step}").is_dir()
        if self.state.global_step and not saved and self.args.save_strategy != SaveStrategy.NO:
            logger.warning_rank0(f"virgo-factory: the run ends; checkpoint-{self.state.global_step} is saved first.")
            self._save_checkpoint(self.model, None)

    # prompts and responses

    def _get_train_sampler(self, dataset: Any = None) -> PromptSampler:
        shuffled = self.settings["rl_curriculum"] == "shuffle"
        return PromptSampler(
            len(self.train_dataset),
            group=self.num_generations,
            together=self.args.generation_batch_size // self.num_generations,
            repeats=self.args.steps_per_generation,
            seed=(self.args.data_seed if self.args.data_seed is not None else self.args.seed) if shuffled else None,
        )

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        self._rows = [{**row, "asked": json.loads(row["asked"]), "images": row["images"] or []} for row in inputs]
        # Not told of pictures, TRL gathers none for its log, which only ranks that have some would take part in.
        found = super()._generate_and_score_completions([{"prompt": row["asked"]["id"]} for row in self._rows])
        if "pixel_values" in found:
            found["num_images"] = [len(row["images"]) for row in self._rows]

        if self._served is not None:
            gap = self._metrics["train"]["sampling/sampling_logp_difference/mean"][-1]
            self._guard.see(self.state.global_step, gap)

        self._watch(self._metrics["train"]["frac_reward_zero_std"][-1] == 1)
        return found

    def _watch(self, flat: bool) -> None:
        """Say once what to do where nothing is learned."""
        self._flat = self._flat + 1 if flat else 0
        if self._flat == WITHOUT_GRADIENT:
            logger.warning_rank0(
                f"virgo-factory: {WITHOUT_GRADIENT} rollouts in a row had no two different rewards in any group, so "
                "nothing is learned. Look at rollouts.jsonl: where all are right take harder prompts, where all are wrong "
                "easier ones (rl_curriculum: pass_rate), where all are cut off raise rl_max_response_tokens; a larger "
                "rl_num_generations finds the rare ones."
            )

    def _generate_single_turn(self, prompts: list[str], images: Any) -> tuple[Any, ...]:
        found = pictures(self._rows, self.template, self.processor)
        found = {name: value.to(self.accelerator.device) for name, value in found.items()}
        if self._served is None:
            self._samples = generate(self, self._rows, found)
        else:
            try:
                self._samples = self._served.sample(self, self._rows)
            except UserError:  # on all ranks at once, between two updates
                self._keep()
                raise

        logprobs = [sample.logprobs for sample in self._samples]
        return (
            [sample.prompt_ids for sample in self._samples],
            [sample.ids for sample in self._samples],
            None if logprobs[0] is None else logprobs,
            found,
        )

    def _calculate_rewards(
        self, inputs: Any, prompts: Any, completions: Any, completion_ids_list: Any
    ) -> torch.Tensor:
        texts = [self.processing_class.decode(sample.ids, skip_special_tokens=True) for sample in self._samples]
        rewards = self._rewards.score(
            [
                RewardTask(
                    response=text,
                    gold=row["asked"]["gold"],
                    question=question_from(row["asked"]),
                    grading=row["asked"].get("grading", "math"),
                    tokens=len(sample.ids),
                    truncated=sample.finish_reason == "length",
                )
                for row, sample, text in zip(self._rows, self._samples, texts, strict=True)
            ]
        )
        columns = [
            [reward.score, reward.accuracy, reward.format, sample.finish_reason == "length"]
            for reward, sample in zip(rewards, self._samples, strict=True)
        ]
        told = gather(
            torch.tensor(
                [[float("nan") if value is None else float(value) for value in column] for column in columns],
                dtype=torch.float32,
                device=self.accelerator.device,
            )
        )
        for name, values in zip(("accuracy", "format", "truncated"), told.T[1:], strict=True):
            self._metrics["train"][name].append(values.nanmean().nan_to_num().item())

        self._metrics["train"]["unverifiable"].append(told[:, 0].isnan().float().mean().item())
        scores = [None if math.isnan(score) else score for score in told[:, 0].tolist()]
        filled = fill_groups(scores, self.num_generations)
        self._metrics["train"]["doubtful"].append(len(filled.doubtful) * self.num_generations / len(scores))
        self._write(texts, rewards, filled.scores)
        return torch.tensor(filled.scores, device=self.accelerator.device).unsqueeze(1)

    def _write(self, texts: list[str], rewards: list[Any], filled: list[float]) -> None:
        limit = self.settings["rl_log_rollouts"]
        if not limit:
            return

        first = self.accelerator.process_index * len(texts)
        lines = []
        for at, (row, sample, text, reward) in enumerate(zip(self._rows, self._samples, texts, rewards, strict=True)):
            if first + at >= limit:
                break

            asked = json.dumps([sample.prompt_ids, row["images"]])
            lines.append(
                {
                    "step": self.state.global_step + 1,
                    "question": row["asked"]["id"],
                    "asked": row["asked"]["text"],
                    "sample": (first + at) % self.num_generations,
                    "response": text,
                    "finish_reason": sample.finish_reason,
                    "prompt_tokens": len(sample.prompt_ids),
                    "completion_tokens": len(sample.ids),
                    "prompt_sha256": hashlib.sha256(asked.encode()).hexdigest(),
                    "reward": filled[first + at],
                    **{name: getattr(reward, name) for name in ("score", "accuracy", "format", "overlong")},
                    **{name: getattr(reward, name) for name in ("verdict", "reason", "answer")},
                    "gold": row["asked"]["gold"],
                    "images": [path.removeprefix("/.") for path in row["images"]],
                }
            )

        lines = gather_object(lines)
        if self.accelerator.is_main_process:
            if self._log_file is None:
                self._log_file = RolloutLog(Path(self.args.output_dir), self.state.global_step)

            self._log_file.write(lines)

    def close(self) -> None:
        """End what the run has started."""
        self._rewards.close()
        if self._log_file is not None:
            self._log_file.close()

    # the loss

    def _prepare_inputs(self, generation_batch: Any) -> dict[str, Any]:
        before = self._buffered_inputs
        inputs = super()._prepare_inputs(generation_batch)
        if self.loss_type == "dapo" and self._buffered_inputs is not before:
            self._count_tokens()

        return inputs

    def _count_tokens(self) -> None:
        """Let each update's loss be the mean over its own tokens; TRL counts those of the whole rollout."""
        micro_steps = self.args.gradient_accumulation_steps
        for start in range(0, len(self._buffered_inputs), micro_steps):
            parts = self._buffered_inputs[start : start + micro_steps]
            tokens = sum(part["completion_mask"].sum() for part in parts)
            total = self.accelerator.gather(tokens.reshape(1)).sum()
            for part in parts:
                part["num_items_in_batch"] = total

    def _get_per_token_logps_and_entropies(
        self,
        model: Any,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        logits_to_keep: int,
        batch_size: int | None = None,
        compute_entropy: bool = False,
        pixel_values: torch.Tensor | None = None,
        image_grid_thw: torch.Tensor | None = None,
        num_images: list[int] | None = None,
        **kwargs: Any,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Return log-probabilities and entropies of the response's tokens, some rows at a time.

        Rows without pictures are given a blank one, which nothing attends to, where other ranks may have some: else a rank
        would wait for parts of the vision tower that another one does not run.
        """
        if num_images is None and pixel_values is not None:  # while the responses are new
            num_images = [len(row["images"]) for row in self._rows]

        size = batch_size or len(input_ids)
        found = []
        for start in range(0, len(input_ids), size):
            rows = slice(start, start + size)
            ids, mask = input_ids[rows], attention_mask[rows]
            seen: dict[str, Any] = {}
            if num_images is not None and sum(num_images[rows]):
                first, count = sum(num_images[:start]), sum(num_images[rows])
                patches = image_grid_thw.prod(-1)
                at, length = int(patches[:first].sum()), int(patches[first : first + count].sum())
                seen = {
                    "pixel_values": pixel_values[at : at + length],
                    "image_grid_thw": image_grid_thw[first : first + count],
                    "num_images": list(num_images[rows]),
                }
            elif self.blank is not None:
                ids, mask, seen = self.blank.put_before(ids, mask, self.pad_token_id)

            more = {name: value for name, value in kwargs.items() if value is not None}
            found.append(
                super()._get_per_token_logps_and_entropies(
                    model, ids, mask, logits_to_keep, None, compute_entropy, **seen, **more
                )
            )

        logps, entropies = zip(*found, strict=True)
        return torch.cat(logps), torch.cat(entropies) if compute_entropy else None

    def _take_reference(self, reference: Any) -> None:
        self.beta = self.settings["rl_beta"]
        if reference is None:
            return

        from trl.models import prepare_deepspeed, prepare_fsdp

        mask_tokens(reference, self.suppressed)
        if self.is_deepspeed_enabled:
            self.ref_model = prepare_deepspeed(reference, self.accelerator)
        elif self.is_fsdp_enabled:
            self.ref_model = prepare_fsdp(reference, self.accelerator)
        else:
            self.ref_model = self.accelerator.prepare_model(reference, evaluation_mode=True)

        self.ref_model.eval()


def _reward(**_: Any) -> list[float]:
    """Stand where TRL wants a function to take a name from; `_calculate_rewards` is what gives the rewards."""
    raise NotImplementedError


_reward.__name__ = "total"
