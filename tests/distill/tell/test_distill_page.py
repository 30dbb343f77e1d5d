"""Tests of virgo_factory/distill/tell/page.py: what a person sees of a distillation, in a real browser too."""

import io
import json
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image

from virgo_factory.distill.tell.page import look_at, plots_of, write_status_page
from virgo_factory.distill.tell.status import DROPPED, summarise
from virgo_factory.rollouts.question import VisualQuestion
from virgo_factory.rollouts.store.store import RolloutStore


ATTACK = "</script><script>document.title='hacked'</script><img src=x onerror=\"document.title='hacked'\">"


class Page(HTMLParser):
    """The cards of a page: title, labels, whether they are hidden, and the sections with title, text and folding."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.cards: list[dict] = []
        self.cells: list[list[str]] = []
        self.tags: list[str] = []
        self.inside = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.tags.append(tag)
        if tag == "article":
            kinds = json.loads(attributes["data-kinds"])
            self.cards.append({"kinds": kinds, "hidden": "hidden" in attributes, "title": "", "sections": []})
        elif tag in ("section", "details") and self.cards:
            self.cards[-1]["sections"].append({"folded": tag == "details", "title": "", "text": ""})
        elif tag == "tr":
            self.cells.append([])
        elif tag in ("td", "th"):
            self.cells[-1].append("")

        if tag in ("h2", "h3", "summary", "td", "th", "figcaption") or attributes.get("class") == "content":
            self.inside = tag

    def handle_endtag(self, tag):
        if tag == "figcaption":
            self.inside = "div"
        elif tag in ("h2", "h3", "summary", "td", "th", "div"):
            self.inside = ""

    def handle_data(self, data):
        if self.inside in ("td", "th"):
            self.cells[-1][-1] += data
        elif self.inside == "h2":
            self.cards[-1]["title"] += data
        elif self.inside in ("h3", "summary") and self.cards:
            self.cards[-1]["sections"][-1]["title"] += data
        elif self.inside == "div":
            self.cards[-1]["sections"][-1]["text"] += data


@pytest.fixture(scope="module")
def real(shared_data, folders, tmp_path_factory) -> Path:
    """A folder of real pictures, real problems and real responses: twice that to the problem, once that to another."""
    folder = tmp_path_factory.mktemp("real")
    (folder / "images").mkdir()
    pictures = sorted((shared_data / "tabmwp/tables").glob("*.png"))
    lines = (shared_data / "skythought/sky_t1_math_correct_5k_27b__math500.jsonl").read_text("utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    questions, rollouts, verdicts = [], [], []
    for number, row in enumerate(rows[:24]):
        id, name = f"tabmwp/{number}", f"images/{number}.png"
        (folder / name).write_bytes(pictures[number % len(pictures)].read_bytes())
        questions.append(VisualQuestion(id, "tabmwp", (name,), ("",), row["question"], row["gt"], ("a", "<b>")))
        for sample, other in enumerate((row, row, rows[number + 200])):
            response = other["code"][0]
            cut = "<|end_of_solution|>" not in response
            rollouts.append(folders.rollout(id, sample, response, len(response) // 4, "length" if cut else "stop"))
            right = sample < 2 and row["score"][0]
            verdicts.append(folders.verdict(rollouts[-1], "truncated" if cut else "correct" if right else "wrong"))

    folders.start(folder, questions, samples=3, base_model_name_or_path=None)
    folders.add(folder, rollouts, verdicts)
    return folder


@pytest.fixture(scope="module")
def real_page(real, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("page") / "status.html"
    assert write_status_page(path, real, questions=9) == 9
    return path


def test_all_of_a_rollout_is_there(real, real_page):
    page = Page(real_page.read_text(encoding="utf-8"))
    drawn = list(look_at(real, summarise(real, choose=9).chosen))
    assert [card["title"].split()[0] for card in page.cards] == [seen.question.id for seen in drawn]
    levels = {"hard", "unsolved"}  # two of three are at least two of five, and less than four of five
    for card, seen in zip(page.cards, drawn, strict=True):
        assert card["kinds"][:2] == [seen.level, "tabmwp"] and seen.level in levels
        question, *sections = card["sections"]
        assert question["text"].endswith(f"{seen.question.question}\n(A) a\n(B) <b>") and not question["folded"]
        assert len(seen.rollouts) == 3
        for rollout, verdict in seen.rollouts:
            head = sections.pop(0)
            assert head["title"].startswith(f"Sample {rollout.sample + 1}: {verdict.outcome} ")
            assert f"{rollout.completion_tokens:,} tokens" in head["title"] and not head["folded"]
            assert f"a rollout is {verdict.outcome}" in card["kinds"]
            if verdict.outcome == "truncated":
                assert "cut at max_tokens" in head["title"]
                whole = sections.pop(0) if sections and sections[0]["folded"] else head
                assert whole["text"] == rollout.response
                assert rollout.response.endswith(head["text"].removeprefix("... "))
            else:
                thought = sections.pop(0)
                assert "answer 12 (box in the solution)" in head["title"]
                assert thought["folded"] and thought["title"].startswith("Thought")
                assert len(thought["text"]) > 200 and thought["text"] in rollout.response
                assert head["text"] in rollout.response.partition("<|begin_of_solution|>")[2]

        assert not sections


def test_numbers_on_the_page_are_those_of_the_status(real, real_page):
    group = summarise(real).all
    cells = Page(real_page.read_text(encoding="utf-8")).cells
    assert ["tabmwp", "24", *(f"{count}" for level, count in group.levels.items() if level != DROPPED)] in cells
    outcomes = [f"{count}" for count in group.outcomes.values()]
    per_row = f"{group.tokens / group.accepted:,.0f}"
    assert ["tabmwp", "72", *outcomes, f"{group.tokens:,}", f"{group.accepted}", per_row] in cells
    assert not any(cell[0] == "all" for cell in cells), "one source is all of them"


@pytest.mark.slow
def test_a_row_of_attacks_and_bad_pictures(folders, tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images/broken.png").write_bytes(b"\x89PNG nothing")
    folder = tmp_path / "run"
    images = ("images/gone.png", "../images/broken.png", "/etc/passwd", "broken.png")
    question = VisualQuestion(ATTACK, ATTACK, images, (), ATTACK, ATTACK, (ATTACK,), origin=ATTACK)
    folders.start(folder, [question])
    (folder / "broken.png").write_bytes(b"\x89PNG nothing")
    folders.add(folder, *folders.sampled(ATTACK, ["base:wrong", "correct"]))
    folders.add(folder, [folders.rollout(ATTACK, 1, folders.WELL_FORMED.format(ATTACK, ATTACK))])
    folders.add(folder, [folders.rollout(ATTACK, 2, ATTACK * 50, finish_reason="loop")])
    with RolloutStore(folder) as store:
        store.drop(ATTACK, ATTACK, ATTACK)

    path = tmp_path / "page.html"
    assert write_status_page(path, folder) == 1
    text = path.read_text(encoding="utf-8")
    page = Page(text)
    (card,) = page.cards
    assert page.tags.count("script") == 1 and ATTACK not in text
    assert card["title"].startswith(ATTACK)
    assert ATTACK in card["sections"][0]["text"]
    titles = [section["title"] for section in card["sections"]]
    assert titles[1].startswith("Base model, greedy: wrong") and titles[2].startswith("Thought")
    assert titles[-2].startswith("Sample 3: not judged yet") and titles[-1].startswith("Whole response")
    for told in ("images/gone.png: no file", "leads out of media_dir", "/etc/passwd is outside", "broken.png: cannot"):
        assert told in text, told


@pytest.mark.slow
def test_plots_are_drawn_where_there_is_something(folders, real, tmp_path):
    plots = plots_of(summarise(real))
    assert [len(plot.data) > 5000 for plot in plots] == [True] * 3
    assert Image.open(io.BytesIO(plots[0].data)).size == (896, 560)
    folders.start(tmp_path, [])
    assert plots_of(summarise(tmp_path)) == []
    asked = tmp_path / "not judged"
    folders.start(asked, [VisualQuestion("a/1", "a", (), (), "Why?", "12")])
    folders.add(asked, *folders.sampled("a/1", ["unjudged"]))
    assert summarise(asked).lengths and [plot.caption[:10] for plot in plots_of(summarise(asked))] == ["Difficulty"]
    assert write_status_page(tmp_path / "page.html", tmp_path) == 0


@pytest.mark.slow
def test_the_verb_writes_a_page(real, tmp_path, command):
    status = ("distill", "status", real)
    told = command(*status, "--html", tmp_path / "p.html", "--questions", 2, "--seed", 7)
    assert told == (0, f"{tmp_path / 'p.html'}: 2 questions\n", "")
    first = [card["title"] for card in Page((tmp_path / "p.html").read_text("utf-8")).cards]
    assert first == [f"{id} {level}" for id, level in summarise(real, choose=2, seed=7).chosen.items()]
    code, _, error = command(*status, "--seed", 7)
    assert code == 1 and "--questions and --seed are of the page: add --html FILE" in error


@pytest.mark.integration
@pytest.mark.parametrize(
    ("view", "expected"),
    [
        ("#kind=unsolved", lambda seen: seen.level == "unsolved"),
        ("#kind=a+rollout+is+correct", lambda seen: any(verdict.outcome == "correct" for _, verdict in seen.rollouts)),
    ],
)
def test_filter_in_a_browser(view, expected, real, real_page, browse):
    shown = [not card["hidden"] for card in Page(browse(f"file://{real_page}{view}", "--dump-dom")).cards]
    assert shown == [expected(seen) for seen in look_at(real, summarise(real, choose=9).chosen)]
    assert any(shown) and not all(shown)


@pytest.mark.integration
def test_on_the_screen(real, real_page, browse, tmp_path):
    """Pictures and plots are painted in their own colours and size, in the first cards of the page."""
    shot = tmp_path / "page.png"
    browse(f"file://{real_page}", f"--screenshot={shot}", "--window-size=1100,2600")
    screen = Image.open(shot).convert("RGB")
    seen = {colour: count for count, colour in screen.getcolors(1 << 22)}
    first = next(look_at(real, summarise(real, choose=9).chosen)).question.images[0]
    picture = Image.open(real / first).convert("RGB")
    colours = sorted((count, colour) for count, colour in picture.getcolors(1 << 20) if max(colour) - min(colour) > 30)
    count, colour = colours[-1]
    assert 0.99 * count < seen.get(colour, 0) < 3 * count, "it is there, and not blown up"
    assert seen.get((200, 85, 61), 0) > 2000, "the bars of unsolved questions"
