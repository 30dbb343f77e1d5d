"""The question-answer pairs of LLaVA-OneVision, cleaned: one row may hold several (visual_sources.md sections 2 to 4)."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from virgo_factory.answers.options import LETTERS, inline_options
from virgo_factory.core.errors import UserError
from virgo_factory.core.example import IMAGE
from virgo_factory.data.fetch.onevision import CONFIGS, TEXT_ROWS, Pictures, Shard, opened, shards_of
from virgo_factory.data.fetch.picture_match import pairs_of
from virgo_factory.distill.sources.source_row import Asked, Found, attempt, chosen, without_contradictions
from virgo_factory.formats.row import RejectedRow


SOURCES = ("geos", "geoqa_plus", "geometry3k", "unigeo", "tabmwp", "figureqa", "chartqa", "clevr")
CONFIG_OF = dict(zip(SOURCES, CONFIGS, strict=True))

_GRADING = {name: name for name in SOURCES} | {"geos": "math", "geoqa_plus": "geoqa", "unigeo": "geoqa"}

_HINT = re.compile(r"hint:[^\n]*?(?:\n\s*|(?=\bquestion:))", re.IGNORECASE)
_REASON_FIRST = re.compile(r"first perform reasoning, then finally select the answer[^\n]*\n\s*", re.IGNORECASE)
_QUESTION = re.compile(r"question:\s*", re.IGNORECASE)
_BRIEF = (
    r"brief|briefly|brevity|short|concise|concisely|succinct|succinctly|terse|tersely|quick|compact|to the point|"
    r"(?:single|one) word|word or phrase|option's letter|letter of the option|option letter|given choices"
)
_REQUEST = re.compile(rf"(?:(?<=[?.!])\s+|\n\s*)[^?.!\n\d:]*\b(?:{_BRIEF})\b[^?.!\n\d:]*[.!]?$", re.IGNORECASE)
_LONGEST_REQUEST = 200  # characters at the end of a question in which a request for a short answer is looked for

_CHOICES = re.compile(r"\n\s*(?:choices|options)\s*:\s*", re.IGNORECASE)
_IN_SENTENCE = re.compile(r"[\s,;]*(?:\b(?:or|and))?[?.]?$")
_UNIT = re.compile(r"\(unit:\s*([^()]{1,60})\)$", re.IGNORECASE)
_SAID = re.compile(r"\b(?:the\s+)?(?:final\s+|correct\s+)?answer(?:\s+is\b|\s*:)\s*:?\s*", re.IGNORECASE)
_LONGEST_ANSWER = 300
_ABBREVIATED = re.compile(r"(?:^|[^A-Za-z])(?:[A-Za-z]\.){2,}$")
_LETTER = re.compile(r"\(?([A-H])\)?(?:[.:)]\s*(\S.*))?", re.DOTALL)
_CONTINUES = re.compile(r"(?:and|also|or|then|what about|how about)\b", re.IGNORECASE)
_PROOF = re.compile(r"\b(?:prove|proof|proving)\b", re.IGNORECASE)
_PROOF_WORDS = 12
_LIST = re.compile(r"\[(.+)\]", re.DOTALL)


def read(source: str, origin: str, downloads: Path) -> Iterator[Found]:
    """Yield the questions of a source; one Parquet file at a time lies on the disk where the origin is the hub.

    `origin` is a folder with CONFIG/*.parquet, or a hub dataset, whose files are in `downloads` while they are read. ValueError: no such
    config, the hub cannot be reached, or a file is no Parquet file of the published columns.
    """
    config = CONFIG_OF[source]
    downloads.mkdir(parents=True, exist_ok=True)
    try:
        shards, revision = shards_of(origin, [config], {}, None)
    except ValueError as error:  # which speaks of another verb's options
        remedy = str(error).replace(
            "Name one with --config, in quotes.", f"Leave {source} out of sources, or set onevision."
        )
        raise UserError(remedy.replace("with --source", "with onevision")) from None

    for shard in shards[config]:
        with opened(origin, shard, revision, downloads, "Download it again.") as file:
            for group in range(file.num_row_groups):
                yield from _group(source, shard, file, group)


def _group(source: str, shard: Shard, file: Any, group: int) -> Iterator[Found]:
    """Yield the questions of one row group."""
    pictures = Pictures(file, group)
    position = 0
    for batch in file.iter_batches(TEXT_ROWS, row_groups=[group], columns=["id", "conversations"]):
        for row in batch.to_pylist():
            founds = _row(source, shard.config, row, lambda position=position: pictures.at(position))
            yield from without_contradictions(founds)
            position += 1


def _row(source: str, config: str, row: Mapping[str, Any], picture: Any) -> Iterator[Found]:
    """Yield the questions of a row: one for each pair of turns."""
    id, pairs = str(row["id"]), pairs_of(row["conversations"])
    if not pairs:
        reason = RejectedRow("turns are not pairs", "expected human, gpt, human, gpt, ...")
        yield Found(id, f"{config}/{id}", reason)

    for number, (human, gpt) in enumerate(pairs):
        asked = attempt(lambda pair: ask(source, pair), {"human": human, "gpt": gpt, "number": number})
        own = f"{id}/{number}" if len(pairs) > 1 else id
        yield Found(own, f"{config}/{id}/{number}", asked, (picture,), is_first=not number)


def ask(source: str, pair: Mapping[str, Any]) -> Asked:
    r"""Return what a pair of turns asks: `human` and `gpt`, the turns' texts, and `number`, the pair's place in its row.

    Raises RejectedRow: no question or answer, a pair that relies on the one before it, a proof, a letter without options.

    >>> human = "<image>\nHint: Give the letter.\nQuestion: x?\nChoices:\n(A) 1\n(B) 2"
    >>> ask("geos", {"human": human, "gpt": "The answer is B", "number": 0})
    Asked(question='x?', gold='2', options=('1', '2'), kind='choice', unit=None, grading='math')
    """
    question, options = split_options(clean_question(pair["human"]))
    if not question:
        raise RejectedRow("the question is empty")

    if pair["number"] and _CONTINUES.match(question):
        raise RejectedRow("relies on the question before it", question[:60])

    answer = clean_answer(pair["gpt"])
    if not answer:
        raise RejectedRow("no gold answer")

    if source == "unigeo" and (_PROOF.search(question) or (not options and len(answer.split()) > _PROOF_WORDS)):
        raise RejectedRow("a proof")

    grading = _GRADING[source]
    letter = re.fullmatch(r"\(?([A-H])\)?", answer)
    if not options and letter:  # they may stand inside the sentence
        options = tuple(_IN_SENTENCE.sub("", option) for option in inline_options(question))
        if not options:
            raise RejectedRow("the gold answer is a letter, and there are no options", answer)

    if options:
        return Asked(question, option_meant(answer, options), options, "choice", grading=grading)

    unit = _UNIT.search(question)
    kind: str | None = None
    gold: Any = answer
    if answer.lower() in ("yes", "no"):
        kind = "boolean"
    elif source == "clevr":
        kind = "count" if answer.isdigit() else "text"
    elif source == "chartqa" and (found := _LIST.fullmatch(answer)):
        gold, kind = [part.strip() for part in found[1].split(",")], "sequence"

    return Asked(question, gold, (), kind, unit[1].strip() if unit else None, grading)


def clean_question(human: str) -> str:
    r"""Return a human turn without image markers and without instructions on the form of the answer.

    >>> clean_question("Hint: Give the value.\nQuestion: How far? (Unit: m)\n<image>")
    'How far? (Unit: m)'
    >>> clean_question("<image>\nWhat is the sum? Round your answer to the nearest tenth.\nGive a very brief answer.")
    'What is the sum? Round your answer to the nearest tenth.'
    """
    text = human.replace(IMAGE, "\n").replace("\r\n", "\n").strip()
    for pattern in (_HINT, _REASON_FIRST, _QUESTION):
        if found := pattern.match(text):
            text = text[found.end() :].strip()

    end = text[-_LONGEST_REQUEST:]
    if found := _REQUEST.search(end):
        text = text[: len(text) - len(end) + found.start()].rstrip()

    return text


def split_options(text: str) -> tuple[str, tuple[str, ...]]:
    r"""Return a question without its list of choices, and these.

    >>> split_options("How large is it?\nChoices:\nA:40\nB:60")
    ('How large is it?', ('40', '60'))
    """
    if found := _CHOICES.search(text):
        if options := inline_options(f"Choices:\n{text[found.end() :]}"):
            return text[: found.start()].rstrip(), options

    return text, ()


def clean_answer(gpt: str) -> str:
    """Return a gpt turn without the sentence around its answer and without a full stop.

    >>> clean_answer("The answer is (B) 40."), clean_answer("3.5"), clean_answer("1:20 P.M."), clean_answer("Yes.")
    ('(B) 40', '3.5', '1:20 P.M.', 'Yes')
    """
    text = gpt.strip()
    said = list(_SAID.finditer(text))
    if said and (said[-1].start() == 0 or len(text) - said[-1].end() <= _LONGEST_ANSWER):
        text = text[said[-1].end() :].strip() or text

    return text if _ABBREVIATED.search(text) else text.removesuffix(".").rstrip()


def option_meant(answer: str, options: Sequence[str]) -> str:
    """Return the gold answer among options by its text, its letter, or both; RejectedRow where these are none or two of them."""
    plain = [option.casefold().rstrip(". ") for option in options]
    found = _LETTER.fullmatch(answer)
    if found is None or (found[2] is None and len(answer) > 1 and answer in options):
        if (text := answer.casefold().rstrip(". ")) not in plain:
            raise RejectedRow("the gold answer is none of the options", answer[:60])

        return chosen(options, plain.index(text))

    place = LETTERS.index(found[1])
    if found[2] and (place >= len(options) or found[2].casefold().rstrip(". ") != plain[place]):
        raise RejectedRow("the gold answer's letter and text are of two options", answer[:60])

    return chosen(options, place)
