"""Counts the tokens of rows in a template that the package does not know: LLaMA-Factory in a process of its own.

A script: the first line on standard input is the settings, every further one a list of rows; each is answered by one line
(data/tokens/llamafactory_template.py is the other end).
"""

import json
import os
import sys
from typing import Any


RELIES_ON = {
    "llamafactory/data/processor/supervised.py:62": "        messages = self.template.mm_plugin.process_messages(prompt + response, images, videos, audios, self.processor)",
    "llamafactory/data/processor/supervised.py:63": "        input_ids, labels = self.template.mm_plugin.process_token_ids(\n",
    "llamafactory/data/processor/supervised.py:68": "        total_length = len(input_ids) + (1 if self.template.efficient_eos else 0)",
}


class Counter:
    """LLaMA-Factory's template, tokenizer and processor under the settings of a run."""

    def __init__(self, settings: dict[str, Any]) -> None:
        import virgo_factory

        virgo_factory.register()
        from llamafactory.data import get_template_and_fix_tokenizer
        from llamafactory.hparams import DataArguments, ModelArguments
        from llamafactory.model import load_tokenizer

        from virgo_factory.hooks.model.marker_tokens import text_tokenizer

        keys = ("image_min_pixels", "image_max_pixels")
        model_args = ModelArguments(
            model_name_or_path=settings["tokenizer"],
            **{key: settings[key] for key in keys},
            **({"marker_tokens": True} if settings["marker_tokens"] else {}),
        )
        data_args = DataArguments(template=settings["template"], default_system=settings["default_system"])
        parts = load_tokenizer(model_args)
        self.tokenizer, self.processor = parts["tokenizer"], parts["processor"]
        self.template = get_template_and_fix_tokenizer(self.tokenizer, data_args)
        self.text_tokenizer = text_tokenizer(self.tokenizer)

    @property
    def special(self) -> list[str]:
        """The texts of the special tokens."""
        return [token.content for token in self.tokenizer.added_tokens_decoder.values() if token.special]

    def count(self, row: dict[str, Any]) -> list[int]:
        """Return the tokens of a row (see data/tokens/tokens.py, Tokens)."""
        messages, rejected = row["messages"], row["rejected"]
        prompt, image, total = self._lengths(messages, row)
        answers = [
            message["content"] for message, learned in zip(messages[1::2], row["learned"], strict=True) if learned
        ]
        if rejected is not None:
            total = max(total, self._lengths([*messages[:-1], {"role": "assistant", "content": rejected}], row)[2])
            answers.append(rejected)

        responses = [len(self.text_tokenizer.encode(answer, add_special_tokens=False)) for answer in answers]
        return [prompt, sum(responses), image, total, min(responses), max(responses)]

    def _lengths(self, messages: list[dict[str, str]], row: dict[str, Any]) -> tuple[int, int, int]:
        from PIL import Image

        plugin = self.template.mm_plugin
        images = [Image.new("RGB", tuple(size)) for size in row["sizes"]]
        messages = plugin.process_messages(messages, images, [], [], self.processor)
        first, _ = plugin.process_token_ids([], [], images, [], [], self.tokenizer, self.processor)
        pairs = self.template.encode_multiturn(self.tokenizer, messages, row["system"])
        pad = self.tokenizer.convert_tokens_to_ids(plugin.image_token) if images and plugin.image_token else None
        ids = [*first, *(token for pair in pairs for side in pair for token in side)]
        context = sum(len(target) for (_, target), learned in zip(pairs, row["learned"], strict=True) if not learned)
        prompt = len(first) + sum(len(source) for source, _ in pairs) + context
        return prompt, ids.count(pad) if pad is not None else 0, len(ids) + bool(self.template.efficient_eos)


def main() -> None:
    """Answer lines until there are no more."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # LLaMA-Factory prints
    counter = None
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            if counter is None:
                counter = Counter(asked)
                answer: dict[str, Any] = {"special": counter.special}
            else:
                answer = {"tokens": [counter.count(row) for row in asked]}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}

        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
