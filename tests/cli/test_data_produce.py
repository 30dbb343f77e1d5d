"""`data stats`, `mix`, `slice` and `convert` as they are called: what they print is what their help shows."""

import json
import subprocess
import sys
import time

import pytest

from virgo_factory.cli.data.stats import _show as show_stats
from virgo_factory.data.read.source import Settings
from virgo_factory.data.rows.worker import RowRecord
from virgo_factory.data.show.stats import measure_statistics


def test_json_is_the_card_and_the_card_names_the_command(call, tmp_path):
    code, out, _ = call("data", "mix", "a.jsonl", "virgo_demo_dt[math]:7", "--seed", "3", "--json")
    (told,) = json.loads(out)
    card = json.loads((tmp_path / "a.card.json").read_text())
    assert code == 0 and told == {"path": "a.jsonl", **card}
    assert card["command"] == "virgo-factory data mix a.jsonl 'virgo_demo_dt[math]:7' --seed 3 --json"
    assert card["kept"] == 7 == len((tmp_path / "a.jsonl").read_text().splitlines())
    assert card["entry"]["a"]["formatting"] == "long_thought" and card["settings"]["seed"] == 3

    (tmp_path / "dataset_info.json").write_text(json.dumps(card["entry"]))  # the line that is printed works
    code, out, err = call("data", "stats", "a", "--json")
    assert err == "Measurements are kept for the next time in .virgo_factory; delete it when you like.\n"
    assert code == 0 and json.loads(out)["by"]["domain"]["math"]["rows"] == 7


@pytest.mark.parametrize("columns", ["40", "60", "80", "120", ""])
def test_stats_cut_no_figure(columns, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", columns)
    names = ["a_domain_with_a_name_of_38_letters_in_it", "[red]x"]
    values = {"format": "think", "images": 1_234_567}
    records = [RowRecord(0, 0, 0, number=n, domain=f, tokens=123_456_789 + n, **values) for n, f in enumerate(names)]
    show_stats(measure_statistics(records), "all", Settings(cutoff_len=1000))
    out = capsys.readouterr().out
    assert "…" not in out and {character for name in names for character in name} <= set(out)
    for figure in ("246,913,579", "123,456,789", "123,456,790", "2,469,134", "1,234,567", "100.0%", "median"):
        assert figure in out, figure

    if columns in ("60", "80", "120"):
        lines = [line for line in out.splitlines() if "cutoff_len" not in line]
        assert max(len(line.rstrip()) for line in lines) <= int(columns)


@pytest.mark.slow
def test_a_slice_of_a_slice_and_of_a_mix(call, tmp_path, model_folder):
    assert call("data", "mix", "m.parquet", "virgo_demo_dt:100")[0] == 0
    tokenizer = str(model_folder)
    code, out, _ = call(
        "data", "slice", "m.parquet", "s.jsonl", "--tokens", "250:", "--tokenizer", tokenizer, "--json"
    )
    (card,) = json.loads(out)
    assert code == 0 and card["rows_in"] == 100 == card["kept"] + card["dropped"]["response < 250 tokens"]
    assert call("data", "convert", "s.jsonl", "again.jsonl")[0] == 0
    assert (tmp_path / "again.jsonl").read_bytes() == (tmp_path / "s.jsonl").read_bytes()


def test_a_file_cut_by_pass_rate_is_read_as_questions(call, tmp_path):
    (tmp_path / "q.jsonl").write_text('{"question": "2 + 2?", "gold": "4", "pass_rate": 0.5}\n')
    code, out, _ = call("data", "slice", "q.jsonl", "s.jsonl", "--pass-rate", "0.1:0.9")
    assert code == 0 and '"formatting": "questions"' in out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("mix", "a.jsonl", "virgo_demo_dt:900"), "virgo_demo_dt: 900 rows asked for, 318 there."),
        (("mix", "a.txt", "virgo_demo_dt:9"), "ends with .jsonl or .parquet"),
        (("mix", "a.jsonl", "nothing:9"), "nothing: no dataset of that name"),
        (("slice", "virgo_demo_dt", "a.jsonl", "--tokens", "1:9"), "Add --tokenizer"),
        (("slice", "virgo_demo_dt", "a.jsonl", "--tokens", "9:1"), "write FROM:TO"),
        (("convert", "nothing.jsonl", "a.jsonl"), "nothing.jsonl: no such file"),
        (("convert", "virgo_demo_dt", "a.jsonl", "--responses", "x"), "--responses x: it is one of shortest, all."),
        (("stats", "nothing"), "nothing: no dataset of that name"),
    ],
)
def test_errors_say_what_to_do(call, tmp_path, arguments, words):
    code, out, err = call("data", *arguments)
    assert (code, out) == (1, "") and err.startswith("virgo-factory: ") and words in err
    assert not [path for path in tmp_path.iterdir() if path.name != ".virgo_factory"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("mix", "a.jsonl", "pairs", "single"), "pairs holds preference pairs, single single responses"),
        (("mix", "a.jsonl", "single", "prompts"), "prompts: prompts without responses"),
        (("slice", "prompts", "a.jsonl", "--rows", "1"), "prompts: prompts without responses"),
        (("convert", "prompts", "a.jsonl"), "prompts: prompts without responses"),
    ],
)
def test_rows_that_no_stage_trains_on_from_one_file_are_not_written(call, tmp_path, arguments, words):
    said = {"thought": "Two twos.", "solution": "4"}
    rows = {
        "pairs": {"question": "2 + 2?", **said, "rejected": said | {"solution": "5"}},
        "single": {"question": "2 + 2?", **said},
        "prompts": {"question": "2 + 2?", "gold": "4"},
    }
    entries = {name: {"file_name": f"{name}.jsonl", "formatting": "long_thought"} for name in rows}
    entries["pairs"]["ranking"], entries["prompts"]["formatting"] = True, "questions"
    (tmp_path / "dataset_info.json").write_text(json.dumps(entries))
    for name, row in rows.items():
        (tmp_path / f"{name}.jsonl").write_text(json.dumps(row) + "\n")

    code, _, err = call("data", *arguments)
    assert code == 1 and words in err and not (tmp_path / "a.jsonl").exists()


def test_stats_of_rows_of_which_none_is_usable(call, tmp_path):
    (tmp_path / "rows.jsonl").write_text('{"question": "Q?", "response": "no thought"}\n' * 3)
    code, out, _ = call("data", "stats", "rows.jsonl", "--plots", "plots")
    assert code == 1 and "3 rows, 0 usable, 3 left out:" in out and not (tmp_path / "plots").exists()


def test_a_recipe_means_what_it_trains_on(call, tmp_path, root, monkeypatch):
    recipe = (root / "recipes/virgo_demo_dt.yaml").read_text(encoding="utf-8")
    (tmp_path / "my.yaml").write_text(recipe + "\neval_dataset: virgo_demo_dt\n")
    code, out, _ = call(
        "data", "slice", "my.yaml", "a.jsonl", "--dataset-dir", str(root), "--domain", "code", "--json"
    )
    (card,) = json.loads(out)
    assert code == 0 and card["rows_in"] == 320 and card["by"]["domain"] == {"code": 14}
    code, _, error = call("data", "stats", "my.yaml", "dataset=nowhere", "--dataset-dir", str(root))
    assert code == 1 and "nowhere: no such dataset" in error


@pytest.mark.integration
def test_killed_while_it_writes_and_started_again(tmp_path, root):
    rows = (root / "recipes/demo/long_thoughts.jsonl").read_text(encoding="utf-8")
    (tmp_path / "rows.jsonl").write_text(rows * 25, encoding="utf-8")
    line = [sys.executable, "-m", "virgo_factory.cli.main", "data", "convert", "rows.jsonl", "out.jsonl"]
    process = subprocess.Popen(line, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    while process.poll() is None and not (tmp_path / ".out.jsonl.spool").exists():
        time.sleep(0.01)

    process.kill()
    process.communicate()
    assert process.returncode == -9 and not (tmp_path / "out.jsonl").exists()
    assert (tmp_path / ".out.jsonl.spool").exists()
    subprocess.run(line, cwd=tmp_path, check=True, capture_output=True)
    assert len((tmp_path / "out.jsonl").read_bytes().splitlines()) == 318 * 25
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"rows.jsonl", "out.jsonl", "out.card.json", "out.card.md"}
