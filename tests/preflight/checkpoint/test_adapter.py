"""An adapter as peft saves it, and the model it was merged into: both are proven by their files."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import Qwen2VLForConditionalGeneration

from tests.preflight.conftest import Weights, edited
from virgo_factory.preflight.checkpoint.check import check_checkpoint
from virgo_factory.preflight.twin.twin import make_twin


ADAPTER = "adapter_model.safetensors"
UP = "base_model.model.model.language_model.layers.1.mlp.up_proj.lora_B.weight"


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A folder with a base, an adapter as after training, and both merged as LLaMA-Factory exports it."""
    folder = tmp_path_factory.mktemp("made")
    base = make_twin(folder / "base", layers=3)
    model = Qwen2VLForConditionalGeneration.from_pretrained(base, dtype=torch.bfloat16)
    wanted = r"model\.language_model.*\.(q_proj|v_proj|up_proj|down_proj)"
    tuned = get_peft_model(model, LoraConfig(r=4, lora_alpha=8, target_modules=wanted))
    generator = torch.Generator().manual_seed(0)
    for name, value in tuned.named_parameters():
        if "lora_B" in name:
            value.data = 0.02 * torch.randn(value.shape, generator=generator)

    tuned.peft_config["default"].base_model_name_or_path = str(base)
    tuned.save_pretrained(folder / "adapter")
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copy(base / name, folder / "adapter")

    shutil.copytree(base, folder / "merged")
    tuned.merge_and_unload().save_pretrained(folder / "merged")
    return folder


@pytest.fixture
def adapter(made, tmp_path) -> Path:
    return Path(shutil.copytree(made / "adapter", tmp_path / "adapter"))


def errors(*args, **more) -> list[str]:
    found = check_checkpoint(*args, **more)
    assert all(item.severity == "ok" or item.remedy for item in found)
    return [f"{item.check}: {item.found}" for item in found if item.severity == "error"]


def test_a_good_adapter(made):
    for base in (None, made / "base"):
        found = check_checkpoint(made / "adapter", base)
        assert {item.severity for item in found} == {"ok"}, found
        assert "12 modules, rank 4, all of them the base's, in their sizes" in {item.found for item in found}


def zero(which: str) -> Callable[[Weights], None]:
    return lambda weights: [value.zero_() for name, value in weights.items() if which in name]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (zero("lora_B"), "adapter: all 12 lora_B are zero: it changes nothing"),
        (zero("layers.1.mlp.up_proj.lora_A"), "numbers: all zero: base_model.model.model.language_model.layers.1.mlp.up"),
        (lambda weights: weights[UP].fill_(float("nan")), f"numbers: NaN in {UP}"),
        (lambda weights: weights[UP.replace("_B", "_A")][1].fill_(float("inf")), f"numbers: Inf in {UP.replace('_B', '_A')}"),
        (lambda weights: weights.pop(UP), f"adapter: 1 matrices without their other half: {UP.replace('_B', '_A')}"),
        (lambda weights: weights.update({UP: weights[UP][:, :2].clone()}), "adapter: the two matrices have different ranks"),
        (lambda weights: weights.update({UP: weights[UP][:9].clone()}), "adapter: 0 of its modules are not in the base, 1 have"),
        (lambda weights: weights.update({name.replace("layers.2", "layers.9"): weights.pop(name) for name in list(weights)}), "adapter: 4 of its modules are not in the base"),
        (lambda weights: weights.clear(), "adapter: no lora_A and lora_B"),
    ],
)  # fmt: skip
def test_a_broken_adapter(adapter, change, said):
    edited(adapter, change, ADAPTER)
    assert [error[: len(said)] for error in errors(adapter)] == [said]


def test_an_adapter_of_which_one_module_learned_nothing(adapter):
    edited(adapter, zero("layers.1.mlp.up_proj.lora_B"), ADAPTER)
    (found,) = (item for item in check_checkpoint(adapter) if item.severity != "ok")
    assert (found.severity, UP in found.found) == ("warning", True)


def test_an_adapter_of_the_embedding_is_zero_for_tokens_that_were_not_seen(adapter):
    """peft begins with zeros in lora_embedding_A, which has a column for each token."""

    def change(weights: Weights) -> None:
        name = "base_model.model.model.language_model.embed_tokens.lora_embedding_"
        weights |= {f"{name}A": torch.zeros(4, 1472), f"{name}B": torch.randn(128, 4)}
        weights[f"{name}A"][:, 20:60] = torch.randn(4, 40)

    edited(adapter, change, ADAPTER)
    assert errors(adapter) == []
    assert {item.severity for item in check_checkpoint(adapter)} == {"ok"}


def test_settings_of_an_adapter_that_cannot_be_read(adapter):
    (adapter / "adapter_config.json").write_text('{"r": 4,}')
    (error,) = errors(adapter)
    assert error.startswith(f"files: {adapter / 'adapter_config.json'}:1:9: not JSON")


@pytest.mark.parametrize(
    ("breaking", "said"),
    [
        (lambda folder: (folder / ADAPTER).unlink(), "no adapter_model.safetensors"),
        (lambda folder: (folder / ADAPTER).write_bytes((folder / ADAPTER).read_bytes()[:-100]), "cut short"),
        (lambda folder: (folder / "adapter_config.json").unlink(), "adapter_config.json is missing"),
        (lambda folder: (folder / "adapter_config.json").write_text(json.dumps({"r": 64})), "though adapter_config.json says 64"),
    ],
)  # fmt: skip
def test_files_of_an_adapter(adapter, breaking, said):
    breaking(adapter)
    (error,) = errors(adapter)
    assert said in error


def test_the_command_runs_no_adapter(made, call):
    code, out, _ = call("checkpoint", "check", made / "adapter")
    assert code == 0 and "all of them the base's, in their sizes" in " ".join(out.split())
