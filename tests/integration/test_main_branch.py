"""LLaMA-Factory's main branch of 2026-08, as far as it is known: the lines that are otherwise there, in a copy of the installed one.

The branch itself was never run. What is told of it (hooks/contract.py, docs/versions.md) is run here: that it is known as
untested, that every quoted line is found, and that marker tokens are trained on it. That it is refused: tests/hooks/start/test_run.py.
"""

import importlib.util
import shutil
from pathlib import Path

import pytest
from safetensors.torch import load_file
from transformers import AutoTokenizer

from virgo_factory.core.thought import MARKERS


pytestmark = [pytest.mark.integration, pytest.mark.timeout(1200)]
STOCK = Path(importlib.util.find_spec("llamafactory").origin).parent
EDITS = {
    "model/loader.py": (
        "    if not lazy_load:\n        patch_model(model, tokenizer, model_args, is_trainable, add_valuehead)\n"
        "        register_autoclass(config, model, tokenizer)\n",
        "    patch_model(model, tokenizer, model_args, is_trainable, add_valuehead)\n"
        "    register_autoclass(config, model, tokenizer)\n",
    ),
    "model/model_utils/embedding.py": (
        "    if len(tokenizer) > current_embedding_size:\n",
        "    needs_resize = len(tokenizer) > current_embedding_size\n    if needs_resize:\n",
    ),
}


@pytest.fixture
def site(tmp_path) -> Path:
    """A folder for PYTHONPATH with LLaMA-Factory as it is on its main branch, under a version of its own."""
    site = tmp_path / "site"
    shutil.copytree(STOCK, site / "llamafactory", ignore=shutil.ignore_patterns("__pycache__"))
    for name, (stock, main) in EDITS.items():
        file = site / "llamafactory" / name
        content = file.read_text(encoding="utf-8")
        assert content.count(stock) == 1, name
        file.write_text(content.replace(stock, main), encoding="utf-8")

    with (site / "llamafactory" / "__init__.py").open("a", encoding="utf-8") as file:
        file.write("\nprint(f'imported from {__file__}')\n")

    described = site / "llamafactory-0.9.6.dev0.dist-info"
    described.mkdir()
    (described / "METADATA").write_text("Metadata-Version: 2.1\nName: llamafactory\nVersion: 0.9.6.dev0\n")
    return site


def test_marker_tokens_are_trained_on_the_main_branch(make_bench, tmp_path, base, demo_lines, site, root):
    bench = make_bench(tmp_path, base)
    bench.add_dataset("thoughts", demo_lines[:8])
    env = {"PYTHONPATH": f"{site}:{root}", "DISABLE_VERSION_CHECK": "1"}
    log = bench.train(env=env, stock=True, marker_tokens=True, batch_order="packed", max_steps=2)
    assert f"imported from {site}" in log and "marker rows set in a matrix of" in log
    told = "has not been tested with LLaMA-Factory 0.9.6.dev0, only with 0.9.5. All that it relies on stands there"
    assert told in log
    ids = AutoTokenizer.from_pretrained(bench.folder / "out").convert_tokens_to_ids(list(MARKERS))
    pieces = AutoTokenizer.from_pretrained(base)
    trained, before = (load_file(folder / "model.safetensors") for folder in (bench.folder / "out", base))
    name = next(name for name in trained if name.endswith("embed_tokens.weight"))
    for marker, number in zip(MARKERS, ids, strict=True):
        wanted = before[name][pieces.encode(marker, add_special_tokens=False)].float().mean(dim=0)
        assert (trained[name][number].float() - wanted).norm() < 0.5 * wanted.norm() < 10
