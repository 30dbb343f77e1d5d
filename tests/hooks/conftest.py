"""Hooks are tested against the real LLaMA-Factory and the real tokenizer, each loaded once."""

import shutil
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def model_folder(shared_data, tmp_path_factory) -> Path:
    """A folder with the real tokenizer and processor of Qwen2.5-VL, and no weights."""
    folder = tmp_path_factory.mktemp("qwen2.5_vl")
    for path in (shared_data / "qwen2.5_vl_tokenizer").iterdir():
        shutil.copyfile(path, folder / path.name)

    return folder


@pytest.fixture(scope="session")
def real_processor(model_folder):
    from transformers import AutoProcessor

    return AutoProcessor.from_pretrained(model_folder, use_fast=True)


@pytest.fixture
def processor(real_processor):
    """A processor and its tokenizer whose chat templates a test may change (a copy would cost two seconds)."""
    own = real_processor.chat_template, real_processor.tokenizer.chat_template
    yield real_processor
    real_processor.chat_template, real_processor.tokenizer.chat_template = own
