"""Rows from file to tokenised table in a run that uses the plugin: our reader, the row account, caches that tell.

The four functions below take the place of LLaMA-Factory's, and hand every other run on to them.
"""

import copy
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from datasets import Dataset, Features, config
from llamafactory.data.template import ReasoningTemplate
from llamafactory.extras import logging
from llamafactory.extras.misc import has_tokenized_data

from virgo_factory.autoload import check_hooks
from virgo_factory.core.errors import UserError
from virgo_factory.data.read.data_files import part_files
from virgo_factory.data.read.files.chunks import CSV_SUFFIXES, SUFFIXES, suffix_of
from virgo_factory.data.read.templates import reasoning_problem
from virgo_factory.data.rows.account import EVALUATION_FILE_NAME, FILE_NAME, DatasetAccount, to_json
from virgo_factory.formats import FORMATTINGS
from virgo_factory.hooks.data.aligned import convert_rows, extra_examples, the_format, with_places
from virgo_factory.hooks.data.converter import NUMBER_COLUMN, ROW_FEATURES
from virgo_factory.hooks.data.dataset_lookup import local_path, our_formattings
from virgo_factory.hooks.data.load import Load, check_accounts, loading, media_remedy, running
from virgo_factory.hooks.data.raw_table import cut_table, read_table
from virgo_factory.hooks.hook import Hook, rebind, replace
from virgo_factory.hooks.rows.packing import PackedRows
from virgo_factory.hooks.rows.row_settings import row_settings
from virgo_factory.hooks.rows.rows import make_processor
from virgo_factory.hooks.rows.tokenized import dataset_dict, read_tokenized
from virgo_factory.hooks.start.look_ahead import tell_ahead
from virgo_factory.hooks.start.packing_problems import check_packed_rows
from virgo_factory.hooks.start.run import formattings_of
from virgo_factory.hooks.template.template import is_ours
from virgo_factory.hooks.train.ending import begin, remember, remember_place
from virgo_factory.hooks.train.steps_left import check_steps_left
from virgo_factory.io.atomic import write_json
from virgo_factory.io.files import DATASET_INFO


RELIES_ON = {
    "llamafactory/data/template.py:407": "class ReasoningTemplate(Template):",
    "llamafactory/data/loader.py:75": "        local_path = os.path.join(data_args.dataset_dir, dataset_attr.dataset_name)\n",
    "llamafactory/data/loader.py:131": "        dataset = load_dataset(\n"
    "            path=data_path,\n"
    "            name=data_name,\n"
    "            data_dir=data_dir,\n"
    "            data_files=data_files,\n"
    "            split=dataset_attr.split,",
    "llamafactory/data/loader.py:161": "    return align_dataset(dataset, dataset_attr, data_args, training_args)",
    "llamafactory/data/loader.py:181": "        datasets[dataset_name] = _load_single_dataset(dataset_attr, model_args, data_args, training_args)",
    "llamafactory/data/loader.py:318": '            train_dict["train"] = _get_preprocessed_dataset(\n'
    '                train_dict["train"], data_args, training_args, stage, template, tokenizer, processor, is_eval=False\n'
    "            )",
    "llamafactory/data/loader.py:288": "        if has_tokenized_data(data_args.tokenized_path):",
    "llamafactory/data/loader.py:332": "                dataset_dict.save_to_disk(data_args.tokenized_path)",
    "llamafactory/data/loader.py:302": '    with training_args.main_process_first(desc="load dataset", local=(not data_args.data_shared_file_system)):',
}

logger = logging.get_logger(f"llamafactory.{__name__}")  # else INFO is not shown

TEXT_SUFFIXES = (*SUFFIXES, *CSV_SUFFIXES)
STORE = "virgo_factory_images"
TOO_LATE = (
    "virgo-factory: get_dataset or DataArguments was imported before the plugin. Call virgo_factory.register() before the "
    "first import of LLaMA-Factory."
)


def wrap_loader(module: ModuleType) -> None:
    """Put our functions around those that rows go through, from file to tokenised table."""
    inside = {
        "load_dataset": _read,
        "_get_merged_dataset": _note_role,
        "align_dataset": _align,
        "_get_preprocessed_dataset": _preprocess,
    }
    for name, ours in inside.items():
        replace(module, name, _in_a_load(getattr(module, name), ours))

    replace(module, "_load_single_dataset", _noting_attribute(module._load_single_dataset))
    rebind(module.get_dataset, _accounting(module.get_dataset))  # the workflows hold it by name


def _in_a_load(stock: Any, ours: Any) -> Any:
    """Return a function that is ours, given the load and the stock function, while a load is running, and stock else."""

    def call(*args, **kwargs):
        load = running()
        return stock(*args, **kwargs) if load is None else ours(load, stock, *args, **kwargs)

    return call


def _note_role(load: Load, stock: Any, dataset_names: Any, model_args: Any, data_args: Any, *args, **kwargs) -> Any:
    is_train = dataset_names is data_args.dataset and not load.predicts
    load.role = "train" if is_train else "eval"
    return stock(dataset_names, model_args, data_args, *args, **kwargs)


def _noting_attribute(stock: Any) -> Any:
    def _load_single_dataset(dataset_attr, model_args, data_args, *args, **kwargs):
        load = running()
        if load is not None:
            load.attribute, load.parts = dataset_attr, {}
            load.formattings |= our_formattings([dataset_attr])
            name, path = dataset_attr.virgo_name, local_path(dataset_attr, data_args.dataset_dir)
            if path and name in load.formattings:
                load.parts = part_files(path, f"dataset {name}", dataset_attr.virgo_entry.get("split"))
                dataset_attr = copy.copy(dataset_attr)
                # stock wants one file of a suffix that it knows
                dataset_attr.dataset_name = str(DATASET_INFO.resolve())
        elif dataset_attr.formatting in FORMATTINGS:
            raise RuntimeError(TOO_LATE)

        return stock(dataset_attr, model_args, data_args, *args, **kwargs)

    return _load_single_dataset


def _read(load: Load, stock: Any, *args, data_files=None, split=None, cache_dir=None, **kwargs) -> Dataset:
    """Read local JSON of our formattings with our reader; note how many rows every dataset has."""
    load.cache_dir = cache_dir
    attribute = load.attribute
    files = [str(file) for part in load.parts.values() for file in part]
    if files:
        if suffix_of(Path(files[0])) in TEXT_SUFFIXES:
            dataset = read_table(files, cache_dir)
        else:
            kwargs["path"] = Path(files[0]).suffix.removeprefix(".")
            dataset = stock(*args, data_files=files, split="train", cache_dir=cache_dir, **kwargs)

        dataset = cut_table(dataset, attribute.virgo_entry.get("split"), attribute.virgo_name, load.parts)
    else:
        dataset = stock(*args, data_files=data_files, split=split, cache_dir=cache_dir, **kwargs)

    key = (attribute.virgo_name, load.role)
    load.accounts[key] = DatasetAccount(*key, rows_in=len(dataset))
    return dataset


def _align(load: Load, stock: Any, dataset: Dataset, dataset_attr: Any, data_args: Any, training_args: Any) -> Dataset:
    """Convert our formattings with a fixed schema; give the rows of every other dataset their place."""
    name = dataset_attr.virgo_name
    rows = dataset._indices.column(0).to_numpy() if dataset._indices is not None else np.arange(len(dataset))
    # Not every hub of LLaMA-Factory goes through load_dataset.
    load.accounts.setdefault((name, load.role), DatasetAccount(name, load.role, rows_in=len(np.unique(rows))))
    if name not in load.formattings:
        return with_places(stock(dataset, dataset_attr, data_args, training_args), name, rows)

    from llamafactory.data.converter import get_dataset_converter

    converter = get_dataset_converter(dataset_attr.formatting, dataset_attr, data_args)
    converter.code = load.code
    converter.store = str(Path(load.cache_dir or config.HF_DATASETS_CACHE, STORE))
    aligned = convert_rows(dataset.add_column(NUMBER_COLUMN, rows.astype(np.int64)), converter, training_args)
    account = load.accounts[(name, load.role)]
    account.format = the_format(aligned, name)
    account.extra = extra_examples(aligned)
    return aligned


def _preprocess(
    load: Load, stock, dataset, data_args, training_args, stage, template, tokenizer, processor=None, is_eval=False
):
    """Tokenise with the row policy, note what is dropped, and keep the rest."""
    if dataset is None:
        return None

    generates = training_args.predict_with_generate and is_eval
    arguments = {"template": template, "tokenizer": tokenizer, "processor": processor, "data_args": data_args}
    if load.formattings and isinstance(template, ReasoningTemplate):  # one of the tokenizer, or a user's own
        raise UserError(reasoning_problem(data_args.template))

    rows = make_processor(
        stage, generates, **arguments, formattings=dict(sorted(load.formattings.items())), code=load.code
    )
    settings = {
        "num_proc": data_args.preprocessing_num_workers,
        "load_from_cache_file": (not data_args.overwrite_cache) or (training_args.local_process_index != 0),
        "batched": True,
        "batch_size": data_args.preprocessing_batch_size,
    }
    media = Features({name: dataset.features[f"_{name}"] for name in ("images", "videos", "audios")})
    table = dataset.with_format("arrow").map(
        rows.preprocess_table,
        fn_kwargs={"media": media},
        remove_columns=dataset.column_names,
        features=rows.columns(media),
        desc="Running tokenizer on dataset",
        **settings,
    )
    table = table.with_format(None)
    use = "validation" if is_eval and data_args.val_size > 1e-6 else "eval" if is_eval or load.predicts else "train"
    kept = load.note(table, use)
    if len(kept) < len(table):
        table = table.select(kept)

    table = table.remove_columns(list(ROW_FEATURES))
    if data_args.packing and stage == "sft" and not generates and len(table):
        packer = PackedRows(**arguments)
        table = table.map(
            packer.preprocess_dataset,
            remove_columns=table.column_names,
            features=packer.columns(media),
            desc="Packing rows",
            **settings,
        )

    if training_args.should_log and len(table):
        print("eval example:" if is_eval else "training example:")
        rows.print_data_example(table[0])

    return table


def _accounting(stock: Any) -> Any:
    """Run LLaMA-Factory's get_dataset, then print, store and act on the account, before the model is loaded."""

    def get_dataset(template, model_args, data_args, training_args, stage, tokenizer, processor=None):
        used = getattr(data_args, "virgo_used", None)
        needed = used or (used is None and _needs_us(data_args, stage))
        if not needed:
            return stock(template, model_args, data_args, training_args, stage, tokenizer, processor)

        if processor is not None and is_ours(tokenizer.chat_template):
            processor.chat_template = tokenizer.chat_template  # both are saved, into one file

        if training_args.do_train:
            begin(training_args.output_dir)

        settings = row_settings(model_args, data_args, training_args, stage, tokenizer, processor)
        arguments = (template, model_args, data_args, training_args, stage, tokenizer, processor)
        path = data_args.tokenized_path
        if path and has_tokenized_data(path):
            accounts = read_tokenized(Path(path), settings)
            module = stock(*arguments)
        else:
            data_args.tokenized_path = None  # saved below, once it is known that the rows are to be trained on
            with loading(predicts=stage == "ppo") as load:
                module = stock(*arguments)

            data_args.tokenized_path = path
            accounts = load.settled()

        if stage != "grpo":  # its steps are rollouts', not rows'
            check_steps_left(module.get("train_dataset"), accounts, training_args, settings)

        content = to_json(accounts, settings=settings)
        file = Path(training_args.output_dir, FILE_NAME if training_args.do_train else EVALUATION_FILE_NAME)
        if training_args.should_save and stage != "ppo":  # a script's folder is a dummy
            write_json(file, content)
            remember_place("row account", file)

        for account in accounts:
            say = logger.warning_rank0 if account.dropped else logger.info_rank0
            say(f"{account}")
            remember(f"{account}")
            if remedy := media_remedy(account, data_args):
                logger.warning_rank0(f"{account.name}: {remedy}")

        check_accounts(accounts, data_args)
        finetuning_args = training_args.__dict__.pop("virgo_finetuning_args", None)  # not into training_args.bin
        if stage != "grpo" and finetuning_args is not None and module.get("train_dataset") is not None:
            check_packed_rows(module["train_dataset"], processor, finetuning_args)
            tell_ahead(module["train_dataset"], model_args, data_args, training_args, finetuning_args)

        if path and training_args.should_save and not has_tokenized_data(path):
            dataset_dict(module).save_to_disk(path)
            write_json(Path(path, FILE_NAME), content)
            logger.info_rank0(f"Tokenized dataset is saved at {path}.")

        return module

    return get_dataset


def _needs_us(data_args: Any, stage: str) -> bool:
    """Whether a caller that has not come through the argument parsers has datasets of ours.

    Raises:
        RuntimeError: its arguments are of the class that LLaMA-Factory had before the plugin.
        ValueError: of a stage, or a way to read, in which our rows cannot be accounted for.
    """
    found = formattings_of(data_args)
    if not found:
        return False

    check_hooks()
    if not hasattr(data_args, "VIRGO_KEYS"):
        raise RuntimeError(TOO_LATE)

    if data_args.streaming or stage not in ("sft", "rm", "ppo"):
        how = "with streaming" if data_args.streaming else f"in the stage {stage}"
        raise UserError(f"formatting {', '.join(sorted(set(found.values())))}: not {how}.")

    return True


HOOK = Hook(modules=("llamafactory.data.loader",), relies_on=RELIES_ON, apply=wrap_loader)
