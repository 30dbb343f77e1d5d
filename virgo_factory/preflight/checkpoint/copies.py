"""What stands twice in a model: rows of its vocabulary, matrices, whole layers. Training leaves no two alike."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from virgo_factory.preflight.checkpoint.look import Model, Numbers
from virgo_factory.preflight.checkpoint.numbers import listed, spans
from virgo_factory.preflight.checkpoint.weights import KINDS, LAYER, VOCABULARY, Tensor, read_rows
from virgo_factory.preflight.diagnosis import Diagnosis
from virgo_factory.preflight.twin.small_config import spread


MANY = 0.1
"""Share of the tokens in use from which on rows alike are an error by themselves: published models have a few in a hundred,
of tokens that their training never saw."""
SOME = 0.01
_CHUNK = 1 << 22
_MOST = 3
_SAMPLE = 64
_VALUES = 16
"""Different numbers that a tensor has, of which a copy is no chance: norms begin as ones, and stay near them for long."""
_MANY_NUMBERS = 1 << 16
"""Of a tensor with more it is not counted how many are different."""
_REMEDY = "copy the folder again, or save or merge again; --base DIR tells whether the base has the same"


def judge_copies(model: Model) -> Iterator[Diagnosis]:
    """Yield what of a model stands in it twice and does not in its base, or that nothing does."""
    found = [*_rows_alike(model), *_tensors_alike(model), *_head(model)]
    yield from found or [Diagnosis("copies", "ok", "no matrix, and no row of the vocabulary, stands in it twice")]


def _head(model: Model) -> Iterator[Diagnosis]:
    """Yield an output head that is the embedding though the settings say it is not, or the other way round."""
    tensors, numbers, before, is_tied = model.tensors, model.numbers, model.before, model.is_tied
    ends = ("embed_tokens.weight", "lm_head.weight")
    pair = [next((name for name in tensors if name.endswith(end)), "") for end in ends]
    if is_tied is None or not all(pair) or any(numbers[name].zero == list(range(numbers[name].rows)) for name in pair):
        return

    sums = [np.concatenate(numbers[name].sums or [np.zeros(0)]) for name in pair]
    is_one = tensors[pair[0]].shape == tensors[pair[1]].shape and np.array_equal(*sums)
    if is_one and not is_tied and not (before and _are_one(pair, before)):
        what = f"{pair[1]} is {pair[0]}, number by number, though config.json does not tie them (tie_word_embeddings)"
        severity = "error" if all(name in (before or {}) for name in pair) else "warning"
        yield Diagnosis("copies", severity, what, _REMEDY)
    elif is_tied and not is_one:
        told = f"{pair[1]} is not {pair[0]}, though config.json ties them"
        what = f"{told} (tie_word_embeddings): one of them is not used"
        yield Diagnosis("copies", "error", what, "set tie_word_embeddings: false, or merge again without lm_head")


def _rows_alike(model: Model) -> Iterator[Diagnosis]:
    """Yield vocabularies in which ordinary tokens share a row. Rows of zeros, and with NaN, are told elsewhere."""
    tokens, before = model.tokens, model.before or {}
    for name, seen in model.numbers.items():
        if not seen.sums or seen.constant is not None:
            continue

        sums, unfit = np.concatenate(seen.sums), {*seen.zero, *seen.not_finite, *model.added}
        rows = tokens or range(len(sums))
        used = np.array([row for row in rows if row < len(sums) and row not in unfit], dtype=np.int64)
        _, first, which, counts = np.unique(sums[used], return_index=True, return_inverse=True, return_counts=True)
        copies = used[counts[which] > 1]
        share = len(copies) / max(1, len(used))
        if not len(copies):
            continue

        is_of_base = None
        if name in before and before[name].shape[1:] == model.tensors[name].shape[1:]:
            originals = used[first[which[counts[which] > 1]]]
            is_of_base = _are_alike(before[name], copies, originals)
            if is_of_base:
                continue

        if is_of_base is False or share >= SOME:
            severity = "error" if is_of_base is False or share >= MANY else "warning"
            example = ", ".join(f"{row} {tokens[row]!r}" if row in tokens else str(row) for row in copies[:3].tolist())
            told = f"{len(copies):,} of {len(used):,} tokens have a row that others have, too"
            yield Diagnosis("copies", severity, f"{name}: {told}, such as {example}", _REMEDY)


def _are_alike(tensor: Tensor, rows: np.ndarray, others: np.ndarray) -> bool:
    """Whether some rows of a tensor are those beside them, as far as it has them."""
    chosen = [place for place in spread(len(rows), _SAMPLE) if max(rows[place], others[place]) < tensor.rows]
    one, other = (read_rows(tensor, lines[chosen].tolist()) for lines in (rows, others))
    return bool(np.array_equal(one, other))


def _tensors_alike(model: Model) -> Iterator[Diagnosis]:
    """Yield layers that are another one's copy, and single tensors that are."""
    tensors, numbers, before = model.tensors, model.numbers, model.before
    names = [name for name, tensor in tensors.items() if _is_of_one_kind(name, tensor, numbers[name])]
    groups = [group for group in _groups(names, tensors, numbers) if not (before and _are_one(group, before))]
    group_of = {name: place for place, group in enumerate(groups) for name in group}
    layers: dict[tuple[str, int], list[int | None]] = {}
    for name in names:
        if (layer := _layer(name)) and len(tensors[name].shape) > 1:
            layers.setdefault(layer, []).append(group_of.get(name))

    copies: dict[tuple, list[tuple[str, int]]] = {}
    for layer, parts in sorted(layers.items()):
        if None not in parts:
            copies.setdefault(tuple(sorted(parts)), []).append(layer)

    whole = [alike for alike in copies.values() if len(alike) > 1]
    for alike in whole:
        what = f"{alike[0][0]}: layers {spans([layer for _, layer in alike])} are one another's copies"
        yield Diagnosis("copies", "error" if before else "warning", what, _REMEDY)

    told = {layer for alike in whole for layer in alike}
    rest = [group for group in groups if not all(_layer(name) in told for name in group)]
    if rest:
        more = f"; and {len(rest) - _MOST} more" if len(rest) > _MOST else ""
        what = "; ".join(f"{listed(group)} are the same" for group in rest[:_MOST]) + more
        yield Diagnosis("copies", "error" if before or model.is_ours else "warning", what, _REMEDY)


def _layer(name: str) -> tuple[str, int] | None:
    match = LAYER.match(name)
    return (f"{match[1] or ''}{match[2]}", int(match[3])) if match else None


def _is_of_one_kind(name: str, tensor: Tensor, seen: Numbers) -> bool:
    """Whether a tensor has so many different numbers that a copy of it is no chance, and is not told already."""
    if VOCABULARY.search(name) or tensor.kind not in KINDS or seen.constant is not None or seen.not_finite:
        return False

    return len(seen.zero) < seen.rows and (tensor.count > _MANY_NUMBERS or _has_values(tensor))


def _has_values(tensor: Tensor) -> bool:
    looked_at = (list(range(min(rows, tensor.rows))) for rows in (_VALUES, tensor.rows))  # the first rows mostly tell
    return any(len(np.unique(read_rows(tensor, rows))) >= _VALUES for rows in looked_at)


def _groups(names: Sequence[str], tensors: Mapping[str, Tensor], numbers: Mapping[str, Numbers]) -> list[list[str]]:
    """Return the names of tensors that are the same, byte by byte; those that are like no other are left out."""
    begun: dict[tuple, list[str]] = {}
    for name in names:
        begun.setdefault((tensors[name].kind, tensors[name].shape, numbers[name].start), []).append(name)

    groups: list[list[str]] = []
    for alike in begun.values():
        parts: list[list[str]] = []
        for name in alike:
            part = next((part for part in parts if _are_one([part[0], name], tensors)), None)
            part.append(name) if part else parts.append([name])

        groups += [part for part in parts if len(part) > 1]

    return groups


def _are_one(names: Sequence[str], tensors: Mapping[str, Tensor]) -> bool:
    """Whether tensors are all the first one's copies; no more is read than to where they differ."""
    if any(name not in tensors for name in names):
        return False

    first, *others = (tensors[name] for name in names)
    return all(
        (first.kind, first.shape) == (other.kind, other.shape)
        and all(one == two for one, two in zip(_chunks(first), _chunks(other), strict=True))
        for other in others
    )


def _chunks(tensor: Tensor) -> Iterator[bytes]:
    with tensor.file.open("rb") as source:
        source.seek(tensor.start)
        for place in range(tensor.start, tensor.end, _CHUNK):
            yield source.read(min(_CHUNK, tensor.end - place))
