"""What training gets: files by stage, entries that are read, prompts for RL."""

import json
from dataclasses import replace

import pytest
import yaml
from PIL import Image

from virgo_factory.data.read.source import find_sources, load_recipe
from virgo_factory.data.rows.stream import measure
from virgo_factory.synthesis.run.folder import DPO as DPO_FILE
from virgo_factory.synthesis.run.folder import SFT as SFT_FILE
from virgo_factory.synthesis.thoughts.export import (
    DPO,
    RL,
    SFT,
    entry_for,
    rl_questions,
    split_by_stage,
    write_entries,
)
from virgo_factory.synthesis.thoughts.pairs import pair_rows
from virgo_factory.synthesis.thoughts.sets import sft_rows
from virgo_factory.synthesis.words import Dropped


@pytest.fixture
def groups(thoughts):
    found = []
    for number in range(4):
        question = replace(thoughts.question, id=f"coco/{number}/ab", stage=1 + number % 2)
        shorts = [thoughts.short(at, "AB"[at], question=question) for at in range(2)]
        found.append(
            (
                question,
                thoughts.scene,
                shorts,
                [thoughts.long(one, at, "BC"[at], question=question) for one in shorts for at in range(2)],
            )
        )

    return lambda: found


def written(path, found):
    path.write_text("".join(json.dumps(row) + "\n" for row in found if isinstance(row, dict)), encoding="utf-8")
    return path


def test_entries_are_read_by_the_commands_of_data(groups, tmp_path, thoughts):
    (tmp_path / "pictures").mkdir()
    Image.new("RGB", (300, 300)).save(tmp_path / "pictures/1.png")
    sft, dpo = (
        written(tmp_path / "08_sft.jsonl", sft_rows(groups, 1.0)),
        written(tmp_path / "09_dpo.jsonl", pair_rows(groups)),
    )
    stages = split_by_stage(dpo)
    assert {stage: path.name for stage, path in stages.items()} == {1: "09_dpo_stage1.jsonl", 2: "09_dpo_stage2.jsonl"}
    lines = [path.read_text().splitlines() for path in (dpo, *stages.values())]
    assert sorted(lines[0]) == sorted(lines[1] + lines[2]) and len(lines[1]) == len(lines[2]) > 0
    entries = {f"mine_{path.stem}": entry_for(path, tmp_path, DPO) for path in (dpo, *stages.values())}
    lines = list(rl_questions(((question, scene) for question, scene, *_ in groups()), "mine"))
    (tmp_path / "rl_questions.jsonl").write_text("".join(lines))
    entries |= {
        "mine_sft": entry_for(sft, tmp_path, SFT),
        "mine_rl": entry_for(tmp_path / "rl_questions.jsonl", tmp_path, RL),
    }
    assert write_entries(tmp_path, entries) == list(entries)
    assert write_entries(tmp_path, entries) == [], "once more changes nothing"
    for name in entries:
        sources, settings = find_sources(name, tmp_path, media_dir=str(tmp_path))
        records = list(measure(sources, settings, workers=1))
        assert records and not [record.reason for record in records if record.reason]


def test_a_stage_without_rows_has_no_file(groups, tmp_path):
    first = [row for row in pair_rows(groups) if isinstance(row, dict) and row["stage"] == 1]
    path = written(tmp_path / "09_dpo.jsonl", first)
    assert list(split_by_stage(path)) == [1]
    assert {path.name for path in tmp_path.iterdir()} == {"09_dpo.jsonl", "09_dpo_stage1.jsonl"}
    path.write_text('{"stage": 3}\n')
    with pytest.raises(ValueError, match=r"09_dpo.jsonl:1: no stage"):
        split_by_stage(path)


def test_an_entry_that_says_more_of_the_same_rows_stays(tmp_path):
    entry = entry_for(tmp_path / "a.jsonl", tmp_path, DPO)
    text = json.dumps({"mine_dpo": {**entry, "made_by": "virgo-factory synthesize run mine.yaml"}})
    (tmp_path / "dataset_info.json").write_text(text)
    assert write_entries(tmp_path, {"mine_dpo": entry}) == []
    assert (tmp_path / "dataset_info.json").read_text() == text


def test_a_name_that_another_entry_has_is_refused(tmp_path):
    (tmp_path / "dataset_info.json").write_text('{"mine_sft": {"file_name": "others.jsonl"}}')
    with pytest.raises(ValueError, match="mine_sft is there already"):
        write_entries(tmp_path, {"mine_sft": entry_for(tmp_path / "a.jsonl", tmp_path, SFT)})


def test_a_question_with_a_control_token_is_told(thoughts):
    bad = replace(thoughts.question, options=("red", "<image>", "green", "white"))
    (line, dropped) = rl_questions([(thoughts.question, thoughts.scene), (bad, thoughts.scene)], "mine")
    row = json.loads(line)
    assert (row["gold"], row["images"], row["kind"]) == ("B", ["pictures/1.png"], "choice")
    assert isinstance(dropped, Dropped) and dropped.reason == "control token in the option"


@pytest.mark.slow
def test_questions_become_prompts_for_verl(thoughts, tmp_path, root):
    """By `reinforce export`, as those of any dataset of `formatting: questions`."""
    import pyarrow.parquet as pq

    from virgo_factory.reinforce.prompts import Prompts
    from virgo_factory.reinforce.verl import export_verl

    (tmp_path / "pictures").mkdir()
    Image.new("RGB", (300, 300)).save(tmp_path / "pictures/1.png")
    path = tmp_path / "10_rl_questions.jsonl"
    many = [(replace(thoughts.question, id=f"coco/{number}"), thoughts.scene) for number in range(128)]
    path.write_text("".join(rl_questions(many, "mine")), encoding="utf-8")
    write_entries(tmp_path, {"mine_rl": entry_for(path, tmp_path, RL)})
    sources, settings = find_sources("mine_rl", tmp_path, media_dir=str(tmp_path), template="omr")
    keys = load_recipe(str(root / "recipes/omr7b_gspo.yaml"))
    assert export_verl(keys, Prompts(sources, settings), tmp_path / "verl").rows == 128
    row = pq.read_table(tmp_path / "verl" / "train.parquet").to_pylist()[0]
    asked = "<image>What colour is the cup?\n(A) red\n(B) blue\n(C) green\n(D) white"
    assert row["prompt"][-1] == {"role": "user", "content": asked} and "<think>" in row["prompt"][0]["content"]
    assert row["reward_model"] == {"style": "rule", "ground_truth": "B"} and len(row["images"]) == 1
    assert json.loads(row["extra_info"]["asked"])["options"] == ["red", "blue", "green", "white"]


def test_the_recipes_train_on_what_the_synthesis_writes(root):
    made = yaml.safe_load((root / "recipes/synthesize/lgt.yaml").read_text(encoding="utf-8"))
    info = json.loads((root / "dataset_info.json").read_text(encoding="utf-8"))
    paths = {
        "sft": f"{SFT_FILE}.jsonl",
        "dpo_stage1": f"{DPO_FILE}_stage1.jsonl",
        "dpo_stage2": f"{DPO_FILE}_stage2.jsonl",
    }
    for name, file in paths.items():
        recipe = load_recipe(str(root / f"recipes/lgt7b_{name}.yaml"))
        assert recipe["dataset"] == f"{made['dataset']}_{name}"
        entry, path = info[recipe["dataset"]], root / made["output_dir"] / file
        assert {**entry, "made_by": ""} == {**entry_for(path, root, name[:3]), "made_by": ""}
        assert (recipe["media_dir"], recipe["image_max_pixels"]) == (made["media_dir"], made["image_max_pixels"])
