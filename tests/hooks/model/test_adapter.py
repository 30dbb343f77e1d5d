"""What the folder of a LoRA adapter says is taken over: markers, question prefix, system message."""

import dataclasses
import json
from types import SimpleNamespace

import pytest

from virgo_factory.core.thought import MARKERS
from virgo_factory.data.read.prefix import read_prefix


PREFIX = read_prefix("virgo")
IDS = {marker: 151665 + number for number, marker in enumerate(MARKERS)}


@pytest.fixture(scope="module")
def run():
    import llamafactory.hparams  # noqa: F401

    from virgo_factory.hooks.start import run

    return run


def write_adapter(folder, markers=(), prefix=None, system="You are a helpful assistant.", place="jinja", **peft):
    """Write what peft and the trainer save beside an adapter's weights."""
    from virgo_factory.hooks.template.template import chat_template

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "adapter_config.json").write_text(json.dumps({"modules_to_save": None} | peft))
    config = {"added_tokens_decoder": {str(IDS[marker]): {"content": marker, "special": False} for marker in markers}}
    template = "{{ messages }}" if prefix is None else chat_template("virgo", prefix, system)
    if place == "jinja":
        (folder / "chat_template.jinja").write_text(template)
    else:
        config["chat_template"] = template

    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return str(folder)


def serving(model="m", **keys):
    """Return model, data and fine-tuning arguments of serving."""
    from llamafactory.hparams import DataArguments, FinetuningArguments, ModelArguments

    keys = {"model_name_or_path": str(model), "template": "virgo"} | keys
    parsed = []
    for kind in (ModelArguments, DataArguments, FinetuningArguments):
        own = {item.name for item in dataclasses.fields(kind)} & set(keys)
        parsed.append(kind(**{name: keys.pop(name) for name in own}))

    assert not keys
    return parsed


@pytest.fixture
def loaded(processor):
    """Tokenizer and processor of the real base model, as LLaMA-Factory loads them."""
    return {"tokenizer": processor.tokenizer, "processor": processor}


def served_text(parsed, loaded, system=None):
    """Return the prompt that LLaMA-Factory's chat engine makes of a question, and the one of the saved processor."""
    from llamafactory.data.template import get_template_and_fix_tokenizer

    from virgo_factory.hooks.model.adapter import serve_as_trained

    model_args, data_args, _ = parsed
    serve_as_trained(loaded, model_args.virgo_adapter, data_args)  # in the hooked load_tokenizer
    tokenizer, processor = loaded["tokenizer"], loaded["processor"]
    template = get_template_and_fix_tokenizer(tokenizer, data_args)
    messages = [{"role": "user", "content": "How many?"}, {"role": "assistant", "content": ""}]
    ids, _ = template.encode_oneturn(tokenizer, messages, system)
    saved = processor.apply_chat_template(messages[:1], tokenize=False, add_generation_prompt=True)
    return tokenizer.decode(ids), saved, template.get_ollama_modelfile(tokenizer)


SERVED = [
    # (the adapter, the recipe, prefix and system of the prompt, part of what is told)
    ({"prefix": PREFIX}, {}, PREFIX, "You are a helpful assistant.", f"serving with the question prefix {PREFIX!r}, as the chat template of"),
    ({"prefix": PREFIX, "place": "config"}, {}, PREFIX, "You are a helpful assistant.", "serving with the question prefix"),
    ({"prefix": "Denk \"gut\".", "system": "Sag 'ja'."}, {}, "Denk \"gut\".", "Sag 'ja'.", "serving with the question prefix"),
    ({"prefix": "", "system": "Short."}, {}, "", "Short.", "serving with no question prefix"),
    ({"prefix": PREFIX}, {"question_prefix": "none"}, "", "You are a helpful assistant.", "serving with no question prefix, as the recipe says"),
    ({"prefix": ""}, {"question_prefix": "virgo"}, PREFIX, "You are a helpful assistant.", "as the recipe says"),
    ({"prefix": PREFIX}, {"default_system": "Other."}, PREFIX, "Other.", "serving with the question prefix"),
    ({"prefix": PREFIX, "system": "Trained."}, {"default_system": ""}, PREFIX, "", "serving with the question prefix"),
    (None, {}, "", "You are a helpful assistant.", "serving with no question prefix, as the chat template of the model says"),
]  # fmt: skip


@pytest.mark.parametrize(("adapter", "recipe", "prefix", "system", "part"), SERVED)
def test_an_adapter_is_served_and_exported_with_its_own_prompt(
    run, told, loaded, tmp_path, adapter, recipe, prefix, system, part
):
    names = {"adapter_name_or_path": write_adapter(tmp_path / "lora", **adapter)} if adapter else {}
    parsed = serving(**names, **recipe)
    run.prepare_serving(*parsed)
    prompt, saved, modelfile = served_text(parsed, loaded)
    turn = f"<|im_start|>system\n{system}<|im_end|>\n" if system else ""
    question = f"{prefix}\nHow many?" if prefix else "How many?"
    assert prompt == saved == f"{turn}<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n"
    assert len(told) == 1 and part in told[0]
    content = "{{ .Content }}"
    assert (f"{prefix}\n{content}" in modelfile) if prefix else content in modelfile
    assert (f'SYSTEM """{system}"""' in modelfile) == bool(system)


def test_nothing_of_one_served_model_is_left_for_the_next(run, told, loaded, tmp_path):
    own = loaded["tokenizer"].chat_template
    parsed = serving(adapter_name_or_path=write_adapter(tmp_path / "lora", prefix=PREFIX, system="Trained."))
    run.prepare_serving(*parsed)
    served_text(parsed, loaded)
    loaded["tokenizer"].chat_template = loaded["processor"].chat_template = own
    parsed = serving()
    run.prepare_serving(*parsed)
    prompt, _, _ = served_text(parsed, loaded)
    assert "Trained." not in prompt and PREFIX not in prompt


def test_the_last_adapter_that_has_a_tokenizer_decides(run, told, loaded, tmp_path):
    first = write_adapter(tmp_path / "sft", prefix="First.")
    second = write_adapter(tmp_path / "dpo", prefix="Second.")
    (tmp_path / "bare").mkdir()
    parsed = serving(adapter_name_or_path=",".join((first, second, str(tmp_path / "bare"))))
    run.prepare_serving(*parsed)
    assert "Second.\nHow many?" in served_text(parsed, loaded)[0]


def test_another_template_says_that_it_leaves_the_prefix_out(run, told, loaded, tmp_path):
    parsed = serving(template="qwen2_vl", adapter_name_or_path=write_adapter(tmp_path / "lora", prefix=PREFIX))
    run.prepare_serving(*parsed)
    prompt, saved, _ = served_text(parsed, loaded)
    assert PREFIX not in prompt and PREFIX in saved  # a merged model is served with its own chat template
    assert len(told) == 1 and "template: qwen2_vl leaves out the question prefix" in told[0]


def test_a_stock_adapter_with_a_stock_template_is_none_of_our_business(run, told, monkeypatch, tmp_path):
    monkeypatch.setattr(run, "_version", lambda package: "9.9.9")  # would be refused
    parsed = serving(template="qwen2_vl", adapter_name_or_path=write_adapter(tmp_path / "lora"))
    before = [dict(vars(one)) for one in parsed]
    run.prepare_serving(*parsed)
    assert [vars(one) for one in parsed] == before and told == []


@pytest.mark.parametrize("place", ["tokenizer_config.json", "added_tokens.json"])
@pytest.mark.parametrize("template", ["virgo", "qwen2_vl"])
def test_the_markers_of_an_adapter_are_added_by_themselves(run, told, tmp_path, place, template):
    name = write_adapter(tmp_path / "lora", markers=MARKERS if place == "tokenizer_config.json" else ())
    if place == "added_tokens.json":
        (tmp_path / "lora" / place).write_text(json.dumps(IDS))

    parsed = serving(template=template, adapter_name_or_path=name)
    run.prepare_serving(*parsed)
    assert parsed[0].marker_tokens is True
    assert parsed[0].virgo_adapter.markers == IDS
    assert "marker_tokens: true, since" in told[0]


def test_marker_tokens_that_contradict_the_adapter_are_refused(run, told, tmp_path):
    with_markers = write_adapter(tmp_path / "with", markers=MARKERS)
    without = write_adapter(tmp_path / "without")
    with pytest.raises(
        ValueError, match="marker_tokens: false, but .*with was trained with the markers as single tokens"
    ):
        run.prepare_serving(*serving(adapter_name_or_path=with_markers, marker_tokens=False))

    with pytest.raises(ValueError, match="marker_tokens: true, but .*without was trained with the markers as text"):
        run.prepare_serving(*serving(adapter_name_or_path=without, marker_tokens=True))


def test_an_adapter_on_another_base_model_is_refused(hook, run, processor, tmp_path):
    model_args = serving(adapter_name_or_path=write_adapter(tmp_path / "lora", markers=MARKERS))[0]
    adapter = hook.read_adapter(model_args, hub=False)
    hook.check_markers(adapter, SimpleNamespace(convert_tokens_to_ids=IDS.get))
    with pytest.raises(ValueError, match="is token 151666 of this base model's tokenizer, but 151665 in .*lora"):
        hook.check_markers(adapter, SimpleNamespace(convert_tokens_to_ids=lambda marker: IDS[marker] + 1))


def test_half_a_file_beside_an_adapter_is_named(run, tmp_path):
    name = write_adapter(tmp_path / "lora")
    (tmp_path / "lora" / "tokenizer_config.json").write_text('{"added')
    with pytest.raises(ValueError, match="lora/tokenizer_config.json: .*cut short while it was saved"):
        run.prepare_serving(*serving(adapter_name_or_path=name))


@pytest.fixture
def tied(tmp_path):
    """The configuration of a small model with tied embeddings (Qwen2-VL-2B, Qwen2.5-VL-3B), and one without."""
    from transformers import Qwen2VLConfig

    folders = {}
    for ties in (True, False):
        folders[ties] = tmp_path / f"tied_{ties}"
        Qwen2VLConfig(tie_word_embeddings=ties).save_pretrained(folders[ties])

    return folders


TARGETS = [
    # (tied, additional_target, marker_tokens, part of the problem; None for none)
    (True, "embed_tokens", True, None),
    (True, "embed_tokens,lm_head", True, "additional_target: embed_tokens,lm_head: the output head of this model is its embedding"),
    (True, "lm_head", None, "additional_target: lm_head: the output head of this model is its embedding"),
    (True, None, True, "only if the recipe says additional_target: embed_tokens (the output head"),
    (True, None, None, None),
    (True, "merger", None, None),
    (False, "embed_tokens,lm_head", True, None),
    (False, "lm_head,embed_tokens,merger", True, None),
    (False, "embed_tokens", True, "only if the recipe says additional_target: embed_tokens,lm_head."),
    (False, "embed_tokens", None, None),
]  # fmt: skip


@pytest.mark.parametrize(("ties", "targets", "markers", "part"), TARGETS)
def test_what_lora_trains_of_the_vocabulary(run, tied, ties, targets, markers, part):
    from virgo_factory.hooks.model.tied_embeddings import target_problems

    parsed = serving(
        model=tied[ties], additional_target=targets, marker_tokens=markers, finetuning_type="lora", lora_target="all"
    )
    problems = target_problems(parsed[0], parsed[2], bool(markers))
    assert len(problems) == (part is not None)
    assert part is None or part in problems[0]


@pytest.mark.parametrize(
    ("ties", "peft", "refused"),
    [
        (True, {"modules_to_save": ["embed_tokens", "lm_head"]}, True),
        (True, {"modules_to_save": ["embed_tokens", "lm_head"], "ensure_weight_tying": True}, True),
        (True, {"modules_to_save": ["embed_tokens"]}, True),
        (True, {"modules_to_save": ["embed_tokens"], "ensure_weight_tying": True}, False),
        (True, {"modules_to_save": ["merger"]}, False),
        (True, {}, False),
        (False, {"modules_to_save": ["embed_tokens", "lm_head"]}, False),
    ],
)
def test_an_adapter_that_a_merge_would_halve_is_not_exported(run, told, tied, tmp_path, ties, peft, refused):
    name = write_adapter(tmp_path / "lora", prefix=PREFIX, **peft)
    run.prepare_serving(*serving(model=tied[ties], adapter_name_or_path=name))  # served on its base it is right
    export = serving(model=tied[ties], adapter_name_or_path=name, export_dir=str(tmp_path / "merged"))
    if not refused:
        run.prepare_serving(*export)
        return

    with pytest.raises(ValueError, match="lora was trained with embed_tokens or lm_head apart from the other"):
        run.prepare_serving(*export)
