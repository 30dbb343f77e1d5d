"""From a response to the answer it gives: after the thought, by the first rule that finds something."""

import re

from virgo_factory.answers.choice import STATED, choose, claimed
from virgo_factory.answers.model import Answer, Question
from virgo_factory.answers.options import LETTERS, options_of
from virgo_factory.answers.patterns import P
from virgo_factory.answers.prose import phrases
from virgo_factory.answers.prose.affirming import affirms, turned
from virgo_factory.answers.prose.asked import wants_several
from virgo_factory.answers.prose.clauses import statements
from virgo_factory.answers.prose.phrases import MAX_ANSWER, MAX_GOLD, said_answer
from virgo_factory.answers.prose.reading import announced, last_said, listed_in
from virgo_factory.answers.prose.response import answer_tag, boxes, parts, plain
from virgo_factory.answers.values.latex import unwrap
from virgo_factory.answers.values.numbers import read_number
from virgo_factory.core.thought import BEGIN_SOLUTION, END_SOLUTION, END_THOUGHT


_TAIL = 60_000
"""Rules weaker than a box look only at so many last characters."""
_END = 300
"""In a response that was cut off, a phrase counts only within so many last characters."""
_LONG = 2_000
"""A response longer than this that stops inside a sentence was cut off by a token limit."""
_WEAK = frozenset(("whole", "bold", "number", "option", "none", "cut"))


def extract(response: str, question: Question | None = None) -> Answer:
    r"""Return the answer that a response gives, with the rule that found it and the part it stands in.

    Linear in the response's length. What follows the thought is looked at; the thought only where nothing follows.

    >>> extract(r"<think>\boxed{1}?</think> So it is \boxed{\frac{1}{2}}.")
    Answer(text='\\frac{1}{2}', rule='box', where='solution')
    >>> extract("The answer is (B).", Question("Which? (A) red (B) blue")).text
    'B'
    """
    if not isinstance(response, str):
        return Answer("", "none", "response")
    question = question or Question()
    options = options_of(question)
    part, ended = parts(response)
    text, where = part.text.replace("\x00", ""), part.where
    if not text.strip():
        return Answer("", "none", where)

    behind = text.lower().rfind("</answer>")
    boxed_behind = behind >= 0 and boxes(text[behind:])[0]
    if not boxed_behind and (tagged := answer_tag(text)) is not None:
        if inner := _from_box(tagged, question, options, "answer_tag"):
            return inner
        short = unwrap(tagged.strip())
        told = len(short) > 40 or next(phrases.announcements(short), None)
        inner = _from_text(tagged, question, options, "answer_tag") if told else Answer("", "none", "")
        kept = inner.rule != "none" or len(short) > MAX_ANSWER
        return inner if kept else Answer(short, "answer_tag", "answer_tag")

    found = _from_box(text, question, options, where)
    undone = re.search("(?i)wait|that|等等|不对|错了", text[-100:]) and P.UNDONE.search(text[-100:])
    is_open = where == "thought" and not ended
    last = boxes(text)[0] if found and is_open else ()
    if undone or last and P.REVISED.search(text, last[-1].end):  # another attempt begins
        return Answer("", "cut", where)
    if found is None:
        text = plain(phrases.without_courtesy(text))
        if is_open or len(text) > _LONG and text.rstrip()[-1:] not in set(".!?。)]}$*`|>\"'…:"):
            # Numbers and phrases on the way are not the answer; only what the end says, if anything, is.
            found = _from_text(text[-_END:], question, options, where)
            return found if found.rule == "phrase" else Answer("", "cut", where)
        found = _from_text(text[-_TAIL:], question, options, where)
        if found.rule in ("option", "letter", "number"):
            chosen = re.search(r"(?:\banswer is|:) a\W*\Z", text[-300:], re.IGNORECASE)
            if not chosen and len(text.split()) > 3 and P.DANGLES.search(text[-300:]):
                return Answer("", "none", where)
            *before, last = ("", *statements(text.strip()[-1_000:])[-2:])
            refused = phrases.refuses(last) or phrases.refuses(before[-1]) and found.text not in last
            if refused and not phrases.refuses(found.text):
                return Answer("", "none", where)
    if where == "solution" and found.rule in _WEAK and BEGIN_SOLUTION in response and END_SOLUTION not in response:
        # The solution was cut off before it came to an answer: the thought is all there is.
        concluded = _from_box(response.partition(END_THOUGHT)[0], question, options, "thought")
        if concluded is not None:
            return concluded
    return found


def _from_box(text: str, question: Question, options: tuple[str, ...], where: str) -> Answer | None:
    found, cut = boxes(text)
    found = [box for box in found if box.text.strip()]
    if not found:
        return None if cut is None else Answer("", "cut", where)
    last = [found[-1]]
    for box in reversed(found[-50:-1]):
        if not P.BETWEEN_BOXES.fullmatch(text, box.end, last[0].start) or not wants_several(question):
            break
        last.insert(0, box)
    if (later := _said_after(text[found[-1].end :][-_TAIL:], options)) is not None:
        return Answer(later, "phrase", where)
    inside = [unwrap(box.text) for box in last]
    return Answer(", ".join(inside[:1] if len(set(inside)) == 1 else inside)[: MAX_GOLD + 1], "box", where)


def _said_after(text: str, options: tuple[str, ...]) -> str | None:
    """The answer said in so many words after the last box, which it overrules; None without one."""
    if not text.strip():
        return None
    if options:
        claim = claimed(text, count := min(len(options), 26))
        return claim[0] if claim and claim[1] == STATED and claim[0][0] in LETTERS[:count] else None
    found = list(phrases.FINAL.finditer(text))
    said = announced(phrases.sentence(text, found[-1].end()), Question()) if found else ""
    return said if said and read_number(said) is not None else None


def _from_text(text: str, question: Question, options: tuple[str, ...], where: str) -> Answer:
    if options or question.kind == "choice":
        chosen = choose(text, options, where, question)
        if options or chosen.text:
            return chosen

    if question.kind == "boolean" and (told := affirms(text, question.text)) is not None:
        return Answer("yes" if told else "no", "phrase", where)
    if way := turned(question.text, text):
        return Answer(way, "option", where)
    if (taken := phrases.correction(text)) and taken["mine"] and text[taken.end() :].strip(" \n.!"):
        return _from_text(text[taken.end() :], question, options, where)
    said = ", ".join(listed_in(text)) or said_answer(text, question.text)
    return Answer(announced(said, question), "phrase", where) if said else last_said(text, question, where)
