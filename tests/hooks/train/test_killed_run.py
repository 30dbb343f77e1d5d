"""A run that was killed behind its last step gets its model at the next start, in every stage by one rule."""

import json
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from virgo_factory.core.errors import UserError


PROCESSOR = SimpleNamespace(
    save_pretrained=lambda folder: [
        Path(folder, name).write_text("the base's") for name in ("preprocessor_config.json", "chat_template.jinja")
    ]
)
ENDS = ("train_results.json", "trainer_state.json")


@pytest.fixture
def run(tmp_path, checkpoint, told):
    """What a run of 3 steps leaves that is killed before it saves its model, and its arguments."""
    log = [{"step": 1, "loss": 2.0}, {"step": 3, "eval_loss": 1.5}]
    last = checkpoint(tmp_path, 3, max_steps=3, num_train_epochs=1, epoch=1.0, total_flos=5.0, log_history=log)
    for name in ("tokenizer.json", "chat_template.jinja", "rng_state.pth"):
        (last / name).write_text(name)

    arguments = SimpleNamespace(
        resume_from_checkpoint=str(last),
        output_dir=str(tmp_path),
        should_save=True,
        process_index=0,
        load_best_model_at_end=False,
        do_eval=True,
    )
    finetuning = SimpleNamespace(plot_loss=True, stage="sft", keep_model_at_epochs=[1])
    return SimpleNamespace(folder=tmp_path, last=last, arguments=arguments, finetuning=finetuning, told=told)


@pytest.mark.parametrize("left", [(), ENDS[:1], ENDS], ids=["nothing", "half of an older end", "an older end"])
def test_it_is_finished(hook, run, left):
    for name in left:
        (run.folder / name).write_text("{}")
        os.utime(run.folder / name, (1, 1))

    with pytest.raises(hook.OnlyItsEnd):
        hook.nothing_to_train(run.arguments, 3)

    hook.finish(SimpleNamespace(**vars(run.arguments) | {"should_save": False}), run.finetuning, PROCESSOR)
    assert not (run.folder / "model.safetensors").exists()
    hook.finish(run.arguments, run.finetuning, PROCESSOR)
    model = {"model.safetensors", "tokenizer.json", "chat_template.jinja", "preprocessor_config.json"}
    plots = {"training_loss.png", "training_eval_loss.png"}
    assert {path.name for path in run.folder.iterdir()} == {"checkpoint-3", "epoch-1", *model, *plots, *ENDS}
    assert {path.name for path in (run.folder / "epoch-1").iterdir()} == model
    assert (run.folder / "chat_template.jinja").read_text() == "chat_template.jinja"
    assert json.loads((run.folder / ENDS[0]).read_text()) == {"epoch": 1.0, "total_flos": 5.0}
    assert run.told == [
        f"virgo-factory: this run was killed behind its last step; its model is taken from {run.last}. It is not "
        "evaluated: start it again with do_train: false."
    ]
    with pytest.raises(UserError, match=r"holds a finished run \(3 of 3 steps\), so this one would train 0 steps"):
        hook.nothing_to_train(run.arguments, 3)


def test_its_best_model_is_taken_where_the_recipe_says_so(hook, run, checkpoint):
    best = checkpoint(run.folder, 2)
    (best / "model.safetensors").write_text("best")
    state = json.loads((run.last / ENDS[1]).read_text())
    (run.last / ENDS[1]).write_text(json.dumps(state | {"best_model_checkpoint": f"elsewhere/{best.name}"}))
    run.arguments.load_best_model_at_end = True
    hook.finish(run.arguments, run.finetuning, None)
    assert (run.folder / "model.safetensors").read_text() == "best"
    assert json.loads((run.folder / ENDS[1]).read_text())["global_step"] == 3


@pytest.mark.parametrize(
    ("steps", "planned", "elsewhere"), [(2, 3, False), (3, 5, False), (3, 3, True)], ids=["less", "more", "elsewhere"]
)
def test_a_checkpoint_that_is_not_its_end_is_not_taken(hook, run, tmp_path, steps, planned, elsewhere):
    state = json.loads((run.last / ENDS[1]).read_text())
    (run.last / ENDS[1]).write_text(json.dumps(state | {"max_steps": planned}))
    if elsewhere:
        run.arguments.output_dir = str(tmp_path / "other")

    with pytest.raises(UserError, match=f"holds a finished run \\(3 of {steps} steps\\)"):
        hook.nothing_to_train(run.arguments, steps)


def test_what_cannot_be_finished_says_what_to_do(hook, run):
    run.finetuning.pissa_convert = True
    with pytest.raises(UserError, match=rf"not converted \(pissa_convert\). Remove {run.last}: then the next start"):
        hook.finish(run.arguments, run.finetuning, None)

    (run.last / "model.safetensors").unlink()
    with pytest.raises(UserError, match=f"{run.last} has no whole weights .* zero_to_fp32.py, or remove {run.last}:"):
        hook.finish(run.arguments, run.finetuning, None)


def test_a_stage_that_is_left_ends_so(hook, monkeypatch):
    import llamafactory.model

    from virgo_factory.hooks.train import ending

    finished = []
    monkeypatch.setattr(llamafactory.model, "load_tokenizer", lambda model: {"processor": f"of {model}"})
    monkeypatch.setattr(ending, "finish", lambda *given: finished.append(given))

    def stage(*_):
        raise hook.OnlyItsEnd

    ending.telling(stage)("model", "data", "training", "finetuning", "generating", [])
    assert finished == [("training", "finetuning", "of model")]
