"""A training forked from the warm process is the stock command's, bit by bit, ZeRO-3 by torchrun too; one rank: test_scope.py."""

import json
from pathlib import Path

import pytest


pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]
CONFIG = str(Path(__file__).parents[2] / "recipes" / "deepspeed" / "ds_z3.json")


def test_weights_and_losses_are_those_of_the_stock_command(bench):
    for name in ("stock", "forked"):
        bench.train(2, stock=name == "stock", output_dir=name, deepspeed=CONFIG, max_steps=3)

    stock, forked = (bench.folder / name for name in ("stock", "forked"))
    assert (stock / "model.safetensors").read_bytes() == (forked / "model.safetensors").read_bytes()
    assert (bench.base / "model.safetensors").read_bytes() != (forked / "model.safetensors").read_bytes()
    histories = [json.loads((folder / "trainer_state.json").read_text())["log_history"] for folder in (stock, forked)]
    losses = [[(entry["loss"], entry["grad_norm"]) for entry in history if "loss" in entry] for history in histories]
    assert losses[0] == losses[1] and len(losses[0]) == 3
    accounts = [json.loads((folder / "virgo_rows.json").read_text()) for folder in (stock, forked)]
    assert accounts[0] == accounts[1]
