"""The command line as a user meets it: help, errors, and `recipes list | show | copy`."""

import importlib
import json
import os
import re
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from folders import read_only_copy

import virgo_factory
from virgo_factory.cli.main import VERBS
from virgo_factory.io.files import DATASET_INFO, RECIPES
from virgo_factory.io.recipes import merge_entries, recipe_files, scan_object


GROUPS = {name: importlib.import_module(f"virgo_factory.cli.{name}") for name in VERBS}
GROUPS = {name: list(module.VERBS) for name, module in GROUPS.items() if hasattr(module, "VERBS")}
CALLS = [f"{name} {verb}" for name, verbs in GROUPS.items() for verb in verbs]
CALLS += [*VERBS, "checkpoint check", "recipes list", "recipes show", "recipes copy"]


@pytest.mark.slow
def test_help_answers_at_once():
    command = [sys.executable, "-m", "virgo_factory.cli.main", "--help"]
    subprocess.run(command, check=True, capture_output=True)  # compiles the bytecode
    seconds = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert subprocess.run(command, capture_output=True).returncode == 0
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        # Processor time: the wall clock of a busy machine says nothing about us. On an idle one they are the same.
        seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)

    assert min(seconds) < 0.3


def test_help_imports_no_verb_and_no_torch():
    code = (
        "import sys; from virgo_factory.cli.main import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "print(sorted(name for name in sys.modules if name.startswith('virgo_factory.cli.') or name == 'torch'))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.stdout.splitlines()[-1] == "['virgo_factory.cli.lazy', 'virgo_factory.cli.main']", run.stderr


@pytest.mark.slow
def test_the_help_of_no_verb_imports_anything_heavy():
    code = (
        "import sys; from virgo_factory.cli.main import main\n"
        f"for call in {CALLS}:\n"
        "    sys.argv[1:] = [*call.split(), '--help']\n"
        "    try: main()\n"
        "    except SystemExit as ended: assert not ended.code, call\n"
        "heavy = {'numpy', 'pyarrow', 'PIL', 'rich', 'sympy', 'tokenizers', 'torch', 'transformers'}\n"
        "print(sorted(heavy & sys.modules.keys()))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.stdout.splitlines()[-1] == "[]", run.stdout + run.stderr


def test_help_names_every_verb_and_ends_with_an_example(call):
    code, out, _ = call("--help")
    assert code == 0
    for verb, line in VERBS.items():
        assert f" {verb} {line} " in " ".join(out.split())

    assert out.rstrip().splitlines()[-1].strip().startswith("llamafactory-cli train recipes/")


@pytest.mark.parametrize("words", CALLS)
def test_each_help_fits_a_terminal_and_ends_with_an_example(call, words):
    code, out, _ = call(*words.split(), "--help")
    about, _, example = out.rpartition("Example")
    assert code == 0 and about.startswith(f"Usage: virgo-factory {words} ") and f"virgo-factory {words}" in example
    assert max(map(len, out.splitlines())) <= 80


@pytest.mark.parametrize("name", GROUPS)
def test_a_group_names_its_verbs(call, name):
    code, out, _ = call(name)
    assert not code and re.findall(r"^  (\w+) ", out.partition("Verbs:")[2], re.MULTILINE) == GROUPS[name]


def test_version(call):
    assert call("--version") == (0, f"virgo-factory {virgo_factory.__version__}\n", "")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["train"], "No such command 'train'. There are checkpoint, data, "),
        (["data", "chek"], "No such command 'chek'. Is check meant?"),
        (["evalute", "run"], "No such command 'evalute'. Is evaluate meant?"),
        (["recipes", "copy"], "Missing argument 'DIR'. Options and an example: virgo-factory recipes copy --help"),
        (["recipes", "list", "--all"], "No such option"),
        (["smoke", "x.yaml", "--ranks", "0"], "equal to 1. Options and an example: virgo-factory smoke --help"),
        (["recipes", "show", "virgo8b"], "no recipe virgo8b. Did you mean virgo7b_d"),
        (["recipes", "show", "nothing"], "no recipe nothing. All there are: virgo-factory recipes list"),
        (["recipes", "show", "../setup.cfg"], "no recipe ../setup.cfg"),
    ],
)
def test_a_users_error_is_one_line_and_exit_code_1(call, arguments, said):
    code, out, err = call(*arguments)
    assert (code, out) == (1, "")
    assert err.startswith("virgo-factory: ") and said in err
    assert len(err.splitlines()) == 1


def test_list_names_every_recipe(call):
    code, out, _ = call("recipes", "list")
    names = [line.split("  ")[0] for line in out.splitlines()]
    assert code == 0
    assert names == [name for name in recipe_files() if name.endswith(".yaml")]
    assert all(len(line.split("  ", 1)[1].strip()) > 20 for line in out.splitlines()), "a recipe without a headline"


@pytest.mark.parametrize("name", ["virgo7b_dt", "virgo7b_dt.yaml", "recipes/virgo7b_dt.yaml"])
def test_show_prints_the_file(call, name):
    assert call("recipes", "show", name) == (0, (RECIPES / "virgo7b_dt.yaml").read_text(), "")


def copied(folder: Path) -> dict[str, bytes]:
    """Return every file below a folder."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_copy_gives_everything_a_recipe_names(call, tmp_path):
    code, out, _ = call("recipes", "copy", tmp_path / "new")
    assert code == 0
    assert copied(tmp_path / "new" / "recipes") == {name: (RECIPES / name).read_bytes() for name in recipe_files()}
    assert json.loads((tmp_path / "new/dataset_info.json").read_text()) == json.loads(DATASET_INFO.read_text())
    assert out.endswith(f"files written; {len(json.loads(DATASET_INFO.read_text()))} entries in dataset_info.json.\n")

    before = copied(tmp_path)
    assert call("recipes", "copy", tmp_path / "new")[:2] == (0, "Nothing to do: all of it is there already.\n")
    assert copied(tmp_path) == before


THEIRS = """\
{
    "identity": {"file_name": "identity.json"},
    "alpaca_en": {
        "hf_hub_url": "llamafactory/alpaca_en",
        "columns": {"prompt": "instruction", "query": "input"}
    }
}
"""


def test_copy_keeps_what_is_in_dataset_info(call, tmp_path):
    (tmp_path / "dataset_info.json").write_text(THEIRS)
    assert call("recipes", "copy", tmp_path)[0] == 0
    text = (tmp_path / "dataset_info.json").read_text()
    assert text.startswith(THEIRS.rstrip("}\n")), "order or formatting changed"
    assert list(json.loads(text)) == ["identity", "alpaca_en", *json.loads(DATASET_INFO.read_text())]
    assert '\n    "virgo_dt": {\n        "hf_hub_url"' in text, "not indented as the file is"


def test_copy_refuses_to_overwrite_and_lists_all_of_it(call, tmp_path):
    call("recipes", "copy", tmp_path)
    edited = tmp_path / "recipes/virgo7b_dt.yaml"
    edited.write_text("mine: true\n")
    info = json.loads(DATASET_INFO.read_text())
    info["virgo_dt"] = {"file_name": "mine.jsonl", "formatting": "virgo_dt"}
    (tmp_path / "dataset_info.json").write_text(json.dumps(info, indent=2))
    (tmp_path / "recipes/virgo72b_dt.yaml").unlink()
    before = copied(tmp_path)

    code, _, err = call("recipes", "copy", tmp_path)
    assert code == 1
    assert str(edited) in err and "entry virgo_dt" in err and "--force" in err
    assert copied(tmp_path) == before, "something was written although something differs"

    assert call("recipes", "copy", tmp_path, "--force")[0] == 0
    assert edited.read_bytes() == (RECIPES / "virgo7b_dt.yaml").read_bytes()
    assert json.loads((tmp_path / "dataset_info.json").read_text()) == json.loads(DATASET_INFO.read_text())


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{\n  "a": {},\n  "b": {"file_name": }\n}', ":3: broken JSON"),
        (b'{\n  "a": {},\n', ":3: broken JSON"),
        (b"", ":1: broken JSON"),
        (b"[]", ":1: not a JSON object"),
        (b'{\n  "a": {},\n  "a": {}\n}', ":3: a stands there a second time"),
        (b'{\n  "a": "\xff"\n}', ":2: not UTF-8"),
    ],
)
def test_a_broken_dataset_info_is_named_with_its_line_and_left_alone(call, tmp_path, content, said):
    file = tmp_path / "dataset_info.json"
    file.write_bytes(content)
    code, _, err = call("recipes", "copy", tmp_path)
    assert code == 1
    assert f"{file}{said}" in err
    assert copied(tmp_path) == {"dataset_info.json": content}


def test_a_folder_that_is_a_file_is_an_error(call, tmp_path):
    (tmp_path / "recipes").write_text("")
    code, _, err = call("recipes", "copy", tmp_path)
    assert code == 1 and str(tmp_path / "recipes") in err


def test_a_folder_that_cannot_be_written_to_is_named_with_what_to_do(call, tmp_path):
    with read_only_copy(tmp_path) as there:
        for command in (("recipes", "copy", there), ("data", "add", "mine", "my/hub", "--dataset-dir", there)):
            code, _, err = call(*command)
            assert code == 1 and f"{there}: this folder for the output cannot be" in err and "Errno" not in err


def test_dataset_info_is_never_half_written(call, tmp_path, monkeypatch):
    file = tmp_path / "dataset_info.json"
    file.write_text(THEIRS)
    file.chmod(0o640)
    moves = []

    def refuse(source, target):
        moves.append(Path(target).name)
        if Path(target) == file:
            raise OSError(28, "No space left on device")

        move(source, target)

    move = os.replace
    monkeypatch.setattr(os, "replace", refuse)
    code, _, err = call("recipes", "copy", tmp_path)
    assert code == 1 and "No space left" in err
    assert file.read_text() == THEIRS
    assert moves[-1] == "dataset_info.json", "written before the files it names"
    assert not [path for path in tmp_path.rglob(".*") if path.is_file()], "a temporary file was left"

    monkeypatch.setattr(os, "replace", move)
    assert call("recipes", "copy", tmp_path)[0] == 0
    assert file.stat().st_mode & 0o777 == 0o640


def test_a_linked_dataset_info_stays_a_link(call, tmp_path):
    (tmp_path / "real.json").write_text(THEIRS)
    (tmp_path / "dataset_info.json").symlink_to("real.json")
    assert call("recipes", "copy", tmp_path)[0] == 0
    assert (tmp_path / "dataset_info.json").is_symlink()
    assert "virgo_dt" in json.loads((tmp_path / "real.json").read_text())


ENTRY = {"new": {"file_name": "n.jsonl", "formatting": "virgo_dt"}}


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        "{\n}\n",
        '{"a": {"x": [1, {"y": "}"}]}}',
        '{"a": 1,\n "b": {"c": "\\"new\\": {}"}\n}\n\n',
        '{\r\n\t"a": {\r\n\t\t"b": null\r\n\t}\r\n}\r\n',
        ' \n{ "\u00e9": {"k": "\u4e2d"} }',
    ],
)
def test_merging_changes_nothing_but_adds(text):
    merged, written, differing = merge_entries(text, ENTRY)
    assert (written, differing) == (["new"], [])
    assert json.loads(merged) == {**json.loads(text), **ENTRY}
    assert list(json.loads(merged))[-1] == "new"
    spans = scan_object(text)[1]
    if spans:
        kept = text[: max(stop for _, stop in spans.values())]
        assert merged.startswith(kept)

    assert ("\r\n" in text) == ("\r\n" in merged)
    assert merge_entries(merged, ENTRY) == (merged, [], [])


def test_force_replaces_in_place():
    text = '{"a": 1, "new": {"file_name": "old.jsonl"}, "b": 2}'
    assert merge_entries(text, ENTRY) == (text, [], ["new"])
    merged, written, differing = merge_entries(text, ENTRY, force=True)
    assert (written, differing) == (["new"], ["new"])
    assert json.loads(merged) == {"a": 1, **ENTRY, "b": 2}
    assert list(json.loads(merged)) == ["a", "new", "b"]
