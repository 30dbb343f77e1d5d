"""What servers get: all weights under the names of the base model, the recipe's words, the pictures of training."""

import base64
import io
from types import SimpleNamespace

import pytest
import torch
from PIL import Image
from transformers import AutoModelForImageTextToText

from virgo_factory.core.errors import UserError


@pytest.mark.slow
def test_weights_are_those_of_the_model_that_speaks(hook, trainer):
    made = trainer()
    found = hook.full_weights(made, torch.bfloat16)
    own = made.model.state_dict()
    assert found.keys() == own.keys()
    assert all(torch.equal(found[name], own[name].to(torch.bfloat16)) for name in own)
    found["lm_head.weight"].zero_()
    assert made.model.lm_head.weight.abs().sum() > 0  # a copy


def test_an_adapter_is_merged_into_what_servers_get_and_stays_one(hook, trainer, tmp_path):
    made = trainer(finetuning_type="lora", lora_target="all", lora_rank=2)
    ids = torch.tensor([[5, 6, 7]])
    with torch.no_grad():
        for name, value in made.model.named_parameters():
            if "lora_B" in name:
                value.normal_(generator=torch.Generator().manual_seed(1))

        before = {name: value.clone() for name, value in made.model.state_dict().items()}
        expected = made.model(input_ids=ids).logits
        found = hook.full_weights(made, torch.float32)
        after = made.model.state_dict()

    assert not any("lora" in name or "base_layer" in name for name in found)
    assert all(torch.allclose(after[name], value, atol=1e-6) for name, value in before.items())
    bare = hook._bare(made)
    bare.save_pretrained(tmp_path, state_dict=found)
    from virgo_factory.hooks.reinforce.policy import mask_tokens

    loaded = AutoModelForImageTextToText.from_pretrained(tmp_path, dtype=torch.float32)
    mask_tokens(loaded, made.suppressed)
    with torch.no_grad():
        assert torch.allclose(loaded(input_ids=ids).logits, expected, atol=1e-4)


def test_a_server_is_sent_what_training_sees(hook, trainer, tmp_path):
    from virgo_factory.hooks.template.pictures import ours

    Image.new("RGBA", (40, 20), (200, 20, 20, 0)).save(tmp_path / "a.png")
    made = trainer()
    asked = {"id": "q", "user": "Look: <image> Which?", "system": "Be short."}
    prompt = hook.prompt_of({"asked": asked, "images": [ours(str(tmp_path / "a.png"))]}, made.template, made.processor)
    system, user = prompt.messages
    assert system == {"role": "system", "content": "Be short."}
    assert [part["type"] for part in user["content"]] == ["text", "image_url", "text"]
    data = base64.b64decode(user["content"][1]["image_url"]["url"].partition(",")[2])
    with Image.open(io.BytesIO(data)) as image:
        assert (image.size, image.mode, image.getpixel((0, 0))) == (prompt.images[0], "RGB", (255, 255, 255))


@pytest.mark.parametrize(
    ("visible", "ranks", "found"), [("0,1,2,3", 2, ["2", "3"]), (None, 6, ["6", "7"]), ("4,5", 2, None)]
)
def test_each_gpu_without_a_rank_gets_a_server(hook, monkeypatch, visible, ranks, found):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 8)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", str(ranks))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)

    args = SimpleNamespace(use_cpu=False)
    if found is None:
        with pytest.raises(UserError, match="2 ranks train on all 2 visible GPUs"):
            hook.spare_gpus(args)
    else:
        assert hook.spare_gpus(args) == found

    assert hook.spare_gpus(SimpleNamespace(use_cpu=True)) == [None]
