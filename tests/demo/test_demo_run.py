"""The demo's folders and command, and its proofs: each holds for what a training leaves, and fails when that is not so."""

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

from virgo_factory.core.errors import UserError
from virgo_factory.data.read.prefix import read_prefix
from virgo_factory.data.rows.account import DatasetAccount, DroppedRow, to_json
from virgo_factory.demo import proofs, run
from virgo_factory.io.files import TEMPLATES


ROOT = Path(__file__).parents[2]
OVERLONG, CUT = "overlong > 1024 tokens", "no end of thought"


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """A folder such as a good training leaves behind, made without training."""
    folder = tmp_path_factory.mktemp("demo") / "demo"
    demo = run.plan(folder)
    run.prepare(demo)
    shutil.copytree(demo.base, demo.output)
    template = (TEMPLATES / "virgo.jinja").read_text(encoding="utf-8")
    assert template.count('default("")') == 1
    prefixed = template.replace('default("")', f"default({json.dumps(read_prefix('virgo'))})")
    (demo.output / "chat_template.jinja").write_text(prefixed, encoding="utf-8")
    weights = load_file(demo.base / "model.safetensors")
    moved = {
        name: weight + 0.0625 if proofs.part_of(name) == proofs.LANGUAGE else weight
        for name, weight in weights.items()
    }
    widened = {
        name: weight if proofs.part_of(name) == proofs.VISION else weight.float() for name, weight in moved.items()
    }
    save_file(widened, demo.output / "model.safetensors", metadata={"format": "pt"})
    account = DatasetAccount(run.DATASET, "train", rows_in=320, kept_for={"train": 313})
    tokenizer = AutoTokenizer.from_pretrained(demo.base)
    for number, line in enumerate(demo.rows.read_text(encoding="utf-8").splitlines()):
        row = json.loads(line)
        length = len(tokenizer(row["question"] + row["combined_text"]).input_ids)
        reason = CUT if "<|end_of_solution|>" not in row["combined_text"] else OVERLONG if length > 1000 else ""
        if reason:
            account.dropped_rows.append(DroppedRow(number, str(demo.rows), number + 1, row["id"], reason))
    account.reasons = dict(Counter(row.reason for row in account.dropped_rows).most_common())
    (demo.output / "virgo_rows.json").write_text(json.dumps(to_json([account])))

    losses = [7.0 - step / 20 for step in range(80)]
    entries = [{"current_steps": i, "total_steps": 80, "loss": loss} for i, loss in enumerate(losses, start=1)]
    text = "".join(json.dumps(entry) + "\n" for entry in [*entries, {"current_steps": 80, "total_steps": 80}])
    (demo.output / "trainer_log.jsonl").write_text(text)
    demo.log.write_text(f"{account}\n")
    (demo.output / "training_loss.png").touch()
    return folder


@pytest.fixture
def demo(finished, tmp_path) -> run.Demo:
    """A copy of the finished demo, to be spoilt."""
    shutil.copytree(finished, tmp_path / "demo")
    return run.plan(tmp_path / "demo")


def test_a_good_run_is_proved(demo):
    found = list(proofs.prove(demo))
    assert [proof.name for proof in found if not proof.holds] == []
    assert len(found) == 4


def spoil_tensor(demo: run.Demo, part: str) -> None:
    """Change one number of a part a little."""
    file = demo.output / "model.safetensors"
    weights = load_file(file)
    name = next(name for name in weights if proofs.part_of(name) == part and name.endswith("bias"))
    flat = weights[name].flatten()
    flat[0] += 1e-3
    save_file(weights, file, metadata={"format": "pt"})


def keep_language(demo: run.Demo) -> None:
    start, file = load_file(demo.base / "model.safetensors"), demo.output / "model.safetensors"
    weights = load_file(file)
    weights["lm_head.weight"] = start["lm_head.weight"].float()
    save_file(weights, file, metadata={"format": "pt"})


def drop_account_row(demo: run.Demo) -> None:
    file = demo.output / "virgo_rows.json"
    content = json.loads(file.read_text())
    content["datasets"][0]["dropped_rows"].pop()
    file.write_text(json.dumps(content))


def rise(demo: run.Demo) -> None:
    file = demo.output / "trainer_log.jsonl"
    entries = [{"current_steps": i, "total_steps": 80, "loss": 7.0} for i in range(80)]
    file.write_text("\n".join(map(json.dumps, entries)))


SPOILS = {
    "vision tower moved": (lambda demo: spoil_tensor(demo, proofs.VISION), "vision tower frozen"),
    "one language tensor still": (keep_language, "language model trained"),
    "nothing in the log": (lambda demo: demo.log.write_text(""), "rows accounted for"),
    "a dropped row not named": (drop_account_row, "rows accounted for"),
    "loss stays": (rise, "loss fell"),
    "no log of losses": (lambda demo: (demo.output / "trainer_log.jsonl").unlink(), "loss fell"),
}


@pytest.mark.parametrize("case", SPOILS)
def test_a_bad_run_is_not_proved(case, demo):
    spoil, expected = SPOILS[case]
    spoil(demo)
    assert [proof.name for proof in proofs.prove(demo) if not proof.holds] == [expected]


def test_models_with_other_tensors_cannot_be_compared(demo):
    weights = load_file(demo.output / "model.safetensors")
    weights["extra"] = torch.zeros(1)
    save_file(weights, demo.output / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ValueError, match="do not hold the same tensors: extra"):
        list(proofs.prove(demo))


def test_the_chart_is_what_the_question_is_about(tmp_path):
    with Image.open(proofs.draw_chart(tmp_path / "chart.png")) as picture:
        assert picture.width * picture.height <= run.plan(tmp_path / "x").settings["image_max_pixels"]
        counts = {colour: count for count, colour in picture.convert("RGB").getcolors()}
    heights = {"red": (255, 0, 0), "green": (0, 128, 0), "blue": (0, 0, 255), "orange": (255, 165, 0)}
    pixels = {name: counts[colour] for name, colour in heights.items()}
    assert (
        sorted(pixels, key=pixels.get)
        == sorted(proofs.BARS, key=proofs.BARS.get)
        == ["blue", "red", "orange", "green"]
    )


def test_an_answer_needs_picture_prefix_and_text(demo):
    prefix = read_prefix("virgo")
    good = proofs.Answer(f"<|vision_end|>{prefix}\n{proofs.QUESTION}", 81, "text", 1)
    assert proofs.answered(demo, good).holds
    for bad in (
        proofs.Answer(f"<|vision_end|>{proofs.QUESTION}", 81, "text", 1),
        proofs.Answer(good.prompt, 1, "text", 1),
        proofs.Answer(good.prompt, 81, " \n", 1),
    ):
        assert not proofs.answered(demo, bad).holds


def test_in_a_checkout_the_command_is_the_documented_one(monkeypatch):
    monkeypatch.chdir(ROOT)
    assert run.plan(Path("saves/never_made")).overrides == (
        "model_name_or_path=saves/never_made/base",
        "output_dir=saves/never_made/dt",
    )
    demo = run.Demo(run.FOLDER, Path("recipes", run.RECIPE), ())
    assert demo.command[1:] == ["train", "recipes/virgo_demo_dt.yaml"]
    assert (str(demo.base), str(demo.output)) == (
        demo.settings["model_name_or_path"],
        demo.settings["output_dir"],
    )
    assert demo.rows == Path("recipes/demo/long_thoughts.jsonl")


@pytest.mark.parametrize("info", [None, "{}", "[]", "{", '{"virgo_demo_dt": {"file_name": "gone.jsonl"}}'])
def test_elsewhere_the_files_of_the_package_are_used(info, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if info:
        Path("dataset_info.json").write_text(info)
    demo = run.plan()
    assert demo.recipe.is_absolute() and demo.recipe.is_file()
    assert [override.split("=")[0] for override in demo.overrides] == ["dataset_dir"]
    assert demo.rows.is_file()
    assert list(tmp_path.iterdir()) == ([tmp_path / "dataset_info.json"] if info else [])


def test_a_folder_with_other_things_is_left_alone(tmp_path):
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "precious.txt").write_text("x")
    with pytest.raises(ValueError, match="holds something that the demo did not make"):
        run.plan(tmp_path)


def test_a_second_demo_replaces_the_first(demo):
    (demo.folder / "notes.txt").write_text("mine")
    (demo.base / "old.txt").write_text("old")
    run.prepare(run.plan(demo.folder))
    assert sorted(path.name for path in demo.folder.iterdir()) == ["base", run.MARKER, "notes.txt"]
    assert not (demo.base / "old.txt").exists()
    assert {proof.holds for proof in [proofs.loss_fell(demo), proofs.rows_accounted(demo)]} == {False}


def fake_command(folder: Path, script: str) -> Path:
    """An environment whose llamafactory-cli is a script."""
    file = folder / "bin" / "llamafactory-cli"
    file.parent.mkdir()
    file.write_text(f"#!{sys.executable}\n{script}\n")
    file.chmod(file.stat().st_mode | stat.S_IEXEC)
    return file.parent / "python"


def test_a_failed_training_ends_with_the_end_of_its_log(demo, tmp_path, monkeypatch):
    script = "import sys; print('10%\\r20%\\rstep'); sys.exit('CUDA on fire')"
    monkeypatch.setattr(sys, "executable", str(fake_command(tmp_path, script)))
    with pytest.raises(ValueError, match="(?s)ended with 1: .*train.*output_dir=.*train.log:\nstep\nCUDA on fire"):
        list(run.train(demo))


def test_the_training_sees_no_accelerator_and_no_hub(demo, tmp_path, monkeypatch):
    script = "import os, json; print(json.dumps(dict(os.environ)))"
    monkeypatch.setattr(sys, "executable", str(fake_command(tmp_path, script)))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    last = list(run.train(demo))[-1]
    seen = json.loads(demo.log.read_text())
    assert (seen["CUDA_VISIBLE_DEVICES"], seen["HF_HUB_OFFLINE"], seen["OMP_NUM_THREADS"]) == ("", "1", "1")
    assert seen["PATH"].split(os.pathsep)[0] == str(tmp_path / "bin")
    assert last == run.Progress(80, 80, "loss 3.05")


def test_a_demo_that_is_stopped_stops_its_training(demo, tmp_path, monkeypatch):
    script = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"
    monkeypatch.setattr(sys, "executable", str(fake_command(tmp_path, script)))
    demo.log.unlink()
    training = run.train(demo)
    while not demo.log.exists() or not demo.log.read_text().strip():
        next(training)
    training.close()
    with pytest.raises(ProcessLookupError):
        os.kill(int(demo.log.read_text()), 0)


def test_without_the_command_the_error_says_so(demo, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bin" / "python"))
    with pytest.raises(ValueError, match="llamafactory-cli is not there"):
        list(run.train(demo))


@pytest.fixture
def called(demo, monkeypatch):
    """Call `virgo-factory demo` where the training has been done already; returns its exit code."""
    from virgo_factory.cli.main import main

    monkeypatch.setattr(run, "prepare", lambda demo: None)
    monkeypatch.setattr(run, "train", lambda demo: iter([run.Progress(), run.Progress(40, 80, "loss 5.00")]))

    def call(*arguments: str) -> int:
        with pytest.raises(SystemExit) as stop:
            main(["demo", "--dir", str(demo.folder), *arguments])
        return stop.value.code

    return call


def test_the_verb_shows_every_proof_and_the_answer(called, demo, capsys):
    assert called() == 0
    out = capsys.readouterr().out
    assert out.count("proved  ") == 5
    assert "step 40 of 80, loss 5.00" in out
    assert "81 visual tokens" in out and proofs.QUESTION in out
    assert str(demo.output / "training_loss.png") in out
    assert demo.picture.is_file()


def test_the_verb_ends_with_1_when_a_proof_fails(called, demo, capsys):
    spoil_tensor(demo, proofs.VISION)
    assert called() == 1
    out = capsys.readouterr().out
    assert "not proved: vision tower frozen: 1 of 25 tensors differ from the start" in out
    assert "All of it holds" not in out


def test_prepare_only_says_how_to_train(called, demo, capsys):
    assert called("--prepare-only") == 0
    out = capsys.readouterr().out
    assert f"llamafactory-cli train {demo.recipe}" in out and "proved" not in out


def test_a_failed_training_is_one_message(called, demo, monkeypatch, capsys):
    def fail(demo):
        yield run.Progress()
        raise UserError("the training command ended with 1")

    monkeypatch.setattr(run, "train", fail)
    assert called() == 1
    assert "virgo-factory: the training command ended with 1" in capsys.readouterr().err


def check_the_rest(demo: run.Demo) -> None:
    """What the recipe promises beside the proofs: connector, kept epochs, number of steps, loss curve.

    In text-only rows nothing attends to the placeholder image, so that no gradient reaches the connector. Adam's mean of
    squared gradients is zero only if every gradient was; its states carry no names, so they are told by their shapes.
    """
    assert proofs.compare(demo.base, demo.output)[proofs.CONNECTOR].changed == 0
    (optimiser,) = demo.output.glob("checkpoint-*/optimizer.pt")
    states = torch.load(optimiser, map_location="cpu", weights_only=True)["state"].values()
    idle = [tuple(state["exp_avg"].shape) for state in states if not state["exp_avg_sq"].any()]
    weights = load_file(demo.base / "model.safetensors")
    connector = [tuple(weight.shape) for name, weight in weights.items() if proofs.part_of(name) == proofs.CONNECTOR]
    assert sorted(idle) == sorted(connector) != []
    trained = [name for name in weights if proofs.part_of(name) != proofs.VISION]
    assert len(states) == len(trained)

    for epoch in demo.settings["keep_model_at_epochs"]:
        folder = demo.output / f"epoch-{epoch}"
        assert proofs.compare(demo.base, folder)[proofs.LANGUAGE].changed
        assert proofs.compare(folder, demo.output)[proofs.LANGUAGE].changed

    state = json.loads((demo.output / "trainer_state.json").read_text())
    epochs = int(demo.settings["num_train_epochs"])
    assert state["global_step"] == epochs * -(-313 // demo.settings["global_batch_size"])
    with Image.open(demo.output / "training_loss.png") as picture:
        assert min(picture.size) > 100


@pytest.mark.integration
def test_the_demo_runs_anywhere_and_notices_a_spoilt_run(tmp_path):
    """From a folder without a checkout, as a user of the wheel has it."""
    command = [str(Path(sys.executable).parent / "virgo-factory"), "demo", "--dir", "here/demo"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("proved  ") == 5 and "FAILED" not in done.stdout
    (quoted,) = re.findall(r"^```text\n(.*)\n```$", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert quoted.removeprefix("virgo_demo_dt: 320 rows in, ") in done.stdout
    assert quoted in (tmp_path / "here" / "demo" / "train.log").read_text(encoding="utf-8")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["here"]

    folder = tmp_path / "here" / "demo"
    spoilt = run.plan(folder)
    assert all(proof.holds for proof in proofs.prove(spoilt))
    check_the_rest(spoilt)
    spoil_tensor(spoilt, proofs.VISION)
    assert [proof.name for proof in proofs.prove(spoilt) if not proof.holds] == ["vision tower frozen"]
