"""The quick tokenizer gives the ids of the whole one."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from virgo_factory.core.thought import MARKERS
from virgo_factory.hooks.rows.encoding import quick


@pytest.fixture(scope="module")
def tokenizers(model_folder, tmp_path_factory):
    """A Qwen tokenizer, plain, with marker tokens, and with special tokens read as text: (whole, quick) of each."""
    from transformers import AutoTokenizer

    folder = tmp_path_factory.mktemp("converted")
    AutoTokenizer.from_pretrained(model_folder).save_pretrained(folder)
    pairs = []
    for more in ({}, {}, {"split_special_tokens": True}):
        whole, other = (AutoTokenizer.from_pretrained(folder, **more) for _ in range(2))
        if len(pairs) == 1:
            for tokenizer in (whole, other):
                tokenizer.add_tokens(list(MARKERS))

        pairs.append((whole, quick(other)))

    return pairs


@pytest.mark.slow
def test_real_rows(tokenizers, shared_data):
    path = shared_data / "skythought" / "sky_t1_math_reflection_1.0_32b__amc23.jsonl"
    texts = [json.loads(line)["code"][0] for line in path.read_text(encoding="utf-8").splitlines()[:8]]
    ids = [[whole.encode(text, add_special_tokens=False) for text in texts] for whole, _ in tokenizers]
    assert [[fast.encode(text, add_special_tokens=False) for text in texts] for _, fast in tokenizers] == ids
    assert ids[0] != ids[1]


PIECES = st.sampled_from(
    [*MARKERS, "<|im_end|>\n", "<|image_pad|>", "é", "e\u0301", "\ufb01", " ", "\n\n", "\0", "的"]
)


@given(st.lists(PIECES | st.text(max_size=9), max_size=8).map("".join))
def test_any_text(tokenizers, text):
    for whole, fast in tokenizers:
        assert fast.encode(text, add_special_tokens=False) == whole.encode(text, add_special_tokens=False)


def test_it_is_the_tokenizer_otherwise(tokenizers):
    whole, fast = tokenizers[0]
    assert fast.encode("a b") == whole.encode("a b")
    assert fast("a b", return_offsets_mapping=True) == whole("a b", return_offsets_mapping=True)
    assert (fast.eos_token_id, fast.is_fast, fast.convert_tokens_to_ids("a")) == (
        whole.eos_token_id,
        True,
        whole.convert_tokens_to_ids("a"),
    )


def test_a_slow_tokenizer_stays():
    slow = object()
    assert quick(slow) is slow


@pytest.mark.parametrize(
    ("efficient_eos", "expected"),
    [(False, [-100, -100, -100, 2, -100, 7, 8]), (True, [-100, -100, -100, -100, -100, 7, 8])],
)
def test_the_end_of_a_turn_that_is_not_learned_is_not_learned(hook, efficient_eos, expected):
    assert hook.learned_labels([-100, hook.UNLEARNED, hook.UNLEARNED, 2, -100, 7, 8], -100, efficient_eos) == expected
