"""A tiny model with all that a trainer of the stage is made of, loaded once."""

import json

import pytest


@pytest.fixture(scope="session")
def parts(tmp_path_factory):
    """A tiny model with its tokenizer, processor and template, and arguments of a run."""
    import virgo_factory

    virgo_factory.register()
    from llamafactory.data import get_template_and_fix_tokenizer
    from llamafactory.hparams import get_train_args
    from llamafactory.model import load_model, load_tokenizer

    from virgo_factory.preflight.twin.twin import make_twin

    folder = tmp_path_factory.mktemp("policy")
    base = make_twin(folder / "base")
    config = json.loads((base / "config.json").read_text())
    (base / "config.json").write_text(json.dumps(config | {"dtype": "float32", "torch_dtype": "float32"}))
    (folder / "rows.jsonl").write_text('{"question": "1 + 1?", "answer": "2"}\n')
    entry = {"prompts": {"file_name": "rows.jsonl", "formatting": "questions"}}
    (folder / "dataset_info.json").write_text(json.dumps(entry))

    loaded = {}

    def make(**keys):
        recipe = {
            "model_name_or_path": str(base),
            "template": "virgo",
            "stage": "grpo",
            "do_train": True,
            "finetuning_type": "full",
            "dataset": "prompts",
            "dataset_dir": str(folder),
            "output_dir": str(folder / "out"),
            "report_to": "none",
            "per_device_train_batch_size": 2,
            "gradient_accumulation_steps": 2,
            "rl_num_generations": 2,
            "rl_max_response_tokens": 6,
            "use_cpu": True,
        }
        args = get_train_args(recipe | keys)
        model_args, data_args, _, finetuning_args, _ = args
        kind = finetuning_args.finetuning_type
        if kind not in loaded:
            tokens = load_tokenizer(model_args)
            template = get_template_and_fix_tokenizer(tokens["tokenizer"], data_args)
            model = load_model(tokens["tokenizer"], model_args, finetuning_args, True)
            loaded[kind] = tokens, template, model

        return args, *loaded[kind]

    return make


@pytest.fixture
def prompts_of(preprocess, model_folder, tmp_path):
    """A function: changes of a recipe of the stage -> what preprocessing makes of its dataset `asked`."""
    recipe = {"model_name_or_path": str(model_folder), "stage": "grpo", "dataset": "asked", "media_dir": str(tmp_path)}
    recipe |= {"rl_num_generations": 2, "per_device_train_batch_size": 2, "cutoff_len": None}
    return lambda **changes: preprocess(recipe | changes)


@pytest.fixture
def trainer(parts):
    from datasets import Dataset

    def make(**keys):
        from virgo_factory.hooks.reinforce.arguments import grpo_arguments, settings_of
        from virgo_factory.hooks.reinforce.trainer import PolicyTrainer

        (model_args, data_args, training_args, finetuning_args, _), tokens, template, model = parts(**keys)
        settings = settings_of(finetuning_args)
        return PolicyTrainer(
            model=model,
            args=grpo_arguments(training_args, settings),
            prompts=Dataset.from_dict({"input_ids": [[1]], "images": [None], "asked": ["{}"]}),
            template=template,
            finetuning_args=finetuning_args,
            settings=settings,
            **tokens,
        )

    return make
