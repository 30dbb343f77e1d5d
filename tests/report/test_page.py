"""Tests of virgo_factory/report/page.py: escaping, streaming, and what a real browser makes of a page."""

import io
import re
import tracemalloc
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image

from virgo_factory.data.read.look import scaled
from virgo_factory.report.page import Article, Picture, Section, Text, write_page
from virgo_factory.report.table import Cell, Table, facts
from virgo_factory.report.text import visible


ATTACKS = [
    "</script><script>document.title='hacked'</script>",
    "<img src=x onerror=\"document.title='hacked'\">",
    "<svg/onload=document.title='hacked'>",
    "<style>article { display: none }</style>",
    "<meta http-equiv=refresh content='0;url=https://example.invalid'>",
    "</article></main></body><h1>mine</h1>",
    '" onmouseover="document.title=\'hacked\'" x="',
    "<!-- <![CDATA[ &lt;b&gt; &amp;",
    "\x1b]0;hacked\x07 \u202egnp.exe \0 \ud800",
]


class Tree(HTMLParser):
    """The elements of a page: (name, attributes), and the text of each card."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict]] = []
        self.cards: list[str] = []
        self.inside = False
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag == "article":
            self.cards.append("")
            self.inside = True

    def handle_endtag(self, tag):
        self.inside = self.inside and tag != "article"

    def handle_data(self, data):
        if self.inside:
            self.cards[-1] += data

    def named(self, tag: str) -> list[dict]:
        return [attributes for name, attributes in self.elements if name == tag]


def attacked(text: str) -> Article:
    """Return a card with the text in every place that a row can fill."""
    section = Section(text, [Text(text, "trained"), Picture(b"", text)], folded=True, note=text)
    return Article(text, text, [section, Section(text, [Text(text, text)])], [(text, text)])


def png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize("text", ATTACKS)
def test_text_stays_text(text, tmp_path):
    harmless = "nothing of note"
    for name, value in (("safe", harmless), ("page", text)):
        table = Table(value, (value, value), [(value, Cell(value, value))], styles={0: value})
        head = [Section(value, [facts([(value, value)]), table, Picture(b"", value), Text(value, value)], note=value)]
        write_page(tmp_path / name, value, [attacked(value)], head)

    safe, page = (Tree((tmp_path / name).read_text(encoding="utf-8")) for name in ("safe", "page"))
    assert [(tag, sorted(attributes)) for tag, attributes in page.elements] == [
        (tag, sorted(attributes)) for tag, attributes in safe.elements
    ], "the text adds no element and no attribute"
    (card,) = page.cards
    assert visible(text) in card


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\tb\nc", "a\tb\nc"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("x\u202ey\u2066z", "x\\u202ey\\u2066z"),
        ("\r\0\x7f\x9b", "\\r\\x00\\x7f\\x9b"),
        ("half \ud83d pair", "half \\ud83d pair"),
        ("中文 é 👩‍🔬 π ≤", "中文 é 👩‍🔬 π ≤"),
    ],
)
def test_visible(text, shown):
    assert visible(text) == shown


def test_the_policy_names_the_only_style_and_script(tmp_path):
    write_page(tmp_path / "page.html", "x", [attacked("y")])
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    tree = Tree(text)
    policy = next(
        meta["content"] for meta in tree.named("meta") if meta.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy.startswith("default-src 'none'; img-src data:; style-src 'sha256-")
    assert "unsafe" not in policy and "http" not in policy
    assert len(tree.named("script")) == len(tree.named("style")) == 1
    assert not [attributes for _, attributes in tree.elements if any(name.startswith("on") for name in attributes)]
    assert all(image["src"].startswith("data:image/") for image in tree.named("img"))
    assert not tree.named("link")
    assert not re.search(r"https?://", text)


@pytest.mark.slow
def test_memory_does_not_grow_with_cards(tmp_path):
    body = "x" * 20_000

    def peak(count: int) -> int:
        tracemalloc.start()
        cards = (Article(f"{number}", "k", [Section("s", [Text(f"{number}{body}")])]) for number in range(count))
        assert write_page(tmp_path / "page.html", "x", cards) == count
        _, highest = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return highest

    few, many = peak(20), peak(1000)
    assert (tmp_path / "page.html").stat().st_size > 20_000_000
    assert many < 2 * few


def test_a_card_that_fails_leaves_the_old_page(tmp_path):
    write_page(tmp_path / "page.html", "old", [])
    before = (tmp_path / "page.html").read_bytes()

    def cards():
        yield Article("new", "k", [])
        raise OSError("disk")

    with pytest.raises(OSError, match="disk"):
        write_page(tmp_path / "page.html", "new", cards())

    assert (tmp_path / "page.html").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]


def test_a_head_of_sections_with_tables_plots_and_folded_parts(tmp_path):
    scores = Table(
        "", ("model", "score", "why"), [("virgo", 1234, "a"), ("all", Cell("61.2", "red"), "b")], (2,), {1: "bold"}
    )
    plot = Picture(b"<svg xmlns='x'/>", "forest")
    write_page(
        tmp_path / "p.html", "t", head=[Section("Scores", [plot, scores]), Section("More", [Text("x")], folded=True)]
    )
    text = (tmp_path / "p.html").read_text(encoding="utf-8")
    tree = Tree(text)
    assert "<h3>Scores</h3>" in text and "<details><summary>More</summary>" in text
    assert text.index('<td class="">1,234</td>') < text.index("data:image/svg+xml;base64,"), "tables come first"
    assert [row.get("class") for row in tree.named("tr")] == [None, None, "bold"]
    assert [cell["class"].split() for cell in tree.named("td")] == [
        ["left"],
        [],
        ["left"],
        ["left"],
        ["red"],
        ["left"],
    ]


@pytest.fixture(scope="session")
def real_page(visual_questions, tmp_path_factory) -> Path:
    """A page of real questions and pictures, one card of attacks and one with a picture that is none."""
    cards = []
    for question in visual_questions:
        thought = f"Let me look at the picture. {question.question} I see it now; once more, to be sure."
        cards.append(
            Article(
                f"Row {len(cards) + 1}",
                question.config,
                [
                    Section("Question", [Picture(scaled(Image.open(question.picture)), "the picture"), Text(question.question, "prompt")]),
                    Section("Thought", [Text(thought * 20, "trained")], folded=True),
                    Section("Solution", [Text(f"It is {question.answer}.", "trained")]),
                ],
                [("answer", question.answer)],
            )
        )  # fmt: skip

    cards.append(Article("attacks", "attack", [Section("All", [Text(text) for text in ATTACKS])]))
    cards.append(Article("no picture", "attack", [Section("All", [Picture(b"no picture", "gone")])]))
    path = tmp_path_factory.mktemp("page") / "page.html"
    head = [Section("", [facts([("rows", len(cards))]), Picture(cards[0].sections[0].content[0].data)])]
    write_page(path, "Real questions", cards, head)
    return path


@pytest.mark.integration
def test_in_a_browser(real_page, visual_questions, browse):
    page = browse(f"file://{real_page}", "--dump-dom")
    tree = Tree(page)
    assert "<title>Real questions</title>" in page, "no script of a row ran"
    assert len(tree.named("script")) == 1
    assert len(tree.named("img")) == len(visual_questions) + 2
    broken = [attributes for attributes in tree.named("figure") if "broken" in attributes.get("class", "")]
    assert len(broken) == 1, "every picture but the one that is none was decoded and shown"
    assert not any("hidden" in card for card in tree.named("article"))
    kinds = Counter(question.config for question in visual_questions) | {"attack": 2}
    options = {option["value"] for option in tree.named("option")}
    assert options == {"", *kinds}


@pytest.mark.integration
@pytest.mark.parametrize(("with_policy", "title"), [(True, "Real questions"), (False, "hacked")])
def test_the_policy_alone_stops_a_script(with_policy, title, real_page, browse, tmp_path):
    text = real_page.read_text(encoding="utf-8")
    text = text.replace("<main>", f"<main>{ATTACKS[0]}{ATTACKS[1]}", 1)
    if not with_policy:
        text = re.sub(r"<meta http-equiv[^>]*>", "", text)

    (tmp_path / "page.html").write_text(text, encoding="utf-8")
    assert f"<title>{title}</title>" in browse(f"file://{tmp_path}/page.html", "--dump-dom")


@pytest.mark.integration
@pytest.mark.parametrize(
    ("view", "expected"),
    [
        ("#kind=FigureQA(MathV360K)", lambda question: question.config == "FigureQA(MathV360K)"),
        ("#words=SCHEDULE", lambda question: "schedule" in (question.question + question.answer).lower()),
        ("#words=once+more&kind=GEOS(MathV360K)", lambda question: question.config == "GEOS(MathV360K)"),
        ("#words=%3Cno+such+text%3E", lambda question: False),
    ],
)
def test_filter_in_a_browser(view, expected, real_page, visual_questions, browse):
    tree = Tree(browse(f"file://{real_page}{view}", "--dump-dom"))
    shown = ["hidden" not in card for card in tree.named("article")]
    assert shown == [*map(expected, visual_questions), False, False]
    assert any(shown) or "no+such" in view


@pytest.mark.integration
def test_nothing_stands_out_of_a_narrow_window(browse, tmp_path):
    long = "no-blank-in-it" * 30
    cards = [
        Article(
            f"Row {n}", f"dropped: {kind}", [Section("Prompt", [Text(long), Picture(b"", long)])], [("place", long)]
        )
        for n, kind in enumerate(["a reason of so many words that no window of a telephone has room for all", long])
    ]
    wide = Image.new("RGB", (900, 90), "blue")
    tables = [Table("Numbers", [f"column {n}" for n in range(20)], [[f"{n:,}" for n in range(10**6, 10**6 + 20)]])]
    legend = [Text(long, "prompt"), Text("trained on", "trained")]
    head = [Section(long, [facts([("tokenizer", long)]), *tables, Picture(scaled(wide), "lengths"), *legend])]
    page, shown = tmp_path / "page.html", tmp_path / "page.png"
    write_page(page, long, cards, head)
    browse(f"file://{page}", f"--screenshot={shown}", "--window-size=400,4000")
    screen = Image.open(shown).convert("RGB")
    margin = screen.crop((390, 0, 400, screen.height))
    assert screen.width == 400 and len(margin.getcolors()) == 1, "something reaches over the right margin"
    assert sum(count for count, colour in screen.getcolors(1 << 20) if colour == (0, 0, 255)) > 8000


@pytest.mark.integration
def test_pictures_are_painted(real_page, visual_questions, browse, tmp_path):
    table = Image.open(visual_questions[0].picture).convert("RGB")
    colours = [
        color for count, color in sorted(table.getcolors(1 << 20), reverse=True) if max(color) - min(color) > 30
    ]
    assert colours, "the first real picture is a coloured table"
    for scheme, flag in (("light", "--lang=en"), ("dark", "--force-dark-mode")):
        file = tmp_path / f"{scheme}.png"
        browse(f"file://{real_page}#words=schedule", f"--screenshot={file}", "--window-size=1000,1500", flag)
        screen = Image.open(file).convert("RGB")
        seen = {color: count for count, color in screen.getcolors(1 << 20)}
        painted = {color: count for count, color in table.getcolors(1 << 20)}
        assert seen.get(colours[0], 0) >= painted[colours[0]]
        background = max(seen, key=seen.get)
        assert (sum(background) > 600) == (scheme == "light")
