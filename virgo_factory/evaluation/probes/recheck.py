"""Looking again: the same model is asked, with the picture alone, whether what its thought claims to see is there.

Claims are sentences of the thought that speak of seeing, taken by rule. A model may agree with whatever it is told: where a claim
has a number, it is asked about the same sentence with another number, too, and how often it denies that is told beside.
"""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from virgo_factory.core.errors import UserError
from virgo_factory.evaluation.folder import read_run
from virgo_factory.evaluation.probes.below import alone, write_below
from virgo_factory.evaluation.questions import draw
from virgo_factory.evaluation.statistics import Estimate, share
from virgo_factory.formats.row import RejectedRow
from virgo_factory.io.atomic import write_json
from virgo_factory.io.files import TEMPLATES
from virgo_factory.rollouts.long_thoughts import thought_span
from virgo_factory.rollouts.question import FILE as QUESTIONS
from virgo_factory.rollouts.question import question_of, read_lines
from virgo_factory.rollouts.store.jsonl import digest


FOLDER = "recheck"
ABOUT = "recheck.json"
TEMPLATE = "recheck.txt"
OPTIONS = ("yes", "no", "the picture does not show it")
PER_RESPONSE = 3
"""Claims of one response, spread over its thought."""

AS_SAID, CHANGED = "as said", "another number"

SEEING = re.compile(
    r"\bI (?:can )?(?:see|notice|observe)\b(?! (?:that )?(?:why|how|if|whether))"
    r"|\b(?:picture|image|figure|diagram|graph|chart|photo|plot|table|map|drawing|screenshot)\s+(?:also |clearly |only )?"
    r"(?:shows?|has|contains|depicts|displays|includes|lists)\b"
    r"|\b[Ii]n the (?:picture|image|figure|diagram|graph|chart|photo|plot|map|drawing|screenshot)\b"
    r"|\b(?:is|are) (?:labell?ed|marked|drawn|shown|visible)\b|\b[Ll]ooking at the (?:picture|image|figure|diagram|graph|chart|screenshot)\b"
    r"|图中|图片中|图片里|图上|可以看到|从图"
)
_NO_CLAIM = re.compile(r"\W*(?:If|Suppose|Assume|Let|To|The user|What)\b|.*:$", re.DOTALL)
_SENTENCE = re.compile(r"[^.!?。！？\n]+(?:\.(?=\d)[^.!?。！？\n]*)*[.!。！]?(?=[\s\"'”)]|$|[^\x00-\x7f])")
_NUMBER = re.compile(r"(?<![\w.])\d{1,4}(?![\w.]*\w)")


@dataclass(frozen=True)
class Looked:
    """What the model said of some claims when it looked again.

    Attributes:
        said: yes, no, unsure (the picture does not show it) or unread -> how many.
        denied: share of claims that it said no to, of those with an answer that could be read; nan without any.
    """

    what: str
    claims: int
    said: Mapping[str, int]
    denied: Estimate


def claims_of(thought: str, most: int = PER_RESPONSE) -> list[str]:
    """Return sentences of a thought that claim to see something, each once, spread over it.

    >>> claims_of("Let me think. In the figure, AB is 4 cm. So 4 + 4 = 8. I see why. The graph shows 3 peaks.")
    ['In the figure, AB is 4 cm.', 'The graph shows 3 peaks.']
    """
    sentences = (found.group().strip() for found in _SENTENCE.finditer(thought))
    claims = (one for one in sentences if 12 <= len(one) <= 300 and SEEING.search(one) and not _NO_CLAIM.match(one))
    found = list(dict.fromkeys(claims))
    step = max(1.0, len(found) / most)
    return [found[int(number * step)] for number in range(min(most, len(found)))]


def changed(claim: str) -> str:
    """Return a claim with another number; "" where it has none.

    >>> changed("The graph shows 3 peaks."), changed("The graph shows peaks.")
    ('The graph shows 4 peaks.', '')
    """
    found = _NUMBER.search(claim)
    return f"{claim[: found.start()]}{int(found.group()) + 1}{claim[found.end() :]}" if found else ""


def write_recheck(folder: Path, count: int, seed: int, response_format: str) -> Path:
    """Write FOLDER/recheck/questions.jsonl, claims of the first response to so many questions, where it is not there; return the folder.

    Raises:
        ValueError: see `check_drawn`.
    """
    target = folder / FOLDER
    with alone(target):
        check_drawn(folder, count, seed)
        if not (target / QUESTIONS).is_file():
            write_json(target / ABOUT, {"recheck": count, "seed": seed})
            write_below(folder, target, _questions(folder, count, seed, response_format))

    return target


def check_drawn(folder: Path, count: int, seed: int) -> None:
    """Raise ValueError where the claims of an evaluation were drawn otherwise."""
    path, wanted = folder / FOLDER / ABOUT, {"recheck": count, "seed": seed}
    if path.is_file() and (old := json.loads(path.read_text(encoding="utf-8"))) != wanted:
        raise UserError(f"{path.parent}: was made with {old}, now {wanted}. Set it back, or remove the folder.")


def _questions(folder: Path, count: int, seed: int, response_format: str) -> Iterator[dict[str, Any]]:
    rows = {row["id"]: row for _, row in read_lines(folder / QUESTIONS) if row.get("images")}
    drawn, run = draw({id: row["source"] for id, row in rows.items()}, count, seed), read_run(folder)
    template = (TEMPLATES / TEMPLATE).read_text(encoding="utf-8").strip()
    for number, place in enumerate(run.held.place):
        id, rollout = run.ids[place], run.rollouts[run.held.row[number]] if run.ids[place] in drawn else None
        if rollout is None or rollout["sample"]:
            continue

        verdict = run.verdicts[run.held.verdict[number]]["verdict"]
        span = thought_span(rollout["response"], response_format)
        thought = rollout["response"][span[0] : span[1]] if span else rollout["response"]
        for claim in claims_of(thought):
            for what, text in ((AS_SAID, claim), (CHANGED, changed(claim))):
                row = {
                    "id": f"{FOLDER}/{id}/{digest(text)}",
                    "source": FOLDER,
                    **{name: rows[id][name] for name in ("images", "image_sha256")},
                    "question": template.replace("{claim}", text),
                    "gold": OPTIONS[what == CHANGED],
                    "options": OPTIONS,
                    "kind": "choice",
                    "groups": {"claim": what, "response": verdict},
                    "cluster": id,
                }
                if text and _can_be_asked(row):
                    yield row


def _can_be_asked(row: Mapping[str, Any]) -> bool:
    try:
        question_of(row)
    except RejectedRow:  # it holds a marker, such as <image>
        return False

    return True


def looked_at(folder: Path) -> list[Looked]:
    """Return what was said of the claims of an evaluation: all, those of right and of wrong responses, those with another number."""
    target = folder / FOLDER
    if not any(target.glob("rollouts*.jsonl")):
        return []

    run = read_run(target, may_be_empty=True)
    said: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for place, number in zip(run.held.place, run.held.verdict, strict=True):
        question = run.held.questions[place]
        told = (question.cluster, _said(run.verdicts[number]))
        what = question.groups["claim"]
        said["all claims" if what == AS_SAID else what].append(told)
        if what == AS_SAID:
            said[f"of {question.groups['response']} responses"].append(told)

    order = sorted(said, key=lambda what: (what == CHANGED, what != "all claims", what))
    return [_looked(what, said[what]) for what in order]


def _looked(what: str, told: Sequence[tuple[str, str]]) -> Looked:
    read = [(cluster, word == "no") for cluster, word in told if word != "unread"]
    denied = share([is_no for _, is_no in read], [cluster for cluster, _ in read])
    return Looked(what, len(told), Counter(word for _, word in told), denied)


def _said(verdict: Mapping[str, Any]) -> str:
    """Return yes, no, unsure or unread: the options that a response chose."""
    if verdict["state"] != "complete":
        return "unread"

    text = verdict["answer"].strip(" ().").lower()
    for letter, option, word in zip("abc", OPTIONS, ("yes", "no", "unsure"), strict=True):
        if text in (letter, option) or text.startswith((f"{letter})", f"{option}.", f"{option},")):
            return word

    return "unread"
