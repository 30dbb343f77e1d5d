"""Every command in README.md, CONTRIBUTING.md and docs/ is executed, and every table there agrees with the code.

Commands for real models are executed as they stand, with overrides behind them that make the run small (see `reduced`
in conftest.py): a tiny twin, four rows, the CPU. A command that is not in COVERED fails the first test.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import textwrap
from dataclasses import fields
from importlib.metadata import requires
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
import yaml
from PIL import Image

from tests import forking
from tests.forking import COMMAND, PROGRAM, PROGRAMS
from tests.integration.conftest import Bench, forked_loading
from tests.jsonl import read_jsonl, write_jsonl
from tests.pages import ROOT, blocks, commands, text_of
from virgo_factory.cli.data import VERBS
from virgo_factory.core.recipe_keys import CHOICES, RL_DEFAULTS
from virgo_factory.core.reinforcement import CLIPS
from virgo_factory.demo import distill
from virgo_factory.evaluation.benchmarks import BENCHMARKS
from virgo_factory.evaluation.questions import write_questions
from virgo_factory.formats import FORMATTINGS, RejectedRow, read_row
from virgo_factory.io.recipes import recipe_files
from virgo_factory.rollouts.question import question_of
from virgo_factory.rollouts.servers.server import free_port


__all__ = ["forked_loading"]

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]

COVERED = {
    # what they call is run by tests of the demos, shortened, and by .ci/run
    "test_make_calls_what_the_readme_says": """
        make demo
        make test
        make demo-reinforce
        make demo-synthesize
    """,
    # resolved against the installed set, not installed
    "test_installing_moves_nothing": 'pip install ".[deepspeed]"',
    # resolved, without building flash-attn
    "test_installing_the_gpu_extras_moves_nothing": 'uv pip install --no-build-isolation-package flash-attn ".[deepspeed,gpu]"',
    "test_the_loop_is_run_by_its_own_tests": """
        make demo-distill
        virgo-factory demo distill --prepare-only
        llamafactory-cli train recipes/virgo_demo_m0.yaml
        virgo-factory distill run recipes/distill/demo.yaml
        virgo-factory distill select saves/loop/rollouts
        llamafactory-cli train recipes/virgo_demo_dsd.yaml
        llamafactory-cli train recipes/virgo_demo_dt_dsd.yaml
    """,
    # its trainings are parsed by tests/test_recipes.py; a twin trains on its rows in tests/integration
    "tests/synthesis/test_page_commands.py": """
        python benchmarks/synthesis_replay.py data_gen/example_outputs
        virgo-factory synthesize run recipes/synthesize/lgt.yaml --dry-run
        virgo-factory synthesize run recipes/synthesize/lgt.yaml max_scenes=20
        virgo-factory synthesize run recipes/synthesize/lgt.yaml
        virgo-factory synthesize status data/lgt --html lgt.html
        virgo-factory synthesize run recipes/synthesize/lgt.yaml --shard 1/2
        virgo-factory synthesize run recipes/synthesize/lgt.yaml --shard 2/2
        virgo-factory synthesize merge data/lgt-1of2 data/lgt-2of2 --out data/lgt
        FORCE_TORCHRUN=1 llamafactory-cli train recipes/lgt7b_sft.yaml
        FORCE_TORCHRUN=1 llamafactory-cli train recipes/lgt7b_sft.yaml dataset=lgt_own_sft media_dir=data/docci
    """,
    # the training reduced, and its own checkpoint checked
    "test_copy_then_train_on_one_node": """
        virgo-factory recipes copy .
        FORCE_TORCHRUN=1 llamafactory-cli train recipes/virgo7b_dt.yaml
        virgo-factory checkpoint check saves/virgo72b/full/dt/epoch-5
    """,
    # reduced, two nodes on this machine
    "test_train_on_several_nodes": """
        FORCE_TORCHRUN=1 NNODES=8 NODE_RANK=0 MASTER_ADDR=10.0.0.1 MASTER_PORT=29500 llamafactory-cli train recipes/virgo72b_dt.yaml
    """,
    # with a twin's tokenizer, the training reduced, on the row that the README shows
    "test_train_on_your_own_long_thoughts": """
        virgo-factory data add my_thoughts my_thoughts.jsonl
        virgo-factory data check my_thoughts --tokenizer Qwen/Qwen2-VL-7B-Instruct
        virgo-factory data preview my_thoughts 1 --tokenizer Qwen/Qwen2-VL-7B-Instruct --html row.html
        virgo-factory plan recipes/virgo7b_dt_lora.yaml dataset=my_thoughts
        llamafactory-cli train recipes/virgo7b_dt_lora.yaml dataset=my_thoughts output_dir=saves/my_thoughts
    """,
    "tests/evaluation/test_imports.py": """
        virgo-factory evaluate report evals/virgo7b_dt evals/virgo7b_dsd --out reports/virgo7b
        virgo-factory evaluate compare evals/virgo7b_dt evals/virgo7b_dsd
        virgo-factory evaluate rescore evals/virgo7b_dt --scorer paper --judge-url http://localhost:8001/v1 --judge-model qwen
        virgo-factory evaluate import samples_mathvision_test.jsonl --harness lmms-eval --benchmark mathvision --benchmark-dir benchmarks --out evals/lmms
    """,
    "test_score_writes_verdicts": "virgo-factory score rollouts.jsonl --gold answer --response response --question question",
    # the training reduced
    "tests/distill/test_distill_commands.py": """
        virgo-factory distill questions recipes/distill/dsd_virgo72b.yaml
        virgo-factory distill run recipes/distill/dsd_virgo72b.yaml --shard 1/2 output_dir=data/half1
        virgo-factory distill run recipes/distill/dsd_virgo72b.yaml --shard 2/2 output_dir=data/half2
        virgo-factory distill merge data/half1 data/half2 --out data/dsd_virgo72b
        virgo-factory distill run recipes/distill/dsd_virgo72b.yaml --dry-run
        virgo-factory distill run recipes/distill/dsd_virgo72b.yaml
        virgo-factory distill status data/dsd_virgo72b --html status.html
        virgo-factory distill select data/dsd_virgo72b
        FORCE_TORCHRUN=1 llamafactory-cli train recipes/virgo72b_dsd.yaml dataset=virgo72b_dsd_own media_dir=data/dsd_virgo72b output_dir=saves/dsd_own
    """,
    "tests/evaluation/test_run.py": """
        virgo-factory evaluate list
        virgo-factory evaluate choose saves/virgo7b/full/dt --dev mmmu_dev
        virgo-factory evaluate run recipes/evaluate/virgo.yaml --dry-run
        virgo-factory evaluate run recipes/evaluate/virgo.yaml
        virgo-factory evaluate status evals/virgo7b_dt --html evals.html
    """,
    "test_doctor_says_what_the_recipe_misses": "virgo-factory doctor recipes/virgo72b_dt.yaml",
    # on made-up prompts, with a twin's tokenizer; the stage is trained by tests/integration/test_reinforce.py
    "test_reinforce": """
        virgo-factory plan recipes/omr7b_gspo.yaml
        virgo-factory reinforce export recipes/omr7b_gspo.yaml --verl out/verl --nodes 8
        virgo-factory data add my_questions mine.jsonl --formatting questions --columns question=q,gold=a,images=pic --media-dir pictures
        virgo-factory data dedup data/rl_once mine.jsonl theirs.jsonl --formatting questions --across
        virgo-factory data slice rated.jsonl some.jsonl --pass-rate 0.1:0.9
        FORCE_TORCHRUN=1 NPROC_PER_NODE=4 llamafactory-cli train recipes/omr7b_gspo.yaml
        virgo-factory reinforce status saves/omr7b/full/gspo --html rollouts.html
    """,
    # on four rows, with a twin's tokenizer
    "test_plan_tells_what_the_recipe_costs": "virgo-factory plan recipes/virgo72b_dt.yaml --gpus 64 --gpu-memory 80GB",
    "test_smoke_is_run_by_its_own_tests": "virgo-factory smoke recipes/virgo72b_dt.yaml --ranks 2",
    "test_the_switch": """
        llamafactory-cli train -h | grep virgo-factory
        VIRGO_FACTORY_DISABLE=1 llamafactory-cli train -h | grep -c virgo-factory
    """,
}
"""Test, or file that runs all commands of a page -> the commands, one a line."""


def covered_by(test: str) -> list[str]:
    """Return the commands of a test."""
    return [line.strip() for line in COVERED[test].splitlines() if line.strip()]


def command(beginning: str) -> str:
    """Return the one command of the pages that begins so."""
    (found,) = {line for page in PAGES for line in commands(page, beginning) if line.startswith(beginning)}
    return found


def table(page: str, heading: str = "") -> list[list[str]]:
    """Return the cells of the first table of a page below a heading."""
    text = text_of(page)
    lines = text[text.index(heading) :].splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("|---"))
    rows = []
    for line in lines[start + 1 :]:
        if not line.startswith("|"):
            break

        rows.append([cell.strip() for cell in line.strip("|").split("|")])

    return rows


def execute(text: str, folder: Path, overrides: dict | None = None, codes: tuple[int, ...] = (0,), **environment: str):
    """Run a command of the README in a shell, with this environment's programs and the overrides behind it; it ends well."""
    behind = " ".join(f"{key}={value}" for key, value in (overrides or {}).items())
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    settings = {**os.environ, "PATH": path, "OMP_NUM_THREADS": "1", **environment}
    run = subprocess.run(
        ["bash", "-c", f"{text} {behind}"], cwd=folder, env=settings, capture_output=True, text=True, timeout=900
    )
    assert run.returncode in codes, run.stdout[-2000:] + run.stderr[-4000:]
    return run


def trained(text: str, folder: Path, overrides: dict) -> str:
    """Return what a command prints that trains, forked from a warm process.

    Launcher and torchrun start the ranks of several nodes below, and, from their first import on, those of one in
    tests/integration/test_smoke.py.
    """
    before, _, behind = text.partition("llamafactory-cli train ")
    name, *changes = behind.split()
    recipe = yaml.safe_load((folder / name).read_text(encoding="utf-8"))
    keys = dict(change.split("=", 1) for change in changes) | overrides
    recipe |= {key: yaml.safe_load(str(value)) for key, value in keys.items()}
    return Bench(folder, folder).train_recipe(recipe, ranks=int("FORCE_TORCHRUN=1" in before))


def test_every_command_is_covered():
    pages = {
        page.relative_to(ROOT).as_posix(): {
            line for block in blocks("bash", page) for line in block.splitlines() if line
        }
        for page in PAGES
    }
    assert set().union(*pages.values()) == {line for test in COVERED for line in covered_by(test)}, pages
    for test in COVERED:
        if "/" in test:
            read = [lines for page, lines in pages.items() if f'"{page}"' in text_of(test)]
            assert set(covered_by(test)) <= set().union(*read), test
        else:
            assert callable(globals()[test])


def test_make_calls_what_the_readme_says():
    calls = {
        "demo": ["virgo-factory demo"],
        "demo-distill": ["virgo-factory demo distill"],
        "demo-reinforce": ["virgo-factory demo reinforce"],
        "demo-synthesize": ["virgo-factory demo synthesize"],
        "test": ["ruff check", "-m pytest --quiet --basetemp build/tests", "-m 'integration or slow'"],
        "test-transformers5": [
            "--constraint constraints-transformers5.txt",
            "-m pytest --quiet --basetemp build/lane",
        ],
    }
    for target, lines in calls.items():
        # All prerequisites count as done: this prints, and installs nothing.
        made = ["make", "--dry-run", "--old-file=.venv/installed", target]
        run = subprocess.run(made, cwd=ROOT, capture_output=True, text=True)
        assert run.returncode == 0, run.stderr
        for line in lines:
            assert line in run.stdout

    assert "make test" in text_of(".ci/run")
    assert os.access(ROOT / ".ci/run", os.X_OK)


@pytest.mark.integration
def test_installing_moves_nothing(tmp_path):
    report = tmp_path / "report.json"
    # without an environment to build in, which is half of the time: what is to be installed is the same
    execute(command("pip install") + f" --dry-run --quiet --report {report}", ROOT, PIP_NO_BUILD_ISOLATION="0")
    installed = {item["metadata"]["name"] for item in json.loads(report.read_text())["install"]}
    assert installed == {"virgo-factory"}, "in the tested environment, nothing else is to be installed"


@pytest.mark.integration
def test_installing_the_gpu_extras_moves_nothing():
    text = command("uv pip install").replace("uv pip install", f"uv pip install --dry-run --python {sys.executable}")
    run = execute(text, ROOT, FLASH_ATTENTION_SKIP_CUDA_BUILD="TRUE")
    changes = re.findall(r"^ ([+-]) ([\w-]+)", run.stderr, re.MULTILINE)
    assert {("+", "flash-attn"), ("+", "liger-kernel")} <= set(changes)
    assert {name for _, name in changes} == {"flash-attn", "liger-kernel", "virgo-factory"}


@pytest.mark.integration
@pytest.mark.usefixtures("forked_loading")
def test_copy_then_train_on_one_node(tmp_path, reduced, call):
    call(command("virgo-factory recipes copy"), tmp_path)
    (tmp_path / "dataset_info.json").replace(tmp_path / "as_copied.json")
    for name in ("dataset_info.json", "rows.jsonl"):
        shutil.copy(Path(reduced["dataset_dir"]) / name, tmp_path)

    overrides = {key: value for key, value in reduced.items() if key != "dataset_dir"}
    printed = trained(command("FORCE_TORCHRUN=1 llamafactory-cli train recipes/virgo7b_dt.yaml"), tmp_path, overrides)
    out = tmp_path / "saves/virgo7b/full/dt"
    assert (out / "epoch-5/model.safetensors").is_file()
    assert [path.name for path in out.glob("checkpoint-*")] == ["checkpoint-5"]
    assert json.loads((out / "virgo_rows.json").read_text())["datasets"][0]["kept"] == 4
    assert "virgo-factory: what this run takes" in printed

    text = command("virgo-factory checkpoint").replace("virgo72b", "virgo7b")
    assert "0 errors, 0 warnings" in call(f"{text} --base {reduced['model_name_or_path']}", tmp_path).stdout


def programs(folder: Path) -> Path:
    """Return a folder with launcher, torchrun and the Python of its ranks: as installed, but forked behind their imports."""
    folder.mkdir()
    for name, code in {
        "llamafactory-cli": COMMAND,
        "torchrun": f"{PROGRAM}from torch.distributed.run import main; main()",
        # torchrun calls it as `python -u FILE ARGUMENTS`
        "python": f"{PROGRAM}import runpy, sys; sys.argv = sys.argv[2:]; runpy.run_path(sys.argv[0], run_name='__main__')",
    }.items():
        script = folder / name
        script.write_text(f'#!/bin/bash\nexec {shlex.join(forking.command(PROGRAMS, code))} "$@"\n')
        script.chmod(0o755)

    return folder


@pytest.mark.integration
def test_train_on_several_nodes(tmp_path, reduced):
    """And two ranks that are forked from a warm process, as in most trainings of these tests, give the same, bit by bit."""
    small = reduced | {"num_train_epochs": "2", "keep_model_at_epochs": "null"}
    port = free_port(None)
    text = command("FORCE_TORCHRUN=1 NNODES=8").replace("NNODES=8", "NNODES=2").replace("10.0.0.1", "127.0.0.1")
    text = text.replace("29500", str(port))
    behind = " ".join(f"{key}={value}" for key, value in {**small, "output_dir": tmp_path / "out"}.items())
    path = os.pathsep.join([str(programs(tmp_path / "bin")), os.environ["PATH"]])
    settings = {**os.environ, "PATH": path, "OMP_NUM_THREADS": "1", "NPROC_PER_NODE": "1"}
    settings["PYTHON_EXEC"] = str(tmp_path / "bin" / "python")
    nodes = []
    for rank in range(2):
        with open(tmp_path / f"node{rank}.log", "w") as log:
            line = f"{text.replace('NODE_RANK=0', f'NODE_RANK={rank}')} {behind}"
            nodes.append(subprocess.Popen(["bash", "-c", line], cwd=ROOT, env=settings, stdout=log, stderr=log))

    try:
        codes = [node.wait(timeout=900) for node in nodes]
    finally:
        for node in nodes:
            node.kill()

    assert codes == [0, 0], (tmp_path / "node0.log").read_text()[-4000:]
    assert "world size: 2" in (tmp_path / "node0.log").read_text() + (tmp_path / "node1.log").read_text()

    recipe = yaml.safe_load(text_of("recipes/virgo72b_dt.yaml"))
    recipe |= {key: yaml.safe_load(value) for key, value in small.items()}
    recipe |= {"output_dir": "forked", "deepspeed": str(ROOT / recipe["deepspeed"])}
    Bench(tmp_path, tmp_path).train_recipe(recipe, ranks=2)
    base, stock, forked = (
        Path(folder, "model.safetensors").read_bytes()
        for folder in (reduced["model_name_or_path"], tmp_path / "out", tmp_path / "forked")
    )
    assert base != stock == forked
    accounts, states = (
        [json.loads((tmp_path / name / file).read_text()) for name in ("out", "forked")]
        for file in ("virgo_rows.json", "trainer_state.json")
    )
    assert accounts[0] == accounts[1]
    losses = [[entry["loss"] for entry in state["log_history"] if "loss" in entry] for state in states]
    assert losses[0] == losses[1] and len(losses[0]) == 2, "a global batch of 4 rows on two ranks is one step an epoch"


@pytest.mark.integration
def test_train_on_your_own_long_thoughts(tmp_path, reduced, call):
    row, entry = shown_row()
    call(command("virgo-factory recipes copy"), tmp_path)
    (tmp_path / "my_thoughts.jsonl").write_text(json.dumps(row))
    call(command("virgo-factory data add my_thoughts"), tmp_path)
    assert json.loads((tmp_path / "dataset_info.json").read_text()).items() >= entry.items()

    for verb, said in (("check", "1 row in, 1 kept, 0 dropped"), ("preview", "row.html")):
        text = command(f"virgo-factory data {verb}")
        assert said in call(text.replace("Qwen/Qwen2-VL-7B-Instruct", reduced["model_name_or_path"]), tmp_path).output

    assert "28 + 28 = 56" in (tmp_path / "row.html").read_text()
    planned = command("virgo-factory plan recipes/virgo7b_dt_lora")
    told = json.loads(call(f"{planned} --json --tokenizer {reduced['model_name_or_path']}", tmp_path).stdout)
    assert (told["datasets"][0]["name"], told["datasets"][0]["kept"]) == ("my_thoughts", 1)
    overrides = {key: value for key, value in reduced.items() if key != "dataset_dir"}
    printed = trained(
        command("llamafactory-cli train recipes/virgo7b_dt_lora"), tmp_path, {**overrides, "max_steps": 1}
    )
    (account,) = json.loads((tmp_path / "saves/my_thoughts/virgo_rows.json").read_text())["datasets"]
    assert (account["name"], account["rows_in"], account["kept"]) == ("my_thoughts", 1, 1)
    assert "my_thoughts: 1 row in, 1 kept, 0 dropped" in printed, "every run says which rows"


@pytest.mark.integration
def test_plan_tells_what_the_recipe_costs(reduced, call):
    there = f"--tokenizer {reduced['model_name_or_path']} --dataset-dir {reduced['dataset_dir']}"
    told = json.loads(call(f"{command('virgo-factory plan recipes/virgo72b')} {there} --json", ROOT).stdout)
    assert told["parameters"] == 73_405_560_320
    assert told["steps_epoch"] == 1, "four rows are less than one global batch"


@pytest.mark.slow
def test_reinforce(tmp_path, reduced, call):
    """The commands of docs/reinforce.md, in the order of the page, on prompts in the three layouts that it names."""

    def ran(text: str) -> str:
        return call(text, tmp_path).stdout

    lines = [line for block in blocks("bash", "docs/reinforce.md") for line in block.splitlines()]
    assert sorted(lines) == sorted(covered_by("test_reinforce"))
    plan, _, add, dedup, slice_, status, export = lines
    info = json.loads((ROOT / "dataset_info.json").read_text())
    for name, entry in info.items():
        if not name.startswith("omr_rl_"):
            continue

        file = tmp_path / entry["file_name"]
        file.parent.mkdir(parents=True, exist_ok=True)
        rows = [
            {
                "data_source": name,
                "prompt": [{"role": "user", "content": f"What is {n} + 1 in {name}?"}],
                "reward_model": {"ground_truth": str(n + 1), "style": "rule"},
                "extra_info": {"index": n},
            }
            for n in range(40)
        ]
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), file)

    shutil.copytree(ROOT / "recipes", tmp_path / "recipes")
    told = json.loads(ran(f"{plan} --tokenizer {reduced['model_name_or_path']} --json"))
    assert (told["prompts"], told["machine"]["gpus"], told["answering"]["servers"]) == (320, 4, 4)

    ran(export)
    assert "--rows 320" in (tmp_path / "out/verl/run.sh").read_text()
    (first, *_) = pyarrow.parquet.read_table(tmp_path / "out/verl/train.parquet")["prompt"][0].as_py()
    assert first["role"] == "system" and "<answer>...</answer>" in first["content"], "the template's, as here"

    (tmp_path / "pictures").mkdir()
    Image.new("RGB", (60, 60), "red").save(tmp_path / "pictures/a.png")
    (tmp_path / "mine.jsonl").write_text(json.dumps({"q": "How many bars?", "a": "4", "pic": "a.png"}) + "\n")
    assert "1 kept" in ran(add)

    (shown,) = blocks("json", "docs/reinforce.md")
    row = json.loads(shown)
    assert read_row(row | {"images": []}, "questions").parts[0].asked["pass_rate"] == row["pass_rate"]
    mine = [
        {"id": str(n), "question": f"What is {n} times 7?", "answer": str(7 * n), "pass_rate": n / 10}
        for n in range(11)
    ]
    for name, own in (("mine", mine), ("rated", mine), ("theirs", mine[:4])):
        write_jsonl(tmp_path / f"{name}.jsonl", own)

    assert "of theirs, stands in mine" in ran(dedup)
    assert "11 rows read, 9 written" in ran(slice_)

    folder = tmp_path / "saves/omr7b/full/gspo"
    folder.mkdir(parents=True)
    rollouts = [
        {
            "step": step,
            "question": "1",
            "sample": at,
            "response": "<think>a</think><answer>7</answer>",
            "finish_reason": "stop",
        }
        | {"tokens": 9, "score": 1.0 - at, "reward": 1.0 - at, "accuracy": 1.0 - at, "format": 1.0, "overlong": 0.0}
        | {"verdict": "wrong" if at else "correct", "reason": "other_value" if at else "same_value", "answer": "7"}
        for step in (1, 2)
        for at in (0, 1)
    ]
    write_jsonl(folder / "rollouts.jsonl", rollouts)
    ran(status)
    assert (tmp_path / "rollouts.html").is_file()


def test_the_tables_of_reinforce_are_those_of_the_code():
    from virgo_factory.hooks.reinforce.arguments import PRESETS

    rows = {
        key: cells for cells in table("docs/reinforce.md", "## Keys") for key in re.findall(r"`(rl_\w+)`", cells[0])
    }
    assert set(rows) == set(RL_DEFAULTS)
    words = {
        "rl_clip_low": "by `rl_loss`",
        "rl_clip_high": "by `rl_loss`",
        "rl_tags": "by `template`",
        "rl_server": "none",
    }
    for key, default in RL_DEFAULTS.items():
        said = rows[key][1]
        assert (
            said == words[key] if key in words else said.strip("`") in (str(default), str(default).removesuffix(".0"))
        ), key

    losses = {cells[0].strip("`"): cells for cells in table("docs/reinforce.md", "| `rl_loss` | ratio of")}
    assert set(losses) == set(PRESETS) == set(CHOICES["rl_loss"])
    for name, switches in PRESETS.items():
        _, ratio, mean, clip, advantage = losses[name]
        assert {"sequence": "the response", "token": "the token"}[switches["importance_sampling_level"]] == ratio
        assert {"grpo": "responses", "dapo": "all tokens", "dr_grpo": "tokens, over a constant"}[
            switches["loss_type"]
        ] in mean
        assert tuple(float(part) for part in clip.split(" / ")) == CLIPS[name]
        assert ("not scaled" == advantage) == (switches["scale_rewards"] == "none")


def test_smoke_is_run_by_its_own_tests():
    recipe, ranks = re.match(r"virgo-factory smoke (\S+) --ranks (\d+)", command("virgo-factory smoke")).groups()
    text = text_of("tests/integration/test_smoke.py")
    assert f'Smoke("{recipe}", tmp_path / "work", {ranks},' in text


def test_the_loop_is_run_by_its_own_tests():
    (section,) = [block for block in blocks("bash", "docs/distil.md") if "demo distill --prepare-only" in block]
    made = [step.shown for step in distill.STEPS if "distill status" not in step.shown]  # that only tells
    assert section.splitlines()[1:] == made
    assert "virgo_factory.demo" in text_of("tests/integration/test_demo_distill.py")


def test_doctor_says_what_the_recipe_misses(call):
    told = call(command("virgo-factory doctor"), ROOT, codes=(0, 1)).stdout
    assert re.search(r"^\d+ errors, \d+ warnings, \d+ in order$", told, re.MULTILINE)


def shown_row() -> tuple[dict, dict]:
    """Return the row that the README shows, and its entry."""
    (row,) = blocks("json")
    (entry,) = re.findall(r"`(\{\"my_thoughts\": .*?\})`", text_of("README.md"))
    return json.loads(row), json.loads(entry)


def test_the_row_it_shows_is_an_example_of_the_format_it_names():
    row, entry = shown_row()
    (example,) = read_row(row, entry["my_thoughts"]["formatting"]).parts
    assert example.question == "What is 7 x 8?"
    assert example.response.solution == "The answer is \\boxed{56}."
    assert "columns" not in entry["my_thoughts"] and "tags" not in entry["my_thoughts"]


@pytest.mark.slow
def test_score_writes_verdicts(tmp_path, call):
    rows = [
        {"question": "What is 7 x 8?", "answer": "56", "response": f"The answer is {answer}."} for answer in (56, 54)
    ]
    write_jsonl(tmp_path / "rollouts.jsonl", rows)
    call(command("virgo-factory score"), tmp_path)
    written = read_jsonl(tmp_path / "rollouts.verdicts.jsonl")
    assert [row["verdict"] for row in written] == ["correct", "wrong"]


def test_the_question_it_shows_is_one():
    (line,) = blocks("json", "docs/distil.md")
    assert question_of(json.loads(line))


def test_the_format_that_the_page_adds_reads_a_row():
    page = text_of("docs/add-a-format.md")
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    room = {}
    exec(textwrap.dedent("   " + code.lstrip()), room)
    row = {"id": 1, "problem": "What is 4 + 5?", "reasoning_trace": "I add.", "final": "9"}
    example = room["adapt"](row, None)
    assert (example.question, example.response.thought, example.response.solution) == ("What is 4 + 5?", "I add.", "9")
    assert room["adapt"]({**row, "id": None}, None).id, "a row of any shape is read or rejected"
    with pytest.raises(RejectedRow, match="no solution"):
        room["adapt"]({**row, "final": ""}, None)


def test_the_benchmark_that_the_page_adds_is_asked(tmp_path, monkeypatch):
    (code,) = re.findall(r"```python\n(.*?)```", text_of("docs/add-a-benchmark.md"), re.DOTALL)
    room = {}
    exec(textwrap.dedent("   " + code.lstrip()), room)
    monkeypatch.setitem(BENCHMARKS, "blink", room["BLINK"])
    row = {
        "idx": "val_Counting_1",
        "sub_task": "Counting",
        "question": "How many?",
        "choices": ["1", "2"],
        "answer": "(B)",
    }
    row |= {f"image_{n}": {"bytes": bytes([n]), "path": None} if n < 3 else None for n in range(1, 5)}
    rows = [row, row | {"idx": "val_Counting_2", "answer": ""}]
    folder = tmp_path / "benchmarks" / "blink" / "Counting"
    folder.mkdir(parents=True)
    for split in ("val", "test"):
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), folder / f"{split}-00000-of-00001.parquet")

    def stored(image, _):
        return f"{image[0]}.png", image.hex()

    target = tmp_path / "questions.jsonl"
    (taken,) = write_questions({"blink": None}, target, stored, tmp_path / "benchmarks", allow_partial=True)
    assert (taken.rows, taken.asked, taken.left_out) == (2, 1, {"no gold answer": 1})
    question = json.loads(target.read_text())
    assert (question["id"], question["gold"], question["options"]) == ("blink/val_Counting_1", "B", ["1", "2"])
    assert question["images"] == ["1.png", "2.png"] and question["groups"] == {"task": "Counting"}


def test_the_table_of_formattings_is_complete():
    named = [cells[0].strip("`") for cells in table("docs/data.md", "## Formattings")]
    assert sorted(named) == sorted(FORMATTINGS)


def test_the_table_of_data_verbs_is_complete():
    named = [name for cells in table("docs/data.md", "## Verbs") for name in re.findall(r"`(\w+)[ `]", cells[0])]
    assert sorted(named) == sorted(VERBS)


def test_the_tables_of_recipes_are_complete():
    distil = {name for cells in table("docs/distil.md") for name in re.findall(r"`(\w+)`", cells[0])}
    assert distil == {Path(name).stem for name in recipe_files() if re.fullmatch(r"distill/[^/]+\.yaml", name)}


def test_the_table_of_rooms_is_complete():
    named = {name for cells in table("docs/architecture.md") for name in re.findall(r"`(\w+)/`", cells[0])}
    there = {path.parent.name for path in (ROOT / "virgo_factory").glob("*/__init__.py")}
    assert named == there


@pytest.mark.slow
def test_the_switch(fork):
    """In fresh processes; that the first shows every key: tests/hooks/test_autoload.py."""

    def count(text: str) -> int:
        before, arguments = re.fullmatch(
            r"(?:(\w+=1) )?(llamafactory-cli train -h) \| grep (?:-c )?virgo-factory", text
        ).groups()
        code = f"import sys; sys.argv = {arguments.split()}; from llamafactory.cli import main; main()"
        printed = fork(
            f"try: exec({code!r})\nexcept SystemExit as end: assert not end.code",
            **dict([before.split("=")] if before else []),
        )
        return sum("virgo-factory" in line for line in printed.splitlines())

    stock, disabled = covered_by("test_the_switch")
    assert count(stock) >= len(plugin_keys()) - 1 and count(disabled) == 0


def plugin_keys() -> set[str]:
    """The recipe keys that the plugin adds."""
    from virgo_factory.hooks.start import arguments

    classes = (arguments._DataKeys, arguments._ModelKeys, arguments._FinetuningKeys)
    return {item.name for extension in classes for item in fields(extension)}


def test_the_table_of_keys_is_complete():
    rows = {tuple(re.findall(r"`(\w+)`", cells[0])): cells[1] for cells in table("docs/recipe-keys.md")}
    assert {key for keys in rows for key in keys} == plugin_keys()
    for key, choices in CHOICES.items():
        assert set(re.findall(r"`(\w+)`", rows[(key,)])) == set(choices)


def test_the_table_of_pins_is_that_of_the_package():
    said = " ".join(cells[0] for cells in table("docs/versions.md")).replace(" ", "")
    for requirement in requires("virgo-factory"):
        name, bounds = re.match(r"([\w-]+)(?:\[[^\]]*\])?([^;]*)", requirement).groups()
        if name in ("transformers", "deepspeed", "liger-kernel", "torch"):
            lowest_first = ",".join(sorted(bounds.strip().split(","), reverse=True))
            assert f"{name}{lowest_first}" in said, requirement

    pins = text_of("constraints.txt")
    for name, version in re.findall(r"(llamafactory|vllm|fastapi)((?:\d+\.)+\d+)", said):
        assert f"{name}=={version}" in pins


@pytest.mark.parametrize(
    "page", [*PAGES, ROOT / "recipes/README.md", ROOT / "CHANGELOG.md"], ids=lambda page: page.name
)
def test_the_files_it_links_to_exist(page):
    text = re.sub(r"`[^`\n]*`", "", page.read_text(encoding="utf-8"))
    for link in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text):
        assert link.startswith("https://") or (page.parent / link).is_file(), link
