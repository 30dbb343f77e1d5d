"""Vectors of texts by a static model in a folder, as model2vec saves it (OpenMMReasoner's is potion-base-8M), and rows alike by them."""

import functools
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from virgo_factory.core.errors import UserError


FILES = ("model.safetensors", "tokenizer.json", "config.json")
MOST_TOKENS = 512
"""Of a text; model2vec reads no more by default."""
TOGETHER = 4096
"""Rows compared at a time."""


@dataclass(frozen=True)
class TextEmbedding:
    """A table of vectors, one a token: a text's is their mean."""

    vectors: np.ndarray  # (tokens, width) of float32
    tokenizer: Any  # of the library tokenizers

    def of(self, texts: Sequence[str]) -> np.ndarray:
        """Return unit vectors, (texts, width) of float32; zeros for a text without a known token."""
        unknown = (json.loads(self.tokenizer.to_str())["model"].get("unk_token")) or ""
        unknown = self.tokenizer.token_to_id(unknown)
        found = np.zeros((len(texts), self.vectors.shape[1]), np.float32)
        for at, encoded in enumerate(self.tokenizer.encode_batch(list(texts), add_special_tokens=False)):
            if ids := [one for one in encoded.ids if one != unknown][:MOST_TOKENS]:
                found[at] = self.vectors[ids].mean(axis=0)

        return found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-32)


@functools.cache
def load_embedding(folder: Path) -> TextEmbedding:
    """Return the model of a folder.

    Raises UserError where it is none of model2vec, or its table is folded (quantised vocabulary).
    """
    from safetensors.numpy import load_file
    from tokenizers import Tokenizer

    if missing := [name for name in FILES if not (folder / name).is_file()]:
        raise UserError(
            f"{folder}: {', '.join(missing)} missing. Name the folder of a model2vec model, such as that of hf download "
            "minishlab/potion-base-8M --local-dir DIR."
        )

    tensors = load_file(folder / "model.safetensors")
    if set(tensors) != {"embeddings"}:
        raise UserError(f"{folder}: its tensors are {', '.join(sorted(tensors))}, where `embeddings` alone is read.")

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return TextEmbedding(tensors["embeddings"].astype(np.float32), tokenizer)


def alike_vectors(
    vectors: np.ndarray, bound: float, same: np.ndarray, sets: np.ndarray | None = None
) -> Iterator[tuple[int, int, float]]:
    """Yield (row, an earlier row, cosine) of every row that is nearly an earlier one; an earlier one's own comes before.

    Rows of which nothing else is equal are not compared, so that time is that of the groups that are. Vectors are
    (rows, width), of unit length or zero; `same`, (rows,) of uint64, is what else must be equal in both; only rows of
    different `sets`, (rows,) and rising, are compared.
    """
    order = np.argsort(same, kind="stable")
    for group in np.split(order, np.flatnonzero(np.diff(same[order])) + 1):
        for start in range(0, len(group), TOGETHER):
            rows, before = group[start : start + TOGETHER], group[: start + TOGETHER]
            cosines = vectors[rows] @ vectors[before].T
            cosines[before >= rows[:, None]] = -1
            if sets is not None:
                cosines[sets[before] == sets[rows][:, None]] = -1

            nearest = cosines.argmax(axis=1)
            best = cosines[np.arange(len(rows)), nearest]
            for at in np.flatnonzero(best >= bound - 1e-6):
                yield int(rows[at]), int(before[nearest[at]]), min(float(best[at]), 1.0)
