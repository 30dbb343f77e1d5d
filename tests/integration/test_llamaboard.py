"""LlamaBoard lists and previews our datasets, by its own functions."""

import json

import pytest


pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def board():
    """The functions behind LlamaBoard's dataset box: which there are, whether one can be shown, and its rows."""
    from llamafactory.webui.components.data import can_preview, get_preview
    from llamafactory.webui.control import list_datasets

    return list_datasets, can_preview, get_preview


def test_the_entries_that_ship(board, root):
    """All are listed for supervised training; the one whose file ships can be looked at, page by page."""
    list_datasets, can_preview, get_preview = board
    entries = json.loads((root / "dataset_info.json").read_text(encoding="utf-8"))
    listed = [name for name, _ in list_datasets(str(root), "Supervised Fine-Tuning").choices]
    assert listed == [name for name, entry in entries.items() if not entry.get("ranking")]
    local = [name for name, entry in entries.items() if (root / entry.get("file_name", "no file")).is_file()]
    assert "virgo_demo_dt" in local
    for name, entry in entries.items():
        assert can_preview(str(root), [name]).interactive == (name in local)
        if name in local:
            lines = (root / entry["file_name"]).read_text(encoding="utf-8").splitlines()
            count, rows, _ = get_preview(str(root), [name], 1)
            assert (count, rows) == (len(lines), [json.loads(line) for line in lines[2:4]])


def test_files_that_we_write(board, tmp_path):
    """A file in the normal form, its pairs apart, under entries with our own keys."""
    from virgo_factory.core.example import Example
    from virgo_factory.core.thought import LongThought
    from virgo_factory.data.make.writing import write_rows
    from virgo_factory.data.rows.entry import write_entry

    list_datasets, can_preview, get_preview = board
    examples = [
        Example(id=f"e{n}", question=f"{n}?", response=LongThought("Hm.\n\nWait.", f"{n} é")) for n in range(5)
    ]
    write_rows(tmp_path / "own.jsonl", examples)
    entry = {"file_name": "own.jsonl", "formatting": "long_thought"}
    write_entry(tmp_path, "own", entry | {"responses": "all"})
    write_entry(tmp_path, "pairs", entry | {"ranking": True})
    for stage, names in (("Supervised Fine-Tuning", ["own"]), ("DPO", ["pairs"])):
        assert [name for name, _ in list_datasets(str(tmp_path), stage).choices] == names

    assert can_preview(str(tmp_path), ["own"]).interactive
    count, rows, _ = get_preview(str(tmp_path), ["own"], 2)
    assert count == 5
    assert [(row["id"], row["thought"], row["solution"]) for row in rows] == [("e4", "Hm.\n\nWait.", "4 é")]


def test_template_and_keys(tmp_path, monkeypatch):
    """Our templates stand in its box, and keys of ours in "Extra arguments" come through its command into the run."""
    import gradio
    import yaml
    from llamafactory.hparams import get_train_args
    from llamafactory.webui import common
    from llamafactory.webui.common import save_cmd
    from llamafactory.webui.components import create_top, create_train_tab
    from llamafactory.webui.engine import Engine

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(common, "DEFAULT_CACHE_DIR", str(tmp_path))
    (tmp_path / "own.jsonl").write_text('{"question": "q", "combined_text": "..."}\n')
    (tmp_path / "dataset_info.json").write_text('{"own": {"file_name": "own.jsonl", "formatting": "virgo_dt"}}')
    engine = Engine(demo_mode=False, pure_chat=False)
    with gradio.Blocks():
        engine.manager.add_elems("top", create_top())
        engine.manager.add_elems("train", create_train_tab(engine))

    fields = {element: getattr(element, "value", None) for element in engine.manager.get_elem_list()}

    def fill(name, value):
        fields[engine.manager.get_elem_by_id(name)] = value

    choices = engine.manager.get_elem_by_id("top.template").choices
    assert {("virgo", "virgo"), ("virgo_qwen3_vl", "virgo_qwen3_vl")} <= set(choices)
    ours = {"question_prefix": "virgo", "overlong": "error", "global_batch_size": 4, "keep_model_at_epochs": [2]}
    fill("top.model_name", "Custom")
    fill("top.model_path", "m")
    fill("top.finetuning_type", "full")
    fill("top.template", "virgo")
    fill("train.training_stage", "Supervised Fine-Tuning")
    fill("train.dataset_dir", str(tmp_path))
    fill("train.dataset", ["own"])
    fill("train.output_dir", str(tmp_path / "out"))
    fill("train.gradient_accumulation_steps", 1)
    fill("train.batch_size", 1)
    fill("train.extra_args", json.dumps(ours | {"use_cpu": True, "report_to": "none"}))
    args = engine.runner._parse_train_args(fields)
    recipe = yaml.safe_load((tmp_path / save_cmd(args)).read_text())
    assert recipe["template"] == "virgo" and ours.items() <= recipe.items()
    _, data_args, training_args, finetuning_args, _ = get_train_args(recipe)
    assert (data_args.overlong, data_args.question_prefix, data_args.virgo_used) == ("error", "virgo", True)
    assert (training_args.gradient_accumulation_steps, finetuning_args.keep_model_at_epochs) == (4, [2])

    monkeypatch.setenv("LLAMABOARD_ENABLED", "1")
    with pytest.raises(ValueError, match="accumulation_steps: set Gradient accumulation to 1 in LlamaBoard"):
        get_train_args(recipe | {"gradient_accumulation_steps": 8})  # LlamaBoard's own default


def test_the_preview_reads_what_a_run_reads(board, tmp_path):
    """Blank lines, a split, a table with pictures in it; a broken file is told; stock datasets are shown as ever."""
    import gradio
    import pyarrow
    import pyarrow.parquet

    _, can_preview, get_preview = board
    rows = [{"id": f"r{n}", "question": "q", "combined_text": "..."} for n in range(10)]
    (tmp_path / "lines.jsonl").write_text("\ufeff" + "\n\n".join(map(json.dumps, rows)) + "\n\n", encoding="utf-8")
    (tmp_path / "stock.json").write_text(json.dumps([{"instruction": "a", "output": "b"}] * 3))
    (tmp_path / "broken.jsonl").write_text('{"question": "q"}\n{"question":\n')
    table = [row | {"image": {"bytes": b"12345", "path": "a.png"}} for row in rows]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(table), tmp_path / "table.parquet")
    info = {
        "lines": {"file_name": "lines.jsonl", "formatting": "long_thought"},
        "cut": {"file_name": "lines.jsonl", "formatting": "long_thought", "split": "train[70%:]"},
        "table": {"file_name": "table.parquet", "formatting": "long_thought"},
        "broken": {"file_name": "broken.jsonl", "formatting": "long_thought"},
        "stock": {"file_name": "stock.json"},
        "several": {"file_name": "lin*.jsonl", "formatting": "long_thought"},
        "gone": {"file_name": "gone.jsonl", "formatting": "long_thought"},
    }
    (tmp_path / "dataset_info.json").write_text(json.dumps(info))
    assert get_preview(str(tmp_path), ["lines"], 1)[:2] == (10, rows[2:4])
    shown = gradio.JSON().postprocess(get_preview(str(tmp_path), ["lines"], 1)[1])
    # Of a stock list it is a model, sent as "root=[...]" without a queue.
    assert type(shown) is list and shown == rows[2:4]
    assert type(gradio.JSON().postprocess(rows)).__name__ == "JsonData"
    assert get_preview(str(tmp_path), ["cut"], 1)[:2] == (3, rows[9:])
    assert get_preview(str(tmp_path), ["cut"], 5)[:2] == (3, [])
    shown = rows[0] | {"image": {"bytes": "5 bytes", "path": "a.png"}}
    assert get_preview(str(tmp_path), ["table"], 0)[1][0] == shown
    with pytest.raises(gradio.Error, match=r"broken.jsonl:2: not JSON"):
        get_preview(str(tmp_path), ["broken"], 0)

    assert get_preview(str(tmp_path), ["several"], 1)[:2] == (10, rows[2:4])
    shown = {name: can_preview(str(tmp_path), [name]).interactive for name in (*info, "virgo_demo_dt")}
    assert shown == dict.fromkeys(info, True) | {"gone": False, "virgo_demo_dt": True}
    assert get_preview(str(tmp_path), ["virgo_demo_dt"], 0)[0] > 100  # of the package: its name can be typed in
    assert get_preview(str(tmp_path), ["stock"], 0)[:2] == (3, [{"instruction": "a", "output": "b"}] * 2)
