"""A checkpoint's weights by the model's own names."""

import importlib.metadata
import json

import pytest
import torch
from safetensors.torch import save_file
from transformers import AutoModelForImageTextToText

from virgo_factory.preflight.twin.twin import make_twin
from virgo_factory.preflight.versions import is_5


MAPPING = {"^visual": "model.visual", r"^model(?!\.(language|visual))": "model.language"}


class Renamed(torch.nn.Module):
    """A model whose saved names are not its own, with a head that is tied to its embedding or not."""

    def __init__(self, tied, mapping=MAPPING):
        super().__init__()
        self._checkpoint_conversion_mapping = mapping  # of transformers 4.57
        if is_5(importlib.metadata.version("transformers")):
            from transformers.core_model_loading import WeightRenaming

            self._weight_conversions = [WeightRenaming(saved, own) for saved, own in mapping.items()]

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


def test_weights_saved_under_their_own_names(hook, tmp_path):
    model = Renamed(tied=False, mapping={"^model": "model.language"})
    tensors = {name: torch.full_like(tensor, 5.0) for name, tensor in model.state_dict().items()}
    save(tmp_path, tensors, "safetensors")
    hook.load_weights(model, tmp_path)
    assert all(torch.equal(tensor, tensors[name]) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize("kind", ["safetensors", "safetensors shards", "bin", "bin shards"])
@pytest.mark.parametrize("tied", [False, True])
def test_weights_are_loaded_by_the_models_own_names(hook, tmp_path, kind, tied):
    model = Renamed(tied)
    save(tmp_path, {name: tensor for name, tensor in SAVED.items() if not (tied and name == "lm_head.weight")}, kind)
    hook.load_weights(model, tmp_path)
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
def test_weights_of_another_model_are_refused(hook, tmp_path, change, part):
    tensors = {name: tensor for name, tensor in (SAVED | change).items() if tensor is not None}
    save(tmp_path, tensors, "safetensors")
    with pytest.raises(ValueError, match=part):
        hook.load_weights(Renamed(tied=False), tmp_path)


def test_missing_weights_and_shards(hook, tmp_path):
    with pytest.raises(ValueError, match="no weights in it"):
        hook.load_weights(Renamed(tied=False), tmp_path)

    save(tmp_path, SAVED, "safetensors shards")
    (tmp_path / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(ValueError, match="model-00002-of-00002.safetensors of its weights is missing"):
        hook.load_weights(Renamed(tied=False), tmp_path)


@pytest.mark.parametrize("family", ["qwen2_vl", "qwen2_5_vl"])
def test_a_real_model_is_loaded_where_transformers_leaves_weights_out(hook, tmp_path, family):
    from safetensors.torch import load_file

    from virgo_factory.hooks.versions import stock_loads

    folder = make_twin(tmp_path, family=family)
    model = AutoModelForImageTextToText.from_pretrained(folder)
    saved = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with torch.no_grad():
        for tensor in model.state_dict().values():
            tensor.zero_()

    model.load_state_dict(load_file(folder / "model.safetensors"), strict=False)
    assert not all(torch.equal(tensor, saved[name]) for name, tensor in model.state_dict().items())
    assert not stock_loads(model, hook.saved_names(folder))
    hook.load_weights(model, folder)
    assert all(torch.equal(tensor, saved[name]) for name, tensor in model.state_dict().items())


@pytest.mark.skipif(not is_5(importlib.metadata.version("transformers")), reason="4.57 never loads by the right names")
def test_in_transformers_5_a_family_that_is_saved_under_its_own_names_is_left_to_stock(hook):
    from virgo_factory.hooks.versions import stock_loads

    model = Renamed(tied=False, mapping={})
    assert stock_loads(model, model.state_dict())
    assert not stock_loads(model, [*model.state_dict(), "other.weight"])


@pytest.mark.skipif(not is_5(importlib.metadata.version("transformers")), reason="4.57 renames only")
def test_in_transformers_5_what_is_saved_in_another_form_is_refused(hook):
    from transformers.core_model_loading import Transpose, WeightConverter

    from virgo_factory.hooks.versions import stock_loads

    model = Renamed(tied=False, mapping={})
    model._weight_conversions = [WeightConverter("lm_head.weight", "lm_head.weight", operations=[Transpose(0, 1)])]
    with pytest.raises(ValueError, match=r"lm_head\.weight is saved in another form .* Train with deepspeed"):
        stock_loads(model, model.state_dict())
