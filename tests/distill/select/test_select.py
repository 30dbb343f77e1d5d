"""From verdicts to rows: which response is chosen, what becomes of every question, and that training reads the rows."""

import json
import re
import shutil
from dataclasses import replace

import pytest
from folders import WELL_FORMED
from PIL import Image

from virgo_factory.core.thought import MARKERS, LongThought
from virgo_factory.data.read.prefix import add_prefix, read_prefix
from virgo_factory.data.read.source import find_sources
from virgo_factory.data.rows.stream import measure
from virgo_factory.distill.launch import distil
from virgo_factory.distill.select.diversity import Diversity, most_diverse
from virgo_factory.distill.select.select import choose, training_row
from virgo_factory.distill.select.selection_card import accounts
from virgo_factory.formats import read_row
from virgo_factory.formats.row import RejectedRow
from virgo_factory.rollouts.long_thoughts import long_thought_of
from virgo_factory.rollouts.prompt import make_prompt
from virgo_factory.rollouts.question import VisualQuestion
from virgo_factory.rollouts.store.store import RolloutStore


def question(id: str, **more) -> VisualQuestion:
    picture = (f"images/{id.partition('/')[0]}.png",)
    return VisualQuestion(id, id.partition("/")[0], picture, ("00" * 32,), f"How many in {id}?", "12", **more)


# question -> what its samples are ("base:" for the greedy one), and what becomes of it at medium
ASKED = {
    "tabmwp/easy": (["base:correct"], "easy (solved by the base model)"),
    "tabmwp/medium4": (["base:wrong", *["correct"] * 4, "wrong"], "kept"),
    "tabmwp/medium5": (["base:truncated", *["correct"] * 5], "kept"),
    "tabmwp/hard": (["base:wrong", *["correct"] * 3, "truncated", "looping"], "hard (2-3 of 5 correct)"),
    "tabmwp/unsolved": (["base:wrong", "correct", *["wrong"] * 4], "unsolved (0-1 of 5 correct)"),
    "figureqa/open": (["base:wrong", *["correct"] * 3, "unverifiable", "wrong"], "undecided (rollouts are missing or unverifiable)"),
    "figureqa/decided": (["base:wrong", *["correct"] * 4, "unverifiable"], "kept"),
    "figureqa/waiting": (["base:wrong"], "no rollout was judged"),
    "figureqa/lost": ([], "could not be asked"),
    "figureqa/malformed": (["base:wrong", *["malformed"] * 5], "no correct response is well formed: no end of thought"),
}  # fmt: skip


@pytest.fixture
def build(folders, tmp_path):
    """A function that writes a folder with pictures, rollouts and verdicts, and returns it."""

    def build(asked: dict[str, list[str]], name: str = "run", questions=(), **keys):
        folder = tmp_path / name
        listed = questions or [question(id, kind="boolean" if "figureqa" in id else "number") for id in asked]
        folders.start(folder, listed, **{"dataset_dir": tmp_path, "dataset": "mine"} | keys)
        for picture in {picture for one in listed for picture in one.images}:
            (folder / picture).parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (64, 48), "white").save(folder / picture)

        rollouts, verdicts = [], []
        for id, outcomes in asked.items():
            made, judged = folders.sampled(id, [outcome.replace("malformed", "correct") for outcome in outcomes])
            without_end = [replace(row, response=row.response.replace("<|end_of_thought|>", "")) for row in made]
            rollouts += without_end if "malformed" in outcomes else made
            verdicts += judged

        folders.add(folder, rollouts, verdicts)
        return folder

    return build


def thinking(*thoughts, gold="12") -> list[str]:
    """Return well-formed responses."""
    return [WELL_FORMED.format(thought, gold) for thought in thoughts]


def rows(folder, name="selected.jsonl"):
    return [json.loads(line) for line in (folder / name).read_text(encoding="utf-8").splitlines()]


def card_text(folder, name="selected"):
    return (folder / f"{name}.card.md").read_text()


@pytest.fixture
def asked(build):
    folder = build({id: outcomes for id, (outcomes, _) in ASKED.items()})
    with RolloutStore(folder) as store:
        store.drop("figureqa/lost", "m", "refused")

    return folder


def test_every_question_has_its_fate(asked):
    card = choose(asked)
    fates = [fate for _, fate in ASKED.values()]
    assert [row["id"] for row in rows(asked)] == [id for id, (_, fate) in ASKED.items() if fate == "kept"]
    assert card.dropped == {fate: fates.count(fate) for fate in dict.fromkeys(fates) if fate != "kept"}
    assert (card.questions, card.kept, card.output["rows"]) == (len(ASKED), 3, 3)
    assert {row["difficulty"] for row in rows(asked)} == {"medium"}
    questions, rollouts = accounts(choose(asked, ["difficulty=any", "responses=all", "dataset=all"]))
    assert questions[0][1] == sum(count for _, count in questions[1:])
    counts = dict(rollouts)
    samples = sum(count for words, count in rollouts if words.startswith("samples: "))
    good = sum(count for words, count in rollouts if words.startswith(("correct", "rows")))
    assert (counts["samples of saves/virgo7b_dt"], counts["samples: correct"]) == (samples, good)


def test_levels_any_and_hard(asked):
    choose(asked, ["difficulty=hard", "dataset=hard"])
    assert [(row["id"], row["difficulty"]) for row in rows(asked, "hard.jsonl")] == [("tabmwp/hard", "hard")]
    card = choose(asked, ["difficulty=any", "dataset=any"])
    kept = {row["id"]: row["difficulty"] for row in rows(asked, "any.jsonl")}
    assert kept["tabmwp/unsolved"] == "unsolved"
    assert kept["figureqa/open"] == "undecided"
    assert set(kept) == {id for id, (outcomes, _) in ASKED.items() if "correct" in outcomes}
    assert card.dropped["no correct response is well formed: no end of thought"] == 1
    with pytest.raises(ValueError, match="leave base_model_name_or_path out"):
        choose(asked, ["difficulty=random", "dataset=random"])


def test_random_takes_whatever_was_sampled(build):
    outcomes = {"a/1": ["correct"] * 5, "a/2": ["correct", *["wrong"] * 4], "a/3": ["wrong"] * 5}
    folder = build(outcomes, base_model_name_or_path=None, difficulty="random")
    assert choose(folder).dropped == {"no correct response": 1}
    assert [row["id"] for row in rows(folder)] == ["a/1", "a/2"]
    outcomes = {"a/1": ["base:correct"], "a/2": ["base:wrong", "correct"]}  # by a base that the keys no longer name
    folder = build(outcomes, "other", dataset="other", base_model_name_or_path=None, difficulty="random")
    with pytest.raises(ValueError, match="the 1 that it solved have no rollouts"):
        choose(folder)


def test_the_shortest_correct_and_well_formed_one(folders, build):
    folder = build({}, questions=[question("a/1")])
    texts = [*thinking("The long way round."), "12", *thinking("No.", "Short.", "Brief.", "S.")]
    rollouts = [
        folders.rollout("a/1", at, text, finish_reason="length" if at == 5 else "stop")
        for at, text in enumerate(texts)
    ]
    outcomes = ["correct", "correct", "wrong", "correct", "correct", "truncated"]  # the second is malformed
    folders.add(folder, rollouts, [folders.verdict(*pair) for pair in zip(rollouts, outcomes, strict=True)])
    card = choose(folder, ["difficulty=any"])
    assert [row["thought"] for row in rows(folder)] == ["Let me look. Short."], "of two that are as short the first"
    assert card.malformed == {"no tags of a known format": 1}
    assert (card.candidates, card.candidates_kept) == (3, 3)


def test_a_thought_that_is_the_question_again_is_malformed(folders, build):
    folder = build({"a/1": ["correct"] * 4})
    repeating = thinking("")[0].replace("Let me look.", "How many in a/1?")
    folders.answer(folder, "a/1", [repeating], first=4)
    assert choose(folder).malformed == {"the thought repeats the question": 1}
    assert rows(folder)[0]["thought"] != "How many in a/1?"


def test_all_correct_ones_but_the_same_words_once(folders, build):
    folder = build({}, questions=[question("a/1")])
    folders.answer(folder, "a/1", thinking("One.", "Two.", "One.", "Three.", "Two."))
    card = choose(folder, ["responses=all"])
    taken = {row["id"]: row["thought"].removeprefix("Let me look. ") for row in rows(folder)}
    assert taken == {"a/1#0": "One.", "a/1#1": "Two.", "a/1#3": "Three."}
    assert ("correct and well formed, not chosen", 2) in accounts(card)[1]


DIVERSE = [
    # responses, how many, positions
    (["a b c d e f"], 3, [0]),
    (["a b c d e f", "a b c d e f g", "u v w x y z"], 2, [0, 2]),
    (["a b c d e f", "u v w x y z", "a b c d e f g"], 3, [0, 1, 2]),
    (["x", "x", "y"], 2, [0, 2]),
    (["A B C D E F", "a b c d e f", "u v w x y z"], 2, [0, 2]),
    (["", "a b", ""], 2, [0, 1]),
]


@pytest.mark.parametrize(("responses", "count", "positions"), DIVERSE)
def test_diverse_ones_have_little_in_common(responses, count, positions):
    assert most_diverse(responses, count) == positions


def test_diverse_rows(folders, build):
    folder = build({}, questions=[question("a/1")])
    texts = ["one two three four five six", "one two three four five six seven", "a b c d e f g h i j", "no"]
    folders.answer(folder, "a/1", thinking(*texts))
    choose(folder, ["responses=diverse", "k=3", "difficulty=medium"])
    assert [row["id"] for row in rows(folder)] == ["a/1#0", "a/1#2", "a/1#3"]


@pytest.mark.parametrize("responses", ["first", "diverse"])
def test_x1_is_inside_of_x2_and_so_on_with_ids_that_no_two_share(folders, build, responses):
    folder = build({}, questions=[question("a/1"), question("a/2")], samples=8)
    for id in ("a/1", "a/2"):
        texts = ["long " * 9 + "way", "one two", "wrong", "one two", *(f"{at} of my ways" for at in range(4))]
        folders.answer(folder, id, thinking(*texts), ["correct", "correct", "wrong", "correct"])

    taken = []
    for k in (1, 2, 4, 8):
        choose(folder, [f"responses={responses}", f"k={k}", f"dataset=x{k}"])
        there = rows(folder, f"x{k}.jsonl")
        assert {row["question_id"] for row in there} == {"a/1", "a/2"}
        assert all(row["id"].rpartition("#")[0] == row["question_id"] for row in there)
        taken.append([row["id"] for row in there])
        assert len(set(taken[-1])) == len(taken[-1]) == 2 * min(k, 6), "the same words are taken once"

    assert all(set(small) < set(large) for small, large in zip(taken, taken[1:], strict=False))
    if responses == "first":
        assert taken[1] == ["a/1#0", "a/1#1", "a/2#0", "a/2#1"]


def test_the_card_tells_how_unlike_the_responses_are(folders, build):
    folder = build({}, questions=[question("a/1"), question("a/2")])
    folders.answer(folder, "a/2", thinking("no", "no", "no"))
    said = zip(thinking("a b c d e f", "u v w x y z", "a b c d e f"), ("12", "12.0", "12"), strict=True)
    for at, (text, answer) in enumerate(said):
        row = folders.rollout("a/1", at, text)
        folders.add(folder, [row], [folders.verdict(row, "correct", answer)])

    card = choose(folder, ["responses=first", "k=3", "difficulty=any"])
    assert (card.output["rows"], card.candidates_kept, card.wordings) == (3, 6, 3)
    told = card.diversity
    assert (told["questions"], told["rows"], told["final_forms"], told["overlap"]) == (1, 2, 2, 0)
    assert "Of 6 correct responses 3 differ word for word." in card_text(folder)
    assert not choose(folder, ["difficulty=any", "dataset=x1"]).diversity


def test_diversity_by_hand():
    found = Diversity()
    found.add(["a b c d e f", "a b c d e f g"], ["1/2", "0.5"])  # 2 and 3 sequences, 2 of them shared
    found.add(["a b c d e", "v w x y z"], ["7", "7"])
    found.add(["alone"], ["7"])
    means = {
        "questions": 2,
        "rows": 2,
        "overlap": 0.333,
        "final_forms": 1.5,
        "shortest_words": 5.5,
        "longest_words": 6,
    }
    assert found.means() == means and Diversity().means() == {}


@pytest.mark.slow
def test_no_more_of_a_source_than_were_asked_for(build):
    asked = {f"{source}/{number}": ["correct"] * 5 for source in ("tabmwp", "clevr") for number in range(10)}
    folder = build(asked, sources={"tabmwp": 4, "clevr": 20})
    card = choose(folder)
    kept = [row["id"] for row in rows(folder)]
    assert [sum(source in id for id in kept) for source in ("tabmwp", "clevr")] == [4, 10]
    assert card.dropped == {"beyond the number asked of its source": 6}
    assert choose(folder, ["source_quota=false", "dataset=more"]).kept == 20
    again = choose(folder, ["dataset=again"])
    assert again.output["sha256"] == card.output["sha256"], "drawn by the seed alone"
    drawn = [row["id"] for row in rows(folder, "again.jsonl") if "tabmwp" in row["id"]]
    assert drawn != [f"tabmwp/{number}" for number in range(4)], "not the first ones"


@pytest.mark.parametrize(("share", "binary"), [(0.5, 6), (0.25, 2), (0.0, 0), (1.0, 9)])
def test_the_share_of_yes_no_questions_is_capped(build, share, binary):
    asked = {f"tabmwp/{number}": ["correct"] * 5 for number in range(6)}
    asked |= {f"figureqa/{number}": ["correct"] * 5 for number in range(9)}
    folder = build(asked)
    card = choose(folder, [f"max_binary_share={share}"])
    kept = [row["id"] for row in rows(folder)]
    assert sum("figureqa" in id for id in kept) == binary
    assert sum("tabmwp" in id for id in kept) == 6
    assert card.levels["medium"] == {"questions": 15, "binary": 9, "kept": 6 + binary, "binary_kept": binary}


NOTES = [
    (
        *({"a/1": ["correct"] * 4, "a/2": ["correct"] * 5}, {"stop_when_decided": True}),
        "1 of the 2 questions have fewer than 5 judged samples (stop_when_decided",
    ),
    ({"a/1": ["correct"] * 4}, {}, "the run was not finished, or rollouts were lost): their response is the shortest correct one"),
    ({"a/1": ["correct"] * 7 + ["wrong"]}, {"samples": 8}, "medium 7-8 of 8, hard 4-6 of 8, unsolved 0-3 of 8"),
]  # fmt: skip


@pytest.mark.parametrize(("outcomes", "keys", "told"), NOTES)
def test_what_a_reader_must_know_is_noted(build, outcomes, keys, told):
    folder = build(outcomes, urls=["http://gpu-7.example:8000"], api_key_env="VLLM_API_KEY", **keys)
    choose(folder)
    assert told in card_text(folder)
    for name in ("selected.card.md", "selected.card.json", "selected.jsonl"):  # nor how the models were served
        assert not any(secret in (folder / name).read_text() for secret in ("gpu-7", "VLLM_API_KEY"))


def test_a_complete_response_that_repeats_itself_is_noted(folders, build):
    folder = build({"a/1": ["correct"] * 5, "a/2": ["correct"] * 4})
    folders.answer(
        folder, "a/2", thinking("Wait, let me check this once more: it is 7, so we are done. " * 40), first=4
    )
    assert choose(folder).repeating == 0, "the shortest is another one"
    assert choose(folder, ["responses=all", "dataset=all"]).repeating == 1
    assert "though they came to their end: 1;" in card_text(folder, "all")


def test_qvqs_responses_are_split(folders, build):
    folder = build({}, questions=[question("a/1")], response_format="virgo_dqvq")
    final = "**Final Answer**\n\n\\[ \\boxed{12} \\]"
    folders.answer(folder, "a/1", ([f"I count.\n\nTwelve.\n\n{final}", "It is 12", "\\boxed{12}"] * 2)[:5])
    card = choose(folder)
    (row,) = rows(folder)
    assert (row["thought"], row["solution"]) == ("I count.\n\nTwelve.", final)
    assert sum(card.malformed.values()) == 3


BT, ET, BS, ES = MARKERS


@pytest.mark.parametrize(
    ("response", "reason"),
    [
        ("12", "no marker in the response"),
        (f"{BT}a{BS}b{ES}", "no end of thought"),
        (f"{BT}a <image>{ET}{BS}b{ES}", "control token"),
        (f"{BT}a<|im_start|>{ET}{BS}b{ES}", "control token"),
        (f"{BT}\ud800{ET}{BS}b{ES}", "not valid Unicode"),
        (f"{BT}None{ET}{BS}b{ES}", "is None"),
        ("", "empty"),
    ],
)
def test_what_cannot_be_trained_on_is_malformed(response, reason):
    with pytest.raises(RejectedRow, match=reason):
        long_thought_of(response, "four_markers")


ASKED_AS = [
    question("a/1"),
    question("a/2", options=("x", "12")),
    replace(question("a/3"), images=("images/a.png", "images/a.png"), image_sha256=("", "")),
    replace(question("a/4"), question="Which?\n(A) 12\n(B) 13", options=("12", "13")),
]


@pytest.mark.parametrize("one", ASKED_AS, ids=lambda one: one.id)
@pytest.mark.parametrize("prefix", ["none", "virgo"])
def test_trained_on_is_what_was_asked(build, one, prefix):
    folder = build({}, questions=ASKED_AS)
    prompt = make_prompt(one, folder, read_prefix(prefix))
    trained = add_prefix(training_row(one, LongThought("a", "b")).question, read_prefix(prefix))
    assert trained == "<image>" * len(one.images) + prompt.text


def test_training_reads_the_rows(asked, tmp_path, monkeypatch, command):
    choose(asked, ["responses=all", "difficulty=any"])
    sources, settings = find_sources("mine", str(tmp_path), media_dir=str(asked))
    records = list(measure(sources, settings, cache=None))
    assert len(records) == len(rows(asked))
    assert not [record.reason for record in records if record.reason]
    monkeypatch.chdir(tmp_path)
    code, told, _ = command("data", "check", "mine", "--media-dir", asked, "--no-cache")
    assert code == 0 and "0 errors" in told


def test_rollouts_of_no_question_here_are_told(folders, build):
    folder = build({"a/1": ["correct"] * 5})
    rollouts, verdicts = folders.sampled("gone/1", ["correct"])
    folders.add(folder, rollouts, verdicts)
    folders.answer(folder, "a/1", thinking("x"), first=5)
    told = dict(accounts(choose(folder))[1])
    assert (told["of no question here"], told["sample 5 and above"]) == (1, 1)


def test_beside_a_run_only_what_is_judged_counts(folders, build):
    folder = build({"a/1": ["correct"] * 4})
    with RolloutStore(folder) as store:
        store.append(folders.rollout("a/1", 4, *thinking("x")))
        assert choose(folder).unjudged == 1


def test_nothing_is_overwritten_unasked(asked, tmp_path):
    def there():
        return (asked / "selected.jsonl").read_bytes(), (tmp_path / "dataset_info.json").read_bytes()

    choose(asked)
    before = there()
    with pytest.raises(ValueError, match="exists. Name another file, or replace it with --overwrite"):
        choose(asked, ["responses=all"])

    with pytest.raises(ValueError, match="is the card of selected.jsonl"):
        choose(asked, ["dataset=parquet"], asked / "selected.parquet")

    assert before == there()
    choose(asked, overwrite=True)
    assert before == there()
    assert choose(asked, ["dataset=parquet"], asked / "p.parquet").output["rows"] == 3


def test_an_entry_of_another_file_is_in_the_way_and_one_that_reads_the_same_stays_as_it_is(asked, tmp_path):
    info = tmp_path / "dataset_info.json"
    info.write_text('{\n  "other": {"file_name": "o.json"},\n  "mine": {"file_name": "old.jsonl"}\n}\n')
    with pytest.raises(ValueError, match="mine is there already"):
        choose(asked)

    assert not (asked / "selected.jsonl").exists()
    choose(asked, overwrite=True)
    entry = {"file_name": "run/selected.jsonl", "formatting": "long_thought"}
    assert json.loads(info.read_text()) == {"other": {"file_name": "o.json"}, "mine": entry}
    for path in asked.glob("selected*"):
        path.unlink()

    text = json.dumps({"mine": entry | {"made_by": "x"}})
    info.write_text(text)
    choose(asked)
    assert info.read_text() == text


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["difficulty=hart"], "Did you mean hard"),
        (["max_binary_share=2"], "expected less than or equal to 1"),
        (["samples=4"], "samples: not a key of the selection"),
        (["k=4"], "k=4: responses: shortest takes one of a question"),
        (["difficulty=hard", "max_binary_share=0"], "none of 2 questions is kept"),
    ],
)
def test_what_cannot_be_selected_is_told(build, overrides, message):
    folder = build({"figureqa/1": [*["correct"] * 2, *["wrong"] * 3], "a/1": ["wrong"] * 5})
    with pytest.raises(ValueError, match=message):
        choose(folder, overrides)

    assert not list(folder.glob("*selected*"))


def test_a_folder_that_was_moved(asked, tmp_path):
    moved = shutil.move(asked, tmp_path / "elsewhere")
    card = choose(moved)
    assert card.media_dir == str(tmp_path / "elsewhere")
    assert card.entry["mine"]["file_name"] == "elsewhere/selected.jsonl"


def test_the_command(asked, command, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    hard = ("distill", "select", "run", "--difficulty", "hard", "--dataset")
    code, told, _ = command(*hard, "hard", "--responses", "all")
    assert code == 0 and "run/hard.jsonl: 3 rows of 1 question" in told and "1  samples: truncated" in told
    assert "To train on it, put behind a recipe: dataset=hard media_dir=run" in told
    assert json.loads(command(*hard, "again", "--json")[1])["kept"] == 1
    code, _, error = command(*hard, "again")
    assert code == 1 and "exists" in error


def test_a_picture_that_is_gone_is_told_and_nothing_is_written(asked):
    chosen = choose(asked).kept
    before = (asked / "selected.jsonl").read_bytes()
    row = rows(asked)[-1]
    gone = asked / row["images"][0]
    gone.unlink()
    with pytest.raises(ValueError, match=f"{re.escape(str(gone))}: no such picture \\(of question {row['id']}"):
        choose(asked, overwrite=True)

    assert chosen and (asked / "selected.jsonl").read_bytes() == before


@pytest.mark.slow
def test_from_questions_to_rows_through_a_server(start_replay, sky_config, judge_at_hand, tmp_path):
    server = start_replay(max_chars=4000, model=("base", "replay"))
    more = {"base_model_name_or_path": "base", "base_urls": [server.url], "dataset_dir": tmp_path}
    config = sky_config(16, urls=[server.url], **more)
    assert distil(config).left.samples == 0
    card = choose(config.output_dir, ["difficulty=any"])
    asked = server.asked()
    assert card.rollouts == {"base": 16, "samples": len(asked["finished"]) - 16}
    assert card.dropped["easy (solved by the base model)"] > 0
    assert card.malformed, "of the real responses some have no markers"
    assert 0 < card.output["rows"] == card.kept < 16
    gold = {json.loads(line)["id"]: json.loads(line)["gold"] for line in config.questions.open()}
    for row in rows(config.output_dir):
        assert row["answer"] == gold[row["id"]]
        assert "\\boxed{" in row["solution"]


def test_how_often_a_question_is_answered_rightly_is_written_with_it(build, tmp_path, command, monkeypatch):
    """Cut responses are wrong, unverifiable ones do not count; a question that was never asked has no rate."""
    outcomes = {
        "a/1": ["correct", "correct", "wrong", "truncated"],
        "a/2": ["correct", "unverifiable", "unverifiable", "correct"],
        "a/3": ["wrong"] * 4,
        "a/4": ["unverifiable"] * 4,
        "a/5": ["base:correct"],
    }
    folder = build(outcomes, samples=4)
    monkeypatch.chdir(tmp_path)

    def sliced(what, out, bounds) -> tuple[str, list[dict]]:
        code, told, error = command("data", "slice", what, out, "--pass-rate", bounds)
        assert code == 0, error
        return told, rows(tmp_path, out)

    told, rated = sliced(folder, "rated.jsonl", "0:1")
    assert {row["id"]: row["pass_rate"] for row in rated} == {"a/1": 0.5, "a/2": 1.0, "a/3": 0.0}
    assert "5 rows read, 3 written, 2 left out" in told
    entry = {"rated": {"file_name": "rated.jsonl", "formatting": "questions"}}
    (tmp_path / "dataset_info.json").write_text(json.dumps(entry))
    (source,), _ = find_sources("rated", tmp_path, media_dir=str(folder))
    read = [read_row(row, source.formatting).parts[0] for row in rated]
    assert [example.asked["pass_rate"] for example in read] == [0.5, 1.0, 0.0]
    assert [row["id"] for row in sliced(folder, "some.jsonl", "0.1:0.9")[1]] == ["a/1"]
    assert f"Relative image paths start from media_dir: {folder}" in told
    told, never = sliced("rated", "never.jsonl", "0:0")  # a cut of them is a dataset, which can be cut again
    assert [row["id"] for row in never] == ["a/3"] and "right more often than 0" in told
    assert "media_dir" not in told, "their pictures are not beside rated.jsonl"
    code, told, _ = command("data", "slice", "rated", "again.jsonl", "--pass-rate", "0:0", "--media-dir", folder)
    assert code == 0 and f"Relative image paths start from media_dir: {folder}" in told
