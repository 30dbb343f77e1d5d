"""The pixels that a training batch holds are those of data/read/look.py: by hash, from the file to the tensor."""

import base64
import hashlib
import json
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

import virgo_factory
from virgo_factory.core.thought import LongThought
from virgo_factory.data.read.look import as_seen
from virgo_factory.hooks.template.pictures import mark


WHOLE = LongThought("I look: one.", "\\boxed{1}").render()


@pytest.fixture
def pictures(tmp_path):
    """Write one picture of every odd kind, and an ordinary one; return their names."""
    noise = np.random.default_rng(0).integers(0, 256, (84, 112, 4), dtype=np.uint8)
    rgb = Image.fromarray(noise[..., :3])
    clear = Image.fromarray(noise)
    exif = Image.Exif()
    exif[0x0112] = 6
    gray16 = noise[..., 0].astype(np.uint16) * 256 + noise[..., 1]
    rgb.save(tmp_path / "plain.png")
    rgb.save(tmp_path / "turned.jpg", exif=exif)
    clear.save(tmp_path / "clear.png")
    Image.merge("LA", clear.split()[:2]).save(tmp_path / "clear_gray.png")
    rgb.quantize(16).save(tmp_path / "palette.png", transparency=3)
    Image.fromarray(gray16).save(tmp_path / "gray16.png")
    Image.fromarray(gray16 // 16).save(tmp_path / "gray12.png")
    Image.fromarray(gray16 // 16).save(tmp_path / "gray12.tiff")
    Image.fromarray(noise[..., 0].astype(np.float32) / 255).save(tmp_path / "float.tiff")
    clear.convert("CMYK").save(tmp_path / "cmyk.jpg")
    return sorted(path.name for path in tmp_path.iterdir())


def digest(tensor):
    return hashlib.sha256(tensor.float().contiguous().numpy().tobytes()).hexdigest()


@pytest.fixture
def rows(tmp_path, pictures):
    lines = [
        json.dumps({"id": name, "image_path": name, "question": "How many?", "response": WHOLE}) for name in pictures
    ]
    (tmp_path / "odd.jsonl").write_text("\n".join(lines))
    stock = [{"instruction": "<image>How many?", "output": "One.", "images": [name]} for name in pictures]
    (tmp_path / "stock.json").write_text(json.dumps(stock))
    columns = {"prompt": "instruction", "response": "output", "images": "images"}
    info = {
        "odd": {"file_name": "odd.jsonl", "formatting": "long_thought"},
        "stock": {"file_name": "stock.json", "columns": columns},
    }
    (tmp_path / "dataset_info.json").write_text(json.dumps(info))
    return pictures


def batches(preprocessed):
    return [preprocessed.collate([dict(row)])["pixel_values"] for row in preprocessed.module["train_dataset"]]


@pytest.mark.slow
@pytest.mark.parametrize("template", ["virgo", "qwen2_vl"])
def test_file_to_tensor(template, rows, tmp_path, preprocess, model_folder, processor):
    recipe = {"model_name_or_path": str(model_folder), "dataset": "odd,stock", "template": template}
    found = preprocess(recipe)
    assert found.accounts["odd"]["kept"] == found.accounts["stock"]["kept"] == len(rows) == 10
    looks = [(name, look) for look in (as_seen, lambda opened: opened.convert("RGB")) for name in rows]
    for (name, look), pixels in zip(looks, batches(found), strict=True):
        with Image.open(tmp_path / name) as opened:
            expected = processor.image_processor(images=[look(opened)], return_tensors="pt")["pixel_values"]

        assert digest(pixels) == digest(expected), name


@pytest.mark.parametrize("serving", [True, False])
def test_a_template_that_serves_sees_as_it_was_trained(serving, rows, tmp_path, model_folder, processor):
    from llamafactory.data import get_template_and_fix_tokenizer
    from llamafactory.hparams import DataArguments

    arguments = DataArguments(template="virgo")
    arguments.virgo_serving = serving
    template = get_template_and_fix_tokenizer(processor.tokenizer, arguments)
    sizes = {"image_max_pixels": 50176, "image_min_pixels": 1024}
    (shown,) = template.mm_plugin._regularize_images([str(tmp_path / "clear.png")], **sizes)["images"]
    with Image.open(tmp_path / "clear.png") as opened:
        assert shown.tobytes() == (as_seen(opened) if serving else opened.convert("RGB")).tobytes()


@pytest.mark.slow
def test_a_run_that_does_not_use_the_plugin_sees_what_it_saw(rows, tmp_path, preprocess, model_folder, processor):
    from llamafactory.data import SFTDataCollatorWith4DAttentionMask, get_dataset, get_template_and_fix_tokenizer
    from llamafactory.hparams import get_train_args
    from llamafactory.model import load_tokenizer

    recipe = {"model_name_or_path": str(model_folder), "dataset": "odd", "template": "qwen2_vl"}
    preprocess(recipe)
    model_args, data_args, training_args, _, _ = get_train_args(
        recipe
        | {"dataset": "stock", "dataset_dir": str(tmp_path), "output_dir": str(tmp_path / "stock"), "stage": "sft"}
        | {
            "do_train": True,
            "finetuning_type": "full",
            "report_to": "none",
            "use_cpu": True,
            "image_max_pixels": 50176,
        }
    )
    tokenizers = load_tokenizer(model_args)
    template = get_template_and_fix_tokenizer(tokenizers["tokenizer"], data_args)
    module = get_dataset(template, model_args, data_args, training_args, stage="sft", **tokenizers)
    collate = SFTDataCollatorWith4DAttentionMask(template=template, model=None, **tokenizers)
    for name, row in zip(rows, module["train_dataset"], strict=True):
        with Image.open(tmp_path / name) as opened:
            expected = processor.image_processor(images=[opened.convert("RGB")], return_tensors="pt")["pixel_values"]

        assert digest(collate([dict(row)])["pixel_values"]) == digest(expected), name


def chat_model(marked):
    """What of a chat model the servers ask for its template's look."""
    virgo_factory.register()
    template = SimpleNamespace(mm_plugin=SimpleNamespace(), enable_thinking=None, extract_tool=lambda text: text)
    mark(template, marked)
    return SimpleNamespace(engine=SimpleNamespace(template=template))


@pytest.mark.slow
@pytest.mark.parametrize("marked", [True, False])
def test_the_api_server_opens_pictures_as_the_template_was_trained_to(pictures, tmp_path, monkeypatch, marked):
    monkeypatch.setenv("API_VERBOSE", "0")
    model = chat_model(marked)
    from llamafactory.api import app, chat
    from llamafactory.api.protocol import ChatCompletionRequest

    app.create_app(model)
    for name in pictures:
        data = (tmp_path / name).read_bytes()
        url = f"data:image/png;base64,{base64.b64encode(data).decode()}"
        content = [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": "How many?"}]
        request = ChatCompletionRequest(model="m", messages=[{"role": "user", "content": content}])
        (opened,) = chat._process_request(request)[3]
        with Image.open(tmp_path / name) as picture:
            expected = as_seen(picture) if marked else picture.convert("RGB")

        assert (opened.mode, opened.tobytes()) == ("RGB", expected.tobytes()), name
        assert not marked or as_seen(opened).tobytes() == expected.tobytes(), name


@pytest.mark.integration
def test_the_chat_of_llamaboard_hands_pictures_on_as_they_are():
    virgo_factory.register()
    import gradio
    from llamafactory.webui.components import create_chat_box

    with gradio.Blocks() as blocks:
        lang = gradio.Dropdown(choices=["en"])
        chatter = SimpleNamespace(append=lambda *given: given, stream=lambda *given: given)
        create_chat_box(SimpleNamespace(manager=SimpleNamespace(get_elem_by_id=lambda name: lang), chatter=chatter))

    boxes = [block for block in blocks.blocks.values() if isinstance(block, gradio.Image) and block.type == "pil"]
    assert [box.image_mode for box in boxes] == [None]


@pytest.mark.integration
@pytest.mark.parametrize("marked", [True, False])
def test_the_chat_of_llamaboard_answers_on_them(pictures, tmp_path, marked):
    asked = []
    model = chat_model(marked)
    from llamafactory.webui.chatter import WebChatModel

    model.stream_chat = lambda messages, system, tools, images, **rest: asked.append(images) or iter(())
    with Image.open(tmp_path / "clear.png") as picture:
        list(WebChatModel.stream(model, [], [], "en", "", "", picture, None, None, 8, 1.0, 1.0, True, False, True))
        assert asked[0][0].mode == ("RGBA" if marked else "RGB")
