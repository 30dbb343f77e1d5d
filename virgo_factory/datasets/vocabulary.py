"""Texts -> token ids without torch or transformers: the model's own tokenizer files, read by `tokenizers`.

Byte-pair tokenizers of the Qwen kind run on `tiktoken`, which gives the same ids several times as fast
(benchmarks/RESULTS.md): the merges of these vocabularies stand in the order of the ids, and that is what tiktoken merges
by. Whatever is not of that shape, or is special in a text, goes through `tokenizers`.
"""

import functools
import hashlib
import json
import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer


TOKENIZER_FILES = ("tokenizer.json", "vocab.json", "merges.txt", "tokenizer_config.json", "added_tokens.json")
LONGEST = 200_000
"""Characters; tiktoken's expressions overflow their stack on about a million blanks in a row."""

_QWEN_PIECES = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""How Qwen2 to Qwen3 cut text before merging (transformers 4.57.6, convert_slow_tokenizer.py, Qwen2Converter)."""

_PROVEN_PIECES = (_QWEN_PIECES,)
"""Expressions for which both engines cut every assigned character alike (tests/datasets/test_vocabulary.py)."""

_PROVEN = {
    "6ff8f7576cc077fd": "Qwen2, Qwen2.5 and Qwen3",
}
"""Vocabulary and merges (their hash) for which tiktoken's ids were proven equal."""


class Vocabulary:
    """A tokenizer as a function from text to ids.

    Attributes:
        special: texts of the special tokens, which a row must not hold.
        added: texts of all added tokens, found in any text before it is merged.
    """

    def __init__(self, core: Tokenizer, fast: bool = True) -> None:
        self._core = core
        content = json.loads(core.to_str())
        self.special = tuple(token["content"] for token in content["added_tokens"] if token["special"])
        self.added = {token["content"]: token["id"] for token in content["added_tokens"]}
        self._merger = _merger(content) if fast else None
        longest_first = sorted(self.added, key=len, reverse=True)
        self._split = re.compile(f"({'|'.join(map(re.escape, longest_first))})") if self.added else None

    @property
    def is_fast(self) -> bool:
        """Whether tiktoken does the work."""
        return self._merger is not None

    def ids(self, text: str) -> list[int]:
        """Return the token ids of a text, as `tokenizer.encode(text, add_special_tokens=False)` of transformers."""
        if self._merger is None or len(text) > LONGEST:
            return self._core.encode(text, add_special_tokens=False).ids

        if not text.isascii() and not unicodedata.is_normalized("NFC", text):
            return self._core.encode(text, add_special_tokens=False).ids

        if self._split is None or not self._split.search(text):
            return self._merger.encode_ordinary(text)

        found: list[int] = []
        for position, part in enumerate(self._split.split(text)):
            if position % 2:
                found.append(self.added[part])
            elif part:
                found += self._merger.encode_ordinary(part)

        return found

    def count(self, text: str) -> int:
        """Return the number of tokens of a text."""
        return len(self.ids(text))

    def tokens_before(self, text: str, position: int) -> int:
        """Return how many tokens of a text begin before a character."""
        encoding = self._core.encode(text, add_special_tokens=False)
        return sum(begin < position for begin, _ in encoding.offsets)

    def without(self, tokens: Sequence[str]) -> "Vocabulary":
        """Return the vocabulary that reads some added tokens as the text they are; itself where it has none of them."""
        if not set(tokens) & set(self.added):
            return self

        content = json.loads(self._core.to_str())
        content["added_tokens"] = [token for token in content["added_tokens"] if token["content"] not in tokens]
        return Vocabulary(Tokenizer.from_str(json.dumps(content)))

    def with_plain(self, tokens: Sequence[str]) -> "Vocabulary":
        """Return the vocabulary with plain (not special) tokens added, where each is several tokens by now."""
        lacking = [token for token in tokens if len(self.ids(token)) > 1]
        if not lacking:
            return self

        core = Tokenizer.from_str(self._core.to_str())
        core.add_tokens([AddedToken(token, normalized=False, special=False) for token in lacking])
        return Vocabulary(core)


def _merger(content: dict[str, Any]) -> Any:
    """Return tiktoken's encoding of a tokenizer that is known to have the same ids there; None for any other."""
    model, cutting, normal = content["model"], content["pre_tokenizer"], content["normalizer"]
    steps = cutting.get("pretokenizers", []) if cutting else []
    alike = (
        model["type"] == "BPE"
        and not any(model.get(key) for key in ("dropout", "unk_token", "continuing_subword_prefix"))
        and not any(model.get(key) for key in ("end_of_word_suffix", "byte_fallback", "ignore_merges"))
        and normal == {"type": "NFC"}
        and [step["type"] for step in steps] == ["Split", "ByteLevel"]
        and steps[0]["pattern"].get("Regex") in _PROVEN_PIECES
        and (steps[0]["behavior"], steps[0]["invert"]) == ("Isolated", False)
        and not steps[1]["add_prefix_space"]
        and not steps[1]["use_regex"]
        and not any(
            token[key]
            for token in content["added_tokens"]
            for key in ("single_word", "lstrip", "rstrip", "normalized")
        )
    )
    if not alike or merges_hash(model) not in _PROVEN:
        return None

    try:
        import tiktoken
    except ImportError:
        return None

    byte_of = _byte_of_character()
    ranks = {bytes(map(byte_of.__getitem__, token)): number for token, number in model["vocab"].items()}
    return tiktoken.Encoding(
        "virgo_factory", pat_str=steps[0]["pattern"]["Regex"], mergeable_ranks=ranks, special_tokens={}
    )


def merges_hash(model: dict[str, Any]) -> str:
    """Return a hash of a byte-pair model's vocabulary and merges."""
    digest = hashlib.sha256()
    for token, number in sorted(model["vocab"].items(), key=lambda item: item[1]):
        digest.update(f"{number} {token}\n".encode())

    for merge in model["merges"]:
        digest.update(f"{merge if isinstance(merge, str) else ' '.join(merge)}\n".encode())

    return digest.hexdigest()[:16]


@functools.cache
def _byte_of_character() -> dict[str, int]:
    """Return GPT-2's table: the printable character that stands for a byte in a vocabulary -> the byte."""
    printable = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + i): byte for i, byte in enumerate(others)}


def load_vocabulary(folder: Path) -> Vocabulary:
    """Return the vocabulary of a model folder, with the tokens that its tokenizer_config.json adds.

    Raises:
        ValueError: the folder holds no tokenizer that can be read without transformers.
    """
    config_file, whole = folder / "tokenizer_config.json", folder / "tokenizer.json"
    config = json.loads(config_file.read_text(encoding="utf-8")) if config_file.is_file() else {}
    if whole.is_file():
        core = Tokenizer.from_file(str(whole))
    elif (folder / "vocab.json").is_file() and (folder / "merges.txt").is_file():
        if not str(config.get("tokenizer_class", "")).startswith("Qwen2Tokenizer"):
            raise ValueError(
                f"{folder}: no tokenizer.json, and tokenizer_class is {config.get('tokenizer_class')!r}, not "
                "Qwen2Tokenizer. Save the tokenizer again with transformers, which writes tokenizer.json."
            )
        core = _qwen_core(folder)
    else:
        raise ValueError(f"{folder}: no tokenizer.json, and no vocab.json with merges.txt. Name a model's folder.")

    known = core.get_added_tokens_decoder()
    for number, token in sorted(config.get("added_tokens_decoder", {}).items(), key=lambda item: int(item[0])):
        if int(number) not in known or known[int(number)].content != token["content"]:
            flags = {
                key: token.get(key, False) for key in ("single_word", "lstrip", "rstrip", "normalized", "special")
            }
            core.add_tokens([AddedToken(token["content"], **flags)])

    return Vocabulary(core)


def _qwen_core(folder: Path) -> Tokenizer:
    """Return the tokenizer that transformers makes of Qwen's vocab.json and merges.txt (Qwen2Converter)."""
    from tokenizers import Regex, normalizers, pre_tokenizers
    from tokenizers.models import BPE

    core = Tokenizer(BPE.from_file(str(folder / "vocab.json"), str(folder / "merges.txt")))
    core.normalizer = normalizers.NFC()
    core.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_QWEN_PIECES), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    return core
