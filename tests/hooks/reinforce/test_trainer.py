"""The loss of the trainer against one written out by hand, what is never said, and TRL beside a new vLLM."""

from types import SimpleNamespace

import pytest
import torch
from PIL import Image

from virgo_factory.answers.rewards import Reward


def batch():
    """Four responses of unlike length; the log-probabilities at drawing are moved so far that some ratios are clipped."""
    generator = torch.Generator().manual_seed(3)
    ids = torch.randint(10, 1000, (4, 11), generator=generator)
    mask = torch.ones(4, 6, dtype=torch.long)
    for row, length in enumerate((6, 2, 4, 1)):
        mask[row, length:] = 0

    return {
        "prompt_ids": ids[:, :5],
        "prompt_mask": torch.ones(4, 5, dtype=torch.long),
        "completion_ids": ids[:, 5:],
        "completion_mask": mask,
        "advantages": torch.tensor([1.2, -0.7, 0.4, -0.9]),
        "num_items_in_batch": mask.sum(),
        "moved": torch.randn(4, 6, generator=generator),
    }


LOSSES = {
    # rl_loss: (by sequence, clips, how the terms of tokens become one number)
    "gspo": (
        True,
        (3e-4, 4e-4),
        lambda terms, mask: sum(t[:n].mean() for t, n in zip(terms, mask.sum(1), strict=True)) / 4,
    ),
    "grpo": (False, (0.2, 0.2), lambda terms, mask: terms[mask.bool()].sum() / mask.sum()),
    "dapo": (False, (0.2, 0.28), lambda terms, mask: terms[mask.bool()].sum() / mask.sum()),
    "dr_grpo": (False, (0.2, 0.2), lambda terms, mask: terms[mask.bool()].sum() / (4 * 6)),
}


@pytest.mark.parametrize("loss", LOSSES)
def test_the_loss_is_that_of_its_paper(trainer, loss):
    by_sequence, (low, high), collect = LOSSES[loss]
    made = trainer(rl_loss=loss)
    made.current_gradient_accumulation_steps = 1
    made.model.train()
    given = batch()
    whole = torch.cat([given["prompt_ids"], given["completion_ids"]], 1)
    attend = torch.cat([given["prompt_mask"], given["completion_mask"]], 1)
    with torch.no_grad():
        logits = made.model(input_ids=whole, attention_mask=attend).logits[:, 4:-1].double()
        now = logits.log_softmax(-1).gather(-1, given["completion_ids"].unsqueeze(-1)).squeeze(-1)

    scale = 1e-3 if by_sequence else 0.3
    old = now - scale * given["moved"]
    found = made._compute_loss(made.model, given | {"old_per_token_logps": old.float()})
    ratio, mask = now - old, given["completion_mask"]
    if by_sequence:
        ratio = ((ratio * mask).sum(1) / mask.sum(1)).unsqueeze(1).expand_as(ratio)

    ratio, advantage = ratio.exp(), given["advantages"].double().unsqueeze(1)
    clipped = ratio.clamp(1 - low, 1 + high)
    assert (clipped != ratio)[mask.bool()].any() and (clipped == ratio)[mask.bool()].any()
    terms = -torch.minimum(ratio * advantage, clipped * advantage)
    assert found.item() == pytest.approx(collect(terms, mask).item(), abs=1e-6)
    assert made._metrics["train"]["clip_ratio/region_mean"][-1] > 0


def test_each_update_of_a_rollout_is_the_mean_over_its_own_tokens(trainer):
    made = trainer(rl_loss="grpo", rl_updates_per_rollout=2, save_strategy="no")
    masks = [torch.ones(2, length, dtype=torch.long) for length in (1, 2, 3, 4)]
    made._buffered_inputs = [{"completion_mask": mask, "num_items_in_batch": torch.tensor(20)} for mask in masks]
    made._count_tokens()
    assert [part["num_items_in_batch"].item() for part in made._buffered_inputs] == [6, 6, 14, 14]


def test_what_is_no_text_is_never_said(trainer):
    made = trainer()
    config, tokenizer = made.model.config, made.processing_class
    assert {config.image_token_id, config.video_token_id, config.vision_start_token_id} <= set(made.suppressed)
    entries = set(tokenizer.get_vocab().values())
    padding = set(range(config.get_text_config().vocab_size)) - entries
    assert padding <= set(made.suppressed)
    assert tokenizer.eos_token_id not in made.suppressed
    with torch.no_grad():
        probabilities = made.model(input_ids=torch.tensor([[5, 6]])).logits.softmax(-1)

    assert probabilities[..., made.suppressed].max() == 0
    assert probabilities.sum(-1).tolist() == [[pytest.approx(1), pytest.approx(1)]]


def test_responses_are_drawn_from_the_whole_distribution(trainer):
    from virgo_factory.hooks.reinforce.generation import generate

    made = trainer()
    made.model.generation_config.update(top_k=1, temperature=0.01, top_p=0.001, repetition_penalty=1.05)
    rows = [{"input_ids": [7, 8, 9]}] * 6 + [{"input_ids": [7]}] * 2
    torch.manual_seed(0)
    samples = generate(made, rows, {})
    assert len({tuple(sample.ids) for sample in samples[:6]}) == 6
    assert all(len(sample.ids) <= 6 and not set(sample.ids) & set(made.suppressed) for sample in samples)
    stops = set(made.generation_config.eos_token_id)
    for sample in samples:
        assert (sample.finish_reason == "stop") == (sample.ids[-1] in stops)
        assert not stops & set(sample.ids[:-1])


def test_an_unverifiable_response_moves_nothing(trainer):
    made = trainer(rl_log_rollouts=0)
    scores = [0.9, None, None, None]
    rewards = [Reward(score, score and 1.0, 0.0, 0.0, "x", "x") for score in scores]
    made._rewards = SimpleNamespace(score=lambda *_: rewards)
    made._rows = [{"asked": {"text": "How many?", "gold": "1"}}] * 4
    made._samples = [SimpleNamespace(finish_reason="stop", ids=[5])] * 4
    found = made._calculate_rewards(None, None, None, None)
    assert found.flatten().tolist() == [pytest.approx(0.9), pytest.approx(0.9), 0, 0]
    assert made._metrics["train"]["unverifiable"] == [0.75]
    assert made._metrics["train"]["doubtful"] == [0.5]  # of two groups the second one
    assert made._metrics["train"]["accuracy"] == [1.0]


@pytest.mark.slow
def test_rows_without_pictures_are_told_the_same_beside_a_blank_one(trainer, tmp_path):
    from virgo_factory.hooks.reinforce.policy import blank_picture
    from virgo_factory.hooks.reinforce.prompts import pictures

    made = trainer()
    tokenizer, processor = made.processing_class, made.processor
    (image,) = [tmp_path / "a.png"]
    Image.new("RGB", (90, 60), (200, 20, 20)).save(image)
    row = {"images": [str(image)], "input_ids": []}
    (message,) = made.template.mm_plugin.process_messages(
        [{"role": "user", "content": "<image>Which colour?"}], row["images"], [], [], processor
    )
    ids = tokenizer.encode(message["content"])
    text = tokenizer.encode("Which one?")
    ids, mask = (
        torch.tensor([first, [fill] * (len(first) - len(second)) + second])
        for fill, first, second in ((made.pad_token_id, ids, text), (0, [1] * len(ids), [1] * len(text)))
    )
    seen = {**pictures([row], made.template, processor), "num_images": [1, 0]}
    with torch.no_grad():
        together, _ = made._get_per_token_logps_and_entropies(made.model, ids, mask, 3, **seen)
        alone, _ = made._get_per_token_logps_and_entropies(made.model, ids, mask, 3, batch_size=1, **seen)
        made.blank = blank_picture(made.template, tokenizer, processor)
        beside, _ = made._get_per_token_logps_and_entropies(made.model, ids, mask, 3, batch_size=1, **seen)
        seen["pixel_values"] = -seen["pixel_values"]
        other, _ = made._get_per_token_logps_and_entropies(made.model, ids, mask, 3, **seen)

    assert made.blank.ids.count(made.model.config.image_token_id) == 4
    assert torch.allclose(together, alone, atol=1e-5) and torch.allclose(together, beside, atol=1e-5)
    assert not torch.allclose(together[0], other[0], atol=1e-3) and torch.allclose(together[1], other[1], atol=1e-5)


def test_ten_rollouts_without_gradient_are_told_once(hook, trainer, monkeypatch):
    said = []
    monkeypatch.setattr(hook.logger, "warning_rank0", said.append, raising=False)
    made = trainer()
    for flat in [True] * 9 + [False] + [True] * 12:
        made._watch(flat)

    assert len(said) == 1 and "10 rollouts in a row" in said[0] and "rl_curriculum" in said[0]


BEFORE = """
    import sys
    sys.path.insert(0, {folder!r})
    for name in [name for name in sys.modules if name.partition(".")[0] == "trl"]:
        del sys.modules[name]
"""
IMPORT = """
    try:
        from trl import GRPOTrainer
    except RuntimeError as error:
        print(error)

    import virgo_factory
    virgo_factory.register()
    import llamafactory.hparams
    import virgo_factory.hooks.reinforce.trainer
    print("imported")
"""


@pytest.mark.integration
def test_trl_can_be_imported_beside_a_new_vllm(fork, tmp_path):
    for folder in ("vllm-0.20.2.dist-info", "vllm"):
        (tmp_path / folder).mkdir()

    metadata = "Metadata-Version: 2.1\nName: vllm\nVersion: 0.20.2\n"
    (tmp_path / "vllm-0.20.2.dist-info" / "METADATA").write_text(metadata)
    (tmp_path / "vllm" / "__init__.py").write_text("class LLM: pass\nclass SamplingParams: pass\n")
    (tmp_path / "vllm" / "sampling_params.py").write_text("")
    printed = fork(IMPORT, BEFORE.format(folder=str(tmp_path)))
    assert printed.endswith("imported\n")
    assert "Failed to import trl.trainer.grpo_trainer" in printed  # else the repair has become needless
