"""Changed pictures: what each change does, that it is the same each time, and how a change of answers is counted."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from tests.jsonl import read_jsonl
from virgo_factory.core.errors import UserError
from virgo_factory.evaluation.folder import read_run
from virgo_factory.evaluation.probes.variants import (
    KINDS,
    Variant,
    change_of,
    changed,
    is_oriented,
    variants_of,
    worst_of,
    write_variants,
)
from virgo_factory.evaluation.report.report import write_report
from virgo_factory.rollouts.judge.verdicts import judge_rollouts
from virgo_factory.rollouts.question import read_questions
from virgo_factory.rollouts.store.rollout import Rollout
from virgo_factory.rollouts.store.store import RolloutStore


@pytest.fixture(scope="module")
def picture(shared_data) -> Image.Image:
    return Image.open(shared_data / "mathvision/images/1215.jpg").convert("RGB")


def test_rotation_grows_the_canvas_fills_it_white_and_loses_nothing(picture):
    for degrees in KINDS["rotate"]:
        turned = changed(picture, Variant("rotate", degrees), "0")
        assert turned.width > picture.width and turned.height > picture.height
        assert [turned.getpixel(place) for place in ((0, 0), (turned.width - 1, turned.height - 1))] == [
            (255,) * 3
        ] * 2
        ink = [int((255 - np.asarray(image.convert("L"), int)).sum()) for image in (picture, turned)]
        assert ink[1] == pytest.approx(ink[0], rel=0.03)
        back = turned.rotate(-degrees, Image.Resampling.BICUBIC, fillcolor="white")
        left, top = (back.width - picture.width) // 2, (back.height - picture.height) // 2
        back = back.crop((left, top, left + picture.width, top + picture.height))
        assert np.abs(np.asarray(back, float) - np.asarray(picture, float)).mean() < 12


def test_brightness_is_a_factor_and_noise_has_its_standard_deviation():
    grey = Image.new("RGB", (200, 100), (100, 100, 200))
    assert changed(grey, Variant("brightness", 0.7), "0").getpixel((0, 0)) == (70, 70, 140)
    assert changed(grey, Variant("brightness", 1.3), "0").getpixel((0, 0)) == (130, 130, 255)
    noise = np.asarray(changed(grey, Variant("noise", 10), "0"), float) - np.asarray(grey, float)
    assert noise.shape == (100, 200, 3) and abs(noise.mean()) < 0.2 and noise.std() == pytest.approx(10, rel=0.02)


def test_noise_hangs_on_the_question_alone(picture):
    noise = Variant("noise", 10)
    assert changed(picture, noise, "a").tobytes() == changed(picture, noise, "a").tobytes()
    assert changed(picture, noise, "a").tobytes() != changed(picture, noise, "b").tobytes()
    assert changed(picture, noise, "a").tobytes() != changed(picture, Variant("noise", 11), "a").tobytes()


@pytest.mark.parametrize(
    ("text", "is_left_out"),
    [
        ("How many cubes are to the left of the sphere?", True),
        ("Which bar is the rightmost?", True),
        ("Is the line vertical?", True),
        ("The wheel turns clockwise.", True),
        ("ABC is a right triangle with a right angle at C.", False),
        ("The right circular cone has height 3.", False),
        ("What is the area of the shaded region?", False),
        ("哪条线是水平的?", True),
    ],
)
def test_questions_of_orientation_are_known(text, is_left_out):
    assert is_oriented({"question": text}) is is_left_out
    assert is_oriented({"question": "Which?", "options": ["red", text]}) is is_left_out


def test_some_real_questions_are_left_out_and_most_are_not(recorded_runs):
    rows = read_jsonl(recorded_runs["first"] / "questions.jsonl")
    visual = [row for row in rows if row["source"] == "mathvision"]
    assert 0.05 < sum(map(is_oriented, visual)) / len(visual) < 0.4


def test_what_is_no_variant_is_said():
    assert [variant.name for variant in variants_of(KINDS)][-2:] == ["brightness_1.3", "noise_10"]
    for wanted, told in (({"shear": 1}, "'shear' is not one of rotate"), ({"noise": -1}, "noise: -1 is no amount")):
        with pytest.raises(UserError, match=told):
            variants_of(wanted)


def test_changes_are_those_of_the_files(recorded_runs, tmp_path):
    base, other = (read_run(folder) for folder in recorded_runs.values())
    rows = [
        {
            row["question"]: row
            for row in map(json.loads, (run.folder / "verdicts.jsonl").read_text("utf-8").splitlines())
        }
        for run in (base, other)
    ]
    both = [id for id in rows[0] if id in rows[1]]
    right = [[run[id]["verdict"] == "correct" for id in both] for run in rows]
    change = change_of("rotate_10", base, other)
    assert change.right_to_wrong == sum(a and not b for a, b in zip(*right, strict=True)) > 0
    assert change.wrong_to_right == sum(b and not a for a, b in zip(*right, strict=True)) > 0
    assert change.found.difference.score == pytest.approx(np.mean(right[1]) - np.mean(right[0]))
    same = np.mean([rows[0][id]["answer"].strip() == rows[1][id]["answer"].strip() for id in both])
    assert change.same_answer == pytest.approx(same)
    assert worst_of(base, [other]) == pytest.approx(np.mean(np.logical_and(*right)))

    alone = shutil.copytree(recorded_runs["second"], tmp_path / "alone", ignore=shutil.ignore_patterns("*.sqlite*"))
    text = (alone / "questions.jsonl").read_text("utf-8").replace('"id": "', '"id": "x')
    (alone / "questions.jsonl").write_text(text, "utf-8")
    with pytest.raises(UserError, match="no response that is judged yet"):
        change_of("rotate_10", base, read_run(alone))


@pytest.mark.slow
@pytest.mark.usefixtures("no_drawing")
def test_the_report_tells_what_changed_pictures_change(recorded_runs, tmp_path):
    run = shutil.copytree(recorded_runs["first"], tmp_path / "run", ignore=shutil.ignore_patterns("*.sqlite*"))
    variants = variants_of({"rotate": 10, "noise": 10})
    account = write_variants(run, variants, count=30)
    asked = {question.id: question for question in read_questions(run / "questions.jsonl")}
    assert account["asked"] == 30 and sum(account.values()) == len(asked) and account["a word of orientation"] > 10
    known = {
        row["question"]: row["response"]
        for row in map(json.loads, (recorded_runs["second"] / "rollouts.jsonl").read_text("utf-8").splitlines())
    }
    for variant in variants:
        folder = run / "variants" / variant.name
        (folder / "evaluation.yaml").write_text("model_name_or_path: m\n", encoding="utf-8")
        questions = list(read_questions(folder / "questions.jsonl"))
        assert len(questions) == 30 and not any(is_oriented(vars(question)) for question in questions)
        for question in questions:
            before = Image.open(run / asked[question.id].images[0])
            after = Image.open(folder / question.images[0])
            assert question.gold == asked[question.id].gold
            assert question.image_sha256 != asked[question.id].image_sha256
            assert (after.width > before.width) == (variant.kind == "rotate")

        with RolloutStore(folder) as store:
            for question in questions:
                if question.id in known:
                    store.append(Rollout(question.id, "m", 0, known[question.id], "stop", 1, 1, 1.0, 1, "", {}))

        judge_rollouts(folder, workers=1)

    write_report([run], tmp_path / "out")
    text = (tmp_path / "out/report.md").read_text(encoding="utf-8")
    change = change_of("noise_10", read_run(run), read_run(run / "variants/noise_10"))
    line = next(line for line in text.splitlines() if line.startswith("| noise_10 |"))
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    assert cells[1] == str(change.found.difference.n) and cells[6:8] == [
        str(change.right_to_wrong),
        str(change.wrong_to_right),
    ]
    assert f"| a word of orientation | {account['a word of orientation']} |" in text and "| right in all |" in text
