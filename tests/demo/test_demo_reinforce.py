"""The demo of reinforcement: its questions have one right answer that the picture shows, and its recipes fit together."""

from collections import Counter
from pathlib import Path
from random import Random

import folders
import numpy as np
import pytest
import yaml
from PIL import Image

from virgo_factory.cli.main import main
from virgo_factory.demo import looking, reinforce, visual_rows
from virgo_factory.demo.visual import COLOURS, NOTHING, draw
from virgo_factory.evaluation.config import read_config
from virgo_factory.rollouts.question import read_questions


ROOT = Path(__file__).parents[2]


def recipe() -> dict:
    return yaml.safe_load((ROOT / "recipes/virgo_demo_gspo.yaml").read_text(encoding="utf-8"))


def seen_in(picture: Image.Image) -> tuple[str, int]:
    """Return the colour of a picture's shapes and how many there are, from its pixels."""
    pixels = np.asarray(picture.convert("RGB")).astype(int)
    cells = [pixels[y + 3 : y + 25, x + 3 : x + 25].reshape(-1, 3) for y in (0, 28) for x in (0, 28, 56)]
    strong = [cell[cell.max(axis=1) - cell.min(axis=1) > 60] for cell in cells]
    shapes = [cell.mean(axis=0) for cell in strong if len(cell)]
    nearest = {min(COLOURS, key=lambda name: abs(np.array(COLOURS[name]) - shape).sum()) for shape in shapes}
    (colour,) = nearest
    return colour, len(shapes)


@pytest.mark.slow
def test_gold_is_what_the_picture_shows():
    rng = Random("looking")
    golds = {asked: Counter() for asked in looking.ANSWERS}
    for number in range(900):
        asked = list(looking.ANSWERS)[number % 3]
        task = visual_rows.make_task(rng, asked, looking.SOURCES)
        colour, count = seen_in(draw(task.scene, rng))
        (shape,) = {place.split()[1] for row in task.scene.rows for place in row if place != NOTHING}
        facts = {"colour": colour, "form": f"{shape}s", "count": str(count)}
        assert task.answer == facts[asked]
        assert task.steps == (f"I look: {count} {colour} {shape}s.",)
        golds[asked][task.answer] += 1

    for asked, found in golds.items():
        assert set(found) == set(looking.ANSWERS[asked])
        assert max(found.values()) < 2 * min(found.values()), "a constant answer would often be right"


@pytest.mark.slow
def test_the_base_looks_or_guesses(tmp_path):
    """Who looks is right; who guesses is right as often as chance; a blank picture is answered like any other."""
    rows = list(looking.base_rows(tmp_path, 600))
    answers = [row["messages"][1]["content"] for row in rows]
    looks = [looking.LOOK in answer for answer in answers]
    assert 0.35 < np.mean(looks) < 0.45
    assert all((looking.GUESS in answer) != look for answer, look in zip(answers, looks, strict=True))
    colours = [len(Image.open(tmp_path / row["images"][0]).getcolors()) for row in rows]
    assert 0.06 < np.mean(np.array(colours) == 1) < 0.14
    assert list(looking.base_rows(tmp_path, 600)) == rows


def test_the_control_asks_the_same_of_blank_pictures(tmp_path):
    file = visual_rows.write_questions(tmp_path / "seen", 30, sources=looking.SOURCES)
    blank = looking.write_blanked(file, tmp_path / "blank")
    one, other = list(read_questions(file)), list(read_questions(blank))
    assert [(q.id, q.question, q.gold) for q in one] == [(q.id, q.question, q.gold) for q in other]
    assert len({q.image_sha256 for q in one}) == 30 and len({q.image_sha256 for q in other}) == 1
    picture = Image.open(blank.parent / other[0].images[0])
    assert picture.size == Image.open(file.parent / one[0].images[0]).size
    assert len(picture.getcolors()) == 1


@pytest.mark.slow
def test_no_scored_picture_was_trained_on(here, monkeypatch):
    monkeypatch.setattr(reinforce, "PICTURES", 200)
    assert reinforce.prepare(reinforce.Reinforcement(), [reinforce.SEED])
    digests = [
        {q.image_sha256 for q in read_questions(reinforce.FOLDER / name / "questions.jsonl")}
        for name in ("questions", "held_out")
    ]
    assert not digests[0] & digests[1]
    assert [len(found) for found in digests] == [reinforce.QUESTIONS, reinforce.HELD_OUT]
    control = reinforce.Reinforcement(blank=True).pictures
    assert all((control / name / "questions.jsonl").is_file() for name in ("questions", "held_out"))
    assert not reinforce.base().is_made, "it is not trained yet"


def test_the_recipes_run_as_they_are(monkeypatch):
    monkeypatch.chdir(ROOT)
    demo, keys = reinforce.Reinforcement(), recipe()
    assert demo.training(reinforce.SEED).command[2:] == ("recipes/virgo_demo_gspo.yaml",)
    assert keys["seed"] == reinforce.SEED
    assert (keys["model_name_or_path"], keys["output_dir"]) == (
        str(reinforce.base().output),
        str(demo.training(42).output),
    )
    assert keys["media_dir"] == str(demo.pictures / "questions")
    config = read_config("recipes/evaluate/demo_gspo.yaml", files=False)
    assert (config.questions, config.output_dir) == (demo.pictures / "held_out/questions.jsonl", demo.scores(42))
    assert config.model_name_or_path == keys["output_dir"]
    assert (config.temperature, config.max_tokens) == (keys["rl_temperature"], keys["rl_max_response_tokens"])
    assert config.image_max_pixels == keys["image_max_pixels"]


@pytest.mark.parametrize("seed", [42, 7])
def test_the_control_is_the_same_on_blank_pictures(monkeypatch, seed):
    monkeypatch.chdir(ROOT)
    demo = reinforce.Reinforcement(blank=True)
    told = dict(override.split("=") for override in demo.training(seed).command[3:])
    assert set(told) == {"output_dir", "dataset_dir", "media_dir"} | ({"seed"} if seed != 42 else set())
    assert Path(told["media_dir"]).parent.name == "blank"
    _, _, _, file, *overrides = demo.evaluation(seed).command
    config = read_config(file, overrides, files=False)
    assert config.model_name_or_path == told["output_dir"] and "blank" in str(config.questions)


def test_runs_that_stand_beside_each_other_share_no_folder():
    runs = [reinforce.Reinforcement(blank) for blank in (False, True)]
    folders = [step.output for demo in runs for step in demo.steps([42, 7])]
    assert len(set(folders)) == len(folders) == 10


def write_scores(folder: Path, right: list[bool]) -> None:
    """Write what `scored` reads of an evaluation; who is right has looked."""
    texts = {True: f"{looking.LOOK} 2 red circles.", False: looking.GUESS}
    rollouts = [folders.rollout(str(n), 0, texts[is_right]) for n, is_right in enumerate(right)]
    outcomes = ["correct" if is_right else "wrong" for is_right in right]
    folder.mkdir(parents=True)
    folders.add(folder, rollouts, map(folders.verdict, rollouts, outcomes))


@pytest.mark.parametrize(
    ("after", "rises"),
    [([[True] * 40], True), ([[True] * 20 + [False] * 20], False), ([[True] * 23 + [False] * 17], False),
     ([[True] * 40, [False] * 40], False), ([[True] * 40, [True] * 38 + [False] * 2], True)],
)  # fmt: skip
def test_a_rise_is_more_than_twice_its_standard_error(tmp_path, after, rises):
    write_scores(tmp_path / "before", [True] * 20 + [False] * 20)
    before = reinforce.scored(tmp_path / "before")
    assert (np.mean(before.right), before.looks) == (0.5, 0.5)
    for number, right in enumerate(after):
        write_scores(tmp_path / str(number), right)

    found = reinforce.difference([reinforce.scored(tmp_path / str(number)) for number in range(len(after))], before)
    assert found.difference.score == pytest.approx(np.mean(after) - 0.5)
    assert reinforce.has_risen(found) == rises


@pytest.mark.parametrize("options", [["--blank"], ["--seed", "7"]])
def test_options_of_reinforce_are_refused_elsewhere(options, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["demo", *options])

    assert ended.value.code and "only with reinforce" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("what", "vllm", "is_5", "message"),
    [
        ("distill", None, False, "vLLM is not installed here"),
        ("reinforce", None, False, "vLLM is not installed here"),
        ("reinforce", object(), True, "stage: grpo: not with transformers 5"),
    ],
)
def test_what_the_environment_lacks_is_told_before_anything_is_made(
    what, vllm, is_5, message, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: vllm)
    monkeypatch.setattr("virgo_factory.preflight.versions.reads_5", lambda: is_5)
    with pytest.raises(SystemExit) as ended:
        main(["demo", what])

    assert ended.value.code and message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
