"""A checkpoint's weights by the model's own names."""

import json

import pytest
import torch
from safetensors.torch import save_file


@pytest.fixture(scope="module")
def weights():
    from virgo_factory.hooks.train import weights

    return weights


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


def test_weights_saved_under_their_own_names(weights, tmp_path):
    """Which the patterns of the others would change: only some families are saved under other names."""
    model = Renamed(tied=False)
    model._checkpoint_conversion_mapping = {"^model": "model.language"}
    tensors = {name: torch.full_like(tensor, 5.0) for name, tensor in model.state_dict().items()}
    save(tmp_path, tensors, "safetensors")
    weights.load_weights(model, tmp_path)
    assert all(torch.equal(tensor, tensors[name]) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize("kind", ["safetensors", "safetensors shards", "bin", "bin shards"])
@pytest.mark.parametrize("tied", [False, True])
def test_weights_are_loaded_by_the_models_own_names(weights, tmp_path, kind, tied):
    model = Renamed(tied)
    save(tmp_path, {name: tensor for name, tensor in SAVED.items() if not (tied and name == "lm_head.weight")}, kind)
    weights.load_weights(model, tmp_path)
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
def test_weights_of_another_model_are_refused(weights, tmp_path, change, part):
    tensors = {name: tensor for name, tensor in (SAVED | change).items() if tensor is not None}
    save(tmp_path, tensors, "safetensors")
    with pytest.raises(ValueError, match=part):
        weights.load_weights(Renamed(tied=False), tmp_path)


def test_missing_weights_and_shards(weights, tmp_path):
    with pytest.raises(ValueError, match="no weights in it"):
        weights.load_weights(Renamed(tied=False), tmp_path)

    save(tmp_path, SAVED, "safetensors shards")
    (tmp_path / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(ValueError, match="model-00002-of-00002.safetensors of its weights is missing"):
        weights.load_weights(Renamed(tied=False), tmp_path)
