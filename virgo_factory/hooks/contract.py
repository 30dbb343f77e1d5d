"""What the hooks' RELIES_ON quote of LLaMA-Factory 0.9.5, and what stands for it on its main branch, whose files were only read."""

import ast
import importlib.util
from pathlib import Path


ON_MAIN: dict[str, str] = {
    "llamafactory/model/loader.py:180": "    patch_model(model, tokenizer, model_args, is_trainable, add_valuehead)\n",
    "llamafactory/model/model_utils/embedding.py:181": "    needs_resize = len(tokenizer) > current_embedding_size\n",
}
"""Place in 0.9.5 -> the text that stands for it on LLaMA-Factory's main branch of 2026-08, in whatever line."""


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
