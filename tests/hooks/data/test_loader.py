"""From a dataset's entry to the rows that are trained on: its split, its responses' bounds, packs, and what stops a run."""

import dataclasses
import json
import re
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
from PIL import Image

from virgo_factory.data.read.prefix import read_prefix
from virgo_factory.data.read.source import find_sources, read_source
from virgo_factory.data.rows.stream import measure
from virgo_factory.data.tokens import llamafactory_template
from virgo_factory.data.tokens.image_size import PROCESSOR_FILES
from virgo_factory.preflight.twin.twin import make_twin
from virgo_factory.preflight.versions import reads_5


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A tiny Qwen2-VL."""
    return make_twin(tmp_path_factory.mktemp("loader") / "base")


@pytest.fixture(scope="module")
def raw_table():
    import llamafactory.data  # noqa: F401

    from virgo_factory.hooks.data import raw_table

    return raw_table


def thought(words):
    """Return a response of about so many tokens; all of the same `words` have the same number."""
    return (
        f"<|begin_of_thought|>\n\n{'so ' * words}<|end_of_thought|>\n\n<|begin_of_solution|>\n\nyes<|end_of_solution|>"
    )


@pytest.fixture
def load(base, write_data, preprocess):
    """A function that writes rows and an entry, `own`, and loads it as a recipe says: (module, accounts, tokenizer)."""

    def load_rows(rows, entry=None, **recipe):
        write_data(own=(rows, entry or {}))
        done = preprocess({"model_name_or_path": str(base), "dataset": "own"} | recipe)
        return done.module, done.accounts, done.tokenizer

    return load_rows


SPLITS = [
    *(None, "train", "all", "train[:10]", "train[10:]", "train[-5:]", "train[3:7]", "train[:1000]", "train[-1000:]"),
    *("train[:90%]", "train[90%:]", "train[33%:66%]", "train[:33%](closest)", "train[-10%:]", "train[:-10%]"),
    *("train[:5]+train[-5:]", "train[20:]+train[:5]", "train[:10]+train[5:8]", "train+train[:1]"),
]


@pytest.fixture(scope="module")
def thirty(tmp_path_factory):
    """A file of 30 rows; row N is on line N + 1."""
    path = tmp_path_factory.mktemp("split") / "rows.jsonl"
    rows = [{"id": f"r{n}", "question": f"{n}?", "response": thought(n), "n": n} for n in range(30)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize("split", SPLITS)
def test_a_split_is_that_of_a_stock_run(raw_table, thirty, tmp_path, split):
    from datasets import load_dataset

    wanted = load_dataset("json", data_files=[str(thirty)], split=split or "train", cache_dir=str(tmp_path))["n"]
    table = raw_table.read_table([str(thirty)], str(tmp_path))
    table = raw_table.cut_table(table, split, "own", {"train": (thirty,)})
    assert [json.loads(row)["n"] for row in table["raw"]] == list(wanted)

    entry = {"file_name": str(thirty), "formatting": "long_thought"} | ({"split": split} if split else {})
    (tmp_path / "dataset_info.json").write_text(json.dumps({"own": entry}))
    sources, settings = find_sources("own", tmp_path)
    read = list(read_source(sources[0]))
    assert [row.raw["n"] for row in read] == sorted(wanted)
    assert [row.number for row in read] == list(range(len(wanted)))
    records = list(measure(sources, settings, cache=None))
    assert [(record.number, record.line) for record in records] == [(row.number, row.line) for row in read]


def test_the_held_out_rows_are_not_trained_on(load):
    rows = [{"question": f"number {n}?", "response": thought(3)} for n in range(30)]
    numbers = []
    for split in ("train[:90%]", "train[90%:]"):
        module, accounts, tokenizer = load(rows, {"split": split})
        texts = [tokenizer.decode(row["input_ids"]) for row in module["train_dataset"]]
        numbers.append([int(re.search(r"number (\d+)\?", text).group(1)) for text in texts])
        assert (accounts["own"]["rows_in"], accounts["own"]["kept"]) == (len(texts), len(texts))

    assert numbers == [list(range(27)), [27, 28, 29]]


REFUSED = [
    ({"split": "test"}, r"split 'test': there is no part 'test'; local files are one part.*train\[:90%\]"),
    ({"split": "train+test"}, "there is no part 'test'"),
    ({"split": "train[:50"}, "Unrecognized instruction format"),
    ({"split": 7}, "split 7"),
    ({"split": "train[:1%]"}, r"split 'train\[:1%\]' leaves none of 30 rows"),
    ({"split": "train[10:5]"}, "leaves none of 30 rows"),
    ({"splt": "train[:50%]"}, "splt: no key of an entry is called so.* Is split meant"),
    ({"subset": "hard"}, "subset: only of a hub dataset"),
    ({"folder": "data", "subset": "hard"}, "subset, folder: only of a hub dataset"),
]


@pytest.mark.parametrize(("entry", "message"), REFUSED, ids=[str(case[0]) for case in REFUSED])
def test_what_an_entry_cannot_ask_of_a_file(load, tmp_path, thirty, entry, message):
    rows = [json.loads(line) for line in thirty.read_text().splitlines()]
    with pytest.raises(ValueError, match=message):
        load(rows, entry)

    with pytest.raises(ValueError, match=message):
        find_sources("own", tmp_path)


BOUNDS = [
    # (words of the responses, bounds in tokens beside those of 20 words, kept)
    ([20], {"max": 5}, True),
    ([20], {"max": -1}, False),
    ([20, 20], {"max": 5}, True),
    ([20, 20], {"min": 5}, False),
    ([20, 40], {"max": 5}, False),
    ([40, 20], {"max": 5}, False),
    ([40, 20], {"min": 5}, False),
    ([20, 40], {"min": 0}, True),
    ([10, 40], {"min": -3, "max": 30}, False),
]


@pytest.mark.parametrize("kind", ["pair", "turns"])
@pytest.mark.parametrize(("words", "bounds", "kept"), BOUNDS)
def test_bounds_judge_each_response_by_itself(load, base, tmp_path, kind, words, bounds, kept):
    from transformers import AutoTokenizer

    one = len(AutoTokenizer.from_pretrained(base).encode(thought(20), add_special_tokens=False))
    keys = {f"{end}_response_tokens": one + more for end, more in bounds.items()}
    texts = [thought(number) for number in words]
    if kind == "pair":
        row = {"messages": [{"role": "user", "content": "q"}]}
        row |= {"chosen": {"role": "assistant", "content": texts[0]}}
        row |= {"rejected": {"role": "assistant", "content": texts[-1].replace("yes", "no")}}
    else:
        turns = [({"role": "user", "content": "q"}, {"role": "assistant", "content": text}) for text in texts]
        row = {"messages": [message for turn in turns for message in turn]}

    entry = {"ranking": True} if kind == "pair" else {}
    changes = {"stage": "dpo"} if kind == "pair" else {}
    if kept:
        assert load([row], entry, **changes, **keys)[1]["own"]["kept"] == 1
    else:
        with pytest.raises(ValueError, match="1 row in, 0 kept, 1 dropped .1 response"):
            load([row], entry, **changes, **keys)

    sources, settings = find_sources("own", tmp_path, tokenizer=str(base), **keys)
    (record,) = measure(sources, settings, cache=None)
    assert (record.reason == "") == kept, record


class Here(llamafactory_template.ForeignTokenizer):
    """Asks LLaMA-Factory in this process, which has imported it: another one would take ten seconds (tests/data/test_foreign.py)."""

    def __init__(self, settings):
        from virgo_factory.hooks.rows.counting import Counter

        self.settings, self.counter = settings, Counter(dataclasses.asdict(settings))
        self.special = tuple(self.counter.special)

    def _ask(self, rows):
        return {"tokens": [self.counter.count(row) for row in rows]}

    def close(self):
        pass

    __del__ = close


@pytest.mark.parametrize(("template", "ends"), [("virgo", ["min"]), ("virgo", ["max"]), ("qwen", ["min", "max"])])
def test_earlier_turns_of_a_pair_are_context_to_the_bounds(load, base, tmp_path, template, ends, monkeypatch):
    from transformers import AutoTokenizer

    monkeypatch.setattr(llamafactory_template, "ForeignTokenizer", Here)

    one = len(AutoTokenizer.from_pretrained(base).encode(thought(20), add_special_tokens=False))
    keys = {"template": template} | {f"{end}_response_tokens": one + {"min": -1, "max": 1}[end] for end in ends}
    rows = []
    for earlier, own in ((90, 20), (2, 20), (20, 90), (20, 2)):
        messages = [{"role": "user", "content": "q"}, {"role": "assistant", "content": thought(earlier)}]
        sides = {"chosen": thought(own), "rejected": thought(20).replace("yes", "no")}
        sides = {side: {"role": "assistant", "content": text} for side, text in sides.items()}
        rows.append({"messages": [*messages, {"role": "user", "content": "and?"}], **sides})

    account = load(rows, {"ranking": True}, stage="dpo", **keys)[1]["own"]
    sources, settings = find_sources("own", tmp_path, tokenizer=str(base), **keys)
    records = list(measure(sources, settings, cache=None))
    dropped = [record.number for record in records if record.reason]
    assert dropped == sorted({"min": 3, "max": 2}[end] for end in ends)
    assert dropped == [row["number"] for row in account["dropped_rows"]]


@pytest.mark.slow
def test_hundreds_of_rows_in_a_pack(load):
    rows = [{"question": "q", "response": thought(1)} for _ in range(300)]
    module, accounts, _ = load(rows, neat_packing=True, cutoff_len=30_000, overlong="truncate", question_prefix="none")
    (pack,) = module["train_dataset"]
    assert sorted(set(pack["attention_mask"])) == list(range(301))
    assert accounts["own"]["kept"] == 300
    features = module["train_dataset"].features
    assert {features[name].feature.dtype for name in ("input_ids", "attention_mask", "labels")} == {"int64"}


def test_a_text_template_with_picture_rows_stops_the_run(load, tmp_path):
    Image.new("RGB", (56, 56)).save(tmp_path / "good.png")
    Image.new("RGB", (60_000, 1)).save(tmp_path / "thin.png")
    rows = [{"question": "q", "response": thought(3)}]
    rows += [{"question": "<image>q", "response": thought(3), "images": [f"{name}.png"]} for name in ("good", "thin")]
    with pytest.raises(ValueError, match="dataset own: a row has images, but: This model does not support image"):
        load(rows, template="qwen")

    assert load(rows)[1]["own"]["reasons"] == {"image unreadable": 1}


@pytest.mark.parametrize("template", ["qwen3_vl", "qwen3", "deepseekr1"])
def test_a_reasoning_template_is_refused(load, tmp_path, template):
    rows = [{"question": "q", "response": thought(3)}]
    plain = {
        "qwen3_vl": "virgo_qwen3_vl or think_qwen3_vl or qwen3_vl_nothink",
        "qwen3": "qwen3_nothink",
        "deepseekr1": "deepseek3",
    }
    message = f"template: {template} is a reasoning template .* Say template: {plain[template]}"
    with pytest.raises(ValueError, match=message):
        load(rows, template=template)

    (tmp_path / "recipe.yaml").write_text(f"dataset: own\ntemplate: {template}\ndataset_dir: {tmp_path}\n")
    for what, changes in ((str(tmp_path / "recipe.yaml"), {}), ("own", {"template": template})):
        with pytest.raises(ValueError, match=message):
            find_sources(what, tmp_path, **changes)

    info = json.loads((tmp_path / "dataset_info.json").read_text())
    info["own"]["formatting"] = "alpaca"
    (tmp_path / "dataset_info.json").write_text(json.dumps(info))
    assert find_sources(str(tmp_path / "recipe.yaml"))[1].template == template


def test_a_reasoning_template_of_the_tokenizer_is_refused(load, base):
    from transformers import AutoTokenizer

    own = AutoTokenizer.from_pretrained(base)
    text = (
        "{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.role == 'assistant' %}<think>\n\n</think>\n\n{% endif %}"
        "{{ m.content }}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )
    folder = base.with_name("thinks")
    own.chat_template = text
    own.save_pretrained(folder)
    for name in ("config.json", PROCESSOR_FILES[reads_5()]):
        (folder / name).write_bytes((base / name).read_bytes())

    with pytest.raises(ValueError, match="no template: that of the tokenizer is a reasoning template"):
        load([{"question": "q", "response": thought(3)}], model_name_or_path=str(folder), template=None)


# who else asks for rows


def infer(base, folder, **keys):
    """Ask for rows as LLaMA-Factory's scripts/vllm_infer.py does; return its dataset, tokenizer and template."""
    from llamafactory.data import get_dataset, get_template_and_fix_tokenizer
    from llamafactory.hparams import get_infer_args
    from llamafactory.model import load_tokenizer
    from transformers import Seq2SeqTrainingArguments

    recipe = {"model_name_or_path": str(base), "dataset": "own", "dataset_dir": str(folder), "template": "virgo"}
    model_args, data_args, *_ = get_infer_args(recipe | {"cutoff_len": 400, "image_max_pixels": 50176} | keys)
    training_args = Seq2SeqTrainingArguments(output_dir=str(folder / "dummy_dir"))
    parts = load_tokenizer(model_args)
    template = get_template_and_fix_tokenizer(parts["tokenizer"], data_args)
    own = template.mm_plugin.expand_mm_tokens
    template.mm_plugin.expand_mm_tokens = False
    try:
        module = get_dataset(template, model_args, data_args, training_args, "ppo", **parts)
    finally:
        template.mm_plugin.expand_mm_tokens = own  # a template lives as long as the process

    return module["train_dataset"], parts["tokenizer"]


@pytest.mark.parametrize("prefix", [None, "virgo"])
def test_the_batch_inference_script_reads_our_rows(load, base, tmp_path, prefix):
    Image.new("RGB", (56, 56)).save(tmp_path / "a.png")
    rows = [{"question": "How many?", "response": thought(900)}]
    rows += [{"question": "<image>Which?", "response": thought(3), "images": ["a.png"]}]
    keys = {"question_prefix": prefix} if prefix else {}
    module, _, tokenizer = load(rows, cutoff_len=4000, **keys)
    trained = [tokenizer.decode([i for i, label in zip(row["input_ids"], row["labels"]) if label == -100])
               for row in module["train_dataset"]]  # fmt: skip
    (tmp_path / "out" / "virgo_rows.json").unlink()
    found, tokenizer = infer(base, tmp_path, **keys)
    pad = "<|image_pad|>"
    asked = [tokenizer.decode(ids) for ids in found["input_ids"]]
    assert asked == [re.sub(rf"({re.escape(pad)})+", pad.replace("\\", ""), text) for text in trained]
    assert asked[1].count(pad) == 1
    assert [images is not None for images in found["images"]] == [False, True]
    labels = [tokenizer.decode([label for label in row if label != -100]) for row in found["labels"]]
    wanted = ["".join(f"{row['response']}<|im_end|>".split()) for row in rows]
    assert ["".join(label.split()) for label in labels] == wanted
    assert not (tmp_path / "dummy_dir").exists() and not list((tmp_path / "out").iterdir())


def test_the_batch_inference_script_loses_no_row(load, base, tmp_path):
    load([{"question": "q", "response": thought(1)}])
    with (tmp_path / "own.jsonl").open("a") as file:
        file.write(json.dumps({"id": "cut", "question": "q", "response": "<|begin_of_thought|> endless"}) + "\n")

    with pytest.raises(ValueError, match=r"own.jsonl:2 \(id cut\)(.|\n)*evaluation set"):
        infer(base, tmp_path)


def test_a_program_that_has_the_stock_functions_is_told(load, base, tmp_path):
    from llamafactory.data import get_dataset
    from llamafactory.hparams import DataArguments

    from virgo_factory.hooks import hook

    load([{"question": "q", "response": thought(1)}])
    keys = {"template": "virgo", "dataset": "own", "dataset_dir": str(tmp_path)}
    stock_arguments = next(old for old in hook._rebound if old.__name__ == "DataArguments")
    assert dataclasses.is_dataclass(stock_arguments) and stock_arguments is not DataArguments
    with pytest.raises(RuntimeError, match=r"Call virgo_factory.register\(\) before the first import"):
        get_dataset(None, None, stock_arguments(**keys), None, "sft", None)

    with pytest.raises(ValueError, match="formatting long_thought: not in the stage kto"):
        get_dataset(None, None, DataArguments(**keys), None, "kto", None)

    from llamafactory.data.loader import _load_single_dataset
    from llamafactory.data.parser import get_dataset_list

    (attribute,) = get_dataset_list(["own"], str(tmp_path))  # what the stock get_dataset goes on with
    with pytest.raises(RuntimeError, match=r"Call virgo_factory.register\(\)"):
        _load_single_dataset(attribute, None, DataArguments(**keys), None)


def test_an_evaluation_keeps_the_account_of_the_training(load, tmp_path):
    rows = [{"question": "q", "response": thought(1)}]
    load(rows * 3)
    trained = (tmp_path / "out" / "virgo_rows.json").read_text()
    load(rows * 2, do_train=False, do_eval=True, dataset=None, eval_dataset="own")
    assert (tmp_path / "out" / "virgo_rows.json").read_text() == trained
    (account,) = json.loads((tmp_path / "out" / "virgo_rows_evaluation.json").read_text())["datasets"]
    assert (account["role"], account["kept"]) == ("eval", 2)


@pytest.mark.parametrize("given", [None, "none"])
def test_an_evaluation_asks_as_the_model_was_trained_to_be_asked(load, base, tmp_path, given):
    rows = [{"question": "How many?", "response": thought(1)}]
    _, _, tokenizer = load(rows, question_prefix="virgo", default_system="Count.")
    folder = base.with_name("trained")
    tokenizer.save_pretrained(folder)
    for name in ("config.json", PROCESSOR_FILES[reads_5()]):
        (folder / name).write_bytes((base / name).read_bytes())

    evaluation = {"do_train": False, "do_eval": True, "dataset": None, "eval_dataset": "own"}
    evaluation |= {"model_name_or_path": str(folder)} | ({"question_prefix": given} if given else {})
    module, _, tokenizer = load(rows, **evaluation)
    prompt = tokenizer.decode(module["eval_dataset"][0]["input_ids"])
    assert (f"{read_prefix('virgo')}\nHow many?" in prompt) == (given is None)
    assert "Count." in prompt
    settings = json.loads((tmp_path / "out" / "virgo_rows_evaluation.json").read_text())["settings"]
    assert settings["question_prefix"] == ("" if given else read_prefix("virgo"))


def test_what_is_told_again_at_the_end(load, tmp_path, monkeypatch):
    from llamafactory.train import tuner

    from virgo_factory.hooks.train import ending

    told = []
    monkeypatch.setattr(ending, "logger", SimpleNamespace(info_rank0=told.append))
    ending.telling(lambda config: None)({})
    assert told == []
    assert {tuner.run_sft.__module__, tuner.run_dpo.__module__} == {ending.__name__}
    assert tuner.run_sft is not tuner.run_dpo

    def train(config):
        load([{"question": "q", "response": thought(n)} for n in range(1, 10)])
        for name in ("checkpoint-9", "checkpoint-10", "epoch-2", "epoch-3.partial"):
            (tmp_path / "out" / name).mkdir()

    ending.telling(train)({})
    first, account, slots, model, file = told[0].splitlines()
    assert (first, account) == ("virgo-factory: this training", "  own: 9 rows in, 9 kept, 0 dropped")
    assert re.fullmatch(r"  slot use: \d\.\d\d with batch_order: shuffle \(.*\)", slots)
    assert model == f"  model: {tmp_path}/out (in it checkpoint-10, epoch-2)"
    assert file == f"  row account: {tmp_path}/out/virgo_rows.json"


def test_the_block_of_a_preference_run(load, monkeypatch):
    from virgo_factory.hooks.start import look_ahead

    told, warned = [], []
    monkeypatch.setattr(look_ahead, "logger", SimpleNamespace(info_rank0=told.append, warning_rank0=warned.append))
    row = {"messages": [{"role": "user", "content": "q"}]}
    row |= {side: {"role": "assistant", "content": thought(n)} for side, n in (("chosen", 3), ("rejected", 5))}
    load([row] * 4, {"ranking": True}, stage="dpo")
    assert not [line for line in warned if "no look ahead" in line]
    assert re.search(r"what this run takes(.|\n)*slot use: \d\.\d\d with batch_order: shuffle\n", told[0] + "\n")


def test_two_loads_at_a_time_are_apart(load, base, tmp_path):
    from virgo_factory.hooks.data.load import loading, running

    row = {"question": "q", "response": thought(1)}
    (tmp_path / "other").mkdir()
    with loading(predicts=False) as outer, ThreadPoolExecutor(1) as pool:
        assert pool.submit(running).result() is None
        module, accounts, _ = load([row] * 3)
        assert running() is outer
        assert (len(module["train_dataset"]), accounts["own"]["rows_in"]) == (3, 3)
        assert outer.accounts == {}
        found, _ = pool.submit(infer, base, tmp_path).result()
        assert len(found) == 3

    assert running() is None
