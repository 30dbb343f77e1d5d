"""Sizes of a model: from its own config.json, or of the models that the recipes name, as published."""

import json
from pathlib import Path
from typing import Any

from virgo_factory.core.errors import UserError
from virgo_factory.preflight.plan.memory import Shape, Vision, read_shape


_TOWER_2 = Vision(width=1280, layers=32, mlp=5120, patch=1176, merge=2)
_SIZES = {  # hidden, mlp, layers, heads, key-value heads
    "7b": (3584, 18944, 28, 28, 4),
    "72b": (8192, 29568, 80, 64, 8),
}
_TOWER_25 = {"7b": 3420, "72b": 3456}


def _known(family: str, size: str) -> Shape:
    hidden, mlp, layers, heads, kv_heads = _SIZES[size]
    tower = _TOWER_2 if family == "qwen2_vl" else Vision(1280, 32, _TOWER_25[size], 1176, 2)
    return Shape(family, hidden, mlp, layers, heads, kv_heads, 152064, False, tower)


_SIZES_3 = {"8b": (4096, 12288, 36, 32, 8), "32b": (5120, 25600, 64, 64, 8)}


def _known_3(size: str) -> Shape:
    """Return the sizes of a Qwen3-VL: heads are 128 wide whatever the model's width."""
    tower = Vision(width=1152, layers=27, mlp=4304, patch=1536, merge=2, positions=2304, deepstack=3)
    return Shape("qwen3_vl", *_SIZES_3[size], 151936, False, tower, head=128)


KNOWN = {
    "qwen2-vl-7b-instruct": _known("qwen2_vl", "7b"),
    "qwen2-vl-72b-instruct": _known("qwen2_vl", "72b"),
    "qwen2.5-vl-7b-instruct": _known("qwen2_5_vl", "7b"),
    "qwen2.5-vl-72b-instruct": _known("qwen2_5_vl", "72b"),
    **{f"qwen3-vl-{size}-{kind}": _known_3(size) for size in _SIZES_3 for kind in ("instruct", "thinking")},
}
"""Name of a model on the hub, without its owner -> sizes (the models' config.json on huggingface.co/Qwen)."""


def find_shape(model: str | None, config: str | Path | None = None) -> tuple[Shape, str]:
    """Return a model's sizes and where they are from.

    `config` (a config.json, its folder, or the name of another model) decides if given. Raises UserError for another
    family of models, or where no sizes are known.
    """
    if config is not None:
        if Path(config).is_file() or Path(config).suffix == ".json":
            return read_shape(_read(Path(config))), str(config)

        model = str(config)

    if not model:
        raise UserError("model_name_or_path: not given. Name a model, or give its config.json with --model-config.")

    if Path(model).is_dir():
        path = Path(model) / "config.json"
        return read_shape(_read(path)), str(path)

    name = model.rstrip("/").rsplit("/", 1)[-1].lower()
    if name in KNOWN:
        return KNOWN[name], f"published sizes of {model}"

    from huggingface_hub import try_to_load_from_cache

    try:
        cached = try_to_load_from_cache(model, "config.json")
    except ValueError:  # not an id: a folder that is not there
        cached = None

    if isinstance(cached, str):
        return read_shape(_read(Path(cached))), cached

    raise UserError(
        f"{model}: no such folder, and its sizes are not known; known are {', '.join(KNOWN)}. "
        "Give its config.json with --model-config."
    )


def find_family(model: str, other: Path | None = None) -> str:
    """Return the `model_type` of a model: of a folder, a known name, another folder that was given, or the hub's cache.

    Raises UserError where none of them says.
    """
    name = model.rstrip("/").rsplit("/", 1)[-1].lower()
    if not Path(model).is_dir() and name in KNOWN:
        return KNOWN[name].family

    folder = Path(model) if Path(model).is_dir() else other
    if folder is None or not (folder / "config.json").is_file():
        from huggingface_hub import hf_hub_download

        try:
            path = Path(hf_hub_download(model, "config.json"))
        except Exception as error:  # the library raises ValueError, OSError and requests' errors for "not there"
            raise UserError(
                f"{model}: no config.json, neither here nor in the Hugging Face cache ({type(error).__name__}). Give a "
                "folder with its config.json and tokenizer with --model DIR."
            ) from None
    else:
        path = folder / "config.json"

    family = _read(path).get("model_type")
    if not isinstance(family, str):
        raise UserError(f"{path}: no model_type. Give a folder with config.json and tokenizer with --model DIR.")

    return family


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        reason = "no such file" if isinstance(error, FileNotFoundError) else error
        raise UserError(f"{path}: {reason}. Give the model's config.json with --model-config.") from None

    if not isinstance(content, dict):
        raise UserError(f"{path}: not an object. Give the model's config.json with --model-config.")

    return content
