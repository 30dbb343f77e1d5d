"""Whether the tensors are stored as config.json says."""

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from virgo_factory.preflight.checkpoint.weights import KINDS, Tensor, read_settings
from virgo_factory.preflight.diagnosis import Diagnosis


_KIND_OF = {"bfloat16": "BF16", "float16": "F16", "half": "F16", "float32": "F32", "float": "F32", "float64": "F64"}
_NUMBERS = ("weight", "bias")
"""Last words of the names of tensors that are computed with; others (`position_ids`) may well be integers."""


def check_types(
    folder: Path, tensors: Mapping[str, Tensor], before: Mapping[str, Tensor] | None
) -> Iterator[Diagnosis]:
    """Yield tensors that are stored as integers, or as other numbers than config.json and the rest of them."""
    config = read_settings(folder)
    text = {**(config.get("text_config") or {}), **config}
    if text.get("quantization_config") or text.get("compression_config"):
        return

    whole = [name for name, tensor in tensors.items() if tensor.kind not in KINDS and name.endswith(_NUMBERS)]
    if whole:
        yield Diagnosis(
            "types", "error", f"{_such(whole, tensors)}: integers, and config.json has no quantization_config",
            "save or merge again, or copy the quantization_config of the program that quantised it",
        )  # fmt: skip

    floats = {name: tensor.kind for name, tensor in tensors.items() if tensor.kind in KINDS}
    told = str(text.get("dtype") or text.get("torch_dtype") or "").removeprefix("torch.")
    usual = _KIND_OF.get(told) or next((kind for kind, _ in Counter(floats.values()).most_common(1)), "")
    others = [
        name
        for name, kind in floats.items()
        if kind != usual and (name not in (before or {}) or before[name].kind != kind)
    ]
    if others:
        like = f"config.json says {told}" if told in _KIND_OF else f"the others are {usual}"
        yield Diagnosis(
            "types", "warning", f"{_such(others, tensors)}; {like}", "save it as one type, or mend config.json"
        )


def _such(names: list[str], tensors: Mapping[str, Tensor]) -> str:
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return f"{names[0]}{more} of {len(tensors)} tensors stored as {', '.join(sorted({tensors[name].kind for name in names}))}"
