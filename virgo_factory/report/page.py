"""One static HTML page: a file that opens without a server or a network and trusts none of its text.

Everything that a template shows is spelled out (`visible`) and escaped, and the page's content security policy names its own
style and script by their hash, so that not even text that slipped through could run. Articles are written as they come:
memory does not grow with them.
"""

import base64
import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from virgo_factory.io.atomic import new_file
from virgo_factory.report.table import Table
from virgo_factory.report.text import visible


TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class Text:
    """A piece of text and its colour, `dim` for a control token.

    Attributes:
        kind: "plain", "prompt" (given to the model), "context" (given, of a response), "trained" (trained on, correct) or
            "rejected" (trained away from, wrong).
    """

    text: str
    kind: str = "plain"
    dim: bool = False


@dataclass(frozen=True)
class Picture:
    """A PNG, JPEG or SVG (or nothing, where it could not be read) and the words below it."""

    data: bytes
    caption: str = ""

    @property
    def source(self) -> Any:
        """The picture as an address that holds it."""
        from markupsafe import Markup

        kinds = {b"\x89PNG": "png", b"<?xml": "svg+xml", b"<svg": "svg+xml"}
        kind = next((kind for start, kind in kinds.items() if self.data.startswith(start)), "jpeg")
        return Markup(f"data:image/{kind};base64,{base64.b64encode(self.data).decode('ascii')}")


@dataclass(frozen=True)
class Section:
    """A part of the head or of an article; `folded` ones open on a click, `apart` ones have a line above.

    In the head, tables come first, then pictures side by side, then texts as a legend; in an article all in its order.
    """

    title: str
    content: Sequence[Text | Picture | Table]
    folded: bool = False
    note: str = ""
    apart: bool = False


@dataclass(frozen=True)
class Article:
    """One row, question or response; `facts` are names and values.

    The page's menu filters by `kind`, which stands beside the title, and by each of `labels`; a search looks in all its text.
    """

    title: str
    kind: str
    sections: Sequence[Section]
    facts: Sequence[tuple[str, str]] = ()
    labels: Sequence[str] = ()

    @property
    def kinds(self) -> str:
        """Kind and labels as JSON, for the script."""
        return json.dumps([visible(kind) for kind in (self.kind, *self.labels)])


def write_page(path: Path, title: str, articles: Iterable[Article] = (), head: Sequence[Section] = ()) -> int:
    """Write a page and return the number of its articles.

    The file appears at `path` when it is whole; an article that raises leaves what was there before.
    """
    from markupsafe import Markup

    count = 0

    def drawn() -> Iterable[Article]:
        nonlocal count
        for article in articles:
            yield article
            count += 1

    style, script = (Markup((TEMPLATES / name).read_text(encoding="utf-8")) for name in ("page.css", "page.js"))
    hashes = f"style-src {_hash(style)}; script-src {_hash(script)}"
    values = {"policy": Markup(f"default-src 'none'; img-src data:; {hashes}"), "style": style, "script": script}
    with new_file(path) as file:
        stream = _environment().get_template("page.html.j2").stream(values, title=title, head=head, articles=drawn())
        file.writelines(stream)

    return count


def _hash(code: str) -> str:
    """Return the policy's word for one inline style or script."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()}'"


@cache
def _environment() -> Any:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    found = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
        finalize=lambda value: value if isinstance(value, Markup) else visible(str(value)),
    )
    kinds = {"text": Text, "picture": Picture, "table": Table}
    found.tests |= {name: lambda piece, kind=kind: isinstance(piece, kind) for name, kind in kinds.items()}
    return found
