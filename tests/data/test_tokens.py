"""The rows that `RowTokenizer` sees are LLaMA-Factory's, token for token; images take what the real processor gives them."""

import itertools
import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from virgo_factory.core.example import Example, Turn
from virgo_factory.core.thought import MARKERS, LongThought
from virgo_factory.data.read.prefix import add_prefix, read_prefix
from virgo_factory.data.read.reader import read_rows
from virgo_factory.data.read.source import Settings
from virgo_factory.data.read.templates import TEMPLATE_TAGS as TAGS_OF
from virgo_factory.data.tokens.image_size import (
    ImageProcessor,
    image_tokens,
    read_processor,
    smart_resize,
    trained_size,
)
from virgo_factory.data.tokens.tokens import RowTokenizer, render, system_of
from virgo_factory.formats import read_row
from virgo_factory.io.files import TEMPLATES


SIZES = [(112, 84), (56, 140), (1200, 900)]
THOUGHT = LongThought("Three squared: 9.\n\nWait, (-3)^2 is 9, too.", "So x = \\boxed{\\pm 3}.")
PREFIX = read_prefix("virgo")
EXAMPLES = {
    "text": Example("a", "Find all x with x^2 = 9.", THOUGHT),
    "a response that is a text": Example("a", "What is 3 + 4?", "It is $7$.\n"),
    "odd edges": Example("a", " \n\tif x:\n    y = '你好'\n\n", THOUGHT),
    "one image": Example("a", "<image>How many dots?", THOUGHT, ("1",)),
    "an image, line break": Example("a", "<image>\nHow many dots?", THOUGHT, ("1",)),
    "two images": Example("a", "<image>\n<image> Which is larger?", THOUGHT, ("1", "2")),
    "images around the text": Example("a", "<image>First <image> second\n<image>", THOUGHT, ("1", "2", "3")),
    "text first": Example("a", "Look: <image>\nHow many?", THOUGHT, ("1",)),
    "system": Example("a", "Find x.", THOUGHT, system="You think in German.\n"),
    "system and image": Example("a", "<image>Find x.", THOUGHT, ("1",), system="Du denkst."),
    "turns": Example("a", "And z?", THOUGHT, history=(Turn("Find x.", THOUGHT), Turn("\nAnd y?", "It is 7."))),
    "turns with images": Example(
        "a", "<image>And?", THOUGHT, ("1", "2"), history=(Turn("<image>\nFind x.", THOUGHT),)
    ),
    "a turn that is not learned": Example(
        "a",
        "z?",
        THOUGHT,
        history=(Turn("Find x.", "It is 7.", learned=False), Turn("<image>y?", THOUGHT)),
        images=("1",),
    ),
    "the last turn is not learned": Example("a", "z?", "It is 7.", history=(Turn("x?", THOUGHT),), learned=False),
    "prefix already there": Example("a", f"<image>{PREFIX}\nFind x.", THOUGHT, ("1",)),
    "marker in the question": Example("a", f"What does {MARKERS[0]} mean?", THOUGHT),
    "decomposed accents": Example("a", "re\u0301sume\u0301?", LongThought("e\u0301", "\u212b")),
}


@pytest.fixture(scope="module")
def processor(model_folder):
    """The real processor; LLaMA-Factory changes its tokenizer."""
    import virgo_factory

    virgo_factory.register()
    from transformers import AutoProcessor

    found = AutoProcessor.from_pretrained(model_folder, use_fast=True)
    found.image_max_pixels, found.image_min_pixels = 262_144, 1024
    return found


@pytest.fixture(scope="module")
def with_markers(processor):
    """The same with the markers as plain tokens."""
    import copy

    found = copy.deepcopy(processor)
    found.tokenizer.add_tokens(list(MARKERS))
    return found


@pytest.fixture(scope="module")
def tokenizers(model_folder):
    """RowTokenizers by template, prefix, and whether the markers are tokens."""
    cache = {}

    def get(template="virgo", prefix=None, marker_tokens=False, **more):
        key = (template, prefix, marker_tokens, *more.items())
        if key not in cache:
            cache[key] = RowTokenizer(
                Settings(
                    str(model_folder), template, prefix, image_max_pixels=262_144, marker_tokens=marker_tokens, **more
                )
            )

        return cache[key]

    return get


def factory(processor, template, prefix, example, sizes, **more):
    """Return LLaMA-Factory's (source ids, target ids) of every turn of a row."""
    from llamafactory.data.template import get_template_and_fix_tokenizer
    from llamafactory.hparams.data_args import DataArguments

    data_args = DataArguments(template=template, **({"question_prefix": prefix} if prefix else {}), **more)
    found = get_template_and_fix_tokenizer(processor.tokenizer, data_args)
    messages = []
    for turn in example.turns:
        messages.append({"role": "user", "content": add_prefix(turn.question, read_prefix(prefix))})
        messages.append({"role": "assistant", "content": render(turn.response, TAGS_OF.get(template, "virgo"))})

    images = [Image.new("RGB", size, (40, 90, 160)) for size in sizes]
    messages = found.mm_plugin.process_messages(messages, images, [], [], processor)
    return found.encode_multiturn(processor.tokenizer, messages, example.system)


def joined(pairs):
    return [token for source, target in pairs for token in source + target]


@pytest.mark.slow
@pytest.mark.parametrize("name", EXAMPLES)
@pytest.mark.parametrize("template", ["virgo", "virgo_qwen3_vl", "qwen2_vl", "omr", "think_qwen3_vl"])
def test_rows_are_those_of_llamafactory(processor, with_markers, tokenizers, template, name):
    example = EXAMPLES[name]
    sizes = SIZES[: len(example.images)]
    for prefix, marker_tokens in itertools.product((None, "virgo"), (False, True)):
        if (template in ("qwen2_vl", "omr") or name == "decomposed accents") and (prefix or marker_tokens):
            continue  # not in use; the second takes a second each

        ours = tokenizers(template, prefix, marker_tokens)
        expected = factory(with_markers if marker_tokens else processor, template, prefix, example, sizes)
        segments = ours.encode(example, sizes)
        assert [token for segment in segments for token in segment.ids] == joined(expected)
        learned = [turn.learned for turn in example.turns]
        targets = [target for (_, target), is_learned in zip(expected, learned, strict=True) if is_learned]
        assert [segment.ids for segment in segments if segment.trained] == targets
        assert [segment.trained for segment in segments if segment.response] == learned
        (tokens,) = ours.count([example], [sizes])
        assert tokens.total == len(joined(expected))
        assert tokens.prompt == tokens.total - sum(map(len, targets))
        pads = joined(expected).count(processor.tokenizer.convert_tokens_to_ids("<|image_pad|>"))
        assert tokens.image == pads
        answers = [render(turn.response, TAGS_OF.get(template, "virgo")) for turn in example.turns if turn.learned]
        assert tokens.response == sum(len(processor.tokenizer.encode(answer)) for answer in answers)


def test_segments_are_the_text_of_the_row(tokenizers):
    example = EXAMPLES["images around the text"]
    segments = tokenizers("virgo", "virgo").encode(example, SIZES)
    text = "".join(segment.text for segment in segments)
    pictures = [segment.text for segment in segments if segment.image is not None]
    assert [segment.image for segment in segments if segment.image is not None] == [0, 1, 2]
    question = f"{pictures[0]}{PREFIX}\nFirst {pictures[1]} second\n{pictures[2]}"
    assert text == (
        f"<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n{question}<|im_end|>\n"
        f"<|im_start|>assistant\n{THOUGHT.render()}<|im_end|>\n"
    )


@pytest.mark.parametrize("template", ["virgo", "virgo_qwen3_vl"])
@pytest.mark.parametrize("system", [None, "Du denkst."])
def test_the_text_is_what_the_jinja_file_renders(tokenizers, template, system):
    from jinja2 import Environment

    saved = Environment().from_string((TEMPLATES / f"{template}.jinja").read_text(encoding="utf-8"))
    messages = [{"role": "system", "content": system}] if system else []
    for turn in EXAMPLES["turns"].turns:
        messages += [
            {"role": "user", "content": turn.question},
            {"role": "assistant", "content": render(turn.response)},
        ]

    example = Example("a", "And z?", THOUGHT, history=EXAMPLES["turns"].history, system=system)
    text = "".join(segment.text for segment in tokenizers(template).encode(example))
    assert text == saved.render(messages=messages)
    assert system_of(template) in ("", "You are a helpful assistant.")


def test_default_system(processor, tokenizers):
    from llamafactory.data.template import TEMPLATES as THEIRS

    stock = THEIRS["virgo"].default_system
    try:
        expected = factory(processor, "virgo", None, EXAMPLES["text"], [], default_system="Think.")
    finally:
        THEIRS["virgo"].default_system = stock  # LLaMA-Factory keeps it as long as the process lives

    ours = tokenizers(default_system="Think.")
    assert [token for segment in ours.encode(EXAMPLES["text"]) for token in segment.ids] == joined(expected)


def test_a_prefix_of_the_response_is_context(tokenizers):
    example = Example(
        "a", "Find x.", "<think> I see two. Wait, three. </think>", assistant_prefix="<think> I see two."
    )
    segments = tokenizers().encode(example)
    assert [(segment.text, segment.trained) for segment in segments[-2:]] == [
        ("<think> I see two.", False),
        (" Wait, three. </think><|im_end|>\n", True),
    ]
    whole = Example("a", "Find x.", example.response)
    assert [t for s in segments for t in s.ids] == [t for s in tokenizers().encode(whole) for t in s.ids]
    (tokens,), (other,) = tokenizers().count([example], [[]]), tokenizers().count([whole], [[]])
    assert (tokens.total, tokens.response) == (other.total, other.response)
    assert tokens.prompt == other.prompt + len(segments[-2].ids)
    assert tokens.prompt == sum(len(segment.ids) for segment in segments if not segment.trained)


def test_a_pair_has_the_length_of_its_longer_side(tokenizers):
    shorter, longer = "It is 7.", THOUGHT
    one, two = (Example("a", "Find x.", a, rejected=b) for a, b in ((shorter, longer), (longer, shorter)))
    (first,), (second,) = tokenizers().count([one], [[]]), tokenizers().count([two], [[]])
    assert first.total == second.total == tokenizers().count([Example("a", "Find x.", longer)], [[]])[0].total
    assert first.response == second.response  # the bounds look at both sides (hooks/rows/rows.py)


def test_of_a_pair_only_the_last_response_is_trained_on(tokenizers):
    pair = Example("a", "And?", THOUGHT, history=(Turn("Find x.", THOUGHT),), rejected="It is 7.")
    segments = tokenizers().encode(pair)
    assert [segment.trained for segment in segments if segment.response] == [False, True]
    (tokens,), (alone,) = tokenizers().count([pair], [[]]), tokenizers().count([replace(pair, history=())], [[]])
    assert tokens.prompt == sum(len(segment.ids) for segment in segments if not segment.trained)
    assert tokens.total == sum(len(segment.ids) for segment in segments)
    assert alone.total - alone.prompt == tokens.total - tokens.prompt
    assert (tokens.response, tokens.shortest, tokens.longest) == (alone.response, alone.shortest, alone.longest)
    (kept,) = tokenizers().count([replace(pair, rejected=None)], [[]])
    assert kept.prompt < tokens.prompt and kept.total == tokens.total


@pytest.mark.slow
def test_real_rows(shared_data, processor, tokenizers):
    ours = tokenizers("virgo", "virgo")
    compared = 0
    for file in sorted((shared_data / "skythought").glob("*.jsonl")):
        for row in list(read_rows(file))[::8]:
            raw = json.loads(row.text)
            row = {"question": raw["question"], "combined_text": raw["code"][0]}
            (example,) = read_row(row, "virgo_dt").parts
            if isinstance(example, Example):
                expected = factory(processor, "virgo", "virgo", example, [])
                assert [t for s in ours.encode(example) for t in s.ids] == joined(expected)
                assert ours.count([example], [[]])[0].total == len(joined(expected))
                compared += 1

    assert compared > 20


# images


PROCESSORS = {
    "Qwen2-VL": {"min_pixels": 3136, "max_pixels": 12_845_056, "patch_size": 14},
    "Qwen3-VL": {"size": {"shortest_edge": 65_536, "longest_edge": 16_777_216}, "patch_size": 16},
    "small": {"min_pixels": 3136, "max_pixels": 28 * 28 * 100, "patch_size": 14},
}


def make_processor(folder, name):
    from transformers import Qwen2VLImageProcessor

    made = Qwen2VLImageProcessor(merge_size=2, temporal_patch_size=2, **PROCESSORS[name])
    made.save_pretrained(folder)
    return made


def factory_tokens(image, image_processor, min_pixels, max_pixels):
    from llamafactory.data.mm_plugin import get_mm_plugin

    plugin = get_mm_plugin("qwen2_vl", image_token="<|image_pad|>", video_token="<|video_pad|>")
    image = plugin._preprocess_image(image, image_max_pixels=max_pixels, image_min_pixels=min_pixels)
    grid = image_processor([image], return_tensors="pt")["image_grid_thw"][0]
    return int(grid.prod()) // 4


@pytest.mark.slow
@pytest.mark.parametrize("name", PROCESSORS)
def test_real_pictures(shared_data, tmp_path, name):
    theirs, ours = make_processor(tmp_path, name), read_processor(tmp_path)
    pictures = {}
    for path in sorted(shared_data.rglob("*.png")) + sorted(shared_data.rglob("*.jpg")):
        with Image.open(path) as image:
            pictures.setdefault(image.size, path)

    assert len(pictures) > 100
    for (width, height), path in list(pictures.items())[:: len(pictures) // 25]:
        with Image.open(path) as image:
            found = factory_tokens(image, theirs, 1024, 262_144)

        assert image_tokens(width, height, 1024, 262_144, ours) == found, path


@pytest.mark.parametrize(
    "size", [(1, 1), (27, 600), (10, 3000), (3000, 10), (28, 28), (5, 2500), (31, 33), (4000, 30), (2000, 1500)]
)
@pytest.mark.parametrize("pixels", [(1024, 262_144), (50_000, 60_000), (1024, 3000)])
def test_odd_sizes(tmp_path, size, pixels):
    theirs = make_processor(tmp_path, "Qwen2-VL")
    try:
        found = factory_tokens(Image.new("L", size), theirs, *pixels)
    except ValueError:  # a side of 0
        found = 0

    assert image_tokens(*size, *pixels, read_processor(tmp_path)) == found


@given(
    st.integers(28, 5000),
    st.integers(28, 5000),
    st.integers(1, 10**6),
    st.integers(1, 10**7),
    st.sampled_from([14, 16]),
)
def test_smart_resize_is_that_of_transformers(width, height, least, more, patch):
    from transformers.models.qwen2_vl.image_processing_qwen2_vl import smart_resize as theirs

    ours = ImageProcessor(patch, 2, least, least + more)
    assert smart_resize(height, width, ours) == theirs(height, width, 2 * patch, least, least + more)


@given(st.integers(1, 6000), st.integers(1, 6000), st.integers(1, 100_000), st.integers(1, 10**6))
def test_trained_size_is_that_of_llamafactory(width, height, least, more):
    from llamafactory.data.mm_plugin import get_mm_plugin

    plugin = get_mm_plugin("qwen2_vl", image_token="<|image_pad|>", video_token="<|video_pad|>")
    found = trained_size(width, height, least, least + more)
    if found != (0, 0):  # LLaMA-Factory's own formula for frames of a video, which it resizes as images
        assert found == plugin._get_qwen_video_size_after_regularization(width, height, least + more, least)


def test_processors_that_are_not_known(tmp_path):
    with pytest.raises(ValueError, match="no such file, so images cannot be counted"):
        read_processor(tmp_path)

    (tmp_path / "preprocessor_config.json").write_text('{"image_processor_type": "CLIPImageProcessor"}')
    with pytest.raises(ValueError, match="'CLIPImageProcessor' is not Qwen2VLImageProcessor"):
        read_processor(tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tokenizer": None}, "no tokenizer: give the folder or the hub id"),
        ({"template": "llama3"}, "template 'llama3' is not known here"),
        ({"tokenizer": "no/such-model-anywhere"}, "hf download no/such-model-anywhere"),
        ({"tokenizer": "saves/no/such/sft"}, "saves/no/such/sft: no such folder. Make it first"),
    ],
)
def test_settings_without_a_tokenizer(changes, message):
    with pytest.raises(ValueError, match=message):
        RowTokenizer(Settings(**{"tokenizer": "x", **changes}))
