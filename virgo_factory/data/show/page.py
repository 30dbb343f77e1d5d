"""One static HTML page of cards: a file that opens without a server or a network and trusts none of its text.

Everything a row holds is escaped, and the page's content security policy names its own style and script by their hash,
so that not even text that slipped through could run. Cards are written as they come: memory does not grow with them.
"""

import base64
import hashlib
import html
import io
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from virgo_factory.data.read.look import as_seen
from virgo_factory.io.atomic import new_file


KINDS_OF_TEXT = ("plain", "prompt", "context", "trained", "rejected")
"""How a text is coloured: given to the model, a prefix of the response that is given as well, trained on, trained away from."""

LONGEST_SIDE = 900
"""Pixels of the longer side of an embedded picture; larger ones are scaled down."""

_MAX_PNG = 300_000  # bytes; above it a picture is a photograph, and JPEG is a tenth of that
_INVISIBLE = re.compile(
    "[\0-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]"
)


@dataclass(frozen=True)
class Text:
    """A piece of text and how it is coloured (one of KINDS_OF_TEXT); `dim` for a control token."""

    text: str
    kind: str = "plain"
    dim: bool = False


@dataclass(frozen=True)
class Picture:
    """A PNG or JPEG (or nothing, where it could not be read) and the words below it."""

    data: bytes
    caption: str = ""


@dataclass(frozen=True)
class Table:
    """Names of columns, and rows of as many cells; the first column is text, the others are numbers."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Section:
    """A part of a card; `folded` ones open on a click, `apart` ones have a line above."""

    title: str
    content: Sequence[Text | Picture]
    folded: bool = False
    note: str = ""
    apart: bool = False


@dataclass(frozen=True)
class Card:
    """One row, question or rollout; `facts` are names and values.

    The page's menu filters by `kind`, which stands beside the title, and by each of `labels`.
    """

    title: str
    kind: str
    sections: Sequence[Section]
    facts: Sequence[tuple[str, str]] = ()
    labels: Sequence[str] = ()


def write_page(
    path: Path,
    title: str,
    cards: Iterable[Card],
    summary: Sequence[tuple[str, str]] = (),
    plots: Sequence[Picture] = (),
    legend: Sequence[Text] = (),
    tables: Sequence[Table] = (),
) -> int:
    """Write a page and return the number of its cards.

    The file appears at `path` when it is whole; a card that raises leaves what was there before.

    Args:
        path: where to; its folder is made.
        title: heading and window title.
        cards: drawn one at a time.
        summary: names and values above the cards.
        plots: pictures above the cards.
        legend: what the colours mean, each in its own.
        tables: above the plots.
    """
    count = 0
    with new_file(path) as file:
        _write_head(file, title, summary, tables, plots, legend)
        for card in cards:
            file.writelines(_card(card))
            count += 1

        file.write(_FOOT)

    return count


def scaled(image: Any, longest: int = LONGEST_SIDE) -> bytes:
    """Return a Pillow image as PNG or JPEG, whichever suits it, no side longer than `longest` pixels."""
    from PIL import Image

    image.draft("RGB", (2 * longest, 2 * longest))  # a large JPEG is decoded small
    image = as_seen(image)
    image.thumbnail((longest, longest), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    if buffer.tell() > _MAX_PNG:
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=85)

    return buffer.getvalue()


def visible(text: str) -> str:
    r"""Return the text with what cannot be seen spelled out: control characters, bidi marks, half surrogate pairs.

    Line breaks and tabs stay. What a row holds can then neither steer a terminal nor turn a line around.

    >>> visible("red\x1b[31m \u202e9")
    'red\\x1b[31m \\u202e9'
    """
    return _INVISIBLE.sub(lambda match: match.group().encode("unicode_escape", "backslashreplace").decode(), text)


def _escape(text: str) -> str:
    return html.escape(visible(text), quote=True)


def _write_head(
    file: IO[str],
    title: str,
    summary: Sequence[tuple[str, str]],
    tables: Sequence[Table],
    plots: Sequence[Picture],
    legend: Sequence[Text],
) -> None:
    policy = f"default-src 'none'; img-src data:; style-src {_source(_STYLE)}; script-src {_source(_SCRIPT)}"
    file.write(
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{_escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<header>\n<h1>{_escape(title)}</h1>\n"
    )
    if summary:
        rows = "".join(f"<tr><th>{_escape(name)}</th><td>{_escape(value)}</td></tr>\n" for name, value in summary)
        file.write(f'<table class="summary">\n{rows}</table>\n')

    for table in tables:
        file.write(f"<h3>{_escape(table.title)}</h3>\n")
        lines = [("th", table.columns), *(("td", row) for row in table.rows)]
        rows = "".join(
            f"<tr>{''.join(f'<{tag}>{_escape(cell)}</{tag}>' for cell in row)}</tr>\n" for tag, row in lines
        )
        file.write(f'<div class="wide"><table class="numbers">\n{rows}</table></div>\n')

    if plots:
        file.write(f'<div class="plots">{"".join(map(_picture, plots))}</div>\n')

    if legend:
        file.write(f'<p class="legend">{" ".join(map(_text, legend))}</p>\n')

    file.write(
        '<form class="filter" hidden><input type="search" id="words" placeholder="Show only cards with this text"'
        ' aria-label="Text to look for"><select id="kind" aria-label="Kind"><option value="">every kind</option>'
        '</select><output id="shown"></output></form>\n</header>\n<main>\n'
    )


def _source(code: str) -> str:
    """Return the policy's word for one inline style or script."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()}'"


def _card(card: Card) -> Iterator[str]:
    kinds = html.escape(json.dumps([visible(kind) for kind in (card.kind, *card.labels)]), quote=True)
    yield f'<article data-kinds="{kinds}">\n<h2>{_escape(card.title)} <small>{_escape(card.kind)}</small></h2>\n'
    if card.facts:
        facts = "".join(f"<div><dt>{_escape(name)}</dt><dd>{_escape(value)}</dd></div>" for name, value in card.facts)
        yield f"<dl>{facts}</dl>\n"

    for section in card.sections:
        note = f" <small>{_escape(section.note)}</small>" if section.note else ""
        heading = f"{_escape(section.title)}{note}"
        apart = ' class="apart"' if section.apart else ""
        yield (
            f"<details{apart}><summary>{heading}</summary>"
            if section.folded
            else f"<section{apart}><h3>{heading}</h3>"
        )
        yield '<div class="content">'
        for piece in section.content:
            yield _picture(piece) if isinstance(piece, Picture) else _text(piece)

        yield f"</div></{'details' if section.folded else 'section'}>\n"

    yield "</article>\n"


def _text(piece: Text) -> str:
    return f'<span class="{_escape(piece.kind)}{" dim" if piece.dim else ""}">{_escape(piece.text)}</span>'


def _picture(picture: Picture) -> str:
    mime = "image/png" if picture.data.startswith(b"\x89PNG") else "image/jpeg"
    data = base64.b64encode(picture.data).decode("ascii")
    caption = _escape(picture.caption)
    return f'<figure><img alt="{caption}" src="data:{mime};base64,{data}"><figcaption>{caption}</figcaption></figure>'


_STYLE = """
:root { color-scheme: light dark; --page: #f6f7f9; --card: #fff; --ink: #1d2430; --dim: #667085; --line: #dfe3e8;
  --prompt: #e3edfb; --context: #fff0cf; --trained: #dcf3e1; --rejected: #fce4e2; --faint: #7a8496; }
@media (prefers-color-scheme: dark) {
  :root { --page: #14171c; --card: #1c2027; --ink: #e4e7ec; --dim: #98a2b3; --line: #323842;
    --prompt: #1d3150; --context: #4a3a12; --trained: #183d28; --rejected: #4b2426; --faint: #8591a3; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem 1rem 4rem; max-width: 60rem; background: var(--page); color: var(--ink);
  font: 15px/1.55 system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
h1 { font-size: 1.45rem; margin: 0 0 .8rem; overflow-wrap: anywhere; }
h2 { font-size: 1.05rem; margin: 0 0 .5rem; overflow-wrap: anywhere; }
h3, summary { font-size: .85rem; font-weight: 600; margin: .9rem 0 .35rem; }
summary { cursor: pointer; }
.apart { border-top: 1px solid var(--line); margin-top: .9rem; }
small, figcaption, th, dt, output { color: var(--dim); font-weight: 400; font-size: .82rem; }
h2 small { display: inline-block; border: 1px solid var(--line); border-radius: .75rem; padding: .05rem .55rem; }
article { background: var(--card); border: 1px solid var(--line); border-radius: .6rem; padding: 1rem 1.2rem;
  margin: 1rem 0; content-visibility: auto; contain-intrinsic-size: auto 30rem; }
article[hidden] { display: none; }
table { border-collapse: collapse; margin-bottom: .6rem; }
th { text-align: left; padding: .1rem 1.2rem .1rem 0; vertical-align: top; white-space: nowrap; }
td { overflow-wrap: anywhere; }
.wide { overflow-x: auto; }
.numbers th, .numbers td { text-align: right; padding: .15rem .9rem .15rem 0; border-bottom: 1px solid var(--line);
  font-variant-numeric: tabular-nums; overflow-wrap: normal; }
.numbers :is(th, td):first-child { text-align: left; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(26rem, 100%), 1fr)); gap: 0 1rem; }
dl { display: flex; flex-wrap: wrap; gap: .3rem 1.5rem; margin: 0; }
dl div { display: flex; gap: .4rem; align-items: baseline; }
dt { white-space: nowrap; }
dd { margin: 0; overflow-wrap: anywhere; }
.content { white-space: pre-wrap; overflow-wrap: anywhere; tab-size: 4;
  font: 13.5px/1.6 ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; }
.content span, .legend span { unicode-bidi: isolate; box-decoration-break: clone; -webkit-box-decoration-break: clone;
  border-radius: .2rem; }
.legend { display: flex; flex-wrap: wrap; gap: .3rem; }
.legend span { padding: .15rem .5rem; font-size: .82rem; }
.prompt { background: var(--prompt); }
.context { background: var(--context); }
.trained { background: var(--trained); }
.rejected { background: var(--rejected); }
.dim { color: var(--faint); }
figure { margin: .4rem 0; white-space: normal; font-family: system-ui, sans-serif; }
figure img { display: block; max-width: 100%; max-height: 30rem; border: 1px solid var(--line); border-radius: .3rem;
  background: #fff; }
figure.broken img { display: none; }
figure.broken { border: 1px dashed var(--dim); border-radius: .3rem; padding: .5rem .8rem; width: fit-content; }
.filter { display: flex; gap: .6rem; align-items: center; flex-wrap: wrap; }
.filter[hidden] { display: none; }
.filter input, .filter select { font: inherit; color: inherit; background: var(--card); padding: .35rem .6rem;
  border: 1px solid var(--line); border-radius: .4rem; }
.filter input { flex: 2 1 16rem; }
.filter select { flex: 1 1 10rem; min-width: 0; max-width: 100%; }
@media print { .filter { display: none; } article { break-inside: avoid; } }
"""

# The filter stands in the address (#words=...&kind=...), so that a view can be sent as a link.
_SCRIPT = """
"use strict";
const cards = [...document.querySelectorAll("article")];
const form = document.querySelector(".filter");
const words = document.getElementById("words"), kind = document.getElementById("kind");
const kinds = new Map(cards.map(card => [card, new Set(JSON.parse(card.dataset.kinds))])), counts = new Map();
for (const card of cards) for (const name of kinds.get(card)) counts.set(name, (counts.get(name) || 0) + 1);
for (const [name, count] of [...counts].sort()) kind.add(new Option(name + " (" + count + ")", name));
const texts = new Map();
const textOf = card => {
  if (!texts.has(card)) texts.set(card, card.textContent.toLowerCase());
  return texts.get(card);
};
function show() {
  const sought = words.value.trim().toLowerCase();
  let shown = 0;
  for (const card of cards) {
    card.hidden = Boolean((kind.value && !kinds.get(card).has(kind.value)) || (sought && !textOf(card).includes(sought)));
    shown += !card.hidden;
  }
  document.getElementById("shown").value = shown + " of " + cards.length;
}
function read() {
  const asked = new URLSearchParams(location.hash.slice(1));
  words.value = asked.get("words") || "";
  kind.value = counts.has(asked.get("kind")) ? asked.get("kind") : "";
  show();
}
function write() {
  const asked = new URLSearchParams();
  if (words.value) asked.set("words", words.value);
  if (kind.value) asked.set("kind", kind.value);
  history.replaceState(null, "", "#" + asked);
  show();
}
form.addEventListener("input", write);
form.addEventListener("submit", event => event.preventDefault());
addEventListener("hashchange", read);
form.hidden = cards.length < 2;
read();
for (const image of document.images) {
  const told = () => { if (!image.naturalWidth) image.parentElement.classList.add("broken"); };
  if (image.complete) told(); else { image.addEventListener("load", told); image.addEventListener("error", told); }
}
"""

_FOOT = f"</main>\n<script>{_SCRIPT}</script>\n</body>\n</html>\n"
