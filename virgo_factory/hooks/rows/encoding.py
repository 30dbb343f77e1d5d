"""Texts to token ids as LLaMA-Factory's templates ask for them: the same ids in less time, and context in a response."""

from typing import Any

from virgo_factory.core.errors import UserError


RELIES_ON = {
    "llamafactory/data/processor/supervised.py:93": "                target_label = target_ids\n",
    "llamafactory/data/processor/supervised.py:85": "            elif self.template.efficient_eos and turn_idx != 0:\n"
    "                source_label = [self.tokenizer.eos_token_id] + [IGNORE_INDEX] * (source_len - 1)",
    "llamafactory/data/processor/pairwise.py:66": "        chosen_labels = [IGNORE_INDEX] * source_len + chosen_ids",
    "llamafactory/data/processor/pairwise.py:68": "        rejected_labels = [IGNORE_INDEX] * source_len + rejected_ids",
    "llamafactory/data/template.py:119": "                    token_ids += tokenizer.encode(elem, add_special_tokens=False)",
    "llamafactory/data/template.py:86": "        return [(encoded_messages[i], encoded_messages[i + 1]) for i in range(0, len(encoded_messages), 2)]",
}

UNLEARNED = -101
"""Stands for a token of a turn that is not learned, until the labels are made; no token id and not IGNORE_INDEX."""


class QuickTokenizer:
    """A fast tokenizer whose `encode(text, add_special_tokens=False)` skips what transformers builds around the ids.

    Three tenths of LLaMA-Factory's preprocessing time of short rows goes into that (benchmarks/data_preprocessing.py).
    Everything else is the tokenizer itself.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._whole = tokenizer
        tokenizer.encode("", add_special_tokens=False)  # sets truncation, padding and split_special_tokens as it wants

    def __getattr__(self, name: str) -> Any:
        return getattr(self._whole, name)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._whole(*args, **kwargs)

    def encode(self, text: str, add_special_tokens: bool = True) -> list[int]:
        """Return the ids of a text."""
        if add_special_tokens:
            return self._whole.encode(text)

        return self._whole._tokenizer.encode_batch_fast([text], add_special_tokens=False)[0].ids


def quick(tokenizer: Any) -> Any:
    """Return a tokenizer that gives the same ids sooner, where there is one."""
    return QuickTokenizer(tokenizer) if getattr(tokenizer, "is_fast", False) else tokenizer


def encode_unlearned(
    template: Any, unlearned: set[int], tokenizer: Any, messages: list[dict[str, str]], *rest: Any
) -> list[Any]:
    """Return the template's (source, target) pairs with the targets of some turns as UNLEARNED, one for each token.

    Whatever LLaMA-Factory then does with the pairs (`mask_history`, `train_on_prompt`, cutting at `cutoff_len`), the labels
    tell these turns; the input ids are those of a second pass with the template itself.

    `unlearned`: positions of the turns, from 0.
    """
    pairs = template.encode_multiturn(tokenizer, messages, *rest)
    return [
        (source, [UNLEARNED] * len(target) if turn in unlearned else target)
        for turn, (source, target) in enumerate(pairs)
    ]


def learned_labels(labels: list[int], ignore: int, efficient_eos: bool) -> list[int]:
    """Return labels without those of UNLEARNED turns, and without the end of such a turn.

    Args:
        labels: as LLaMA-Factory makes them of `encode_unlearned`.
        ignore: its IGNORE_INDEX.
        efficient_eos: whether the template learns the end of a turn at the first token of the next one
            (data/processor/supervised.py:91).
    """
    ends = {at + 1 for at, label in enumerate(labels) if label == UNLEARNED} if efficient_eos else set()
    return [ignore if label == UNLEARNED or at in ends else label for at, label in enumerate(labels)]


def encode_with_context(
    template: Any, prefix: str, tokenizer: Any, messages: list[dict[str, str]], *rest: Any
) -> list[Any]:
    """Return the template's (source, target) pairs with the last response's beginning in its source, as context.

    The row is the same tokens as without a prefix. A token that holds the end of the prefix and the beginning of what
    follows goes to the context: no text of the prefix is ever a target.

    Raises:
        ValueError: the tokens of the beginning cannot be told apart from the rest.
    """
    *earlier, (source, target) = template.encode_multiturn(tokenizer, messages, *rest)
    context = _context(tokenizer, prefix, messages[-1]["content"], target)
    return [*earlier, (source + target[:context], target[context:])]


def labels_behind(tokenizer: Any, prefix: str, response: str, labels: list[int], ignore: int) -> list[int]:
    """Return the labels of one side of a preference pair without those of the response's beginning.

    `labels`: as LLaMA-Factory makes them: its IGNORE_INDEX for the prompt, then the response, perhaps cut at `cutoff_len`.
    """
    start = next((at for at, label in enumerate(labels) if label != ignore), len(labels))
    context = _context(tokenizer, prefix, response, labels[start:])
    return [ignore] * min(start + context, len(labels)) + labels[start + context :]


def _context(tokenizer: Any, prefix: str, response: str, target: list[int]) -> int:
    """Return how many tokens of a response, or of what is left of it, hold its beginning."""
    if not response.startswith(prefix):
        raise UserError(f"assistant_prefix is not how the response begins: {prefix[:80]!r}, {response[:80]!r}")

    if not tokenizer.is_fast:
        raise UserError("assistant_prefix needs a fast tokenizer. Remove use_fast_tokenizer: false.")

    found = tokenizer(response, add_special_tokens=False, return_offsets_mapping=True)
    context = sum(begin < len(prefix) for begin, _ in found["offset_mapping"])
    if target[:context] != found["input_ids"][: min(context, len(target))]:
        raise UserError("assistant_prefix: the template puts a text before the response. Use template: virgo.")

    return context
