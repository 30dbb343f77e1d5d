"""The recipes of evaluations: what a header says is what the file asks, as the paper and the training recipes have it."""

import re
from pathlib import Path

import pytest

from tests.pages import ROOT, check_style, header, load
from virgo_factory.core.errors import UserError
from virgo_factory.evaluation.benchmarks import BENCHMARKS
from virgo_factory.evaluation.config import EvaluationConfig, read_config


RECIPES = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "recipes/evaluate").glob("*.yaml"))
NAMES = ["demo", "demo_gspo", "omr", "text", "virgo", "vision_centric"]


def test_there_are_no_others():
    assert [Path(name).stem for name in RECIPES] == NAMES


@pytest.mark.parametrize("name", RECIPES)
def test_house_style(name):
    assert check_style(name, EvaluationConfig.BLOCKS) == list(EvaluationConfig.BLOCKS)
    assert f"virgo-factory evaluate run {name}" in header(name)


@pytest.mark.parametrize("name", [name for name in RECIPES if "demo" not in name])
def test_the_header_agrees_on_the_cost(name):
    config = read_config(ROOT / name, files=False)
    requests = sum(BENCHMARKS[one].count * config.samples_of(one) for one in config.benchmarks)
    assert f"Cost: {requests:,} requests" in header(name)
    if found := re.search(r"requests; (\d+) million tokens if a response has 2,000", header(name)):
        assert int(found[1]) == round(requests * 2000 / 1e6)


def test_virgo_is_asked_as_the_paper_says_and_with_the_prefix_of_training():
    config, trained = read_config(ROOT / "recipes/evaluate/virgo.yaml", files=False), load("recipes/virgo7b_dt.yaml")
    assert sum(BENCHMARKS[name].count for name in config.benchmarks) == 14_608
    assert (config.max_tokens, config.repetition_penalty, config.temperature) == (8192, 1.05, 0.0)
    assert config.image_max_pixels == 16_384 * 28 * 28
    assert config.question_prefix == trained["question_prefix"]
    assert config.model_name_or_path == f"{trained['output_dir']}/epoch-{trained['keep_model_at_epochs'][0]}"


def test_aime_brings_its_own_samples_and_temperature():
    config = read_config(ROOT / "recipes/evaluate/text.yaml", files=False)
    assert (config.samples_of("aime24"), config.temperature_of("aime24")) == (8, 1.0)
    assert (config.samples_of("mmlu_pro"), config.temperature_of("mmlu_pro")) == (1, 0.0)


@pytest.mark.parametrize("name", ["recipes/virgo7b_dt.yaml", "recipes/virgo72b_dt.yaml"])
def test_the_training_recipes_say_how_the_epoch_is_chosen(name):
    assert f"virgo-factory evaluate choose {load(name)['output_dir']} --dev" in header(name)


def test_what_is_wrong_is_told_all_at_once_with_its_line(tmp_path):
    path = tmp_path / "wrong.yaml"
    path.write_text(
        "benchmarks: [mathversee, mmmu]\nbenchmark_dir: nowhere\nscorer: paper\njudge_url: http://me:key@host/v1\n"
        "paper_row: Virgo-7B DT\nmodel_name_or_path: saves/none\nmax_tokens: 40000\nimage_max_pixel: 5\noutput_dir: out\n",
        encoding="utf-8",
    )
    with pytest.raises(UserError) as error:
        read_config(path)

    told = str(error.value)
    for line in (
        f"{path}:1: benchmarks: not known: mathversee (is it mathverse",
        f"{path}:2: benchmark_dir: no folder nowhere",
        f"{path}:4: judge_url: expected http://HOST:PORT/v1",
        f"{path}:5: paper_row: 'Virgo-7B DT' is no row of a paper's tables. Is it Virgo-7B D_T",
        f"{path}:6: model_name_or_path: no folder saves/none",
        f"{path}:7: max_tokens: 40000 leaves no room",
        f"{path}:8: image_max_pixel: no such key. Did you mean image_max_pixels?",
    ):
        assert line in told, told

    assert "key@host" not in told


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ("", "benchmarks: missing; name at least one, or a file of questions"),
        ("benchmarks: [mathverse]\nscorer: paper", "scorer: paper asks (for mathverse"),
        (
            "benchmarks: [mmstar]\nscorer: paper\njudge_url: http://j/v1\njudge_model: j",
            "scorer: paper has rules for mathverse, ",
        ),
        ("benchmarks: [mmmu]\nscorer: omr", "scorer: omr asks a judge about most responses"),
        ("benchmarks: [charxiv]", "benchmarks: charxiv cannot be judged by rules"),
        ("benchmarks: [mmmu]\njudge_model: m", "a judge needs both"),
        ("benchmarks: [mmmu]\nsamples: 4", "temperature: 0 makes all 4 samples the same"),
        ("benchmarks: {mmmu: 0}", "benchmarks mmmu: 0: expected greater than or equal to 1"),
        ("questions: none.jsonl", "questions: no file none.jsonl"),
        ("benchmarks: [mmmu]\nbenchmark_dir: .", "benchmark_dir: no folder in . for mmmu: the files of MMMU/MMMU"),
    ],
)
def test_what_does_not_go_together(keys, told, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "config.yaml"
    path.write_text(f"{keys}\nmodel_name_or_path: m\nurls: [http://localhost:1]\noutput_dir: out\n", encoding="utf-8")
    with pytest.raises(UserError, match=".*") as error:
        read_config(path)

    assert told in str(error.value)
