"""What a policy may say, and a picture for rows that have none."""

from dataclasses import dataclass
from typing import Any

import torch
from llamafactory.extras.constants import IMAGE_PLACEHOLDER
from PIL import Image


RELIES_ON = {
    "llamafactory/data/collator.py:314": '            features["attention_mask"] = torch.cat(\n',
    "llamafactory/extras/constants.py:52": 'IMAGE_PLACEHOLDER = os.getenv("IMAGE_PLACEHOLDER", "<image>")',
}

LOW = -1e4
"""Logit of what is never said: a probability of 0 at every temperature in use, and finite, so that entropies are."""

_TOKENS = (
    *("image_token_id", "video_token_id", "audio_token_id", "vision_start_token_id", "vision_end_token_id"),
    *("image_token_index", "video_token_index"),
)


def never_sampled(model: Any, tokenizer: Any, template: Any) -> list[int]:
    """Return the tokens that no response may hold, in order.

    Rows of the vocabulary that pad it and have no text (Qwen2-VL: 152,064 rows, 151,657 entries), and the tokens of
    pictures: one of these in a response would stand for a picture that is not there.
    """
    rows = model.config.get_text_config().vocab_size
    found = set(range(rows)) - set(tokenizer.get_vocab().values())
    found |= {value for name in _TOKENS if isinstance(value := getattr(model.config, name, None), int)}
    plugin = template.mm_plugin
    for name in ("image_token", "video_token", "audio_token", "vision_bos_token", "vision_eos_token"):
        token = getattr(plugin, name, None)
        if isinstance(token, str) and token in tokenizer.get_vocab():
            found.add(tokenizer.convert_tokens_to_ids(token))

    return sorted(token for token in found if token < rows)


def mask_tokens(model: Any, tokens: list[int]) -> None:
    """Make some tokens impossible in all that a model says of itself: drawing, log-probabilities and entropies alike."""
    if not tokens:
        return

    index = torch.tensor(tokens)

    def forbid(_module: Any, _inputs: Any, logits: torch.Tensor) -> torch.Tensor:
        return logits.index_fill(-1, index.to(logits.device), LOW)

    model.get_output_embeddings().register_forward_hook(forbid)


@dataclass(frozen=True)
class BlankPicture:
    """A white picture and its tokens."""

    ids: list[int]
    inputs: dict[str, torch.Tensor]

    def put_before(
        self, ids: torch.Tensor, mask: torch.Tensor, pad: int
    ) -> tuple[torch.Tensor, torch.Tensor, dict[str, Any]]:
        """Return ids and mask with the picture before the first row, and what the model takes of it.

        Args:
            ids: of shape (rows, tokens).
            mask: likewise; the picture is masked.
            pad: token before the other rows.
        """
        before = torch.full((len(ids), len(self.ids)), pad, dtype=ids.dtype, device=ids.device)
        before[0] = torch.tensor(self.ids, dtype=ids.dtype, device=ids.device)
        inputs = {name: value.to(ids.device) for name, value in self.inputs.items()}
        seen = {**inputs, "num_images": [1] + [0] * (len(ids) - 1)}
        return torch.cat([before, ids], dim=1), torch.cat([torch.zeros_like(before), mask], dim=1), seen


def blank_picture(template: Any, tokenizer: Any, processor: Any) -> BlankPicture | None:
    """Return a blank picture as LLaMA-Factory's collator makes one; None for a model that takes none by a grid."""
    plugin = template.mm_plugin
    if processor is None or getattr(plugin, "image_token", None) is None:
        return None

    images = [Image.new("RGB", (64, 64), (255, 255, 255))]
    (message,) = plugin.process_messages([{"role": "user", "content": IMAGE_PLACEHOLDER}], images, [], [], processor)
    ids = tokenizer.encode(message["content"], add_special_tokens=False)
    inputs = plugin.get_mm_inputs(images, [], [], [1], [0], [0], [ids], processor)
    found = {name: inputs[name] for name in ("pixel_values", "image_grid_thw") if name in inputs}
    return BlankPicture(ids, found) if len(found) == 2 else None
