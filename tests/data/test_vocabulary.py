"""tiktoken's ids are those of the model's own tokenizer: for every text there is here, and for any other."""

import json
import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer

from virgo_factory.core.thought import MARKERS
from virgo_factory.data.tokens.vocabulary import LONGEST, _byte_of_character, load_vocabulary


@pytest.fixture(scope="module")
def folder(shared_data):
    return shared_data / "qwen2.5_vl_tokenizer"


@pytest.fixture(scope="module")
def theirs(folder):
    """The real tokenizer as transformers loads it."""
    return AutoTokenizer.from_pretrained(folder)


@pytest.fixture(scope="module")
def ours(folder):
    vocabulary = load_vocabulary(folder)
    assert vocabulary.is_fast
    return vocabulary


def equal(ours, theirs, text):
    return ours.ids(text) == theirs.encode(text, add_special_tokens=False)


def differing(ours, theirs, texts):
    """Return the texts whose ids are not the same."""
    expected = theirs.backend_tokenizer.encode_batch_fast(texts, add_special_tokens=False)
    return [text for text, found in zip(texts, expected, strict=True) if ours.ids(text) != found.ids]


def real_texts(shared_data):
    """Yield every text in every JSON file of the real data."""

    def texts(value):
        if isinstance(value, str):
            yield value
        elif isinstance(value, list):
            for item in value:
                yield from texts(item)
        elif isinstance(value, dict):
            yield from value
            for item in value.values():
                yield from texts(item)

    for file in sorted(shared_data.rglob("*.json*")):
        if file.name in ("vocab.json", "tokenizer_config.json"):
            continue

        if file.suffix == ".jsonl":
            for line in file.read_text(encoding="utf-8").splitlines():
                yield from texts(json.loads(line)) if line.strip() else ()
        else:
            yield from texts(json.loads(file.read_text(encoding="utf-8")))


@pytest.mark.slow
def test_real_texts(shared_data, ours, theirs):
    """One of 25 of the different texts of up to 20,000 characters; all of them below."""
    different = sorted({text for text in real_texts(shared_data) if len(text) <= 20_000})
    assert len(different) > 20_000
    assert differing(ours, theirs, different[::25]) == []


@pytest.mark.integration
@pytest.mark.timeout(900)
def test_all_real_texts(shared_data, ours, theirs):
    different = sorted(set(real_texts(shared_data)))
    for start in range(0, len(different), 500):
        assert differing(ours, theirs, different[start : start + 500]) == []


SPECIAL = ["<|im_start|>", "<|im_end|>\n", "<tool_call>", "<|image_pad|>" * 3, "<|im_", "end|>", "<", "|", *MARKERS]
TEXT = st.lists(
    st.text(max_size=20)
    | st.text(" \t\r\n\x0b\x0c\x85\xa0\u2028\u3000", max_size=12)
    | st.text("0123456789٣½²Ⅻ", max_size=8)
    | st.text("'’sStTrReEvVmMlLdDſ", max_size=6)
    | st.text("aeé\u0301\u0323\u0300가각ᄀ\u1161\u11a8\u212b\u0344ﬁ", max_size=8)
    | st.sampled_from(SPECIAL)
    | st.builds(
        lambda part, times: part * times, st.sampled_from([" ", "\n", "a", "=", "1", "你"]), st.integers(1, 300)
    ),
    max_size=6,
).map("".join)


@pytest.mark.slow
@given(TEXT)
def test_any_text(ours, theirs, text):
    assert equal(ours, theirs, text.encode("utf-8", "replace").decode())  # half a surrogate pair never comes so far


@pytest.mark.slow
def test_every_assigned_character_is_cut_alike(ours, theirs):
    """One of 20 of the large blocks (CJK, Hangul, private use), each other character, in the contexts that classes show in."""
    texts = []
    for code in range(sys.maxunicode + 1):
        character = chr(code)
        kind = unicodedata.category(character)
        if kind in ("Cs", "Cn", "Co") or (kind == "Lo" and code > 0x3400 and code % 20):
            continue

        texts.append(f"a{character}b {character} 1{character}\n'{character}l({character}{character}\n)")

    assert len(texts) > 25_000
    together = ["".join(texts[start : start + 200]) for start in range(0, len(texts), 200)]
    assert differing(ours, theirs, together) == []


@pytest.mark.slow
def test_long_runs(ours, theirs):
    parts = (" ", "\n", " \n", "^", "a", "1", "\t", "é", "e\u0301")
    runs = [part * (LONGEST // 10 // len(part)) + "x" for part in parts]
    assert differing(ours, theirs, [*runs, " " * (LONGEST + 1)]) == [], "the last is too long for tiktoken"


@pytest.mark.integration
def test_every_merge_is_what_its_bytes_merge_to(ours):
    """Why the ids are equal: the last merge of a token's bytes by rank is the one that merges.txt has for it."""
    model = ours._content["model"]
    byte_of = _byte_of_character()
    rank = {bytes(map(byte_of.__getitem__, token)): number for token, number in model["vocab"].items()}
    for number, merge in enumerate(model["merges"], start=256):
        left, right = (bytes(map(byte_of.__getitem__, part)) for part in merge.split(" "))
        assert rank[left + right] == number
        parts = [bytes([byte]) for byte in left + right]
        while len(parts) > 2:
            pairs = [rank.get(a + b, number) for a, b in zip(parts, parts[1:], strict=False)]
            at = pairs.index(min(pairs))
            assert pairs[at] < number
            parts[at : at + 2] = [parts[at] + parts[at + 1]]

        assert parts == [left, right]


@pytest.mark.slow
def test_markers_as_tokens(ours, folder):
    theirs = AutoTokenizer.from_pretrained(folder)
    theirs.add_tokens(list(MARKERS))
    with_markers = ours.with_plain(MARKERS)
    text = f"a {MARKERS[0]}\n\nb{MARKERS[1]} {MARKERS[2]}c<|im_end|>\n"
    assert equal(with_markers, theirs, text)
    assert with_markers.special == ours.special
    assert len(with_markers.ids(text)) < len(ours.ids(text))
    assert with_markers.with_plain(MARKERS) is with_markers
    assert with_markers.without(MARKERS).ids(text) == ours.ids(text)
    assert ours.without(MARKERS) is ours


@pytest.mark.slow
def test_a_saved_tokenizer_json(ours, theirs, tmp_path):
    theirs.save_pretrained(tmp_path)
    assert (tmp_path / "tokenizer.json").is_file()
    saved = load_vocabulary(tmp_path)
    assert saved.is_fast
    assert (saved.special, saved.added) == (ours.special, ours.added)
    assert saved.ids("Wait, 3² = 9.<|im_end|>\n") == ours.ids("Wait, 3² = 9.<|im_end|>\n")


def test_another_tokenizer_is_run_by_tokenizers(tmp_path):
    from virgo_factory.preflight.twin.twin import train_tokenizer

    theirs = train_tokenizer(["Wait, let me think about it again. 12 + 30 = 42."] * 3, 320, tmp_path)
    theirs.save_pretrained(tmp_path)
    ours = load_vocabulary(tmp_path)
    assert not ours.is_fast
    for text in ("Wait, 12<|im_end|>\n", "é 你好\n\n", ""):
        assert equal(ours, theirs, text)

    (tmp_path / "tokenizer.json").unlink()
    assert load_vocabulary(tmp_path).ids("Wait, 12<|im_end|>\n") == theirs.encode("Wait, 12<|im_end|>\n")


def test_tokens_before(ours, theirs):
    text = "é thought 你好, and on"
    for position in range(len(text) + 1):
        offsets = theirs(text, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
        assert ours.tokens_before(text, position) == sum(begin < position for begin, _ in offsets)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "no tokenizer.json, and no vocab.json with merges.txt"),
        ({"vocab.json": "{}", "merges.txt": ""}, "tokenizer_class is None, not Qwen2Tokenizer"),
        ({"tokenizer.json": "{"}, "tokenizer.json: cannot be read"),
        ({"tokenizer.json": "[]"}, "tokenizer.json: not an object"),
    ],
)
def test_folders_without_a_tokenizer(tmp_path, files, message):
    for name, content in files.items():
        (tmp_path / name).write_text(content)

    with pytest.raises(ValueError, match=message):
        load_vocabulary(tmp_path)
