"""Load a model as transformers does and run it on one prompt: `python -m virgo_factory.preflight.checkpoint.forward FOLDER`.

A folder without weights but with the file PLACES is a reduced copy: its tensors lie in the checkpoint's own files and are
mapped from there, so that nothing is written and little is read. Of its vocabulary the prompt's tokens are taken alone.
"""

import ctypes
import json
import mmap
import sys
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from safetensors import safe_open
from transformers import (
    MODEL_FOR_CAUSAL_LM_MAPPING,
    MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING,
    AutoConfig,
    AutoProcessor,
    AutoTokenizer,
    PreTrainedModel,
)

from virgo_factory.core.errors import UserError


PLACES = "reduced_tensors.json"
"""Name in the reduced model -> file and name in the checkpoint."""
TOLD = "told: "
"""What a child says of a model begins so; the libraries print lines of their own."""
_VOCABULARY = ("embed_tokens.weight", "lm_head.weight")


def run(folder: Path) -> str:
    """Return what was seen.

    Raises UserError where a tensor does not fit, or the logits are not finite.
    """
    config = AutoConfig.from_pretrained(folder)
    inputs = _inputs(folder, hasattr(config, "vision_config"))
    model = _load(folder, config, inputs)
    if (folder / PLACES).is_file():
        for module in model.modules():
            if isinstance(module, torch.nn.Linear):
                module.register_forward_hook(_forget)

    with torch.no_grad():
        logits = model(**inputs).logits

    if not torch.isfinite(logits).all():
        raise UserError("the logits are not finite: weights are damaged")

    sees = "with an image " if "pixel_values" in inputs else ""
    return f"every tensor in its place, {logits.shape[1]} tokens {sees}read, logits finite"


def _inputs(folder: Path, sees: bool) -> dict[str, torch.Tensor]:
    if not sees:
        tokenizer = AutoTokenizer.from_pretrained(folder)
        text = tokenizer.apply_chat_template([{"role": "user", "content": "What is this?"}], tokenize=False)
        return dict(tokenizer(text, return_tensors="pt"))

    processor = AutoProcessor.from_pretrained(folder)
    content = [{"type": "image"}, {"type": "text", "text": "What is this?"}]
    text = processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)
    return dict(processor(text=[text], images=[Image.new("RGB", (112, 112), "red")], return_tensors="pt"))


def _load(folder: Path, config: Any, inputs: dict[str, torch.Tensor]) -> PreTrainedModel:
    sees = "pixel_values" in inputs
    model_class = (MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING if sees else MODEL_FOR_CAUSAL_LM_MAPPING)[type(config)]
    mapped: dict[str, Any] = {}
    if (folder / PLACES).is_file():
        mapped = {"config": config, "state_dict": _mapped(folder / PLACES, config, inputs)}

    model, info = model_class.from_pretrained(
        None if mapped else folder, dtype=torch.bfloat16, output_loading_info=True, **mapped
    )
    wrong = {key: sorted(map(str, value))[:3] for key, value in info.items() if value}
    if wrong:
        raise UserError(f"tensors do not fit: {wrong}")

    return model


def _mapped(places: Path, config: Any, inputs: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the tensors of a reduced copy, and renumber the tokens of the prompt and of the configuration."""
    special = [key for key, value in vars(config).items() if key.endswith("_token_id") and isinstance(value, int)]
    ids = torch.tensor(sorted({*inputs["input_ids"].flatten().tolist(), *(getattr(config, key) for key in special)}))
    tensors = {}
    for name, (file, there) in json.loads(places.read_text(encoding="utf-8")).items():
        with safe_open(file, "pt") as source:
            tensor = source.get_tensor(there)

        tensors[name] = tensor[ids[ids < len(tensor)]].clone() if name.endswith(_VOCABULARY) else tensor

    inputs["input_ids"] = torch.searchsorted(ids, inputs["input_ids"])
    for key in special:
        setattr(config, key, int(torch.searchsorted(ids, getattr(config, key))))

    text = config.get_text_config()
    text.vocab_size, text.pad_token_id = len(ids), None
    return tensors


def _forget(module: torch.nn.Linear, *_: Any) -> None:
    """Let the pages of a weight go, which is used once: memory is that of the largest weight, not of all layers."""
    page, start = mmap.PAGESIZE, module.weight.data_ptr()
    first, end = -(-start // page) * page, (start + module.weight.nbytes) // page * page
    if end > first:
        ctypes.CDLL(None).madvise(ctypes.c_void_p(first), ctypes.c_size_t(end - first), mmap.MADV_DONTNEED)


if __name__ == "__main__":
    print(f"{TOLD}{run(Path(sys.argv[1]))}")
