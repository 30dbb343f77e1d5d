"""Twins: the real architecture, loadable everywhere, the same from the same seed."""

import json

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from transformers import AutoModelForImageTextToText, AutoProcessor, AutoTokenizer, Qwen2Tokenizer

from virgo_factory.formats.row import QWEN_VL_TOKENS
from virgo_factory.io.files import RECIPES
from virgo_factory.preflight.twin.twin import CHAT_TEMPLATE, make_twin


@pytest.fixture(scope="module", params=["qwen2_vl", "qwen2_5_vl", "qwen3_vl"])
def twin(request, tmp_path_factory):
    return make_twin(tmp_path_factory.mktemp(request.param), family=request.param)


@pytest.mark.slow
def test_the_same_seed_gives_the_same_files(tmp_path):
    folders = [make_twin(tmp_path / name, seed=seed) for name, seed in (("a", 1), ("b", 1), ("c", 2))]
    one, two, three = ({file.name: file.read_bytes() for file in folder.iterdir()} for folder in folders)
    assert one == two
    assert {name for name in one if one[name] != three[name]} == {"model.safetensors"}


def test_making_a_twin_leaves_the_random_state_alone(tmp_path):
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    make_twin(tmp_path)
    assert torch.equal(torch.rand(3), expected)


def test_it_is_what_the_real_model_is_but_small(twin):
    config = json.loads((twin / "config.json").read_text())
    text = config["text_config"]
    assert config["dtype"] == "bfloat16"
    assert text["hidden_size"] // text["num_attention_heads"] == 32
    assert text["num_key_value_heads"] < text["num_attention_heads"]
    assert sum(text["rope_scaling"]["mrope_section"]) == 16
    assert config["tie_word_embeddings"] is False
    weights = load_file(twin / "model.safetensors")
    assert {weight.dtype for weight in weights.values()} == {torch.bfloat16}
    (embedding,) = (weight for name, weight in weights.items() if name.endswith("embed_tokens.weight"))
    assert not torch.equal(weights["lm_head.weight"], embedding)
    merger = "visual.deepstack_merger_list.1" if config["model_type"] == "qwen3_vl" else "merger.mlp"
    assert all(any(part in name for name in weights) for part in ("visual.blocks", "visual.patch_embed", merger))
    tokenizer = AutoTokenizer.from_pretrained(twin)
    assert weights["lm_head.weight"].shape[0] >= len(tokenizer) + 16
    assert sum(file.stat().st_size for file in twin.iterdir()) < 3_000_000


def test_an_image_reaches_the_logits(twin):
    processor = AutoProcessor.from_pretrained(twin, use_fast=True)
    model = AutoModelForImageTextToText.from_pretrained(twin, dtype=torch.float32)
    content = [{"type": "image"}, {"type": "text", "text": "What is this?"}]
    prompt = processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)

    def logits(colour: str) -> torch.Tensor:
        side = 2 * model.config.vision_config.patch_size
        inputs = processor(text=[prompt], images=[Image.new("RGB", (4 * side, 3 * side), colour)], return_tensors="pt")
        assert int((inputs["input_ids"] == model.config.image_token_id).sum()) == 4 * 3
        with torch.inference_mode():
            return model(**inputs).logits[0, -1]

    assert logits("red").isfinite().all()
    assert not torch.equal(logits("red"), logits("blue"))


def test_its_tokenizer_is_of_the_qwen2_kind(twin):
    fast, slow = AutoTokenizer.from_pretrained(twin), Qwen2Tokenizer.from_pretrained(twin)
    assert type(fast).__name__ == "Qwen2TokenizerFast"
    assert [fast.convert_ids_to_tokens(i) for i in range(len(fast) - len(QWEN_VL_TOKENS), len(fast))] == list(
        QWEN_VL_TOKENS
    )
    assert (fast.eos_token, fast.pad_token) == ("<|im_end|>", "<|endoftext|>")
    rows = [
        json.loads(line)
        for line in (RECIPES / "demo" / "long_thoughts.jsonl").read_text(encoding="utf-8").splitlines()[::40]
    ]
    for text in [row["combined_text"] for row in rows] + ["Ünïcode 漢字 \U0001f600", " 12345", "a\r\n\n b\t"]:
        ids = fast(text).input_ids
        assert fast.decode(ids) == text
        assert slow(text).input_ids == ids
    assert fast.tokenize("1234") == ["1", "2", "3", "4"]


@pytest.mark.slow
def test_the_tokenizer_has_the_real_ones_chat_template_and_pieces(shared_data, tmp_path):
    folder = shared_data / "qwen2.5_vl_tokenizer"
    assert CHAT_TEMPLATE == json.loads((folder / "chat_template.json").read_text())["chat_template"]
    real = AutoTokenizer.from_pretrained(folder)
    own = AutoTokenizer.from_pretrained(make_twin(tmp_path))
    text = "Don't we'll  12 x34\n\n  Let me 漢字  check: (a+b)^2... \r\n\t end "
    cut = [
        [text[slice(*span)] for _, span in tokenizer.backend_tokenizer.pre_tokenizer.pre_tokenize_str(text)]
        for tokenizer in (real, own)
    ]
    assert cut[0] == cut[1]


def test_qwen3_vl_has_no_system_message_of_its_own(tmp_path):
    processor = AutoProcessor.from_pretrained(make_twin(tmp_path, family="qwen3_vl"))
    text = processor.apply_chat_template([{"role": "user", "content": "Hi"}], add_generation_prompt=True)
    assert text == "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"


@pytest.mark.integration
@pytest.mark.parametrize("family", ["qwen2_vl", "qwen2_5_vl"])
def test_a_twin_takes_the_real_tokenizer(family, shared_data, tmp_path):
    folder = shared_data / "qwen2.5_vl_tokenizer"
    twin = make_twin(tmp_path, folder, family, heads=2)
    real, own = AutoTokenizer.from_pretrained(folder), AutoTokenizer.from_pretrained(twin)
    assert real.get_vocab() == own.get_vocab()
    assert own.chat_template == real.chat_template
    model = AutoModelForImageTextToText.from_pretrained(twin)
    assert model.get_input_embeddings().weight.shape == (152064, 64)
    assert type(AutoProcessor.from_pretrained(twin)).__name__.startswith(type(model).__name__.split("For")[0])
    assert model.config.image_token_id == real.convert_tokens_to_ids("<|image_pad|>")


def test_own_texts_make_another_tokenizer(tmp_path):
    twin = make_twin(tmp_path, texts=["zebra zebra zebra"], vocabulary=300)
    assert AutoTokenizer.from_pretrained(twin).tokenize("zebra") == ["zebra"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"family": "qwen9"}, "no twin of family 'qwen9'; known are qwen2_vl, qwen2_5_vl, qwen3_vl"),
        ({"tokenizer_folder": "x", "texts": ["y"]}, "tokenizer_folder or texts, not both"),
        ({"heads": 3}, "heads"),
        ({"vision_width": 40}, "vision_width"),
    ],
)
def test_wrong_arguments_are_errors(arguments, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        make_twin(tmp_path / "twin", **arguments)
    assert not (tmp_path / "twin").exists()
