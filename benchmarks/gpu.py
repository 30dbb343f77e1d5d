"""Tokens a second and peak memory of the batch orders and losses on one GPU, plan's figures beside them, in one table.

python benchmarks/gpu.py                  # one card of 80 GB, eight minutes; no weights, no network
python benchmarks/gpu.py --attention sdpa --lengths lengths.txt --tokenizer DIR --layers 14 --minutes 4
python benchmarks/gpu.py --tiny           # the same on the CPU with a toy: whether it runs, no figures

A Qwen2-VL of the 7B's sizes with random weights, made by LLaMA-Factory, trained by its trainer with our hooks on one
global batch that is the same in every case, again and again: one step to warm up, then as many as the case's time allows.
A case that runs out of memory, fails or takes twice its time is a line that says so; the table is printed all the same.
Weights and gradients are bfloat16 (`pure_bf16`), as under DeepSpeed, and the optimiser has no state (SGD at a learning rate
of 0), so that all layers fit one card and every case starts from the same weights: losses and gradient norms must agree.

With one row a pass, one GPU has the same passes in `shuffle`, `balanced` and `grouped`; what they differ in is how long
ranks wait for each other. So passes are measured once a loss, and the columns of 8 and 64 ranks are computed: the time of
a pass as a + b x tokens + c x squares, fitted to the measured ones, and ranks that wait at every pass (ZeRO-3), without
communication.
"""

import argparse
import contextlib
import gc
import importlib.metadata
import itertools
import json
import os
import platform
import shlex
import sys
import tempfile
import time
import traceback
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np


SHARES = (0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95,
          0.97, 0.98, 0.99, 0.995, 0.998, 1)  # fmt: skip
TOKENS = (43, 339, 397, 451, 526, 598, 693, 808, 935, 1100, 1293, 1474, 1701, 2042, 2378, 2922, 3442, 3582, 3643, 3724,
          3929, 4823, 6839, 8362, 9770, 11349)  # fmt: skip
"""Quantiles of the lengths of real long thoughts: 1,376 SkyThought responses of at most 16,384 tokens of Qwen2.5-VL's
tokenizer (benchmarks/batch_order.py), mean 1,781."""

EPOCH_ROWS, GLOBAL_BATCH = 4922, 128
"""D_T's number of rows, and the recipes' global batch, of the ranks that are computed."""

LONG = 32_768
"""The recipes' cutoff_len, whose float32 logits are 20 GB."""

SPEEDS = {"A100": 312.0, "A800": 312.0, "H100": 989.0, "H800": 989.0, "H200": 989.0}
"""10^12 operations a second in bfloat16 without sparsity, by a word of the card's name (NVIDIA's data sheets)."""

MFU = 0.4
"""What `virgo-factory plan` assumes unless --mfu says otherwise."""

MEMORY = 0.9
"""Share of the card's free memory that a model is made for."""


@dataclass(frozen=True)
class Case:
    """One training: its keys, and whether it is one step of two long rows, for its memory only."""

    name: str
    keys: dict[str, Any]
    long: bool = False


CASES = (
    Case("stock's loss", {"batch_order": "shuffle"}),
    Case("fused_loss", {"batch_order": "shuffle", "fused_loss": True}),
    Case("packed", {"batch_order": "packed"}),
    Case("rows of 32,768, stock's loss", {"batch_order": "shuffle"}, long=True),
    Case("rows of 32,768, fused_loss", {"batch_order": "shuffle", "fused_loss": True}, long=True),
)
TABLE = (
    *((order, CASES[place]) for place in (0, 1) for order in ("shuffle", "balanced", "grouped")),
    ("packed", CASES[2]),
    ("-", CASES[3]),
    ("-", CASES[4]),
)


@dataclass
class Result:
    """What a case did.

    Attributes:
        passes: (optimiser step, tokens, sum of the rows' squares, seconds) of every forward and backward pass.
        losses: printed loss and gradient norm of every step.
        peak: bytes; None without a GPU.
        failed: why there is nothing, or not all.
    """

    passes: list[tuple[int, int, int, float]] = field(default_factory=list)
    losses: list[tuple[float, float]] = field(default_factory=list)
    peak: int | None = None
    failed: str = ""

    def timed(self) -> list[tuple[int, int, int, float]]:
        """Return the passes after the first step, which warms up; all of them if there is no other."""
        return [one for one in self.passes if one[0] > 0] or self.passes

    def speed(self, batch: np.ndarray) -> float | None:
        """Return tokens of the rows of a step a second of forward and backward passes; None if no step was finished."""
        if self.failed or not self.passes:
            return None

        steps = len({one[0] for one in self.timed()})
        return float(batch.sum() * steps / sum(one[3] for one in self.timed()))

    @property
    def cold(self) -> bool:
        """Whether there was time for the first step only."""
        return not any(one[0] > 0 for one in self.passes)


class Bench:
    """The model, the rows and the keys that all cases have in common."""

    def __init__(self, arguments: argparse.Namespace, folder: Path) -> None:
        import torch

        self.tiny, self.folder, self.torch = arguments.tiny, folder, torch
        self.attention = arguments.attention or ("fa2" if _has_flash_attention() else "sdpa")
        self.lengths = read_lengths(arguments.lengths)
        self.long = 400 if self.tiny else LONG
        if self.tiny:
            self.lengths = np.maximum(self.lengths // 30, 16)

        self.spread = spread(self.lengths, EPOCH_ROWS if not self.tiny else 256)
        self.recipe = {
            "model_name_or_path": str(folder / "base"),
            "train_from_scratch": True,
            "image_max_pixels": 448 * 448,
            "flash_attn": self.attention,
            "stage": "sft",
            "do_train": True,
            "finetuning_type": "full",
            "freeze_vision_tower": True,
            "freeze_multi_modal_projector": False,
            "dataset": "rows",
            "dataset_dir": str(folder),
            "template": "qwen2_vl",
            "cutoff_len": max(LONG, int(self.lengths.max())),
            "output_dir": str(folder / "out"),
            "overwrite_output_dir": True,
            "save_strategy": "no",
            "report_to": "none",
            "logging_steps": 1,
            "disable_tqdm": True,
            "per_device_train_batch_size": 1,
            "learning_rate": 0.0,
            "lr_scheduler_type": "constant",
            "optim": "sgd",
            "max_steps": 3 if self.tiny else 1_000_000,
            "seed": 0,
            **({"use_cpu": True} if self.tiny else {"pure_bf16": True}),
        }
        (folder / "rows.json").write_text('[{"instruction": "Think.", "input": "", "output": "No."}]')
        (folder / "dataset_info.json").write_text('{"rows": {"file_name": "rows.json"}}')
        self.shape, self.layers = self._choose_layers(arguments)
        self._make(arguments.tokenizer)

    # what is made

    def _choose_layers(self, arguments: argparse.Namespace):
        """Return the sizes of the model, and the layers of the real one."""
        from virgo_factory.preflight.plan.models import KNOWN

        whole = KNOWN["qwen2-vl-7b-instruct"]
        if self.tiny:
            return None, 2

        free = self.torch.cuda.mem_get_info()[0]
        asked = [arguments.layers] if arguments.layers else range(whole.layers, 0, -1)
        for layers in asked:
            self.shape = replace(whole, layers=layers)
            if arguments.layers or self.planned(CASES[2], self.spread)[0] <= MEMORY * free:
                return self.shape, whole.layers

        raise SystemExit(f"{free / 1e9:.0f} GB are free on this card, too little for one layer of a 7B. Free some.")

    def _make(self, tokenizer: str | None) -> None:
        """Write configuration and tokenizer, and make the model where it is to be trained."""
        import torch
        from llamafactory.data import SFTDataCollatorWith4DAttentionMask
        from llamafactory.data.template import get_template_and_fix_tokenizer
        from llamafactory.model import load_model, load_tokenizer

        from virgo_factory.preflight.twin.twin import make_twin

        base = make_twin(self.folder / "base", tokenizer_folder=tokenizer)
        path = base / "config.json"
        config = json.loads(path.read_text())
        path.write_text(json.dumps(config | {"dtype": "float32"} if self.tiny else widened(config, self.shape)))
        if self.tiny:
            from virgo_factory.preflight.plan.models import find_shape

            self.shape = find_shape(str(base))[0]

        model_args, data_args, _, finetuning_args, _ = self.parse({}, 1)
        self.tokens = load_tokenizer(model_args)
        self.template = get_template_and_fix_tokenizer(self.tokens["tokenizer"], data_args)
        with torch.device("cpu" if self.tiny else "cuda"):  # random numbers of 8 billion weights take minutes on a CPU
            self.model = load_model(self.tokens["tokenizer"], model_args, finetuning_args, is_trainable=True)

        self.collator = SFTDataCollatorWith4DAttentionMask(
            template=self.template,
            model=self.model,
            pad_to_multiple_of=8,
            label_pad_token_id=-100,
            attn_implementation=self.model.config._attn_implementation,
            compute_dtype=model_args.compute_dtype,
            **self.tokens,
        )

    def parse(self, keys: dict[str, Any], rows: int) -> tuple:
        """Return LLaMA-Factory's arguments of a recipe; they are checked as those of any run."""
        from llamafactory.hparams import get_train_args

        return get_train_args(self.recipe | {"gradient_accumulation_steps": rows} | keys)

    def rows(self, lengths: np.ndarray):
        """Return tokenised rows of these lengths, every third of those of 600 tokens and more with a picture."""
        from datasets import Dataset
        from PIL import Image

        chance = np.random.default_rng(0)
        picture, side = str(self.folder / "picture.png"), 112 if self.tiny else 448
        Image.fromarray(chance.integers(0, 255, (side, side, 3), np.uint8)).save(picture)
        columns: dict[str, list] = {"input_ids": [], "attention_mask": [], "labels": [], "images": []}
        turn = itertools.count()
        for length in lengths.tolist():
            images = [picture] if length >= (60 if self.tiny else 600) and next(turn) % 3 == 0 else []
            messages = [{"role": "user", "content": "<image>" * len(images) + "What follows?"}]
            plugin, module = self.template.mm_plugin, self.tokens
            text = plugin.process_messages(messages, images, [], [], module["processor"])[0]["content"]
            asked = module["tokenizer"].encode(text, add_special_tokens=False)[: length - 8]
            answer = chance.integers(0, 1000, length - len(asked)).tolist()
            columns["input_ids"].append(asked + answer)
            columns["attention_mask"].append([1] * length)
            columns["labels"].append([-100] * len(asked) + answer)
            columns["images"].append(images)

        return Dataset.from_dict(columns)

    # what is measured

    def run(self, case: Case, lengths: np.ndarray, seconds: float, most: float) -> Result:
        """Train, and return what was seen; running out of memory or time ends the case, not the script.

        Args:
            case: of CASES.
            lengths: of the rows of a step.
            seconds: after which no step is begun.
            most: seconds after which no forward and backward pass is begun.
        """
        torch, result = self.torch, Result()
        gpu = not self.tiny
        try:
            if gpu:
                torch.cuda.synchronize()
                torch.cuda.reset_peak_memory_stats()

            with self._as_made(), timing(result, torch.cuda.synchronize if gpu else lambda: None, most):
                self._train(case, lengths, result, seconds)
        except torch.cuda.OutOfMemoryError:
            result.failed = "out of memory"
        except OutOfTime as error:
            result.passes = [one for one in result.passes if one[0] < error.step]
            result.failed = "" if result.passes else "out of time"
        except Exception as error:  # the others go on: a row that says so is worth more than no table
            traceback.print_exc()
            result.failed = f"{type(error).__name__}: {str(error).strip().splitlines()[0][:80] if str(error) else ''}"

        with contextlib.suppress(RuntimeError):  # after an error of the GPU itself nothing works, and each row says so
            self.model.zero_grad(set_to_none=True)
            gc.collect()
            if gpu:
                result.peak = torch.cuda.max_memory_allocated()
                torch.cuda.empty_cache()

        return result

    def _train(self, case: Case, lengths: np.ndarray, result: Result, seconds: float) -> None:
        from llamafactory.train.sft import workflow
        from transformers import PrinterCallback

        _, _, training_args, finetuning_args, _ = self.parse(
            case.keys | ({"max_steps": 1} if case.long else {}), len(lengths)
        )
        trainer = workflow.CustomSeq2SeqTrainer(
            model=self.model,
            args=training_args,
            finetuning_args=finetuning_args,
            data_collator=self.collator,
            callbacks=[make_watch(result, seconds)],
            train_dataset=self.rows(lengths),
            **self.tokens,
        )
        trainer.remove_callback(PrinterCallback)
        try:
            trainer.train()
        finally:
            trainer.accelerator.free_memory()

    @contextlib.contextmanager
    def _as_made(self):
        """Take back at the end what the hooks changed in the model, for the next case."""
        from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

        modules = (self.model, self.model.get_output_embeddings(), self.model.model.language_model)
        forwards = [vars(module).get("forward") for module in modules]
        name = self.model.model.language_model.config._attn_implementation
        attention = ALL_ATTENTION_FUNCTIONS[name]
        try:
            yield
        finally:
            ALL_ATTENTION_FUNCTIONS.register(name, attention)
            for module, forward in zip(modules, forwards, strict=True):
                vars(module).pop("forward", None)
                if forward is not None:
                    module.forward = forward

    # what plan says

    def planned(self, case: Case, lengths: np.ndarray, tflops: float = 312.0) -> tuple[float, float]:
        """Return plan's bytes, without optimiser and communication, which are not here, and its tokens a second."""
        from virgo_factory.preflight.plan.duration import row_operations
        from virgo_factory.preflight.plan.memory import step_memory
        from virgo_factory.preflight.plan.method import read_method
        from virgo_factory.preflight.zero import Zero

        method = replace(read_method(self.recipe | case.keys, 1)[0], zero=Zero(stage=1))
        memory = step_memory(self.shape, method, int(lengths.max()), 256)
        held = {part: size for part, size in memory.held.items() if part in ("weights", "gradients")}
        operations = row_operations(self.shape, method, -(-lengths // 8) * 8).sum()
        speed = lengths.sum() / operations * tflops * 1e12 * MFU
        return replace(memory, held=held, update=0.0).peak, float(speed)


def _has_flash_attention() -> bool:
    from transformers.utils import is_flash_attn_2_available

    return is_flash_attn_2_available()


def widened(config: dict[str, Any], shape: Any) -> dict[str, Any]:
    """Return a twin's configuration with the sizes of the real model."""
    text = {
        "vocab_size": shape.vocabulary,
        "hidden_size": shape.hidden,
        "intermediate_size": shape.mlp,
        "num_hidden_layers": shape.layers,
        "max_window_layers": shape.layers,
        "layer_types": ["full_attention"] * shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads,
        "rope_scaling": {"type": "mrope", "mrope_section": [16, 24, 24]},
        "max_position_embeddings": LONG,
    }
    vision = {"embed_dim": shape.vision.width, "hidden_size": shape.hidden, "depth": shape.vision.layers,
              "mlp_ratio": shape.vision.mlp // shape.vision.width, "num_heads": 16}  # fmt: skip
    kept = {key: value for key, value in config.items() if key not in text}
    return kept | {"text_config": config["text_config"] | text, "vision_config": config["vision_config"] | vision}


def make_watch(result: Result, seconds: float):
    """Return the callback that notes losses, and ends the training before the step that would outlast its seconds."""
    from transformers import TrainerCallback

    class Watch(TrainerCallback):
        begin = last = time.perf_counter()

        def on_step_end(self, args, state, control, **kwargs):
            now = time.perf_counter()
            step, self.last = now - self.last, now
            control.should_training_stop |= now - self.begin + step > seconds

        def on_log(self, args, state, control, logs=None, **kwargs):
            if "loss" in (logs or {}):
                result.losses.append((float(logs["loss"]), float(logs["grad_norm"])))

    return Watch()


class OutOfTime(Exception):
    """A case has had more than its time; in which step."""

    def __init__(self, step: int) -> None:
        self.step = step


@contextlib.contextmanager
def timing(result: Result, synchronize, most: float):
    """Note tokens and seconds of every forward and backward pass of transformers' trainer, as long as there is time."""
    from transformers import Trainer

    from virgo_factory.hooks.train.packed_rows import row_lengths

    stock, end = Trainer.training_step, time.perf_counter() + most

    def training_step(self, model, inputs, *rest):
        if time.perf_counter() > end:
            raise OutOfTime(self.state.global_step)

        lengths = (  # of a bin from its positions, of stock's one row without its padding
            np.array(row_lengths(inputs["position_ids"][0]))
            if "loss_divisors" in inputs
            else inputs["attention_mask"].sum(dim=1).cpu().numpy()
        )
        synchronize()
        begin = time.perf_counter()
        loss = stock(self, model, inputs, *rest)
        synchronize()
        seconds = time.perf_counter() - begin
        result.passes.append((self.state.global_step, int(lengths.sum()), int((lengths**2).sum()), seconds))
        return loss

    Trainer.training_step = training_step
    try:
        yield
    finally:
        Trainer.training_step = stock


# lengths, and ranks that wait


def read_lengths(file: str | None) -> np.ndarray:
    """Return lengths in tokens: of a file, one a line, or the quantiles' as many as an epoch has."""
    if file is None:
        return np.interp((np.arange(EPOCH_ROWS) + 0.5) / EPOCH_ROWS, SHARES, TOKENS).astype(np.int64)

    try:
        lengths = np.array([int(line) for line in Path(file).read_text().split()], dtype=np.int64)
    except (OSError, ValueError) as error:
        raise SystemExit(f"--lengths: {file}: {error}. Give a file with the tokens of one row a line.") from None

    if not len(lengths) or lengths.min() < 16:
        raise SystemExit(f"--lengths: {file}: needs at least one row, and 16 tokens a row.")

    return lengths


def spread(lengths: np.ndarray, count: int) -> np.ndarray:
    """Return so many lengths that represent all of them, the longest among them.

    >>> spread(np.arange(101), 5).tolist()
    [10, 30, 50, 70, 100]
    """
    found = np.quantile(lengths, (np.arange(count) + 0.5) / count).astype(np.int64)
    found[-1] = lengths.max()
    return found


def fit(passes: list[tuple[int, int, int, float]]) -> tuple[float, float, float]:
    """Return a, b, c >= 0 of seconds = a + b x tokens + c x squares, by least squares of the relative differences.

    >>> [round(value, 6) for value in fit([(0, n, n * n, 0.5 + 0.01 * n) for n in (10, 100, 1000)])]
    [0.5, 0.01, 0.0]
    """
    given = np.array([(1.0, tokens, squares, seconds) for _, tokens, squares, seconds in passes])
    given /= given[:, 3:]
    best, least = np.zeros(3), np.inf
    for count in (1, 2, 3):
        for columns in itertools.combinations(range(3), count):
            found = np.linalg.lstsq(given[:, columns], given[:, 3], rcond=None)[0]
            off = float(((given[:, columns] @ found - given[:, 3]) ** 2).sum())
            if (found >= 0).all() and off < least - 1e-12:
                best, least = np.zeros(3), off
                best[list(columns)] = found

    return tuple(best.tolist())


def computed_speed(order: str, law: tuple[float, float, float], lengths: np.ndarray, ranks: int) -> float:
    """Return useful tokens a second and GPU of ranks that wait for each other at every pass.

    Args:
        order: of the rows.
        law: of the time of a pass, from `fit`.
        lengths: of an epoch's rows.
        ranks: GPUs.
    """
    from virgo_factory.core.batch_order import epoch_order, packed_steps, packed_time
    from virgo_factory.preflight.plan.duration import epoch_operations
    from virgo_factory.preflight.plan.memory import Method
    from virgo_factory.preflight.zero import Zero

    once, by_token, by_square = law
    costs = by_token * lengths + by_square * lengths.astype(np.float64) ** 2
    accumulation = GLOBAL_BATCH // ranks
    rows = epoch_order(order, np.random.default_rng(0).permutation(len(lengths)), lengths, ranks, 1, accumulation)
    if order == "packed":
        steps = list(packed_steps(rows, lengths, ranks, 1, accumulation, int(lengths.max())))
        seconds = packed_time(steps, costs, each=True) + once * sum(len(step[0]) for step in steps)
    else:
        seconds = epoch_operations(rows, costs + once, Method(zero=Zero(stage=3), ranks=ranks), accumulation)

    return float(lengths[rows].sum() / ranks / seconds)


# the table


def head(bench: Bench, arguments: argparse.Namespace, tflops: float | None, batch: np.ndarray) -> list[str]:
    """Return the lines that say what was measured on what."""
    torch, found = bench.torch, []
    for name in ("torch", "transformers", "accelerate", "llamafactory", "virgo-factory", "flash-attn"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found.append(f"{name} {importlib.metadata.version(name)}")

    machine = "CPU, a toy: these are no figures"
    if not bench.tiny:
        card = torch.cuda.get_device_properties(0)
        machine = f"{card.name}, {card.total_memory / 1e9:.1f} GB, CUDA {torch.version.cuda}"

    dtypes = {str(parameter.dtype).removeprefix("torch.") for parameter in bench.model.parameters()}
    kept = "" if bench.shape.layers == bench.layers else f" (of {bench.layers}: what fits, or was asked for)"
    return [
        f"Command: `{shlex.join(['python', *sys.argv])}`. Machine: {machine}. Python {platform.python_version()}, "
        f"{', '.join(found)}.",
        f"Model: Qwen2-VL, {bench.shape.layers} layers{kept}, "
        f"{sum(parameter.numel() for parameter in bench.model.parameters()) / 1e9:.2f}B random weights in "
        f"{', '.join(sorted(dtypes))}, tower frozen, layers checkpointed. Attention: "
        f"{bench.model.config._attn_implementation}"
        + ("." if bench.attention == "fa2" else "; in packed passes row by row."),
        f"Rows: {len(batch)} of {batch.sum():,} tokens (mean {batch.mean():,.0f}, longest {batch.max():,}) a step, of "
        f"{arguments.lengths or 'the lengths of 1,376 SkyThought responses'}; {EPOCH_ROWS:,} for the ranks.",
        f"plan: {f'{tflops:g} TFLOP/s' if tflops else 'speed of this card not known (--tflops)'} x {MFU}; memory without "
        "the optimiser and communication, which are not here.",
    ]


def line(
    order: str, case: Case, results: dict[str, Result], bench: Bench, tflops: float | None, batch: np.ndarray
) -> str:
    """Return one line of the table."""
    result = results[case.name]
    memory, planned = bench.planned(case, np.array([bench.long]) if case.long else batch, tflops or 312.0)
    speed = None if case.long else result.speed(batch)
    steps = len({one[0] for one in result.passes}) or 1
    base = results[CASES[1].name]
    ranks = ["-", "-"]
    if speed and (order != "packed" or base.speed(batch)):
        law = fit(result.timed() if order != "packed" else base.timed())
        if order == "packed":  # too few passes for a law of their own: fused_loss's, times what they take of it
            expected = sum(law[0] + law[1] * tokens + law[2] * squares for _, tokens, squares, _ in result.timed())
            law = tuple(value * sum(one[3] for one in result.timed()) / expected for value in law)

        ranks = [f"{computed_speed(order, law, bench.spread, count):,.0f}" for count in (8, 64)]

    same = order in ("balanced", "grouped")
    loss, norm = result.losses[0] if result.losses else (None, None)
    cells = [
        order,
        case.name if order != "packed" else "fused_loss",
        "as shuffle" if same else f"{len(result.passes) / steps:.1f}" if result.passes else "-",
        "as shuffle" if same else f"{speed:,.0f}{' (cold)' * result.cold}" if speed else result.failed or "-",
        "-" if not tflops or case.long else f"{planned:,.0f}",
        "-" if not tflops or speed is None else f"{speed / planned * MFU:.2f}",
        *ranks,
        "-" if result.peak is None else f"{result.peak / 1e9:.1f}{' before it failed' * bool(result.failed)}",
        f"{memory / 1e9:.1f}",
        "-" if loss is None else f"{loss:.4f}",
        "-" if norm is None else f"{norm:.4g}",
    ]
    return f"| {' | '.join(cells)} |"


COLUMNS = (
    "order", "loss", "passes a step", "tokens/s", "plan", "of the card's speed", "8 ranks, tokens/s a GPU", "64 ranks",
    "peak, GB", "plan, GB", "printed loss", "gradient norm",
)  # fmt: skip


def main() -> None:
    """Measure, and print the table."""
    begin = time.perf_counter()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=8.0, help="of everything, making the model included")
    parser.add_argument("--attention", choices=("fa2", "sdpa"), help="unset: flash-attention 2 where it is installed")
    parser.add_argument(
        "--lengths", help="a file with the tokens of one row a line; unset: those that are stated above"
    )
    parser.add_argument("--tokenizer", help="a folder; unset: one is made of the demo's texts")
    parser.add_argument("--layers", type=int, help="of the language model; unset: 28, or as many as fit")
    parser.add_argument("--rows", type=int, help="of a step; unset: as many as each case can take several times")
    parser.add_argument("--tflops", type=float, help="of the card in bfloat16; unset: by its name")
    parser.add_argument("--tiny", action="store_true", help="a toy on the CPU")
    arguments = parser.parse_args()
    end = begin + 57 * arguments.minutes  # the rest is for what is computed

    # before torch is imported: one card, since LLaMA-Factory trains on several under torchrun only
    os.environ["CUDA_VISIBLE_DEVICES"] = (
        "" if arguments.tiny else os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]
    )
    os.environ |= {"HF_HUB_OFFLINE": "1", "LLAMAFACTORY_VERBOSITY": "WARN", "TOKENIZERS_PARALLELISM": "false"}
    os.environ.setdefault("PYTORCH_CUDA_ALLOC_CONF", "expandable_segments:True")

    import torch

    import virgo_factory

    virgo_factory.register()
    if not (arguments.tiny or torch.cuda.is_available()):
        raise SystemExit("No GPU is visible (nvidia-smi says which there are). --tiny tries the script on the CPU.")

    tflops = arguments.tflops
    if not (tflops or arguments.tiny):
        tflops = next((value for word, value in SPEEDS.items() if word in torch.cuda.get_device_name(0)), None)

    with (
        tempfile.TemporaryDirectory() as folder,
        contextlib.redirect_stdout(sys.stderr),
    ):  # logs are no part of a table
        bench = Bench(arguments, Path(folder))
        share = (end - time.perf_counter()) / len(CASES)
        guess = bench.planned(CASES[0], bench.spread, tflops or 312.0)[1] * share / 5  # tokens of a step
        count = arguments.rows or (6 if arguments.tiny else int(np.clip(guess / bench.spread.mean(), 8, 64)))
        batch = spread(bench.lengths, count)
        results: dict[str, Result] = {}
        for place, case in enumerate(sorted(CASES, key=lambda case: not case.long)):  # the short ones first
            left = end - time.perf_counter()
            lengths = (
                np.array([bench.long] * 2) if case.long else batch
            )  # the second has the first's gradients beside it
            seconds = left / (len(CASES) - place)
            results[case.name] = (
                bench.run(case, lengths, seconds, min(2 * seconds, left))
                if left > 5
                else Result(failed="no time left")
            )
            told = results[case.name].failed or f"{len(results[case.name].passes)} passes"
            print(f"{case.name}: {told}, {time.perf_counter() - begin:.0f} s", flush=True)

        text = head(bench, arguments, tflops, batch)
        lines = [line(order, case, results, bench, tflops, batch) for order, case in TABLE]

    print(*text, "", f"| {' | '.join(COLUMNS)} |", "|---" * len(COLUMNS) + "|", *lines, sep="\n", flush=True)


if __name__ == "__main__":
    main()
