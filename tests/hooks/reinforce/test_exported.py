"""What is exported for verl and EasyR1 is what is trained on here: the tokens of a prompt, and the losses by name."""

import io
import json
import re

import pyarrow.parquet as pq
import yaml
from PIL import Image

from virgo_factory.data.read.source import find_sources
from virgo_factory.reinforce.easyr1 import export_easyr1
from virgo_factory.reinforce.prompts import Prompts


def _as_verl_asks(prompt, processor):
    """Return the tokens of a prompt as verl 0.9.1 makes them (utils/dataset/rl_dataset.py, _build_messages and doc2len)."""
    pictures = [Image.open(io.BytesIO(content)) for content in prompt.pictures]
    messages = []
    for message in prompt.messages:
        parts = [part for part in re.split("(<image>)", message["content"]) if part]
        content = [{"type": "image"} if part == "<image>" else {"type": "text", "text": part} for part in parts]
        messages.append({"role": message["role"], "content": content if pictures else message["content"]})

    text = processor.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    return processor(text=[text], images=pictures or None)["input_ids"][0]


def test_a_prompt_is_the_tokens_of_the_stage(prompts_of, write_data, processor, model_folder, tmp_path):
    Image.new("RGB", (300, 200), "red").save(tmp_path / "small.png")
    Image.new("RGBA", (900, 500), (0, 0, 255, 0)).save(tmp_path / "clear.png")
    rows = [
        {"question": "<image>What colour?", "gold": "red", "images": ["small.png"]},
        {"question": "2 + 2?", "gold": "4", "images": []},
        {
            "question": "<image>Which? <image>",
            "gold": "B",
            "options": ["a", "b"],
            "images": ["small.png", "clear.png"],
        },
        {"question": "Which one?", "gold": "1", "system": "Look.", "images": []},
    ]
    write_data("questions", asked=(rows, {"media_dir": "."}))
    recipe = {"stage": "grpo", "template": "virgo", "model_name_or_path": str(model_folder), "dataset": "asked"}
    recipe |= {"question_prefix": "virgo", "dataset_dir": str(tmp_path), "image_max_pixels": 50176}
    (tmp_path / "recipe.yaml").write_text(json.dumps(recipe))
    exported = [_as_verl_asks(prompt, processor) for prompt in Prompts(*find_sources(str(tmp_path / "recipe.yaml")))]
    asked = prompts_of(**recipe, rl_max_prompt_tokens=1000).module["train_dataset"]["input_ids"]
    assert exported == [list(ids) for ids in asked]


def _as_easyr1_asks(row, processor, template):
    """Return the tokens of a row as EasyR1 makes them (verl/utils/dataset.py, _build_messages and __getitem__)."""
    pictures = [Image.open(io.BytesIO(image["bytes"])) for image in row["images"]]
    content = []
    for number, text in enumerate(row["problem"].split("<image>")):
        content += [{"type": "image"}] * (number > 0) + [{"type": "text", "text": text}] * bool(text)

    text = processor.apply_chat_template(
        [{"role": "user", "content": content}], chat_template=template, add_generation_prompt=True, tokenize=False
    )
    return processor(text=[text], images=pictures or None)["input_ids"][0]


def test_a_prompt_for_easyr1_is_the_tokens_of_the_stage(prompts_of, write_data, processor, model_folder, tmp_path):
    Image.new("RGB", (300, 200), "red").save(tmp_path / "small.png")
    rows = [
        {"question": "<image>What colour?", "gold": "red", "images": ["small.png"]},
        {"question": "2 + 2?", "gold": "4", "images": []},
        {"question": "Is <image> it, or <image>?", "gold": "yes", "images": ["small.png", "small.png"]},
    ]
    write_data("questions", asked=(rows, {"media_dir": "."}))
    recipe = {"stage": "grpo", "template": "omr", "model_name_or_path": str(model_folder), "dataset": "asked"}
    recipe |= {"question_prefix": "none", "dataset_dir": str(tmp_path), "image_max_pixels": 50176}
    (tmp_path / "recipe.yaml").write_text(json.dumps(recipe))
    keys = recipe | {"global_batch_size": 4, "rl_num_generations": 2, "lr_scheduler_type": "constant"}
    export_easyr1(keys, Prompts(*find_sources(str(tmp_path / "recipe.yaml"))), tmp_path / "out", gpus=1)
    template = yaml.safe_load((tmp_path / "out" / "config.yaml").read_text())["data"]["override_chat_template"]
    written = pq.read_table(tmp_path / "out" / "train.parquet").to_pylist()
    exported = [_as_easyr1_asks(row, processor, template) for row in written]
    asked = prompts_of(**recipe, rl_max_prompt_tokens=1000).module["train_dataset"]["input_ids"]
    assert exported == [list(ids) for ids in asked]
