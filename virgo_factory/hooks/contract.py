"""Which quoted line belongs to which version: what the hooks' RELIES_ON say, and what stands for it elsewhere.

A RELIES_ON quotes LLaMA-Factory 0.9.5 and transformers 4.57.6. Here is what is otherwise in transformers 5.5.4, where these
hooks were run as well, and on LLaMA-Factory's main branch, whose files were only read.
"""

import ast
import importlib.metadata
import importlib.util
from collections.abc import Mapping
from pathlib import Path

from virgo_factory.preflight.versions import is_5


IN_TRANSFORMERS_5: dict[str, tuple[int, str]] = {
    "transformers/trainer.py:1060": (1012, '        if self.args.train_sampling_strategy == "group_by_length":\n'),
    "transformers/trainer.py:1144": (879, ""),
    "transformers/trainer.py:2297": (1413, ""),
    "transformers/trainer.py:2301": (
        1415,
        "            if state.train_batch_size is not None and args.auto_find_batch_size:\n",
    ),
    "transformers/trainer.py:2600": (
        1679,
        "                train_dataloader = skip_first_batches(train_dataloader, steps_trained_in_current_epoch)\n",
    ),
    "transformers/trainer.py:2617": (
        1700,
        "                self.args.gradient_accumulation_steps if update_step != (num_update_steps_per_epoch - 1) else remainder\n",
    ),
    "transformers/trainer.py:2618": (
        1702,
        "            batch_samples, num_items_in_batch = self.get_batch_samples(epoch_iterator, num_batches, self.args.device)\n",
    ),
    "transformers/trainer.py:2621": (
        1706,
        "            self.current_gradient_accumulation_steps = len(batch_samples)\n",
    ),
    "transformers/trainer.py:2812": (1842, ""),
    "transformers/trainer.py:2987": (3373, ""),
    "transformers/trainer.py:3362": (3087, ""),
    "transformers/trainer_callback.py:120": (119, ""),
    "transformers/trainer_pt_utils.py:1069": (942, ""),
    "transformers/integrations/sdpa_attention.py:81": (
        77,
        "    is_causal = query.shape[2] > 1 and attention_mask is None and is_causal\n",
    ),
    "transformers/trainer.py:4064": (1928, "                loss = loss / self.current_gradient_accumulation_steps\n"),
    "transformers/trainer.py:5468": (783, "        dataloader_config.data_seed = self.args.data_seed\n"),
    "transformers/masking_utils.py:710": (828, ""),
    "transformers/modeling_flash_attention_utils.py:335": (456, ""),
    "transformers/loss/loss_utils.py:55": (55, ""),
    "transformers/loss/loss_utils.py:59": (59, ""),
    "transformers/models/qwen2_vl/modeling_qwen2_vl.py:535": (588, ""),
    "transformers/models/qwen2_vl/modeling_qwen2_vl.py:823": (866, ""),
    "transformers/models/qwen2_vl/modeling_qwen2_vl.py:831": (874, ""),
    "transformers/models/qwen2_vl/modeling_qwen2_vl.py:1374": (
        1438,
        "        logits = self.lm_head(hidden_states[:, slice_indices, :])\n",
    ),
    "transformers/models/qwen2_5_vl/modeling_qwen2_5_vl.py:1499": (1524, ""),
    "transformers/models/qwen3_vl/modeling_qwen3_vl.py:203": (
        488,
        "        attention_interface: Callable = ALL_ATTENTION_FUNCTIONS.get_interface(\n",
    ),
    "transformers/models/qwen3_vl/modeling_qwen3_vl.py:828": (895, ""),
    "transformers/models/qwen3_vl/modeling_qwen3_vl.py:1230": (1352, ""),
    "transformers/models/qwen3_vl/modeling_qwen3_vl.py:1362": (1525, ""),
}
"""Place in 4.57.6 -> line of that file in 5.5.4, and the text there; "" for the same text."""

ON_MAIN: dict[str, str] = {
    "llamafactory/model/loader.py:180": "    patch_model(model, tokenizer, model_args, is_trainable, add_valuehead)\n",
    "llamafactory/model/model_utils/embedding.py:181": "    needs_resize = len(tokenizer) > current_embedding_size\n",
}
"""Place in 0.9.5 -> the text that stands for it on LLaMA-Factory's main branch of 2026-08, in whatever line."""


def quotes(relies_on: Mapping[str, str], transformers: str | None = None) -> dict[str, str]:
    """Return place -> text of a RELIES_ON, in a version of transformers: the installed one, unless another is named."""
    if not is_5(transformers or importlib.metadata.version("transformers")):
        return dict(relies_on)

    found = {}
    for place, text in relies_on.items():
        file, _, line = place.rpartition(":")
        now, other = IN_TRANSFORMERS_5.get(place, (line, ""))
        found[f"{file}:{now}"] = other or text

    return found


def changed_places(site: Path | None = None) -> list[str]:
    """Return the quoted places of LLaMA-Factory whose text stands nowhere in its file, of 0.9.5 or of the main branch."""
    site = site or Path(importlib.util.find_spec("llamafactory").origin).parents[1]
    changed = []
    for place, text in sorted(all_quotes().items()):
        file = site / place.rpartition(":")[0]
        if not place.startswith("llamafactory/"):
            continue

        content = file.read_text(encoding="utf-8") if file.is_file() else ""
        if text not in content and ON_MAIN.get(place, text) not in content:
            changed.append(place)

    return changed


def all_quotes() -> dict[str, str]:
    """Return place -> text of every RELIES_ON of this room, read without importing a hook."""
    found: dict[str, str] = {}
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "RELIES_ON":
                found |= ast.literal_eval(node.value)

    return found
