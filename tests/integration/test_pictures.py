"""Odd pictures through training for real: the trainer's step is given the pixels that data/read/look.py says, by hash."""

import hashlib
import json
import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image

from virgo_factory.core.thought import LongThought
from virgo_factory.data.read.look import as_seen


pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]
ODD = ["transparent.png", "transparent_gray.png", "gray16.png", "exif6.jpg"]


def test_odd_pictures_are_trained_on_as_they_are_seen(make_bench, shared_data, tmp_path):
    from transformers import AutoProcessor

    from virgo_factory.preflight.twin.twin import make_twin

    faults = shared_data.parent / "faults"
    if not faults.is_dir():
        pytest.skip("no fault files here")

    base = make_twin(tmp_path / "base", family="qwen2_5_vl")
    shutil.copyfile(
        shared_data / "qwen2.5_vl_tokenizer" / "preprocessor_config.json", base / "preprocessor_config.json"
    )
    bench = make_bench(tmp_path, base)
    (tmp_path / "store").mkdir()
    (tmp_path / "media").mkdir()
    (tmp_path / "media" / "pics").symlink_to("../store")
    lines = []
    for name in ODD:
        shutil.copyfile(faults / name, tmp_path / "store" / name)
        answer = LongThought("I look: one.", "\\boxed{1}").render()
        lines.append(json.dumps({"question": f"<image 1>{name}?", "img_path": f"pics/{name}", "response": answer}))

    lines.append(json.dumps({"question": "What?", "videos": ["a.mp4"], "response": answer}))
    bench.add_dataset("odd", lines, formatting="long_thought")
    seen = tmp_path / "seen"
    bench.train(
        env={"SEEN_ROWS": str(seen), "VIRGO_FACTORY_MEDIA_ROOTS": str(tmp_path / "store")},
        **{"dataset": "odd", "media_dir": "media", "question_prefix": None, "global_batch_size": 1},
    )
    account = bench.rows_json("out")["odd"]
    assert (account["kept"], account["reasons"]) == (4, {"a video, which is not trained on": 1})
    steps = [json.loads(line) for line in Path(f"{seen}.0").read_text().splitlines()]
    processor = AutoProcessor.from_pretrained(base, use_fast=True).image_processor
    expected = []
    for name in ODD:
        with Image.open(faults / name) as opened:
            pixels = processor(images=[as_seen(opened)], return_tensors="pt")["pixel_values"]

        pixels = pixels.to(torch.bfloat16)  # as the collator gives them in a bf16 run
        expected.append(hashlib.sha256(pixels.float().contiguous().numpy().tobytes()).hexdigest())

    assert sorted(step["pixels"] for step in steps) == sorted(expected)
