"""What no training makes of a base is found and said for what it is; real trainings and merges raise no alarm."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForImageTextToText

from tests.preflight.conftest import FILE, Weights, edited
from virgo_factory.preflight.checkpoint.check import check_checkpoint
from virgo_factory.preflight.diagnosis import Diagnosis


LAYER = "model.layers.{}."
DOWN, QUERY, UP, GATE = (
    f"{LAYER}{name}.weight" for name in ("mlp.down_proj", "self_attn.q_proj", "mlp.up_proj", "mlp.gate_proj")
)
EMBEDDING = "model.embed_tokens.weight"


def told(folder: Path, base: Path) -> list[Diagnosis]:
    return [item for item in check_checkpoint(folder, base) if item.check == "changes"]


def layer(number: int, change: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[Weights], None]:
    def apply(weights: Weights) -> None:
        for name in weights:
            if name.startswith(LAYER.format(number)):
                weights[name] = change(weights[name]).bfloat16()

    return apply


def tensor(name: str, change: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[Weights], None]:
    return lambda weights: weights.update({name: change(weights[name]).bfloat16()})


def redrawn(scale: float) -> Callable[[torch.Tensor], torch.Tensor]:
    return lambda value: torch.randn(value.shape, generator=torch.Generator().manual_seed(1)) * 0.02 * scale


def exchanged(*pairs: tuple[str, str]) -> Callable[[Weights], None]:
    def apply(weights: Weights) -> None:
        for one, other in pairs:
            for name in [name for name in weights if name.startswith(one)]:
                partner = other + name.removeprefix(one)
                weights[name], weights[partner] = weights[partner], weights[name]

    return apply


@pytest.mark.parametrize(
    ("change", "severity", "said"),
    [
        (layer(1, redrawn(50)), "error", f"unlike the base .* 50 times its size added.*: {DOWN.format(1)}"),
        (layer(1, redrawn(1)), "error", f"unlike the base .*: {DOWN.format(1)}"),
        (layer(2, lambda value: 2 * value), "error", f"2 times the base's: {DOWN.format(2)}"),
        (layer(2, lambda value: -value), "error", f"-1 times the base's: {DOWN.format(2)}"),
        (tensor(DOWN.format(2), lambda value: 1.4 * value), "warning", f"1.4 times the base's: {DOWN.format(2)}$"),
        (tensor(DOWN.format(3), redrawn(1)), "error", f"unlike the base .*: {DOWN.format(3)}$"),
        (tensor("model.layers.1.input_layernorm.weight", lambda value: 2 * value), "warning", "2 times the base's: model.layers.1.inp"),
        (exchanged((LAYER.format(0), LAYER.format(3))), "error", f"the numbers of the base's model.layers.3: {DOWN.format(0)}"),
        (exchanged((GATE.format(1), UP.format(1))), "error", f"the numbers of the base's {GATE.format(1)}: {UP.format(1)}$"),
        (exchanged((EMBEDDING, "lm_head.weight")), "error", f"the numbers of the base's {EMBEDDING}: lm_head.weight$"),
        (tensor(QUERY.format(2), torch.t), "error", f"the numbers of the base's {QUERY.format(2)}, transposed: {QUERY.format(2)}$"),
        (tensor(UP.format(2), lambda value: value.T.reshape(value.shape)), "error", f"{UP.format(2)}, transposed: {UP.format(2)}$"),
        (tensor(UP.format(2), lambda value: value.roll(7, 0)), "error", f"unlike the base .*: {UP.format(2)}$"),
    ],
)  # fmt: skip
def test_what_no_training_makes(trained, base, change, severity, said):
    found = told(edited(trained, change), base)
    assert min(item.severity for item in found) == severity, found
    assert any(item.severity == severity and re.search(said, item.found) for item in found), found
    assert all(item.remedy for item in found)


def test_two_layers_exchanged_are_said_both(trained, base):
    found = told(edited(trained, exchanged((LAYER.format(0), LAYER.format(3)))), base)
    assert [item.found.split(":")[0] for item in found] == [
        f"the numbers of the base's model.layers.{layer}" for layer in (3, 0)
    ]


@pytest.mark.slow
def test_another_base_is_a_warning(trained, base, tmp_path):
    other = edited(Path(shutil.copytree(base, tmp_path / "other")), lambda weights: weights.update(
        {name: redrawn(1)(value).bfloat16() for name, value in weights.items() if name.startswith("model.layers")}))  # fmt: skip
    found = told(trained, other)
    assert "warning" in {item.severity for item in found}, found


@pytest.mark.integration
@pytest.mark.parametrize("rate", [1e-3, 1e-2])
def test_long_trainings_at_high_rates_raise_no_alarm(base, tmp_path, rate):
    torch.manual_seed(0)
    model = AutoModelForImageTextToText.from_pretrained(base, dtype=torch.float32)
    model.model.visual.requires_grad_(False)
    optimizer = torch.optim.AdamW([value for value in model.parameters() if value.requires_grad], lr=rate)
    for _ in range(40):
        ids = torch.randint(0, 600, (2, 12)).repeat(1, 2)
        model(input_ids=ids, labels=ids).loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    folder = Path(shutil.copytree(base, tmp_path / "long"))
    (folder / FILE).unlink()
    model.bfloat16().save_pretrained(folder)
    (found,) = told(folder, base)
    assert found.severity == "ok", found


@pytest.mark.slow
@pytest.mark.parametrize("modules", [["q_proj", "v_proj"], ["down_proj"]])
@pytest.mark.parametrize("size", [0.001, 0.05])
def test_merges_raise_no_alarm_unless_something_broke(base, tmp_path, modules, size):
    torch.manual_seed(0)
    model = AutoModelForImageTextToText.from_pretrained(base, dtype=torch.bfloat16)
    for name, value in model.named_parameters():
        if (
            any(f"language_model.layers.{place}" in name for place in range(4))
            and any(one in name for one in modules)
            and value.ndim > 1
        ):
            value.data += (torch.randn(len(value), 4) @ torch.randn(4, value.shape[1]) * size / 2).to(value.dtype)

    folder = Path(shutil.copytree(base, tmp_path / "merged"))
    (folder / FILE).unlink()
    model.save_pretrained(folder)
    assert [item.severity for item in told(folder, base)] == ["ok"]
    edited(folder, lambda weights: weights["model.layers.1.self_attn.v_proj.bias"].fill_(float("nan")))
    assert any(item.severity == "error" and "NaN in model.layers.1.self_attn.v_proj.bias" in item.found
               for item in check_checkpoint(folder, base))  # fmt: skip
