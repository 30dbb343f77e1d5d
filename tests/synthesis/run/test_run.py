"""A synthesis from scenes to rows, by a server that plays every role; killed, edited, split, bounded."""

import json
import random
import shutil
import time
from pathlib import Path

import pytest

from demo_scenes.server import serving
from tests.jsonl import read_jsonl
from tests.synthesis.conftest import run
from virgo_factory.data.read.source import read_info
from virgo_factory.formats import options_of, read_row
from virgo_factory.synthesis.config import read_config, read_folder
from virgo_factory.synthesis.run.folder import REPLIES, Folder
from virgo_factory.synthesis.run.launch import lacking_shards, merge, synthesize
from virgo_factory.synthesis.run.steps import STEPS, Made
from virgo_factory.synthesis.tell.page import write_status_page
from virgo_factory.synthesis.tell.status import lines_of, not_asked, summarise


MADE = [step.name for step in STEPS if isinstance(step, Made)]


def made(folder: Path) -> dict[str, str]:
    return {name: (folder / f"{name}.jsonl").read_text(encoding="utf-8") for name in MADE}


def keys(folder: Path) -> dict[str, set[str]]:
    """Return the keys of the replies, each of which is there once."""
    found = {name: [row["key"] for row in read_jsonl(folder / f"{name}.jsonl")] for name in REPLIES}
    assert all(len(set(some)) == len(some) for some in found.values())
    return {name: set(some) for name, some in found.items()}


@pytest.mark.slow
def test_every_stage_accounts_for_what_goes_in(whole):
    cards = {name: json.loads((whole / f"{name}.card.json").read_text()) for name in MADE}
    for name, card in cards.items():
        path = whole / f"{name}.dropped.jsonl"
        dropped = read_jsonl(path) if path.is_file() else []
        assert card["in"] == card["kept"] + sum(card["dropped"].values())
        assert card["kept"] == len(read_jsonl(whole / f"{name}.jsonl")) > 0
        assert len(dropped) == sum(card["dropped"].values()) + sum(card["apart"].values())

    leads = [(whole / f"{name}.card.md").read_text().split("\n\n")[1] for name in ("08_sft", "09_dpo")]
    assert [lead.partition(":")[0] for lead in leads] == ["Rows for SFT", "Pairs for DPO"]
    assert cards["03_validated"]["in"] == cards["02_questions"]["kept"]
    assert cards["04_composed"]["in"] == cards["04_candidates"]["kept"]
    asked = cards["03_validated"]["kept"] + cards["04_composed"]["kept"]
    assert cards["05_short"]["in"] == 3 * asked and cards["10_rl_questions"]["in"] == asked
    assert cards["07_filtered"]["in"] == 3 * cards["05_short"]["kept"]


@pytest.mark.slow
def test_its_entries_are_read_by_training(whole):
    info = read_info(whole.parent)
    assert {"drawn_sft", "drawn_dpo_stage1", "drawn_rl"} <= set(info)
    for name, entry in info.items():
        rows = read_jsonl(whole.parent / entry["file_name"])
        for row in rows:
            for part in read_row(row, entry["formatting"], options_of(entry, "drop")).parts:
                assert part.images and part.id.startswith("demo/"), name


@pytest.mark.slow
def test_wrong_beginnings_are_context_in_rows_and_pairs(whole):
    shorts = {row["id"]: row for row in read_jsonl(whole / "05_short.jsonl")}
    for name in ("08_sft", "09_dpo"):
        begun = [row for row in read_jsonl(whole / f"{name}.jsonl") if row["assistant_prefix"]]
        assert begun
        for row in begun:
            short = shorts[row["id"].split(" > ")[0].rpartition("/")[0]]
            assert not short["is_correct"] and row["assistant_prefix"].endswith(short["thought"])


@pytest.mark.slow
@pytest.mark.parametrize("copy", [shutil.copy2, shutil.copyfile], ids=["with times", "without times"])
def test_nothing_is_asked_or_made_twice(whole, played, tmp_path, copy):
    folder = shutil.copytree(whole, tmp_path / "out", copy_function=copy)
    before, said = made(folder), len(played.labels())
    accounts = []
    outcome = synthesize(
        read_folder(folder, [f"dataset_dir={tmp_path}"]), on_made=lambda name, account: accounts.append(name)
    )
    assert (outcome.finished, accounts, len(played.labels())) == (0, [], said) and made(folder) == before


@pytest.mark.integration
def test_killed_at_random_moments_it_ends_in_the_same_files(whole, make):
    """SIGKILL whenever a random number of replies more is there: no key twice, the same final files."""
    config = make()
    folder, rng, kills = config.parent / "out", random.Random(7), 0
    total = sum(len(some) for some in keys(whole).values())

    def replies() -> int:
        return sum(
            (folder / f"{name}.jsonl").read_bytes().count(b"\n")
            for name in REPLIES
            if (folder / f"{name}.jsonl").is_file()
        )

    while True:
        process, enough = run("run", config), replies() + rng.randrange(total // 4)
        while process.poll() is None and replies() < enough:
            time.sleep(0.02)

        if process.poll() is not None:
            output, _ = process.communicate()
            break

        process.kill()
        process.communicate()
        kills += 1

    assert process.returncode == 0 and "All is done" in output, output
    assert kills >= 4 and keys(folder) == keys(whole) and made(folder) == made(whole)


@pytest.mark.integration
def test_shards_are_one_synthesis_again(whole, make, tmp_path, call):
    config = make()
    parts = []
    for shard in ("1/2", "2/2"):
        part = read_config(config, [f"shard={shard}", f"output_dir={tmp_path / shard.replace('/', 'of')}"])
        assert not synthesize(part).waits
        parts.append(part.output_dir)

    together, counts, outcome = merge(parts, tmp_path / "all")
    assert not outcome.waits and sum(counts.values()) == sum(len(some) for some in keys(whole).values())
    assert made(together.output_dir) == made(whole)
    with pytest.raises(ValueError, match="is there already"):
        merge(parts, tmp_path / "all")

    code, said = call("merge", *parts, "--out", tmp_path / "again")
    assert code == 1 and "Choose another one (dataset=NAME behind the command" in said
    code, _ = call("merge", *parts, "dataset=second", "--out", tmp_path / "again")
    assert code == 0 and {"drawn_sft", "second_sft"} <= set(read_info(tmp_path))
    code, said = call("merge", *parts, "seed=7", "--out", tmp_path / "other")
    assert code == 1 and "seed: cannot differ" in said and not (tmp_path / "other").exists()


@pytest.mark.integration
def test_a_merge_that_is_killed_leaves_no_folder_and_is_made_again(whole, make, tmp_path, call):
    """SIGKILL once so many files are there of the folder that is filled: it is there whole or not at all."""
    for shard in ("1/2", "2/2"):
        assert not synthesize(read_config(make(), [f"shard={shard}", f"output_dir={tmp_path / shard[0]}"])).waits

    parts, out, partial, kills = [tmp_path / "1", tmp_path / "2"], tmp_path / "all", tmp_path / ".all.partial", []
    for enough in (1, 8, 20, 40):
        process = run("merge", *parts, "--out", out)
        while process.poll() is None and len(list(partial.glob("*"))) < enough:
            time.sleep(0.001)

        process.kill()
        process.communicate()
        if process.returncode < 0:
            kills.append(len(list(partial.glob("*"))))
            assert not out.exists()
            assert not (tmp_path / "dataset_info.json").exists()

    assert len(kills) >= 3 and max(kills) >= 20, kills
    code, said = call("merge", *parts, "--out", out)
    assert code == 0 and "All is done" in said and "Train: llamafactory-cli train" in said and not partial.exists()
    assert made(out) == made(whole) and keys(out) == keys(whole)
    entries = read_info(tmp_path)
    assert {(tmp_path / entry["file_name"]).is_file() for entry in entries.values()} == {True}
    assert not synthesize(read_folder(out)).finished and made(out) == made(whole)


@pytest.mark.integration
def test_a_merge_of_some_shards_says_what_lacks(make, tmp_path, played):
    config = make()
    part = read_config(config, ["shard=1/2", f"output_dir={tmp_path / 'a'}", "max_rollouts=12"])
    assert synthesize(part).stopped
    together, _, outcome = merge([tmp_path / "a"], tmp_path / "all")
    assert outcome.waits and outcome.left > 0 and lacking_shards([tmp_path / "a"]) == ["2/2"]
    assert not synthesize(read_folder(together.output_dir, ["max_rollouts=null"])).waits
    assert len(read_jsonl(together.output_dir / "00_scenes.jsonl")) == 2


@pytest.mark.integration
def test_a_merge_without_a_shard_is_not_all(make, tmp_path, call):
    config = make()
    keys_of = ["compositions=0", "max_scenes=2", "shard=2/2", f"output_dir={tmp_path / 'b'}"]
    assert not synthesize(read_config(config, keys_of)).waits
    _, said = call("merge", tmp_path / "b", "--out", tmp_path / "all")
    assert not (tmp_path / "dataset_info.json").exists(), "all shards, merged, are to have the names"
    assert "Not among these folders: shard 1/2" in said and "All is done" not in said
    assert summarise(tmp_path / "all").waits == "00_scenes"
    synthesize(read_folder(tmp_path / "all"))
    assert (tmp_path / "dataset_info.json").exists()
    assert len(read_jsonl(tmp_path / "all" / "00_scenes.jsonl")) == 2


@pytest.mark.integration
def test_a_picture_that_was_replaced_is_not_thought_about(make, drawn, tmp_path):
    pictures = shutil.copytree(drawn, tmp_path / "pictures")
    scenes = [{"reader": "rows", "file": str(pictures / "scenes.jsonl"), "box_format": "xyxy"}]
    keys_of = {"scenes": scenes, "media_dir": str(pictures), "max_scenes": 2, "compositions": 0}
    assert synthesize(read_config(make(**keys_of, max_rollouts=30))).stopped
    first, second = (
        pictures / json.loads(line)["image"] for line in (pictures / "scenes.jsonl").open().readlines()[:2]
    )
    first.write_bytes(second.read_bytes())
    outcome = synthesize(read_config(make(**keys_of)))
    thought = {row["of"].rpartition("/")[0] for row in read_jsonl(tmp_path / "out" / "05_thinking.jsonl")}
    assert outcome.dropped and thought == {"demo/000001"}


@pytest.mark.slow
def test_budgets_count_all_files(make):
    config = make(max_rollouts=30)
    outcome = synthesize(read_config(config))
    folder = config.parent / "out"
    there = sum(len(read_jsonl(folder / f"{name}.jsonl")) for name in REPLIES if (folder / f"{name}.jsonl").is_file())
    assert outcome.left > 0 and outcome.stopped == "max_rollouts: 30" and 20 < there <= 30 and outcome.waits


@pytest.mark.slow
def test_an_edited_file_is_used_until_what_it_is_made_of_changes(whole, tmp_path):
    folder = shutil.copytree(whole, tmp_path / "out")
    path = folder / "03_validated.jsonl"
    rows = path.read_text().splitlines(keepends=True)
    scene = json.loads(rows[0])["scene"]
    path.write_text("".join(row for row in rows if json.loads(row)["scene"] != scene))
    config = read_folder(folder, [f"dataset_dir={tmp_path}"])
    synthesize(config)
    assert not [row for row in read_jsonl(folder / "08_sft.jsonl") if row["question_id"].startswith(f"{scene}/")]
    assert read_jsonl(folder / "08_sft.jsonl")

    card = (folder / "03_validated.card.md").read_text().split("\n\n")
    kept = [row for row in rows if json.loads(row)["scene"] != scene]
    assert card[1] == f"Edited by hand since this was written: {len(kept)} lines now."

    before = keys(folder)
    blind = json.dumps({**config.blind, "samples": 5})
    for other in ("blind_right=4", f"blind={blind}"):
        with pytest.raises(ValueError, match=r"03_validated.jsonl: was edited, and what it is made of has changed"):
            synthesize(read_folder(folder, [other, f"dataset_dir={tmp_path}"]))

    assert keys(folder) == before  # nobody was asked: set back, it goes on
    assert not synthesize(config).finished and path.read_text() == "".join(kept)
    path.write_text("".join(rows))
    synthesize(config)
    assert (folder / "03_validated.card.md").read_bytes() == (whole / "03_validated.card.md").read_bytes()
    path.unlink()
    synthesize(config)
    assert made(folder) == made(whole)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        (
            "02_questions",
            lambda row: row | {"answer": 3},
            r"02_questions.jsonl:1: no question: answer: .* Mend the line",
        ),
        (
            "03_validated",
            lambda row: row | {"answer": "E"},
            r"03_validated.jsonl:1: no question: answer: input should be 'A', 'B', 'C' or 'D'. Mend the line",
        ),
        ("05_short", lambda row: {**row, "extra": 1}, r"05_short.jsonl:1: no thought: extra"),
        ("03_validated", lambda row: row | {"scene": "nowhere/1"}, r"rows of nowhere/1 stand out of order"),
        (
            "06_expanding",
            lambda row: {"response": "x"},
            r"06_expanding.jsonl:1: .*no row of 06_expanding.* Remove the line, and the next start asks it again",
        ),
    ],
)
def test_a_broken_line_is_named(whole, tmp_path, name, change, said):
    folder = shutil.copytree(whole, tmp_path / "out")
    path = folder / f"{name}.jsonl"
    first, *rest = path.read_text().splitlines(keepends=True)
    path.write_text(json.dumps(change(json.loads(first))) + "\n" + "".join(rest))
    with pytest.raises(ValueError, match=said):
        synthesize(read_folder(folder, [f"dataset_dir={tmp_path}"]))


@pytest.mark.slow
def test_text_that_is_no_row_is_named_in_every_file(whole, tmp_path):
    for name in ("03_validated", "09_dpo"):
        folder = shutil.copytree(whole, tmp_path / name)
        path = folder / f"{name}.jsonl"
        first, second, *rest = path.read_text().splitlines(keepends=True)
        path.write_text("".join([first, second[:40] + "\n", *rest]))
        with pytest.raises(ValueError, match=rf"{name}.jsonl:2: not a JSON object .* it is made again"):
            synthesize(read_folder(folder, [f"dataset_dir={tmp_path / name}"]))


@pytest.mark.slow
def test_a_line_that_stands_twice_is_named(whole, tmp_path):
    folder = shutil.copytree(whole, tmp_path / "out")
    path = folder / "03_validated.jsonl"
    first, *rest = path.read_text().splitlines(keepends=True)
    path.write_text("".join([first, first, *rest]))
    with pytest.raises(ValueError, match=r"03_validated.jsonl: demo/\S+ stands there twice. Remove a line"):
        synthesize(read_folder(folder, [f"dataset_dir={tmp_path}"]))


@pytest.mark.slow
def test_a_card_that_is_gone_or_broken_is_made_again(whole, tmp_path):
    folder = shutil.copytree(whole, tmp_path / "out")
    (folder / "02_questions.card.json").write_text("{}")
    (folder / "05_short.card.json").unlink()
    assert summarise(folder).waits == "02_questions"
    synthesize(read_folder(folder, [f"dataset_dir={tmp_path}"]))
    assert not summarise(folder).waits and made(folder) == made(whole)


@pytest.mark.slow
def test_a_last_line_without_its_end_is_a_row(whole, tmp_path):
    folder = shutil.copytree(whole, tmp_path / "out")
    path = folder / "03_validated.jsonl"
    path.write_text(path.read_text().rstrip("\n"))
    synthesize(read_folder(folder, [f"dataset_dir={tmp_path}"]))
    assert read_jsonl(folder / "10_rl_questions.jsonl") == read_jsonl(whole / "10_rl_questions.jsonl")


def test_a_name_that_is_taken_is_told_before_anybody_is_asked(make, tmp_path):
    (tmp_path / "dataset_info.json").write_text(json.dumps({"drawn_rl": {"file_name": "mine.jsonl"}}))
    with pytest.raises(ValueError, match="drawn_rl is there already"):
        synthesize(read_config(make()))

    assert not (tmp_path / "out").exists()
    assert list(json.loads((tmp_path / "dataset_info.json").read_text())) == ["drawn_rl"]


@pytest.mark.slow
def test_a_synthesis_without_rows_is_no_success(make, tmp_path, call):
    with serving({"prose": 1.0}) as server:
        code, said = call("run", make(urls=[server.url], max_scenes=1))

    assert code == 1 and "no row for SFT was made" in said and "Train:" not in said
    assert not (tmp_path / "dataset_info.json").exists()


@pytest.mark.integration
def test_a_server_that_rewrites_beginnings(make):
    """With a picture the run stops and names the template; without one the rendered text is sent."""
    with serving(rewrites=True) as server:
        config = make(thinker={"model_name_or_path": "thinker", "urls": [server.url]})
        with pytest.raises(ValueError, match=r"the chat template of thinker does not leave the beginning") as error:
            synthesize(read_config(config))

        assert "Go on: virgo-factory synthesize resume" in str(error.value)
        reasoner = {"model_name_or_path": "reasoner", "urls": [server.url]}
        assert not synthesize(read_config(make(reasoner=reasoner))).waits


@pytest.mark.slow
def test_another_model_is_another_folder(whole, tmp_path):
    folder = shutil.copytree(whole, tmp_path / "out")
    with pytest.raises(ValueError, match="made with writer.model_name_or_path: 'writer', now 'other'"):
        synthesize(read_folder(folder, ["writer={model_name_or_path: other}"]))


@pytest.mark.integration
@pytest.mark.parametrize("role", ["writer", "blind", "thinker"])
def test_a_name_that_no_server_has_is_corrected_in_the_same_folder(make, whole, role):
    """As long as the role has no reply; those of others stay theirs."""
    with serving() as server:
        typo = {"model_name_or_path": role[:-2], "urls": [server.url]}
        with pytest.raises(ValueError, match="serves writer, .*, not"):
            synthesize(read_config(make(**{role: typo})))

        config = read_config(make(**{role: {"model_name_or_path": role}}))
        if role != "writer":
            with pytest.raises(ValueError, match="made with writer.temperature"):
                synthesize(read_config(make(writer={"model_name_or_path": "writer", "temperature": 0.1})))

        assert not synthesize(config).waits and made(config.output_dir) == made(whole)


@pytest.mark.slow
def test_more_samples_are_asked_beside_those_that_are_there(whole, tmp_path):
    folder = shutil.copytree(whole, tmp_path / "out")
    thinker = {**read_folder(folder).thinker, "samples": 4}
    outcome = synthesize(read_folder(folder, [f"thinker={json.dumps(thinker)}", f"dataset_dir={tmp_path}"]))
    asked = len(read_jsonl(folder / "03_validated.jsonl")) + len(read_jsonl(folder / "04_composed.jsonl"))
    assert len(read_jsonl(folder / "05_thinking.jsonl")) == 4 * asked and outcome.finished >= asked


@pytest.mark.integration
def test_a_picture_that_is_gone_is_counted_and_asked_again(make, drawn, tmp_path):
    """By the next start, once it is there."""
    media = shutil.copytree(drawn, tmp_path / "media")
    config = make(
        media_dir=str(media), scenes=[{"reader": "rows", "file": str(media / "scenes.jsonl"), "box_format": "xyxy"}]
    )
    settings = read_config(config, ["max_rollouts=40"])
    synthesize(settings)
    picture = media / "images" / sorted(path.name for path in (media / "images").iterdir())[0]
    kept = picture.read_bytes()
    picture.unlink()
    outcome = synthesize(read_config(config))
    card = json.loads((settings.output_dir / "05_short.card.json").read_text())
    assert outcome.dropped == card["dropped"]["never answered"] > 0
    (told,) = lines_of(summarise(settings.output_dir))[:1]
    said = (
        f"Not all could be asked. 05_short: {outcome.dropped} never answered. Why (the first of {outcome.dropped} in "
    )
    assert told.startswith(f"All else is made. {said}") and str(picture) in told and "asks it again: virgo-f" in told
    write_status_page(page := settings.output_dir / "page.html", settings.output_dir, scenes=1)
    assert said in page.read_text()
    picture.write_bytes(kept)
    assert synthesize(read_config(config)).finished >= outcome.dropped
    card = json.loads((settings.output_dir / "05_short.card.json").read_text())
    assert "never answered" not in card["dropped"] and not not_asked(settings.output_dir)


@pytest.mark.integration
def test_a_start_of_which_all_was_refused_is_no_success(make, drawn, tmp_path, call):
    media = shutil.copytree(drawn, tmp_path / "media")
    scenes = [{"reader": "rows", "file": str(media / "scenes.jsonl"), "box_format": "xyxy"}]
    config = make(media_dir=str(media), scenes=scenes, compositions=0, max_rollouts=30)
    assert call("run", config)[0] == 0
    next((media / "images").iterdir()).unlink()
    for expected in (0, 1):
        code, said = call("run", config, "max_rollouts=null")
        assert code == expected and "All else is done" in said, said
        refused = len(read_jsonl(tmp_path / "out" / "dropped.jsonl"))
        assert "05_short: " in said and "Once that is put right: virgo-factory synthesize resume" in said
        assert f"{refused} requests could not be asked" in said and "The next start tries them again" in said


@pytest.mark.slow
def test_a_question_is_judged_by_all_its_votes_or_not_at_all(whole, tmp_path):
    folder = shutil.copytree(whole, tmp_path / "out")
    steps = {step.name: step for step in STEPS}
    for votes, judged, kept in (("03_votes", "03_validated", "blind"), ("04_ablations", "04_composed", "all")):
        path = folder / f"{votes}.jsonl"
        rows = read_jsonl(path)
        lost = next(
            row
            for row in rows
            if row["mode"] == kept and row["of"] in {one["id"] for one in read_jsonl(folder / f"{judged}.jsonl")}
        )
        path.write_text("".join(json.dumps(row) + "\n" for row in rows if row != lost))
        with Folder(read_folder(folder)) as opened:
            account = steps[judged].make(opened)

        (dropped,) = [row for row in read_jsonl(folder / f"{judged}.dropped.jsonl") if row["of"] == lost["of"]]
        assert account.dropped["not all votes were had"] == 1 and dropped["reason"] == "not all votes were had"
        assert (
            dropped["detail"] == {"blind": "3 of 3 of solver, 3 of 4 of blind", "all": "all: 2 of 3 of solver"}[kept]
        )


@pytest.mark.integration
def test_roles_that_read_text_may_be_asked_of_any_server(make, whole):
    """`dialect: openai` for them, vLLM for those that go on behind a beginning; the same questions come out."""
    roles = {
        name: {"model_name_or_path": name, "dialect": "openai"} for name in ("writer", "solver", "blind", "composer")
    }
    config = read_config(make(**roles))
    assert not synthesize(config).waits
    params = [row["params"] for row in read_jsonl(config.output_dir / "01_written.jsonl")]
    assert {one.get("dialect") for one in params} == {"openai"} and not any("vllm" in one for one in params)
    assert made(config.output_dir) == made(whole)
