"""The demo of training: its folder and command, and its proofs: each holds for what a training leaves, and fails when that is not so."""

import contextlib
import json
import os
import re
import shutil
import stat
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer

from tests import forking
from tests.demo.conftest import with_recipes
from tests.forking import PROGRAM, PROGRAMS
from virgo_factory.core.errors import UserError
from virgo_factory.data.rows.account import DatasetAccount, DroppedRow, to_json
from virgo_factory.demo import proofs, steps, training
from virgo_factory.demo.training import BASE, FOLDER, TRAINING


ROOT = Path(__file__).parents[2]
OUTPUT = TRAINING.output
OVERLONG, CUT = "overlong > 1024 tokens", "no end of thought"


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """A folder such as a good training leaves behind, made without training."""
    folder = with_recipes(tmp_path_factory.mktemp("demo"))
    with contextlib.chdir(folder):
        training.prepare()
        shutil.copytree(BASE, OUTPUT)
        weights = load_file(BASE / "model.safetensors")
        moved = {
            name: weight + 0.0625 if proofs.part_of(name) == proofs.LANGUAGE else weight
            for name, weight in weights.items()
        }
        widened = {
            name: weight if proofs.part_of(name) == proofs.VISION else weight.float() for name, weight in moved.items()
        }
        save_file(widened, OUTPUT / "model.safetensors", metadata={"format": "pt"})
        account = DatasetAccount("virgo_demo_dt", "train", rows_in=320, kept_for={"train": 313})
        tokenizer = AutoTokenizer.from_pretrained(BASE)
        rows = Path("recipes/demo/long_thoughts.jsonl")
        for number, line in enumerate(rows.read_text(encoding="utf-8").splitlines()):
            row = json.loads(line)
            length = len(tokenizer(row["question"] + row["combined_text"]).input_ids)
            reason = CUT if "<|end_of_solution|>" not in row["combined_text"] else OVERLONG if length > 1000 else ""
            if reason:
                account.dropped_rows.append(DroppedRow(number, str(rows), number + 1, row["id"], reason))

        account.reasons = dict(Counter(row.reason for row in account.dropped_rows).most_common())
        (OUTPUT / "virgo_rows.json").write_text(json.dumps(to_json([account])))
        losses = [7.0 - step / 20 for step in range(80)]
        entries = [{"current_steps": i, "total_steps": 80, "loss": loss} for i, loss in enumerate(losses, start=1)]
        text = "".join(json.dumps(entry) + "\n" for entry in [*entries, {"current_steps": 80, "total_steps": 80}])
        (OUTPUT / "trainer_log.jsonl").write_text(text)
        TRAINING.log.write_text(f"{account}\n")

    return folder


@pytest.fixture
def demo(finished, here) -> Path:
    """The folder of the finished demo, to be spoilt; the current folder is the one around it."""
    shutil.copytree(finished / "saves", here / "saves")
    return FOLDER


def failed() -> list[str]:
    return [proof.name.partition(": ")[2] for proof in training.prove() if not proof.holds]


def test_a_good_run_is_proved(demo):
    assert failed() == [] and len(list(training.prove())) == 3


def spoil_tensor(part: str) -> None:
    """Change one number of a part a little."""
    file = OUTPUT / "model.safetensors"
    weights = load_file(file)
    name = next(name for name in weights if proofs.part_of(name) == part and name.endswith("bias"))
    flat = weights[name].flatten()
    flat[0] += 1e-3
    save_file(weights, file, metadata={"format": "pt"})


def keep_language() -> None:
    start, file = load_file(BASE / "model.safetensors"), OUTPUT / "model.safetensors"
    weights = load_file(file)
    weights["lm_head.weight"] = start["lm_head.weight"].float()
    save_file(weights, file, metadata={"format": "pt"})


def drop_account_row() -> None:
    file = OUTPUT / "virgo_rows.json"
    content = json.loads(file.read_text())
    content["datasets"][0]["dropped_rows"].pop()
    file.write_text(json.dumps(content))


def rise() -> None:
    file = OUTPUT / "trainer_log.jsonl"
    entries = [{"current_steps": i, "total_steps": 80, "loss": 7.0} for i in range(80)]
    file.write_text("\n".join(map(json.dumps, entries)))


SPOILS = {
    "vision tower moved": (lambda: spoil_tensor(proofs.VISION), "vision tower frozen"),
    "connector moved, though there are no pictures": (lambda: spoil_tensor(proofs.CONNECTOR), "vision tower frozen"),
    "one language tensor still": (keep_language, "vision tower frozen"),
    "nothing in the log": (lambda: TRAINING.log.write_text(""), "rows accounted for"),
    "a dropped row not named": (drop_account_row, "rows accounted for"),
    "loss stays": (rise, "loss fell"),
    "no log of losses": (lambda: (OUTPUT / "trainer_log.jsonl").unlink(), "loss fell"),
}


@pytest.mark.parametrize("case", SPOILS)
def test_a_bad_run_is_not_proved(case, demo):
    spoil, expected = SPOILS[case]
    spoil()
    assert failed() == [expected]


def test_models_with_other_tensors_cannot_be_compared(demo):
    weights = load_file(OUTPUT / "model.safetensors")
    weights["extra"] = torch.zeros(1)
    save_file(weights, OUTPUT / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ValueError, match="do not hold the same tensors: extra"):
        list(training.prove())


def test_the_command_is_the_documented_one():
    import yaml

    recipe = yaml.safe_load((ROOT / TRAINING.command[2]).read_text(encoding="utf-8"))
    assert TRAINING.shown == "llamafactory-cli train recipes/virgo_demo_dt.yaml"
    assert (str(BASE), str(OUTPUT)) == (recipe["model_name_or_path"], recipe["output_dir"])


def test_without_recipes_nothing_is_made(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="First: virgo-factory recipes copy ."):
        training.prepare()

    assert not list(tmp_path.iterdir())


def test_a_folder_with_other_things_is_left_alone(here):
    BASE.mkdir(parents=True)
    (BASE / "precious.txt").write_text("x")
    with pytest.raises(ValueError, match="holds something that the demo did not make"):
        training.prepare()


def test_a_second_demo_replaces_the_first(demo):
    (demo / "notes.txt").write_text("mine")
    (BASE / "old.txt").write_text("old")
    training.prepare()
    assert sorted(path.name for path in demo.iterdir()) == ["base", steps.MARKER, "notes.txt"]
    assert not (BASE / "old.txt").exists()
    assert {proof.holds for proof in (proofs.loss_fell(TRAINING), proofs.rows_accounted(TRAINING))} == {False}


def fake_command(folder: Path, script: str) -> Path:
    """An environment whose llamafactory-cli is a script."""
    file = folder / "bin" / "llamafactory-cli"
    file.parent.mkdir()
    file.write_text(f"#!{sys.executable}\n{script}\n")
    file.chmod(file.stat().st_mode | stat.S_IEXEC)
    return file.parent / "python"


@pytest.mark.slow
def test_a_failed_training_ends_with_the_end_of_its_log(demo, tmp_path, monkeypatch):
    script = "import sys; print('10%\\r20%\\rstep'); sys.exit('CUDA on fire')"
    monkeypatch.setattr(sys, "executable", str(fake_command(tmp_path, script)))
    with pytest.raises(ValueError, match="(?s)ended with 1: .*train.*dt.log:\nstep\nCUDA on fire"):
        list(steps.train(TRAINING))


@pytest.mark.slow
def test_the_training_sees_no_accelerator_and_no_hub(demo, tmp_path, monkeypatch):
    script = "import os, json; print(json.dumps(dict(os.environ)))"
    monkeypatch.setattr(sys, "executable", str(fake_command(tmp_path, script)))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1, 2, 3})
    last = list(steps.train(TRAINING))[-1]
    seen = json.loads(TRAINING.log.read_text())
    assert (seen["CUDA_VISIBLE_DEVICES"], seen["HF_HUB_OFFLINE"], seen["OMP_NUM_THREADS"]) == ("", "1", "2")
    assert seen["PATH"].split(os.pathsep)[0] == str(tmp_path / "bin")
    assert last == steps.Progress(80, 80, "loss 3.05")


@pytest.mark.slow
def test_a_demo_that_is_stopped_stops_its_training(demo, tmp_path, monkeypatch):
    script = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"
    monkeypatch.setattr(sys, "executable", str(fake_command(tmp_path, script)))
    TRAINING.log.unlink()
    training = steps.train(TRAINING)
    while not TRAINING.log.exists() or not TRAINING.log.read_text().strip():
        next(training)
    training.close()
    with pytest.raises(ProcessLookupError):
        os.kill(int(TRAINING.log.read_text()), 0)


def test_without_the_command_the_error_says_so(demo, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bin" / "python"))
    with pytest.raises(ValueError, match="llamafactory-cli is not there"):
        list(steps.train(TRAINING))


@pytest.fixture
def called(demo, monkeypatch):
    """Call `virgo-factory demo` where the training has been done already; returns its exit code."""
    from virgo_factory.cli.main import main

    monkeypatch.setattr(training, "prepare", lambda: None)
    states = [steps.Progress(), steps.Progress(40, 80, "loss 5.00")]
    monkeypatch.setattr(steps, "train", lambda step: iter(states))

    def call(*arguments: str) -> int:
        with pytest.raises(SystemExit) as stop:
            main(["demo", *arguments])

        return stop.value.code

    return call


def test_the_verb_shows_every_proof(called, capsys):
    assert called() == 0
    out = capsys.readouterr().out
    assert out.count("proved  ") == 3
    assert "step 40 of 80, loss 5.00" in out and f"Everything is in {OUTPUT}" in out


def test_the_verb_ends_with_1_when_a_proof_fails(called, capsys):
    spoil_tensor(proofs.VISION)
    assert called() == 1
    out = capsys.readouterr().out
    assert "not proved: dt: vision tower frozen: tensors that moved: vision tower 1 of 25" in out
    assert "Everything" not in out


def test_prepare_only_says_how_to_train(called, capsys):
    assert called("--prepare-only") == 0
    out = capsys.readouterr().out
    assert TRAINING.shown in out and "proved" not in out


def test_a_failed_training_is_one_message(called, monkeypatch, capsys):
    def fail(step):
        yield steps.Progress()
        raise UserError("the training command ended with 1")

    monkeypatch.setattr(steps, "train", fail)
    assert called() == 1
    assert "virgo-factory: the training command ended with 1" in capsys.readouterr().err


def check_the_rest(recipe: dict) -> None:
    """What the recipe promises beside the proofs: connector, kept epochs, number of steps, loss curve.

    In text-only rows nothing attends to the placeholder image, so that no gradient reaches the connector. Adam's mean of
    squared gradients is zero only if every gradient was; its states carry no names, so they are told by their shapes.
    """
    (optimiser,) = OUTPUT.glob("checkpoint-*/optimizer.pt")
    states = torch.load(optimiser, map_location="cpu", weights_only=True)["state"].values()
    idle = [tuple(state["exp_avg"].shape) for state in states if not state["exp_avg_sq"].any()]
    weights = load_file(BASE / "model.safetensors")
    connector = [tuple(weight.shape) for name, weight in weights.items() if proofs.part_of(name) == proofs.CONNECTOR]
    assert sorted(idle) == sorted(connector) != []
    trained = [name for name in weights if proofs.part_of(name) != proofs.VISION]
    assert len(states) == len(trained)

    for epoch in recipe["keep_model_at_epochs"]:
        folder = OUTPUT / f"epoch-{epoch}"
        assert proofs.compare(BASE, folder)[proofs.LANGUAGE].changed
        assert proofs.compare(folder, OUTPUT)[proofs.LANGUAGE].changed

    state = json.loads((OUTPUT / "trainer_state.json").read_text())
    epochs = int(recipe["num_train_epochs"])
    assert state["global_step"] == epochs * -(-313 // recipe["global_batch_size"])
    with Image.open(OUTPUT / "training_loss.png") as picture:
        assert min(picture.size) > 100


@pytest.mark.integration
def test_the_demo_runs_where_the_recipes_were_copied(tmp_path, monkeypatch):
    """From a folder without a checkout, as a user of the wheel has it; the training is the stock command from its first import on."""
    import yaml

    monkeypatch.chdir(tmp_path)
    command = Path(sys.executable).parent / "virgo-factory"
    subprocess.run([command, "recipes", "copy", "."], check=True, capture_output=True)
    demo = forking.command(PROGRAMS, f"{PROGRAM}from virgo_factory.cli.main import main; main()", "demo")
    done = subprocess.run(demo, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("proved  ") == 3 and "FAILED" not in done.stdout
    (quoted,) = re.findall(r"^```text\n(.*)\n```$", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert quoted in done.stdout and quoted in TRAINING.log.read_text(encoding="utf-8")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dataset_info.json", "recipes", "saves"]
    check_the_rest(yaml.safe_load(Path(TRAINING.command[2]).read_text(encoding="utf-8")))
    spoil_tensor(proofs.VISION)
    assert failed() == ["vision tower frozen"]
