"""Real model output, a real tokenizer: the row account of a run against a count that knows nothing of the package."""

import json
import re
from pathlib import Path

import pytest
import torch
import yaml
from PIL import Image
from safetensors import safe_open
from transformers import AutoTokenizer

from tests.integration.conftest import SMALL
from virgo_factory.core.thought import LongThought
from virgo_factory.io.cpu import has_bf16


pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]
WELL_FORMED = re.compile(
    r"\s*<\|begin_of_thought\|>(.*)<\|end_of_thought\|>\s*<\|begin_of_solution\|>(.*)<\|end_of_solution\|>\s*",
    re.DOTALL,
)
CUTOFF = 1200
FEW = {"max_samples": 200, "cutoff_len": 800}
"""Where markers are looked at: of these rows some are kept."""
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def rows(shared_data) -> list[tuple[str, str]]:
    """The 1,412 real responses, each with its question."""
    rows = []
    for file in sorted((shared_data / "skythought").glob("*.jsonl")):
        for line in file.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            rows += [(row["question"], response) for response in row["code"]]

    for file in sorted((shared_data / "skythought").glob("*.json")):
        for question, row in json.loads(file.read_text(encoding="utf-8")).items():
            for response in row["responses"].values():
                rows.append((question, response["content"]))

    return rows


@pytest.fixture(scope="module")
def bench_of(rows, tmp_path_factory, make_bench):
    """A function: tokenizer -> a bench with a twin of Qwen2.5-VL that has it, and the responses as chat rows."""
    from virgo_factory.preflight.twin.twin import make_twin

    def make(tokenizer: Path):
        folder = tmp_path_factory.mktemp("real")
        make_twin(folder / "base", tokenizer, family="qwen2_5_vl", dtype="float32", **SMALL)
        bench, lines = make_bench(folder, folder / "base"), []
        for number, (question, response) in enumerate(rows):
            messages = [{"role": "user", "content": question}, {"role": "assistant", "content": response}]
            lines.append(json.dumps({"id": f"sky-{number}", "messages": messages}))

        bench.add_dataset("real", lines)
        return bench

    return make


@pytest.fixture(scope="module")
def real(bench_of, real_model_folder):
    """With the real tokenizer."""
    return bench_of(real_model_folder)


@pytest.fixture(scope="module")
def fewer(bench_of, model_folder):
    """With the first merges of the real tokenizer."""
    return bench_of(model_folder)


def test_row_account_equals_an_independent_count(real, rows):
    """Kept rows = well formed by a regular expression and short enough by the tokenizer alone."""
    tokenizer = AutoTokenizer.from_pretrained(real.base)
    prefix = (ROOT / "templates" / "virgo.prefix.txt").read_text()
    head = "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n"
    malformed, overlong = 0, 0
    for question, response in rows:
        found = WELL_FORMED.fullmatch(response)
        if not found or "<|" in found.group(1) + found.group(2):
            malformed += 1
            continue

        thought, solution = (part.strip() for part in found.groups())
        text = (
            f"{head}{prefix}\n{question}<|im_end|>\n<|im_start|>assistant\n<|begin_of_thought|>\n\n{thought}\n\n"
            f"<|end_of_thought|>\n\n<|begin_of_solution|>\n\n{solution}\n\n<|end_of_solution|><|im_end|>\n"
        )
        overlong += len(tokenizer.encode(text)) > CUTOFF

    assert malformed == len(rows) - 842
    real.train(dataset="real", cutoff_len=CUTOFF, max_steps=1, global_batch_size=1)
    account = real.rows_json()["real"]
    assert account["rows_in"] == len(rows) == 1412
    assert account["reasons"].pop(f"overlong > {CUTOFF} tokens") == overlong
    assert sum(account["reasons"].values()) == malformed
    assert account["kept"] == 842 - overlong > 0


def test_marker_rows_under_zero3(fewer):
    """With a learning rate of nothing, the checkpoint holds the mean of each marker's pieces, in both matrices."""
    config = str(ROOT / "recipes" / "deepspeed" / "ds_z3.json")
    fewer.train(
        2,
        dataset="real",
        **FEW,
        max_steps=1,
        global_batch_size=2,
        learning_rate=1e-30,
        marker_tokens=True,
        deepspeed=config,
        output_dir="markers",
    )
    before, after = AutoTokenizer.from_pretrained(fewer.base), AutoTokenizer.from_pretrained(fewer.folder / "markers")
    with (
        safe_open(fewer.base / "model.safetensors", "pt") as start,
        safe_open(fewer.folder / "markers" / "model.safetensors", "pt") as end,
    ):
        assert set(start.keys()) == set(end.keys())
        for marker in ("<|begin_of_thought|>", "<|end_of_thought|>", "<|begin_of_solution|>", "<|end_of_solution|>"):
            (token,) = after.encode(marker)
            pieces = before.encode(marker)
            assert len(pieces) > 1
            for name in ("model.embed_tokens.weight", "lm_head.weight"):
                wanted = start.get_tensor(name)[pieces].float().mean(dim=0).bfloat16()
                assert torch.equal(end.get_tensor(name)[token].bfloat16(), wanted), (marker, name)
                assert wanted.norm() > 0


def test_markers_survive_a_second_stage(fewer):
    """The second stage starts from a checkpoint that has the tokens: nothing is initialised again."""
    again = {"max_steps": 1, "global_batch_size": 1, "dataset": "real"} | FEW
    first = fewer.folder / "markers"
    if not first.is_dir():
        pytest.skip("the run of test_marker_rows_under_zero3 is missing")

    log = fewer.train(model_name_or_path=str(first), marker_tokens=True, output_dir="second", **again)
    assert "marker rows set" not in log


def _visual_rows(folder: Path, lines: list[str]) -> dict[str, list[str]]:
    """Return rows of the columns of D_SD as released, and of QVQ's as converted, each on a drawn picture."""
    Image.new("RGB", (84, 56), "navy").save(folder / "drawn.png")
    released, converted = [], []
    for number, line in enumerate(lines):
        row = json.loads(line)
        responses = [row["combined_text"] + " " * (5 - place) for place in range(5)]
        conversation = [
            {"from": "human", "value": f"<image>{row['question']}"},
            {"from": "gpt", "value": row["combined_text"]},
        ]
        released.append(
            {
                "question": f"<image>\n{row['question']}",
                "answer": "1",
                "response": responses,
                "score": [1, 1, 1, 1, number % 2],
                "conversation": conversation,
                "images": ["drawn.png"],
            }
        )
        long_thought = LongThought.parse(row["combined_text"])
        converted.append(
            {
                "id": str(number),
                "question": f"<image>{row['question']}",
                "thought": long_thought.thought,
                "solution": long_thought.solution,
                "images": ["drawn.png"],
            }
        )

    return {"virgo_dsd": list(map(json.dumps, released)), "virgo_dqvq": list(map(json.dumps, converted))}


RECIPES = [f"virgo7b_{name}.yaml" for name in ("dt", "dt_dsd", "dqvq", "dt_lora", "dt_marker_tokens")]
"""One of each kind; those for 72B are the same but for the model (tests/test_recipes.py)."""


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_of_each_kind_trains_a_twin(bench, demo_lines, name):
    """On a twin and rows of the columns of its datasets; only what a GPU is needed for is changed."""
    entries = json.loads((ROOT / "dataset_info.json").read_text())
    lines = sorted(demo_lines, key=len)[:8]
    rows = {"virgo_dt": [json.dumps({key: json.loads(line)[key] for key in ("question", "combined_text", "domain")})
                         for line in lines]}  # fmt: skip
    rows |= _visual_rows(bench.folder / "data", lines)
    recipe = yaml.safe_load((ROOT / "recipes" / name).read_text())
    names = recipe["dataset"].split(",")
    for dataset in names:
        options = {key: value for key, value in entries[dataset].items() if key in ("formatting", "difficulty")}
        bench.add_dataset(dataset, rows[dataset], **options)

    recipe |= {
        "model_name_or_path": str(bench.base),
        "dataset_dir": "data",
        "output_dir": f"out_{name}",
        "use_cpu": True,
        "bf16": has_bf16(),
        "flash_attn": "disabled",
        "enable_liger_kernel": False,
        "preprocessing_num_workers": 1,
        "global_batch_size": 4,
        "num_train_epochs": 1.0,
        "keep_model_at_epochs": [1],
        "plot_loss": False,
    }
    if "media_dir" in recipe:
        recipe["media_dir"] = "data"

    if "deepspeed" in recipe:
        recipe["deepspeed"] = str(ROOT / recipe["deepspeed"])

    bench.train_recipe(recipe, ranks=1 if "deepspeed" in recipe else 0)
    assert (bench.folder / f"out_{name}" / "epoch-1" / "tokenizer.json").is_file(), name
    accounts = bench.rows_json(f"out_{name}")
    assert set(accounts) == set(names)
    assert all(account["kept"] == 8 for account in accounts.values())
