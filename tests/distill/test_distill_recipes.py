"""The recipes of distillations: what a header says is what the file does, and training sees what was rolled out."""

import json
import re
from pathlib import Path

import pytest

from tests.pages import ROOT, check_style, header, load
from virgo_factory.distill.config import BLOCKS, read_config
from virgo_factory.distill.tell.estimate import estimated


RECIPES = [f"recipes/distill/{name}.yaml" for name in ("dsd_virgo72b", "dsd_virgo7b", "dqvq_qvq72b")]
TRAINED_WITH = {
    "dsd_virgo72b": ("virgo72b_dsd", "virgo72b_dt_dsd"),
    "dsd_virgo7b": ("virgo7b_dsd", "virgo7b_dt_dsd"),
    "dqvq_qvq72b": ("virgo72b_dqvq", "virgo7b_dqvq"),
}


@pytest.fixture(params=RECIPES)
def name(request) -> str:
    return request.param


@pytest.fixture
def config(name):
    return read_config(ROOT / name, files=False)


def test_there_are_no_others():
    found = {path.stem for path in (ROOT / "recipes/distill").glob("*.yaml")} - {"demo", "omr_teacher"}
    assert found == {Path(name).stem for name in RECIPES}


def test_house_style(name):
    check_style(name, BLOCKS)
    assert "Unconfirmed" in header(name)


def test_the_questions_are_those_of_table_1(name, shared_data):
    import csv

    with open(shared_data.parent / "reference" / "virgo_tables.csv", newline="") as file:
        table = {row["row"]: int(row["value"]) for row in csv.DictReader(file) if row["table"] == "1"}

    called = {"Geos": "geos", "GeoQA+": "geoqa_plus", "Geometry3K": "geometry3k", "UniGeo": "unigeo"}
    called |= {"TabMWP": "tabmwp", "FigureQA": "figureqa", "ChartQA": "chartqa", "CLEVR": "clevr"}
    assert load(name)["sources"] == {called[row]: count for row, count in table.items()}


def test_the_header_agrees_on_the_cost(name, config):
    found, text = "\n".join(estimated(config)), header(name)
    questions = re.search(r"^Questions: ([\d,]+)", found, re.MULTILINE)[1]
    greedy, requests = re.search(r"^Requests: ([\d,]+) greedy .*\n  at most ([\d,]+) ", found, re.MULTILINE).groups()
    written, most = re.search(r"^Tokens written: about ([^(]+) \(.*at most (.+)$", found, re.MULTILINE).groups()
    assert f"at most {questions} questions: {greedy} greedy requests" in text
    assert f"at most {requests} samples" in text
    assert f"Tokens written: {written} if a response has 2,000 on average" in text
    assert f"at most {most}." in text


# Bytes of keys and values a token: layers x key-value heads x 128 x 2 x 2, as in KNOWN of preflight/plan/models.py.
KEYS_AND_VALUES = {"72b": 80 * 8 * 128 * 2 * 2, "7b": 28 * 4 * 128 * 2 * 2}


def test_the_header_agrees_on_the_memory(name, config):
    text, parallel = header(name), config.tensor_parallel_size
    each = KEYS_AND_VALUES["7b" if "7b" in name.replace("72b", "") else "72b"] / parallel
    assert re.search(rf"= {each / 1e3:.0f} KB a token", text)
    requests, tokens, taken = re.search(r"(\d+) requests of ([\d,]+) tokens take (\d+) GB", text).groups()
    assert int(requests) == config.requests_in_flight / config.data_parallel_size
    assert int(tokens.replace(",", "")) > config.max_tokens
    assert int(taken) == round(int(requests) * int(tokens.replace(",", "")) * each / 1e9)
    assert int(re.search(r"Hardware: (\d+) GPUs", text)[1]) == parallel * config.data_parallel_size


def test_training_sees_what_was_rolled_out(name, config):
    for recipe in TRAINED_WITH[Path(name).stem]:
        trained = load(f"recipes/{recipe}.yaml")
        assert trained["question_prefix"] == config.question_prefix
        assert trained["image_max_pixels"] == config.image_max_pixels
        assert "image_min_pixels" not in trained, "both take LLaMA-Factory's"
        assert f"recipes/{recipe}.yaml" in header(name) or "_dt_dsd" in recipe
        assert name in (ROOT / f"recipes/{recipe}.yaml").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", [name for name in RECIPES if "dsd" in name], indirect=True)
def test_the_models_are_those_of_the_training_recipes_and_the_words_train_on_it(name, config):
    size = re.search(r"virgo(\d+b)", name)[1]
    first = load(f"recipes/virgo{size}_dt.yaml")
    (epoch,) = first["keep_model_at_epochs"]
    assert config.base_model_name_or_path == first["model_name_or_path"]
    assert config.model_name_or_path == f"{first['output_dir']}/epoch-{epoch}"
    assert (config.samples, config.difficulty, config.responses) == (5, "medium", "shortest"), "virgo.md section 3"
    assert config.response_format == "four_markers"
    words = re.search(r"dataset=(\S+) \\ media_dir=(\S+) output_dir=(\S+)", header(name))
    assert words.groups()[:2] == (config.dataset, str(config.output_dir))
    (recipe,) = set(re.findall(r"recipes/(virgo\d+b_dsd)\.yaml", header(name)))
    assert words[3] != load(f"recipes/{recipe}.yaml")["output_dir"]


def test_qvq_is_split_by_its_adapter():
    config = read_config(ROOT / "recipes/distill/dqvq_qvq72b.yaml", files=False)
    assert (config.response_format, config.difficulty) == ("virgo_dqvq", "any")
    for size in ("7b", "72b"):
        assert load(f"recipes/virgo{size}_dqvq.yaml")["media_dir"] == str(config.output_dir)


def test_the_entry_reads_what_select_writes(name, config):
    entry = json.loads((ROOT / "dataset_info.json").read_text(encoding="utf-8"))[config.dataset]
    assert entry["file_name"] == f"{config.output_dir}/selected.jsonl"
    assert entry["formatting"] == "long_thought"
    made_by = f"virgo-factory distill run {name} && virgo-factory distill select {config.output_dir}"
    assert entry["made_by"] == made_by
    for command in entry["made_by"].split(" && "):
        assert command in header(name)


def test_openmmreasoners_teacher_is_asked_as_the_paper_asks_and_trained_on_as_the_template_says():
    name = "recipes/distill/omr_teacher.yaml"
    config = read_config(ROOT / name, files=False)
    found = (config.samples, config.temperature, config.max_tokens, config.responses, config.k)
    assert found == (8, 1.0, 16384, "first", 8)
    asked = load("recipes/evaluate/omr.yaml")["system"]
    assert config.system == asked.replace("two parts: first", "two parts and nothing else: first")
    trained = load("recipes/omr7b_sft.yaml")
    for key in ("image_max_pixels", "question_prefix"):
        assert trained[key] == getattr(config, key)

    entry = json.loads((ROOT / "dataset_info.json").read_text())[config.dataset]
    assert entry["file_name"] == f"{config.output_dir}/selected.jsonl"
    requests, most = 74_000 * config.samples, 74_000 * config.samples * config.max_tokens
    names = [name.strip() for name in load("recipes/omr7b_gspo.yaml")["dataset"].split(",")]
    assert [name.strip() for name in str(config.questions).split(",")] == names
    assert f"{requests:,} requests for 74,000 questions, at most {most / 1e9:.1f} billion tokens" in header(name)
