"""The arithmetic of `virgo-factory plan` beside what torch and DeepSpeed really hold, on twins, without a GPU.

python benchmarks/plan_vs_measured.py activations   # bytes that autograd saves, and the peak of a step: seconds
python benchmarks/plan_vs_measured.py states        # weights, gradients, optimiser of ZeRO-2 and 3 on two ranks: a minute

`states` forks two CPU ranks from a process of this file; each tensor's storage is counted once.
"""

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any


TOKENS = 1024
SIZES = {
    "small": {"layers": 2, "heads": 4, "vocabulary": 600},
    "deep": {"layers": 6, "heads": 8, "vocabulary": 600},
    "wide": {"layers": 3, "heads": 16, "vocabulary": 600},
    "large vocabulary": {"layers": 2, "heads": 4, "vocabulary": 1536},
}
MANY_LAYERS = {"layers": 32, "heads": 4, "vocabulary": 600}
"""For `states`: ZeRO-2 holds a gradient whole that belongs to two ranks, so the largest must be small beside all."""

RANKS = 2


def saved_bytes(model: Any, inputs: dict[str, Any]) -> int:
    """Return the bytes that autograd holds after a forward pass, each storage once, weights not counted."""
    import torch

    weights = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    saved = {}

    def pack(tensor):
        saved[tensor.untyped_storage().data_ptr()] = tensor  # held, so that no address is used twice
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        output = model(**inputs, use_cache=False)

    assert output.loss.requires_grad
    return sum(tensor.untyped_storage().nbytes() for place, tensor in saved.items() if place not in weights)


def peak_bytes(run: Callable[[], None]) -> int:
    """Return the most bytes that a call had allocated at once, beside what was there before, by torch's profiler."""
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        run()

    events = [event for event in profiler.profiler.kineto_results.events() if event.name() == "[memory]"]
    held = most = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        held += event.nbytes()
        most = max(most, held)

    return most


def load_twin(folder: Path, checkpointing: bool) -> Any:
    """Return a twin in bfloat16 whose vision tower is frozen, ready to train."""
    import torch
    from transformers import AutoModelForImageTextToText

    model = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.bfloat16, attn_implementation="sdpa")
    for name, parameter in model.named_parameters():
        parameter.requires_grad_("visual." not in name or "visual.merger" in name)

    if checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": True})
        model.enable_input_require_grads()

    return model.train()


def text_inputs(tokens: int) -> dict[str, Any]:
    """Return a row of random tokens."""
    import torch

    ids = torch.randint(0, 500, (1, tokens), generator=torch.Generator().manual_seed(1))
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": ids}


def image_inputs(folder: Path, side: int) -> tuple[dict[str, Any], int]:
    """Return a row with one square picture, and how many image tokens it has."""
    from PIL import Image
    from transformers import AutoProcessor

    processor = AutoProcessor.from_pretrained(folder, use_fast=False)
    text = "<|vision_start|><|image_pad|><|vision_end|>" + " a b" * 50
    inputs = dict(processor(text=[text], images=[Image.new("RGB", (side, side))], return_tensors="pt"))
    ids = inputs["input_ids"]
    pad = processor.tokenizer.convert_tokens_to_ids("<|image_pad|>")
    return {**inputs, "labels": ids}, int((ids == pad).sum())


def step_peak(model: Any, tokens: int) -> int:
    """Return the peak of a forward and backward pass, gradients already there."""
    inputs = text_inputs(tokens)

    def step() -> None:
        model(**inputs, use_cache=False).loss.backward()

    hold_gradients(model)
    return peak_bytes(step)


def hold_gradients(model: Any) -> None:
    """Give each trained parameter the gradient that a step before would have left."""
    import torch

    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.grad = torch.zeros_like(parameter)


def adapted_peak(folder: Path, rank: int, targets: tuple[str, ...], tokens: int) -> int:
    """Return the peak of a step with float32 adapters under autocast, as LLaMA-Factory trains them without DeepSpeed."""
    import torch
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(r=rank, target_modules=rf".*language_model.*\.({'|'.join(targets)})")
    model = get_peft_model(load_twin(folder, True), config)
    inputs = text_inputs(tokens)
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()

    def step() -> None:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = model(**inputs, use_cache=False).loss

        loss.backward()

    hold_gradients(model)
    return peak_bytes(step)


def activations() -> None:
    """Print predicted and measured bytes of activations."""
    from virgo_factory.preflight.plan.memory import (
        PROJECTIONS,
        Lora,
        Method,
        read_shape,
        saved_activations,
        saved_by_image_token,
        step_memory,
    )
    from virgo_factory.preflight.twin.twin import make_twin

    print("| twin | what | predicted, bytes | measured, bytes | ratio |")
    print("|---|---|---|---|---|")

    def line(name: str, what: str, predicted: float, measured: float) -> None:
        print(f"| {name} | {what} | {predicted:,.0f} | {measured:,.0f} | {predicted / measured:.3f} |", flush=True)

    with tempfile.TemporaryDirectory() as folder:
        for name, sizes in SIZES.items():
            twin = make_twin(Path(folder) / name, **sizes)
            for checkpointing in (False, True):
                model = load_twin(twin, checkpointing)
                shape = read_shape(model.config.to_dict())
                kind = "checkpointed" if checkpointing else "all kept"
                predicted = sum(saved_activations(shape, TOKENS, checkpointing, False).values())
                line(name, f"saved, {kind}", predicted, saved_bytes(model, text_inputs(TOKENS)))
                memory = step_memory(shape, Method(checkpointing=checkpointing), TOKENS)
                predicted = memory.inputs + max(memory.layer, memory.loss)
                line(name, f"peak of a step, {kind}", predicted, step_peak(model, TOKENS))

            lora = Lora(16, PROJECTIONS)
            memory = step_memory(shape, Method(lora=lora, connector=False), TOKENS)
            predicted = memory.inputs + max(memory.layer, memory.loss)
            line(name, "peak of a step, LoRA", predicted, adapted_peak(twin, lora.rank, lora.targets, TOKENS))

        for family in ("qwen2_vl", "qwen2_5_vl"):
            twin = make_twin(Path(folder) / family, family=family, vision_width=128, vocabulary=600)
            model = load_twin(twin, True)
            shape = read_shape(model.config.to_dict())
            inputs, tokens = image_inputs(twin, 224)
            text = sum(saved_activations(shape, inputs["input_ids"].shape[1], True, False).values())
            kept = saved_by_image_token(shape, True) - saved_by_image_token(shape, False)
            line(family, f"connector, {tokens} image tokens", kept * tokens, saved_bytes(model, inputs) - text)


def model_states(folder: Path) -> list[dict[str, Any]]:
    """Return what each rank of two holds under ZeRO-2 and ZeRO-3 with its gradients made, and the parameters."""
    command = [sys.executable, __file__, "ranks", str(folder)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, env=environment, text=True, capture_output=True, timeout=300)
    found = [json.loads(path.read_text()) for path in sorted(folder.glob("held_*.json"))]
    if len(found) != 2 * RANKS:
        raise RuntimeError(f"{len(found)} of {2 * RANKS} results\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")

    return found


def start_ranks(folder: str) -> None:
    """Fork the ranks of `hold_states` from this process, after what they all import was imported."""
    import deepspeed  # noqa: F401
    import torch
    from transformers import AutoModelForImageTextToText  # noqa: F401

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    torch.set_num_threads(1)  # a pool of threads does not survive a fork
    torch.multiprocessing.start_processes(hold_states, (folder, port), nprocs=RANKS, start_method="fork")


def hold_states(rank: int, folder: str, port: int) -> None:
    """Be one rank: train two steps under each stage, and write the bytes of each part into the folder."""
    import deepspeed
    import torch
    from transformers.integrations import HfDeepSpeedConfig

    from virgo_factory.hooks.start.cpu import _finish_each_gather

    launched = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": RANKS, "LOCAL_WORLD_SIZE": RANKS}
    launched |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    os.environ.update({name: str(value) for name, value in launched.items()})
    deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
    deepspeed.init_distributed(dist_backend="gloo", verbose=False)
    _finish_each_gather()
    inputs = text_inputs(2)  # states are of the same size whatever is trained on
    for stage in (2, 3):
        zero = {"stage": stage, "overlap_comm": False, "contiguous_gradients": True, "reduce_bucket_size": 2**14}
        zero |= {"stage3_param_persistence_threshold": 0} if stage == 3 else {}
        config = {"train_micro_batch_size_per_gpu": 1, "bf16": {"enabled": True}, "zero_optimization": zero}
        config["zero_allow_untested_optimizer"] = True
        kept = HfDeepSpeedConfig(config) if stage == 3 else None  # ZeRO-3 shards while the model is loaded
        model = load_twin(Path(folder), False)
        trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        engine, *_ = deepspeed.initialize(model=model, optimizer=torch.optim.AdamW(trained), config=config)
        for step in range(2):
            engine.backward(engine(**inputs, use_cache=False).loss)
            if step == 0:
                engine.step()

        optimizer = engine.optimizer
        parameters = list(model.parameters())
        if stage == 3:
            weights = [parameter.ds_tensor for parameter in parameters]
            gradients, masters = [optimizer.grad_partitions_flat_buffer], optimizer.fp32_partitioned_groups_flat
        else:
            weights, gradients = [parameter.data for parameter in parameters], optimizer.averaged_gradients
            masters = optimizer.single_partition_of_fp32_groups

        held = {
            "stage": stage,
            "parameters": sum(getattr(parameter, "ds_numel", parameter.numel()) for parameter in parameters),
            "trained": sum(getattr(parameter, "ds_numel", parameter.numel()) for parameter in trained),
            "weights": _storages(weights),
            "gradients": _storages(gradients),
            "optimiser": _storages([masters, dict(optimizer.optimizer.state)]),
        }
        (Path(folder) / f"held_{stage}_{torch.distributed.get_rank()}.json").write_text(json.dumps(held))
        torch.distributed.barrier()
        del kept

    os._exit(0)  # gloo's threads may abort a process that shuts down (virgo_factory/hooks/start/cpu.py)


def _storages(content: Any) -> int:
    seen = {tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes() for tensor in _tensors(content)}
    return sum(seen.values())


def _tensors(content: Any) -> Iterator[Any]:
    import torch

    if isinstance(content, torch.Tensor):
        yield content
    elif isinstance(content, dict):
        yield from _tensors(list(content.values()))
    elif isinstance(content, Iterable):
        for part in content:
            yield from _tensors(part)


def states() -> None:
    """Print predicted and measured bytes of model states."""
    from virgo_factory.preflight.plan import memory
    from virgo_factory.preflight.twin.twin import make_twin

    print("| stage | part | predicted, bytes | measured, bytes (each rank) | ratio of the sums |")
    print("|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        make_twin(folder, **MANY_LAYERS)
        found = model_states(Path(folder))

    for stage in (2, 3):
        ranks = [held for held in found if held["stage"] == stage]
        predicted = memory.model_states(ranks[0]["parameters"], ranks[0]["trained"], stage, RANKS)
        for part, size in predicted.items():
            each = [held[part] for held in ranks]
            shown = ", ".join(f"{own:,}" for own in each)
            print(f"| {stage} | {part} | {size:,.0f} | {shown} | {RANKS * size / sum(each):.4f} |")


def main() -> None:
    """Print what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", choices=("activations", "states", "ranks"))
    parser.add_argument("folder", nargs="?", help="of the twin; for ranks")
    arguments = parser.parse_args()
    if arguments.part == "ranks":
        start_ranks(arguments.folder)
    else:
        {"activations": activations, "states": states}[arguments.part]()


if __name__ == "__main__":
    main()
