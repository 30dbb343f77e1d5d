"""The check of whole datasets: what shows only across rows and files, the account, several sources."""

import json
import re
from collections import Counter
from pathlib import Path

import pytest

from virgo_factory.core.thought import LongThought
from virgo_factory.data.check.audit import audit
from virgo_factory.data.check.overlap import read_benchmark
from virgo_factory.data.read.source import find_sources


def _response(thought="It is 56, as 7 * 8 is 56.", solution=r"\boxed{56}"):
    return LongThought(thought, solution).render()


def _row(id, question="What is 7 * 8?", response=None, **more):
    row = {"question": question, "response": response or _response(), **more}
    return row if id is None else {"id": id, **row}


def _codes(report):
    return {kind.code: kind.count for kind in report.kinds}


def test_the_same_id_in_two_datasets_is_no_finding(check):
    report = check({"one.jsonl": [_row("a")], "two.jsonl": [_row("a", "Another?")]})
    assert _codes(report) == {}
    told = [(account.name, account.rows_in, account.kept) for account in report.accounts]
    assert told == [("one", 1, 1), ("two", 1, 1)]


def test_the_same_row_in_two_datasets_names_both_files(check):
    report = check({"one.jsonl": [_row("a")], "two.jsonl": [_row("b", "Another?"), _row("c")]})
    assert _codes(report) == {"duplicate": 1}
    found = report.kinds[0].shown[0]
    assert found.dataset == "two" and found.place.endswith("two.jsonl:2") and found.detail.endswith("one.jsonl:1")


@pytest.mark.parametrize("id", ["a", None])  # ids of rows without one are made of the question
def test_several_responses_under_one_id_are_told(check, id):
    rows = [_row(id), _row(id, response=_response("Another way to 56, by adding 7 eight times."))]
    report = check({"rows.jsonl": rows})
    assert _codes(report) == ({"duplicate_id": 1} if id else {})
    assert not any("another question" in kind.shown[0].detail for kind in report.kinds)


def test_one_question_of_two_pictures_is_no_id_twice(check, tmp_path):
    from PIL import Image

    for name in ("a.png", "b.png"):
        Image.new("RGB", (8, 8), "red" if name == "a.png" else "blue").save(tmp_path / name)

    rows = [
        _row(None, response=_response(solution=rf"\boxed{{{n}}}"), image=f"{name}.png") for n, name in enumerate("ab")
    ]
    assert _codes(check({"rows.jsonl": rows})).keys().isdisjoint({"duplicate_id", "answers_differ"})


@pytest.mark.parametrize(
    ("first", "second", "differ"),
    [
        (r"\boxed{56}", r"\boxed{54}", True),
        (r"\boxed{56}", r"It is \boxed{ +56 }.", False),
        (r"\boxed{B}", r"\boxed{C}", True),
        (r"\boxed{0.5}", r"\boxed{1/2}", False),
        ("It is 56.", r"\boxed{54}", False),
        (r"First \boxed{7}, so \boxed{56}", r"\boxed{56}", False),
    ],
)
def test_two_answers_to_one_question_are_told(first, second, differ, check):
    rows = [_row(f"r{n}", response=_response(solution=solution)) for n, solution in enumerate((first, second))]
    assert _codes(check({"rows.jsonl": rows})).get("answers_differ", 0) == differ


def test_the_same_last_question_of_two_conversations_is_another_one(check):
    rows = []
    for first, answer in (("What is 7 * 8?", 56), ("What is 6 * 9?", 54)):
        asked = ({"role": "user", "content": text} for text in (first, "That is wrong. Try again."))
        said = ({"role": "assistant", "content": _response(solution=rf"\boxed{{{n}}}")} for n in (3, answer))
        rows.append({"messages": [message for turn in zip(asked, said, strict=True) for message in turn]})

    assert "answers_differ" not in _codes(check({"rows.jsonl": rows}))


def test_rows_that_give_no_example_are_not_each_others_duplicates(check):
    assert _codes(check({"rows.jsonl": ["{}", "{}", "[]", "[]"]})).keys().isdisjoint({"duplicate", "duplicate_id"})


def test_the_account_adds_up_whatever_is_in_the_file(check):
    rows = [_row(f"r{n}", f"Question {n}?", _response() if n % 3 else "none") for n in range(30)]
    rows[4:4] = ["{", "[1]", "null", json.dumps({"id": "x"})]
    report = check({"rows.jsonl": rows}, near=True)
    account = report.accounts[0]
    assert account.rows_in == 34
    assert account.kept == sum(n % 3 > 0 for n in range(30))
    assert account.rows_in + account.extra == account.kept + account.dropped
    assert report.count("error") == account.dropped


@pytest.mark.parametrize(("overlong", "severity"), [("drop", "warning"), ("error", "error")])
def test_overlong_is_an_error_where_a_run_stops_on_it(overlong, severity, check, model_folder):
    settings = {"tokenizer": str(model_folder), "cutoff_len": 100, "overlong": overlong}
    report = check({"rows.jsonl": [_row("a"), _row("b", response=_response("It is 56. " * 20))]}, settings)
    assert [(kind.code, kind.severity, kind.count) for kind in report.kinds] == [("overlong", severity, 1)]
    assert report.accounts[0].kept == 1
    assert report.tokens.longest <= 100


def test_rows_that_a_run_cuts_are_counted(check, model_folder):
    settings = {"tokenizer": str(model_folder), "cutoff_len": 100, "overlong": "truncate"}
    report = check({"rows.jsonl": [_row("a"), _row("b", response=_response("It is 56. " * 20))]}, settings)
    assert report.accounts[0].notes == {"cut off at 100 tokens": 1}


def test_a_row_that_is_dropped_from_an_evaluation_set_is_an_error(check, model_folder):
    held = [_row("b"), _row("c", "Q?", _response("It is 56, says 1 of 3. " * 9))]
    check({"rows.jsonl": [_row("a")], "held.jsonl": held})
    recipe = {"template": "virgo", "dataset": "rows", "eval_dataset": "held", "dataset_dir": ".", "cutoff_len": 4096}
    recipe |= {"max_response_tokens": 80, "model_name_or_path": str(model_folder)}
    Path("recipe.yaml").write_text(json.dumps(recipe))
    sources, settings = find_sources("recipe.yaml")
    report = audit(sources, settings, cache=None, workers=1)
    errors = [kind for kind in report.kinds if kind.severity == "error"]
    assert [(kind.words, kind.shown[0].dataset) for kind in errors] == [("response > 80 tokens", "held")]


def test_rows_outside_the_bounds_are_not_selected_which_is_no_finding(check, model_folder):
    settings = {"tokenizer": str(model_folder), "max_response_tokens": 80}
    rows = [_row("a"), _row("b", "Q?", _response("It is 56, says 1 of 3 of them. " * 9))]
    report = check({"rows.jsonl": rows}, settings)
    assert report.accounts[0].reasons == {"response > 80 tokens": 1}
    assert report.count("error") == 0 and "overlong" not in _codes(report)


def test_a_tag_that_is_not_opened_and_one_that_is_not_closed_are_two_kinds(check):
    rows = [_row("a", "A?", "<think>It is 56. \\boxed{56}"), _row("b", "B?", "<answer>\\boxed{56}</answer>")]
    assert len(check({"rows.jsonl": rows}).kinds) == 2


def test_spellings_of_one_thought_are_no_mixture(check):
    """What the same model gives through two servers: tags, tags without the opening one, a field of its own."""
    said = {"role": "assistant", "content": "57.", "reasoning_content": "It is 57."}
    chat = [{"role": "user", "content": "C?"}, said]
    rows = [_row("a", "A?", "<think>It is 56.</think>56."), _row("b", "B?", "It is 55.</think>55.")]
    rows += [{"id": "c", "messages": chat}, _row("d", "D?", "[THINK]It is 58.[/THINK]58.")]
    report = check({"rows.jsonl": rows})
    assert (report.kinds, report.accounts[0].kept, report.accounts[0].format) == ([], 4, "think")
    rows.append(_row("e", "E?", "<think>It is 59.</think><answer>59.</answer>"))
    report = check({"rows.jsonl": rows})
    assert (report.kinds, report.accounts[0].kept) == ([], 5)
    headings = "### Rationales:\nIt is 60.\n### The final answer is:\n60"
    report = check({"rows.jsonl": [*rows, _row("f", "F?", headings)]})
    assert [(kind.code, kind.count) for kind in report.kinds] == [("mixed_formats", 1)]


def test_wrong_rollouts_are_warnings(check):
    row = {"answer": "56", "response": [_response()] * 5, "images": []}
    rows = [row | {"question": f"Question {n}?", "score": [n] * 5} for n in (0, 1)]
    report = check({"rows.jsonl": rows}, entry={"formatting": "virgo_dsd"})
    assert report.accounts[0].kept == 1
    assert [(kind.code, kind.severity, kind.count) for kind in report.kinds] == [("no_correct_response", "warning", 1)]


def test_malformed_rows_that_are_kept_are_warnings(check):
    report = check({"rows.jsonl": [_row("a"), _row("b", "Another?", "Just an answer.")]}, {"malformed": "keep"})
    assert report.accounts[0].kept == 2
    assert [(kind.code, kind.severity) for kind in report.kinds] == [("malformed_kept", "warning")]


def test_rows_in_a_formatting_of_llamafactory_are_counted_only(check):
    report = check({"rows.jsonl": [{"instruction": "a", "output": "b"}] * 3}, entry={"formatting": "alpaca"})
    assert (report.accounts[0].rows_in, report.accounts[0].kept, _codes(report)) == (3, 3, {})
    assert any("rows: formatting alpaca is LLaMA-Factory's own" in note for note in report.notes)


def test_near_duplicates_in_a_broken_list(check):
    text = " ".join(f"Step {n} gives {n * n}." for n in range(80)) + " So 56."
    rows = [_row("a", response=_response(text)), _row("b", response=_response(text.replace("Step 40", "Stage 40")))]
    Path("rows.json").write_text(f"[{json.dumps(rows[0])},\n{json.dumps(rows[1])},\n{{broken")
    sources, settings = find_sources("rows.json")
    report = audit(sources, settings, near=True, cache=None, workers=1)
    assert _codes(report) == {"not_json": 1, "near_duplicate": 1}
    assert [kind.shown[0].line for kind in report.kinds] == [3, 2]


def test_rows_with_the_id_of_a_picture_alone_are_counted_with_their_remedy(check):
    questions = ["How many cats?", "What colour is the cat?", "How many cats are in the image?"]
    rows = [_row(f"r{n}", question) | {"image_id": n + 7} for n, question in enumerate(questions)]
    report = check({"rows.jsonl": rows})
    (kind,) = report.kinds
    assert (kind.code, kind.severity, kind.count) == ("only_the_id_of_a_picture", "error", 3)
    assert "columns" in kind.remedy and "materialize" in kind.remedy
    (account,) = report.accounts
    assert (account.kept, account.reasons, account.notes) == (0, {"only the id of a picture": 3}, {})


WHOLE_FILES = [
    ("rows.json", json.dumps({"train": [_row("a")], "test": [_row("b")]}), "second_list", "a second list of objects", "a file"),
    ("rows.csv", 'id,question\na,b\nc,"open\n', "not_csv", "not CSV", "quotation mark"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "text", "code", "words", "remedy"), WHOLE_FILES)
def test_what_is_wrong_with_a_file_has_its_own_name_and_remedy(tmp_path, monkeypatch, name, text, code, words, remedy):
    monkeypatch.chdir(tmp_path)
    Path(name).write_text(text)
    sources, settings = find_sources(name)
    report = audit(sources, settings, cache=None, workers=1)
    (kind,) = [kind for kind in report.kinds if kind.code == code]
    assert (kind.words, report.accounts[0].reasons[words]) == (words, 1) and remedy in kind.remedy


@pytest.mark.slow
def test_one_process_and_two_find_the_same(check, monkeypatch, shared_data):
    questions = read_benchmark(shared_data / "mathvision/test.jsonl")[:200]
    text = " ".join(f"Step {n} gives {n * n}." for n in range(80))
    rows = []
    for number, question in enumerate(questions[:60]):
        own = " ".join(f"{number + 3} times {n} is {(number + 3) * n}, and" for n in range(60))
        response = _response(f"{text if number % 6 == 0 else own} so 56 in the end.")
        rows.append(_row(f"r{number}", re.sub(r"<image\d*>", "", question.text), response))

    one = check({"rows.jsonl": rows}, near=True, benchmark=questions)
    monkeypatch.setattr("virgo_factory.data.rows.pool.WORTH_BYTES", 0)
    sources, settings = find_sources("rows.jsonl")
    two = audit(sources, settings, near=True, benchmark=questions, cache=None, workers=2)
    told, again = (
        [(kind.code, kind.count, [found.line for found in kind.shown]) for kind in report.kinds]
        for report in (one, two)
    )
    assert told == again
    assert _codes(two)["benchmark_copy"] > 40


@pytest.mark.slow
def test_every_finding_of_real_responses_is_in_the_file(check, shared_data):
    rows, states = [], Counter()
    for path in sorted((shared_data / "skythought").glob("*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            raw = json.loads(line)
            row = {"id": f"{path.stem}-{raw['idx']}", "question": raw["question"]}
            rows.append(row | {"combined_text": raw["code"][0]})
            markers = [raw["code"][0].count(f"<|{name}|>") for name in MARKERS]
            states["whole" if markers == [1, 1, 1, 1] else "none" if not any(markers) else "other"] += 1

    report = check({"sky.jsonl": rows}, findings_file=Path("findings.jsonl"))
    account = report.accounts[0]
    assert (account.rows_in, account.kept) == (882, states["whole"])
    written = [json.loads(line) for line in Path("findings.jsonl").read_text(encoding="utf-8").splitlines()]
    assert len(written) == report.count("error") + report.count("warning")
    errors = [row for row in written if row["severity"] == "error"]
    assert len(errors) == account.dropped == states["none"] + states["other"]
    assert [row["line"] for row in errors] == sorted(row["line"] for row in errors)
    for row in errors:
        assert row["id"] == rows[row["line"] - 1]["id"]


MARKERS = ("begin_of_thought", "end_of_thought", "begin_of_solution", "end_of_solution")


def test_what_rows_say_of_themselves(check):
    rows = [
        _row("a", "One?", correct=0.0),
        _row("b", "Two?", loss=False),
        _row("c", "Three?", score=0.37),
        _row("d", "Four? Put your reasoning in <think></think> tags."),
        _row("e", "Five? Find x, reasoning in <think></think>."),
        _row("f", "Six?", finish_reason="LENGTH"),
        _row("g", "Seven?", _response(solution="It is 56.</s>")),
        _row("h", "[INST] Eight? [/INST]"),
        _row("i", "Nine?", _response(solution="<verify>7 x 8 is 56.</verify> It is \\boxed{56}.")),
        _row("j", "Ten?", looked_at=False),
    ]
    report = check({"rows.jsonl": rows})
    assert {kind.code: kind.severity for kind in report.kinds} == {
        "the_response_is_marked_wrong": "warning",
        "nothing_in_it_is_marked_to_be_learned": "warning",
        "mark_not_understood": "warning",
        "prompt_names_tags": "warning",
        "the_response_was_cut_off_at_the_token_limit": "error",
        "a_control_token_of_another_model_in_the_response": "error",
        "foreign_token_in_the_prompt": "warning",
        "part_in_tags": "warning",
        "yes_or_no_not_read": "info",
    }
    shown = {kind.code: kind.shown[0] for kind in report.kinds}
    assert (shown["mark_not_understood"].id, shown["mark_not_understood"].detail) == ("c", "score")
    assert (shown["prompt_names_tags"].id, shown["prompt_names_tags"].detail[:7]) == ("e", "Find x,")
    assert (shown["foreign_token_in_the_prompt"].id, shown["foreign_token_in_the_prompt"].detail) == ("h", "[INST]")
    assert (shown["part_in_tags"].id, shown["part_in_tags"].detail) == ("i", "<verify>")
    assert shown["yes_or_no_not_read"].detail == "looked_at is False"
    (account,) = report.accounts
    assert (account.kept, account.dropped) == (6, 4)
    assert account.notes == {
        "mark not understood: score": 1,
        "yes or no in a column that is not read: looked_at is False": 1,
        "a part of the response in tags is trained as it is: <verify>": 1,
        "with a request for other tags taken out of the prompt": 1,
    }
    assert report.to_json()["datasets"][0]["notes"] == account.notes
