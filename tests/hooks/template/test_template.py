"""What LLaMA-Factory trains on is what the saved chat template asks the model for: the same token ids."""

import itertools
import json
import pickle

import pytest
import yaml
from jinja2 import Environment
from PIL import Image

from virgo_factory.core.thought import MARKERS, LongThought, in_tags
from virgo_factory.data.read.prefix import add_prefix, read_prefix
from virgo_factory.data.read.templates import PLAIN_TEMPLATES
from virgo_factory.io.files import RECIPES
from virgo_factory.io.files import TEMPLATES as FILES


PREFIX = read_prefix("virgo")
ANSWER = LongThought("Three squared: 9.\n\nWait, (-3)^2 is 9, too.", "So x = \\boxed{\\pm 3}.").render()
PLAIN = "It is $7$."
IMAGES = 3

CONVERSATIONS = {
    # name: (system message, [(question with <image>, response), ...])
    "text": (None, [("Find all x with x^2 = 9.", ANSWER)]),
    "text without markers": (None, [("What is 3 + 4?", PLAIN)]),
    "text with odd edges": (None, [(" \n\tif x:\n    y = '你好'\n\n", ANSWER)]),
    "one image": (None, [("<image>How many dots?", ANSWER)]),
    "one image, line break": (None, [("<image>\nHow many dots?", ANSWER)]),
    "two images": (None, [("<image><image>Which is larger?", ANSWER)]),
    "two images on lines": (None, [("<image>\n<image>\nWhich is larger?", ANSWER)]),
    "three images around the text": (None, [("<image>First <image> second\n<image>", ANSWER)]),
    "text first": (None, [("Look here: <image>\nHow many dots?", ANSWER)]),
    "system message": ("You think in German.", [("Find x.", ANSWER)]),
    "system message and image": ("You think in German.\n", [("<image>Find x.", ANSWER)]),
    "several turns": (None, [("Find x.", ANSWER), ("And y?", PLAIN), ("\nAnd z?", ANSWER)]),
    "several turns with images": (None, [("<image>\nFind x.", ANSWER), ("<image>Now this.", ANSWER), ("And?", PLAIN)]),
    "prefix already there": (None, [(f"{PREFIX}\nFind x.", ANSWER)]),
    "image, prefix already there": (None, [(f"<image>{PREFIX}\nFind x.", ANSWER)]),
    "prefix quoted later on": (None, [(f'What does "{PREFIX}" mean?', ANSWER)]),
    "markers in the question": (None, [(f"What does {MARKERS[0]} mean?", ANSWER)]),
}


@pytest.fixture(scope="session")
def pictures():
    sizes = [(112, 84), (56, 140), (168, 168)][:IMAGES]
    return [Image.new("RGB", size, (40 * i, 90, 160)) for i, size in enumerate(sizes)]


def factory_ids(processor, name, prefix_key, conversation, pictures, **settings):
    """Return the token ids of a conversation as LLaMA-Factory's tokenising makes them, one list a message pair."""
    from llamafactory.data.template import get_template_and_fix_tokenizer
    from llamafactory.hparams.data_args import DataArguments

    data_args = DataArguments(template=name, **({"question_prefix": prefix_key} if prefix_key else {}), **settings)
    template = get_template_and_fix_tokenizer(processor.tokenizer, data_args)
    system, turns = conversation
    prefix = read_prefix(prefix_key)
    messages = []
    for question, response in turns:
        messages.append({"role": "user", "content": add_prefix(question, prefix)})  # as the converter does
        messages.append({"role": "assistant", "content": response})

    used = pictures[: sum(question.count("<image>") for question, _ in turns)]
    messages = template.mm_plugin.process_messages(messages, used, [], [], processor)
    return template.encode_multiturn(processor.tokenizer, messages, system)


def flat(pairs):
    return [token for pair in pairs for ids in pair for token in ids]


def typed(conversation, pictures):
    """Return a conversation as a client of a chat API writes it: typed items, the images in their places."""
    system, turns = conversation
    messages = [{"role": "system", "content": system}] if system else []
    images = iter(pictures)
    for question, response in turns:
        items = []
        for text in question.replace("<image>", "\0<image>\0").split("\0"):
            if text == "<image>":
                items.append({"type": "image", "image": next(images)})
            elif text:
                items.append({"type": "text", "text": text})

        messages.append({"role": "user", "content": items})
        messages.append({"role": "assistant", "content": response})

    return messages


def served_ids(processor, conversation, pictures, **settings):
    """Return the token ids of the same conversation by the chat template."""
    messages = typed(conversation, pictures)
    text = processor.apply_chat_template(messages, tokenize=False, **settings)
    assert text == processor.tokenizer.apply_chat_template(messages, tokenize=False, **settings)
    count = sum(
        item["type"] == "image"
        for message in messages
        if isinstance(message["content"], list)
        for item in message["content"]
    )
    return processor(text=[text], images=pictures[:count] or None)["input_ids"][0]


def take_template(processor):
    """Do as the loader hook and the trainer do: the tokenizer's template is saved with the processor, too."""
    processor.chat_template = processor.tokenizer.chat_template


def check_served(processor, name, key, conversation, pictures, **settings):
    """Return the ids that are trained on, which are those that the chat template then asks for."""
    trained = flat(factory_ids(processor, name, key, conversation, pictures, **settings))
    take_template(processor)
    assert trained == served_ids(processor, conversation, pictures)
    return trained


@pytest.mark.parametrize("key", [None, "none", "virgo"])
def test_the_ids_are_those_of_the_chat_template(processor, pictures, key):
    own = processor.tokenizer.chat_template
    for name, conversation in CONVERSATIONS.items():
        processor.tokenizer.chat_template = own
        trained = check_served(processor, "virgo", key, conversation, pictures)
        text = processor.tokenizer.decode(trained)
        in_questions = sum(question.count(PREFIX) for question, _ in conversation[1])
        users = len(conversation[1]) if key == "virgo" else 0
        assert text.count(PREFIX) == max(in_questions, users) if "quoted" not in name else in_questions + users


@pytest.mark.parametrize("name", ["virgo", "virgo_qwen3_vl", "omr", "think_qwen3_vl"])
def test_a_default_system_of_the_recipe_is_served_too(processor, pictures, name, monkeypatch):
    from llamafactory.data.template import TEMPLATES

    monkeypatch.setattr(TEMPLATES[name], "default_system", TEMPLATES[name].default_system)  # stock leaves it changed
    own, system = processor.tokenizer.chat_template, 'Say "ja", not \\yes.'
    for conversation in (CONVERSATIONS["one image"], CONVERSATIONS["system message"]):
        processor.tokenizer.chat_template = own
        trained = check_served(processor, name, "virgo", conversation, pictures, default_system=system)
        assert (system in processor.tokenizer.decode(trained)) == (conversation[0] is None)


@pytest.mark.parametrize("key", [None, "none"])
def test_without_a_prefix_the_models_own_chat_template_is_untouched(processor, pictures, key):
    before = processor.tokenizer.chat_template
    factory_ids(processor, "virgo", key, CONVERSATIONS["one image"], pictures)
    assert processor.tokenizer.chat_template == before == processor.chat_template


def test_without_a_prefix_the_ids_are_those_of_qwen2_vl(processor, pictures):
    for conversation in CONVERSATIONS.values():
        ours = factory_ids(processor, "virgo", None, conversation, pictures)
        assert ours == factory_ids(processor, "qwen2_vl", None, conversation, pictures)


def test_our_jinja_without_a_prefix_is_the_models_own(processor, pictures):
    own, ours = processor.chat_template, (FILES / "virgo.jinja").read_text(encoding="utf-8")
    for conversation in CONVERSATIONS.values():
        messages = typed(conversation, pictures)
        for settings in ({}, {"add_generation_prompt": True}):
            one, other = (
                processor.apply_chat_template(messages, tokenize=False, chat_template=text, **settings)
                for text in (own, ours)
            )
            assert one == other


def test_what_is_saved_is_what_is_served(processor, pictures, tmp_path):
    from transformers import AutoProcessor, AutoTokenizer

    trained = {n: flat(factory_ids(processor, "virgo", "virgo", c, pictures)) for n, c in CONVERSATIONS.items()}
    take_template(processor)
    processor.tokenizer.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    again = AutoProcessor.from_pretrained(tmp_path, use_fast=True)
    assert AutoTokenizer.from_pretrained(tmp_path).chat_template == again.chat_template == processor.chat_template
    assert {n: served_ids(again, c, pictures) for n, c in CONVERSATIONS.items()} == trained


def test_a_caller_can_override_the_prefix(processor, pictures):
    own = processor.apply_chat_template(typed(CONVERSATIONS["one image"], pictures), tokenize=False)
    factory_ids(processor, "virgo", "virgo", CONVERSATIONS["text"], pictures)
    take_template(processor)
    render = processor.apply_chat_template
    messages = typed(CONVERSATIONS["one image"], pictures)
    assert render(messages, tokenize=False, question_prefix="") == own
    other = render(messages, tokenize=False, question_prefix="Denk nach.")
    assert other == own.replace("How many dots?", "Denk nach.\nHow many dots?")
    assert render(messages, tokenize=False) == own.replace("How many dots?", f"{PREFIX}\nHow many dots?")


ODD_PREFIXES = [
    "Say \"yes\" or 'no'.",
    "Put it in \\boxed{}, not in \\n or \\u0041.",
    "Zwei\nZeilen\tund {{ braces }} {% if %} {# no #} %}",
    "Denke, 你好, 𝑥 ∈ ℝ, 😀",
    "<b>&amp;</b>",
]


@pytest.mark.parametrize("prefix", ODD_PREFIXES)
def test_any_prefix_survives_the_chat_template(hook, processor, pictures, tmp_path, prefix):
    path = tmp_path / "odd.txt"
    path.write_text(prefix, encoding="utf-8")
    for name in ("text", "two images on lines"):
        check_served(processor, "virgo", str(path), CONVERSATIONS[name], pictures)

    assert hook.carried(processor.tokenizer.chat_template, "virgo")[0] == prefix


@pytest.mark.parametrize("name", ["virgo", "virgo_qwen3_vl", "think_qwen3_vl"])
@pytest.mark.parametrize("thinking", [True, False, None])
def test_no_empty_thought_is_put_into_any_row(processor, pictures, name, thinking):
    tokenizer = processor.tokenizer
    for conversation in CONVERSATIONS.values():
        for mask_history in (False, True):
            pairs = factory_ids(
                processor, name, None, conversation, pictures, enable_thinking=thinking, mask_history=mask_history
            )
            for (source, target), (_, response) in zip(pairs, conversation[1], strict=True):
                assert target == tokenizer.encode(f"{response}<|im_end|>\n", add_special_tokens=False)
                assert tokenizer.decode(source).endswith("<|im_start|>assistant\n")
                assert "<think>" not in tokenizer.decode(source)


def test_thoughts_of_earlier_turns_stay(processor, pictures):
    pairs = factory_ids(processor, "virgo", None, CONVERSATIONS["several turns"], pictures, mask_history=True)
    assert processor.tokenizer.decode(flat(pairs)).count(MARKERS[0]) == 2


def test_the_thought_words_are_the_markers(processor):
    from llamafactory.data.template import TEMPLATES

    template = TEMPLATES["virgo"]
    assert template.remove_thought(ANSWER).startswith(MARKERS[2])
    assert template.add_thought() == f"{MARKERS[0]}\n\n\n\n{MARKERS[1]}\n\n"


def test_virgo_qwen3_vl_is_qwen3_vl_without_its_thinking(processor, pictures):
    for conversation in CONVERSATIONS.values():
        ours = factory_ids(processor, "virgo_qwen3_vl", None, conversation, pictures)
        assert ours == factory_ids(processor, "qwen3_vl_nothink", None, conversation, pictures)


@pytest.mark.parametrize("name", ["virgo_qwen3_vl", "think_qwen3_vl"])
@pytest.mark.parametrize("key", [None, "virgo"])
def test_virgo_qwen3_vl_is_its_jinja(processor, pictures, name, key):
    processor.tokenizer.chat_template = (FILES / "virgo_qwen3_vl.jinja").read_text(encoding="utf-8")
    for conversation in CONVERSATIONS.values():
        check_served(processor, name, key, conversation, pictures)


def test_think_qwen3_vl_is_qwen3_vl_where_a_response_thinks(processor, pictures):
    response = in_tags(LongThought("Dots.", "It is <answer>3</answer>.").render(), "think")
    conversation = (None, [("<image>How many dots?", response)])
    ours = factory_ids(processor, "think_qwen3_vl", None, conversation, pictures)
    assert ours == factory_ids(processor, "qwen3_vl", None, conversation, pictures, enable_thinking=True)
    assert processor.tokenizer.decode(ours[0][1]) == f"{response}<|im_end|>\n"


THINKING = "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n<think>\\n' }}{%- endif %}"
"""The end of the chat template of Qwen3-VL's Thinking models."""


@pytest.mark.parametrize(("name", "is_kept"), [("virgo_qwen3_vl", False), ("think_qwen3_vl", True)])
def test_a_thinking_models_prompt_ends_in_the_thought_that_is_trained(processor, pictures, name, is_kept):
    own = processor.tokenizer.chat_template
    processor.tokenizer.chat_template = own + THINKING
    factory_ids(processor, name, None, CONVERSATIONS["text"], pictures)
    assert (processor.tokenizer.chat_template == own + THINKING) == is_kept
    assert ("<think>" in processor.tokenizer.chat_template) == is_kept


def test_a_second_stage_without_a_prefix_is_served_without_it(processor, pictures):
    first = flat(factory_ids(processor, "virgo", "virgo", CONVERSATIONS["one image"], pictures))
    assert first != check_served(processor, "virgo", None, CONVERSATIONS["one image"], pictures)


def prompt_ids(processor, key, question, pictures, serving):
    """Return the prompt that LLaMA-Factory's own chat engine gives the model (chat/hf_engine.py)."""
    from llamafactory.data.template import get_template_and_fix_tokenizer
    from llamafactory.hparams.data_args import DataArguments

    data_args = DataArguments(template="virgo", question_prefix=key)
    data_args.virgo_serving = serving
    template = get_template_and_fix_tokenizer(processor.tokenizer, data_args)
    messages = [{"role": "user", "content": question}, {"role": "assistant", "content": ""}]
    used = pictures[: question.count("<image>")]
    messages = template.mm_plugin.process_messages(messages, used, [], [], processor)
    return template.encode_oneturn(processor.tokenizer, messages)[0]


@pytest.mark.parametrize(
    ("trained", "key", "expected"),
    [
        ("virgo", None, PREFIX),
        ("virgo", "none", ""),
        ("none", None, ""),
        ("none", "virgo", PREFIX),
        ("virgo", "virgo", PREFIX),
    ],
)
def test_llamafactory_serves_with_the_trained_prefix_unless_told_otherwise(
    processor, pictures, trained, key, expected
):
    factory_ids(processor, "virgo", trained, CONVERSATIONS["text"], pictures)
    take_template(processor)
    for name in ("text", "one image, line break", "two images", "prefix already there"):
        question = CONVERSATIONS[name][1][0][0]
        served = prompt_ids(processor, key, question, pictures, serving=True)
        messages = typed((None, [(question, "")]), pictures)[:1]
        render = {} if expected == read_prefix(trained) else {"question_prefix": expected}
        if trained == "virgo" or not expected:
            text = processor.apply_chat_template(messages, tokenize=False, add_generation_prompt=True, **render)
            images = pictures[: question.count("<image>")] or None
            assert served == processor(text=[text], images=images)["input_ids"][0]

        with_prefix = processor.tokenizer.decode(served).count(PREFIX)
        assert with_prefix == (1 if expected or "already" in name else 0)


def test_serving_leaves_no_prefix_behind(processor, pictures):
    prompt_ids(processor, "virgo", "Find x.", pictures, serving=True)
    ids = flat(factory_ids(processor, "virgo", None, CONVERSATIONS["text"], pictures))
    assert PREFIX not in processor.tokenizer.decode(ids)


def test_stock_templates_stay_as_they_are(processor, pictures):
    before = processor.tokenizer.chat_template
    ids = flat(factory_ids(processor, "qwen2_vl", None, CONVERSATIONS["one image"], pictures))
    assert processor.tokenizer.chat_template == before
    assert ids == served_ids(processor, CONVERSATIONS["one image"], pictures)


def test_the_two_jinja_files_differ_only_in_the_system_turn():
    environment = Environment()
    ours, qwen3 = (environment.from_string((FILES / f"{n}.jinja").read_text()) for n in ("virgo", "virgo_qwen3_vl"))
    for (_, turns), prefix in itertools.product(CONVERSATIONS.values(), ("", PREFIX)):
        messages = [{"role": "user", "content": turns[0][0]}]
        one, other = (t.render(messages=messages, question_prefix=prefix) for t in (ours, qwen3))
        assert one == "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n" + other


def test_templates_cross_processes(processor):
    from llamafactory.data.template import TEMPLATES

    for name in ("virgo", "virgo_qwen3_vl", "omr", "think_qwen3_vl"):
        again = pickle.loads(pickle.dumps(TEMPLATES[name]))
        assert type(again) is type(TEMPLATES[name])
        assert (again.thought_words, again.stop_words) == (TEMPLATES[name].thought_words, ["<|im_end|>"])


def test_omr_is_virgo_with_another_system_message_which_evaluation_asks_with_too(processor, pictures):
    virgo, omr = ((FILES / f"{name}.jinja").read_text(encoding="utf-8").splitlines() for name in ("virgo", "omr"))
    assert [at for at, (one, other) in enumerate(zip(virgo, omr, strict=True)) if one != other] == [0, 2]
    asked = yaml.safe_load((RECIPES / "evaluate" / "omr.yaml").read_text(encoding="utf-8"))["system"]
    assert json.loads(omr[2].partition("system = ")[2].removesuffix(" -%}")) == asked
    for key in (None, "virgo"):
        trained = check_served(processor, "omr", key, CONVERSATIONS["one image"], pictures)
        assert processor.tokenizer.decode(trained).startswith(
            f"<|im_start|>system\n{asked}<|im_end|>\n<|im_start|>user\n"
        )


def test_the_default_in_each_jinja_is_empty():
    for name in ("virgo", "virgo_qwen3_vl", "omr"):
        assert 'question_prefix | default("")' in (FILES / f"{name}.jinja").read_text(encoding="utf-8")


def test_every_reasoning_template_is_known_with_its_plain_one():
    from llamafactory.data.template import TEMPLATES, ReasoningTemplate

    assert {name for name, found in TEMPLATES.items() if isinstance(found, ReasoningTemplate)} == set(PLAIN_TEMPLATES)
    for name, others in PLAIN_TEMPLATES.items():
        for other in (TEMPLATES[other] for other in others):
            assert not isinstance(other, ReasoningTemplate)
            assert type(other.mm_plugin) is type(TEMPLATES[name].mm_plugin)
            for part in ("format_user", "format_assistant", "format_system", "format_prefix"):
                assert getattr(other, part) == getattr(TEMPLATES[name], part), (name, part)

    siblings = {name for name in PLAIN_TEMPLATES if f"{name}_nothink" in TEMPLATES}
    assert all(f"{name}_nothink" in PLAIN_TEMPLATES[name] for name in siblings)
