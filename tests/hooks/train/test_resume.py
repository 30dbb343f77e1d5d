"""Training is repaired in runs that use the plugin, and nowhere else."""

from types import SimpleNamespace

import pytest


@pytest.fixture(scope="module")
def resume():
    from virgo_factory.hooks.train import resume

    return resume


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
    trainer.is_deepspeed_enabled = False
    noted = []
    monkeypatch.setattr(resume, "note_batches", noted.append)
    with pytest.raises(KeyboardInterrupt):
        trainer.train()

    assert (seen["skip"] is stock_skip) == (not used)
    assert (seen["load"].__func__ is transformers.Trainer._load_from_checkpoint) == (not used)
    assert transformers.trainer.skip_first_batches is stock_skip
    assert "_load_from_checkpoint" not in vars(trainer)
    assert noted == [trainer] * used


def test_an_optimiser_has_no_group_without_parameters(resume):
    """LoRA's second one, which DeepSpeed leaves out and torch's schedule counts."""
    torch = pytest.importorskip("torch")
    weights = torch.nn.Parameter(torch.ones(2))
    trainer = SimpleNamespace(create_optimizer=lambda: torch.optim.AdamW([{"params": [weights]}, {"params": []}]))
    resume.leave_out_empty_groups(trainer)
    assert [group["params"] for group in trainer.create_optimizer().param_groups] == [[weights]]
