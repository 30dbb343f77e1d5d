"""Texts -> token ids without torch or transformers: the model's own tokenizer files, read by `tokenizers`.

Byte-pair tokenizers of the Qwen kind run on `tiktoken`, which gives the same ids several times as fast
(benchmarks/RESULTS.md): the merges of these vocabularies stand in the order of the ids, and that is what tiktoken merges
by. Whatever is not of that shape, or is special in a text, goes through `tokenizers`.
"""

import functools
import hashlib
import itertools
import json
import re
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import orjson
from tokenizers import Tokenizer

from virgo_factory.core.errors import UserError


TOKENIZER_FILES = ("tokenizer.json", "vocab.json", "merges.txt", "tokenizer_config.json", "added_tokens.json")
LONGEST = 200_000
"""Characters; tiktoken's expressions overflow their stack on about a million blanks in a row."""

SHORT = 16
"""Characters up to which ids are kept: the line break behind an end of turn, `assistant`."""

_WORDS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
_BLANKS = r"\s+(?!\S)|\s+"
QWEN_PIECES = f"{_WORDS}|{_BLANKS}"
"""How Qwen2 to Qwen3 cut text before merging (transformers 4.57.6, convert_slow_tokenizer.py, Qwen2Converter)."""

_PROVEN_PIECES = {QWEN_PIECES: f"(?:{_WORDS})|{_BLANKS}"}
"""Expression for which both engines cut every assigned character alike (tests/data/test_vocabulary.py) -> the same for tiktoken.

In a group of their own, what needs no look ahead runs in a faster engine: 0.7 of the time (fancy_regex hands on what it can).
"""

_PROVEN = {"a8ad7bdc1f10cc27": "Qwen2, Qwen2.5 and Qwen3"}
"""Vocabulary and merges (their hash) for which tiktoken's ids were proven equal."""


class Vocabulary:
    """A tokenizer as a function from text to ids.

    Attributes:
        special: texts of the special tokens, which a row must not hold.
        added: text of each added token, found in any text before it is merged -> its id.
    """

    def __init__(self, content: dict[str, Any], merger: Any = None) -> None:
        """Take the content of a tokenizer.json, and its tiktoken encoding where that is known already."""
        self._content = content
        self.special = tuple(token["content"] for token in content["added_tokens"] if token["special"])
        self.added = {token["content"]: token["id"] for token in content["added_tokens"]}
        self._merger = merger or _merger(content)
        longest_first = sorted(self.added, key=len, reverse=True)
        self._short = functools.lru_cache(256)(self._merger.encode_ordinary) if self._merger else None
        self._split = re.compile(f"({'|'.join(map(re.escape, longest_first))})") if self.added else None

    @functools.cached_property
    def _core(self) -> Tokenizer:
        """The same tokenizer as `tokenizers` runs it, built when a text first needs it: that takes a second."""
        return Tokenizer.from_str(json.dumps(self._content))

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

        if self._split is None:
            return self._merger.encode_ordinary(text)

        found: list[int] = []
        for position, part in enumerate(self._split.split(text)):
            if position % 2:
                found.append(self.added[part])
            elif part:
                found += self._merger.encode_ordinary(part) if len(part) > SHORT else self._short(part)

        return found

    def count(self, text: str) -> int:
        return len(self.ids(text))

    def tokens_before(self, text: str, position: int) -> int:
        """Return how many tokens of a text begin before a character."""
        encoding = self._core.encode(text, add_special_tokens=False)
        return sum(begin < position for begin, _ in encoding.offsets)

    def end_of(self, text: str, count: int) -> int:
        """Return where the first so many tokens of a text end, in characters: a character of several tokens is in whole or not."""
        offsets = self._core.encode(text, add_special_tokens=False).offsets
        return offsets[count][0] if count < len(offsets) else len(text)

    def without(self, tokens: Sequence[str]) -> "Vocabulary":
        """Return the vocabulary that reads some added tokens as the text they are; itself where it has none of them."""
        if not set(tokens) & set(self.added):
            return self

        kept = [token for token in self._content["added_tokens"] if token["content"] not in tokens]
        return Vocabulary({**self._content, "added_tokens": kept}, self._merger)

    def with_plain(self, tokens: Sequence[str]) -> "Vocabulary":
        """Return the vocabulary with plain (not special) tokens added, where each is several tokens by now."""
        lacking = [token for token in tokens if len(self.ids(token)) > 1]
        if not lacking:
            return self

        first = max([*self.added.values(), *self._content["model"]["vocab"].values()]) + 1
        added = [_added(number, token) for number, token in enumerate(lacking, start=first)]
        both = [*self._content["added_tokens"], *added]
        return Vocabulary({**self._content, "added_tokens": both}, self._merger)


def _added(number: int, text: str, **flags: bool) -> dict[str, Any]:
    """Return an added token as tokenizer.json has it, plain by default."""
    return {"id": number, "content": text, **{flag: flags.get(flag, False) for flag in _FLAGS}}


_FLAGS = ("single_word", "lstrip", "rstrip", "normalized", "special")


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

    ranks = dict(zip(_bytes_of(model["vocab"]), model["vocab"].values(), strict=True))
    return tiktoken.Encoding(
        "virgo_factory",
        pat_str=_PROVEN_PIECES[steps[0]["pattern"]["Regex"]],
        mergeable_ranks=ranks,
        special_tokens={},
    )


def merges_hash(model: dict[str, Any]) -> str:
    """Return a hash of a byte-pair model's vocabulary and merges."""
    tokens, ids = model["vocab"], sorted(model["vocab"].values())
    vocabulary = "\n".join(
        tokens if [*tokens.values()] == ids else sorted(tokens, key=tokens.get)
    )  # most are in order
    merges = model["merges"]
    merges = "\n".join(merges if not merges or isinstance(merges[0], str) else map(" ".join, merges))
    whole = "\0".join([vocabulary, f"{ids[0]} {ids[-1]} {len(set(ids))}", merges])
    return hashlib.sha256(whole.encode()).hexdigest()[:16]


def _bytes_of(tokens: Iterable[str]) -> list[bytes]:
    """Return the bytes that the tokens of a vocabulary stand for: a byte a character."""
    import numpy as np

    table = np.zeros(0x180, np.uint8)
    for character, byte in _byte_of_character().items():
        table[ord(character)] = byte

    content = table[np.frombuffer("".join(tokens).encode("utf-32-le"), "<u4")].tobytes()
    ends = [0, *itertools.accumulate(map(len, tokens))]
    return [content[start:end] for start, end in itertools.pairwise(ends)]


@functools.cache
def _byte_of_character() -> dict[str, int]:
    """Return GPT-2's table: the printable character that stands for a byte in a vocabulary -> the byte."""
    printable = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + i): byte for i, byte in enumerate(others)}


def load_vocabulary(folder: Path) -> Vocabulary:
    """Return the vocabulary of a model folder, with the tokens that its tokenizer_config.json adds.

    Raises UserError for a folder without a tokenizer that can be read without transformers.
    """
    config_file, whole = folder / "tokenizer_config.json", folder / "tokenizer.json"
    config = _read(config_file) if config_file.is_file() else {}
    if whole.is_file():
        content = _read(whole)
    elif (folder / "vocab.json").is_file() and (folder / "merges.txt").is_file():
        if not str(config.get("tokenizer_class", "")).startswith("Qwen2Tokenizer"):
            raise UserError(
                f"{folder}: no tokenizer.json, and tokenizer_class is {config.get('tokenizer_class')!r}, not "
                "Qwen2Tokenizer. Save the tokenizer again with transformers, which writes tokenizer.json."
            )
        content = _qwen(folder)
    else:
        raise UserError(f"{folder}: no tokenizer.json, and no vocab.json with merges.txt. Name a model's folder.")

    known = {token["content"] for token in content["added_tokens"]}
    for number, token in sorted(config.get("added_tokens_decoder", {}).items(), key=lambda item: int(item[0])):
        if token["content"] not in known:
            flags = {flag: token.get(flag, False) for flag in _FLAGS}
            content["added_tokens"].append(_added(int(number), token["content"], **flags))

    return Vocabulary({**content, "truncation": None, "padding": None, "post_processor": None})


def _read(path: Path) -> dict[str, Any]:
    try:
        content = orjson.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read ({error}). Fetch the tokenizer again.") from None

    if not isinstance(content, dict):
        raise UserError(f"{path}: not an object. Fetch the tokenizer again.")

    return content


def _qwen(folder: Path) -> dict[str, Any]:
    """Return the tokenizer.json that transformers makes of Qwen's vocab.json and merges.txt (Qwen2Converter)."""
    lines = (folder / "merges.txt").read_text(encoding="utf-8").split("\n")
    merges = list(filter(None, lines[lines[0].startswith("#version") :]))
    split = {"type": "Split", "pattern": {"Regex": QWEN_PIECES}, "behavior": "Isolated", "invert": False}
    bytes_ = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    model = {"type": "BPE", "vocab": _read(folder / "vocab.json"), "merges": merges}
    return {
        "version": "1.0",
        "added_tokens": [],
        "normalizer": {"type": "NFC"},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [split, bytes_]},
        "decoder": None,
        "model": {**model, "fuse_unk": False, "byte_fallback": False, "ignore_merges": False},
    }
