"""Training is repaired in runs that use the plugin, and nowhere else."""

from types import SimpleNamespace

import pytest


@pytest.mark.parametrize("used", [True, False])
def test_only_runs_that_use_the_plugin_are_repaired(hook, monkeypatch, used):
    import transformers.trainer

    seen, stock_skip = {}, transformers.trainer.skip_first_batches

    def stock_train(self):
        seen.update(skip=transformers.trainer.skip_first_batches, load=self._load_from_checkpoint)
        seen["batches"] = self.get_batch_samples(iter([{}]), 1, None)[0]
        raise KeyboardInterrupt

    monkeypatch.setattr(transformers.Trainer, "train", stock_train)
    hook.repair_training(None)
    trainer = object.__new__(transformers.Trainer)
    trainer.finetuning_args = SimpleNamespace(virgo_used=used, keep_model_at_epochs=None)
    trainer.is_deepspeed_enabled = False
    trainer.state = SimpleNamespace(global_step=4, max_steps=4)
    noted = []
    monkeypatch.setattr(hook, "note_batches", noted.append)
    with pytest.raises(KeyboardInterrupt):
        trainer.train()

    assert (seen["skip"] is stock_skip) == (not used)
    assert (seen["load"].__func__ is transformers.Trainer._load_from_checkpoint) == (not used)
    assert transformers.trainer.skip_first_batches is stock_skip
    assert "_load_from_checkpoint" not in vars(trainer)
    assert noted == [trainer] * used
    assert len(seen["batches"]) == (not used)  # of a run that has all its steps


def test_an_optimiser_has_no_group_without_parameters(hook):
    torch = pytest.importorskip("torch")
    weights = torch.nn.Parameter(torch.ones(2))
    trainer = SimpleNamespace(create_optimizer=lambda: torch.optim.AdamW([{"params": [weights]}, {"params": []}]))
    hook.leave_out_empty_groups(trainer)
    assert [group["params"] for group in trainer.create_optimizer().param_groups] == [[weights]]


@pytest.mark.parametrize("order", ["stock", "ours"])
@pytest.mark.parametrize("ranks", [1, 2])
@pytest.mark.parametrize("after", [False, True])
def test_a_resumed_epoch_is_in_its_own_order(hook, ranks, order, after):
    from accelerate.data_loader import prepare_data_loader, skip_first_batches
    from datasets import Dataset
    from torch.utils.data import DataLoader

    from virgo_factory.hooks.train.batch_order import BatchOrderSampler

    rows = Dataset.from_dict({"input_ids": [[0] * (1 + 3 * row % 7) for row in range(24)], "row": list(range(24))})

    def loader():
        sampler = BatchOrderSampler("balanced", rows, ranks, 2, 3, data_seed=1) if order == "ours" else None
        plain = DataLoader(rows, batch_size=2, sampler=sampler, shuffle=not sampler or None, collate_fn=list)
        given = {"num_processes": ranks, "process_index": ranks - 1, "use_seedable_sampler": True, "data_seed": 1}
        return prepare_data_loader(plain, **given)

    def read(given):
        return [[row["row"] for row in batch] for batch in given]

    whole, resumed = loader(), loader()
    first = read(whole)
    whole.set_epoch(1)
    second = read(whole)
    assert first != second
    if not after:
        resumed.set_epoch(1)

    rest = hook.keeping_iteration(skip_first_batches)(resumed, 2)
    if after:
        rest.set_epoch(1)

    assert read(rest) == second[2:]
