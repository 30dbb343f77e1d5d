"""Whether steps are left to train, and of which run."""

import functools
import json
import os
from types import SimpleNamespace

import pytest

from virgo_factory.core.thought import LongThought
from virgo_factory.data.rows.account import FILE_NAME, DatasetAccount, to_json
from virgo_factory.preflight.versions import reads_5


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


def of_length(arguments, tmp_path, length, **changes):
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
def test_a_finished_run_is_not_trained_zero_steps(hook, tmp_path, length, steps, checkpoint, arguments):
    rows = range(length[0])
    folder = checkpoint(tmp_path, 1)
    training_args = of_length(arguments, tmp_path, length, resume_from_checkpoint=str(folder))
    for done, finished in ((steps - 1, False), (steps, True), (steps + 1, True)):
        (folder / "trainer_state.json").write_text(json.dumps({"global_step": done}))
        if finished:
            finished_run = rf"holds a finished run \({done} of {steps} steps\), so this one would train 0 steps\."
            with pytest.raises(ValueError, match=f"{finished_run} Choose another"):
                hook.check_steps_left(rows, [], training_args)
        else:
            hook.check_steps_left(rows, [], training_args)

    for change in ({"do_train": False}, {"resume_from_checkpoint": None}, {"resume_from_checkpoint": str(tmp_path)}):
        hook.check_steps_left(rows, [], SimpleNamespace(**(vars(training_args) | change)))

    hook.check_steps_left(None, [], training_args)


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
        num_examples=lambda loader: rows,
        num_tokens=None,
        get_total_train_batch_size=lambda args: 1,
        get_sp_size=lambda: 1,
        args=args,
    )
    count = functools.partial(Trainer.set_initial_training_values, trainer, args, loader)
    assert (count() if reads_5() else count(batch))[-1] == steps


def ended(folder):
    """Write what a run leaves behind its model."""
    for name in ("train_results.json", "trainer_state.json"):
        (folder / name).write_text("{}")


@pytest.mark.parametrize("left", ["nothing", "half of an older end", "an older end", "its end"])
def test_a_run_that_was_killed_behind_its_last_step_goes_on(hook, told, tmp_path, left, checkpoint, arguments):
    last = checkpoint(tmp_path, 10, max_steps=10, epoch=1.0, num_train_epochs=1)
    if left != "nothing":
        ended(tmp_path)

    for name in ("train_results.json", "trainer_state.json") if "older" in left else ():
        os.utime(tmp_path / name, (1, 1))

    if "half" in left:
        (tmp_path / "trainer_state.json").unlink()

    run = arguments(tmp_path, resume_from_checkpoint=str(last))
    if left != "its end":
        hook.check_steps_left(range(10), [], run)
        assert told == [f"virgo-factory: this run was killed behind its last step; its model is that of {last}."]
        run.output_dir = str(tmp_path / "elsewhere")

    with pytest.raises(ValueError, match=r"holds a finished run \(10 of 10 steps\)"):
        hook.check_steps_left(range(10), [], run)


def account(**rows):
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
def test_a_finished_run_whose_data_changed_is_told_as_that(
    hook, told, tmp_path, then, now, epochs, part, checkpoint, arguments, found_by_llamafactory
):
    checkpoint(tmp_path, 10, max_steps=10, epoch=1.0, num_train_epochs=1)
    ended(tmp_path)
    if then:
        (tmp_path / FILE_NAME).write_text(json.dumps(to_json(account(**then))))

    rows = range(sum(now.values()))
    run = arguments(tmp_path, num_train_epochs=float(epochs), resume_from_checkpoint=found_by_llamafactory(tmp_path))
    if part is None:
        hook.check_steps_left(rows, account(**now), run)
        assert told == []
        return

    with pytest.raises(ValueError) as error:
        hook.check_steps_left(rows, account(**now), run)

    assert part in str(error.value)
    if len(rows) * epochs > 10:  # asked for by name, it goes on
        run.resume_from_checkpoint = str(run.resume_from_checkpoint)
        hook.check_steps_left(rows, account(**now), run)
        assert "comes from other data than this recipe's" in told[0]


def test_a_killed_run_goes_on_with_other_data_and_says_so(
    hook, told, tmp_path, checkpoint, arguments, found_by_llamafactory
):
    checkpoint(tmp_path, 4, max_steps=10, epoch=0.4, num_train_epochs=1)
    (tmp_path / FILE_NAME).write_text(json.dumps(to_json(account(dt=10))))
    run = arguments(tmp_path, resume_from_checkpoint=found_by_llamafactory(tmp_path))
    hook.check_steps_left(range(10), account(dt=10), run)
    assert told == []
    hook.check_steps_left(range(12), account(dt=12), run)
    assert "dt 10 rows then, 12 now. The run goes on at step 4 of 12" in told[0]


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({}, None),
        ({"data": {"dt": ["dt.jsonl 2"]}}, "dt as many rows then as now, in files that have changed. The run"),
        (
            {"template": "omr", "cutoff_len": 9},
            "other data than this recipe's: template 'virgo' then, 'omr' now. The run",
        ),
    ],
)
def test_a_killed_run_goes_on_with_other_rows_of_the_same_number_and_says_so(
    hook, told, tmp_path, checkpoint, arguments, found_by_llamafactory, change, part
):
    settings = {"data": {"dt": ["dt.jsonl 1"]}, "template": "virgo", "question_prefix": "", "cutoff_len": 8}
    checkpoint(tmp_path, 4, max_steps=10, epoch=0.4, num_train_epochs=1)
    (tmp_path / FILE_NAME).write_text(json.dumps(to_json(account(dt=10), settings=settings)))
    run = arguments(tmp_path, resume_from_checkpoint=found_by_llamafactory(tmp_path))
    hook.check_steps_left(range(10), account(dt=10), run, settings | change)
    assert [part in line for line in told] == ([True] if part else [])


@pytest.mark.slow
def test_changed_rows_of_a_finished_run_through_the_loader(preprocess, model_folder, write_data, tmp_path, checkpoint):
    row = {"question": "7 * 8?", "combined_text": LongThought("Seven eights.", "56").render()}
    write_data("virgo_dt", dt=[row] * 3)
    recipe = {"model_name_or_path": str(model_folder), "dataset": "dt", "num_train_epochs": 1.0}
    recipe |= {"per_device_train_batch_size": 1}
    assert preprocess(recipe).accounts["dt"]["kept"] == 3
    checkpoint(tmp_path / "out", 3, max_steps=3, epoch=1.0, num_train_epochs=1)
    ended(tmp_path / "out")
    with pytest.raises(
        ValueError, match=r"out holds a finished run \(3 of 3 steps\), so this one would train 0 steps"
    ):
        preprocess(recipe)

    write_data("virgo_dt", dt=[row] * 5)
    with pytest.raises(
        ValueError, match=r"finished run \(3 of 3 steps\) on other data .* 5 steps: dt 3 rows then, 5 now"
    ):
        preprocess(recipe)

    account = json.loads((tmp_path / "out" / "virgo_rows.json").read_text())["datasets"][0]
    assert account["kept"] == 3
