"""Exact and near duplicates, against similarities counted out."""

import random
import subprocess
import sys

import numpy as np
import pytest

from virgo_factory.data.check.duplicates import HASHES, near_duplicates, repeated, sketch


WORDS = [f"word{number}" for number in range(3_000)]


def _text(rng, words):
    return [rng.choice(WORDS) for _ in range(words)]


def _edited(rng, words, edits):
    words = list(words)
    for _ in range(edits):
        words[rng.randrange(len(words))] = rng.choice(WORDS)

    return words


def _jaccard(one, two):
    one, two = ({tuple(words[i : i + 5]) for i in range(len(words) - 4)} for words in (one, two))
    return len(one & two) / len(one | two)


@pytest.mark.parametrize(
    ("digests", "expected"),
    [([], []), ([1], []), ([1, 2, 3], []), ([5, 5], [(1, 0)]), ([9, 1, 9, 1, 9], [(2, 0), (3, 1), (4, 0)])],
)
def test_repeated_digests_name_their_first(digests, expected):
    assert list(repeated(np.array(digests, np.uint64))) == expected


@pytest.mark.slow
@pytest.mark.parametrize("words", [60, 400, 3_000])
def test_sketches_estimate_the_jaccard_similarity(words):
    rng = random.Random(words)
    errors = []
    for _ in range(60):
        one = _text(rng, words)
        two = _edited(rng, one, rng.randrange(1 + words // 30))
        estimate = (sketch(" ".join(one)) == sketch(" ".join(two))).mean()
        errors.append(estimate - _jaccard(one, two))

    assert abs(np.mean(errors)) < 0.02  # no bias
    assert np.std(errors) < 0.06


def test_case_and_spacing_do_not_count():
    assert (sketch("What  is\n7 * 8 ? Think.") == sketch("what is 7 * 8 ? think.")).all()


@pytest.mark.parametrize("text", ["", "a", "a b c", "十五"])
def test_short_texts_have_a_sketch_of_their_own(text):
    assert sketch(text).shape == (HASHES,)
    assert (sketch(text) == sketch(text)).all()
    assert (sketch(text) == sketch("something else entirely")).mean() < 0.2


def test_sketches_are_the_same_in_every_process():
    code = (
        "from virgo_factory.data.check.duplicates import sketch; print(sketch('one two three four five six').tolist())"
    )
    outputs = {
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    }
    assert outputs == {f"{sketch('one two three four five six').tolist()}\n"}


def test_planted_near_duplicates_are_found_and_nothing_else():
    rng = random.Random(0)
    texts = [_text(rng, 200) for _ in range(600)]
    planted = {}
    for row in range(600, 700):
        source = rng.randrange(600)
        texts.append(_edited(rng, texts[source], rng.randrange(3)))
        planted[row] = source

    found = {row: earlier for row, earlier, _ in near_duplicates(np.array([sketch(" ".join(text)) for text in texts]))}
    assert all(_jaccard(texts[row], texts[earlier]) > 0.7 for row, earlier in found.items())
    assert all(row in found for row, source in planted.items() if _jaccard(texts[row], texts[source]) > 0.9)
    assert set(found) <= set(planted)  # random texts are unlike each other


def test_thousands_of_like_rows_are_linear():
    """A row is compared with two others of its group and band, not with all."""
    table = np.tile(sketch("the same text in every row, again and again"), (20_000, 1))
    found = list(near_duplicates(table))
    assert len(found) == 19_999
    assert found[0] == (1, 0, 1.0)
