"""From a response to the answer it gives: after the thought, by the first rule that finds something."""

import re
from functools import lru_cache

from virgo_factory.answers.latex import characters, tidy, unwrap, words
from virgo_factory.answers.model import Answer, Question
from virgo_factory.answers.numbers import read_number
from virgo_factory.answers.options import LETTERS, options_of
from virgo_factory.answers.response import answer_tag, boxes, parts
from virgo_factory.thought import BEGIN_SOLUTION, END_SOLUTION, END_THOUGHT


MAX_ANSWER = 2_000
"""Longest answer; a longer one is not an answer but a text."""
_TAIL = 60_000
"""Rules weaker than a box look only at so many last characters."""

_END = 300
"""In a response that was cut off, a phrase counts only within so many last characters."""
_LONG = 2_000
"""A response longer than this that stops inside a sentence was cut off by a token limit."""

_SEVERAL = re.compile(
    r"\ball (?:possible |real |the |positive |integer |such |of the |values |solutions |ordered )|\b(?:values|solutions|roots|pairs|"
    r"triples|answers|integers|numbers|functions|points|coordinates|lengths|dimensions|zeros|intercepts|respectively)\b"
    r"|separated by commas|\beach of\b|\bboth\b|\b(?:what|which|find|determine) .{0,80}\band\b",
    re.IGNORECASE | re.DOTALL,
)
_BETWEEN_BOXES = re.compile(r"(?:[\s,;&$.]|\\[\]\[()\\,;: ]|\\q?quad|\\text\s*\{\s*(?:,|and|or|,? ?and|,? ?or)\s*\}|and|or|\*){0,60}")

_SUBJECT = (
    r"(?:(?:the|my|our|your|this|so)\s+)?(?:(?:final|correct|best|right|most appropriate|most likely|closest|final correct)\s+)*"
    r"(?:answer|choice|option|answer choice|answer option|ans|réponse|respuesta|antwort)s?"
    r"(?:\s+(?:here|choice|option|to (?:the|this) (?:question|problem)|for (?:the|this) (?:question|problem)|among[^.:\n]{0,40}|for [^.:\n]{1,40}(?=:)))?"
)
_PHRASE = re.compile(
    rf"(?:\*\*|__|#+ ?)?\b{_SUBJECT}\s*(?:\*\*|__)?\s*"
    r"(?:(?:is|are|would be|should be|must be|will be|could be|est|es|ist|was)(?![A-Za-z])(?:\s*(?:therefore|thus|then|option|choice|indeed|as follows))*\s*[:：]?|[:：=])"
    r"\s*(?:\*\*|__)?[ \t]*",
    re.IGNORECASE,
)
_FINAL = re.compile(r"\bfinal answer\s*(?:is|:)(?:\s*the final answer\s*(?:is|:))?\s*", re.IGNORECASE)
_REFUSAL = re.compile(
    r"\b(?:(?:cannot|can't|can not|could not|couldn't)(?: \w+ly)? (?:be (?:\w+ly )?(?:determined|provided|answered|solved|found|decided)|determine|answer|provide|solve|"
    r"find|process|see|view|help|identify|say|give|tell|decide)|unable to|impossible to|not possible to|don't know|not (?:provide|contain|give|include) enough|"
    r"insufficient|not sufficient|not (?:in|among|one of) the (?:provided |given )?(?:choices|options))\b", re.IGNORECASE
)
_WEAK = frozenset(("whole", "bold", "maths", "number", "option", "none", "cut"))
_HEADER = re.compile(
    r"(?:^|\n)[*_#> \t]{1,20}(?:the )?final answer[ \t]*[:：]?[ \t]*(?:[*_#]+)?[ \t]*[:：]?[ \t]*|答案\s*[是为：:]*\s*|####[ \t]*", re.IGNORECASE
)
_ITEMS = re.compile(r"[\s*_:]*(?:\n[ \t]*(?:[-•*]|\d+[.)])[ \t][^\n]{1,300}[:=][^\n]{1,300}){2,20}")
_BOLD = re.compile(r"\*\*([^*\n]{1,200})\*\*")
_MATHS = re.compile(r"\$\$([^$]{1,1000})\$\$|\$([^$\n]{1,500})\$|\\\[(.{1,1000}?)\\\]|\\\((.{1,500}?)\\\)", re.DOTALL)
_NUMERAL = re.compile(
    r"\(\s*-?\d+(?:\.\d+)?\s*,\s*-?\d+(?:\.\d+)?\s*\)|\b(?:between|from)\s\$?\d[\d.,]*\s(?:and|to)\s\$?\d[\d,]*(?:\.\d+)?"
    r"|\d+(?:\.\d+)?\s?:\s?\d+(?:\.\d+)?|(?<![\w.])(?:(?<![\d)\]}]\s)(?<![\d)\]}])[-−]\s?)?[$€£]?(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)?(?:(?<=\d)\.\d+|(?<!\d)\.\d+)?(?:(?<=\d)\s?/\s?\d+|[eE][+-]?\d+)?(?<=\d)(?:\s*\\?%)?(?![\d])"
)
_SENTENCE_END = re.compile(r"\n|(?<=[a-z)\]}$*\"%°])\.(?=\s|$)|(?<=\d)\.(?=\s+[A-Z]|\s*$)|(?<=[A-J])\.(?=\s+[A-Z]|\s*$)|[!?](?=\s|$)")


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

    tagged = answer_tag(text)
    if tagged is not None:
        inner = _from_box(tagged, question, options, "answer_tag")
        if inner is not None:
            return inner
        short = unwrap(tagged.strip())
        if len(short) <= MAX_ANSWER:
            inner = _from_text(tagged, question, options, "answer_tag") if len(short) > 40 else None
            return inner if inner and inner.rule != "none" else Answer(short, "answer_tag", "answer_tag")
        return _from_text(tagged, question, options, "answer_tag")

    boxed = _from_box(text, question, options, where)
    if boxed is None:
        if (where == "thought" and not ended) or _is_cut(text):
            # Numbers and phrases on the way are not the answer; only what the end says, if anything, is.
            boxed = _from_text(text[-_END:], question, options, where)
            return boxed if boxed.rule == "phrase" else Answer("", "cut", where)
        boxed = _from_text(text[-_TAIL:], question, options, where)
        if boxed.rule in ("option", "letter", "number", "maths") and _refuses(text):
            return Answer("", "none", where)
    if where == "solution" and boxed.rule in _WEAK and BEGIN_SOLUTION in response and END_SOLUTION not in response:
        # The solution was cut off before it came to an answer: the thought is all there is.
        concluded = _from_box(response.partition(END_THOUGHT)[0], question, options, "thought")
        if concluded is not None and concluded.text:
            return concluded
    return boxed


def wants_several(question: Question) -> bool | None:
    """Return whether a question asks for several answers; None where there is no question to ask."""
    if question.several is not None:
        return question.several
    return bool(_SEVERAL.search(question.text[-3_000:])) if question.text.strip() else None


def _from_box(text: str, question: Question, options: tuple[str, ...], where: str) -> Answer | None:
    found, cut = boxes(text)
    if cut is not None and (not found or found[-1].end < cut):
        line, newline, rest = text[cut:].partition("\n")
        if newline and rest.strip() and line.strip():
            return Answer(unwrap(line)[:MAX_ANSWER], "box", where)
        if not found:
            return Answer("", "cut", where)
    found = [box for box in found if box.text.strip()]
    if not found:
        return None
    last = [found[-1]]
    if len(found) > 1 and wants_several(question) is not False:
        for box in reversed(found[:-1]):
            if len(last) >= 50 or not _BETWEEN_BOXES.fullmatch(text, box.end, last[0].start):
                break
            last.insert(0, box)
    if (later := _said_after(text[found[-1].end :][-_TAIL:], options)) is not None:
        return Answer(later, "phrase", where)
    inside = [unwrap(box.text) for box in last]
    if len(set(inside)) == 1:
        inside = inside[:1]
    return Answer(", ".join(inside)[:MAX_ANSWER], "box", where)


def _is_cut(text: str) -> bool:
    """Whether a long text stops inside a sentence."""
    return len(text) > _LONG and text.rstrip()[-1:] not in set(".!?。)]}$*`|>\"'…:")


def _refuses(text: str) -> bool:
    """Whether a response ends by saying that it has no answer."""
    sentences = [sentence for sentence in re.split(r"(?<=[.!?])\s+|\n+", text.strip()[-1_000:]) if sentence.strip()]
    return any(
        _REFUSAL.search(sentence) and not re.search(r"\b(?:but|however|likely|probably|closest|most)\b", sentence, re.IGNORECASE)
        for sentence in sentences[-2:]
    )


def _said_after(text: str, options: tuple[str, ...]) -> str | None:
    """The answer said in so many words after the last box, which it overrules; None without one."""
    if not text.strip():
        return None
    if options:
        for _, pattern in _choice_rules(min(len(options), 26))[:1]:
            found = list(pattern.finditer(text))
            if found:
                return (found[-1]["b"] or found[-1]["l"]).upper()
        return None
    found = list(_FINAL.finditer(text))
    said = _sentence(text, found[-1].end()) if found else ""
    tight = _tighten(said, Question()) if said else ""
    return tight if tight and read_number(tight) is not None else None


def _from_text(text: str, question: Question, options: tuple[str, ...], where: str) -> Answer:
    if options or question.kind == "choice":
        return _choice(text, options, where, question)

    said = _said(text, question.text)
    if said:
        return Answer(_tighten(said, question), "phrase", where)
    whole = unwrap(text)
    if len(whole) <= 300 and (read_number(whole) is not None or (_is_answer(whole) and not _THERE.match(whole))):
        return Answer(whole, "whole", where)
    return _weaker(text, question, where)


def _is_answer(text: str) -> bool:
    """Whether a short text is an answer as it stands: a formula, or a few words."""
    prose = _prose(text)
    if "**" in text:
        return False
    if re.search(r"[\d\\$=^<>]", text):
        return prose == 0 or (prose <= 2 and (len(text.split()) <= 3 or text[0] in "$\\0123456789"))
    return prose <= 4


def _prose(text: str) -> int:
    """How many words of prose a text has beside its formulas."""
    return len(re.findall(r"(?<![\\\w])[^\W\d_]{3,}", re.sub(r"\\[A-Za-z]+|\{[A-Za-z]*matrix\}", " ", text)))


def _said(text: str, question: str = "") -> str | None:
    """What the last "the answer is" or "Final Answer" says, to the end of its sentence; None without one."""
    found = sorted([*_PHRASE.finditer(text), *_HEADER.finditer(text)], key=lambda match: match.end())
    for match in reversed(found[-50:]):
        end = match.end()
        while text[end - 1 : end] == "\n":
            end -= 1
        if (items := _ITEMS.match(text, end)) and len(listed := items[0].strip().splitlines()) > 1:
            return _item(listed, question)
        said = _sentence(text, match.end())
        if said and not re.match(r"(?:that|not|in|the following|to|as|because|given|correct|a[sn]?)\b(?! [A-J]\b)", said, re.IGNORECASE):
            return said
        if said and re.match(r"that\b", said, re.IGNORECASE):
            return said[4:].strip()
    return None


def _item(listed: list[str], question: str) -> str:
    """Of several answers in a list, the one whose name shares most words with the end of the question; else the last."""
    asked = set(words(question.strip().rpartition("\n")[2][-300:]).split())
    best, chosen = 0, listed[-1]
    for line in listed:
        name = line.rpartition(":")[0] or line.rpartition("=")[0]
        shared = len(asked & set(words(name).split()))
        if shared >= best:
            best, chosen = shared, line
    return unwrap((chosen.rpartition(":")[2] if ":" in chosen else chosen.rpartition("=")[2]).strip())


def _sentence(text: str, start: int) -> str:
    """The text from a place to the end of its sentence; of the next line where this one is empty."""
    rest = text[start : start + MAX_ANSWER]
    skipped = rest.lstrip(" \t\n*_:>")
    if skipped.startswith(("$$", "\\[")):
        close = skipped.find("$$" if skipped.startswith("$$") else "\\]", 2)
        if close > 0:
            return unwrap(skipped[: close + 2])
    if skipped.startswith(("$", "\\(")):
        close = skipped.find("$" if skipped.startswith("$") else "\\)", 1)
        if 0 < close < 400 and "\n" not in skipped[:close]:
            after = _SENTENCE_END.search(skipped, close + 1)
            end = after.start() if after else len(skipped)
            return unwrap(skipped[:end])
    end = _SENTENCE_END.search(skipped)
    return unwrap(skipped[: end.start()] if end else skipped)


def _tighten(said: str, question: Question) -> str:
    """The answer inside a sentence: itself where it is one, else its maths, its bold part, or what follows "is" or "="."""
    said = unwrap(said)
    if len(said) <= 40 and (read_number(said) is not None or question.kind == "text"):
        return said
    said = re.sub(r"\s*\.?\s*I hope it is correct\b.*$", "", said)
    if found := _BOLD.findall(said):
        return unwrap(found[-1])
    found = list(_MATHS.finditer(said))
    segments = [next(filter(None, match.groups())) for match in found]
    if segments and (tail := re.match(r".*\b(?:is|are|equals?|was|by)\s+(.{1,60})$", said[found[-1].end() :], re.DOTALL)):
        if read_number(tail[1]) is not None:
            return unwrap(tail[1])
    outside = _MATHS.sub(" ", said)
    if segments and re.search(r"[A-Za-z]{2,}", outside):
        if len(segments) > 1 and re.fullmatch(r"[\s,;]*(?:and|or)?[\s,;.]*", outside.strip()):
            return ", ".join(segments)
        return unwrap(segments[-1])
    if question.kind in ("number", "count") or not re.search(r"[\\=^]", said):
        tail = re.split(r"\b(?:is|are|equals?|was)\b|=|≈|:|是|为|等于", said)[-1]
        tail = unwrap(tail)
        if tail and read_number(tail) is not None:
            return tail
        if question.kind in ("number", "count") and (numerals := _numerals(said)):
            return numerals[0 if re.match(r"[-$€£]?\d", said) else -1]
    return said


def _weaker(text: str, question: Question, where: str) -> Answer:
    """No box and no phrase: the last bold part, the last maths, the last number, the last sentence."""
    numeric = question.kind in (None, "number", "count")
    if bold := [found for found in _BOLD.findall(text[-4_000:]) if not found.rstrip().endswith(":")]:
        candidate = unwrap(bold[-1])
        if not numeric or re.search(r"\d", candidate):
            tightened = _tighten(candidate, question)
            if read_number(tightened) is not None or question.kind != "number":
                return Answer(tightened, "bold", where)
    lines = [line for line in text.strip().splitlines() if line.strip()]
    last = lines[-1] if lines else ""
    if question.kind in ("text", "boolean", "date"):
        return Answer(unwrap(last)[:MAX_ANSWER], "whole", where)
    found = list(_MATHS.finditer(last[-4_000:]))
    segments = [next(filter(None, match.groups())) for match in found]
    if segments and re.search(r"[0-9\\]", segments[-1]) and not _numerals(last[-4_000:][found[-1].end() :]):
        segment = segments[-1].split(r"\implies")[-1].split(r"\Rightarrow")[-1]
        return Answer(unwrap(segment), "maths", where)
    if question.kind in ("number", "count") and (there := _THERE.findall(last)):
        return Answer("0" if there[-1].lower() == "no" else there[-1], "number", where)
    if question.kind != "text" and (numerals := _numerals(text[-4_000:])):
        return Answer(numerals[-1], "number", where)
    return Answer(unwrap(last)[:MAX_ANSWER], "whole", where) if last else Answer("", "none", where)


_THERE = re.compile(
    r"\b(?:there (?:is|are|was|were|will be)|a total of|leaving|leaves|left with)\s+(?:only |exactly |approximately |about |a total of )?\**"
    r"(\d[\d,]*(?:\.\d+)?|zero|no|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve)\b(?!\s*[/=*+])", re.IGNORECASE
)


def _numerals(text: str) -> list[str]:
    return [match.group().strip() for match in _NUMERAL.finditer(characters(text)) if match.group().strip()]


# --- choices -------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=64)
def _choice_rules(count: int) -> tuple[tuple[str, re.Pattern[str]], ...]:
    last = LETTERS[max(count, 2) - 1]
    upper, lower = f"[A-{last}]", f"[a-{last.lower()}]"
    mark = r"(?:\*\*|__|[\"'`“‘$]|\\\(|\\text(?:bf|rm)?\s*\{|\\math(?:bf|rm)\s*\{|\s)*"
    named = rf"(?:[(\[{{]\s*(?P<b>{upper}|{lower})\s*[)\]}}]|(?P<l>{upper})(?![A-Za-z0-9'’_^=+/])(?!\s*[-+=<>]))"
    subject = "(?i:" + _SUBJECT + ")"
    verb = r"(?i:is|are|would be|should be|must be|will be|was|appears to be|seems to be)(?![A-Za-z])"
    filler = r"(?:\s*(?i:therefore|thus|then|most likely|likely|probably|clearly|indeed|option|choice|letter|answer|the|correct|labeled|labelled))*"
    return (
        ("phrase", re.compile(rf"\b{subject}{mark}(?:{verb}{filler}\s*[:：]?|[:：=]){filler}{mark}{named}")),
        ("phrase", re.compile(rf"(?i:答案|选项|选择)\s*(?:是|为|：|:)*{mark}{named}")),
        (
            "phrase",
            re.compile(
                rf"(?i:\b(?:option|choice|answer))?{mark}{named}{mark}(?:(?!\bnot\b|n't|incorrect)[^.\n]){{0,120}}?(?<![A-Za-z])(?i:is|are)\s+(?i:the\s+|therefore\s+)*"
                r"(?i:(?:most\s+)?(?:correct|right|best|accurate|appropriate|suitable|likely|final)\s+(?:answer|choice|option|one|match)|answer\b|correct\b(?! that)|right\b(?=[.\n]))"
            ),
        ),
        ("phrase", re.compile(rf"(?i:\b(?:choose|select|pick|go with|choosing|selecting|corresponds? to|matches|match(?:es)? with|hence|therefore|thus|so)),?(?:\s+(?i:the|with|option|choice|answer|letter|is|it|it's))*{mark}{named}")),
    )


def _choice(text: str, options: tuple[str, ...], where: str, question: Question) -> Answer:
    """The option a response names: its letter in a telling phrase, a letter alone, its text."""
    count = min(len(options) or 10, 26)
    whole = unwrap(text)
    if len(whole) <= 40 and _LETTER_ALONE.fullmatch(tidy(whole)) and (found := option_letter(whole, count)):
        return Answer(whole if len(whole) <= 3 else found, "letter", where)

    for rule, pattern in _choice_rules(count):
        found = None
        for match in pattern.finditer(text):
            found = match
        if found:
            return Answer(_letters_from(found, text, count), rule, where)

    if len(whole) <= 300 and "\n" not in whole and option_letter(whole, count):
        return Answer(whole, "letter", where)

    said = _said(text)
    if said and options and options_named(said, options):
        return Answer(said, "phrase", where)

    upper = f"A-{LETTERS[count - 1]}"
    lines = [line.strip() for line in text.strip().splitlines() if line.strip()]
    if found := re.findall(rf"[(\[]\s*([{upper}])\s*[)\]]", text):
        if "ABC"[:count] not in "".join(found):
            several = len(whole) <= 300 and len(set(found)) > 1
            return Answer(", ".join(sorted(set(found))) if several else found[-1], "letter", where)
        if len(lines) <= len(set(found)):
            return Answer("", "none", where)
        # The options were only listed: what is said beside the list counts.
        lines = [line for line in lines if not re.match(rf"[(\[]?\s*[{upper}]\s*[)\].:]", line)]
    for line in (lines[0], lines[-1]) if lines else ():
        if found := re.match(rf"(?:\*\*|\s)*([{upper}])(?:\*\*)?\s*(?:[.):：\u4e00-\u9fff]|$)", line):
            return Answer(found[1], "letter", where)
    if options:
        if (told := restated(question.text, text, options)) is not None:
            return Answer(options[told], "option", where)
        for sentence in (lines[-1], *reversed(lines[:-1])) if lines else ():
            matched = options_named(sentence, options)
            if matched:
                return Answer(options[_asserted(sentence, matched, options)], "option", where)
    if found := re.search(rf"\b(?:is|be|are)\s+\**([{upper}])\**[.\s]*$", lines[-1] if lines else ""):
        return Answer(found[1], "letter", where)
    if found := re.findall(rf"(?<![\w'’.])([{upper}])(?![\w'’.])", lines[-1] if lines else ""):
        if len(found) == 1 and found[0] not in "AI":
            return Answer(found[0], "letter", where)
    if said:
        return Answer(_tighten(said, Question()), "phrase", where)
    if len(whole) <= 200:
        tight = _tighten(whole, Question(kind="number")) if options and all(map(read_number, options)) else whole
        return Answer(tight, "whole", where)
    return Answer("", "none", where)


def _letters_from(found: re.Match[str], text: str, count: int) -> str:
    """The letter of a match, with those that are joined to it: "(A), (B) and (C)"."""
    letters = [(found["b"] or found["l"]).upper()]
    at = found.end("b") + 1 if found["b"] else found.end("l")
    joined = re.compile(rf"[)\]\s*$]*(?:,\s*(?:and|or)?|and|or|&)\s*(?:both\s*)?(?:\(([A-{LETTERS[count - 1]}])\)|([A-{LETTERS[count - 1]}])(?![\w'’]))")
    while more := joined.match(text, at):
        letters.append(more[1] or more[2])
        at = more.end()
    return ", ".join(letters)


_LETTER_ALONE = re.compile(
    r"(?:(?:the )?(?:final |correct )?(?:answer|option|choice)\s*(?:is\s*)?[:：]?\s*)?[(\[{]?\s*([A-Za-z])\s*[)\]}]?\s*[.):：]?", re.IGNORECASE
)
_LETTER_TEXT = re.compile(r"(?:(?:option|choice)\s+)?(?:[(\[{]\s*([A-Za-z])\s*[)\]}]|([A-Z])\s*[.):：](?![A-Za-z0-9]*=)|([A-Z])(?=\s+[A-Z(]))[\s:：.,-]*(.*)", re.DOTALL)


def option_letter(text: str, count: int = 26) -> str | None:
    """Return the letter where the text is one ("B", "(b)", "B. blue", "Option C"), within the first `count`."""
    text = tidy(text[:MAX_ANSWER])
    found = _LETTER_ALONE.fullmatch(text)
    letter = found[1] if found else None
    if letter is None and (found := _LETTER_TEXT.fullmatch(text)):
        letter = found[1] or found[2] or found[3]
        if re.match(r"(?:,|and|or|&|/)?\s*\(?[A-J]\)?(?![\w'])\s*(?:,|and|or|&|/|[(]|$)", found[4]):
            return None  # "(A) and (B)" names two
    return letter.upper() if letter and letter.upper() in LETTERS[:count] else None


def _asserted(sentence: str, matched: list[int], options: tuple[str, ...]) -> int:
    """Of the options a sentence names, the one it says something *is*; else the last."""
    plain = f" {words(sentence[-4_000:])} "
    asserted = []
    for index in matched:
        for found in re.finditer(rf" (?:is|are|was|were|be|shows|called|named) {re.escape(words(options[index]))} ", plain):
            asserted.append((found.end(), index))
    return max(asserted)[1] if asserted else matched[-1]


_AUXILIARIES = frozenset("is are was were do does did has have had can could will would".split())
_NO = frozenset(("not", "no", "never"))


def restated(question: str, text: str, options: tuple[str, ...]) -> int | None:
    """Return the option that a statement chooses: "Is red larger than blue?" is answered by "Red is not larger than blue".

    Only a statement with the question's own words in their order decides.
    """
    names = [words(option) for option in options]
    if sorted(names) not in (["no", "yes"], ["false", "true"]):
        return None
    asked = words(question.strip().splitlines()[-1] if question.strip() else "").split()
    if len(asked) < 3 or asked[0] not in _AUXILIARIES:
        return None
    wanted = " ".join(word for word in asked[1:] if word not in _AUXILIARIES)
    for sentence in re.split(r"(?<=[.!?])\s+|\n+", text[-4_000:]):
        stated = words(sentence).split()
        if f" {wanted} " in f" {' '.join(word for word in stated if word not in _AUXILIARIES and word not in _NO)} ":
            return names.index(({"no", "false"} if _NO & set(stated) else {"yes", "true"}).intersection(names).pop())
    return None


def options_named(text: str, options: tuple[str, ...]) -> list[int]:
    """Return the options whose text occurs in a text, by their last place; one inside another's place does not count."""
    plain = f" {words(text[-4_000:])} "
    exact = tidy(text[-4_000:]).casefold().replace("$", "")
    places = []
    for index, option in enumerate(options):
        wanted = words(option)
        if len(wanted) == 1 and wanted.isalpha() or wanted in ("yes", "no", "true", "false"):
            told = list(re.finditer(rf"(?:^|\b(?:is|are|answer|be)) ({re.escape(wanted)}) ", plain))
            if told and not (wanted == "no" and re.match(r"no (?:information|context|data|such|more|other|further|way)\b", plain[told[-1].start(1) :])):
                places.append((told[-1].start(1), told[-1].end(1), index))
            continue
        if re.fullmatch(r"[\d.,%$°]+", wanted):
            told = list(re.finditer(rf"(?<![\w{{}}^_/.,\\:-]){re.escape(wanted)}(?![\w{{}}^_/:]|[.,]\d)", exact))
            if told:
                places.append((told[-1].start(), told[-1].end(), index))
            continue
        at = plain.rfind(f" {wanted} ") if wanted else -1
        if at >= 0:
            places.append((at, at + len(wanted), index))
    kept = [
        place
        for place in places
        if not any(other[0] <= place[0] and place[1] <= other[1] and other[1] - other[0] > place[1] - place[0] for other in places)
    ]
    return [index for _, _, index in sorted(kept)]
