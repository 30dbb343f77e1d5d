"""Rows from file to tokenised table in a run that uses the plugin: our reader, the row account, caches that tell.

The four functions below take the place of LLaMA-Factory's, and hand every other run on to them.
"""

import contextlib
import copy
import hashlib
import json
import os
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset, DatasetDict, DatasetInfo, Features, NamedSplit, Value, config
from datasets.fingerprint import Hasher
from datasets.table import MemoryMappedTable, concat_tables
from llamafactory.data.template import ReasoningTemplate
from llamafactory.extras import logging
from llamafactory.extras.misc import has_tokenized_data

from virgo_factory.adapters import ADAPTERS, kind_of
from virgo_factory.autoload import check_hooks
from virgo_factory.datasets.account import (
    EVALUATION_FILE_NAME,
    FILE_NAME,
    SHOWN,
    DatasetAccount,
    DroppedRow,
    from_json,
    settle,
    to_json,
    write_json,
)
from virgo_factory.datasets.data_files import data_files, is_pattern, part_of
from virgo_factory.datasets.fingerprint import code_hash, file_hash
from virgo_factory.datasets.media import OUTSIDE as OUTSIDE_MEDIA
from virgo_factory.datasets.media import outside_remedy
from virgo_factory.datasets.reader import CSV_SUFFIXES, SUFFIXES, read_rows, suffix_of
from virgo_factory.datasets.reasoning import reasoning_problem
from virgo_factory.datasets.split import WHOLE, empty_problem, split_ranges
from virgo_factory.files import DATASET_INFO
from virgo_factory.hooks import pictures
from virgo_factory.hooks.converter import (
    ALIGNED_FEATURES,
    NUMBER_COLUMN,
    PREFIX_FEATURE,
    RAW_COLUMNS,
    ROW_FEATURES,
    LongThoughtConverter,
)
from virgo_factory.hooks.ending import begin, remember, remember_place
from virgo_factory.hooks.look_ahead import tell_ahead
from virgo_factory.hooks.rebind import rebind, replace
from virgo_factory.hooks.resume import check_steps_left
from virgo_factory.hooks.row_settings import row_settings
from virgo_factory.hooks.rows import PackedRows, make_processor, our_formattings
from virgo_factory.hooks.run import formattings_of
from virgo_factory.hooks.template import BASES, is_ours
from virgo_factory.reasons import Reason


RELIES_ON = {
    "data/template.py": ["class ReasoningTemplate(Template):"],
    "data/loader.py": [
        "        local_path = os.path.join(data_args.dataset_dir, dataset_attr.dataset_name)\n",
        "        dataset = load_dataset(\n            path=data_path,\n            name=data_name,\n            data_dir=data_dir,\n            data_files=data_files,\n            split=dataset_attr.split,",
        "    return align_dataset(dataset, dataset_attr, data_args, training_args)",
        "        datasets[dataset_name] = _load_single_dataset(dataset_attr, model_args, data_args, training_args)",
        '            train_dict["train"] = _get_preprocessed_dataset(\n                train_dict["train"], data_args, training_args, stage, template, tokenizer, processor, is_eval=False\n            )',
        "        if has_tokenized_data(data_args.tokenized_path):",
        "                dataset_dict.save_to_disk(data_args.tokenized_path)",
        '    with training_args.main_process_first(desc="load dataset", local=(not data_args.data_shared_file_system)):',
    ],
}

logger = logging.get_logger(f"llamafactory.{__name__}")  # else INFO is not shown

BATCH_BYTES = 1 << 25
"""Of raw rows converted at a time; at most BATCH_ROWS. Rows with pictures in them may be megabytes each."""
BATCH_ROWS = 1000
TEXT_SUFFIXES = (*SUFFIXES, *CSV_SUFFIXES)
STORE = "virgo_factory_images"
TOO_LATE = (
    "virgo-factory: get_dataset or DataArguments was imported before the plugin. Call virgo_factory.register() before the "
    "first import of LLaMA-Factory."
)
RAW_FEATURES = Features({"raw": Value("string"), "file": Value("string"), "line": Value("int64")})
PARTS = 1 << 20
"""More than the examples of any row: row number * PARTS + part names an example."""


@dataclass
class _Load:
    """What is known while one `get_dataset` is running: of the dataset being loaded and, in `accounts`, of all.

    Attributes:
        attribute, files, part: of the dataset being loaded; `part` is what its files are called in a `split`.
        predicts: the datasets of `dataset:` are asked, not trained on (LLaMA-Factory's scripts/vllm_infer.py).
    """

    attribute: Any = None
    files: tuple[Path, ...] = ()
    part: str = ""
    code: str = ""
    cache_dir: str | None = None
    accounts: dict[tuple[str, str], DatasetAccount] = field(default_factory=dict)
    drawn: dict[tuple[str, str], list[np.ndarray]] = field(default_factory=dict)
    dropped: dict[tuple[str, str], list[DroppedRow]] = field(default_factory=dict)
    formattings: dict[str, str] = field(default_factory=dict)
    role: str = "train"
    predicts: bool = False


_load: _Load | None = None


def wrap_loader(module: ModuleType) -> None:
    """Hook on llamafactory.data.loader."""
    wrappers = {
        "load_dataset": _reading,
        "_load_single_dataset": _noting_attribute,
        "_get_merged_dataset": _noting_role,
        "align_dataset": _aligning,
        "_get_preprocessed_dataset": _preprocessing,
    }
    for name, wrapper in wrappers.items():
        replace(module, name, wrapper(getattr(module, name)))

    rebind(module.get_dataset, _accounting(module.get_dataset))  # the workflows hold it by name


def _noting_role(stock: Any) -> Any:
    def _get_merged_dataset(dataset_names, model_args, data_args, *args, **kwargs):
        if _load is not None:
            is_train = dataset_names is data_args.dataset and not _load.predicts
            _load.role = "train" if is_train else "eval"

        return stock(dataset_names, model_args, data_args, *args, **kwargs)

    return _get_merged_dataset


def _noting_attribute(stock: Any) -> Any:
    def _load_single_dataset(dataset_attr, model_args, data_args, *args, **kwargs):
        if _load is not None:
            _load.attribute, _load.files = dataset_attr, ()
            _load.formattings |= our_formattings([dataset_attr])
            path, split = (
                Path(str(data_args.dataset_dir), dataset_attr.dataset_name),
                dataset_attr.virgo_entry.get("split"),
            )
            ours = dataset_attr.virgo_name in _load.formattings and dataset_attr.load_from == "file"
            if ours and (path.exists() or is_pattern(str(path))):
                where = f"dataset {dataset_attr.virgo_name}"
                _load.files, _load.part = data_files(path, where, split), part_of(path, where, split)
                dataset_attr = copy.copy(dataset_attr)
                # stock wants one file of a suffix that it knows
                dataset_attr.dataset_name = str(DATASET_INFO.resolve())
        elif dataset_attr.formatting in ADAPTERS:
            raise RuntimeError(TOO_LATE)

        return stock(dataset_attr, model_args, data_args, *args, **kwargs)

    return _load_single_dataset


def _reading(stock: Any) -> Any:
    """Read local JSON of our formattings with our reader; note how many rows every dataset has."""

    def load_dataset(*args, data_files=None, split=None, cache_dir=None, **kwargs):
        if _load is None:
            return stock(*args, data_files=data_files, split=split, cache_dir=cache_dir, **kwargs)

        _load.cache_dir = cache_dir
        attribute = _load.attribute
        files = [str(file) for file in _load.files]
        if files:
            if suffix_of(_load.files[0]) in TEXT_SUFFIXES:
                dataset = read_table(files, cache_dir)
            else:
                kwargs["path"] = _load.files[0].suffix.removeprefix(".")
                dataset = stock(*args, data_files=files, split="train", cache_dir=cache_dir, **kwargs)

            dataset = cut_table(dataset, attribute.virgo_entry.get("split"), attribute.virgo_name, _load.part)
        else:
            dataset = stock(*args, data_files=data_files, split=split, cache_dir=cache_dir, **kwargs)

        key = (attribute.virgo_name, _load.role)
        _load.accounts[key] = DatasetAccount(*key, rows_in=len(dataset))
        return dataset

    return load_dataset


def read_table(files: list[str], cache_dir: str | None) -> Dataset:
    """Return a table of raw rows (columns `raw`: JSON text, `file`, `line`), cached by the files' contents."""
    key = Hasher.hash([*((file, file_hash(file)) for file in files), code_hash()])
    path = Path(cache_dir or config.HF_DATASETS_CACHE, "virgo_factory_rows", f"{key}.arrow")
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
        try:
            _write_rows(files, partial)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)

    table = MemoryMappedTable.from_file(str(path))
    return Dataset(table, DatasetInfo(features=RAW_FEATURES), NamedSplit("train"), fingerprint=key)


def cut_table(dataset: Dataset, split: str | None, name: str, part: str = "train") -> Dataset:
    """Return the rows of a table that an entry's `split` means, in its order, as `load_dataset` would.

    `part` is what the table is called in the split.

    Raises:
        ValueError: not a split of local files, or one without rows.
    """
    if split in (*WHOLE, part):
        return dataset

    ranges = [rows for _, rows in split_ranges(split, {part: len(dataset)}, name)]
    if not any(ranges):
        raise ValueError(empty_problem(split, len(dataset), name))

    table = concat_tables([dataset.data.slice(rows.start, len(rows)) for rows in ranges])
    return Dataset(table, dataset.info, dataset.split, fingerprint=Hasher.hash([dataset._fingerprint, split]))


def _write_rows(files: list[str], path: Path) -> None:
    """Write the rows of the files as an Arrow stream, a few megabytes at a time."""
    schema = RAW_FEATURES.arrow_schema
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, schema) as stream:
        batch, size = {name: [] for name in RAW_COLUMNS}, 0
        for file in files:
            for row in read_rows(file):
                for name, value in zip(RAW_COLUMNS, (row.text, file, row.line), strict=True):
                    batch[name].append(value)

                size += len(row.text)
                if size > BATCH_BYTES or len(batch["raw"]) == BATCH_ROWS:
                    stream.write_batch(pa.RecordBatch.from_pydict(batch, schema=schema))
                    batch, size = {name: [] for name in RAW_COLUMNS}, 0

        stream.write_batch(pa.RecordBatch.from_pydict(batch, schema=schema))


def _aligning(stock: Any) -> Any:
    """Convert our formattings with a fixed schema; give the rows of every other dataset their place."""

    def align_dataset(dataset, dataset_attr, data_args, training_args):
        if _load is None:
            return stock(dataset, dataset_attr, data_args, training_args)

        name = dataset_attr.virgo_name
        rows = dataset._indices.column(0).to_numpy() if dataset._indices is not None else np.arange(len(dataset))
        # Not every hub of LLaMA-Factory goes through load_dataset.
        _load.accounts.setdefault((name, _load.role), DatasetAccount(name, _load.role, rows_in=len(np.unique(rows))))
        if name not in _load.formattings:
            return _with_places(stock(dataset, dataset_attr, data_args, training_args), name, rows)

        from llamafactory.data.converter import get_dataset_converter

        converter = get_dataset_converter(dataset_attr.formatting, dataset_attr, data_args)
        converter.code = _load.code
        converter.store = str(Path(_load.cache_dir or config.HF_DATASETS_CACHE, STORE))
        aligned = _convert(dataset.add_column(NUMBER_COLUMN, rows.astype(np.int64)), converter, training_args)
        account = _load.accounts[(name, _load.role)]
        account.format = the_format(aligned, name)
        account.extra = _extra(aligned)
        return aligned

    return align_dataset


def _with_places(aligned: Dataset, name: str, rows: np.ndarray) -> Dataset:
    """Return a table of stock's with the columns that ours have."""
    columns = PREFIX_FEATURE | ROW_FEATURES
    own = {"_row_dataset": np.full(len(rows), name), "_row_number": rows.astype(np.int64)}
    for column, kind in columns.items():
        blank = np.full(len(rows), "") if kind.dtype == "string" else np.zeros(len(rows), dtype=np.int64)
        aligned = aligned.add_column(column, own.get(column, blank))

    return aligned


def _convert(dataset: Dataset, converter: LongThoughtConverter, training_args: Any) -> Dataset:
    """Return the aligned rows, cached; rows with images anew in every run, since images come, go and change."""
    dataset = dataset.with_format("arrow")  # `datasets` would decode every picture of an Image column
    row_bytes = dataset.data.nbytes // max(len(dataset.data), 1) + 1

    def convert(cached: bool) -> Dataset:
        return dataset.map(
            converter,
            batched=True,
            batch_size=min(max(BATCH_BYTES // row_bytes, 1), BATCH_ROWS),
            remove_columns=dataset.column_names,
            features=ALIGNED_FEATURES,
            num_proc=converter.data_args.preprocessing_num_workers,
            load_from_cache_file=cached,
            desc="Converting format of dataset",
        ).with_format(None)

    began, is_first = time.time(), training_args.local_process_index == 0
    aligned = convert(not (is_first and converter.data_args.overwrite_cache))
    bad = pc.starts_with(aligned.data.column("_row_reason"), "image")
    if not (pc.any(bad).as_py() or pc.any(pc.is_valid(aligned.data.column("_images"))).as_py()):
        return aligned

    if is_first and any(os.stat(file["filename"]).st_mtime < began for file in aligned.cache_files):
        aligned = convert(False)

    aligned._fingerprint = Hasher.hash([aligned._fingerprint, bad.to_pylist(), _state(aligned)])  # of what comes after
    return aligned


def _state(aligned: Dataset) -> str:
    """Return a hash of the sizes and times of all image files of a table."""
    digest = hashlib.sha256()
    for image in pc.unique(pc.list_flatten(aligned.data.column("_images"))).to_pylist():
        with contextlib.suppress(OSError):  # gone since
            found = os.stat(image)
            digest.update(f"{image} {found.st_size} {found.st_mtime_ns}\n".encode())

    return digest.hexdigest()


def _examples(table: Dataset) -> np.ndarray:
    """Return the names, as integers, of a table's examples within their datasets."""
    numbers, parts = (table.data.column(name).to_numpy() for name in ("_row_number", "_row_part"))
    return numbers * PARTS + parts


def _extra(aligned: Dataset) -> int:
    """Return how many different examples are not the first of their row."""
    examples = _examples(aligned)
    return len(np.unique(examples[examples % PARTS > 0]))


def the_format(aligned: Dataset, name: str) -> str:
    """Return the one format that the rows of a dataset show, or "" if they show none.

    Raises:
        ValueError: they show several; with up to 20 rows, those of the rarest format first.
    """
    counts = {
        entry["values"]: entry["counts"]
        for entry in pc.value_counts(aligned.data.column("_row_format")).to_pylist()
        if entry["values"]
    }
    if len(set(map(kind_of, counts))) < 2:
        return max(counts, key=counts.get, default="")

    formats = sorted(counts, key=counts.get)
    places: list[str] = []
    for which in formats:
        room = SHOWN - len(places) - (formats[-1] != which)  # one line is left for the most common format
        found = np.flatnonzero(pc.equal(aligned.data.column("_row_format"), which).to_numpy())
        for row in aligned.select(found[: max(room, 1)]).select_columns(list(ROW_FEATURES)):
            place = DroppedRow(row["_row_number"], row["_row_file"], row["_row_line"], row["_row_id"], which)
            places.append(f"  {place}")

    shown = ", ".join(f"{counts[which]} {which}" for which in reversed(formats))
    raise ValueError(
        f"{name}: its rows are in {len(formats)} formats ({shown}). A dataset has one, or rows would be read in a way that "
        "nobody chose.\n" + "\n".join(places[:SHOWN]) + "\nPut each format into a file and an entry of its own, or "
        "bring all to one with: virgo-factory data convert."
    )


def _preprocessing(stock: Any) -> Any:
    """Tokenise with the row policy, note what is dropped, and keep the rest."""

    def _get_preprocessed_dataset(
        dataset, data_args, training_args, stage, template, tokenizer, processor=None, is_eval=False
    ):
        if _load is None or dataset is None:
            return stock(dataset, data_args, training_args, stage, template, tokenizer, processor, is_eval)

        generates = training_args.predict_with_generate and is_eval
        arguments = {
            "template": template,
            "tokenizer": tokenizer,
            "processor": processor,
            "data_args": data_args,
        }
        if _load.formattings and isinstance(template, ReasoningTemplate):  # one of the tokenizer, or a user's own
            raise ValueError(reasoning_problem(data_args.template))

        rows = make_processor(
            stage, generates, **arguments, formattings=dict(sorted(_load.formattings.items())), code=_load.code
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
        use = (
            "validation" if is_eval and data_args.val_size > 1e-6 else "eval" if is_eval or _load.predicts else "train"
        )
        kept = _note(table, use)
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

    return _get_preprocessed_dataset


_NO_DROP = ("dataset", "format", "notes")
"""ROW columns that a dropped row is not told with."""


def _note(table: Dataset, use: str) -> list[int]:
    """Enter the rows of a tokenised table into the accounts, and return the positions of the kept ones."""
    role = "eval" if use == "eval" else "train"
    names, reasons = (table.data.column(name).to_numpy() for name in ("_row_dataset", "_row_reason"))
    examples = _examples(table)
    good = reasons == ""
    for name in dict.fromkeys(names.tolist()):
        key, here = (name, role), names == name
        _load.drawn.setdefault(key, []).append(examples[here])
        _load.accounts[key].kept_for[use] = int((good & here).sum())
        for note, rows in _notes(table, good & here).items():
            _load.accounts[key].notes[note] = _load.accounts[key].notes.get(note, 0) + rows

    for row in table.select(np.flatnonzero(~good)).select_columns(list(ROW_FEATURES)):
        values = {name.removeprefix("_row_"): value for name, value in row.items()}
        dropped = DroppedRow(**{name: value for name, value in values.items() if name not in _NO_DROP})
        _load.dropped.setdefault((values["dataset"], role), []).append(dropped)

    return np.flatnonzero(good).tolist()


def _notes(table: Dataset, here: np.ndarray) -> Counter[str]:
    """Return the notes of some rows of a table with how many have each; most rows have none."""
    notes = table.data.column("_row_notes").filter(pa.array(here))
    return Counter(note for text in pc.drop_null(notes).to_pylist() if text for note in text.split("\n"))


def _accounting(stock: Any) -> Any:
    """Run LLaMA-Factory's get_dataset, then print, store and act on the account, before the model is loaded."""

    def get_dataset(template, model_args, data_args, training_args, stage, tokenizer, processor=None):
        used = getattr(data_args, "virgo_used", None)
        needed = used or (used is None and _needs_us(data_args, stage))
        pictures.mark(template, wanted=needed or data_args.template in BASES)
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
            accounts = _read_tokenized(Path(path), settings)
            module = stock(*arguments)
        else:
            data_args.tokenized_path = None  # saved below, once it is known that the rows are to be trained on
            with _loading(predicts=stage == "ppo") as load:
                module = stock(*arguments)

            data_args.tokenized_path = path
            accounts = _settled(load)

        check_steps_left(module.get("train_dataset"), accounts, training_args)  # before the account is written over
        content = to_json(accounts, settings=settings)
        file = Path(training_args.output_dir, FILE_NAME if training_args.do_train else EVALUATION_FILE_NAME)
        if training_args.should_save and stage != "ppo":  # a script's folder is a dummy
            write_json(file, content)
            remember_place("row account", file)

        for account in accounts:
            say = logger.warning_rank0 if account.dropped else logger.info_rank0
            say(f"{account}")
            remember(f"{account}")
            if remedy := _media_remedy(account, data_args):
                logger.warning_rank0(f"{account.name}: {remedy}")

        check_accounts(accounts, data_args)
        finetuning_args = training_args.__dict__.pop("virgo_finetuning_args", None)  # not into training_args.bin
        if finetuning_args is not None and module.get("train_dataset") is not None:
            tell_ahead(module["train_dataset"], model_args, data_args, training_args, finetuning_args)

        if path and training_args.should_save and not has_tokenized_data(path):
            _dataset_dict(module).save_to_disk(path)
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
        raise ValueError(f"formatting {', '.join(sorted(set(found.values())))}: not {how}.")

    return True


@contextlib.contextmanager
def _loading(predicts: bool) -> Iterator[_Load]:
    global _load
    _load = _Load(code=code_hash(), predicts=predicts)
    try:
        yield _load
    finally:
        _load = None


def _settled(load: _Load) -> list[DatasetAccount]:
    for key, account in load.accounts.items():
        examples = np.concatenate(load.drawn.get(key, [np.empty(0, dtype=np.int64)]))
        dropped = sorted(load.dropped.get(key, []), key=lambda row: (row.number, row.part))
        settle(account, drawn=len(examples), distinct=len(np.unique(examples)), dropped=dropped)

    return list(load.accounts.values())


def _dataset_dict(module: dict[str, Any]) -> DatasetDict:
    """Return what LLaMA-Factory's get_dataset_module (data/data_utils.py:148) takes apart."""
    evaluation = module.get("eval_dataset")
    parts = {"train": module.get("train_dataset")}
    if isinstance(evaluation, dict):
        parts |= {f"validation_{name}": part for name, part in evaluation.items()}
    else:
        parts["validation"] = evaluation

    return DatasetDict({name: part for name, part in parts.items() if part is not None})


def _read_tokenized(folder: Path, settings: dict[str, Any]) -> list[DatasetAccount]:
    """Return the accounts stored beside a tokenised dataset, if it was made with these settings."""
    where = f"tokenized_path: {folder}"
    if not (folder / FILE_NAME).is_file():
        raise ValueError(
            f"{where} holds rows without a row account ({FILE_NAME}): they were made without virgo-factory, or their "
            "making was cut short. Delete the folder, or choose another tokenized_path."
        )

    stored = json.loads((folder / FILE_NAME).read_text(encoding="utf-8"))
    then = stored["settings"]
    changed = [
        f"{key}: {then.get(key)!r} there, {settings.get(key)!r} now"
        for key in dict.fromkeys([*then, *settings])
        if then.get(key) != settings.get(key)
    ]
    if changed:
        raise ValueError(
            f"{where} holds rows made with other settings; training on them would not be what the recipe says. "
            "Delete the folder, or choose another tokenized_path.\n  " + "\n  ".join(changed)
        )

    return from_json(stored)


def check_accounts(accounts: list[DatasetAccount], data_args: Any) -> None:
    """Stop the run where the policy says so, with up to 20 rows: every message names file and line.

    Raises:
        ValueError: a row was dropped under `error`, a row of an evaluation set was dropped, or nothing is kept.
    """
    for account in accounts:
        if account.role == "eval":
            rows = account.dropped_rows
            remedy = "Dropping rows of an evaluation set would change the benchmark. Repair or remove them."
        else:
            rows = [row for row in account.dropped_rows if _is_error(row, data_args)]
            remedy = "Repair or remove them, or set overlong: drop and malformed: drop to train on the rest."

        if account.kept == 0:
            rows = account.dropped_rows
            remedy = "No row is kept, so there is nothing to train on."

        if rows or account.kept == 0:
            remedy = " ".join(filter(None, (_media_remedy(account, data_args), remedy)))
            lines = [f"  {row}" for row in rows[:SHOWN]]
            if len(rows) > SHOWN:
                lines.append(f"  ... and {len(rows) - SHOWN} more, all of them in {FILE_NAME} in the output folder")

            raise ValueError("\n".join([str(account), *lines, remedy]))


def _media_remedy(account: DatasetAccount, data_args: Any) -> str | None:
    """Return what to do about dropped rows with absolute paths outside media_dir; None where there are none."""
    details = [row.detail for row in account.dropped_rows if row.reason == OUTSIDE_MEDIA]
    return outside_remedy(details, str(data_args.media_dir))


def _is_error(row: DroppedRow, data_args: Any) -> bool:
    """Whether the row was dropped for a reason that the recipe calls an error; the bounds of a response never are."""
    reason = Reason.of(row.reason)
    if reason in (Reason.TOO_SHORT, Reason.TOO_LONG):
        return False

    return (data_args.overlong if reason is Reason.OVERLONG else data_args.malformed) == "error"
