"""`assistant_prefix` of preference pairs: context on both sides, and no gradient comes from it, neither by DPO nor by `pref_ftx`."""

import json
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
def encoded(tmp_path, preprocess, model_folder):
    """A function: rows -> the tokenised pairs, the account and the tokenizer."""

    def make(*rows, **recipe):
        (tmp_path / "rows.json").write_text(json.dumps(rows))
        entry = {"file_name": "rows.json", "formatting": "long_thought", "ranking": True}
        (tmp_path / "dataset_info.json").write_text(json.dumps({"rows": entry}))
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
    """The wrong short thought itself: its end and its answer are left. A token across the boundary is context."""
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
        "nothing is learned": 1,
    }


class Lookup:
    """Makes a model that knows one token: its gradients come from labels alone, not from what stands before them."""

    def __new__(cls, tokens):
        import torch

        class Model(torch.nn.Module):
            def __init__(self):
                super().__init__()
                torch.manual_seed(0)
                self.config = SimpleNamespace(is_encoder_decoder=False, model_type="lookup", to_dict=dict)
                self.embedding = torch.nn.Embedding(tokens, 4)
                self.head = torch.nn.Linear(4, tokens, bias=False)

            def forward(self, input_ids, **others):
                return SimpleNamespace(logits=self.head(self.embedding(input_ids)))

        return Model()


@pytest.fixture
def gradients(encoded, model_folder):
    """A function: row, pref_ftx -> loss and gradients of LLaMA-Factory's own DPO trainer."""

    def of(row, ftx):
        import torch
        from llamafactory.train.dpo.trainer import CustomDPOTrainer

        (one,), _, tokenizer = encoded(row)
        width = max(len(one["chosen_input_ids"]), len(one["rejected_input_ids"]))

        def both(name, padding):
            sides = (one[f"chosen_{name}"], one[f"rejected_{name}"])
            return torch.tensor([side + [padding] * (width - len(side)) for side in sides])

        batch = {
            "input_ids": both("input_ids", 0),
            "attention_mask": both("attention_mask", 0),
            "labels": both("labels", -100),
        }
        model, reference = Lookup(len(tokenizer)), Lookup(len(tokenizer))
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

    return of


def test_gradients_do_not_change_with_the_text_of_the_beginning(gradients):
    loss, found = gradients(pair(FIRST), 0.5)
    other_loss, other = gradients(pair(OTHER), 0.5)
    assert loss == pytest.approx(other_loss, abs=1e-6) and found.abs().max() > 1e-3
    assert (found - other).abs().max() < 1e-7
    _, learned = gradients(pair(FIRST, prefix=False), 0.5)
    _, other = gradients(pair(OTHER, prefix=False), 0.5)
    assert (learned - other).abs().max() > 1e-3, "as stock trains, pref_ftx learns the wrong beginning"


def test_the_preference_itself_is_as_without(gradients):
    with_prefix, without = gradients(pair(FIRST), 0.0), gradients(pair(FIRST, prefix=False), 0.0)
    assert with_prefix[0] == pytest.approx(without[0], abs=1e-6)
    assert (with_prefix[1] - without[1]).abs().max() < 1e-6 < with_prefix[1].abs().max()
