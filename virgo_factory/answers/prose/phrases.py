"""How prose says its answer, in English and Chinese: its statements, what announces an answer, and what takes it back.

Every function is linear in the text. A statement is a sentence, a line or what stands between two of them.
"""

import re
from collections.abc import Iterator

from virgo_factory.answers.model import Question
from virgo_factory.answers.values.dates import read_moment
from virgo_factory.answers.values.latex import characters, compact, unwrap, words
from virgo_factory.answers.values.numbers import read_number
from virgo_factory.answers.values.units import read_unit


MAX_ANSWER = 2_000
"""Longest answer; a longer one is not an answer but a text."""
_BEFORE = 110
"""Characters of a statement that are looked at in front of an announcement."""

ADVERB = (
    r"(?:therefore|thus|then|hence|indeed|here|definitely|surely|certainly|clearly|obviously|probably|likely|most likely|simply|actually|really|"
    r"undoubtedly|evidently|apparently|presumably|exactly|only|for sure|in fact|of course|no doubt|without (?:a |any )?doubt|as follows)"
)
_VERB = (
    r"(?:is|are|would be|should be|must be|will be|could be|has to be|was|appears to be|seems to be|est)(?![A-Za-z'’])"
)
_SAYS = (
    r"s?(?:\s{0,3}\([^()\n]{1,30}\))?"
    r"(?:\s+(?:here|choice|option|to (?:the|this) (?:question|problem)|for (?:the|this) (?:question|problem)|among[^.:\n]{0,40}"
    r"|for [^.:\n]{1,40}(?=:)))?"
    rf"[\s*_\"']{{0,6}},?\s{{0,6}}(?:{ADVERB},?\s+)?(?:{_VERB}(?:,?\s{{0,6}}(?:{ADVERB}|option|choice)\b,?)*\s{{0,6}}[:：]?|(?<=['’])s(?= )"
    rf"|[:：=]|\s[-–—](?=\s))"
)
_IS = r"(?:应该|应当|应|就|只能|最终)?\s{0,6}(?:是|为|选(?!项)择?|[:：])*"
_ANSWERS = (
    rf"(?<=[Aa])(?i:n(?:swer(?: choice| option)?|s)(?:{_SAYS}|(?<=s)\.(?=\s)))|(?<=[CcOoRr])(?i:(?:hoice|ption|éponse|onclusion){_SAYS})"
    r"|(?<=[Ff])inal\s?:|(?<=[Ff]inal [Aa])nswer[ \t]{0,9}[*_#]*[ \t]{0,9}\n|(?<=FINAL A)NSWER[ \t*_#]{0,9}\n|(?<=#)###"
    rf"|(?<=答)案\s{{0,6}}[】\]]?\s{{0,6}}{_IS}[】\]]?|(?<![^\s。，,]答)(?<=答)\s{{0,6}}[:：]|(?<=[结得总])[果数](?<=结果|得数|总数)\s{{0,6}}(?:应该"
    rf"|应)?\s{{0,6}}(?:是|为|等于|[:：])"
    r"|(?<=[故应])填\s?[:：]?|(?<=正)(?<!不正)确的?(?:序号|结论|命题|说法|答案|[顺次排]序)?(?:应该|应)?(?:是|有|为)\s?[:：]?"
)
_CHOICES = (
    r"(?<=[CcVvDdSsRrPpGg])(?i:onclusion|orrect|erdict|ecision|olution|esult|esponse|elect(?:ed|ion)|ick|uess)\s{0,3}:|(?<=结)论\s?[:：】]"
    r"|(?<=[CcSsPpGgOo])(?i:hoos(?:e|ing)|elect(?:ing)?|ick|o with|pt for|(?<=d s)ay),?(?:\s+(?i:with|for|is|as))*(?=\s)"
    r"|(?<=选)(?<![不误错未没勿]选)(?<!不[能应可会该]选)(?<!如果选)(?<!假如选)(?<!若是选)(?<!为何选)(?:择|取|了|出|的是|的为)?(?:的?(?:是|为))?\s?[:：]?"
    r"|(?<=正)(?<!不正)确的?(?:选项|答案|一项|说法|描述|是|有)+(?:应该|应|就)?(?:是|为|[:：])*】?|(?<=符)合(?:题意|要求|条件|题目)的(?:选项|一项)?(?:是|为|[:：])|(?<=应)(?<!不应)(?:该|当)?(?:是|为)"
)
"""Announcements behind their first letter, which is searched for by itself: a long response is read fast."""
_ANNOUNCED = re.compile(
    rf"[AaCcFfOoRr#答结得总故应正](?<![A-Za-z].)(?:{_ANSWERS})\s{{0,6}}(?:\*\*|__)?[ \t]*",
)
_ANNOUNCED_OPTION = re.compile(
    rf"[AaCcFfOoVvDdSsRrPpGg#答结得总故应正选符](?<![A-Za-z].)(?:{_ANSWERS}|{_CHOICES})",
)
"""What stands before an answer, and before an option."""
FINAL = re.compile(r"\bfinal answer\s*(?:is|:)(?:\s*the final answer\s*(?:is|:))?\s*", re.IGNORECASE)

NOT = (
    r"(?:\b(?:not|neither|nor|never|without|except|unlike)\b|n['’]t\b|\brather than\b|\binstead of\b|\bother than\b|\bcannot\b|不是|并非|不选|而不"
    r"|而非|不为|除了|不能|没有)"
)
"""What takes back the option or value that follows it."""
_RETRACTED = re.compile(
    rf"{NOT}[\s,]*(?:(?:be|the|both|either|going|to|(?-i:an?)|my|final|correct|right|best)\s+)*$"
    r"|\b(?:wrong|incorrect|mistaken|false|tempting|other|another|original|initial|previous|second|alternative)\s+$"
    r"|\b(?:if|whether|(?<!that is )(?<!that['’]s )why|(?:any|every|no)thing but|all but|avoid\w*|tempted to|rul\w+ out|eliminat\w+"
    r"|exclud\w+|reject\w*|dismiss\w*)\s+(?:(?:you|we|i|one|us|to|the)\s+)*$"
    r"|\b(?:might|may|some|others|many|students|people|they|could|would have|if|whether|cannot|unable|unclear|unsure|please|mistakes?"
    r"|mistakenly|misconception|error|trap)\b[^.,\n]{0,50}$"
    r"|\bcan['’]t\b[^.,\n]{0,50}$|(?:有人|误认为|误以为|误选|误解|容易|看似|似乎|有同学|无法|难以|不知|不确定|(?<![最很])可能|还是|请|常见错误|错误的?)[^。，,\n]{0,20}$"
    r"|除了?\s*$|(?:若|如果|假如|假设)(?:(?!所以|因此|故)[^。\n]){0,60}$",
    re.IGNORECASE,
)
"""What takes back an announcement, in front of it in its statement: denied, asked, somebody else's, a mistake."""
_SUPPOSED = re.compile(
    r"\b(?:if|with|without|had|under|otherwise|for)\b[^.\n]{0,80}\bwould\b|\bwould\b[^.\n]{0,80}\bif\b|\b(?:common|typical|frequent"
    r"|usual) (?:wrong|incorrect|mistake|error)"
    r"|(?:若|如果|假如|倘若)[^。\n]{0,60}(?:则|就|那么)|常见的?错误",
    re.IGNORECASE,
)
_UNREAL = re.compile(
    "[wWcCtTfFuU若如假倘常](?:(?<=[Ww])ould|(?<=[CcTtFfUu])(?:ommon|ypical|requent|sual)|(?<=若)|果|如|若|见)"
)
"""A statement of what is not so, and the words that every such statement has one of."""
_CONTRAST = re.compile(
    r"(?<!\\)\bnot\b[^,;.\n]{1,40}?,?\s*\bbut\b(?: rather)?|(?:并?不是|并非)[^,，。\n]{1,30}[,，]\s*(?=而?是)|,?\s*(?<!\\)\bnot \W?\d[\d.,]*"
    r"|[,，;；(（]?\s*(?:(?:(?<=[,;(] )|(?<=[,;(]))(?:(?:and|but) )?not\b(?! (?:only|just|including|counting|equal|enough))|\brather than\b"
    r"|\binstead of\b|\bas opposed to\b"
    r"|而不是|而非|(?<=[,，])\s*并?不是)\s?(?:[^,，;；。)）\n]|,(?=\d{3})){1,80}[)）]?",
    re.IGNORECASE,
)
_ASIDE = re.compile(
    r"(?:(?<=[\w%°$])\s+|(?<=[\u4e00-\u9fff]))\((?![^()]{0,60}?,[^()A-Za-z]*\))[^()\\]*(?:\b(?:or|of|vs|[A-Za-z]{3,})\b"
    r"|[=≈×])[^()\\]*\)(?=\W*$|\s+[A-Za-z]{2,})"
)
REMARK = re.compile(
    r"\s+(?:at|when)\s+\$?[A-Za-z]\s*=[^=]*$|,\s+(?:as|since|because|which|so that|i\.e\.|that is)\s.*$|,?\s+(?:i\.e\b|since\b|because\b"
    r"|that is\b).*$|\s*\((?:or|i\.e\.|about|approximately|that is|[=≈])[^()]*\)$",
    re.DOTALL | re.IGNORECASE,
)
"""What is said beside a value: "5, because ...", "0.5 (or 50%)", "12 (3 rows of 4)"."""
_REFUSAL = re.compile(
    r"\b(?:(?:cannot|can't|can not|could not|couldn't|unable|impossible|not possible"
    r"|not able)(?: \w+ly)?(?: to)? (?:be (?:\w+ly )?(?:determined|provided|answered|solved|found|decided)"
    r"|determine|answer|provide|solve|find|process|see|view|help|identify|say|give|tell|decide|know|make out|assist|recogni[sz]e|read)"
    r"|unable to|impossible to|not possible to"
    r"|(?:don't|do not) (?:know|have (?:enough|access))|not (?:provide|contain|give|include|have) enough|insufficient|not sufficient"
    r"|(?:is|are|was|were) (?:not (?:given|shown|provided|visible)|missing)|no way to|too (?:blurry|small|dark|unclear) to|(?:is|are"
    r"|was) no (?:total|value|number|row|such|clear)|not (?:in|among|one of) the (?:provided |given )?(?:choices|options))\b|无法(?:确定|判断|回答"
    r"|得知|看到|识别|看出|求出|计算|查看|显示)|条件不足|不能(?:确定|判断)|看不(?:到|清|出)|不知道",
    re.IGNORECASE,
)
UNKNOWN = re.compile(r"\W{0,6}(?:unknown|unclear|undetermined|uncertain|not sure|n/a)\b", re.IGNORECASE)
_GUESS = re.compile(r"\b(?:but|however|likely|probably|closest|most)\b|但|最可能", re.IGNORECASE)
DANGLES = re.compile(
    r"(?:\b(?:[Ww]here|[Tt]hen|[Tt]hat|[Tt]his|whether|[Bb]ecause|[Ss]ince|[Aa]nd|or|[Tt]he|a|an|of|to|is|[Ww]e|[Ss]o|[Ii]f|[Ww]hen|which"
    r"|with|for)|[,，]|需要|因此|所以|时)\s*\Z"
    r"|\A\s*(?:Step|步骤)\s*\d+\s*[:：][^.\n]*[^.\n!?。)}$]\Z"
)
"""How a text ends that was cut off inside a sentence, or behind its first step."""
REVISED = re.compile(
    r"\b(?:wait|hold on|hmm|actually|let me (?:re|double|check)|re(?:check|compute|consider|calculate)|mistake|on second thought)\b|等等|不对|重新|再想",
    re.IGNORECASE,
)
"""What begins another attempt."""
UNDONE = re.compile(
    r"(?:\bwait\b,?\s*(?:no\b|that)[^.\n]{0,40}|\bno,? wait|\bthat(?:['’]s| is) (?:wrong|not (?:right|correct)))\W*\Z|(?:\A"
    r"|[\s。，,！!…])(?:等等|不对|错了)\W*\Z",
    re.IGNORECASE,
)
"""How a response ends that takes its answer back and gives no other."""
_COURTESY = re.compile(
    r"(?:(?<=[.!?。！])|\n)[ \t\n]*(?:i hope|hope|let me know|please let me know|feel free|if you (?:have|need|would|want)|thank"
    r"|is there anything|do you (?:have|want|need)"
    r"|希望|如果您?你?(?:还|有|需)|如有|请告诉|谢谢)[^\n]{0,200}\s*\Z",
    re.IGNORECASE,
)

_SENTENCE_END = re.compile(
    r"\n|[。！？；]|(?<=[\u4e00-\u9fff]);(?=[\u4e00-\u9fff])|(?<=[a-z)\]}$*\"%°²³])\.(?=\s|$)|(?<=\d)\.(?=\s+(?:[A-Z]|\([A-Z][a-z])|\s*$)"
    r"|(?<=[A-J])\.(?=\s+[A-Z]|\s*$)|[!?](?=\s|$)"
)
_CLAUSE_END = re.compile(r"(?<=[a-z)\d])\.\s|[\n。！？；;!]")
_ITEMS = re.compile(r"[\s*_:]*(?:\n[ \t]*(?:[-•*]|\d+[.)])[ \t][^\n]{1,300}[:=][^\n]{1,300}){2,20}")
BOLD = re.compile(r"\*\*([^*\n]{1,200})\*\*")
MATHS = re.compile(r"\$\$([^$]{1,1000})\$\$|\$([^$\n]{1,500})\$|\\\[(.{1,1000}?)\\\]|\\\((.{1,500}?)\\\)", re.DOTALL)
_CLOCK = r"\d{1,2}:\d\d(?::\d\d)?(?:\s?[ap]\.?m\b\.?|\s(?:in the (?:morning|afternoon|evening)|at night)\b)?"
_NUMERAL = re.compile(
    r"\(\s*-?\d+(?:\.\d+)?\s*,\s*-?\d+(?:\.\d+)?\s*\)|\b(?:between|from)\s\$?\d[\d.,]*\s(?:and|to)\s\$?\d[\d,]*(?:\.\d+)?"
    rf"|(?<![\d:]){_CLOCK}(?![\d:])|\d+(?:\.\d+)?\s?:\s?\d+(?:\.\d+)?"
    r"|(?<![A-Za-z0-9_.])(?<!\^)(?<!\^\{)(?:(?<![\d)\]}]\s)(?<![\d)\]}])[-−]\s?)?[$€£]?(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)?"
    r"(?:(?<=\d)\.\d+|(?<!\d)\.\d+)?(?:(?<=\d)\s?/\s?\d+|[eE][+-]?\d+)?(?<=\d)(?:\s*\\?%|\s?[万亿千百](?=[\u4e00-\u9fff]|\W|$))?(?![\d])",
    re.IGNORECASE,
)
_LIST_NUMBER = re.compile(r"^[ \t*_#>]*\d{1,2}[.)](?=[ \t*])", re.MULTILINE)
NUMBER = r"\d[\d,]*(?:\.\d+)?|zero|no|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve"
_SCALED = re.compile(
    r"(?:\s*(?:(?:hundred|thousand|million|billion|trillion|dozen)s?\b|percent\b|per cent\b|[%‰万亿]))+|\s?(?:[ap]\.?m\b\.?|times\b|BCE?\b|AD\b|倍)",
    re.IGNORECASE,
)
_WAY = re.compile(
    r",?\s+(?:directed |pointing |acting |due )?(?:to(?:wards?)? (?:the )?)?(?:left|right|north\w*|south\w*|east\w*|west\w*|upwards?"
    r"|downwards?|(?:counter-?|anti-?)?clockwise)\b(?!-| (?:side|hand|of|over))"
)
_HEADED = re.compile(
    r"^[ \t]*(?:#+[ \t]*|\*\*)(?:final |the )?(?:answer|conclusion|result)\b|^[ \t#*【]*(?:答案|结论)",
    re.IGNORECASE | re.MULTILINE,
)
_RELATES = re.compile(
    r"\b(?:not|cannot|never|neither|nor"
    r"|(?:at most|at least|no (?:more|less|fewer)|(?:more|less|greater|fewer|larger|smaller|other) than|twice|half of|double"
    r"|triple)(?!.*(?:\b(?:is|are|was|were)\b|=))"
    r"|multiples? of|(?:square|cube) root of|if|unless|whether|unclear|missing|wrong|incorrect|consider|suppose|let|no way|compared (?:with"
    r"|to)|years? (?:after|before))\b|n['’]t\b"
    r"|\^\{?\d\}?\$? (?:is|=)|\d or $|不(?!等式)|无法|至少|至多|最多|最少|超过|不足|如果|假设|设[a-zA-Z]|错误?",
    re.IGNORECASE,
)
_UNDONE = re.compile(
    r"\W*(?:is|are|was|were)\W+(?:not|wrong|incorrect|too|the (?:upper|lower))\b|\s+or\s+\W?\d|\W*的(?:一半|[两\d]?倍|平方|倒数|相反数)|时$|\s*(?:是错|不对)",
    re.IGNORECASE,
)
"""What makes another value of the one that follows, or takes back the one in front."""


def counted(text: str, start: int, word: str) -> str:
    """Return a number that stands at a place with what makes it another value: its unit and scale; 0 for no."""
    if word.lower() == "no":
        return "0"
    return next(iter(quantities(text[start : start + 60])), word) if word[0].isdigit() else word


THERE = re.compile(
    rf"\b(?:there (?:is|are|was|were|will be)|i (?:can )?(?:count|see)|a total of|leaving|leaves|left with)\s+(?:only |exactly "
    rf"|approximately |about |a total of )?\**({NUMBER})\b(?!\s*[/=*+]|\s+(?:or|to)\s+(?:{NUMBER})\b)",
    re.IGNORECASE,
)
_VALUE = re.compile(
    r"(?<![A-Za-z])(?:is|are|equals?|was|were|takes?|costs?|weighs?|measures?|lasts?|pays?|gives)(?![A-Za-z])(?: (?:about|approximately"
    r"|roughly|exactly|only|equal to))?|(?<=[Ii]t)['’]s(?![A-Za-z])|[=≈]|(?<!\d)(?<!\d ):(?!\d)|是|等于|(?:大)?约为?|共计?有?|(?<![因认])为|选"
)
"""What stands before a value in a statement."""
_EACH = re.compile(r"^每[\u4e00-\u9fff]{1,3}(?=\d)")

BOOLEANS = {
    **dict.fromkeys(("yes", "true", "correct", "yep", "yeah", "是", "是的", "对", "对的", "正确", "正确的", "√", "✓", "成立"), True),
    **dict.fromkeys(("no", "false", "incorrect", "nope", "否", "不", "不是", "不是的", "不对", "错", "错误", "错误的", "错的", "不正确", "×", "✗", "不成立"), False),
}  # fmt: skip
"""Words that answer yes or no."""
_BOOLEAN = "|".join(sorted(map(re.escape, BOOLEANS), key=len, reverse=True))
_EDGE = r"(?![A-Za-z])(?=[ \t]*(?:[.,;:!*\"'’”)\]}。，；：！、（(\-–—|\n]|$|(?:it|there|they|the|this|that|because|since|as|we|both|all)\b))"
_FIRST = re.compile(rf"[\s*_\"'“#]*({_BOOLEAN}){_EDGE}", re.IGNORECASE)
_STATED = re.compile(
    rf"(?:\b(?:(?P<firm>so|therefore|thus|hence|answer)|statement|claim|assertion|conclusion|proposition|it)(?: (?:above"
    rf"|given))?(?:\s{{0,3}}\([^()\n]{{1,30}}\))?(?:[:,]?\s{{1,3}}(?:the (?:answer|statement|claim) )?(?:is|must be|should be|returns|prints"
    rf"|outputs|evaluates to)?|['’]s)\s{{0,3}}(?:{ADVERB}\s{{1,3}})?"
    rf"|(?:(?P<solid>答案|因此|所以|故)|说法|这句话|这个?话|本题|判断|结论|命题|叙述|描述)(?:应该|应|就|也)?(?:是|为|[:：，,])*\s{{0,3}})[\s*_\"'“]{{0,6}}(?P<no>not\s{{1,3}}"
    rf"|isn['’]t\s{{1,3}})?(?P<said>{_BOOLEAN}){_EDGE}(?!\s{{1,3}}that\b)",
    re.IGNORECASE,
)
CLOSING = re.compile(
    r"(?:[,，]\s?(?:so |hence |thus |therefore |所以|因此)?|\b(?:would|i['’]d|i) say )(yes|no|true|false|是|否)\W*\Z",
    re.IGNORECASE,
)
_DECORATED = re.compile(r"^(?:so|therefore|thus|answer)[,:]?\s+|[\s*_.。!！$\"'`:：()]+", re.IGNORECASE)


def says_boolean(gold: str) -> bool:
    """Return whether a gold answer is a word or a sign for yes or no."""
    return words(gold) in BOOLEANS or gold.strip() == "×" or compact(gold) == "\\times"


def sentences(text: str) -> list[str]:
    """Return the statements of a text in order, blank ones left out."""
    return [part for part in re.split(_SENTENCE_END, text) if part and part.strip()]


def sentence(text: str, start: int) -> str:
    """Return the text from a place to the end of its statement; of the next line where this one is empty."""
    skipped = re.sub(r"\A[ \t*_:]*(?:\n[ \t\n*_:>]*)?", "", text[start : start + MAX_ANSWER])
    for left, right, longest in (("$$", "$$", MAX_ANSWER), ("\\[", "\\]", MAX_ANSWER), ("$", "$", 400), ("\\(", "\\)", 400)):  # fmt: skip
        if skipped.startswith(left):
            close = skipped.find(right, len(left))
            if len(left) <= close < longest and (longest == MAX_ANSWER or "\n" not in skipped[:close]):
                if longest == MAX_ANSWER:
                    return unwrap(skipped[: close + 2])
                end = _SENTENCE_END.search(skipped, close + 1)
                return unwrap(skipped[: end.start()] if end else skipped)
            break
    if re.match(r"\(1\)|①", skipped):  # answers to several questions
        skipped = skipped.partition("\n")[0].replace("；", ";")
    end = _SENTENCE_END.search(skipped)
    return unwrap(skipped[: end.start()] if end else skipped)


def clause(text: str, end: int) -> str:
    """Return what stands in front of a place in its own statement."""
    return _CLAUSE_END.split(text[max(0, end - _BEFORE) : end])[-1]


def announcements(text: str, start: int = 0, option: bool = False) -> Iterator[re.Match[str]]:
    """Yield what announces an answer (or an option) behind a place, the last first, without what is taken back."""
    found = list((_ANNOUNCED_OPTION if option else _ANNOUNCED).finditer(text, start))
    for match in reversed(found[-50:]):
        before = clause(text, match.start())
        unreal = "would" in match[0] and supposed(before + sentence(text, match.start())[:200])
        if not unreal and not retracted(before):
            yield match


def retracted(before: str) -> bool:
    """Return whether what stands in front of an announcement in its statement takes it back."""
    return _RETRACTED.search(before) is not None


def supposed(told: str) -> bool:
    """Whether a statement says what would be, or what others get wrong."""
    return _UNREAL.search(told) is not None and _SUPPOSED.search(told) is not None


def affirmed(told: str, asides: bool = True) -> str:
    """Return a statement without what it takes back, and unless `asides` without remarks in brackets; whole where nothing would be left.

    >>> affirmed("It is 9, not 12"), affirmed("12 (3 rows of 4)", asides=False)
    ('It is 9', '12')
    """
    kept = _CONTRAST.sub("", told)
    if not asides and "(" in kept:
        kept = _ASIDE.sub("", kept)
    return kept if kept.strip(" .,") else told


_DENIED = re.compile(r"not\b", re.IGNORECASE)
_NO_ANSWER = re.compile(
    r"(?:not|in|the following|to|as|because|given|correct|a[sn]?(?=\s))\b(?! [A-J]\b)|helpful|useful", re.IGNORECASE
)


def said_answer(text: str, question: str = "") -> str | None:
    """Return what the last announcement ("the answer is", 答案) says, to the end of its statement; None without one."""
    for match in announcements(text):
        end = match.end()
        while text[end - 1 : end] == "\n":
            end -= 1
        if (items := _ITEMS.match(text, end)) and len(listed := items[0].strip().splitlines()) > 1:
            return _item(listed, question)
        said = sentence(text, match.end())
        headed = match[0].rstrip(" *_\t").endswith((":", "：", "\n"))
        if said and not (_DENIED if headed else _NO_ANSWER).match(said):
            return said
    return None


def _item(listed: list[str], question: str) -> str:
    """Of several answers in a list, the one whose name shares most words with the end of the question; else the last."""
    asked = set(words(question.strip().rpartition("\n")[2][-300:]).split())
    named = [line.rpartition(":" if ":" in line else "=")[::2] for line in listed]
    return unwrap(max(reversed(named), key=lambda pair: len(asked & set(words(pair[0]).split())))[1].strip())


def refuses(told: str) -> bool:
    """Return whether a statement says that it has no answer, and does not go on to give one."""
    found = _REFUSAL.search(told)
    return found is not None and not _GUESS.search(told[found.end() :])


def refuses_at_end(text: str) -> bool:
    """Return whether a response ends by saying that it has no answer."""
    return any(map(refuses, sentences(text.strip()[-1_000:])[-2:]))


def value_in(said: str) -> str | None:
    """Return what a statement says something is, where that reads as a number: after its last "is", "=" or "等于"."""
    said = affirmed(said, asides=False)
    for end in [match.end() for match in _VALUE.finditer(said)][:-4:-1]:
        if len(said) - end <= 300:
            tail = unwrap(_EACH.sub("", said[end:]))
            for value in (tail, unwrap(REMARK.sub("", tail))):
                if value and len(value) <= 60 and (read_number(value) is not None or read_moment(value) is not None):
                    return value
    return None


def tighten(said: str, question: Question) -> str:
    """Return the answer inside a statement: itself where it is one, else its maths, its bold part, or what follows "is" or "="."""
    said = unwrap(said)
    whole = question.kind == "text" or re.fullmatch(_CLOCK, said, re.IGNORECASE)
    if len(said) <= 40 and (whole or read_number(said) is not None):
        return said
    said = unwrap(affirmed(re.sub(r"\s*\.?\s*I hope it is correct\b.*$", "", said), asides=False))
    short = unwrap(REMARK.sub("", said))
    if short != said and (read_number(short) is not None or re.fullmatch(r"[A-Za-z][\w -]{1,30}", short)):
        return short
    found = list(MATHS.finditer(said))
    segments = [next(filter(None, match.groups())) for match in found]
    if segments and (tail := value_in(said[found[-1].end() :])):
        return tail
    outside = MATHS.sub(" ", said)
    if segments and re.search(r"[A-Za-z]{2,}|[\u4e00-\u9fff]", outside):
        if len(segments) > 1 and re.fullmatch(r"[\s,;]*(?:and|or|和|或)?[\s,;.]*", outside.strip()):
            return ", ".join(segments)
        return unwrap(segments[-1])
    if question.kind in ("number", "count") or not re.search(r"[\\=^]", said) or re.search("是|为|等于|有", said):
        if tail := value_in(said):
            return tail
        if question.kind in ("number", "count") and (found := numerals(said)):
            return found[0 if re.match(r"[-$€£]?\d", said) else -1]
    return said


def numerals(text: str) -> list[str]:
    """Return the numbers of a text as written, without those of a numbered list; a pair in brackets, a ratio, a time and a range are one each."""
    text = characters(_LIST_NUMBER.sub(" ", text))
    return [match.group().strip() for match in _NUMERAL.finditer(text) if match.group().strip()]


def quantities(text: str) -> list[str]:
    """Return the numbers of a text, each with its scale, percent sign, unit and what else makes it another value.

    >>> quantities("It goes 60 mph, in 1887 BC, for 15 thousand dollars."), quantities("增长了25倍")
    (['60 mph', '1887 BC', '15 thousand dollars'], ['25倍'])
    """
    text = characters(_LIST_NUMBER.sub(" ", text))
    found = []
    for match in _NUMERAL.finditer(text):
        if match.group().strip():
            rest = re.sub(r"\^?\s?\\circ\s*", "°", text[match.end() : match.end() + 60])
            scale = _SCALED.match(rest)
            end = scale.end() if scale else 0
            unit = re.match(r"\s*", rest[end:]).end() + end
            end = unit + length if (length := read_unit(rest[unit:])[1]) else end
            if way := _WAY.match(rest, end):
                end = way.end()
            found.append((match.group() + rest[:end]).strip(" .") if end else match.group().strip())
    return found


def relates(told: str, value: str) -> bool:
    """Return whether a statement denies, bounds or supposes the value it ends with, or makes another one of it.

    >>> relates("x is at most 6", "6"), relates("If we add them, the sum is 6", "6"), relates("15 is wrong", "15")
    (True, False, True)
    """
    before, _, behind = told.rpartition(value)
    return _RELATES.search(re.split(r"[,，;；]", before)[-1]) is not None or _UNDONE.match(behind) is not None


def states(text: str) -> bool:
    """Return whether a response has a heading or ends with a statement that announces its answer, however that reads."""
    return _HEADED.search(text) is not None or any(any(announcements(part)) for part in sentences(text)[-1:])


def without_courtesy(text: str) -> str:
    """Return a response without what it says to the reader when it is done ("I hope this helps!")."""
    for _ in range(3):
        if not (found := _COURTESY.search(text, max(0, len(text) - 400))) or not text[: found.start()].strip():
            break
        text = text[: found.start()]
    return text


def said_boolean(text: str) -> bool | None:
    """Return whether a response says yes (true) or no (false): in its first word, its last line, or a statement; else None.

    >>> said_boolean("False.\\n\\nIt is true that the bars touch."), said_boolean("True, False.")
    (False, None)
    """
    lines = [line for line in text.strip().splitlines() if line.strip()]
    if not lines:
        return None
    if (last := BOOLEANS.get(_DECORATED.sub("", lines[-1].strip()).lower())) is not None:
        return last
    text_end = text[-2_000:]
    ended = [found for found in _STATED.finditer(text_end) if not retracted(clause(text_end, found.start()) + " ")]
    stated = BOOLEANS[ended[-1]["said"].lower()] != bool(ended[-1]["no"]) if ended else None
    if ended and (ended[-1]["firm"] or ended[-1]["solid"] or re.search("answer", ended[-1][0], re.IGNORECASE)):
        return stated
    closed = CLOSING.search(text[-40:]) if len(text.strip()) > 14 else None
    if closed and not _FIRST.match(text):
        return BOOLEANS[closed[1].lower()]
    text = re.sub(r"\A[^.!。？?]{3,400}[?？]\s*", "", text.strip()) or text
    if first := _FIRST.match(text):
        said = BOOLEANS[first[1].lower()]
        rest = re.split(r"[.!。！\n]", text[first.end() :].lstrip(" .,:;!*。，"), maxsplit=1)[0]
        second = _FIRST.match(rest)
        return None if second and BOOLEANS[second[1].lower()] != said and len(rest) < 20 else said
    return stated
