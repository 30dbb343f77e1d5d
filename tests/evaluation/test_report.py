"""The report on recorded outputs: every cell of the papers' tables once, groups as independent sums, the page in a browser."""

import io
import json
import re
import shutil
from collections import Counter
from decimal import Decimal
from itertools import groupby

import pandas as pd
import pytest
from PIL import Image
from typer.testing import CliRunner

from tests.jsonl import read_csv, read_jsonl
from virgo_factory.cli.main import app
from virgo_factory.core.errors import UserError
from virgo_factory.evaluation.folder import read_run
from virgo_factory.evaluation.paper.tables import PAPERS, facts
from virgo_factory.evaluation.report.page import outcome_of
from virgo_factory.evaluation.report.report import group_tables, write_report
from virgo_factory.evaluation.scores import COLUMNS


pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def made(recorded_runs, tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    return write_report(list(recorded_runs.values()), folder)


@pytest.fixture(scope="module")
def frame(recorded_runs) -> pd.DataFrame:
    """The files of the first run, read by json and pandas alone."""

    def lines(name):
        text = (recorded_runs["first"] / f"{name}.jsonl").read_text(encoding="utf-8")
        return pd.DataFrame([json.loads(line) for line in text.splitlines()])

    questions, rollouts, verdicts = (lines(name) for name in ("questions", "rollouts", "verdicts"))
    judged = rollouts.merge(verdicts, on=["question", "sample", "model"], suffixes=("", "_digest"))
    return questions.rename(columns={"question": "text"}).merge(judged, left_on="id", right_on="question")


def test_groups_are_independent_sums(made, frame, recorded_runs):
    rows = [row for row in read_csv(made.folder / "scores.csv") if row["run"] == "virgo7b_first"]
    assert {row["benchmark"] for row in rows} == {"mathvision", "mmmu", "mathvista", "olympiadbench"}
    compared = 0
    for row in rows:
        part = frame[frame["source"] == row["benchmark"]]
        if row["group"]:
            part = part[part["groups"].map(lambda groups, row=row: groups.get(row["group"]) == row["value"])]

        assert (int(row["n"]), float(row["correct"])) == (len(part), (part["verdict"] == "correct").sum())
        if part.empty:  # nothing was recorded
            assert row["score"] == ""
            continue

        assert float(row["truncated"]) == pytest.approx(100 * (part["finish_reason"] == "length").mean(), abs=1e-4)
        assert float(row["tokens_mean"]) == pytest.approx(part["completion_tokens"].mean(), abs=0.1)
        compared += 1

    assert compared > 60 and list(rows[0]) == list(COLUMNS)


def test_the_tables_of_groups_show_the_same_numbers_and_grey_small_ones(made, recorded_runs):
    own = [row for row in made.scores if row["run"] == "virgo7b_first"]
    tables = {table.title: table for table in group_tables(own)}
    level = tables["MathVision by level"]
    for line in level.rows:
        row = next(
            row for row in own if (row["benchmark"], row["group"], row["value"]) == ("mathvision", "level", line[0])
        )
        assert line[1:3] == (f"{row['n']:,}", f"{row['score']:.1f}")

    subject = tables["MathVision by subject"]
    assert {place for place, line in enumerate(subject.rows) if int(line[1].split()[0]) < 20} == set(subject.styles)
    assert subject.styles and "MMMU by topic_difficulty" in tables


@pytest.mark.parametrize("paper", PAPERS)
@pytest.mark.usefixtures("no_drawing")
def test_every_cell_of_a_papers_tables_stands_exactly_once(paper, recorded_runs, tmp_path):
    found = write_report([recorded_runs["second"]], tmp_path, paper)
    cells = read_csv(tmp_path / "paper_tables.csv")
    printed = Counter(
        (
            row["table"],
            row["model"],
            row["condition"],
            row["benchmark"],
            row["group"],
            row["value"],
            row["metric"],
            row["printed"],
        )
        for row in cells
        if row["printed"]
    )
    wanted = Counter(
        (fact.table, fact.model, fact.condition, *fact.column, str(fact.printed)) for fact in facts(paper)
    )
    assert printed == wanted and set(wanted.values()) == {1}
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    shown = Counter()
    for number, lines in tables_in(text):
        shown[number] += sum(bool(re.match(r"[\d.]+", cell)) for line in lines for cell in line[2:])

    assert shown == Counter(fact.table for fact in facts(paper))
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert all(f"<h3>Table {number}</h3>" in page for number in shown)
    assert found.departures


def tables_in(text: str):
    """Yield the numbers of the paper's tables of a Markdown file, and their lines as cells."""
    for block in re.split(r"^### Table ", text, flags=re.MULTILINE)[1:]:
        lines = [line for line in block.splitlines()[1:] if line.startswith("|") or not line]
        table = next(list(group) for is_line, group in groupby(lines, bool) if is_line)
        yield block.splitlines()[0], [[cell.strip() for cell in line.strip("|").split("|")] for line in table[2:]]


def test_our_values_stand_beside_the_papers(made, frame):
    cells = read_csv(made.folder / "paper_tables.csv")
    mine = [row for row in cells if row["ours"] and row["table"] == "2" and row["condition"] == "D_T"]
    by_name = {row["benchmark"]: row for row in mine}
    assert set(by_name) == {"mathvision", "mmmu", "olympiadbench"}, "MathVerse was not run, so there is no average"
    part = frame[frame["source"] == "mathvision"]
    score = 100 * (part["verdict"] == "correct").mean()
    assert float(by_name["mathvision"]["ours"]) == pytest.approx(score, abs=0.051)
    assert Decimal(by_name["mathvision"]["difference"]) == Decimal(by_name["mathvision"]["ours"]) - Decimal("24.3")
    assert any("scorer: ours, in the paper: paper" in told for told in made.departures)
    assert any(told.startswith("MathVision: 240 of 3,040") for told in made.departures)


def test_differences_are_those_of_the_two_files(made, recorded_runs):
    right = {}
    for name, folder in recorded_runs.items():
        rows = read_jsonl(folder / "verdicts.jsonl")
        right[name] = {row["question"]: row["verdict"] == "correct" for row in rows}

    rows = read_csv(made.folder / "comparisons.csv")
    assert [row["benchmark"] for row in rows] == ["mathvision", "mmmu", "mathvista"]
    for row in rows:
        both = [id for id in right["first"] if id in right["second"] and id.startswith(f"{row['benchmark']}/")]
        wins = sum(right["first"][id] > right["second"][id] for id in both)
        losses = sum(right["first"][id] < right["second"][id] for id in both)
        assert (int(row["n"]), int(row["wins"]), int(row["losses"])) == (len(both), wins, losses)
        assert float(row["difference"]) == pytest.approx(100 * (wins - losses) / len(both), abs=1e-3)
        assert float(row["low"]) < float(row["difference"]) < float(row["high"])


def test_the_plots_are_there_and_hold_something(made):
    names = {path.stem for path in made.folder.glob("*.png")}
    assert {
        *("forest", "differences", "figure_2", "mmmu_topic_difficulty", "mathvision_level"),
        *("mathvision_subject_1", "mathvision_subject_2"),
    } <= names
    assert {"lengths_1_mathvision", "lengths_2_mmmu"} <= names
    for path in made.folder.glob("*.png"):
        image = Image.open(path).convert("RGB")
        assert image.size == (1080, 600) and len(image.getcolors(1 << 20)) > 20, path
        assert f"({path.name})" in (made.folder / "report.md").read_text(encoding="utf-8")


def test_the_page_in_a_browser(made, recorded_runs, browse):
    text = browse(f"file://{made.folder}/report.html", "--dump-dom")
    assert "<title>Evaluation of 2 runs</title>" in text
    assert text.count("<article") == made.responses > 40
    assert 'class="broken"' not in text
    runs = [read_run(folder) for folder in recorded_runs.values()]
    there = {outcome_of(flags) for run in runs for flags in run.held.flags}
    assert there >= {"correct", "wrong", "truncated", "looping"}
    for outcome in ("correct", "looping"):
        shown = browse(f"file://{made.folder}/report.html#kind={outcome}", "--dump-dom")
        cards = re.findall(r"<article ([^>]*)>\s*<h2>[^<]*<small>([^<]*)</small>", shown)
        visible = [kind for attributes, kind in cards if "hidden" not in attributes]
        assert visible and set(visible) == {outcome}

    card = re.search(r"<article.*?</article>", text, re.DOTALL)[0]
    for told in ("gold", "answer", "found by", "rule", "tokens", "data:image/"):
        assert told in card


def test_pictures_of_the_page_are_painted(made, browse, tmp_path):
    browse(f"file://{made.folder}/report.html", f"--screenshot={tmp_path / 'page.png'}", "--window-size=1100,3000")
    image = Image.open(tmp_path / "page.png").convert("RGB")
    assert len(image.getcolors(1 << 24)) > 200


@pytest.mark.usefixtures("no_drawing")
def test_a_run_that_is_going_on_is_partial_and_says_n_of_N(recorded_runs, tmp_path):
    folder = tmp_path / "half"
    shutil.copytree(recorded_runs["second"], folder)
    lines = (folder / "rollouts.jsonl").read_bytes().splitlines(keepends=True)
    (folder / "rollouts.jsonl").write_bytes(b"".join(lines[:300]) + lines[300][:40])
    found = write_report([folder], tmp_path / "out")
    partial = {row["benchmark"] for row in found.scores if row["metric"].endswith(", partial")}
    text = (tmp_path / "out/report.md").read_text(encoding="utf-8")
    assert partial == {"mmmu", "mathvista"} and "MMMU (partial)" in text and re.search(r"\| \d+ of 200 \|", text)


@pytest.mark.usefixtures("no_drawing")
def test_the_command_shows_scores_and_says_where_the_rest_is(recorded_runs, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    arguments = ["evaluate", "report", *map(str, recorded_runs.values()), "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.exception
    for told in (
        *("no end of thought", "Not as in the paper: temperature: 0.6, in the paper: 0.0."),
        *("report.html", "of 3,040"),
    ):
        assert told in result.output


@pytest.mark.usefixtures("no_drawing")
def test_what_is_no_run_is_refused_in_one_sentence(recorded_runs, tmp_path):
    with pytest.raises(UserError, match="no evaluation.yaml and no questions.jsonl in it"):
        write_report([tmp_path])

    with pytest.raises(UserError, match="named twice"):
        write_report([recorded_runs["first"]] * 2)

    with pytest.raises(UserError, match="paper: 'qvq' is not one of"):
        write_report([recorded_runs["first"]], tmp_path / "out", "qvq")

    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("no_drawing")
def test_a_broken_picture_leaves_the_page_whole(recorded_runs, tmp_path):
    folder = tmp_path / "broken"
    shutil.copytree(recorded_runs["second"], folder)
    for path in (folder / "images").rglob("*.*"):
        path.write_bytes(io.BytesIO(b"no picture").getvalue())

    assert write_report([folder], tmp_path / "out").responses > 10
