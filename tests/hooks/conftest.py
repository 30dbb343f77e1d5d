"""Hooks are tested against the real LLaMA-Factory and the real tokenizer, each loaded once."""

import functools
import importlib.metadata
import json
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest


@pytest.fixture(scope="module", autouse=True)
def one_answer() -> Generator[None, None, None]:
    """Which version of a package is installed is read once: each parsing of a recipe asks several times."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("importlib.metadata.version", functools.cache(importlib.metadata.version))
        yield


@pytest.fixture(scope="session")
def one_parser() -> Generator[None, None, None]:
    """LLaMA-Factory makes a parser of the same classes once: to describe hundreds of keys takes as long as a small test."""
    from llamafactory.hparams import parser

    made = functools.cache(parser.HfArgumentParser)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parser, "HfArgumentParser", lambda of: made(of if isinstance(of, type) else tuple(of)))
        yield


@pytest.fixture(scope="module")
def hook(request, one_parser):
    """The file of hooks/ that a test file mirrors, imported behind LLaMA-Factory's arguments as in a run."""
    *folders, name = request.path.relative_to(Path(__file__).parent).with_suffix("").parts
    return importlib.import_module(".".join(["virgo_factory.hooks", *folders, name.removeprefix("test_")]))


@pytest.fixture
def told(hook, monkeypatch):
    """What that file logs, in lines."""
    lines = []
    monkeypatch.setattr(hook, "logger", SimpleNamespace(info_rank0=lines.append, warning_rank0=lines.append))
    return lines


@pytest.fixture(scope="session")
def base(tmp_path_factory) -> Path:
    """A tiny Qwen2-VL; not to be changed."""
    from virgo_factory.preflight.twin.twin import make_twin

    return make_twin(tmp_path_factory.mktemp("twin") / "base")


@pytest.fixture(scope="session")
def real_processor(model_folder):
    from transformers import AutoProcessor

    return AutoProcessor.from_pretrained(model_folder, use_fast=True)


@pytest.fixture
def processor(real_processor):
    """A processor and its tokenizer whose chat templates a test may change (a copy would cost two seconds)."""
    own = real_processor.chat_template, real_processor.tokenizer.chat_template
    yield real_processor
    real_processor.chat_template, real_processor.tokenizer.chat_template = own


@pytest.fixture
def write_data(tmp_path) -> Callable[..., None]:
    """A function: name of a dataset -> its rows, or these and what its entry says more; writes the files and the entries of all."""

    def write(formatting: str = "long_thought", **given) -> None:
        info = {}
        for name, data in given.items():
            rows, entry = data if isinstance(data, tuple) else (data, {})
            (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
            info[name] = {"file_name": f"{name}.jsonl", "formatting": formatting} | entry

        (tmp_path / "dataset_info.json").write_text(json.dumps(info))

    return write


@dataclass(frozen=True)
class Preprocessed:
    """What LLaMA-Factory's own preprocessing makes of a recipe.

    Attributes:
        module: its dataset module (`train_dataset`, `eval_dataset`).
        accounts: the row account of each dataset, by name.
        collate: features -> batch, as the trainer gets it.
        tokenizer: with which the rows were made.
    """

    module: dict
    accounts: dict[str, dict]
    collate: Callable
    tokenizer: Any


@pytest.fixture
def preprocess(tmp_path, monkeypatch, one_parser) -> Callable[[dict], Preprocessed]:
    """A function that loads the datasets of `dataset_dir` as the recipe says, with an empty cache at first."""
    import virgo_factory

    virgo_factory.register()
    from llamafactory.data import SFTDataCollatorWith4DAttentionMask, get_dataset, get_template_and_fix_tokenizer
    from llamafactory.hparams import get_train_args
    from llamafactory.model import load_tokenizer

    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")

    def run(recipe: dict) -> Preprocessed:
        stage = recipe.get("stage", "sft")
        defaults = {
            "image_max_pixels": 50176,
            "stage": "sft",
            "do_train": True,
            "finetuning_type": "full",
            "template": "virgo",
            "dataset_dir": str(tmp_path),
            "cutoff_len": 1024,
            "output_dir": str(tmp_path / "out"),
            "report_to": "none",
            "use_cpu": True,
            "bf16": True,
        }
        model_args, data_args, training_args, _, _ = get_train_args(defaults | recipe)
        tokenizer_module = load_tokenizer(model_args)
        template = get_template_and_fix_tokenizer(tokenizer_module["tokenizer"], data_args)
        kind = "rm" if stage == "dpo" else stage
        module = get_dataset(template, model_args, data_args, training_args, stage=kind, **tokenizer_module)
        content = json.loads((tmp_path / "out" / "virgo_rows.json").read_text())
        collate = SFTDataCollatorWith4DAttentionMask(template=template, model=None, **tokenizer_module)
        accounts = {entry["name"]: entry for entry in content["datasets"]}
        return Preprocessed(module, accounts, collate, tokenizer_module["tokenizer"])

    return run


@pytest.fixture(scope="session")
def checkpoint():
    """A function that writes what matters of a whole checkpoint."""

    def make(folder, step, **state) -> Path:
        path = folder / f"checkpoint-{step}"
        path.mkdir(parents=True)
        (path / "model.safetensors").write_bytes(b"")
        (path / "optimizer.pt").write_bytes(b"")
        (path / "trainer_state.json").write_text(json.dumps({"global_step": step, "train_batch_size": 1} | state))
        return path

    return make


@pytest.fixture(scope="session")
def arguments():
    """A function: output_dir and changes -> what resuming reads of the training arguments."""

    def make(output_dir, **changes):
        return SimpleNamespace(
            **{
                "do_train": True,
                "output_dir": str(output_dir),
                "train_batch_size": 1,
                "auto_find_batch_size": False,
                "per_device_train_batch_size": 1,
                "world_size": 1,
                "gradient_accumulation_steps": 1,
                "dataloader_drop_last": False,
                "num_train_epochs": 1.0,
                "max_steps": -1,
                "resume_from_checkpoint": None,
                "group_by_length": False,
                "train_sampling_strategy": "random",  # its name in transformers 5
                "seed": 42,
                "data_seed": None,
            }
            | changes
        )

    return make


@pytest.fixture(scope="session")
def found_by_llamafactory():
    """A function: output_dir -> the checkpoint that the hooked parser finds there."""

    def make(folder):
        from llamafactory.hparams import parser

        return parser.get_last_checkpoint(str(folder))

    return make
