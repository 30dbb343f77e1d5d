"""The configuration of a distillation: every error at once, with its line; no secret in a message or a file."""

import re

import pytest
import yaml

from virgo_factory.distill.config import BLOCKS, SOURCES, DistillConfig, questions_wanted, read_config, read_folder
from virgo_factory.distill.sources import SOURCES as READ
from virgo_factory.evaluation.config import read_config as read_evaluation
from virgo_factory.io.files import RECIPES
from virgo_factory.io.recipes import ASKING, asking_verb, is_training


TRAINING = """\
model_name_or_path: Qwen/Qwen2-VL-7B-Instruct
stage: sft
do_train: true
dataset: virgo_dt
template: virgo
output_dir: saves/x
"""

GOOD = """\
### questions
sources:
  tabmwp: 3
  clevr: 4

### rollout model
model_name_or_path: Qwen/QVQ-72B-Preview

### output
output_dir: out
dataset: mine
"""


@pytest.fixture
def write(tmp_path):
    """A function that writes GOOD with more lines behind it and returns the path."""

    def write(more: str = "", text: str = GOOD):
        path = tmp_path / "config.yaml"
        path.write_text(text + more, encoding="utf-8")
        return path

    return write


def test_a_good_one(write):
    config = read_config(write())
    assert (config.sources, config.samples, config.question_prefix) == ({"tabmwp": 3, "clevr": 4}, 5, "none")
    assert (config.image_max_pixels, config.image_min_pixels) == (768 * 768, 32 * 32), "LLaMA-Factory's defaults"
    assert config.base_model_name_or_path is None


def test_overrides_are_yaml(write):
    given = ["urls=[http://a:8000/,https://b:1/v1]", "sources={geos: 2}", "cut_loops=false", "max_hours=0.5", "seed=7"]
    config = read_config(write(), given)
    assert config.urls == ("http://a:8000", "https://b:1/v1")
    assert read_config(write(), ["urls=http://a:8000/, https://b:1/v1"]).urls == config.urls
    assert (config.sources, config.cut_loops, config.max_hours, config.seed) == ({"geos": 2}, False, 0.5, 7)
    assert questions_wanted(read_config(write(), ["pool_factor=1.5"])) == 5 + 6, "each source is rounded up"
    assert questions_wanted(read_config(write(), ["questions=x.jsonl"], files=False)) is None


def test_all_errors_at_once_with_their_lines(write):
    path = write("temperatur: 0.7\ntop_p: 1.5\nsamples: true\ndifficulty: mediun\nseed:\ndataset: b\n")
    with pytest.raises(ValueError) as told:
        read_config(path, ["retries=many", "nonsense"])

    first, *lines = str(told.value).splitlines()
    assert "8 errors; nothing was started" in first
    expected = [
        f"{path}:12: temperatur: no such key. Did you mean temperature?",
        f"{path}:13: top_p: 1.5: expected less than or equal to 1",
        f"{path}:14: samples: true is not a value of this key",
        f"{path}:15: difficulty: 'mediun': not one of medium, hard, random, any. Did you mean medium?",
        f"{path}:16: seed: no value. Give it one, or remove the line",
        f"{path}:17: dataset: stands in line 11 already",
    ]
    assert [line.strip() for line in lines[:6]] == expected
    assert sum("command line: retries: 'many': expected integer" in line for line in lines) == 1
    assert sum("command line: nonsense: expected key=value" in line for line in lines) == 1


WRONG = [
    ("model_name_or_path: Qwen/QVQ-72B-Preview", "", "model_name_or_path: missing"),
    ("clevr: 4", "clevrr: 4", "clevrr: not one of geos"),
    ("clevr: 4", "clevr: -1", "sources clevr: -1: expected greater than or equal to 0"),
    ("clevr: 4", "clevr: four", "sources clevr: 'four': expected integer"),
    ("dataset: mine", "dataset: 'a,b'", "parts names at commas"),
    ("", "urls: [localhost:8000]", "expected http://HOST:PORT"),
    ("", "urls: [http://a:1, http://a:1/]", "a URL stands there twice"),
    ("Qwen/QVQ-72B-Preview", "saves/gone\nurls: http://a:1,b:1", "expected http://HOST:PORT"),
    ("", "server_args: --enforce-eager", "server_args: expected list"),
    ("", "base_urls: [http://a:1]", "base_model_name_or_path is missing"),
    ("", "image_min_pixels: 9999999", "more than image_max_pixels"),
    ("", "max_tokens: 32768", "leaves no room for the question in max_model_len 32768"),
    ("", "max_rollouts: 4", "max_rollouts: 4 is fewer than the 5 samples of a question, so none is asked"),
    ("", "temperature: 0", "makes all 5 samples the same"),
    ("", "responses: diverse\nk: 6", "6 of only 5 samples"),
    ("", "base_model_name_or_path: a/b\ndifficulty: random", "leave base_model_name_or_path out"),
    ("", "question_prefix: no-such-prefix", "no such file exists"),
    ("", "pool_factor: .nan", "expected"),
    ("", "max_hours: .inf", "expected a finite number"),
    ("", "questions: no-such-file.jsonl", "no file no-such-file.jsonl"),
    ("", "source_dir: no-such-folder", "no folder no-such-folder"),
    ("", "benchmarks: [no-such.json:question]", "no file no-such.json:question"),
    ("Qwen/QVQ-72B-Preview", "saves/virgo7b/full/dt/epoch-5", "Train the model first, or name the URLs"),
    ("", "api_key_env: SURELY_NOT_SET_HERE", "the environment has no SURELY_NOT_SET_HERE"),
]


@pytest.mark.parametrize(("there", "instead", "message"), WRONG, ids=[row[2][:40] for row in WRONG])
def test_what_is_wrong_is_told(write, there, instead, message):
    text = GOOD.replace(there, instead) if there else f"{GOOD}{instead}\n"
    with pytest.raises(ValueError, match=re.escape(message)) as told:
        read_config(write(text=text))

    assert "errors" not in str(told.value), "one error, told once"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        *((text, "not YAML") for text in ("a: [1\n", "day: 2024-13-45\n", "? [a, b]\n: 1\n", "<<: *gone\n")),
        *((text, "expected keys and values") for text in ("just text\n", "")),
        ("1: 2\n", "1: no such key"),
        *(("\udcff\udcfe\0", "not UTF-8"), (None, "recipes copy")),
    ],
)
def test_a_broken_file_is_told_with_its_name(tmp_path, text, message):
    path = tmp_path / "config.yaml"
    if text is not None:
        path.write_bytes(text.encode("utf-8", "surrogateescape"))

    with pytest.raises(ValueError, match=message) as told:
        read_config(path)

    assert str(path) in str(told.value)


SECRET = "sk-1234567890abcdef"


SECRETS = [
    *("api_key: {}", "api_key_env: {}", "urls: ['http://user:{}@host:1']", "urls: [{}]", "base_urls: {}", "token: {}"),
    *("server_args: [--api-key, {}]", "server_args: [--api-key={}]", "server_args: '--api-key {}'"),
]


@pytest.mark.parametrize("line", [line.format(SECRET) for line in SECRETS])
def test_a_secret_is_never_repeated(write, line):
    for in_file, overrides in ((f"{line}\n", []), ("", [line.replace(": ", "=", 1)])):
        with pytest.raises(ValueError) as told:
            read_config(write(in_file), overrides)

        assert SECRET not in str(told.value)


def test_the_environments_key_is_not_written(write, monkeypatch):
    monkeypatch.setenv("VLLM_API_KEY", SECRET)
    text = read_config(write("api_key_env: VLLM_API_KEY\n")).text()
    assert "api_key_env: VLLM_API_KEY" in text
    assert SECRET not in text


def test_questions_alone_need_no_model(write):
    path = write("")
    config = read_config(path, ["model_name_or_path=saves/gone"], files=BLOCKS["questions"])
    assert config.model_name_or_path == "saves/gone"
    with pytest.raises(ValueError, match="no folder gone") as error:
        read_config(path, ["model_name_or_path=saves/gone", "source_dir=gone"], files=BLOCKS["questions"])

    assert "saves/gone" not in str(error.value)


def test_missing_files_are_told_with_the_other_errors(write):
    with pytest.raises(ValueError) as told:
        read_config(write("temperatur: 1\nbase_model: m\nbenchmarks: [gone.json]\nsource_dir: gone\n"))

    assert [line.rpartition(": ")[2] for line in str(told.value).splitlines()[1:]] == [
        "no such key. Did you mean temperature?",
        "no such key. Did you mean base_model_name_or_path?",
        "no file gone.json",
        "no folder gone",
    ]


def test_it_is_read_back_from_its_folder_wherever_that_is_now(write, tmp_path):
    config = read_config(write("questions: config.yaml\nurls: [http://a:1]\n"), files=False)
    folder = tmp_path / "moved"
    folder.mkdir()
    (folder / "distill.yaml").write_text(config.text(), encoding="utf-8")
    assert read_folder(folder) == config.model_copy(update={"output_dir": folder})
    blocks = re.findall(r"^### (.+)$", config.text(), re.MULTILINE)
    assert blocks == [block for block in BLOCKS if block in blocks]


def test_every_key_has_its_block():
    listed = [key for keys in BLOCKS.values() for key in keys]
    assert sorted(listed) == sorted(DistillConfig.model_fields) and set(SOURCES) == set(READ)


def test_what_shapes_rollouts(write):
    before = read_config(write()).shapes()
    free = ["urls=[http://a:1]", "requests_in_flight=1", "max_hours=1", "difficulty=any", "dataset=other", "retries=1"]
    assert read_config(write(), free).shapes() == before
    assert {*BLOCKS["questions"], *BLOCKS["prompt"], "model_name_or_path"} < set(before)
    assert not {"stop_when_decided", "urls", "dialect", "output_dir", "responses", "retries"} & set(before)
    for override in ("temperature=0.5", "seed=1", "question_prefix=virgo", "samples=4", "sources={geos: 1}"):
        assert read_config(write(), [override]).shapes() != before


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (TRAINING, "a training recipe, not a distillation's configuration. Train with llamafactory-cli train "),
        ("model_name_or_path: m\nadapter_name_or_path: a\ntemplate: virgo\nexport_dir: e\n", "a training recipe"),
        (
            "".join(f"{name}: {{file_name: a.jsonl}}\n" for name in "abc"),
            "no key of a distillation's configuration in it",
        ),
        (
            "benchmarks: [mathvista]\nmodel_name_or_path: m\noutput_dir: o\nscorer: ours\n",
            "an evaluation's configuration, not",
        ),
        ("scenes: []\nmedia_dir: m\noutput_dir: o\ndataset: d\n", "Run it with virgo-factory synthesize run "),
    ],
)
def test_another_kind_of_file_is_told_in_one_line(write, text, said):
    with pytest.raises(ValueError) as told:
        read_config(write(text=text))

    assert said in str(told.value) and "\n" not in str(told.value)
    assert "recipes/distill/dsd_virgo7b.yaml" in str(told.value)


def test_a_distillation_is_told_to_an_evaluation(write):
    with pytest.raises(
        ValueError, match="a distillation's configuration, not an evaluation's. Run it with virgo-factory distill run"
    ):
        read_evaluation(write())


def test_what_contradicts_the_command_line_is_told_of_it(write):
    with pytest.raises(ValueError, match="command line: k: 6 of only 5 samples"):
        read_config(write("responses: diverse\nsamples: 5\n"), ["k=6"])


def test_a_key_of_training_that_slipped_in_is_told_as_a_key(write):
    with pytest.raises(ValueError, match="template: no such key"):
        read_config(write("template: virgo\nstage: sft\n"))


def test_every_recipe_that_ships_is_told_apart():
    kinds = {"": [], **{verb: [] for verb in ASKING}}
    for path in sorted(RECIPES.rglob("*.yaml")):
        keys = yaml.safe_load(path.read_text(encoding="utf-8"))
        kind = path.parent.name if path.parent.name in ASKING else ""
        assert (asking_verb(keys), is_training(keys)) == (kind, not kind), path
        kinds[kind].append(path)

    assert all(len(paths) > 1 for paths in kinds.values())
