"""Which option a response chooses: its letter in a telling phrase, a letter alone, its text, a statement of the question."""

import re
from functools import lru_cache

from virgo_factory.answers.latex import tidy, unwrap, words
from virgo_factory.answers.model import Answer, Question
from virgo_factory.answers.numbers import read_number
from virgo_factory.answers.options import LETTERS
from virgo_factory.answers.phrases import MAX_ANSWER, SUBJECT, said_answer, tighten


@lru_cache(maxsize=64)
def choice_rules(count: int) -> tuple[tuple[str, re.Pattern[str]], ...]:
    """Return ways to name an option by its letter in words, the more telling ones first; the last match counts."""
    last = LETTERS[max(count, 2) - 1]
    upper, lower = f"[A-{last}]", f"[a-{last.lower()}]"
    mark = r"(?:\*\*|__|[\"'`“‘$]|\\\(|\\text(?:bf|rm)?\s*\{|\\math(?:bf|rm)\s*\{|\s)*"
    named = rf"(?:[(\[{{]\s*(?P<b>{upper}|{lower})\s*[)\]}}]|(?P<l>{upper})(?![A-Za-z0-9'’_^=+/])(?!\s*[-+=<>]))"
    subject = "(?i:" + SUBJECT + ")"
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
        (
            "phrase",
            re.compile(
                rf"(?i:\b(?:choose|select|pick|go with|choosing|selecting|corresponds? to|matches|match(?:es)? with|hence|therefore|thus|so)),?(?:\s+(?i:the|with|option|choice|answer|letter|is|it|it's))*{mark}{named}"
            ),
        ),
    )


def choose(text: str, options: tuple[str, ...], where: str, question: Question) -> Answer:
    """The option a response names: its letter in a telling phrase, a letter alone, its text."""
    count = min(len(options) or 10, 26)
    whole = unwrap(text)
    if len(whole) <= 40 and _LETTER_ALONE.fullmatch(tidy(whole)) and (found := option_letter(whole, count)):
        return Answer(whole if len(whole) <= 3 else found, "letter", where)

    for rule, pattern in choice_rules(count):
        found = None
        for match in pattern.finditer(text):
            found = match
        if found:
            return Answer(_letters_from(found, text, count), rule, where)

    if len(whole) <= 300 and "\n" not in whole and option_letter(whole, count):
        return Answer(whole, "letter", where)

    said = said_answer(text)
    if said and options and (matched := options_named(said, options)):
        return Answer(options[matched[0]] if len(matched) == 1 else said, "phrase", where)

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
            if matched and (chosen := _asserted(sentence, matched, options)) is not None:
                return Answer(options[chosen], "option", where)
    if found := re.search(rf"\b(?:is|be|are)\s+\**([{upper}])\**[.\s]*$", lines[-1] if lines else ""):
        return Answer(found[1], "letter", where)
    last = lines[-1] if lines else ""
    if found := re.findall(rf"(?<![\w'’.-])([{upper}])(?![\w'’-]|\.\w)", last if len(last) <= _SHORT else ""):
        if len(found) == 1 and found[0] not in "AI":
            return Answer(found[0], "letter", where)
    if said:
        return Answer(tighten(said, Question()), "phrase", where)
    if len(whole) <= 200:
        tight = tighten(whole, Question(kind="number")) if options and all(map(read_number, options)) else whole
        return Answer(tight, "whole", where)
    return Answer("", "none", where)


def _letters_from(found: re.Match[str], text: str, count: int) -> str:
    """The letter of a match, with those that are joined to it: "(A), (B) and (C)"."""
    letters = [(found["b"] or found["l"]).upper()]
    at = found.end("b") + 1 if found["b"] else found.end("l")
    joined = re.compile(
        rf"[)\]\s*$]*(?:,\s*(?:and|or)?|and|or|&)\s*(?:both\s*)?(?:\(([A-{LETTERS[count - 1]}])\)|([A-{LETTERS[count - 1]}])(?![\w'’]))"
    )
    while more := joined.match(text, at):
        letters.append(more[1] or more[2])
        at = more.end()
    return ", ".join(letters)


_SHORT = 60
"""A letter alone counts only in a last line that is no longer."""
_LETTER_ALONE = re.compile(
    r"(?:(?:the )?(?:final |correct )?(?:answer|option|choice)\s*(?:is\s*)?[:：]?\s*)?[(\[{]?\s*([A-Za-z])\s*[)\]}]?\s*[.):：]?",
    re.IGNORECASE,
)
_LETTER_TEXT = re.compile(
    r"(?:(?:option|choice)\s+)?(?:[(\[{]\s*([A-Za-z])\s*[)\]}]|([A-Z])\s*[.):：](?![A-Za-z0-9]*=)|([A-Z])(?=\s+[A-Z(]))[\s:：.,-]*(.*)",
    re.DOTALL,
)


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


def _asserted(sentence: str, matched: list[int], options: tuple[str, ...]) -> int | None:
    """Of the options a sentence names, the one it says something *is*; else the only one, or none of several."""
    plain = f" {words(sentence[-4_000:])} "
    asserted = []
    for index in matched:
        for found in re.finditer(
            rf" (?:is|are|was|were|be|shows|called|named) {re.escape(words(options[index]))} (?!or )", plain
        ):
            asserted.append((found.end(), index))
    if asserted:
        return max(asserted)[1]
    return matched[0] if len(matched) == 1 else None


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
            if told and not (
                wanted == "no"
                and re.match(
                    r"no (?:information|context|data|such|more|other|further|way)\b", plain[told[-1].start(1) :]
                )
            ):
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
        if not any(
            other[0] <= place[0] and place[1] <= other[1] and other[1] - other[0] > place[1] - place[0]
            for other in places
        )
    ]
    return [index for _, _, index in sorted(kept)]
