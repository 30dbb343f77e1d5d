"""What a run that uses the plugin must satisfy, told at once and before anything loads; every other run is left alone."""

import dataclasses
import json
import typing
from types import SimpleNamespace

import pytest

from virgo_factory.core.thought import MARKERS


@pytest.fixture(scope="module")
def row_settings(hook):
    from virgo_factory.hooks.rows import row_settings

    return row_settings


@pytest.fixture
def data_folder(tmp_path):
    """A dataset folder with one dataset of ours and one stock one."""
    row = {"question": "7 * 8?", "combined_text": "..."}
    (tmp_path / "ours.jsonl").write_text(json.dumps(row) + "\n")
    (tmp_path / "stock.json").write_text(json.dumps([{"instruction": "a", "output": "b"}]))
    info = {"ours": {"file_name": "ours.jsonl", "formatting": "virgo_dt"}, "stock": {"file_name": "stock.json"}}
    info["pairs"] = {"file_name": "stock.json", "formatting": "long_thought", "ranking": True}
    info["stock_pairs"] = {"file_name": "stock.json", "ranking": True}
    (tmp_path / "dataset_info.json").write_text(json.dumps(info))
    return tmp_path


TRAINING = {
    "do_train": True,
    "gradient_accumulation_steps": 1,
    "per_device_train_batch_size": 1,
    "world_size": 8,
    "process_index": 0,
    "num_train_epochs": 10.0,
    "max_steps": -1,
    "deepspeed": None,
    "use_cpu": False,
    "resume_from_checkpoint": None,
    "predict_with_generate": False,
    "seed": 42,
    **{"group_by_length": False, "train_sampling_strategy": "random"},  # of transformers 4.57, of 5
    "average_tokens_across_devices": True,
    "accelerator_config": SimpleNamespace(
        split_batches=False, dispatch_batches=None, even_batches=True, use_seedable_sampler=True
    ),
}


def arguments(folder, **keys):
    """Return model, data, training and fine-tuning arguments, each key going where it belongs."""
    from llamafactory.hparams import DataArguments, FinetuningArguments, ModelArguments

    keys = {"dataset": "ours", "template": "virgo", "dataset_dir": str(folder), "model_name_or_path": "m"} | keys
    keys = {"finetuning_type": "full", "freeze_vision_tower": True} | keys
    training = TRAINING | {"output_dir": str(folder / "out")}
    parsed = []
    for kind in (ModelArguments, DataArguments, FinetuningArguments):
        own = {field.name for field in dataclasses.fields(kind)} & set(keys)
        parsed.append(kind(**{name: keys.pop(name) for name in own}))

    assert set(keys) <= set(training), keys
    model_args, data_args, finetuning_args = parsed
    return model_args, data_args, SimpleNamespace(**(training | keys)), finetuning_args


STOCK = {"dataset": "stock", "template": "qwen2_vl"}
PROBLEMS = [
    # (recipe, parts of the problems; [] for a recipe that is right)
    ({}, []),
    ({"dataset": "stock"}, []),
    ({"overlong": "error", "malformed": "keep", "question_prefix": "virgo", "marker_tokens": True}, []),
    ({"min_response_tokens": 2001, "max_response_tokens": 4000, "stage": "dpo", "dataset": "pairs"}, []),
    ({"dataset": "stock,ours", "malformed": "error"}, []),
    (STOCK | {"overlong": "drop"}, []),
    (STOCK | {"global_batch_size": 128}, []),
    (STOCK | {"keep_model_at_epochs": [10]}, []),
    (STOCK | {"marker_tokens": False, "finetuning_type": "freeze"}, []),
    ({"question_prefix": "none", "template": "qwen2_vl"}, []),
    ({"question_prefix": "virgo", "dataset": None, "do_train": False}, []),
    ({"max_steps": 5, "keep_model_at_epochs": [99]}, []),
    (STOCK | {"batch_order": "balanced"}, []),
    (STOCK | {"batch_order": "balanced", "streaming": True, "max_steps": 5}, ["batch_order: balanced: not with streaming"]),
    ({"streaming": True, "max_steps": 5}, ["formatting virgo_dt: not with streaming: true"]),
    (STOCK | {"streaming": True, "overlong": "drop", "max_steps": 5}, ["overlong: not with streaming: true"]),
    ({"stage": "pt"}, ["formatting virgo_dt: only in the stages sft, dpo and grpo, not in pt."]),
    ({"stage": "kto"}, ["only in the stages sft, dpo and grpo, not in kto."]),
    ({"stage": "rm", "overlong": "drop"}, ["overlong, formatting virgo_dt: only in the stages sft, dpo and grpo, not in rm."]),
    (STOCK | {"stage": "ppo", "overlong": "drop", "reward_model": "r", "reward_model_type": "full"}, ["overlong: only in the stages sft, dpo and grpo"]),
    (STOCK | {"malformed": "drop"}, ["malformed: does nothing, because no dataset has one of the plugin's formattings. Set formatting: long_thought"]),
    (STOCK | {"min_response_tokens": 5}, ["min_response_tokens: does nothing"]),
    ({"dataset": "stock", "question_prefix": "virgo"}, ["question_prefix: does nothing"]),
    ({"question_prefix": "virgo", "template": "qwen2_vl"}, ["question_prefix: needs template: virgo or virgo_qwen3_vl or omr or think_qwen3_vl"]),
    ({"global_batch_size": 128, "gradient_accumulation_steps": 4}, ["set one of them, not both"]),
    ({"global_batch_size": 128, "do_train": False}, ["global_batch_size: only with do_train: true. Remove it."]),
    ({"keep_model_at_epochs": [5, 11]}, ["keep_model_at_epochs: [5, 11], but the run has num_train_epochs: 10."]),
    (STOCK | {"keep_model_at_epochs": [5], "stage": "dpo", "dataset": "stock_pairs"}, []),
    ({"stage": "dpo"}, ['dataset ours: its entry says no pairs ("ranking": false), and stage: dpo takes pairs.']),
    ({"eval_dataset": "stock_pairs"}, ["dataset stock_pairs: its entry says pairs"]),
    ({"max_samples": 0}, ["max_samples: 0 draws no row. Give a number of at least 1, or remove it."]),
    ({"dataset": "ours,stock,ours"}, ["dataset: ours stands there twice, and would be read once."]),
    (STOCK | {"keep_model_at_epochs": [5], "stage": "kto"}, ["keep_model_at_epochs: only in the stages sft and dpo"]),
    (STOCK | {"keep_model_at_epochs": [5], "streaming": True, "max_steps": 5}, ["keep_model_at_epochs: not with streaming"]),
    ({"keep_model_at_epochs": [5], "do_train": False}, ["keep_model_at_epochs: only in the stages sft and dpo with do_train"]),
    ({"marker_tokens": True, "freeze_language_model": True}, ["marker_tokens: not with freeze_language_model: true"]),
    ({"marker_tokens": True, "finetuning_type": "lora"}, ["additional_target: embed_tokens,lm_head"]),
    (
        {"marker_tokens": True, "finetuning_type": "lora", "additional_target": "lm_head"},
        ["additional_target: embed_tokens,lm_head"],
    ),
    ({"marker_tokens": True, "finetuning_type": "lora", "additional_target": "lm_head,embed_tokens"}, []),
    ({"marker_tokens": True, "finetuning_type": "freeze"}, ["needs finetuning_type: full or lora, not freeze"]),
    (
        {"marker_tokens": True, "finetuning_type": "lora", "quantization_bit": 4, "additional_target": "lm_head,embed_tokens"},
        ["marker_tokens: not with quantization_bit"],
    ),
    (
        STOCK | {"stage": "pt", "malformed": "drop", "global_batch_size": 8, "gradient_accumulation_steps": 2},
        ["malformed: only in the stages", "malformed: does nothing", "set one of them, not both"],
    ),
]  # fmt: skip


def recipe_id(case):
    return ", ".join(f"{key}={value}" for key, value in case.items()) or "as recommended"


@pytest.mark.parametrize(("recipe", "parts"), PROBLEMS, ids=[recipe_id(case[0]) for case in PROBLEMS])
def test_what_is_wrong_with_a_recipe(hook, data_folder, recipe, parts):
    parsed = arguments(data_folder, **recipe)
    if not parts:
        hook.prepare_training(*parsed)
        assert parsed[3].virgo_used
        assert parsed[1].virgo_used == (parsed[3].stage in ("sft", "dpo") and not parsed[1].streaming)
        return

    with pytest.raises(ValueError) as caught:
        hook.prepare_training(*parsed)

    problems = str(caught.value).splitlines()
    assert problems[0] == "virgo-factory:"
    assert len(problems) - 1 == len(parts)
    for part in parts:
        assert any(part in problem for problem in problems), problems


@pytest.mark.parametrize(
    ("template", "family", "fitting"),
    [
        ("virgo_qwen3_vl", "qwen2_vl", "virgo or omr"),
        ("think_qwen3_vl", "qwen2_5_vl", "virgo or omr"),
        ("virgo", "qwen3_vl", "virgo_qwen3_vl or think_qwen3_vl"),
        ("virgo", "qwen2_5_vl", ""),
        ("virgo_qwen3_vl", "qwen3_vl", ""),
    ],
)
def test_a_template_of_another_family(hook, data_folder, template, family, fitting):
    (data_folder / "config.json").write_text(json.dumps({"model_type": family}))
    parsed = arguments(data_folder, template=template, model_name_or_path=str(data_folder))
    if not fitting:
        hook.prepare_training(*parsed)
        return

    with pytest.raises(ValueError) as caught:
        hook.prepare_training(*parsed)

    told = f"template: {template} is not the chat format of a {family} model. Say template: {fitting}."
    assert str(caught.value) == f"virgo-factory:\n  - {told}"


@pytest.mark.parametrize("switch", ["use_mca", "use_hyper_parallel"])
def test_other_trainers_are_refused(hook, data_folder, switch):
    parsed = arguments(data_folder)
    setattr(parsed[3], switch, True)
    with pytest.raises(ValueError, match=f"{switch}: its own loader and trainer know nothing of virgo-factory"):
        hook.prepare_training(*parsed)


@pytest.mark.parametrize(
    ("recipe", "steps"),
    [({"global_batch_size": 128}, 16), ({"global_batch_size": 128, "per_device_train_batch_size": 4}, 4), ({}, 1)],
)
def test_the_global_batch_sets_the_accumulation(hook, data_folder, recipe, steps):
    parsed = arguments(data_folder, **recipe)
    hook.prepare_training(*parsed)
    assert parsed[2].gradient_accumulation_steps == steps


def test_a_global_batch_that_does_not_divide_is_told_with_the_rest(hook, data_folder):
    with pytest.raises(ValueError, match="(?s)keep_model_at_epochs.*not a multiple of 8 ranks.*120 or 128"):
        hook.prepare_training(*arguments(data_folder, global_batch_size=127, keep_model_at_epochs=[50]))


STAGES = ("pt", "sft", "rm", "ppo", "dpo", "kto")
"""Of LLaMA-Factory itself."""


@pytest.mark.parametrize(
    "recipe",
    [
        STOCK,
        STOCK | {"dataset": "gone"},
        STOCK | {"dataset": None},
        *(STOCK | {"stage": stage, "reward_model": "r", "reward_model_type": "full"} for stage in STAGES),
    ],
)
def test_a_run_that_does_not_use_the_plugin_is_left_alone(hook, data_folder, monkeypatch, recipe):
    monkeypatch.setattr(hook, "_version", lambda package: "9.9.9")  # would be refused
    parsed = arguments(data_folder, **recipe)
    before = [dict(vars(one)) for one in parsed]
    hook.prepare_training(*parsed)
    hook.prepare_serving(parsed[0], parsed[1], parsed[3])
    assert [vars(one) for one in parsed] == before
    assert parsed[3].stage == recipe.get("stage", "sft")  # by which the tuner chooses the run


def test_the_names_of_stages_are_llamafactorys_and_one_more(hook):
    from llamafactory.hparams import FinetuningArguments

    stock = [
        kind for kind in FinetuningArguments.__mro__ if kind.__module__ == "llamafactory.hparams.finetuning_args"
    ][1]
    names, ours = (typing.get_args(typing.get_type_hints(kind)["stage"]) for kind in (stock, FinetuningArguments))
    assert names == STAGES and ours == (*STAGES, "grpo")


USING = [{}, {"dataset": "stock"}, {"template": "qwen2_vl"}, STOCK | {"overlong": "drop"}]


@pytest.mark.parametrize("recipe", USING)
def test_an_untested_version_is_refused_by_name(hook, data_folder, monkeypatch, recipe):
    monkeypatch.setattr(hook, "_version", installed(llamafactory="0.9.6"))
    monkeypatch.delenv("DISABLE_VERSION_CHECK", raising=False)
    told = r"not been tested with LLaMA-Factory 0\.9\.6, only with 0\.9\.5\. All that it relies on stands there"
    with pytest.raises(RuntimeError, match=told):
        hook.prepare_training(*arguments(data_folder, **recipe))

    monkeypatch.setattr(hook, "changed_places", lambda: [f"llamafactory/a.py:{line}" for line in range(7)])
    with pytest.raises(RuntimeError, match=r"7 places .* have changed: llamafactory/a\.py:0, .*a\.py:4 and 2 more\."):
        hook.prepare_training(*arguments(data_folder, **recipe))


@pytest.mark.parametrize("version", ["4.56.2", "4.57.0", "5.4.0", "5.6.0"])
def test_an_untested_transformers_is_refused_by_name(hook, data_folder, monkeypatch, version):
    monkeypatch.setattr(hook, "_version", installed(transformers=version))
    monkeypatch.delenv("DISABLE_VERSION_CHECK", raising=False)
    with pytest.raises(RuntimeError, match=f"transformers {version} is untested; tested are 4.57.6 and 5.5.4"):
        hook.prepare_training(*arguments(data_folder))


def installed(**versions):
    """Return a function: package -> its version, of those tested unless told otherwise."""
    return lambda package: {"llamafactory": "0.9.5", "transformers": "4.57.6", **versions}[package]


def test_disable_version_check_makes_it_a_warning(hook, told, data_folder, monkeypatch):
    monkeypatch.setattr(hook, "_version", installed(llamafactory="0.9.6"))
    monkeypatch.setenv("DISABLE_VERSION_CHECK", "1")
    hook.prepare_training(*arguments(data_folder))
    assert len(told) == 1 and "0.9.6" in told[0] and "0.9.5" in told[0]
    monkeypatch.setenv("DISABLE_VERSION_CHECK", "0")
    with pytest.raises(RuntimeError):
        hook.prepare_training(*arguments(data_folder))


@pytest.mark.parametrize("recipe", USING)
def test_a_failed_hook_stops_every_run_that_uses_the_plugin(hook, data_folder, monkeypatch, recipe):
    from virgo_factory import autoload

    parsed = arguments(data_folder, **recipe)
    monkeypatch.setitem(autoload.failures, "loader:wrap_loader", AttributeError("no _load_single_dataset"))
    with pytest.raises(
        RuntimeError, match="(?s)could not attach.*loader:wrap_loader: AttributeError: no _load_single"
    ):
        hook.prepare_training(*parsed)


def test_training_goes_on_with_the_markers_of_an_adapter(hook, data_folder):
    lora = data_folder / "lora"
    lora.mkdir()
    markers = {str(7 + number): {"content": marker} for number, marker in enumerate(MARKERS)}
    (lora / "tokenizer_config.json").write_text(json.dumps({"added_tokens_decoder": markers}))
    keys = STOCK | {"finetuning_type": "lora", "lora_target": "all", "adapter_name_or_path": str(lora)}
    parsed = arguments(data_folder, **keys)
    hook.prepare_training(*parsed)
    assert parsed[0].marker_tokens is True and parsed[3].virgo_used
    with pytest.raises(ValueError, match="marker_tokens: false, but .*lora was trained with"):
        hook.prepare_training(*arguments(data_folder, marker_tokens=False, **keys))


def test_serving(hook, data_folder):
    model_args, data_args, _, finetuning_args = arguments(data_folder, question_prefix="virgo", marker_tokens=True)
    hook.prepare_serving(model_args, data_args, finetuning_args)
    assert data_args.virgo_serving
    model_args, data_args, _, finetuning_args = arguments(data_folder, overlong="drop", global_batch_size=8)
    with pytest.raises(ValueError, match="virgo-factory: global_batch_size does nothing outside training"):
        hook.prepare_serving(model_args, data_args, finetuning_args)  # LLaMA-Factory's script reads rows of `dataset`

    model_args, data_args, _, finetuning_args = arguments(
        data_folder, dataset=None, overlong="drop", global_batch_size=8
    )
    with pytest.raises(ValueError, match="overlong, global_batch_size does nothing outside training"):
        hook.prepare_serving(model_args, data_args, finetuning_args)


@pytest.fixture
def datasets_of(hook, monkeypatch):
    """Return LLaMA-Factory's own look-up, as hooked, and what it has said."""
    import llamafactory.data.parser as parser

    from virgo_factory.hooks.data import dataset_lookup

    told = []
    monkeypatch.setattr(dataset_lookup, "logger", SimpleNamespace(info_rank0=told.append))
    dataset_lookup._tell.cache_clear()
    return parser.get_dataset_list, told


def test_a_dataset_that_only_the_package_knows(datasets_of, data_folder, root):
    look_up, told = datasets_of
    for _ in range(3):
        ours, packaged = look_up(["stock", "virgo_demo_dt"], str(data_folder))

    assert (ours.virgo_name, packaged.virgo_name) == ("stock", "virgo_demo_dt")
    assert ours.dataset_name == "stock.json"
    assert packaged.dataset_name == str(root / "recipes" / "demo" / "long_thoughts.jsonl")
    assert (packaged.load_from, packaged.formatting) == ("file", "virgo_dt")
    assert len(told) == 1 and "virgo_demo_dt" in told[0] and str(data_folder) in told[0]


def test_without_any_dataset_info(datasets_of, tmp_path):
    look_up, told = datasets_of
    (packaged,) = look_up(["virgo_dt"], str(tmp_path))
    assert (packaged.load_from, packaged.formatting) == ("hf_hub", "virgo_dt")
    assert len(told) == 1
    with pytest.raises(ValueError, match="Cannot open .*dataset_info.json"):
        look_up(["unknown"], str(tmp_path))


def test_the_users_own_entry_goes_first(datasets_of, data_folder):
    look_up, told = datasets_of
    info = {"virgo_dt": {"file_name": "mine.jsonl", "formatting": "virgo_dt"}}
    (data_folder / "dataset_info.json").write_text(json.dumps(info))
    assert look_up(["virgo_dt"], str(data_folder))[0].dataset_name == "mine.jsonl"
    assert look_up(["virgo_dt"], info)[0].dataset_name == "mine.jsonl"
    assert look_up(["virgo_demo_dt"], info)[0].formatting == "virgo_dt"
    assert len(told) == 1


@pytest.mark.parametrize(
    ("content", "names", "message"),
    [
        ("{}", ["unknown"], "Undefined dataset unknown in dataset_info.json."),
        ("{}", ["virgo_dt", "unknown"], "Undefined dataset virgo_dt in dataset_info.json."),
        ("{broken", ["virgo_dt"], "Cannot open .* due to Expecting property name"),
        ("\xff", ["virgo_dt"], "Cannot open .*dataset_info.json"),
        ("[]", ["virgo_dt"], "Undefined dataset virgo_dt"),
    ],
)
def test_what_is_wrong_is_still_said_by_llamafactory(datasets_of, tmp_path, content, names, message):
    look_up, told = datasets_of
    (tmp_path / "dataset_info.json").write_text(content, encoding="latin-1")
    with pytest.raises(ValueError, match=message):
        look_up(names, str(tmp_path))

    assert told == []


@pytest.mark.parametrize(
    ("entry", "error"),
    [
        ({}, "KeyError"),
        (None, "TypeError"),
        ({"file_name": "a.json", "columns": [1]}, "AttributeError"),
    ],
)
def test_a_broken_entry_is_left_to_the_loader(hook, datasets_of, data_folder, entry, error):
    look_up, _ = datasets_of
    (data_folder / "dataset_info.json").write_text(json.dumps({"broken": entry}))
    data_args = arguments(data_folder, dataset="broken")[1]
    assert hook.formattings_of(data_args) == {} == hook.formattings_of(arguments(data_folder, dataset="gone")[1])
    with pytest.raises(Exception) as told:
        look_up(["broken"], str(data_folder))

    assert told.typename == error


@pytest.mark.parametrize("where", ["our_formattings", "datasets_of"])
@pytest.mark.parametrize("bug", [AttributeError, KeyError, TypeError, RuntimeError])
def test_a_bug_of_ours_is_not_hidden(hook, data_folder, monkeypatch, where, bug):
    def fail(_):
        raise bug("ours")

    monkeypatch.setattr(hook, where, fail)
    with pytest.raises(bug, match="ours"):
        hook.formattings_of(arguments(data_folder)[1])


def test_no_names_and_online_are_as_before(datasets_of, data_folder):
    look_up, _ = datasets_of
    assert look_up(None, str(data_folder)) == [] == look_up([], str(data_folder / "gone"))
    assert look_up(["some/repo"], "ONLINE")[0].dataset_name == "some/repo"


class Processor:
    """What row_settings asks of a processor."""

    def __init__(self, patch=14):
        self.image_processor = SimpleNamespace(to_json_string=lambda: json.dumps({"patch_size": patch}))


def settings_of(row_settings, folder, vocabulary=("a", "b"), processor=None, set_fields=(), **keys):
    """Return the settings that are compared beside tokenized_path; `set_fields` are (class, field, value) set afterwards."""
    model_args, data_args, training_args, finetuning_args = arguments(folder, **keys)
    for kind, name, value in set_fields:
        setattr({"model": model_args, "data": data_args}[kind], name, value)

    tokenizer = SimpleNamespace(get_vocab=lambda: {token: i for i, token in enumerate(vocabulary)})
    return row_settings.row_settings(
        model_args, data_args, training_args, finetuning_args.stage, tokenizer, processor or Processor()
    )


def test_everything_that_rows_depend_on_is_compared(row_settings, data_folder):
    first = settings_of(row_settings, data_folder)
    assert settings_of(row_settings, data_folder) == first == json.loads(json.dumps(first))
    changes = [
        *({"overlong": "truncate"}, {"malformed": "keep"}, {"min_response_tokens": 5}, {"marker_tokens": True}),
        *({"template": "virgo_qwen3_vl"}, {"dataset": "ours,stock"}, {"stage": "dpo"}, {"mask_history": True}),
        *({"enable_thinking": False}, {"split_special_tokens": True}, {"image_max_pixels": 40000}, {"seed": 1}),
        *({"preserve_thinking": True}, {"media_dir": str(data_folder / "media")}, {"use_fast_tokenizer": False}),
        *({"processor": Processor(16)}, {"predict_with_generate": True}),
    ]
    assert [change for change in changes if settings_of(row_settings, data_folder, **change) == first] == []
    for same in ({"marker_tokens": False}, {"preprocessing_batch_size": 7}, {"preprocessing_num_workers": 3}):
        assert settings_of(row_settings, data_folder, **same) == first

    packed = settings_of(row_settings, data_folder, packing=True)
    assert packed != settings_of(row_settings, data_folder, packing=True, preprocessing_batch_size=7)
    assert packed != settings_of(row_settings, data_folder, packing=True, preprocessing_num_workers=3)


def test_rows_are_compared_by_the_contents_of_files(row_settings, data_folder):
    first = settings_of(row_settings, data_folder)
    kept = {"tokenized_path": str(data_folder / "tokens")}  # the vocabulary is looked at only where it is compared
    looked = settings_of(row_settings, data_folder, **kept)
    assert (
        settings_of(row_settings, data_folder, **kept)
        == looked
        != settings_of(row_settings, data_folder, ("b", "a"), **kept)
    )
    prefix = data_folder / "mine.txt"
    prefix.write_text("Think.")
    one = settings_of(row_settings, data_folder, question_prefix=str(prefix))
    prefix.write_text("Think twice.")
    assert first != one != settings_of(row_settings, data_folder, question_prefix=str(prefix)) != first
    (data_folder / "ours.jsonl").write_text("{}\n")
    assert settings_of(row_settings, data_folder) != first


def test_every_field_is_compared_or_known_not_to_matter(row_settings, data_folder):
    from llamafactory.hparams import DataArguments, ModelArguments

    first = settings_of(row_settings, data_folder, set_fields=[("data", "packing", True)])
    lists = (
        ("data", DataArguments, row_settings.SAME_ROWS_DATA),
        ("model", ModelArguments, row_settings.SAME_ROWS_MODEL),
    )
    for where, kind, ignored in lists:
        names = [field.name for field in dataclasses.fields(kind)]
        assert set(ignored) <= set(names), set(ignored) - set(names)
        for name in names:
            if name in ("dataset", "eval_dataset", "dataset_dir", "question_prefix", "tokenized_path", "packing"):
                continue  # read as what they name

            changed = settings_of(
                row_settings, data_folder, set_fields=[("data", "packing", True), (where, name, "another")]
            )
            assert (changed == first) == (name in ignored), name

    @dataclasses.dataclass
    class Later(DataArguments):
        new_argument: int = 0

    model_args, _, training_args, _ = arguments(data_folder)
    own = {"dataset": "ours", "dataset_dir": str(data_folder), "template": "virgo"}
    tokenizer = SimpleNamespace(get_vocab=dict)
    seen = [
        row_settings.row_settings(model_args, Later(**own, new_argument=value), training_args, "sft", tokenizer, None)
        for value in (0, 1)
    ]
    assert seen[0] != seen[1]


def test_an_output_folder_that_cannot_be_made_is_told_before_rows_are_read(hook, data_folder):
    (data_folder / "file").write_text("")
    with pytest.raises(ValueError, match=f"output_dir: {data_folder}/file/out: this folder .* cannot be made"):
        hook.prepare_training(*arguments(data_folder, output_dir=str(data_folder / "file/out")))

    hook.prepare_training(*arguments(data_folder, output_dir=str(data_folder / "new/deep/out")))
    assert not (data_folder / "new").exists()


@pytest.mark.parametrize(
    ("template", "hint"),
    [
        ("vigro", "Did you mean virgo"),
        ("qwen2vl", "Did you mean qwen2_vl"),
        ("zzzzzz", "Ours are virgo, virgo_qwen3_vl, omr"),
    ],
)
def test_a_template_that_there_is_not(hook, data_folder, template, hint):
    with pytest.raises(ValueError, match=f"template: {template}: no such template. {hint}"):
        hook.prepare_training(*arguments(data_folder, template=template))


@pytest.mark.parametrize("which", ["dataset", "eval_dataset"])
def test_a_dataset_that_there_is_not_is_told_alone(hook, data_folder, which):
    with pytest.raises(ValueError) as caught:
        hook.prepare_training(
            *arguments(data_folder, question_prefix="virgo", **{"dataset": None, which: "our,stock"})
        )

    where = f"{data_folder}/dataset_info.json nor among those of the package"
    assert str(caught.value) == f"virgo-factory:\n  - dataset: our: not in {where}. Did you mean ours?"
