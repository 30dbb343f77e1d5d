"""Which checkpoint a run goes on from, whether steps are left, and weights by the model's own names."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import save_file


@pytest.fixture(scope="module")
def resume():
    from virgo_factory.hooks import resume

    return resume


@pytest.fixture
def told(resume, monkeypatch):
    """What is printed."""
    lines = []
    logger = SimpleNamespace(info_rank0=lines.append, warning_rank0=lines.append)
    monkeypatch.setattr(resume, "logger", logger)
    return lines


def checkpoint(folder, step, **state) -> Path:
    """Write what matters of a whole checkpoint."""
    path = folder / f"checkpoint-{step}"
    path.mkdir(parents=True)
    (path / "model.safetensors").write_bytes(b"")
    (path / "optimizer.pt").write_bytes(b"")
    (path / "trainer_state.json").write_text(json.dumps({"global_step": step, "train_batch_size": 1} | state))
    return path


def arguments(output_dir, **changes):
    return SimpleNamespace(
        **{
            "do_train": True,
            "output_dir": str(output_dir),
            "train_batch_size": 1,
            "auto_find_batch_size": False,
            "per_device_train_batch_size": 1,
            "world_size": 1,
            "gradient_accumulation_steps": 1,
            "dataloader_drop_last": False,
            "num_train_epochs": 1.0,
            "max_steps": -1,
            "resume_from_checkpoint": None,
        }
        | changes
    )


def found_by_llamafactory(folder):
    """Return the checkpoint that the hooked parser finds in an output_dir."""
    from llamafactory.hparams import parser

    return parser.get_last_checkpoint(str(folder))


@pytest.mark.parametrize(
    ("complete", "broken", "expected"),
    [([10, 20], [], 20), ([10, 20], [30], 20), ([10], [30, 20], 10), ([], [30], None), ([], [], None)],
)
@pytest.mark.parametrize("left", [None, "", '{"global_step": 1'], ids=["missing", "empty", "half"])
def test_a_found_checkpoint_that_was_cut_short_is_passed_over(
    resume, told, tmp_path, complete, broken, expected, left
):
    for step in [*complete, *broken]:
        state = checkpoint(tmp_path, step) / "trainer_state.json"
        if step in broken:
            state.unlink() if left is None else state.write_text(left)

    (tmp_path / "checkpoint-best").mkdir()
    chosen = resume.choose_checkpoint(found_by_llamafactory(tmp_path), arguments(tmp_path))
    assert chosen == (str(tmp_path / f"checkpoint-{expected}") if expected else None)
    assert any("cut short while it was saved" in line for line in told) == bool(broken)


def weights_only(folder):
    (folder / "checkpoint-8" / "trainer_state.json").unlink()


def an_adapters_weights_only(folder):
    for name in ("trainer_state.json", "model.safetensors"):
        (folder / "checkpoint-8" / name).unlink()

    for name in ("adapter_config.json", "adapter_model.safetensors"):
        (folder / "checkpoint-8" / name).write_text("{}")


def nothing_in_it(folder):
    for path in (folder / "checkpoint-8").iterdir():
        path.unlink()


NAMED = [
    # (what is done to checkpoint-8 of 4 and 8, the name, part of the error)
    (lambda folder: shutil.rmtree(folder / "checkpoint-8"), "checkpoint-8", "is missing: there is no such folder. {} has checkpoint-4."),
    (lambda folder: None, "gone/checkpoint-8", "is missing: there is no such folder."),
    (lambda folder: None, "epoch-1", "is missing"),
    (weights_only, "checkpoint-8", "has weights only, no trainer_state.json, so it is not known where to go on. {} has checkpoint-4. To begin a new run with its weights, set model_name_or_path to it"),
    (an_adapters_weights_only, "checkpoint-8", "set adapter_name_or_path to it"),
    (nothing_in_it, "checkpoint-8", "is no checkpoint: it has neither weights nor a trainer_state.json."),
    (lambda folder: (folder / "checkpoint-8" / "trainer_state.json").write_text(""), "checkpoint-8", "was cut short while it was saved: its trainer_state.json is not whole. {} has checkpoint-4."),
]  # fmt: skip


@pytest.mark.parametrize(("harm", "name", "part"), NAMED, ids=[case[2][:40] for case in NAMED])
def test_a_named_checkpoint_is_never_replaced_by_another(resume, told, tmp_path, harm, name, part):
    checkpoint(tmp_path, 4), checkpoint(tmp_path, 8)
    harm(tmp_path)
    with pytest.raises(ValueError) as error:
        resume.choose_checkpoint(str(tmp_path / name), arguments(tmp_path))

    assert str(error.value).startswith(f"resume_from_checkpoint: {tmp_path / name} ")
    assert part.format(tmp_path) in str(error.value)


@pytest.mark.parametrize("asked", [True, "true", False, "False", None])
def test_true_and_false(resume, told, tmp_path, asked):
    chosen = str(asked).lower() == "true"
    if chosen:
        with pytest.raises(ValueError, match="resume_from_checkpoint: true, but there is no complete checkpoint in"):
            resume.choose_checkpoint(asked, arguments(tmp_path))

    checkpoint(tmp_path, 4), checkpoint(tmp_path, 12)
    (checkpoint(tmp_path, 100) / "trainer_state.json").unlink()
    expected = str(tmp_path / "checkpoint-12") if chosen else None
    assert resume.choose_checkpoint(asked, arguments(tmp_path)) == expected


def test_a_checkpoint_of_any_name_and_without_optimiser_state(resume, told, tmp_path):
    folder = checkpoint(tmp_path, 4).rename(tmp_path / "moved")
    assert resume.choose_checkpoint(str(folder), arguments(tmp_path)) == str(folder)
    assert told == []
    (folder / "optimizer.pt").unlink()
    assert resume.choose_checkpoint(str(folder), arguments(tmp_path)) == str(folder)
    assert "has no optimiser state" in told[0]


def test_another_batch_than_the_checkpoints_is_refused(resume, told, tmp_path):
    """Transformers would take the rows a device from the checkpoint and the accumulation from the recipe."""
    folder = checkpoint(tmp_path, 4, train_batch_size=2)
    for asked in (str(folder), found_by_llamafactory(tmp_path), True):
        with pytest.raises(ValueError, match="was made with 2 rows a device and micro-step, and this recipe has 1"):
            resume.choose_checkpoint(asked, arguments(tmp_path))

    assert resume.choose_checkpoint(str(folder), arguments(tmp_path, auto_find_batch_size=True)) == str(folder)


LENGTHS = [
    # (rows, batch, ranks, accumulation, epochs, max_steps, drop_last): the steps of transformers
    ((100, 1, 1, 1, 3, -1, False), 300),
    ((100, 1, 8, 2, 1, -1, False), 7),
    ((101, 4, 2, 4, 2, -1, False), 8),
    ((104, 3, 2, 3, 2, -1, False), 12),
    ((110, 3, 2, 3, 2, -1, True), 12),
    ((3, 1, 1, 16, 5, -1, False), 5),
    ((100, 1, 1, 1, 0.5, -1, False), 50),
    ((100, 1, 1, 1, 3, 20, False), 20),
]


def of_length(tmp_path, length, **changes):
    rows, batch, ranks, accumulation, epochs, max_steps, drop_last = length
    return arguments(
        tmp_path,
        per_device_train_batch_size=batch,
        world_size=ranks,
        gradient_accumulation_steps=accumulation,
        num_train_epochs=epochs,
        max_steps=max_steps,
        dataloader_drop_last=drop_last,
        **changes,
    )


@pytest.mark.parametrize(("length", "steps"), LENGTHS)
def test_a_finished_run_is_not_trained_zero_steps(resume, tmp_path, length, steps):
    rows = range(length[0])
    folder = checkpoint(tmp_path, 1)
    training_args = of_length(tmp_path, length, resume_from_checkpoint=str(folder))
    for done, finished in ((steps - 1, False), (steps, True), (steps + 1, True)):
        (folder / "trainer_state.json").write_text(json.dumps({"global_step": done}))
        if finished:
            with pytest.raises(ValueError, match=rf"holds a finished run \({done} of {steps} steps\)"):
                resume.check_steps_left(rows, [], training_args)
        else:
            resume.check_steps_left(rows, [], training_args)

    for change in ({"do_train": False}, {"resume_from_checkpoint": None}, {"resume_from_checkpoint": str(tmp_path)}):
        resume.check_steps_left(rows, [], SimpleNamespace(**(vars(training_args) | change)))

    resume.check_steps_left(None, [], training_args)


@pytest.mark.parametrize(("length", "steps"), LENGTHS)
def test_the_count_of_steps_is_that_of_transformers(tmp_path, length, steps):
    from torch.utils.data import DataLoader
    from transformers import Trainer, TrainingArguments

    rows, batch, ranks, accumulation, epochs, max_steps, drop_last = length
    args = TrainingArguments(
        str(tmp_path),
        gradient_accumulation_steps=accumulation,
        num_train_epochs=epochs,
        max_steps=max_steps,
        use_cpu=True,
        report_to="none",
    )
    loader = DataLoader(range(rows), batch_size=batch * ranks, drop_last=drop_last)  # as long as each rank's
    trainer = SimpleNamespace(
        num_examples=lambda loader: rows, num_tokens=None, get_total_train_batch_size=lambda args: 1, args=args
    )
    assert Trainer.set_initial_training_values(trainer, args, loader, batch)[-1] == steps


def account(**rows):
    from virgo_factory.datasets.account import DatasetAccount

    return [DatasetAccount(name, "train", kept, kept_for={"train": kept}) for name, kept in rows.items()]


CHANGED = [
    # (rows then, now, epochs now, part of the error; None: the run goes on)
    ({"dt": 10}, {"dt": 10}, 1, "holds a finished run (10 of 10 steps), so this one would train 0 steps"),
    ({"dt": 10}, {"dt": 10}, 2, None),
    ({"dt": 10}, {"dt": 25}, 1, "holds a finished run (10 of 10 steps) on other data than this recipe's, which makes 25 steps: dt 10 rows then, 25 now."),
    ({"dt": 10}, {"dt": 7}, 1, "holds a finished run (10 of 10 steps) on other data than this recipe's, which makes 7 steps: dt 10 rows then, 7 now."),
    ({"dt": 10}, {"dsd": 10}, 1, "dt 10 rows then, 0 now, dsd 0 rows then, 10 now"),
    ({"dt": 6, "dsd": 4}, {"dt": 6, "dsd": 5}, 3, "dsd 4 rows then, 5 now"),
    (None, {"dt": 25}, 1, "10 steps then, 25 now, by other rows or another batch"),
]  # fmt: skip


@pytest.mark.parametrize(("then", "now", "epochs", "part"), CHANGED)
def test_a_finished_run_whose_data_changed_is_told_as_that(resume, told, tmp_path, then, now, epochs, part):
    from virgo_factory.datasets.account import FILE_NAME, to_json

    checkpoint(tmp_path, 10, max_steps=10, epoch=1.0, num_train_epochs=1)
    if then:
        (tmp_path / FILE_NAME).write_text(json.dumps(to_json(account(**then))))

    rows = range(sum(now.values()))
    run = arguments(tmp_path, num_train_epochs=float(epochs), resume_from_checkpoint=found_by_llamafactory(tmp_path))
    if part is None:
        resume.check_steps_left(rows, account(**now), run)
        assert told == []
        return

    with pytest.raises(ValueError) as error:
        resume.check_steps_left(rows, account(**now), run)

    assert part in str(error.value)
    if len(rows) * epochs > 10:  # asked for by name, it goes on
        run.resume_from_checkpoint = str(run.resume_from_checkpoint)
        resume.check_steps_left(rows, account(**now), run)
        assert "comes from other data than this recipe's" in told[0]


def test_a_killed_run_goes_on_with_other_data_and_says_so(resume, told, tmp_path):
    from virgo_factory.datasets.account import FILE_NAME, to_json

    checkpoint(tmp_path, 4, max_steps=10, epoch=0.4, num_train_epochs=1)
    (tmp_path / FILE_NAME).write_text(json.dumps(to_json(account(dt=10))))
    run = arguments(tmp_path, resume_from_checkpoint=found_by_llamafactory(tmp_path))
    resume.check_steps_left(range(10), account(dt=10), run)
    assert told == []
    resume.check_steps_left(range(12), account(dt=12), run)
    assert "dt 10 rows then, 12 now. The run goes on at step 4 of 12" in told[0]


class Renamed(torch.nn.Module):
    """A model whose saved names are not its own, with a head that is tied to its embedding or not."""

    _checkpoint_conversion_mapping = {"^visual": "model.visual", r"^model(?!\.(language|visual))": "model.language"}

    def __init__(self, tied):
        super().__init__()
        self.model = torch.nn.ModuleDict({"visual": torch.nn.Linear(2, 3), "language": torch.nn.Embedding(4, 3)})
        self.lm_head = torch.nn.Linear(3, 4, bias=False)
        if tied:
            self.lm_head.weight = self.model["language"].weight


SAVED = {
    "visual.weight": torch.full((3, 2), 1.0),
    "visual.bias": torch.full((3,), 2.0),
    "model.weight": torch.full((4, 3), 3.0),
    "lm_head.weight": torch.full((4, 3), 4.0),
}


def save(folder, tensors, kind):
    names = list(tensors)
    suffix, write = ("safetensors", save_file) if "safetensors" in kind else ("bin", torch.save)
    stem = "model" if suffix == "safetensors" else "pytorch_model"
    if "shards" not in kind:
        return write(tensors, folder / f"{stem}.{suffix}")

    parts = {f"{stem}-0000{i + 1}-of-00002.{suffix}": names[i::2] for i in range(2)}
    for file, own in parts.items():
        write({name: tensors[name] for name in own}, folder / file)

    index = {"weight_map": {name: file for file, own in parts.items() for name in own}}
    (folder / f"{stem}.{suffix}.index.json").write_text(json.dumps(index))
    return None


def test_weights_saved_under_their_own_names(resume, tmp_path):
    """Which the patterns of the others would change: only some families are saved under other names."""
    model = Renamed(tied=False)
    model._checkpoint_conversion_mapping = {"^model": "model.language"}
    tensors = {name: torch.full_like(tensor, 5.0) for name, tensor in model.state_dict().items()}
    save(tmp_path, tensors, "safetensors")
    resume.load_weights(model, tmp_path)
    assert all(torch.equal(tensor, tensors[name]) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize("kind", ["safetensors", "safetensors shards", "bin", "bin shards"])
@pytest.mark.parametrize("tied", [False, True])
def test_weights_are_loaded_by_the_models_own_names(resume, tmp_path, kind, tied):
    model = Renamed(tied)
    save(tmp_path, {name: tensor for name, tensor in SAVED.items() if not (tied and name == "lm_head.weight")}, kind)
    resume.load_weights(model, tmp_path)
    own = model.state_dict()
    assert torch.equal(own["model.visual.weight"], SAVED["visual.weight"])
    assert torch.equal(own["model.visual.bias"], SAVED["visual.bias"])
    assert torch.equal(own["model.language.weight"], SAVED["model.weight"])
    assert torch.equal(own["lm_head.weight"], SAVED["model.weight" if tied else "lm_head.weight"])


BAD = [
    ({"visual.bias": None}, r"no weights for model\.visual\.bias \(1 parameters\)"),
    ({"lm_head.weight": None}, r"no weights for lm_head\.weight"),
    ({"other.weight": torch.zeros(1)}, r"other\.weight is no parameter of this model"),
    ({"model.weight": torch.zeros(5, 3)}, r"model\.weight has the shape \(5, 3\), this model's \(4, 3\)"),
    ({"visual.bias": torch.zeros(1)}, r"visual\.bias has the shape \(1,\)"),  # which could be spread over all
]


@pytest.mark.parametrize(("change", "part"), BAD)
def test_weights_of_another_model_are_refused(resume, tmp_path, change, part):
    tensors = {name: tensor for name, tensor in (SAVED | change).items() if tensor is not None}
    save(tmp_path, tensors, "safetensors")
    with pytest.raises(ValueError, match=part):
        resume.load_weights(Renamed(tied=False), tmp_path)


def test_missing_weights_and_shards(resume, tmp_path):
    with pytest.raises(ValueError, match="no weights in it"):
        resume.load_weights(Renamed(tied=False), tmp_path)

    save(tmp_path, SAVED, "safetensors shards")
    (tmp_path / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(ValueError, match="model-00002-of-00002.safetensors of its weights is missing"):
        resume.load_weights(Renamed(tied=False), tmp_path)


@pytest.mark.parametrize("used", [True, False])
def test_only_runs_that_use_the_plugin_are_repaired(resume, monkeypatch, used):
    """And only while they train: the next run of the process may be another one."""
    import transformers.trainer

    seen, stock_skip = {}, transformers.trainer.skip_first_batches

    def stock_train(self):
        seen.update(skip=transformers.trainer.skip_first_batches, load=self._load_from_checkpoint)
        raise KeyboardInterrupt

    monkeypatch.setattr(transformers.Trainer, "train", stock_train)
    resume.repair_training(None)
    trainer = object.__new__(transformers.Trainer)
    trainer.finetuning_args = SimpleNamespace(virgo_used=used, keep_model_at_epochs=None)
    with pytest.raises(KeyboardInterrupt):
        trainer.train()

    assert (seen["skip"] is stock_skip) == (not used)
    assert (seen["load"].__func__ is transformers.Trainer._load_from_checkpoint) == (not used)
    assert transformers.trainer.skip_first_batches is stock_skip
    assert "_load_from_checkpoint" not in vars(trainer)


def test_the_lines_below_llamafactory_are_there(resume):
    import importlib.util

    for file, texts in resume.RELIES_ON_STACK.items():
        package, path = file.split("/", 1)
        content = (Path(importlib.util.find_spec(package).origin).parent / path).read_text(encoding="utf-8")
        for text in texts:
            assert text in content, f"virgo_factory/hooks/resume.py relies on {file}, where this has changed:\n{text}"


def test_llamafactorys_parser_takes_every_kind_of_the_key(resume, told, tmp_path):
    """Through `get_train_args`: found and named checkpoints are told apart, true and false are no paths."""
    from llamafactory.hparams import get_train_args

    (tmp_path / "stock.json").write_text(json.dumps([{"instruction": "a", "output": "b"}]))
    (tmp_path / "dataset_info.json").write_text(json.dumps({"stock": {"file_name": "stock.json"}}))
    out = tmp_path / "out"
    recipe = {"model_name_or_path": "m", "stage": "sft", "do_train": True, "dataset": "stock", "output_dir": str(out)}
    recipe |= {"dataset_dir": str(tmp_path), "template": "virgo", "use_cpu": True, "report_to": "none"}
    recipe |= {"finetuning_type": "full", "per_device_train_batch_size": 1}

    def chosen(**keys):
        return get_train_args(recipe | keys)[2].resume_from_checkpoint

    assert chosen() is chosen(resume_from_checkpoint=False) is None
    with pytest.raises(ValueError, match="  - resume_from_checkpoint: true, but there is no complete checkpoint in"):
        chosen(resume_from_checkpoint=True)

    checkpoint(out, 4)
    (checkpoint(out, 8) / "trainer_state.json").unlink()
    assert chosen() == chosen(resume_from_checkpoint=True) == str(out / "checkpoint-4")
    assert chosen(resume_from_checkpoint=False) is chosen(overwrite_output_dir=True) is None
    for name, why in (("checkpoint-8", "has weights only"), ("checkpoint-9", "is missing")):
        with pytest.raises(ValueError, match=f"{name} {why}"):
            chosen(resume_from_checkpoint=str(out / name))

    assert chosen(do_train=False, do_eval=True, eval_dataset="stock", resume_from_checkpoint="gone") == "gone"


def test_changed_rows_of_a_finished_run_through_the_loader(preprocess, model_folder, tmp_path):
    """And its row account stays as it was."""
    response = {"thought": "Seven eights.", "solution": "56"}
    text = "<|begin_of_thought|>\n\n{thought}\n\n<|end_of_thought|>\n\n<|begin_of_solution|>\n\n{solution}\n\n<|end_of_solution|>"
    row = json.dumps({"question": "7 * 8?", "combined_text": text.format(**response)})
    (tmp_path / "dt.jsonl").write_text(f"{row}\n" * 3)
    (tmp_path / "dataset_info.json").write_text(
        json.dumps({"dt": {"file_name": "dt.jsonl", "formatting": "virgo_dt"}})
    )
    recipe = {"model_name_or_path": str(model_folder), "dataset": "dt", "num_train_epochs": 1.0}
    recipe |= {"per_device_train_batch_size": 1}
    assert preprocess(recipe).accounts["dt"]["kept"] == 3
    checkpoint(tmp_path / "out", 3, max_steps=3, epoch=1.0, num_train_epochs=1)
    with pytest.raises(
        ValueError, match=r"out holds a finished run \(3 of 3 steps\), so this one would train 0 steps"
    ):
        preprocess(recipe)

    (tmp_path / "dt.jsonl").write_text(f"{row}\n" * 5)
    with pytest.raises(
        ValueError, match=r"finished run \(3 of 3 steps\) on other data .* 5 steps: dt 3 rows then, 5 now"
    ):
        preprocess(recipe)

    account = json.loads((tmp_path / "out" / "virgo_rows.json").read_text())["datasets"][0]
    assert account["kept"] == 3
