"""Exact packing: gradients of packed bins beside those of stock's micro-batches, and whole trainings with and without.

python benchmarks/packing.py gradients
python benchmarks/packing.py parallel [--ranks 2]
python benchmarks/packing.py clock

Tiny random models of the real classes, the real collator of LLaMA-Factory, no GPU. A control leaves out one part of what
packing does, to show that the comparison would see it.
"""

import argparse
import contextlib
import copy
import functools
import itertools
import json
import socket
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from virgo_factory.formats.row import QWEN_VL_FAMILIES


CONTENTS = ("text", "pictures", "both")
CONTROLS = ("temporal row", "no restart", "unweighted")
ROWS = 12


@functools.cache
def tokenizer_module() -> dict:
    """Return tokenizer and processor of the demo's twin, as LLaMA-Factory loads them."""
    import virgo_factory

    virgo_factory.register()
    from llamafactory.hparams import ModelArguments
    from llamafactory.model import load_tokenizer

    from virgo_factory.preflight.twin.twin import make_twin

    with tempfile.TemporaryDirectory() as folder:
        make_twin(folder)
        return load_tokenizer(ModelArguments(model_name_or_path=folder, image_max_pixels=112 * 112))


@functools.cache
def tiny_model(family: str, dtype: torch.dtype, seed: int = 0) -> torch.nn.Module:
    """Return a random model of a family with two layers, grouped queries and, where the family has one, deepstack."""
    import transformers

    tokenizer = tokenizer_module()["tokenizer"]
    name = {"qwen2_vl": "Qwen2VL", "qwen2_5_vl": "Qwen2_5_VL", "qwen3_vl": "Qwen3VL"}[family]
    mrope = {"rope_type": "default", "mrope_section": [2, 3, 3]} | (
        {"mrope_interleaved": True} if family == "qwen3_vl" else {}
    )
    text = {"vocab_size": 1600, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "head_dim": 16}
    text |= {
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "rope_scaling": mrope,
        "max_position_embeddings": 4096,
    }
    vision = {"depth": 2, "num_heads": 2, "patch_size": 14, "spatial_merge_size": 2, "temporal_patch_size": 2}
    vision |= {
        "qwen2_vl": {"embed_dim": 32, "hidden_size": 64, "mlp_ratio": 2},
        "qwen2_5_vl": {"hidden_size": 32, "out_hidden_size": 64, "intermediate_size": 64, "window_size": 56,
                       "fullatt_block_indexes": [1]},
        "qwen3_vl": {"hidden_size": 32, "out_hidden_size": 64, "intermediate_size": 64,
                     "deepstack_visual_indexes": [0, 1], "num_position_embeddings": 64},
    }[family]  # fmt: skip
    ids = {f"{part}_token_id": tokenizer.convert_tokens_to_ids(f"<|{part}_pad|>") for part in ("image", "video")}
    ids |= {f"vision_{end}_token_id": tokenizer.convert_tokens_to_ids(f"<|vision_{end}|>") for end in ("start", "end")}
    config = getattr(transformers, f"{name}Config")(text_config=text, vision_config=vision, **ids)
    config._attn_implementation = "sdpa"
    torch.manual_seed(seed)
    return getattr(transformers, f"{name}ForConditionalGeneration")(config).to(dtype)


def make_rows(content: str, count: int = ROWS) -> list[dict]:
    """Return tokenised rows of very different lengths; with `both` every other one has one or two pictures."""
    from llamafactory.data.template import TEMPLATES
    from PIL import Image

    chance = np.random.default_rng(0)
    module, plugin, rows = tokenizer_module(), TEMPLATES["qwen2_vl"].mm_plugin, []
    for number in range(count):
        pictures = content == "pictures" or (content == "both" and number % 2)
        sides = [
            (28 * chance.integers(2, 5), 28 * chance.integers(2, 4)) for _ in range(pictures * (1 + number % 3 // 2))
        ]
        images = [Image.fromarray(chance.integers(0, 255, (height, width, 3), np.uint8)) for width, height in sides]
        messages = [{"role": "user", "content": "<image>" * len(images) + f"Question {number}?"}]
        text = plugin.process_messages(messages, images, [], [], module["processor"])[0]["content"]
        asked = module["tokenizer"].encode(text, add_special_tokens=False)
        answer = chance.integers(0, 1000, chance.integers(8, 120)).tolist()
        labels = [-100] * len(asked) + answer
        ids = asked + answer
        rows.append({"input_ids": ids, "attention_mask": [1] * len(ids), "labels": labels, "images": images})

    return rows


def stock_collator(model: torch.nn.Module, dtype: torch.dtype):
    """Return LLaMA-Factory's collator of supervised fine-tuning, as its workflow makes it."""
    from llamafactory.data import SFTDataCollatorWith4DAttentionMask
    from llamafactory.data.template import TEMPLATES

    return SFTDataCollatorWith4DAttentionMask(
        template=TEMPLATES["qwen2_vl"], model=model, pad_to_multiple_of=8, label_pad_token_id=-100,
        attn_implementation="sdpa", compute_dtype=dtype, **tokenizer_module(),
    )  # fmt: skip


def gradients(model: torch.nn.Module, losses) -> tuple[float, torch.Tensor, int]:
    """Return the summed loss, the gradient of all parameters in one line, and the number of forward passes."""
    model.zero_grad()
    whole, passes = 0.0, 0
    for passes, loss in enumerate(losses, 1):  # each pass is computed once the one before has gone back
        loss.backward()
        whole += loss.item()

    return whole, torch.cat([parameter.grad.flatten() for parameter in model.parameters()]), passes


@contextlib.contextmanager
def stock_attention():
    """Put the attention of all models back at the end."""
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    stock = ALL_ATTENTION_FUNCTIONS["sdpa"]
    try:
        yield
    finally:
        ALL_ATTENTION_FUNCTIONS.register("sdpa", stock)


def stock_losses(model: torch.nn.Module, micro_batches: list[list[dict]], dtype: torch.dtype):
    """Yield the loss of each stock micro-batch as its optimiser step weighs it; in float64 without the cast to float32."""
    collate = stock_collator(model, dtype)
    for rows in micro_batches:
        batch = collate(copy.deepcopy(rows))
        if dtype == torch.float64:
            logits = model(**batch).logits[:, :-1]
            loss = functional.cross_entropy(logits.flatten(0, 1), batch["labels"][:, 1:].flatten())
        else:
            loss = model(**batch).loss

        yield loss / len(micro_batches)


def packed_losses(
    model: torch.nn.Module,
    micro_batches: list[list[dict]],
    dtype: torch.dtype,
    capacity: int,
    control: str = "",
    multiple: int = 1,
):
    """Yield the loss of each bin of the same rows; `model` has been given `use_fused_loss`, and may `attend_by_rows`."""
    from virgo_factory.core.batch_order import bins
    from virgo_factory.hooks.train.packed_rows import RowCollator, join

    collate = RowCollator(stock_collator(model, dtype), model)
    rows = [row for batch in micro_batches for row in collate(copy.deepcopy(batch))["rows"]]
    if control == "temporal row":
        for row in rows:
            row["position_ids"][0] = row["position_ids"][1]

    for places in bins([row["input_ids"].shape[-1] for row in rows], capacity):
        joined = join([rows[place] for place in places], collate.blank(), multiple)
        if control == "no restart":
            joined["position_ids"][0] = torch.arange(joined["input_ids"].shape[-1])
        elif control == "unweighted":
            joined["loss_divisors"] = None

        share = len(places) / len(rows) if control == "unweighted" else 1 / len(micro_batches)
        yield model(**joined).loss * share


def difference(
    family: str,
    content: str,
    dtype: torch.dtype,
    per_device: int = 1,
    capacity: int = 1 << 20,
    control: str = "",
    count: int = ROWS,
) -> tuple[float, float, int]:
    """Return the relative differences of loss and gradient to stock's, and the number of forward passes.

    The temporal row does harm under a mask only, which transformers makes of it: that control keeps the mask.
    """
    from virgo_factory.hooks.train.fused_loss import use_fused_loss
    from virgo_factory.hooks.train.packed_rows import attend_by_rows

    model, rows = copy.deepcopy(tiny_model(family, dtype)).train(), make_rows(content, count)
    micro_batches = [rows[at : at + per_device] for at in range(0, len(rows), per_device)]
    wanted, expected, _ = gradients(model, stock_losses(model, micro_batches, dtype))
    use_fused_loss(model)
    with stock_attention():
        if control != "temporal row":
            attend_by_rows(model)

        loss, found, passes = gradients(model, packed_losses(model, micro_batches, dtype, capacity, control))

    return abs(loss - wanted) / wanted, float((found - expected).norm() / expected.norm()), passes


def gradient_table() -> None:
    """Print the differences of all families, contents and precisions, and of the controls."""
    print("| model | rows | precision | rows a micro-batch | passes: stock, packed | gradient difference |")
    print("|---|---|---|---|---|---|")
    for family, content, dtype, per_device in itertools.product(
        QWEN_VL_FAMILIES, CONTENTS, (torch.float64, torch.float32), (1, 3)
    ):
        cells = []
        for capacity in (160, 1 << 20):
            _, apart, passes = difference(family, content, dtype, per_device, capacity)
            cells.append((passes, f"{apart:.1e}"))

        name = str(dtype).removeprefix("torch.")
        before = -(-ROWS // per_device)
        passes = " / ".join(str(passes) for passes, _ in cells)
        apart = " / ".join(apart for _, apart in cells)
        print(f"| {family} | {content} | {name} | {per_device} | {before}, {passes} | {apart} |", flush=True)

    for family, control in itertools.product(QWEN_VL_FAMILIES, CONTROLS):
        _, apart, passes = difference(family, "pictures", torch.float32, 1, 1 << 20, control)
        print(f"| {family} | pictures, control: {control} | float32 | 1 | {ROWS}, {passes} | {apart:.1e} |")


def shared_difference(rank: int, ranks: int, port: int, results: str) -> None:
    """Write the differences of gradients when ranks share each sequence; one process a rank."""
    from torch import distributed

    from virgo_factory.hooks.train.fused_loss import use_fused_loss
    from virgo_factory.hooks.train.packed_rows import attend_by_rows
    from virgo_factory.hooks.train.sequence_parallel import Group, share_sequences

    address = f"tcp://127.0.0.1:{port}"
    distributed.init_process_group("gloo", init_method=address, rank=rank, world_size=ranks)
    group, lines = Group(ranks), []
    for family, per_device, dtype in itertools.product(QWEN_VL_FAMILIES, (1, 3), (torch.float64,)):
        rows = make_rows("both")
        micro_batches = [rows[at : at + per_device] for at in range(0, len(rows), per_device)]
        alone = copy.deepcopy(tiny_model(family, dtype)).train()
        wanted, expected, _ = gradients(alone, stock_losses(alone, micro_batches, dtype))
        for capacity in (160, 1 << 20):
            model = copy.deepcopy(tiny_model(family, dtype)).train()
            model.gradient_checkpointing_enable({"use_reentrant": False})
            use_fused_loss(model, group)
            with stock_attention():
                attend_by_rows(model)
                share_sequences(model, group)
                losses = packed_losses(model, micro_batches, dtype, capacity, multiple=ranks)
                loss, found, passes = gradients(model, losses)

            mean = torch.cat([found, torch.tensor([loss], dtype=dtype)]) / ranks
            distributed.all_reduce(mean)
            apart = float((mean[:-1] - expected).norm() / expected.norm())
            lines.append((family, per_device, len(micro_batches), passes, abs(float(mean[-1]) - wanted), apart))

    if rank == 0:
        Path(results).write_text(json.dumps(lines))

    distributed.destroy_process_group()


def shared_differences(ranks: int) -> list[list]:
    """Return (family, rows a micro-batch, micro-batches, bins, difference of loss, of gradients) for ranks that share."""
    torch.set_num_threads(1)  # a pool of threads does not survive a fork
    with tempfile.TemporaryDirectory() as folder, socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        file = str(Path(folder, "results.json"))
        for family in QWEN_VL_FAMILIES:
            tiny_model(family, torch.float64)  # so that ranks need not import and make them again

        arguments = (ranks, port, file)
        torch.multiprocessing.start_processes(shared_difference, arguments, nprocs=ranks, start_method="fork")
        return json.loads(Path(file).read_text())


def clock(rounds: int = 3) -> None:
    """Print processor time of stock's passes, of one packed pass row by row, and of one under a mask of its square."""
    from virgo_factory.hooks.train.fused_loss import use_fused_loss
    from virgo_factory.hooks.train.packed_rows import attend_by_rows

    lengths, dtype = (200, 400, 600, 900, 1300, 3000), torch.float32
    rows = [
        {"input_ids": ids, "attention_mask": [1] * len(ids), "labels": ids, "images": []}
        for ids in (np.random.default_rng(0).integers(0, 1000, length).tolist() for length in lengths)
    ]
    batches, found = [[row] for row in rows], {"stock": [], "packed, row by row": [], "packed, under a mask": []}
    for name in [*found] * rounds:
        model = copy.deepcopy(tiny_model("qwen2_vl", dtype)).train()
        with stock_attention():
            if name != "stock":
                use_fused_loss(model)

            if name == "packed, row by row":
                attend_by_rows(model)

            begin = time.process_time()
            gradients(
                model,
                stock_losses(model, batches, dtype)
                if name == "stock"
                else packed_losses(model, batches, dtype, 1 << 20),
            )
            found[name].append((time.process_time() - begin) / sum(lengths) * 1000)

    print(
        f"Rows of {', '.join(map(str, lengths))} tokens, Qwen2-VL of two layers, {torch.get_num_threads()} thread(s)."
    )
    print("| passes | processor ms a token, least of all rounds |")
    print("|---|---|")
    for name, times in found.items():
        print(f"| {name} | {min(times):.3f} ({', '.join(f'{one:.3f}' for one in times)}) |")


def main() -> None:
    """Print what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", choices=("gradients", "parallel", "clock"))
    parser.add_argument("--ranks", type=int, default=2)
    arguments = parser.parse_args()
    if arguments.part == "gradients":
        gradient_table()
        return

    if arguments.part == "clock":
        clock()
        return

    print("| model | ranks | rows a micro-batch | passes: stock, packed | gradient difference |")
    print("|---|---|---|---|---|")
    for family, per_device, before, passes, _, apart in shared_differences(arguments.ranks):
        print(f"| {family} | {arguments.ranks} | {per_device} | {before}, {passes} | {apart:.1e} |")


if __name__ == "__main__":
    main()
