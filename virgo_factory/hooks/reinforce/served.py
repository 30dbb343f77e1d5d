"""Responses by vLLM servers: the weights of every step handed over, one rank asking for all."""

import contextlib
import io
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import broadcast_object_list, gather_object

from virgo_factory.core.errors import UserError
from virgo_factory.hooks.reinforce.generation import Sample
from virgo_factory.rollouts.prompt import Prompt, compose
from virgo_factory.rollouts.servers.hand_over import HandOverFolder
from virgo_factory.rollouts.servers.policy import PolicyServers, policy_server


RELIES_ON = {
    "llamafactory/data/mm_plugin.py:257": '    def _regularize_images(self, images: list["ImageInput"], **kwargs) -> "RegularizedImageOutput":',
    "llamafactory/model/patcher.py:302": 'setattr(processor, "image_max_pixels", model_args.image_max_pixels)',
    "trl/trainer/grpo_trainer.py:1724": "        if self.use_vllm and self.vllm_importance_sampling_correction:\n            per_token_loss",
}

STARTED = "vllm"
"""`rl_server` of a run that starts its servers itself."""
SERVER_LOG = "vllm.log"


class ServedRollouts:
    """The servers of a run, and the folder through which they get its weights; only rank 0 speaks with them."""

    def __init__(self, model_args: Any, settings: dict[str, Any], training_args: Any, images: int) -> None:
        self._settings = settings
        self._seed = training_args.seed
        self._dtype = model_args.compute_dtype or torch.float32
        self._stack = contextlib.ExitStack()
        self._folder: HandOverFolder | None = None
        self._output = Path(training_args.output_dir)
        self._step = -1
        self._servers: PolicyServers | None = None
        if training_args.process_index:
            return

        length = settings["rl_max_prompt_tokens"] + settings["rl_max_response_tokens"]
        own, urls = [], _urls(settings["rl_server"])
        if not urls:
            self._output.mkdir(parents=True, exist_ok=True)
            own = [
                policy_server(
                    model_args.model_name_or_path,
                    self._output / (f"{number}.{SERVER_LOG}" if number else SERVER_LOG),
                    max_model_len=length,
                    images=max(images, 1),
                    gpus=gpu,
                    args=("--dtype", str(self._dtype).removeprefix("torch.")),
                )
                for number, gpu in enumerate(spare_gpus(training_args))
            ]

        try:
            servers = PolicyServers(
                model_args.model_name_or_path, servers=own, urls=urls, wait=settings["rl_server_wait"]
            )
            self._servers = self._stack.enter_context(servers)
            self._servers.check(length, images)
        except BaseException:
            self._stack.close()
            raise

    def close(self) -> None:
        """Stop the servers that are ours, and remove the folder."""
        self._stack.close()

    def sample(self, trainer: Any, rows: list[dict[str, Any]]) -> list[Sample]:
        """Return a response to each row of this rank.

        `rows`: as the trainer has them; the rows of a prompt follow each other, over ranks too.

        Raises:
            ValueError: on every rank, when no server has answered for too long or one is not what it must be.
        """
        step = trainer.state.global_step
        if step != self._step:
            weights = full_weights(trainer, self._dtype)
        else:
            weights = None

        everywhere = gather_object(
            [{"asked": row["asked"], "images": row["images"], "input_ids": row["input_ids"]} for row in rows]
        )
        payload: Any = None
        if trainer.accelerator.is_main_process:
            try:
                if weights is not None:
                    self._hand_over(trainer, weights, step)

                payload = self._ask(trainer, everywhere[:: trainer.num_generations], step)
            except ValueError as error:
                payload = str(error)

        self._step = step
        (payload,) = broadcast_object_list([payload], from_process=0)
        if isinstance(payload, str):
            raise UserError(payload)

        first = trainer.accelerator.process_index * len(rows)
        return payload[first : first + len(rows)]

    def _hand_over(self, trainer: Any, weights: dict[str, torch.Tensor], step: int) -> None:
        if self._folder is None:
            size = sum(value.numel() * value.element_size() for value in weights.values())
            local = not _urls(self._settings["rl_server"])
            self._folder = self._stack.enter_context(HandOverFolder(size, self._output, memory=local))

        with self._folder.new(step) as folder:
            _bare(trainer).save_pretrained(folder, state_dict=weights, safe_serialization=True)

        self._servers.load_weights(self._folder.at(step), step)

    def _ask(self, trainer: Any, rows: Sequence[dict[str, Any]], step: int) -> list[Sample]:
        found = self._servers.generate(
            [prompt_of(row, trainer.template, trainer.processor) for row in rows],
            trainer.num_generations,
            temperature=trainer.temperature,
            max_tokens=trainer.max_completion_length,
            seed=self._seed * 1_000_003 + step,
            stop=trainer.generation_config.eos_token_id,
            suppress=trainer.suppressed,
            expected=[row["input_ids"] for row in rows],
        )
        return [
            Sample(list(one.prompt_ids), list(sample.token_ids), list(sample.logprobs), sample.finish_reason)
            for one in found
            for sample in one.samples
        ]


def prompt_of(row: dict[str, Any], template: Any, processor: Any) -> Prompt:
    """Return what a server is sent of a row: the recipe's texts, and the pictures as they are in training, as PNG.

    Raises:
        ValueError: a text holds a control token.
    """
    pictures = []
    if row["images"]:
        plugin = template.mm_plugin
        bounds = {name: getattr(processor, name, default) for name, default in _BOUNDS.items()}
        for image in plugin._regularize_images(row["images"], **bounds)["images"]:
            data = io.BytesIO()
            image.info = {}
            image.save(data, format="PNG", compress_level=1)
            pictures.append((image.size, data.getvalue()))

    asked = row["asked"]
    return compose(f"question {asked['id']}", asked["user"], pictures, asked["system"])


_BOUNDS = {"image_max_pixels": 768 * 768, "image_min_pixels": 32 * 32}
"""Attributes that LLaMA-Factory's loader puts at the processor -> what its plugin takes without them."""


def _bare(trainer: Any) -> Any:
    model = trainer.accelerator.unwrap_model(trainer.model)
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def full_weights(trainer: Any, dtype: torch.dtype) -> dict[str, torch.Tensor]:
    """Return all weights of the policy as the base model names them, adapters merged; called by all ranks together.

    Empty on other ranks than the first one.
    """
    accelerator = trainer.accelerator
    model = accelerator.unwrap_model(trainer.model)
    is_adapter = hasattr(model, "get_base_model")
    with _gathered(trainer, model if is_adapter else None):
        if is_adapter:
            model.merge_adapter()

        try:
            if is_adapter:
                state = model.state_dict() if accelerator.is_main_process else {}
            else:
                state = accelerator.get_state_dict(trainer.model_wrapped)

            if not accelerator.is_main_process:
                return {}

            found = {}
            for name, value in state.items():
                if (own := _base_name(name, model) if is_adapter else name) is not None:
                    kind = dtype if value.is_floating_point() else value.dtype
                    found[own] = value.detach().to("cpu", kind, copy=True)

            return found
        finally:
            if is_adapter:
                model.unmerge_adapter()


@contextlib.contextmanager
def _gathered(trainer: Any, adapter: Any) -> Iterator[None]:
    """Hold all parts of the weights of an adapter's model together, where ZeRO-3 has scattered them."""
    plugin = trainer.accelerator.state.deepspeed_plugin
    if adapter is None or plugin is None or plugin.zero_stage != 3:
        yield
        return

    import deepspeed

    with deepspeed.zero.GatheredParameters(list(adapter.parameters())):
        yield


def _base_name(name: str, model: Any) -> str | None:
    """Return the name that a weight of a model with an adapter has in the base model; None for the adapter's own."""
    name = name.removeprefix("base_model.model.").replace(".base_layer", "")
    if model.prefix in name or "original_module" in name:
        return None

    return name.replace("modules_to_save.default.", "")


def _urls(server: str | list[str]) -> list[str]:
    """Return the addresses of `rl_server`; none where the run starts the servers."""
    given = server if isinstance(server, list) else [part.strip() for part in server.split(",")]
    return [] if given == [STARTED] else [url for url in given if url]


def spare_gpus(training_args: Any) -> list[str | None]:
    """Return the visible GPUs of this machine that no rank trains on, for a server each; [None] in a run on the CPU.

    Raises:
        ValueError: there is none.
    """
    if training_args.use_cpu or not torch.cuda.is_available():
        return [None]

    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    names = visible.split(",") if visible else [str(number) for number in range(torch.cuda.device_count())]
    ranks = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    if len(names) <= ranks:
        raise UserError(
            f"rl_server: vllm: {ranks} ranks train on all {len(names)} visible GPUs. Start fewer (NPROC_PER_NODE), so that "
            "each other one gets a server, or name the URLs of servers elsewhere."
        )

    return list(names[ranks:])
