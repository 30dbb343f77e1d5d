"""Where pictures stand in the texts of a row: every spelling of their places becomes `<image>`, in the order of the pictures."""

import re
from collections.abc import Mapping
from typing import Any

from virgo_factory.core.example import IMAGE
from virgo_factory.core.lazy_pattern import LazyPattern
from virgo_factory.formats.pictures.values import SUFFIXES, Pictures, holds_picture, in_order, shown
from virgo_factory.formats.row import RejectedRow
from virgo_factory.formats.texts import occurs


_EXTRA = (
    r"[ _@-]?(?:here|placeholder|plhd?|soft_token|tokens?|content|context|pad|patch|embeds?|embeddings?|features?)"
)
_FAKE = "<fake_token_around_image>"
_PAIRED = r"(?:image|img|picture)"
_STRONG = "|".join(
    (
        r"<image>\s*</image>|\(?<image>\./</image>\)?",  # MiniCPM
        r"<image_start>\[\w{0,40}?(?P<bracketed>\d{1,3})\]<image_end>",
        r"<\|?(?:image|img|picture|pic|photo|figure|fig|diagram|chart|graph|screenshot)[ _:-]?#?(?P<number>0*\d{1,3})\|?\s?/?>",
        rf"<<{_PAIRED}(?:[ _-]?(?P<double>\d{{1,3}}))?>>",
        rf"{_FAKE}(?:\s*{_FAKE})?",  # Idefics
        r"(?<=Picture \d: )<img>\s*</img>",  # Qwen-VL
        rf"<(?P<bar>\|?)(?:{_PAIRED}_(?:start|begin)|(?:begin|start)_of_{_PAIRED})(?P=bar)>\s*"  # nothing in it
        rf"<(?P=bar)(?:{_PAIRED}_end|end_of_{_PAIRED})(?P=bar)>|<im_start>\s*<im_end>|<boi>\s*<eoi>",
        rf"<\|image(?!_pad)(?:{_EXTRA})?\|>|(?<![A-Za-z0-9_])<image(?:{_EXTRA})?\s?/?>",
        r"<(?:start_of_image|im_patch|vila/image)>|<\|(?:img|picture)\|>|(?:<IMG_CONTEXT>)+",
        rf"\[?(?<![A-Za-z0-9_])<(?:\[IMG_PLHD\]|(?:img|picture|visual|vis){_EXTRA}\s?/?)>\]?|<\|(?:img|picture|visual|vis){_EXTRA}\|>",
        r"<\|media_(?:start|begin)\|>image<\|media_content\|>(?:<\|media_pad\|>)+<\|media_end\|>|<\|media_pad\|>",  # Kimi
    )
)
_WEAK = "|".join(
    (
        r"<img>\s*</img>|\[img\]\s*\[/img\]|<(?:img|picture|pic|photo|fig|visual|screenshot)\s?/?>",
        r"<(?P<html5>figure|diagram|chart|graph|plot)\s?/?>(?![\s\S]{0,2000}</(?P=html5)>)",
        r"<\s+image\s*/?>|<(?P<around>(?:__)?)media(?P=around)\s?/?>|&lt;\s?(?:image|img)\s?/?&gt;",
        r"(?:(?<![\w\])])|(?<=\[IMG\]))[\[{]{1,2}(?:image|img|picture)(?:[ _-]?#?(?P<counted>\d{1,3}))?[\]}]{1,2}",
        r"(?<![\w\])])\[(?:figure|fig|photo|diagram|chart)\]",
        r"(?-i:\$\{?(?:IMAGE|IMG|PICTURE|FIGURE)(?:_?(?P<upper>\d{1,3}))?\b\}?\$?",
        r"(?<!\w)__(?:IMAGE|IMG|PICTURE|FIGURE)(?:_?\d{1,3})?__(?!\w)|%{1,2}(?:IMAGE|IMG|PICTURE|FIGURE)%{1,2})",
        r"(?<!\S)@(?:image|img|picture|figure)(?:_?\d{1,3})?(?!\w)",
    )
)
TAG = LazyPattern(
    rf"<image>\s*(?P<inner>[^\s<>][^<>\n]{{0,300}}\.(?:{'|'.join(SUFFIXES)}))\s*</image>"
    r"|(?P<literal>(?-i:<image>)(?!(?:\./|\s*)</image>))"
    r"|(?P<qwen><\|vision_start\|>(?:<\|image_pad\|>)*<\|vision_end\|>)"
    rf"|<(?P<close>img|image)>\s*(?P<path>[^<>\n]{{1,400}}?)\s*</(?P=close)>"
    r"|(?P<html><(?:img|image)\s[^<>]{0,200}?\b(?:src|path)\s*=\s*[\"']?(?P<src>[^\"'<>\s]{1,400})[\"']?[^<>]{0,200}>(?:\s*</img>)?)"
    r"|(?P<markdown>(?<!\w)!\[[^\[\]\n]{0,200}\]\((?P<target>data:image/[^()\s]+|[^()\s]{1,400})(?:\s+\"[^\"]*\")?\))"
    r"|(?P<latex>\\includegraphics\*?\s*(?:\[[^\[\]]{0,200}\])?\s*\{\s*(?P<file>[^{}\n]{1,400}?)\s*\})"
    rf"|(?P<colon>[<\[(]\|?{_PAIRED}:\s?(?P<named>[^<>\[\]()\n|]{{1,300}}\.(?:{'|'.join(SUFFIXES)}))\|?[>\])])"
    rf"|(?P<strong>{_STRONG})|(?P<weak>{_WEAK})",
    re.IGNORECASE,
)
"""Every spelling of a picture's place. The weak ones are ordinary code and prose as well."""

_BEGINS = {
    "&": LazyPattern(r"&lt;\s?im", re.IGNORECASE),
    "<": LazyPattern(
        r"<(?:\s+im|\[im|<(?:im|pi)|vila/|__media|\|?(?:im|media|pi|ph|fi|di|ch|gr|pl|sc|vi|audio|start_|begin_|boi|fake_|row_|global-))",
        re.IGNORECASE,
    ),
    "[": LazyPattern(r"\[(?:im|pi|fi|ph|di|ch)", re.IGNORECASE),
    "$": LazyPattern(r"\$\{?(?:IM|PI|FI)"),
    "__": LazyPattern(r"__(?:IM|PI|FI)"),
    "%": LazyPattern(r"%(?:IM|PI|FI)"),
    "@": LazyPattern(r"@(?:im|pi|fi)", re.IGNORECASE),
    "{": LazyPattern(r"\{(?:im|pi)", re.IGNORECASE),
    "(": LazyPattern(r"\((?:image|img|picture):", re.IGNORECASE),
    "!": LazyPattern(r"!\["),
    "\\": LazyPattern(r"\\includegraphics"),
}
"""Begins every TAG and _OTHER_TAG."""


def without_tags(text: str) -> str:
    """Return a text without spellings of a picture's place.

    >>> without_tags("Look: <image 1>!")
    'Look:  !'
    """
    return TAG.sub(" ", text) if occurs(text, _BEGINS) else text


_OTHER_TAG = LazyPattern(
    r"<\|?(?P<kind>video|audio)(?:[ _-]?\d{1,3}|[ _-]?(?:here|placeholder|token))\|?>|<\|(?P<bare>video|audio)\|>"
    r"|<(?P<upper>VIDEO|AUDIO|Video|Audio)>"
)
_END = rf"<(?:/(?:im|{_PAIRED})|\|?(?:im|vision|{_PAIRED})_end\|?|\|?end_?of_?{_PAIRED}\|?|image\||eoi|fim_suffix)>"
_ENDS = LazyPattern(rf"{_END}|\[IMG_END\]", re.IGNORECASE)
"""Without one the next would be looked for from each tag to the end of a text."""
_WRAPPED = LazyPattern(
    rf"<(?:\|?(?:im|vision|{_PAIRED})(?:_(?:start|begin))?\|?|\|?(?:begin|start)_of_{_PAIRED}\|?|boi|fim_prefix)>\s*"
    r"(?P<inner>(?:<\|?(?:image|img|picture|im_patch|im_col|patch)(?!_(?:start|begin|end|pad))[^<>\n|]{0,20}\|?>\s*)+?)"
    rf"{_END}|\[IMG\](?:\s*\[IMG(?:_BREAK)?\])*\s*\[IMG_END\]",
    re.IGNORECASE,
)
"""A picture's tag inside of another pair, LLaVA's or InternVL's, say: the outer one adds nothing; and Pixtral's."""
_TILES = LazyPattern(rf"(?:(?:{_FAKE}\s*)?<row_\d{{1,2}}_col_\d{{1,2}}>(?:\s*<image>)*\s*)+")
_FAKED = LazyPattern(
    rf"(?:{_FAKE}\s*(?:<global-img>\s*)?|<global-img>\s*)(?:<image>)+(?:\s*{_FAKE})?|<image>(?:\s*{_FAKE}|(?:<unk>)+</image>)"
)
"""Idefics' and SmolVLM's: the pieces that a picture is cut into, and the picture, which has a tag for each token; and MiniCPM's."""
_OF_MARKUP = LazyPattern(
    r"```|\b(?:markdown|readme|html|syntax|renders?|rendered|overleaf|pdflatex|xelatex|compiles?|usepackage|documentclass)\b"
    r"|\.md\b|\\begin\{document\}",
    re.IGNORECASE,
)
"""Words of a question about Markdown or LaTeX, in which a picture's command is code."""
_MARKUP = LazyPattern(
    r"</?(?:div|span|p|a|html|body|head|table|tr|td|ul|li|script|button|h[1-6]|br)\b[^<>]*>|```|\bHTML\b", re.I
)
_PROSE_NUMBER = LazyPattern(r"\b(?:image|picture|photo|figure)s? ?(?:#|no\. ?)?\d\b", re.IGNORECASE)


def place_pictures(
    texts: list[str], found: Pictures, inside: int, is_numbered: bool = False
) -> tuple[Pictures, list[str]] | None:
    """Return the pictures in the order of their places, and the texts with `<image>` there; None where nothing changes.

    `texts` are the user's, in order; `inside`: places that the messages hold as items; `is_numbered`: whether several pictures
    are numbered in the one that the row has.
    """
    if not any(occurs(text, _BEGINS) for text in texts):
        return None

    bare = [_FAKED.sub(IMAGE, _TILES.sub("", text)) for text in texts]
    bare = [_WRAPPED.sub(_inner, text) if _ENDS.search(text) else text for text in bare]
    return _placed(bare, found, inside, is_numbered) or ((found, bare) if bare != texts else None)


def _inner(wrapped: re.Match) -> str:
    """Return the tags of pictures in a pair; of the many tokens of one picture the first."""
    inner = (wrapped["inner"] or IMAGE).strip()
    return inner if IMAGE in inner or re.search(r"\d", inner) else f"{inner.partition('>')[0]}>"


def _placed(texts: list[str], found: Pictures, inside: int, is_numbered: bool) -> tuple[Pictures, list[str]] | None:
    tags = [(at, tag) for at, text in enumerate(texts) for tag in TAG.finditer(text)]
    for text in texts:
        if other := _OTHER_TAG.search(text):
            kind = (other["kind"] or other["bare"] or other["upper"]).lower()
            raise RejectedRow(
                f"{'a video' if kind == 'video' else 'an audio'}, which is not trained on", f"the tag {other.group()}"
            )

    if not any(tag.lastgroup != "literal" and not tag["literal"] for _, tag in tags):
        return None

    if inside:
        return _beside_items(texts, tags, found, inside)

    if not found.values:
        found = _named_in(texts, tags)
        if found is None:
            return None

    named = {id(tag): f"image {number}" for _, tag in tags if (number := _number(tag)) is not None and not tag["weak"]}
    if is_numbered and len(found.values) == 1 and len(set(named.values())) > 1:
        return found, _rewritten(texts, tags, named)

    return _set_places(texts, tags, found)


def _beside_items(
    texts: list[str], tags: list[tuple[int, re.Match]], found: Pictures, inside: int
) -> tuple[Pictures, list[str]] | None:
    """Return the texts of messages that hold their pictures as items: numbered tags are references to them."""
    numbered = {id(tag): number for _, tag in tags if (number := _number(tag)) is not None and not tag["weak"]}
    for _, tag in tags:
        if numbered.get(id(tag), 0) > inside:
            raise _beyond(tag, inside)

    new = {tag: f"image {number}" for tag, number in numbered.items()}
    more = {
        id(tag): IMAGE for at, tag in tags if tag["strong"] and not _is_code(texts[at], tag, _is_alone(texts[at], tag))
    }
    rewritten = _rewritten(texts, tags, more | new)
    return (found, rewritten) if rewritten != texts else None


def _named_in(texts: list[str], tags: list[tuple[int, re.Match]]) -> Pictures | None:
    """Return the pictures whose paths stand in the tags themselves; None where the tags are text.

    Raises RejectedRow where a tag stands for a picture that the row does not have.
    """
    named: list[str] = []
    for at, tag in tags:
        text, path = texts[at], _path_in(tag)
        if path and not (tag["html"] or _is_talked_of(text, tag)) and holds_picture(path):
            named += [path] if path not in named else []
            continue

        if (tag["latex"] or _is_link(path)) and not (tag["html"] or _is_talked_of(text, tag)):
            raise _missing(tag, "Give its picture in a column images, in a format such as PNG")

        if tag["markdown"] or tag["latex"] or tag["literal"] or tag["qwen"]:
            continue

        alone = _is_alone(text, tag)
        if tag["html"] and not _MARKUP.search(text) and not _is_quoted(text, tag) and holds_picture(tag["src"]):
            raise _missing(tag, f"If {tag['src']} is the question's picture, give it in a column images")

        if (tag["strong"] or tag["weak"] and alone) and not _is_code(text, tag, alone):
            raise _missing(tag, "Give it in a column images, or take the tag out")

    return in_order(named) if named else None


def _path_in(tag: re.Match) -> str:
    """Return the path or address that a tag names; "" where it names none."""
    return (tag["inner"] or tag["path"] or tag["src"] or tag["target"] or tag["file"] or tag["named"] or "").strip()


def _is_link(path: str) -> bool:
    return path.startswith(("http://", "https://"))


def _is_talked_of(text: str, tag: re.Match) -> bool:
    """Whether a picture of Markdown or LaTeX is code in a question about them."""
    is_code = bool(tag["markdown"] or tag["latex"])
    return is_code and (bool(_OF_MARKUP.search(text)) or _is_quoted(text, tag))


def _is_code(text: str, tag: re.Match, alone: bool) -> bool:
    """Whether a tag without a number is one of a program's or of a page's, which a question is about."""
    if (tag["number"] or tag["bracketed"]) is not None or "|" in tag.group():
        return False

    return bool(_MARKUP.search(text)) or _is_quoted(text, tag) or (tag.group().endswith("/>") and not alone)


def _missing(tag: re.Match, remedy: str) -> RejectedRow:
    return RejectedRow("a picture tag without a picture", f"{tag.group()[:100]}, and no column holds one. {remedy}")


def _beyond(tag: re.Match, count: int, more: str = "") -> RejectedRow:
    remedy = "Where one picture holds several that are numbered in it, write <image> for it and take these tags out"
    return RejectedRow(
        "a picture tag names a picture that is missing", f"{tag.group()}; the row has {count}{more}. {remedy}"
    )


def _is_alone(text: str, tag: re.Match) -> bool:
    """Whether a tag stands in front of a text or in a line by itself."""
    before, after = text[: tag.start()], text[tag.end() :]
    if not before.strip():
        return True

    return before.rstrip(" ").endswith("\n") and (not after.strip() or after.lstrip(" ").startswith("\n"))


def _is_quoted(text: str, tag: re.Match) -> bool:
    """Whether a tag stands between backticks or quotation marks: it is talked about."""
    return text[tag.start() - 1 : tag.start()] in ("`", '"', "'", "\u201c") and bool(tag.start())


def _number(tag: re.Match) -> int | None:
    number = tag["number"] or tag["double"] or tag["bracketed"] or tag["counted"] or tag["upper"]
    return int(number) if number else None


def _set_places(
    texts: list[str], tags: list[tuple[int, re.Match]], found: Pictures
) -> tuple[Pictures, list[str]] | None:
    places: list[tuple[re.Match, int]] = []  # a tag that names a picture, and its position among them
    bare: list[re.Match] = []
    literal = sum(bool(tag["literal"]) for _, tag in tags)
    shift = int(0 not in found.numbers and any(_number(tag) == 0 and not tag["weak"] for _, tag in tags))
    weak: list[re.Match] = []
    others: list[re.Match] = []  # those that name a picture which the row does not have
    for at, tag in tags:
        if tag["literal"]:
            continue

        path = _path_in(tag)
        number = _number(tag)
        if path:
            position = _position_of(path, found)
            if position is not None:
                places.append((tag, position))
            elif tag["html"]:
                others += [] if _MARKUP.search(texts[at]) else [tag]
            elif tag["latex"] or tag["inner"] or _is_link(path) or holds_picture(path):
                others += [] if _is_talked_of(texts[at], tag) else [tag]
        elif tag["weak"]:
            weak.append(tag)
        elif number is not None:
            if number + shift not in found.numbers:
                raise _beyond(tag, len(found.values), f" (numbers {', '.join(map(str, found.numbers))})")

            places.append((tag, found.numbers.index(number + shift)))
        else:
            bare.append(tag)

    if others and not (literal or places or bare) and len(others) == len(found.values):
        are_links = all(_is_link(_path_in(tag)) for tag in others)  # what was fetched from there
        bare = others if are_links or not any(map(_path_of, found.values)) else []

    if others and not bare:
        raise RejectedRow(
            "a picture tag names another picture",
            f"{others[0].group()[:100]}; the row has {shown(found.values)}. Write <image> in the place of that one",
        )

    if literal:
        new = {id(tag): f"image {position + 1}" for tag, position in places}
        new |= {id(tag): IMAGE for tag in bare}
        return found, _rewritten(texts, tags, new)

    if not places and not bare and len(weak) == len(found.values) and all(_number(tag) is None for tag in weak):
        bare = weak
    elif not places and not bare and weak and None not in (numbers := list(map(_number, weak))):
        from_one = [number + (0 in numbers and 0 not in found.numbers) for number in numbers]
        if set(from_one) <= set(found.numbers):
            places = [(tag, found.numbers.index(number)) for tag, number in zip(weak, from_one, strict=True)]

    if places and bare:
        raise RejectedRow("picture tags of two spellings", f"{places[0][0].group()[:60]} and {bare[0].group()[:60]}")

    if bare:
        return found, _rewritten(texts, tags, {id(tag): IMAGE for tag in bare})

    if not places:
        return None

    order = list(dict.fromkeys(position for _, position in places))
    if order != sorted(order):
        rest = "".join(texts)
        for tag, _ in places:
            rest = rest.replace(tag.group(), "")

        if prose := _PROSE_NUMBER.search(rest):
            raise RejectedRow(
                "picture tags out of order",
                f"the text also says {prose.group()!r}, which would be another picture then; write <image> in the order of "
                "the pictures",
            )

    seen: set[int] = set()
    new = {}
    for tag, position in places:
        new[id(tag)] = f"image {order.index(position) + 1}" if position in seen else IMAGE
        seen.add(position)

    order += [position for position in range(len(found.values)) if position not in seen]
    return in_order([found.values[position] for position in order]), _rewritten(texts, tags, new)


def _position_of(path: str, found: Pictures) -> int | None:
    """Return which of the pictures a path names: the same path, or the one with that file name, of LaTeX without suffix."""
    known = {at: value for at, value in enumerate(map(_path_of, found.values)) if value}
    whole = [at for at, value in known.items() if value == path]
    named = [
        at for at, value in known.items() if _name_of(path) in (_name_of(value), _name_of(value).rpartition(".")[0])
    ]
    return (whole or named)[0] if whole or len(named) == 1 else None


def _name_of(path: str) -> str:
    """Return the file name of a picture without its folder, as names are compared."""
    return re.split(r"[/\\]", path.split("?")[0])[-1].lower()


def _path_of(value: Any) -> str | None:
    value = value.get("path") if isinstance(value, dict) else value
    return value if isinstance(value, str) and not value.startswith("data:") else None


def _rewritten(texts: list[str], tags: list[tuple[int, re.Match]], new: Mapping[int, str]) -> list[str]:
    parts: list[list[str]] = [[] for _ in texts]
    ends = [0] * len(texts)
    for at, tag in tags:
        if id(tag) in new:
            parts[at] += [texts[at][ends[at] : tag.start()], new[id(tag)]]
            ends[at] = tag.end()

    return ["".join([*pieces, text[end:]]) for pieces, text, end in zip(parts, texts, ends, strict=True)]
