"""What people see of a synthesis: estimate, status, page."""

import json
import os
import re
import shutil

import pytest
from typer.testing import CliRunner

from virgo_factory.cli.synthesize import synthesize as verbs
from virgo_factory.rollouts.store.store import lock
from virgo_factory.synthesis.config import read_config
from virgo_factory.synthesis.run.folder import REPLIES
from virgo_factory.synthesis.tell.estimate import estimate
from virgo_factory.synthesis.tell.page import write_status_page
from virgo_factory.synthesis.tell.status import lines_of, summarise, tables_of, to_json


def test_a_dry_run_asks_nobody(make, played):
    said = len(played.labels())
    before, table, after = estimate(read_config(make()))
    assert before[0].startswith("First prompt (demo/000000), to the writer:") and "Scenes: 2 of rows" in before
    requests = {row[0]: row[2] for row in table.rows}
    assert requests["writer"] == 2 and requests["composer"] == 4 and requests["thinker"] > requests["writer"]
    assert "a guess" in after[0] and len(played.labels()) == said


def test_a_dry_run_says_why_scenes_are_left_out(make, drawn, tmp_path):
    rows = [json.loads(line) for line in (drawn / "scenes.jsonl").open()]
    rows[0]["image"] = "nowhere.png"
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    scenes = [{"reader": "rows", "file": str(tmp_path / "rows.jsonl"), "box_format": "xyxy"}]
    before, _, _ = estimate(read_config(make(scenes=scenes)))
    assert "Scenes: 1 of rows" in before and "nowhere.png" in next(
        line for line in before if "left out: 1 image missing" in line
    )


def test_of_a_folder_that_has_some_rates_are_measured(whole, make, tmp_path):
    folder = shutil.copytree(whole, tmp_path / "out")
    _, table, after = estimate(read_config(make()))
    measured = {row[0]: row[6] for row in table.rows}
    assert {*measured.values()} == {"measured"} and "Rates are those of this folder" in after[0]
    kept = sum(1 for _ in (folder / "03_validated.jsonl").open()) + sum(
        1 for _ in (folder / "04_composed.jsonl").open()
    )
    asked = {row[0]: row[2:4] for row in table.rows}
    there = sum(path.read_bytes().count(b"\n") for name in REPLIES for path in [folder / f"{name}.jsonl"])
    assert asked["thinker"] == (3 * kept, 0) and sum(count for count, _ in asked.values()) == there
    assert f"{there:,} requests, 0 of them left" in after[0]
    _, table, _ = estimate(read_config(make(thinker={"model_name_or_path": "thinker", "samples": 4})))
    assert {row[0]: row[2:4] for row in table.rows}["thinker"] == (4 * kept, kept)
    (folder / "03_votes.jsonl").write_text("".join((folder / "03_votes.jsonl").open().readlines()[:-5]))
    assert sum(row[3] for row in estimate(read_config(make()))[1].rows) >= 5


def test_a_dry_run_tells_what_the_run_refuses(whole, make, tmp_path):
    shutil.copytree(whole, tmp_path / "out")
    _, _, after = estimate(read_config(make(seed=7)))
    assert "this folder was made with seed: 42, now 7. Set it back, or name another output_dir." in after[-1]


def test_without_scenes_it_tells_of_a_thousand(make):
    before, table, after = estimate(read_config(make(media_dir="nowhere"), files=False))
    assert (
        "Of 1,000 it would be" in before[0]
        and after[-1] == "To be put right before the run: media_dir: no folder nowhere."
    )
    assert table.rows[0][2] == 1000


def test_status_has_every_stage(whole, tmp_path):
    found = summarise(whole)
    (table,) = tables_of(found)
    assert [row[0] for row in table.rows][:3] == ["00_scenes", "01_written", "02_questions"]
    assert not found.waits and "All is made" in lines_of(found)[0]
    told = to_json(found)["stages"]
    assert told["02_questions"]["in"] == told["02_questions"]["rows"] + sum(told["02_questions"]["dropped"].values())
    folder = shutil.copytree(whole, tmp_path / "out")
    (folder / "07_filtered.jsonl").unlink()
    path = folder / "03_validated.jsonl"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[1:]))
    found = summarise(folder)
    assert lines_of(found)[0].startswith(
        "04_candidates.jsonl is the next file. Go on: virgo-factory synthesize resume"
    )
    assert [stage.name for stage in found.stages if stage.is_edited] == ["03_validated"]
    (row,) = [row for row in tables_of(found)[0].rows if row[0] == path.stem]
    made = len((whole / path.name).open().readlines())
    assert row[2] == made - 1 and row[6].endswith(f"edited by hand: {made} were made")


def test_status_of_a_run_that_was_killed_behind_an_older_one_does_not_say_that_all_is_made(whole, tmp_path):
    folder = shutil.copytree(whole, tmp_path / "out")
    with (folder / "05_thinking.jsonl").open("a") as file:
        file.write((folder / "05_thinking.jsonl").read_text().splitlines(keepends=True)[0])

    found = summarise(folder)
    assert found.waits == "05_short" and lines_of(found)[0].startswith("05_short.jsonl is the next file. Go on: ")


def test_status_between_two_roles_says_that_it_runs(whole, tmp_path):
    folder = shutil.copytree(whole, tmp_path / "out")
    (folder / "07_filtered.jsonl").unlink()
    with lock(folder):
        assert lines_of(summarise(folder)) == [f"Running (process {os.getpid()}): 07_filtered.jsonl is the next file."]

    assert lines_of(summarise(folder))[0].startswith("07_filtered.jsonl is the next file. Go on: ")


@pytest.mark.slow
def test_the_page_shows_what_was_made_and_dropped(whole, tmp_path):
    page = tmp_path / "page.html"
    assert write_status_page(page, whole, scenes=2) == 2
    text = page.read_text(encoding="utf-8")
    assert text.count("<article") == 2 and "data:image/" in text
    for words in ("Composed question", "Expansion: ", "Dropped: ", "Thought: right"):
        assert words in text, words

    dropped = json.loads((whole / "02_questions.card.json").read_text())["dropped"]
    assert any(reason in text for reason in dropped)


@pytest.mark.slow
def test_the_page_counts_questions_as_the_cards_do(whole, tmp_path):
    """What was written, and what was composed, each by itself, those that were dropped at once too."""
    page = tmp_path / "page.html"
    write_status_page(page, whole, scenes=2)
    text = re.sub(r"<[^>]+>", " ", page.read_text(encoding="utf-8"))
    for what, first, last in (
        ("written", "02_questions", "03_validated"),
        ("composed", "04_candidates", "04_composed"),
    ):
        before, after = (json.loads((whole / f"{name}.card.json").read_text()) for name in (first, last))
        told = [(int(kept), int(of)) for kept, of in re.findall(rf"{what} questions kept\s+(\d+) of (\d+)", text)]
        assert len(told) == 2 and [sum(column) for column in zip(*told, strict=True)] == [after["kept"], before["in"]]


@pytest.mark.slow
def test_verbs(whole, tmp_path):
    runner = CliRunner()
    found = runner.invoke(verbs, ["status", str(whole)], env={"COLUMNS": "160"})
    assert found.exit_code == 0 and re.search(r"10_rl_questions\s+\d+", found.output)
    assert json.loads(runner.invoke(verbs, ["status", str(whole), "--json"]).output)["waits"] == ""
    assert "are of the page" in str(runner.invoke(verbs, ["status", str(whole), "--seed", "1"]).exception)
    found = runner.invoke(verbs, ["status", str(whole), "--html", str(tmp_path / "x.html"), "--scenes", "1"])
    assert "1 scenes" in found.output and (tmp_path / "x.html").is_file()
