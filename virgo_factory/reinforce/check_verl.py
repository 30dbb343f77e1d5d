"""Whether verl's own dataset class reads every prompt of a Parquet file: run by the launch file, in verl's environment.

verl counts a prompt that it cannot read as too long and leaves it out with a traceback; without `qwen_vl_utils` that is
nearly all of them.
"""

import argparse
import importlib.metadata
import os
import sys
from typing import Any


MOST = 10**9  # tokens: no prompt is that long, so that what is left out could not be read


def check(file: str, rows: int, model: str, max_prompt_tokens: int, version: str) -> str:
    """Return what is told when all is well; longer prompts than `max_prompt_tokens` are left out by the training.

    Raises SystemExit: another version of verl (its first two numbers), prompts that are lost, or pictures that nobody sees.
    """
    installed = importlib.metadata.version("verl")
    if not installed.startswith(f"{version}."):
        raise SystemExit(
            f"verl {installed} is installed; these settings are those of {version}. uv pip install verl=={version}.1"
        )

    longest = _read(file, model, MOST)
    if longest.processor is None and _pictures(file):
        raise SystemExit(
            f"verl could not make the processor of {model} and goes on without pictures; the warning above says why (often "
            "torchvision is missing)."
        )

    if len(longest) != rows:
        raise SystemExit(
            f"verl reads {len(longest)} of the {rows} prompts of {file}; the errors above say why (often qwen_vl_utils is "
            "missing, or another model's processor reads them)."
        )

    kept = len(_read(file, model, max_prompt_tokens))
    if not kept:
        raise SystemExit(
            f"every prompt is longer than {max_prompt_tokens} tokens. Export with a larger rl_max_prompt_tokens."
        )

    first = longest.tokenizer if longest.processor is None else longest.processor
    text = first.apply_chat_template(longest[0]["raw_prompt"], add_generation_prompt=True, tokenize=False)
    return f"{rows} prompts, {rows - kept} of them longer than {max_prompt_tokens} tokens. The first:\n{text}"


def _pictures(file: str) -> int:
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    return pc.sum(pc.list_value_length(pq.read_table(file, columns=["images"])["images"])).as_py() or 0


def _read(file: str, model: str, max_prompt_tokens: int) -> Any:
    from omegaconf import OmegaConf
    from verl.utils import hf_processor, hf_tokenizer
    from verl.utils.dataset.rl_dataset import RLHFDataset

    config = OmegaConf.create(
        {
            "max_prompt_length": max_prompt_tokens,
            "filter_overlong_prompts": True,
            "filter_overlong_prompts_workers": max(1, (os.cpu_count() or 1) // 2),
            "truncation": "error",
        }
    )
    return RLHFDataset(file, hf_tokenizer(model), config, hf_processor(model))


def main() -> None:
    """Say that all is well, or end with what is not."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file")
    parser.add_argument("--rows", type=int, required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--max-prompt-tokens", type=int, required=True)
    arguments = parser.parse_args()
    sys.stdout.write(
        check(arguments.file, arguments.rows, arguments.model, arguments.max_prompt_tokens, version="0.9") + "\n"
    )


if __name__ == "__main__":
    main()
