"""The tiny model that a demo on pictures starts from: random weights, drawn rows, and the stock command that trains it."""

import json
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from virgo_factory import __version__
from virgo_factory.demo.steps import Progress, Step, train
from virgo_factory.io.files import DATASET_INFO


ROPE_THETA = 20.0
"""Base of the rotary positions, a million in the real models: a head of 32 could not tell neighbouring image tokens
apart by it (their column has the slowest sixteenths of a turn)."""

SCALE = 3.0
"""By which the twin's random matrices are multiplied: at a width of 128, 0.02 is so small that learning starts late."""

RECIPE = {
    "image_max_pixels": 65536,
    "disable_gradient_checkpointing": True,
    "stage": "sft",
    "do_train": True,
    "finetuning_type": "full",
    "freeze_vision_tower": False,
    "freeze_multi_modal_projector": False,
    "dataset": "pictures",
    "template": "qwen2_vl",
    "cutoff_len": 512,
    "preprocessing_num_workers": 1,
    "logging_steps": 10,
    "plot_loss": True,
    "report_to": "none",
    "save_strategy": "no",
    "overwrite_output_dir": True,
    "use_cpu": True,
    "per_device_train_batch_size": 32,
    "gradient_accumulation_steps": 1,
    "adam_beta2": 0.99,
    "learning_rate": 3.0e-3,
    "lr_scheduler_type": "cosine",
    "warmup_steps": 30,
    "max_steps": 1000,
    "seed": 42,
}
"""How a base model learns to see: stock LLaMA-Factory, without anything of this package."""

MADE_WITH = "made_with.json"  # beside the base model: what it was made with


class Base:
    """A base model, and all that decides what it is."""

    def __init__(
        self,
        # holds what it starts from (`start`, the tiny random model), what it learns from (`pictures`), and the model
        # (`output`)
        folder: Path,
        rows: int,  # how many it learns from
        twin: Mapping[str, Any],  # arguments of `make_twin`
        settings: Mapping[str, Any] = {},  # keys of its recipe that are other than in RECIPE
    ) -> None:
        self.folder, self.twin = folder, twin
        self.start, self.pictures, self.output = (folder / name for name in ("start", "pictures", "base"))
        self.recipe = RECIPE | dict(settings)  # what the stock command is told, but for paths
        self.made_with = {"version": __version__, "rows": rows, "twin": dict(twin), "recipe": self.recipe}

    @property
    def training(self) -> Step:
        """How it learns to see."""
        return Step(("llamafactory-cli", "train", str(self.folder / "base.yaml")), self.output)

    @property
    def is_made(self) -> bool:
        """Whether the model is there, made with these settings by this version."""
        file = self.output / MADE_WITH
        return file.is_file() and json.loads(file.read_text(encoding="utf-8")) == self.made_with

    def clear(self) -> None:
        """Remove what an earlier demo made of it."""
        for folder in (self.output, self.start, self.pictures):
            shutil.rmtree(folder, ignore_errors=True)

    def write(self, rows: Sequence[Mapping[str, Any]], texts: Iterable[str]) -> None:
        """Write all that training needs: rows (chats, their pictures are there), random model with a tokenizer of `texts`, recipe."""
        from virgo_factory.preflight.twin.twin import make_twin

        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (self.pictures / "pictures.jsonl").write_text(lines, encoding="utf-8")
        entry = {"file_name": "pictures.jsonl", "formatting": "sharegpt"}
        entry["columns"] = {"messages": "messages", "images": "images"}
        entry["tags"] = {f"{name}_tag": name for name in ("role", "content", "user", "assistant")}
        (self.pictures / DATASET_INFO.name).write_text(json.dumps({"pictures": entry}), encoding="utf-8")
        make_twin(self.start, texts=texts, dtype="float32", **self.twin)
        _make_learnable(self.start)
        keys = {"model_name_or_path": self.start, "dataset_dir": self.pictures, "media_dir": self.pictures}
        recipe = {key: str(path) for key, path in keys.items()} | self.recipe | {"output_dir": str(self.output)}
        (self.folder / "base.yaml").write_text(yaml.safe_dump(recipe, sort_keys=False), encoding="utf-8")

    def train(self) -> Iterator[Progress]:
        """Train it, yielding where it stands, and note what made it; see `steps.train`."""
        yield from train(self.training)
        (self.output / MADE_WITH).write_text(json.dumps(self.made_with, indent=2) + "\n", encoding="utf-8")


def _make_learnable(folder: Path) -> None:
    """Change positions and scale of a twin's weights so that it learns within minutes; see ROPE_THETA and SCALE."""
    import torch
    from transformers import AutoModelForImageTextToText

    model = AutoModelForImageTextToText.from_pretrained(folder, dtype="auto")
    for config in (model.config, model.config.text_config):
        config.rope_theta = ROPE_THETA

    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.ndim > 1:
                weight.mul_(2.0 if "patch_embed" in name else SCALE)

    model.save_pretrained(folder)
