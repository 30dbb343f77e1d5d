"""Options: which one a response claims, which ones an answer names, and which ones the gold stands for."""

import re
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache

from virgo_factory.answers.equality import same
from virgo_factory.answers.grading import GradingConfig
from virgo_factory.answers.model import Answer, Question
from virgo_factory.answers.options import LETTERS
from virgo_factory.answers.patterns import P
from virgo_factory.answers.prose import phrases
from virgo_factory.answers.prose.affirming import affirms, turned
from virgo_factory.answers.prose.asked import in_place, labelled, on_subject
from virgo_factory.answers.prose.clauses import committed, statements
from virgo_factory.answers.prose.phrases import BOOLEANS, MAX_ANSWER, said_answer
from virgo_factory.answers.prose.places import placed
from virgo_factory.answers.prose.reading import announced, chosen, has_prose, is_value, telling, value_of
from virgo_factory.answers.values.latex import compact, tidy, unwrap, words
from virgo_factory.answers.values.numbers import read_number
from virgo_factory.answers.values.numbers import told as marks_of


CONCLUDED, TICKED, STATED = range(3)
"""How firmly a letter is claimed: "so B", "B is correct", "the answer is B"."""
_TAILS = (300, 2_000, 60_000)
"""Characters at the end of a response that are searched for a statement, more where there is none."""
_MENTIONS = 1_000
_AFTER = 140

# --- letters in a text -----------------------------------------------------------------------------------------------

_EDGE = r"(?![A-Za-zÀ-ɏ0-9_^=+{]|/(?![A-J](?![A-Za-z])))(?!['’][a-z])(?!\([a-z]|\\(?![)\]}]))(?!-\w)(?!\s*[=<>×÷+]\s*\S|\s-\s?\d)"
_ONE = (
    rf"(?:[(\[{{]\s*(?P<b>[A-Za-z])\s*[)\]}}]|(?P<l>[A-Z]{{1,6}}|[a-z](?=\s*(?:[.,;)*`。，、\n]|and\b|or\b|because\b|since\b|is (?:correct"
    rf"|right)\b|$)))){_EDGE}"
)
_MENTION = re.compile(rf"(?<![A-Za-zÀ-ɏ0-9_\\^=+/°-])(?<!° )(?<![A-Za-z]['’]){_ONE}")
_AHEAD = re.compile(rf"{P.OPEN}(?:(?i:{P.ADVERB}),?{P.OPEN})*{P.NOUN}{P.OPEN}{_ONE}")
_JOINED = (
    r"(?:[)\]\s*$}]*(?:,\s*(?:and|or)?|\band\b|\bor\b|&|/|[、，和或及与])\s*(?:both\s*|(?:option|choice)s?\s*)?[(\[*$]*"
    r"|\s(?=[A-J](?:\s[A-J])*[\s.。]*(?:\n|$)))"
    r"(%s|(?<=\()[a-j](?=\)))(?![A-Za-z0-9_'’])(?!\s*[.:：][ \w])(?!\)?\s*(?:is|was|has|does|can|could|isn|shows?|选项|项|不|错|是|为))"
)
_JOINED_UPPER, _JOINED_LOWER = re.compile(_JOINED % "[A-J]"), re.compile(_JOINED % "[a-j]")
_LAST_NOUN = re.compile(P.NOUN + r"\s*$")
_CHOSEN = re.compile(r"(?!answer|choice|option|ans\b|final)[a-z]", re.IGNORECASE)
_ARTICLE = re.compile(
    r"A (?!(?:is|was|because|and|or|since|as|in|the|would|seems|looks|holds|describes|fits|matches|remains|does)\b|it is\b)[a-z]|I(?!\W*(?:$|[.):\n]|is\b))"
)
_KIND_LETTER = re.compile(rf"\b(?i:{P.KINDS})\s+\(?([A-Z])(?![A-Za-z])")
_LISTED = re.compile(r"[*_)\]]*\s*(?:选项|项|是|[,、]?\s*(?:and|or|和|或)?\s*[A-J](?![A-Za-z]))")
_NEXT = {True: re.compile(r"[(\[][A-J][)\]]"), False: re.compile(r"(?<![A-Za-z(\[])[A-J]\s*[.:：、]\s")}
"""Further letters of a list that begins with a letter in brackets, or without."""
_ENDED = re.compile(r"[.!?。！？)\]}$*`|>\"'”…:]\s*\Z")
_SPLIT = re.compile(r"\s*(?:,|;|\band\b|\bor\b|&|/|[和或及与、]|\s)\s*")


_LABELLED = re.compile(r"\(?([A-Z])[.:)]\s*\(?([A-Z])\)?")
"""An option's letter, and its text, which is a letter, too."""


def letter_of(text: str, count: int = 26) -> tuple[str, str] | None:
    """Return the letter of a text and what follows it: ("B", "") of "(b)", ("B", "blue") of "B. blue"; within the first `count`.

    >>> letter_of("(b)"), letter_of("Option C: 5 cm"), letter_of("(A) and (B)")
    (('B', ''), ('C', '5 cm'), None)
    """
    text = tidy(text[:MAX_ANSWER])
    found, rest = P.ALONE.fullmatch(text), ""
    letter = found[1] if found else None
    if letter is None and (found := P.LETTER_TEXT.fullmatch(text)):
        letter, rest = found[1] or found[2] or found[3], found[4]
        if re.match(
            r"(?:,|and|or|&|/|和|或)?\s*\(?[A-Ja-j]\)?(?:[两三项均都]|(?![\w'])\s*(?:,|and|or|&|/|[(]|$))", rest
        ):
            return None
    if P.TAKEN_BACK.match(rest):
        return None
    return (letter.upper(), rest) if letter and letter.upper() in LETTERS[:count] else None


def letters_of(text: str, count: int = 26) -> frozenset[str] | None:
    """Return the letters that a text is a list of: "A", "(b) and (c)", "A, C", "ACD"; None where it is anything else.

    >>> sorted(letters_of("(b) and (c)")), letters_of("cab"), letters_of("B. blue")
    (['B', 'C'], None, None)
    """
    if len(text) > 60:
        return None
    text = tidy(text)
    if found := P.ALONE.fullmatch(text):
        parts = [found[1]]
    elif re.fullmatch(r"[A-Z]{2,10}", text) and list(text) == sorted(set(text)):
        parts = list(text)
    else:
        parts = [kept for part in _SPLIT.split(text) if (kept := part.strip('()[]{}.*$ "`“”‘’「」《》【】'))]
    if not parts or not all(len(part) == 1 and part.upper() in LETTERS[:count] for part in parts):
        return None
    if (len(parts) > 2 or re.fullmatch(r"\([^()]*\)", text)) and parts != sorted(parts):
        return None  # an order or a tuple of points
    return frozenset(part.upper() for part in parts)


# --- what a response claims ------------------------------------------------------------------------------------------


def claimed(text: str, count: int, asks_wrong: bool = False) -> tuple[str, int] | None:
    """Return the letters that a response states as its answer, and how firmly (STATED, TICKED, CONCLUDED); None without any.

    The last of the firmest statements that are not taken back counts: one that announces an answer ("the answer is", 故选)
    or says it of a letter ("B is the correct answer"); else all options that are called correct; else a conclusion ("so B.").
    Where a question asks for what is wrong (`asks_wrong`), the only option that is called wrong counts instead of the correct ones.
    """
    if asks_wrong:
        for match in reversed(list(P.WRONG_ONE.finditer(text))):
            if found := _letters_at(text, match.end(), count):
                return found[0], STATED
    for tail in _TAILS:
        if found := _stated(text, max(0, len(text) - tail), count):
            return found, STATED
        if tail >= len(text):
            break
    ticked = {
        (match["b"] or match["l"]).upper()
        for match, after in _mentions(text, 0, count)
        if bool(P.REJECTED_OF.match(after)) is asks_wrong and (asks_wrong or P.TICKED_OF.match(after))
    }
    only = {found[1] for found in P.ONLY.finditer(text)}
    ticked = only if len(only) == 1 and only <= set(LETTERS[:count]) else ticked
    if ticked:
        return ", ".join(sorted(ticked)), TICKED
    for match in reversed(list(P.WEAK.finditer(text))):
        found = _letters_at(text, match.start("ahead"), count)
        before = phrases.clause(text, match.start())
        denied = not match[0].startswith("but") and re.search(P.NOT, re.split("[,，]", before + match[0].strip())[-1])
        denied = denied or (match[0].strip() == "be" and phrases.supposed(before))
        if found and not denied and not _taken_back(before) and P.CLOSED.match(text, found[1]):
            return found[0], CONCLUDED
    fits = {
        (match["b"] or match["l"]).upper()
        for match, after in _mentions(text, 0, count)
        if P.FITS_OF.match(after) or P.CLOSED.match(after) and P.FAVORS.search(phrases.clause(text, match.start()))
    }
    return (fits.pop(), CONCLUDED) if len(fits) == 1 and not asks_wrong else None


def _taken_back(before: str) -> bool:
    """Whether what stands in front of a letter, or of what announces it, takes it back or doubts it."""
    return phrases.retracted(before) or P.DOUBTED.search(before) is not None


def _one_by_one(text: str, options: tuple[str, ...], asks_wrong: bool) -> str | None:
    """The letter that a discussion of every option in order calls right (wrong, where that is asked); "" where none, None without one."""
    starts, place, text = [], 0, text[-6_000:]
    for letter, option in zip(LETTERS, options, strict=False):
        item = P.ITEM.replace("LETTER", letter).replace("TEXT", re.escape(option))
        if not (found := re.compile(item, re.MULTILINE).search(text, place)):
            return None
        starts.append(found)
        place = found.end()
    ends = [found.start() for found in starts[1:]] + [text.find("\n", place) if "\n" in text[place:] else len(text)]
    calls = [_called((start["sign"] or "") + text[start.end() : end].replace(option, "", 1)) for start, end, option in zip(starts, ends, options, strict=True)]  # fmt: skip
    if None in calls or calls.count(not asks_wrong) > 1 or asks_wrong and True not in calls:
        return None
    return LETTERS[calls.index(not asks_wrong)] if (not asks_wrong) in calls else ""


def _called(said: str) -> bool | None:
    """Whether what is said of an option calls it right or wrong; None where it does neither, or both."""
    if firm := P.CALLED.search(said):
        return not P.CALLED_NOT.search(firm[0])
    right, wrong = P.CALLED_RIGHT.search(P.CALLED_NOT.sub("", said)), P.CALLED_NOT.search(said)
    return None if (right is None) is (wrong is None) else right is not None


def _stated(text: str, start: int, count: int) -> str | None:
    """The letters of the last statement behind a place that announces them, or says of them that they are the answer."""
    announced, place = None, start - 1
    for match in phrases.announcements(text, start, option=True):
        found = _letters_at(text, match.end(), count)
        if not found and match[0].rstrip(" *_").endswith((":", "：")):
            other = _AHEAD.match(text, match.end())
            if other and (letter := (other["b"] or other["l"]).upper()) > LETTERS[count - 1]:
                return letter  # that is no option's
        if P.DOUBTED.search(phrases.clause(text, match.start())):
            continue
        if found and (not _CHOSEN.match(match[0]) or P.PAUSED.match(text, found[1])):
            turned = P.TURNED.match(text, found[1])
            announced, place = turned["l"] if turned else found[0], match.end()
            break
    for match, after in _mentions(text, place + 1, count):
        unreal = phrases.supposed(phrases.clause(text, match.start()) + text[match.start() : match.end() + 60])
        if not unreal and P.STATED_OF.match(after) and (found := _letters_at(text, match.start(), count)):
            return found[0]
    return announced


def _letters_at(text: str, start: int, count: int) -> tuple[str, int] | None:
    """The letters that stand at a place, with those joined to them ("(A), (B) and (C)", "ACD"), and where they end."""
    match = _AHEAD.match(text, start)
    if match is None:
        return None
    said = match["b"] or match["l"]
    if len(said) > 1 and (list(said) != sorted(set(said)) or said[-1] > LETTERS[count - 1]):
        return None
    letters, end = [said.upper()], match.end()
    joined = _JOINED_LOWER if said.islower() and match["l"] else _JOINED_UPPER
    while (more := joined.match(text, end)) and more[1].upper() <= LETTERS[max(count, 2) - 1]:
        letters.append(more[1].upper())
        end = more.end()
    at = match.start("b" if match["b"] else "l")
    listed = len(letters) > 2 or text[at - 1 : at] in ("(", "[")
    if letters[0] > LETTERS[max(count, 8) - 1] or (len(letters) > 1 and listed and letters != sorted(letters)):
        return None
    return ", ".join(letters), end


def _mentions(text: str, start: int, count: int) -> Iterator[tuple[re.Match[str], str]]:
    """Yield every letter behind a place with what follows it, the last first, without articles and what is taken back."""
    found = list(_MENTION.finditer(text, max(start, 0)))
    for match in reversed([*found[:50], *found[-_MENTIONS:]] if len(found) > _MENTIONS else found):
        letter, after = match["b"] or match["l"], text[match.end() : match.end() + _AFTER]
        small = letter.islower() and not after.startswith(" is")
        bare = match["l"] and (small or len(letter) > 1 or _ARTICLE.match(letter + after))
        if bare or letter.upper() > LETTERS[count - 1]:
            continue
        if not _negated(text, match.start()):
            yield match, after


def _negated(text: str, place: int) -> bool:
    """Whether what stands in front of a letter takes it back: "rather than option (", "if it were "."""
    before = phrases.clause(text, place).rstrip(" *_\"'`“‘「《$({[【")
    return _taken_back(_LAST_NOUN.sub("", before) + " ")


def choose(text: str, options: tuple[str, ...], where: str, question: Question) -> Answer:
    """Return the option a response names: by its letter, in a statement or alone, by its text; empty where it does not say.

    Without options only letters are looked for.
    """
    count = min(len(options) or 10, 26)
    text = placed(text, options, question.text)
    whole = unwrap(text)
    if len(whole) <= 40 and (letters := letters_of(whole, count) or (len(whole) <= 3 and letters_of(whole))):
        return Answer(whole if len(whole) <= 3 or len(letters) > 1 else next(iter(letters)), "letter", where)
    if (alone := _last_line(text, count)) is not None:
        return Answer(alone, "letter", where)
    if (said := labelled(text, question.text)) and len(named := options_named(said, options)) == 1:
        return Answer(options[named[0]], "option", where)
    spelled = options if _NAMES_LETTERS.search("\n".join(options)) else ()
    said = (
        phrases.IS_ANSWER.sub("", P.LEAD.sub("", unwrap(said_answer(text) or whole), count=1)).strip(' ."“”')
        if spelled
        else ""
    )
    if exact := next((option for option in spelled if len(option) > 1 and same_option(option, said)), ""):
        return Answer(exact, "option", where)
    if _UNDECIDED.search(text[-200:]):
        return Answer("", "none", where)
    asks_wrong = P.ASKS_WRONG.search(question.text.partition("\nA")[0]) is not None
    claim = claimed(text, count, asks_wrong)
    if claim and (corrected := _corrected(text, options, count, where)):
        return corrected
    called = _one_by_one(text, options, asks_wrong) if options and (not claim or claim[1] < STATED) else None
    if called is not None:
        return Answer(called, "phrase" if called else "none", where)
    if claim and claim[1] >= TICKED:
        return Answer(claim[0], "phrase", where)
    names = [BOOLEANS.get(words(option)) for option in options] if len(options) == 2 else []
    if set(names) == {True, False} and (told := affirms(text, question.text)) is not None:
        return Answer(options[names.index(told)], "option", where)
    if way := turned(question.text, text):
        named = [option for option in options if re.search(rf"\b{way}\b", option, re.IGNORECASE)]
        if not options or len(named) == 1:
            return Answer(named[0] if named else way, "option", where)
    if len(whole) <= 300 and "\n" not in whole and (lettered := letter_of(whole, count)):
        rejected = P.REJECTED_OF.match(whole[1:]) and words(lettered[1]) not in map(words, options)
        if not rejected and not _NEXT[whole[0] in "(["].search(whole, 2):
            return Answer(whole, "letter", where)
    if options and (said := said_answer(text)):
        exact = [index for index, option in enumerate(options) if same_option(option, said)]
        if (matched := exact or options_named(said, options)) and len(matched) < max(len(options), 2):
            return Answer(options[matched[0]] if len(matched) == 1 else said, "phrase", where)
        if read_number(tight := announced(said, question)) is not None:
            return Answer(tight, "phrase", where)
    if claim:
        return Answer(claim[0], "phrase", where)
    lines = [line.strip() for line in text.strip().splitlines()]
    if letter := _at_end(text, count) or _led(lines, text, options, count):
        return Answer(letter, "letter", where)
    return _by_text("\n".join(lines), options, where, question)


def _corrected(text: str, options: tuple[str, ...], count: int, where: str) -> Answer | None:
    """What a response says last, behind the place where it takes back what it said before; empty where that is no option."""
    if (taken := phrases.correction(text)) is None:
        return None
    tail = text[taken.start() :]
    if later := claimed(tail, count):
        return Answer(later[0], "phrase", where)
    last = committed(statements(tail)[-1], denials=True)
    matched = options_named(last[0][0], options) if last and last[0] else []
    if matched and (asserted := _asserted(last[0][0], matched, options)) is not None:
        return Answer(options[asserted], "option", where)
    return Answer("", "none", where) if taken["mine"] else None


def _last_line(text: str, count: int) -> str | None:
    """The letters that the last line is nothing but."""
    last = text.rstrip().rpartition("\n")[2].strip()
    alone = letters_of(last, count) if len(last) <= 20 else None
    if not alone or re.search(r"[a-z]", re.sub(r"\\[a-z]+|and|or|answer|option|the|is|only|\([a-z]\)", "", last)):
        return None
    return ", ".join(sorted(alone))


def _at_end(text: str, count: int) -> str | None:
    """The letter that a response ends with behind a pause: "After checking the diagram, C."."""
    found = P.AT_END.search(text, max(0, len(text) - 30))
    if not found or found[1] not in LETTERS[:count]:
        return None
    before = phrases.clause(text, found.start())
    denied = re.search(rf"(?:{P.NOT}|\b(?i:wrong|incorrect|false)\b|错误?)[\w\s]{{0,12}}$", before)
    return None if denied else found[1]


def _led(lines: list[str], text: str, options: tuple[str, ...], count: int) -> str | None:
    """The letter that the first or last line begins with, or the only one in brackets; none where a line discusses another."""
    leading = {found[1]: (line, found) for line in lines if (found := P.LEADING.match(line)) and found[1] in LETTERS[:count]}  # fmt: skip
    for letter, (line, found) in leading.items() if len(leading) == 1 else ():
        rest = line[found.end(1) :].removeprefix("是" if line[0] == "图" else "")
        rejected = P.REJECTED_OF.match(rest) and words(rest) not in map(words, options)
        listed = _LISTED.match(rest) or _NEXT[line[0] in "(["].search(rest) or rejected
        listed = listed or {other[1] for other in _KIND_LETTER.finditer(rest)} - {letter}
        leads = {other[1] for part in statements(text[:600]) if (other := P.LEADING.match(part.strip()))}
        told = found["told"] is None or len(text) <= 300 and leads == {letter}
        if line in (lines[0], lines[-1]) and told and not listed:
            return letter
    if len(leading) >= 2:  # the options one by one: only what is said beside them counts
        lines[:] = [line for line in lines if not P.LEADING.match(line)]
    beside = "\n".join(lines)[-4_000:]
    bracketed = {
        found[1] for found in re.finditer(rf"[(\[]\s*([A-{LETTERS[count - 1]}])\s*[)\]]", beside)
        if not _negated(beside, found.start())
    }  # fmt: skip
    return bracketed.pop() if len(bracketed) == 1 and _ENDED.search(text) else None


def _by_text(text: str, options: tuple[str, ...], where: str, question: Question) -> Answer:
    """The option whose text the last or the first statement commits to; none of a text that breaks off or refuses."""
    told = telling(text[-4_000:], question)
    if not told or (options and all(re.fullmatch("[A-Za-z]", option) for option in options)):
        point = rf"\b(?:{P.KINDS}|point|line|angle|labell?ed|marked|letter)\s+([A-Za-z])\b"
        headed = re.match(rf"\W*(?i:{P.KINDS}|label|point)\W+([A-Za-z])\W*\n", text)
        if headed and headed[1] in options:
            return Answer(headed[1], "option", where)
        said, named = told[-1] if told else "", set()
        for one in re.finditer(point, said):
            if not P.DISMISSED.match(said, one.end()) and not P.DENIED.search(said[: one.start()]):
                named |= {one[1]} & {*options}
        return Answer(named.pop(), "option", where) if len(named) == 1 else Answer("", "none", where)
    spoken = _spoken(told[-1], options)
    if (spoken := _ordered(told[-1], options) if spoken is None else spoken) is not None:
        return Answer(options[spoken], "option", where)
    bold = {option for part in phrases.BOLD.findall(text) for option in options if same_option(option, part)}
    if len(bold) == 1:
        return Answer(bold.pop(), "bold", where)
    if (named := in_place(question.text, told[-1])) and len(matched := options_named(named, options)) == 1:
        return Answer(options[matched[0]], "option", where)
    numbers = sum(read_number(option) is not None for option in options) > len(options) / 2
    for part in dict.fromkeys((told[-1], told[-1 if len(options) == 2 else 0])):  # of two it may be the other one
        for run in committed(on_subject(part, question.text), denials=True):
            matched = next(filter(None, (options_named(said, options) for said in run)), [])
            if not matched or _HEDGED.search(part):
                continue
            if numbers and len(matched) > 1:
                asked = phrases.quantities(question.text[-300:])
                matched = [index for index in matched if options[index] not in asked] or matched
            if len(matched) > 1 and _TAKE_ALL.search(question.text):
                return Answer("、".join(options[index] for index in matched), "option", where)
            if _exchanged(question.text, run[0]):
                others = [option for option in options if option != options[matched[0]]]
                return Answer(others[0] if len(others) == len(matched) == 1 else "", "option", where)
            whole = _ENDED.search(text) or words(P.CONTRAST.sub("", run[0])).endswith(words(options[matched[-1]]))
            if whole and (asserted := _asserted(run[0], matched, options)) is not None:
                return Answer(options[asserted], "option", where)
            break
        else:
            values = (chosen(run, question) for run in committed(part)) if part is told[-1] else ()
            value = next(filter(None, values), "")
            if any(same_option(option, value) and _stands_in(option, part) for option in options):
                continue  # it was named, and taken back
            if value and (numbers or not has_prose(part) and is_value(value) and read_number(value) is None):
                return Answer(value, "number", where)
    if (begun := text.partition("\n")[0]) in options:
        return Answer(begun, "option", where)
    if len(text) > 200 or letter_of(text, len(options)) or options and re.search(P.NOT, told[-1]):
        return Answer("", "none", where)
    run = next(iter(committed(told[-1])), [""]) if all(map(_FORMULA.search, options)) else [""]
    return Answer(value_of(run[0], question) or unwrap(text), "whole", where)


_UNDECIDED = re.compile(
    r"\b(?:[Ee]ither|[Bb]oth) (?:option )?\(?[A-J]\)? (?:or|and) (?:option )?\(?[A-J]\)? (?:could|can|may|might|would|seem)\b[^\n]*$"
)
_TAKE_ALL = re.compile(r"多选|不定项|(?:select|choose|mark|check) all\b", re.IGNORECASE)
"""A question that may have several right options."""


def _ordered(text: str, options: tuple[str, ...]) -> int | None:
    """The option that is the order in which a text names pictures or steps: "Image 2 → Image 3 → Image 1" of "2-3-1"."""
    orders = [re.findall(r"[A-Z\d]", option) for option in options if re.fullmatch(r"[A-Z\d\W]+", option)]
    named = re.findall(r"(?<![^\W_])[A-Z\d](?![^\W_])", text)
    return orders.index(named) if len(named) > 2 and len(orders) == len(options) and orders.count(named) == 1 else None


def _exchanged(question: str, statement: str) -> bool:
    """Whether a question asks which of two is larger, and a statement says which one is smaller, or the other way round."""
    ways = [
        {way for axis, way in marks_of(re.sub(r"est\b", "er", text))[0] if axis == "comparison"}
        for text in (question[-600:], statement)
    ]
    return ways in ([{0}, {1}], [{1}, {0}])


def _asserted(told: str, matched: list[int], options: tuple[str, ...]) -> int | None:
    """Of the options a statement names, the last it says something *is*; else the only one."""
    said, plain = (
        r"(?: (?:is|are|was|were|be|shows|called|named) {} (?!or )| (?:only|leaving|leaves) {} (?:remains |is left |fits |matches |$)|(?<!能)[是为]{}(?![和或]))",
        f" {words(told[-4_000:])} ",
    )
    places = {index: [m.end() for m in re.finditer(said.replace("{}", re.escape(words(options[index]))), plain)] for index in matched}  # fmt: skip
    asserted = [(found[-1], index) for index, found in places.items() if found]
    others = "|".join(re.escape(words(options[index])) for index in matched)
    if asserted and re.match(rf"(?:\w+ ){{0,3}}(?:and|or) (?:the )?(?:{others}) ", plain[max(asserted)[0] :]):
        return None
    if not asserted and len(matched) > 1 and (ended := _AFTER_COLON.search(told)):
        matched = [index for index in matched if same_option(options[index], ended[1])]
    return max(asserted)[1] if asserted else matched[0] if len(matched) == 1 else None


_AFTER_COLON = re.compile(r": (?:the |an? )?([^:]{1,60})$")
"""What a statement comes to in the end: "it takes up most of the cell: the vacuole"."""


# --- what a text names, and the gold ---------------------------------------------------------------------------------


_FORMULA = re.compile(r"[\\^=/:+*<>|]|\d|[a-z]\s*-")
_LABEL = re.compile(r"[A-Za-z]{3,} \d+")
"""The name of a picture, whose number is no value."""
_HEDGED = re.compile(r"\b(?:could|might|may) (?:also |well )?(?:be|belong)\b")


_NAMES_LETTERS = re.compile(
    r"(?m)^A |(?<=\d)\s?[A-J]$|(?<![A-Za-z])(?:[A-J]|I{1,3}|IV)(?:,? and\b|,? or\b| ?&| (?:only|is|are|was|has)\b|[、和或])"
)
"""An option that names others, or statements, or has another letter in it: a unit, an article."""
ENDS_LETTERED = re.compile(
    r"(?!.*\b(?:not|than|of|except|option|choice)\b)((?:[^()\[\]\s]+\s+){1,6}?)[(\[]([A-J])[)\]]"
)
"""An option's text with its letter behind it."""
_PRONOUN = re.compile(r"^(?:it|they|he|she) (?=[a-z]{4})")
"""What a statement has a name for: "it decreases"."""


@lru_cache(maxsize=2_000)
def _pattern(option: str) -> tuple[re.Pattern[str], bool] | None:
    """How an option's text stands in a statement, and whether that is read as written (a formula) or as words."""
    wanted = _PRONOUN.sub("", words(option))
    if not wanted:
        return None
    if len(wanted) == 1 and wanted > "\u4dff":
        return re.compile(
            rf"(?:[是为选和、]|\b(?:is|are|answer) |(?<= )(?=.图?(?:正确|符合)))(?P<o>{wanted})(?=图?(?:正确|符合| |[和、]))"
        ), False
    if len(wanted) == 1 and wanted.isalpha() or wanted in ("yes", "no", "true", "false"):
        return re.compile(rf"(?:^|\b(?:is|are|answer|be)) (?P<o>{re.escape(wanted)}) (?!(?:information|context|data|such|more|other|further|way)\b){'$' if wanted == 'no' else ''}"), False  # fmt: skip
    if _FORMULA.search(tidy(option)):
        written = r"\s*".join(map(re.escape, tidy(option).casefold().replace("$", "").split()))
        return re.compile(rf"(?<![A-Za-z0-9_{{}}^/.,\\:*+√-])(?<!minus )(?<!negative )(?<!负)(?P<o>{written})(?![A-Za-z0-9_{{}}^/:%°*+=]|[.,]\d|\s*[+*/^-]\s*\S)"), True  # fmt: skip
    edge = (
        ("", "")
        if re.search(r"[\u4e00-\u9fff①-⑳]", wanted)
        else ("(?<= )", "[sd]?(?= )" if re.fullmatch("[a-z]{4,}e", wanted) else "(?= )")
    )
    first, _, others = wanted.partition(" ")
    spelled = re.escape(first) + ("s? " + re.escape(others) if others else "")
    if alone := re.fullmatch("(.+) (?:only|alone)|only (.+)", wanted):
        thing = re.escape(alone[1] or alone[2])
        spelled = f"(?:only|just) {thing}|{thing} (?:only|alone)"
    return re.compile(f"{edge[0]}(?P<o>{spelled}){edge[1]}"), False


def _spoken(text: str, options: tuple[str, ...]) -> int | None:
    """The only option that says of the others what a text says of them: that it cannot be told, "both", "none of these"."""
    if P.UNKNOWN.search(last := re.split(r"[,;]", text)[-1]) and not re.search(r"\b(?:I|we)\b", last):
        found = [index for index, option in enumerate(options) if P.UNKNOWN.search(option)]
    elif said := P.EVERY.fullmatch(words(text)):
        found = [index for index, option in enumerate(options) if words(option).split()[:1] == [said[1]]]
    else:
        return None
    return found[0] if len(found) == 1 else None


def options_named(text: str, options: tuple[str, ...]) -> list[int]:
    """Return the options whose text a text names without taking it back, by their last place; one inside another's does not count."""
    text = P.CONTRAST.sub("", text[-4_000:])
    places = []
    for index, option in enumerate(options):
        pattern, written = _pattern(option) or (None, False)
        searched = _searched(text, written)
        if pattern is None or (written and _SCALED.search(option) and tidy(option) not in tidy(text)):
            continue
        for found in reversed(list(pattern.finditer(searched))):
            denied = P.DENIED.search(searched, max(0, found.start("o") - 60), found.start("o"))
            if not denied and not P.DISMISSED.match(searched, found.end("o")):
                inside = [other for other, named in enumerate(options) if named != option and pattern.search(_searched(named, written))]  # fmt: skip
                places.append((found.end("o"), index, inside))
                break
    matched = {index for _, index, _ in places}
    return [index for _, index, inside in sorted(places) if not matched.intersection(inside)]


def _stands_in(option: str, text: str) -> bool:
    """Whether an option's text stands in a text at all."""
    pattern, written = _pattern(option) or (None, False)
    return pattern is not None and pattern.search(_searched(text, written)) is not None


def _searched(text: str, written: bool) -> str:
    """A text as the pattern of an option looks at it."""
    text = re.sub("n['’]t\\b", " not", text)
    if not written:
        return f" {words(text)} "
    return tidy(re.sub(r'(?<!\d)["“]([^"“”]*)["”]', r"\1", text.replace("**", ""))).casefold().replace("$", "")


_ONLY = re.compile(r"\b(?:only|statements?)\b\s*|\s+(?:is|are) (?:true|correct)\W*$", re.IGNORECASE)
_NUMERAL = re.compile(r"\b(?:I{1,3}|IV|VI{0,3})\b|[①-⑨]")
_SCALED = re.compile(r"\d\s*[mM][A-Za-z]{1,3}\W*$")
"""A number in a unit whose first letter says how large it is: mW and MW."""


def same_option(option: str, answer: str) -> bool:
    """Return whether an answer is an option: letter by letter, or as words, where the signs in and around both are the same."""
    if compact(option) == compact(answer):
        return True
    if _NUMERAL.search(option):
        option, answer = _ONLY.sub("", option), _ONLY.sub("", answer)
    if words(option) != words(answer) or _SCALED.search(option):
        return False
    signs = [P.SIGNS.findall(tidy(text).replace("$", "").strip()) for text in (option, answer)]
    return signs[0] == signs[1]


def _same_value(option: str, answer: str, config: GradingConfig) -> bool:
    """Whether an answer has the value of an option; a percent sign and a comparison sign count."""
    numbers = [read_number(text) is not None for text in (option, answer)]
    if not (all(numbers) or (_FORMULA.search(option) and not re.fullmatch(r"\W*[A-Za-z]\W*", answer))):
        return False
    if _LABEL.fullmatch(option):
        return False
    if re.search(r"[<>]|\\[lg]e", option) and not re.search(r"[<>]|\\[lg]e|≤|≥", answer):
        return False
    if ("%" in option or "percent" in option) != ("%" in answer or "percent" in answer):
        return False
    ratio = re.fullmatch(r"(\d+):(\d+)", tidy(option)) if "frac" in answer else None
    return same(rf"\frac{{{ratio[1]}}}{{{ratio[2]}}}" if ratio else option, answer, Question(), config).correct is True


def named_options(answer: str, options: tuple[str, ...], config: GradingConfig) -> frozenset[int]:
    """Return every option that an answer is: by its text, else by its value, else by its value as the grading rounds."""
    if named := frozenset(index for index, option in enumerate(options) if same_option(option, answer)):
        return named
    tight = replace(config, relative_tolerance=1e-6, relaxed=False, rounding=False, percent_scale=False)
    for strictness in (tight, replace(tight, relative_tolerance=config.relative_tolerance, rounding=config.rounding)):
        if named := [index for index, option in enumerate(options) if _same_value(option, answer, strictness)]:
            return frozenset(named)
    return frozenset()


def _indexed(text: str, options: tuple[str, ...], config: GradingConfig) -> frozenset[int] | None:
    """The option a bare number names where numbers are indices; None where they are not, or the text is no number."""
    if config.option_base is None or not re.fullmatch(r"\d+(?:\.0+)?", text):
        return None
    index = int(float(text)) - config.option_base
    return frozenset((index,)) if 0 <= index < len(options) else frozenset()


def gold_options(gold: str, options: tuple[str, ...], config: GradingConfig) -> tuple[frozenset[int], ...] | None:
    """Return the options a gold stands for, each set of which is a full answer; nothing where it is none of them.

    None where it is an index that may start at 0 or at 1, or a letter with the text of another option.
    """
    text = gold.strip()
    if (indexed := _indexed(text, options, config)) is not None:
        return (indexed,) if indexed else ()
    exact = [index for index, option in enumerate(options) if option.strip() == text]
    if exact and not (config.letters == "label" and re.fullmatch(r"[A-Z]", text)):
        return tuple(frozenset((index,)) for index in exact)
    if letters := letters_of(text, len(options)):
        return (frozenset(map(LETTERS.index, letters)),)
    if named := named_options(text, options, config):
        return tuple(frozenset((index,)) for index in named)
    if (lettered := letter_of(text, len(options))) is not None:
        index, others = LETTERS.index(lettered[0]), named_options(lettered[1], options, config)
        return (frozenset((index,)),) if index in others or not others else None
    if re.fullmatch(r"\d+(?:\.0+)?", text) and int(float(text)) <= len(options):
        index = int(float(text))
        return (frozenset((max(index - 1, 0),)),) if index in (0, len(options)) else None
    return ()


def answered_options(answer: str, options: tuple[str, ...], config: GradingConfig) -> frozenset[int]:
    """Return every option an answer names; more than one means several, or that it cannot be decided.

    A letter with a text names the letter's option, and the text's where that is another one.
    """
    text = tidy(answer)
    if (ended := ENDS_LETTERED.fullmatch(text)) and not any(same_option(option, text) for option in options):
        text = f"({ended[2]}) {ended[1]}".strip()
    if (indexed := _indexed(text, options, config)) is not None:
        as_text = frozenset(place for place, option in enumerate(options) if option.strip() == text)
        return as_text or indexed
    if config.letters == "label" and (both := _LABELLED.fullmatch(text)):
        own = LETTERS.index(both[1])
        if own < len(options) and options[own].strip() == both[2]:
            return frozenset((own,))  # "(D) I", where the fourth option is I
    led = P.LETTER_TEXT.fullmatch(text) if len(text) > 3 else None
    own = LETTERS.index(next(filter(None, led.groups())).upper()) if led else len(options)
    if own < len(options) and len(led[4]) > 1 and same_option(options[own], led[4]):
        return frozenset((own,))
    label = letters_of(text, len(options))
    short = [index for index, option in enumerate(options) if not label or len(option) <= 12]
    named = frozenset(index for index in short if same_option(options[index], text))
    variable = re.fullmatch("[a-z]", text) and re.search(rf"(?<![A-Za-z]){text}(?![A-Za-z])", "\n".join(options))
    if label and not variable:
        label = frozenset(map(LETTERS.index, label))
        if not named or (config.letters == "label" and len(label) == 1):
            return label
        return named if text.islower() or len(label) > 1 else label | named
    if not variable and (lettered := letter_of(text, len(options))):
        own = frozenset((LETTERS.index(lettered[0]),))
        others = named_options(lettered[1], options, config) if lettered[1] else frozenset()
        if not named:
            return own if own <= others else own | others
    if named or (named := named_options(text, options, config)):
        return named
    split = filter(None, re.split(r"\s*(?:[,;、]|\band\b|\bor\b|[和或])\s*", text))
    parts = [frozenset(index for index, option in enumerate(options) if same_option(option, part)) for part in split]
    if len(parts) > 1 and all(parts):
        return frozenset().union(*parts)
    return named_options(text, tuple(re.sub(r"^.{1,20}?=\s*", "", option) for option in options), config)
