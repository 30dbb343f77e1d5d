"""Responses that end where none ends, though no mark of the row says that they were cut off.

Certain is an end inside of a box, a formula or a block of code, and a note that the text was truncated. What is closed in another way than it was opened (`$$x$`, print(1)```) is sloppy, and stays. An end in mid-sentence is only told.
"""

import re

from virgo_factory.core.lazy_pattern import LazyPattern


_BRACE, _DEPTH = LazyPattern(r"\\.|[{}]", re.DOTALL), {"{": 1, "}": -1}
_GOES_ON = LazyPattern(r"\$|\\[\])]|\n\s*\n|[\"'`]")
"""What stands behind a box or formula that was only not closed well: the end of a formula, a paragraph, code."""
_PROSE = LazyPattern(r"(?<![\\{A-Za-z])[A-Za-z]{3,} [a-z]+\b|\A\W*\Z")
"""The same behind a formula: words, or nothing but signs."""
_PROSE_BEHIND = LazyPattern(r"(?<![\\{A-Za-z])[A-Za-z]{2,} [a-z]+\b")
_FENCE = LazyPattern(r"^[ \t>]*```[^`\n]*$", re.MULTILINE)
_COMMAND = LazyPattern(
    r"\\(?:[dt]?frac|sqrt|cdot|times|div|left|text|math[a-z]+|pi|theta|alpha|beta|[lg]eq?|neq|pm|sum|int|lim|log|ln|sin|cos|tan"
    r"|angle|triangle|circ|overline|vec|infty|approx|binom|[lc]?dots|to|quad)(?![A-Za-z])"
)
"""A command of LaTeX; other words behind a backslash may be of a path."""
_DOLLAR = LazyPattern(r"(?<![\\$])\$(?!\$)")
_OPENS_FORMULA = LazyPattern(r"(?<![\w})\]\\$.,!])\$(?=[\w\\({\[|+-])")
_OPEN_END = LazyPattern(r"[A-Za-z\\].*\s[-+=<>]\s*\Z|[\^_]\{[^{}]*\Z", re.DOTALL)
_OPEN_ARGUMENT = LazyPattern(r"\\[A-Za-z]{3,}\s?(?:\[[^\[\]{}]*\])?(?:\{[^{}]*\})?\Z")
_LEFT = LazyPattern(r"\\left(?![A-Za-z])")
_NOTE = LazyPattern(
    r"(?:(?:[\[<][ .…]*|(?:\.{3}|…)\s*\(|\((?:\.{3}|…)\s*)(?:\w+ ){0,3}(?:truncated|cut[ -]off)"
    r"(?: (?:at|after|due|for|by|here|because|in|to)\b[^\[\](){}<>\n]{0,40})?[ .…]*[\])>]"
    r"|\[(?:reached )?(?:the )?(?:max(?:imum)?[ _-](?:new[ _-])?(?:tokens?|length)|(?:token|length|output)[ _-]limit)"
    r"(?: (?:reached|exceeded|hit))?\]"
    r"|\((?:output|response|text|generation|completion|message|thought|thinking|reasoning) (?:was )?truncated\)"
    r"|(?-i:\(TRUNCATED\))|[（(\[【]\w{0,6}截断[）)\]】])[\s.。]*\Z",
    re.IGNORECASE,
)
_CLOSING = ("]", ")", ">", "）", "】")
_NOTED = ("trunc", "cut", "limit", "max", "截断")
"""One of these is in every note."""
_API_ERROR = LazyPattern(r"(?:Error code: \d{3} - (?=[{\[\"'])|\S*(?:RateLimit|API\w+|InternalServer)Error: )[^\n]*")
_ERROR = LazyPattern(
    r"\W*(?:(?:API|HTTP|OpenAI|model|server|request|network|generation|internal|runtime) ?){0,2}(?:error|exception)\W{1,4}(?:(?!an? |the )\w+ ){0,3}"
    r"(?:time(?:d |-)?out|rate.?limit|too many requests|connection|overloaded|unavailable|content.?(?:filter|policy)|max(?:imum)? (?:retries|context|tokens)"
    r"|(?:no|empty) (?:response|output)|fail(?:ed|ure)|quota|bad gateway|internal server error|5\d\d|429)\b[^\n]*"
    r"|\W*(?:ERROR|(?:request|generation|inference|connection) (?:timed out|timeout|failed|error)|internal server error|bad gateway|(?-i:null|NULL))\W*"
    r"|<[\w.]+ object at 0x[0-9a-f]+>|\W*[\[(<](?:(?:no|empty|blank|missing) ?(?:answer|response|solution|output|content|text)|empty|blank|deleted|removed|missing|nil)[\])>]\W*"
    r"|\[object Object\]|[\[<{]{1,2} ?(?:(?:insert|your|the|final)[ _]){0,3}(?:answer|solution|response)(?:[ _](?:goes )?here)? ?[\]>}]{1,2}\W*",
    re.IGNORECASE,
)
"""What stands for a solution where there is none; of a question of errors, messages or outputs it may be one."""
_OF_OUTPUT = LazyPattern(r"error|exception|message|print|output|return|status|\blog\b|null|报错|输出", re.IGNORECASE)
_LONGEST_NOTE = 100
_BEHIND_WORDS = {
    **dict.fromkeys("the an and or because if than into our its their your every".split(), 3),
    **dict.fromkeys("of is are that we this from with which to then as".split(), 7),
}
"""A word that ends no sentence -> so many words before it that it does not end the name of something, either."""
_NO_LAST_WORD = LazyPattern(
    r"(?<!\S)(?:\S+\s+){3}(?:by|with|of|as|for|in|to|from|has|get|gives)\s+a\Z|(?<!\S)(?:\S+\s+){6}\S*\w\s*\(\Z"
    r"|(?:[Nn]ow|[Tt]hen|So|Thus|Hence|Therefore|Next|First|Finally|,)\s+we\s+(?:get|have|find|need|can|obtain|must|also|first|will|use)\Z"
    r"|(?:answer|result|solution|value|sum|total|product|difference|number)\s+(?:of\s+(?:\w+\s+){1,4})?(?:is|are|was|equals|of)\Z"
    r"|[\w)}]\s+[+*/\u00d7\u00f7-]\Z|[\w)}]\s*(?<!is )(?<!sign )(?<!symbol )(?<!operator )=\Z"
    r"|(?:\u548c|\u4e0e|\u56e0\u4e3a|\u6240\u4ee5|\u7b49\u4e8e|\u6211\u4eec|\u4ee5\u53ca|\u6216\u8005|\u5982\u679c|\u90a3\u4e48|\u7684\u7b54\u6848\u662f)\Z"
)
"""Other words and signs that end no sentence."""
_OPEN_WORDS = frozenset("a of is are was equals get have find need can obtain must also first will use".split())
_OPEN_SIGNS = tuple(
    "( + * / \u00d7 \u00f7 - = \u548c \u4e0e \u56e0\u4e3a \u6240\u4ee5 \u7b49\u4e8e \u6211\u4eec \u4ee5\u53ca \u6216\u8005 \u5982\u679c \u90a3\u4e48 \u7684\u7b54\u6848\u662f".split()
)
"""What one of them ends in: such a word, or such a sign."""
_JSON = LazyPattern(
    r'\{\s*"[^"\n]*"\s*:(?:[\s\[\]{},:\d.eE+-]|"(?:[^"\\]|\\.)*"|true|false|null)*+(?:"[^"]*|[a-z]+)?\Z'
)
_JSON_TEXT = LazyPattern(r'"(?:[^"\\]|\\.)*+(?:"|\Z)')
_RULE = LazyPattern(r"^[ \t]*\|[ \t:|-]*-[ \t:|-]*$", re.MULTILINE)
_CONTINUED = LazyPattern(
    r"(?:(?:\.{3}|…)[（(](?:\w\w)?省略|[（(\[【](?:未完(?:待续)?|[Tt]o be continued)\.*)[）)\]】]\Z"
)
_UNFINISHED = LazyPattern(
    r"[\w*)][,:，：]\Z|(?<!\S)\*\*(?=\w)[^*\n)`]*\Z|\s[\[(](?:\.{3}|…+)[\])]\Z"
    r"|(?<![:;\\])\((?=\S)(?:[^()\[\]{}\n`'\".!?。|]|\.(?=\d))+\Z"
    r"|^[ \t]*(?:[-*+]|\d{1,2}[.)])[ \t][^\n]*\n\s*(?:[-*+]|\d{1,2}[.)])\Z",
    re.MULTILINE,
)
"""The end of a solution whose last sentence, bold words, bracket or list certainly has no end."""


def cut_off(thought: str, solution: str) -> str:
    r"""Return where a response was certainly cut off, for a message; "" where it ends as responses do.

    >>> (
    ...     cut_off("So 4.", "It is \\boxed{4"),
    ...     cut_off("So 4.", "It is $\\boxed{4$."),
    ...     cut_off("So 4.", "```python\nprint(4"),
    ... )
    ('inside of \\boxed{', '', 'inside of a block of code')
    """
    if ("\\" in solution or "$" in solution or "```" in solution) and (inside := _open(solution)):
        return f"inside of {inside}"

    for text in (thought, solution):
        end = text[-_LONGEST_NOTE:].rstrip(" \n\t.。")
        if end.endswith(_CLOSING) and any(map(end.lower().__contains__, _NOTED)):
            if found := _NOTE.search(text, max(0, len(text) - _LONGEST_NOTE)):
                return f"with {found.group().strip()}"

    return ""


def api_error(solution: str, question: str = "", thought: str = "") -> str:
    """Return the error of an API, or the word for nothing, that stands in the place of a solution; "" for a solution.

    >>> api_error("Error code: 429 - {'error': {}}"), api_error("Error code: 429 means too many requests.")
    ("Error code: 429 - {'error': {}}", '')
    """
    is_error = _ERROR.fullmatch(solution) and not _OF_OUTPUT.search(question) and solution not in thought
    return solution[:_LONGEST_NOTE] if is_error or _API_ERROR.fullmatch(solution) else ""


def _open(solution: str) -> str:
    """Return what a solution ends inside of; "" for nothing."""
    if "```" in solution and solution.count("```") % 2:
        fences = list(_FENCE.finditer(solution))
        if len(fences) % 2 and solution[fences[-1].end() :].strip():
            return "a block of code"

    last = solution.rfind("\\boxed{")
    if last >= 0 and not _closes(solution, last + len("\\boxed")) and not _GOES_ON.search(solution, last + 7):
        return "\\boxed{"

    begun = solution[solution.rfind("\\begin{") :].partition("}")[0] if "\\begin{" in solution else "\\begin{"
    for opening, closing in ((begun, begun.replace("begin", "end", 1)), ("\\[", "\\]"), ("\\(", "\\)"), ("$$", "$$")):
        before, found, behind = solution.rpartition(opening)
        if not found or before.endswith("\\"):
            continue

        if opening == "$$":
            is_open = solution.count("$$") % 2 and ("\\" in behind or "=" in behind)
        else:
            is_open = closing not in behind and behind.count(closing[-1]) <= behind.count(opening[-1])

        if is_open and not (_GOES_ON.search(behind) or _PROSE.search(behind)):
            return f"a formula, behind {opening}"

    if "$" in solution and _is_inside_dollars(solution):
        return "a formula, behind $"

    return _open_command(solution) if "\\" in solution else ""


def _is_inside_dollars(solution: str) -> bool:
    """Whether a solution ends in an inline formula; prices, variables of a shell and patterns are none."""
    last = solution.rindex("$")
    behind = solution[last + 1 :]
    if not _OPENS_FORMULA.match(solution, last) or len(_DOLLAR.findall(solution)) % 2 == 0:  # most: it closes one
        return False

    if _GOES_ON.search(behind) or _PROSE.search(behind) or "\\boxed{" in behind:  # a closed one: the answer is told
        return False

    is_formula = _COMMAND.search(behind) and not behind[0].isdigit() and not behind.rstrip().endswith((".", "!", "?"))
    return bool(is_formula or _OPEN_END.search(behind))


def _open_command(solution: str) -> str:
    r"""Return what a solution ends inside of, if it is the argument of a command or a bracket behind \left; "" for nothing."""
    before, found, behind = solution.rpartition("{")
    if found and "}" not in behind and not _GOES_ON.search(behind) and not _PROSE_BEHIND.search(behind):
        if command := _OPEN_ARGUMENT.search(before, max(0, len(before) - _LONGEST_NOTE)):
            return f"{command.group()}{{"

    before, found, behind = solution.rpartition("\\left")
    if found and "\\right" not in behind and _LEFT.match(solution, len(before)):
        return "" if _GOES_ON.search(behind) or _PROSE.search(behind) else "\\left"

    return ""


def _closes(text: str, start: int) -> bool:
    """Whether the brace at a place is closed."""
    end = text.find("}", start)
    if end >= 0 and text.find("{", start + 1, end) < 0 and text[end - 1] != "\\":  # most: a number
        return True

    depth = 0
    for found in _BRACE.finditer(text, start):
        depth += _DEPTH.get(found.group(), 0)
        if not depth:
            return True

    return False


def mid_sentence(solution: str, thought: str = "") -> str:
    """Return the last words of a solution, or of its thought, that seems to end in mid-sentence; "" where none does.

    Of a thought only its last word tells.

    >>> mid_sentence("We add both and see, as was said before, that the"), mid_sentence("Therefore it is 7")
    ('as was said before, that the', '')
    """
    end = solution.rstrip()
    goes_on = end.endswith(_CLOSING) and _CONTINUED.search(end, max(0, len(end) - 40))
    is_open = ('{"' in end or "\n|" in end) and _is_open(end[-4000:])
    if goes_on or is_open or _is_unfinished(end[-400:]):
        return " ".join(end[-400:].split()[-6:])

    for text in (end, thought.rstrip()):
        words = text[-100:].split()
        last = words[-1] if words else ""
        is_word = last in _BEHIND_WORDS and len(words) > _BEHIND_WORDS[last]
        if not is_word and (last in _OPEN_WORDS or text.endswith(_OPEN_SIGNS)):
            is_word = _NO_LAST_WORD.search(text, max(0, len(text) - 100))

        if is_word:
            return " ".join(text[-400:].split()[-6:])

    return ""


def _is_unfinished(end: str) -> bool:
    """Whether the sentence, bold words, bracket or list at the end of a text certainly has no end; most texts show it at once."""
    line = end[end.rfind("\n") + 1 :].strip()
    may_be = (
        end.endswith((",", ":", "，", "：", "...)", "...]", "…)", "…]"))
        or end.rfind("(") > end.rfind(")")
        or "**" in line
        and line[line.rfind("**") + 2 :].strip()
        or len(line) <= 3
        and line.endswith(("-", "*", "+", ".", ")"))
    )
    return bool(may_be and _UNFINISHED.search(end))


def _is_open(text: str) -> bool:
    """Whether a text ends inside of an object of JSON, or with a row of fewer cells than the line below the table's head has."""
    if found := _JSON.search(text):
        signs = _JSON_TEXT.sub("", found.group())
        return signs.count("{") + signs.count("[") > signs.count("}") + signs.count("]")

    *_, rule = [None, *_RULE.finditer(text)]
    rows = text[rule.end() + 1 :].split("\n") if rule else [""]
    return all(row.lstrip()[:1] == "|" for row in rows) and rows[-1].count("|") < rule.group().count("|")
