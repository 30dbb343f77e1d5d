"""`assistant_prefix` of preference pairs: context on both sides, and no gradient comes from it, neither by DPO nor by `pref_ftx`."""

from types import SimpleNamespace

import pytest


BEGIN, END = "<|begin_of_thought|>\n\n", "\n\n<|end_of_thought|>"
FIRST = "I see two flags. They are red, I think."
OTHER = "We look at six boats. They are red, I think."
"""Another wrong thought with the same end: what follows is predicted from the same token."""


def pair(thought, prefix=True, rejected=" Wait, and one more. Yes, two."):
    return {
        "question": "How many flags?",
        "thought": f"{thought} Wait, one more behind.",
        "solution": "(B) 3",
        "rejected": {"thought": f"{thought}{rejected}", "solution": "(A) 2"},
        "assistant_prefix": f"{BEGIN}{thought}" if prefix else "",
    }


@pytest.fixture
def encoded(write_data, preprocess, model_folder):
    """A function: rows -> the tokenised pairs, the account and the tokenizer."""

    def make(*rows, **recipe):
        write_data(rows=(rows, {"ranking": True}))
        done = preprocess({"model_name_or_path": str(model_folder), "dataset": "rows", "stage": "dpo"} | recipe)
        return list(done.module.get("train_dataset", ())), done.accounts["rows"], done.tokenizer

    return make


@pytest.mark.parametrize("template", ["virgo", "omr"])
def test_the_beginning_is_context_on_both_sides(template, encoded):
    (here, there), account, tokenizer = encoded(pair(FIRST), pair(FIRST, prefix=False), template=template)
    assert account["kept"] == 2
    for side, behind in (("chosen", " Wait, one more behind."), ("rejected", " Wait, and one more. Yes, two.")):
        ids, labels, all_labels = here[f"{side}_input_ids"], here[f"{side}_labels"], there[f"{side}_labels"]
        assert ids == there[f"{side}_input_ids"]
        trained = [label for label in labels if label != -100]
        assert trained == ids[len(ids) - len(trained) :] and tokenizer.decode(trained).startswith(behind)
        context = [label for label, kept in zip(all_labels, labels, strict=True) if label != kept]
        assert tokenizer.decode(context).endswith(FIRST) and tokenizer.decode(context).count(FIRST) == 1


def test_a_rejected_side_that_ends_where_the_beginning_does(encoded):
    (row,), _, tokenizer = encoded(pair(FIRST, rejected=""))
    labels = [label for label in row["rejected_labels"] if label != -100]
    assert "<|end_of_thought|>" in tokenizer.decode(labels) and "flags" not in tokenizer.decode(labels)


def test_rows_that_have_no_such_beginning_or_nothing_behind_it(encoded):
    rows = [
        pair(FIRST),
        pair(FIRST) | {"rejected": {"thought": "Two.", "solution": "(A) 2"}},
        pair(FIRST * 8, rejected=" No."),
    ]
    _, account, _ = encoded(*rows, overlong="truncate", cutoff_len=96)
    assert account["kept"] == 1
    assert account["reasons"] == {
        "the rejected response does not begin with assistant_prefix": 1,
        "nothing in it is marked to be learned": 1,
    }


def lookup(tokens):
    """Return a model that looks at one token alone: its gradients come from labels, not from what stands before them."""
    import torch

    class Model(torch.nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.embedding = torch.nn.Embedding(tokens, 4)
            self.head = torch.nn.Linear(4, tokens, bias=False)

        def forward(self, input_ids, **others):
            return SimpleNamespace(logits=self.head(self.embedding(input_ids)))

    return Model()


def loss_and_gradients(row, ftx, tokens):
    """Return what LLaMA-Factory's own DPO trainer makes of one pair."""
    import torch
    from llamafactory.train.dpo.trainer import CustomDPOTrainer

    width = max(len(row["chosen_input_ids"]), len(row["rejected_input_ids"]))
    batch = {}
    for name, padding in (("input_ids", 0), ("attention_mask", 0), ("labels", -100)):
        sides = [row[f"{side}_{name}"] for side in ("chosen", "rejected")]
        batch[name] = torch.tensor([side + [padding] * (width - len(side)) for side in sides])

    model, reference = lookup(tokens), lookup(tokens)
    with torch.no_grad():
        reference.head.weight.mul_(0.5)

    trainer = CustomDPOTrainer.__new__(CustomDPOTrainer)
    trainer.accelerator = SimpleNamespace(device=torch.device("cpu"), unwrap_model=lambda model: model)
    trainer.finetuning_args = SimpleNamespace(use_ref_model=True)
    trainer.ref_model, trainer.beta, trainer.loss_type, trainer.ftx_gamma = reference, 0.1, "sigmoid", ftx
    trainer.bco_gemma, trainer.label_smoothing, trainer.ld_alpha = 0.0, 0.0, None
    trainer.f_divergence_type, trainer.reference_free = "reverse_kl", False
    loss, _ = trainer.get_batch_loss_metrics(model, batch)
    loss.backward()
    return loss.item(), torch.cat([model.embedding.weight.grad.flatten(), model.head.weight.grad.flatten()])


@pytest.mark.slow
def test_gradients_do_not_change_with_the_text_of_the_beginning_and_the_preference_is_as_without(encoded):
    rows = [pair(text, prefix) for text in (FIRST, OTHER) for prefix in (True, False)]
    (first, first_whole, other, other_whole), _, tokenizer = encoded(*rows)

    def of(row, ftx):
        return loss_and_gradients(row, ftx, len(tokenizer))

    (loss, here), (other_loss, there) = of(first, 0.5), of(other, 0.5)
    assert loss == pytest.approx(other_loss, abs=1e-4) and here.abs().max() > 1e-3
    assert (here - there).abs().max() < 1e-6
    learned = of(first_whole, 0.5)[1] - of(other_whole, 0.5)[1]
    assert learned.abs().max() > 1e-3, "as stock trains, pref_ftx learns the wrong beginning"
    (loss, here), (whole_loss, whole) = of(first, 0.0), of(first_whole, 0.0)
    assert loss == pytest.approx(whole_loss, abs=1e-4)
    assert (here - whole).abs().max() < 1e-5 < here.abs().max()
