"""What stands twice in a model is found; what training, or the base, leaves alike raises no alarm."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForImageTextToText

from tests.preflight.conftest import FILE, Weights, edited
from virgo_factory.hooks.model.marker_tokens import initialise_rows
from virgo_factory.preflight.checkpoint.check import check_checkpoint
from virgo_factory.preflight.diagnosis import Diagnosis
from virgo_factory.preflight.twin.twin import make_twin


DOWN = "model.layers.{}.mlp.down_proj.weight"
EMBEDDING = "model.embed_tokens.weight"


def told(folder: Path, base: Path | None = None, check: str = "copies") -> list[Diagnosis]:
    found = [item for item in check_checkpoint(folder, base) if item.check == check]
    assert all(item.severity == "ok" or item.remedy for item in found)
    return found


def test_a_model_that_was_trained_in_truth_raises_no_alarm(whole, base):
    found = check_checkpoint(whole, base)
    assert {item.severity for item in found} == {"ok"}, [item for item in found if item.severity != "ok"]
    alone = {item.check for item in check_checkpoint(whole) if item.severity != "ok"}
    assert alone == {"vision tower"}  # which cannot be compared


@pytest.mark.integration
@pytest.mark.parametrize("family", ["qwen2_vl", "qwen2_5_vl"])
@pytest.mark.parametrize("tied", [False, True])
def test_neither_does_a_random_one_nor_one_trained_from_it(tmp_path, train, family, tied):
    fresh = make_twin(tmp_path / "fresh", family=family, tied=tied)
    alarms = {item.check for item in check_checkpoint(fresh) if item.severity != "ok"}
    assert alarms == {"vision tower"}
    found = check_checkpoint(train(fresh, tmp_path / "trained"), fresh)
    assert {item.severity for item in found} == {"ok"}, [item for item in found if item.severity != "ok"]


def test_marker_rows_that_begin_alike_are_no_fault(trained, base):
    model = AutoModelForImageTextToText.from_pretrained(trained, dtype=torch.bfloat16)
    initialise_rows(model, dict.fromkeys(range(1460, 1464), [5, 9, 12]))
    (trained / FILE).unlink()
    model.save_pretrained(trained)
    for before in (None, base):
        assert [item.severity for item in told(trained, before)] == ["ok"]


def rows_alike(name: str, rows: slice, source: int = 3) -> Callable[[Weights], None]:
    return lambda weights: weights[name].__setitem__(rows, weights[name][source].clone())


def second_half_again(weights: Weights) -> None:
    """As of a vocabulary whose parts were gathered from one rank twice."""
    weights[EMBEDDING][736:1454] = weights[EMBEDDING][: 1454 - 736].clone()


def copied(source: str, target: str) -> Callable[[Weights], None]:
    return lambda weights: weights.update({target: weights[source].clone()})


@pytest.mark.parametrize(
    ("change", "with_base", "severity", "said"),
    [
        (rows_alike(EMBEDDING, slice(None)), False, "error", f"{EMBEDDING}: "),
        (rows_alike("lm_head.weight", slice(None)), False, "error", "lm_head.weight: "),
        (rows_alike(EMBEDDING, slice(100, 400)), False, "error", f"{EMBEDDING}: 301 of 1,4"),
        (rows_alike(EMBEDDING, slice(100, 130)), False, "warning", f"{EMBEDDING}: 31 of 1,4"),
        (rows_alike(EMBEDDING, slice(100, 102)), False, "ok", ""),
        (rows_alike(EMBEDDING, slice(100, 102)), True, "error", f"{EMBEDDING}: 3 of 1,4"),
        (rows_alike(EMBEDDING, slice(1456, None)), True, "ok", ""),  # rows that no token uses
        (second_half_again, False, "error", f"{EMBEDDING}: 1,4"),
        (copied(DOWN.format(1), DOWN.format(3)), False, "error", f"{DOWN.format(1)}, {DOWN.format(3)} are the same"),
        (copied(DOWN.format(1), DOWN.format(3)), True, "error", f"{DOWN.format(1)}, {DOWN.format(3)} are the same"),
        (copied("visual.blocks.0.attn.qkv.weight", "visual.blocks.2.attn.qkv.weight"), False, "error", "visual.blocks.0.attn"),
        (copied("model.layers.0.mlp.gate_proj.weight", "model.layers.0.mlp.up_proj.weight"), False, "error", "model.layers.0.mlp.gate"),
    ],
)  # fmt: skip
def test_what_stands_twice(trained, base, change, with_base, severity, said):
    (found,) = told(edited(trained, change), base if with_base else None)
    assert (found.severity, said in found.found) == (severity, True), found


def layers_copied(weights: Weights) -> None:
    for name in list(weights):
        if name.startswith("model.layers.1."):
            for layer in (2, 3):
                weights[name.replace(".1.", f".{layer}.", 1)] = weights[name].clone()


def test_whole_layers(trained, base, tmp_path):
    """By themselves a warning: models are made larger so. Not where the base has the same, an error where it has not."""
    edited(trained, layers_copied)
    said = "model.layers: layers 1-3 are one another's copies"
    assert [(item.severity, item.found) for item in told(trained)] == [("warning", said)]
    assert [(item.severity, item.found) for item in told(trained, base)] == [("error", said)]
    larger = edited(Path(shutil.copytree(base, tmp_path / "larger")), layers_copied)
    assert [item.severity for item in told(trained, larger)] == ["ok"]


def head_is_embedding(weights: Weights) -> None:
    weights["lm_head.weight"] = weights[EMBEDDING].clone()


def ties(folder: Path, tied: bool) -> None:
    config = json.loads((folder / "config.json").read_text())
    for part in (config, config["text_config"]):
        part["tie_word_embeddings"] = tied

    (folder / "config.json").write_text(json.dumps(config))


@pytest.mark.slow
def test_a_head_that_is_the_embedding(trained, base, tmp_path):
    edited(trained, head_is_embedding)
    assert [item.severity for item in told(trained)] == ["warning"]
    (found,) = told(trained, base)
    assert (found.severity, found.found.split(",")[0]) == ("error", f"lm_head.weight is {EMBEDDING}")
    same = edited(Path(shutil.copytree(base, tmp_path / "same")), head_is_embedding)
    assert [item.severity for item in told(trained, same)] == ["ok"]
    ties(trained, True)
    assert [item.severity for item in told(trained, base)] == ["ok"]


def test_a_head_that_is_not_the_embedding_it_is_tied_to(trained, base):
    ties(trained, True)
    (found,) = told(trained, base)
    assert (found.severity, "one of them is not used" in found.found) == ("error", True)
