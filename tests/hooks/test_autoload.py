"""How the plugin gets in: with `import torch`, whatever comes first, at no cost, and never in the way.

Every case is a process of its own, since an import happens once. Those that import LLaMA-Factory are forked from one
that has imported all that LLaMA-Factory imports (tests/forking.py), or each would take a dozen seconds; what is special
about them is then torch's autoload, LLaMA-Factory and the plugin. One is a program from its start: "hparams first".
"""

import functools
import importlib.metadata
import json
import re
import subprocess
import sys
import textwrap

import pytest

from tests.conftest import clean_environment
from virgo_factory import autoload


def run(code):
    """Return what a fresh Python process prints as JSON on its last line."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, env=clean_environment({})
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def state(fork):
    """A function: what comes first -> what there is then (STATE), told once for each."""

    @functools.cache
    def ask(first: str, **environment: str) -> dict:
        code = STATE.format(first=first)
        return run(code) if first == FRESH else json.loads(fork(code, **environment).splitlines()[-1])

    return ask


def test_it_is_an_entry_point_of_torch():
    entry_points = importlib.metadata.entry_points(group="torch.backends")
    assert [point.value for point in entry_points if point.name == "virgo_factory"] == [
        "virgo_factory.autoload:autoload"
    ]


HEAVY = (
    *("torch", "llamafactory", "transformers", "datasets", "numpy"),
    *("virgo_factory.hooks", "virgo_factory.core.thought"),
)
COST = """
    import json, os, sys, time
    before = set(sys.modules)
    start = time.process_time()
    from virgo_factory.autoload import autoload
    autoload()
    cost = time.process_time() - start
    print(json.dumps([cost, sorted(set(sys.modules) - before)]))
"""


@pytest.mark.slow
def test_it_costs_less_than_ten_milliseconds_and_imports_nothing_heavy():
    run(COST)  # compiles
    costs, imported = zip(*(run(COST) for _ in range(7)), strict=True)
    assert min(costs) < 0.010  # processor seconds, the best of several: other processes run on this machine
    for name in imported[0]:
        assert not any(name == heavy or name.startswith(f"{heavy}.") for heavy in HEAVY), name

    assert len(imported[0]) < 12, imported[0]


@pytest.mark.integration
def test_a_package_that_is_broken_leaves_import_torch_alone(fork):
    finders = "import sys; print([type(finder).__name__ for finder in sys.meta_path][0])"
    assert fork(finders, before=BREAK_EVERYTHING) == "HookFinder\n"


BREAK_EVERYTHING = """
import sys
class Broken:
    def find_spec(self, name, path=None, target=None):
        if name.startswith("virgo_factory.") and name != "virgo_factory.autoload":
            raise RuntimeError(f"{name} is broken")
sys.meta_path.insert(0, Broken())
"""
BREAK_RUN = BREAK_EVERYTHING.replace(
    'name.startswith("virgo_factory.") and name != "virgo_factory.autoload"', 'name == "virgo_factory.hooks.start.run"'
)
TRY_RECIPES = """
    import json, os, sys, types
    from virgo_factory import autoload
    import torch
    import llamafactory.hparams.parser as parser
    from llamafactory.data.template import get_template_and_fix_tokenizer
    from llamafactory.data.converter import get_dataset_converter

    def outcome(what):
        try:
            what()
            return "runs"
        except Exception as error:
            return "\\n".join([f"{type(error).__name__}: {error}", *getattr(error, "__notes__", [])])

    def parse(**keys):
        return lambda: parser.get_train_args({
            "model_name_or_path": "m", "output_dir": "out", "do_train": True, "use_cpu": True, "report_to": "none",
            "dataset": "d", "template": "qwen2_vl", **keys})

    def template():
        data_args = sys.modules["llamafactory.hparams"].DataArguments(template="virgo")
        get_template_and_fix_tokenizer(types.SimpleNamespace(chat_template=None), data_args)

    def convert(formatting):
        data_args = sys.modules["llamafactory.hparams"].DataArguments()
        return lambda: get_dataset_converter(
            formatting, types.SimpleNamespace(formatting=formatting, load_from="file"), data_args)

    print(json.dumps({
        "failures": sorted(autoload.failures),
        "loaded": sorted(set(autoload.HOOKS) & set(sys.modules)),
        "stock": outcome(parse()),
        "key": outcome(parse(overlong="drop")),
        "global batch": outcome(parse(global_batch_size=8)),
        "template": outcome(template),
        "formatting": outcome(convert("virgo_dt")),
        "stock formatting": outcome(convert("alpaca")),
    }))
"""


@pytest.mark.integration
@pytest.mark.parametrize("broken", ["one hook", "all hooks"])
def test_when_hooks_are_broken_stock_runs_go_on_and_ours_refuse(fork, broken):
    one = broken == "one hook"
    found = json.loads(fork(TRY_RECIPES, before=BREAK_RUN if one else BREAK_EVERYTHING).splitlines()[-1])
    failures, loaded = set(found.pop("failures")), found.pop("loaded")
    assert "start.run on llamafactory.hparams.parser" in failures
    assert one or failures == {f"{file} on {name}" for name, file in autoload.HOOKS.items() if name in loaded}
    assert found.pop("stock") == found.pop("stock formatting") == "runs"
    for what, outcome in found.items():
        assert outcome != "runs", what

    for what in ("key", "global batch", *(("template", "formatting") if one else ())):
        assert "could not attach itself to LLaMA-Factory" in found[what], what
        assert "run on llamafactory.hparams.parser: RuntimeError: virgo_factory.hooks" in found[what]
        assert "VIRGO_FACTORY_DISABLE=1" in found[what]


STATE = """
    import json, sys, types
    {first}
    import dataclasses
    import llamafactory.hparams as hparams
    import llamafactory.data.template, llamafactory.data.converter
    kinds = ("DataArguments", "ModelArguments", "FinetuningArguments")
    arguments = {{
        kind: [[f.name, repr(f.default), f.init, f.kw_only] for f in dataclasses.fields(getattr(hparams, kind))]
        for kind in kinds
    }}
    try:
        parsed = hparams.get_train_args({{
            "model_name_or_path": "m", "output_dir": "out", "do_train": True, "use_cpu": True, "report_to": "none",
            "dataset": "virgo_demo_dt", "template": "virgo", "dataset_dir": "nowhere", "global_batch_size": 6, "per_device_train_batch_size": 1,
            "stage": "sft", "finetuning_type": "full", "overlong": "error",
        }})
        parse = [parsed[1].overlong, parsed[2].gradient_accumulation_steps, parsed[1].virgo_used]
    except ValueError as error:
        parse = str(error)
    autoload = sys.modules.get("virgo_factory.autoload")

    # What `datasets` names the caches of a stock run by.
    import os, tempfile
    from datasets.fingerprint import Hasher
    from llamafactory.data.parser import get_dataset_list
    from llamafactory.data.processor import SupervisedDatasetProcessor
    data_args = hparams.DataArguments(dataset="d", template="qwen2_vl", cutoff_len=77)
    (attribute,) = get_dataset_list(["d"], {{"d": {{"file_name": "d.json", "columns": {{"prompt": "q"}}}}}})
    template = sys.modules["llamafactory.data.template"].TEMPLATES["qwen2_vl"]
    rows = SupervisedDatasetProcessor(template=template, tokenizer=None, processor=None, data_args=data_args)
    converter = sys.modules["llamafactory.data.converter"].get_dataset_converter("alpaca", attribute, data_args)
    hashes = [Hasher.hash(one) for one in (data_args, attribute, converter, rows.preprocess_dataset)]

    workflow = sys.modules.get("llamafactory.train.sft.workflow")
    print(json.dumps({{
        "hashes": hashes,
        "trains with": workflow and [workflow.get_dataset.__module__, workflow.CustomSeq2SeqTrainer.__module__],
        "not acting": rebind.not_acting() if (rebind := sys.modules.get("virgo_factory.hooks.hook")) else None,
        "finders": sum(type(finder).__name__ == "HookFinder" for finder in sys.meta_path),
        "failures": sorted(getattr(autoload, "failures", {{}})),
        "arguments": arguments,
        "parse": parse,
        "template": "virgo" in sys.modules["llamafactory.data.template"].TEMPLATES,
        "converter": "virgo_dt" in sys.modules["llamafactory.data.converter"].DATASET_CONVERTERS,
        "hooks": sorted(name for name in sys.modules if name.startswith("virgo_factory.hooks.")),
    }}))
"""
LATE = "import llamafactory.train.tuner, virgo_factory; virgo_factory.register()"
BEHIND = """
    import torch
    from importlib.machinery import PathFinder
    class Checking:  # as typeguard's, jaxtyping's: in front, and it answers for a whole package
        def find_spec(self, name, path=None, target=None):
            return PathFinder.find_spec(name, path, target) if name.startswith("llamafactory.") else None
    sys.meta_path.insert(0, Checking())
    import llamafactory.train.tuner
"""
PROXY = """
    import torch
    from importlib.machinery import PathFinder
    class Proxy:  # as wrapt's: what is set on it is set on the loader that it stands for
        def __init__(self, loader):
            vars(self)["loader"] = loader
        def __getattr__(self, name):
            return getattr(self.loader, name)
        def __setattr__(self, name, value):
            setattr(self.loader, name, value)
        def exec_module(self, module):
            self.loader.exec_module(module)
    class Telling:
        def find_spec(self, name, path=None, target=None):
            if not name.startswith("llamafactory."):
                return None
            spec = PathFinder.find_spec(name, path, target)
            spec.loader = Proxy(spec.loader)
            return spec
    sys.meta_path.insert(0, Telling())
    import llamafactory.train.tuner
    loader = sys.modules["llamafactory.data.loader"]
    assert type(loader.__loader__) is type(loader.__spec__.loader) is Proxy  # as without us
"""
FRESH = "import llamafactory.hparams"
"""Torch is imported, and the plugin called, in the middle of LLaMA-Factory's own imports."""
FIRST = {
    "hparams": FRESH,
    "torch": "import torch",
    "the hooks": "import virgo_factory.hooks.rows.rows",
    "register": "import virgo_factory; virgo_factory.register()",
    "register, late": LATE,
    "behind another hook": BEHIND,
    "behind a proxy": PROXY,
}


@pytest.mark.integration
@pytest.mark.parametrize("first", FIRST)
def test_it_works_whatever_is_imported_first(state, first):
    late = {"TORCH_DEVICE_BACKEND_AUTOLOAD": "0"} if first == "register, late" else {}
    state = state(FIRST[first], **late)
    assert (state["finders"], state["failures"]) == (1, [])
    assert state["parse"] == ["error", 6, True]
    assert state["template"] and state["converter"]
    assert state["not acting"] == []
    if state["trains with"]:
        assert state["trains with"] == ["virgo_factory.hooks.data.loader", "virgo_factory.hooks.train.trainer"]
    keys = {kind: [name for name, *_ in fields] for kind, fields in state["arguments"].items()}
    assert {"overlong", "malformed", "question_prefix"} < set(keys["DataArguments"])
    assert "marker_tokens" in keys["ModelArguments"]
    assert {"global_batch_size", "batch_order", "rl_loss"} < set(keys["FinetuningArguments"])


@pytest.mark.integration
def test_caches_of_stock_runs_keep_their_names(state):
    hashes = state("import torch")["hashes"]
    assert hashes == state("import torch", VIRGO_FACTORY_DISABLE="1")["hashes"]
    assert len(set(hashes)) == 4


@pytest.mark.slow
def test_a_hook_that_does_not_act_is_found(monkeypatch):
    import functools
    import types

    from llamafactory.data import loader
    from llamafactory.train.dpo import workflow

    from virgo_factory.hooks import hook

    autoload.check_hooks()
    ours = loader.get_dataset
    stock = next(old for old in hook._rebound if old.__name__ == "get_dataset")
    monkeypatch.setattr(workflow, "get_dataset", stock)
    with pytest.raises(
        RuntimeError, match=r"llamafactory\.train\.dpo\.workflow\.get_dataset: LLaMA-Factory's own again"
    ):
        autoload.check_hooks()

    monkeypatch.setattr(workflow, "get_dataset", ours)
    again = types.FunctionType(stock.__code__, stock.__globals__, "get_dataset")  # as importlib.reload makes it
    monkeypatch.setattr(loader, "get_dataset", again)
    with pytest.raises(RuntimeError, match=r"register\(\) before LLaMA-Factory is imported"):
        autoload.check_hooks()

    monkeypatch.setattr(loader, "get_dataset", functools.wraps(ours)(lambda *given: ours(*given)))
    autoload.check_hooks()

    monkeypatch.setattr(loader, "get_dataset", ours)
    monkeypatch.setattr(autoload, "applied", autoload.applied - {"llamafactory.data.loader"})
    monkeypatch.setattr(autoload.HookFinder, "apply_to_loaded", lambda finder: None)
    with pytest.raises(RuntimeError, match=r"llamafactory\.data\.loader: imported, but not hooked"):
        autoload.check_hooks()


def test_a_finder_that_was_taken_away_comes_back_and_hooks_nothing_twice(monkeypatch):
    import llamafactory.train.tuner  # noqa: F401
    from llamafactory.data import loader

    ours = loader.get_dataset
    monkeypatch.setattr(sys, "meta_path", [f for f in sys.meta_path if not isinstance(f, autoload.HookFinder)])
    autoload.check_hooks()
    assert isinstance(sys.meta_path[0], autoload.HookFinder)
    assert loader.get_dataset is ours


@pytest.mark.integration
def test_help_lists_every_key(fork):
    import llamafactory.hparams as hparams

    kinds = (hparams.DataArguments, hparams.ModelArguments, hparams.FinetuningArguments)
    keys = [key for kind in kinds for key in kind.VIRGO_KEYS]
    code = "import sys; sys.argv = ['llamafactory-cli', 'train', '-h']; from llamafactory.cli import main; main()"
    text = fork(f"try: exec({code!r})\nexcept SystemExit as end: assert not end.code", COLUMNS="200")
    assert [key for key in keys if f"--{key} " not in text] == []
    assert len(re.findall(r"virgo-factory(?:: |, stage\s+grpo: )", text)) == len(keys) >= 30


@pytest.mark.integration
def test_switched_off_everything_is_stock(state):
    import dataclasses

    import llamafactory.hparams as hparams

    state = state("import torch", VIRGO_FACTORY_DISABLE="1")
    assert (state["finders"], state["failures"], state["hooks"]) == (0, [], [])
    assert "not used by the HfArgumentParser" in state["parse"]
    assert not state["template"] and not state["converter"]
    for kind, stock in state["arguments"].items():
        extended = getattr(hparams, kind)
        own = [[field.name, repr(field.default), field.init, field.kw_only] for field in dataclasses.fields(extended)]
        assert own[: len(stock)] == stock
        assert [(name, default) for name, default, *_ in own[len(stock) :]] == [
            (key, "None") for key in extended.VIRGO_KEYS
        ]
        assert extended.VIRGO_KEYS


@pytest.mark.parametrize(("value", "off"), [("1", True), ("true", True), ("Yes", True), ("0", False), ("", False)])
def test_the_switch(monkeypatch, value, off):
    monkeypatch.setenv("VIRGO_FACTORY_DISABLE", value)
    monkeypatch.setattr(sys, "meta_path", [])
    monkeypatch.setattr(autoload.HookFinder, "apply_to_loaded", lambda finder: None)  # they are hooked already
    autoload.install()
    autoload.install()
    assert len(sys.meta_path) == (0 if off else 1)


def test_autoload_never_raises(monkeypatch):
    monkeypatch.setattr(autoload, "install", lambda: 1 / 0)
    monkeypatch.setattr(autoload, "failures", {})
    autoload.autoload()
    assert isinstance(autoload.failures["autoload"], ZeroDivisionError)
    with pytest.raises(RuntimeError, match="autoload: ZeroDivisionError"):
        autoload.check_hooks()
