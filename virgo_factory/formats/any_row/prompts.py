r"""Requests for tags in the prompts of published datasets: a target has the four markers and no other tag.

A model is trained on the four markers whatever the tags of the source were, so a prompt that asks for others would
contradict its response. What is taken out, anywhere in a system message or question:

- fixed prompts, word by word: DeepSeek-R1-Zero's (LongPerceptualThoughts, EasyR1, R1-V have it), OpenMMReasoner's
  (data_pipeline/distill_response.py), Sky-T1's with the four markers themselves (Bespoke-Stratos, OpenThoughts; the longer
  form of STILL-2) or `<think>` (SmolTalk2), Mulberry's headings, Video-R1's and Magistral's;
- sentences that speak of nothing but the form of the response and name such a tag, or a thought and an answer as its
  parts (headings, keys of JSON, words with a colon): all of their words outside of the
  tags are of a closed list. A request for \boxed{} in one of them stays, in other words;
- the switches of hybrid models: Nemotron's "detailed thinking on", Qwen3's `/think`, gpt-oss's "Reasoning: high",
  "Enable thinking mode."

Everything else stays as it is, and `asks_for_tags` names what of it still speaks of such tags. Sentences inside code
fences, questions, and the last words of a question are never taken out.
"""

import functools
import re
from dataclasses import replace

from virgo_factory.core.example import IMAGE, Example
from virgo_factory.core.lazy_pattern import LazyPattern
from virgo_factory.core.thought import MARKERS, LongThought
from virgo_factory.formats.texts import occurs


TAKEN_OUT = "with a request for other tags taken out of the prompt"
"""Note of rows whose prompt was changed."""
_THINK_ANSWER = (
    r"(?:A conversation between User and Assistant\. The user asks a (?:visual )?question, and the Assistant solves it\. )?"
    r"The assistant first thinks about the reasoning process(?: in the mind)? and then provides (?:the user with )?the answer\. "
    r"The reasoning process and answer are enclosed within <think> ?</think> and <answer> ?</answer> tags,? "
    r"respectively(?:, i\.e\., <think> ?reasoning process here ?</think>\s?<answer> ?answer here ?</answer>)?\.?"
)
_OPEN_MM_REASONER = (
    r"You are a helpful assistant\. When the user asks a question, your response must include two parts"
    r"(?: and nothing else)?: first, the reasoning process enclosed in <think>\.\.\.</think> tags, then the final "
    r"answer enclosed in <answer>\.\.\.</answer> tags\. ?Please provide a clear, concise response within "
    r"<answer> </answer> tags that directly addresses the question\."
)
_SKY_T1 = (
    r"Your role as an assistant involves thoroughly exploring questions through a systematic long thinking process "
    r"before providing the final precise and accurate solutions\.(?>.{0,2000}?<\|begin_of_thought\|>)"
    r"(?>.{0,2000}?<\|end_of_thought\|>)(?>.{0,2000}?<\|begin_of_solution\|>)(?>.{0,200}?<\|end_of_solution\|>)"
    r"(?>.{0,20}?Now, try to solve the following question through the above guide?lines:)"
)
_SKY_T1_THINK = (
    r"Your role as an assistant involves thoroughly exploring questions through a systematic (?:long )?thinking process "
    r"before providing the final precise and accurate solutions\.(?>.{0,2000}?<think> ?\{*Thought section\}* ?</think> ?"
    r"\{*Solution section\}*\.)(?>.{0,1500}?reach the conclusion\.)"
    r"(?: ?Now, try to solve the following question through the above guide?lines:)?"
)
_MULBERRY = (
    r"Generate an image description based on the question\. Then, provide a rationale to analyze the question\. "
    r"Next, generate a step-by-step reasoning process to solve the problem\. Ensure the steps are logical and "
    r"concise\. Finally, provide a concise summary of the final answer in the following format: 'The final answer is: "
    r"xxx\.'? Format your response with the following sections, separated by ###: ### Image Description: "
    r"### Rationales: ### Let's think step by step\. ### Step 1: ### Step 2: \.\.\. ### The final answer is:"
)
_VIDEO_R1 = (
    r"Please think about this question as if you were a human pondering deeply\. Engage in an internal dialogue using "
    r"expressions such as 'let me think', 'wait', 'Hmm', 'oh, I see', 'let's break it down', etc, or other natural "
    r"language thought expressions\.? It's encouraged to include self-reflection or verification in the reasoning "
    r"process\. Provide your detailed reasoning between the <think> (?:and )?</think> tags,? and then give your final "
    r"answer between the <answer> (?:and )?</answer> tags\."
)
_VIDEO_R1_OCR = r"Please transcribe text from the image/video clearly and provide your text answer within the <answer> </answer> tags\."
_MAGISTRAL = (
    r"First draft your thinking process \(inner monologue\) until you arrive at a response\. (?>.{0,400}?\[THINK\])"
    r"(?>.{0,600}?\[/THINK\])(?: ?Here, provide a self-contained response\.)?"
)


def _spaced(pattern: str) -> re.Pattern[str]:
    return LazyPattern(pattern.replace(" ", r"\s+").replace(r"\s+?", r"\s*"), re.DOTALL)


_FIXED = {
    "respectively": _spaced(_THINK_ANSWER), "addresses": _spaced(_OPEN_MM_REASONER), "systematic": _spaced(_SKY_T1),
    "exploring": _spaced(_SKY_T1_THINK), "Rationales": _spaced(_MULBERRY), "pondering": _spaced(_VIDEO_R1),
    "transcribe": _spaced(_VIDEO_R1_OCR), "draft": _spaced(_MAGISTRAL),
}  # fmt: skip
"""Prompts by a word that each has."""

_MONOLOGUE = _spaced(
    r"(?:You |The assistant |Please )?first,? (?:think|thinks) (?:about )?(?:through )?(?:the )?(?:reasoning process|question|problem)"
    r"(?: as an internal monologue| in the mind)?,? and then provides? (?:the user with )?(?:the|your) (?:final )?answer\."
)
_MONOLOGUE = LazyPattern(_MONOLOGUE.pattern, re.IGNORECASE)
"""A sentence that names no tag, and stands in front of one that does."""

_SWITCH = LazyPattern(
    r"(?:(?:^|(?<=[.!?\n]))[ \t]*(?:"
    r"(?:(?:detailed|deep|extended|long) )?(?:thinking|reasoning)(?: mode)?(?: ?[:=] ?| (?:is )?)(?:on|off|enabled|disabled|true|false)"
    r"|(?:Please )?(?:(?P<plain>enable|disable|activate|deactivate|turn on|turn off|switch on|switch off)|use|enter)"
    r"(?: the| your)?(?: (?:detailed|deep|extended|long|step-by-step))? (?:thinking|reasoning)"
    r"(?(plain)(?: mode| subroutine)?|(?: mode| subroutine))"
    r"|Reasoning(?: effort)?: ?(?:none|minimal|low|medium|high)|enable_thinking ?[:=] ?(?:true|false)"
    r"|/(?:no_?)?think)[ \t]*(?:[.!][ \t]*(?=\S)|[.!]?[ \t]*$)"
    r"|(?<=\s)/(?:no_?)?think\s*\Z|\A\s*/(?:no_?)?think(?=\s)|\A\s*<\|think\|>(?=\s|\Z))",
    re.IGNORECASE | re.MULTILINE,
)
"""A switch is a line or a sentence of its own, or Qwen3's word in front or at the end, or Gemma's token in front."""

_MODE = LazyPattern(
    r"\b(?:thinking|reasoning) mode\b|\benable_thinking\b|\bdetailed thinking o(?:n|ff)\b|(?<!\S)/(?:no_?)?think(?!\S)",
    re.IGNORECASE,
)
_NO_THOUGHT = LazyPattern(
    r"(?:^|[.!?\n] ?)[ \t]*(?:Please )?(?:do not|don't) (?:think(?! (?:so|that))|reason|explain)\b|\bwithout (?:any )?(?:reasoning|thinking|explanation)"
    r"|直接(?:给出|回答|输出)(?:最终|正确)?答案|(?:不要|无需|不用|请勿|不需要)(?:任何|给出|输出|写出|进行)?(?:解释|推理|思考)",
    re.IGNORECASE,
)
"""A prompt that asks for no thought."""
_SHORT = LazyPattern(
    r"\b(?:answer|respond|reply)\b[^.!?\n]{0,60}\b(?:(?:a|one) single (?:word|phrase|letter|number)|letter\b[^.!?\n]{0,40}\bdirectly)\b[^.!?\n]*",
    re.IGNORECASE,
)
_LONG = 200
"""Characters of a solution that is no word, letter or phrase, nor a sentence with one."""


def asks_for_less(question: str, solution: str) -> str:
    """Return the sentence of a question that asks for a word or a letter alone, where the solution is long; else "".

    >>> asks_for_less("Which? Answer with the option's letter from the given choices directly.", "We look. " * 30)
    "Answer with the option's letter from the given choices directly"
    """
    may_ask = len(solution) > _LONG and ("directly" in question or "single " in question)
    found = _SHORT.search(question) if may_ask else None
    return " ".join(found.group().split())[:160] if found else ""


_NAMES = (
    r"think|thinking|thoughts?|reason|reasoning|rationale|reflection|reflect|scratchpad|inner_?monologue|"
    r"internal_?monologue|analysis|cot|chain_of_thought|seed:think|begin_of_thought|end_of_thought|\u601d\u8003(?:\u8fc7\u7a0b)?|\u63a8\u7406(?:\u8fc7\u7a0b)?"
)
_ANSWERS = r"answer|ans|final_?answer|solution|conclusion|summary|caption|output|response|result|begin_of_solution|end_of_solution|(?:\u6700\u7ec8)?\u7b54\u6848|\u56de\u7b54"
_THINKS = LazyPattern(
    rf"</?(?:{_NAMES})\s*/?>|\[/?THINK\]|\[/(?:{_NAMES})\]|{{/(?:{_NAMES})}}|◁/?think▷", re.IGNORECASE
)
_SECTIONS = LazyPattern(r"</?(?:SUMMARY|CAPTION|CONCLUSION)>")
"""LLaVA-CoT's; in small letters they are HTML."""
_TAG = LazyPattern(rf"</?(?:{_NAMES}|{_ANSWERS})\s*/?>|[\[{{]/?(?:{_NAMES}|{_ANSWERS})[\]}}]|◁/?think▷", re.IGNORECASE)
_BEGINS = {
    "<": LazyPattern(rf"</?(?:{_NAMES}|{_ANSWERS})\s*/?>|{re.escape(MARKERS[0])}", re.IGNORECASE),
    "[": LazyPattern(r"\[/?(?:THINK|ANSWER)\]", re.IGNORECASE),
    "\u25c1": LazyPattern("\u25c1/?think\u25b7", re.IGNORECASE),
}
"""What every request has that names a tag."""
_SPAN = LazyPattern(
    rf"<(?P<tag>{_NAMES}|{_ANSWERS})>(?:(?!<(?P=tag)>)[\s\S]){{0,300}}?</(?P=tag)>"
    r"|\[THINK\][\s\S]{0,600}?\[/THINK\]|◁think▷[\s\S]{0,300}?◁/think▷",
    re.IGNORECASE,
)
_THOUGHT_LABEL = r"(?:thinking|thoughts?|reasoning)(?: process)?|rationale|analysis|cot|chain[ _]of[ _]thought|explanation|思考(?:过程)?|推理(?:过程)?"
_ANSWER_LABEL = r"(?:final[ _])?(?:answer|response|solution|result)|conclusion|summary|(?:最终)?答案|回答|结论"
_BLANK = r"(?:\.{3,}|…|<[^<>\n]{0,60}>|\[[^\[\]\n]{0,60}\]|\{[^{}\n]{0,60}\}|\"[^\"\n]{0,60}\")"
_PATTERN = LazyPattern(
    rf"(?:```\w*\s*)?\{{\s*[\"'](?:{_THOUGHT_LABEL})[\"']\s*:[^{{}}]{{0,200}}[\"'](?:{_ANSWER_LABEL})[\"']\s*:[^{{}}]{{0,200}}\}}(?:\s*```)?"  # a JSON object
    rf"|\#{{1,6}} ?(?:{_THOUGHT_LABEL})[ :：]*\n\s*{_BLANK}?\s*\#{{1,6}} ?(?:{_ANSWER_LABEL})[ :：]*(?:\n\s*{_BLANK})?"  # headings
    rf"|[\"']?(?:{_THOUGHT_LABEL})[:：]\s*{_BLANK}[;,]?\s*(?:{_ANSWER_LABEL})[:：]\s*{_BLANK}[\"']?",
    re.IGNORECASE,
)
"""What a response is to look like, written out with blanks."""
_OPEN, _CLOSE = (
    r"(?:\#{1,6} ?|\*\*|[\"'“‘`「『【\[{]|\b(?=[\w ]{3,20}[:：]))",
    r"(?:[:：]|\b|(?<=(?-i:[\u4e00-\u9fff])))",
)
_LABELS = [LazyPattern(rf"{_OPEN}/?(?:{names}){_CLOSE}", re.IGNORECASE) for names in (_THOUGHT_LABEL, _ANSWER_LABEL)]
"""A thought, or an answer, as a heading, a quoted word or a word with a colon."""
_ANSWER_WORDS = ("answer", "solution", "conclusion", "response", "result", "summary", "答案", "回答", "结论")
_KEYS = LazyPattern(r"json|yaml|\b(?:keys?|fields?|headings?|sections?)\b", re.IGNORECASE)
_KEY_WORDS = [LazyPattern(names, re.IGNORECASE) for names in (_THOUGHT_LABEL, _ANSWER_LABEL)]
_MARKUP = LazyPattern(r"</?[a-z][a-z0-9]*(?:\s[^<>]*)?/?>|\b(?:html|xml|css|svg)\b", re.IGNORECASE)
_FENCE = LazyPattern(r"```[\s\S]*?(?:```|\Z)")
_ABBREVIATION = LazyPattern(r"\b(?:e\.g|i\.e|etc|vs)\.(?=[\s,;:)])|^[ \t]*\d+\.(?=\s)", re.MULTILINE)
_END = LazyPattern(r"[.!?](?=[\s\"')*]|$)[\"')*]*|\.(?=[A-Z][a-z])|[。！？]|\n+|<image>")
_PARENTHESES = LazyPattern(r"[(（][^()（）]{0,100}[)）]")
_SPACES = LazyPattern(r"\s*")
_BOXED = LazyPattern(r"\\boxed\s*(?:\{[^{}]*\})?")
_LATIN = LazyPattern(r"[^\W\d_]+(?:['’][a-z]+)?")
_CHINESE = LazyPattern(r"[\u4e00-\u9fff]+")

_WORDS = frozenset(
    """
    a about above after afterwards all also always an and answer answers any appear appears are arrive as assistant assistant's at be
    before begin beginning begins below between both box brackets brief briefly but by carefully clear clearly command
    completely conclude conclusion conclusions concise concisely conduct contain contained contains content correct deeply
    deliberate detail detailed details directly do draft each either else enclose enclosed encloses encompassed
    end ending ends ensure entire entirely exactly explicitly fashion final finally finish first firstly follow
    followed following follows for form format formatted formatting formats full fully generate give given gives go goes
    have here how i if immediately in include included includes including inner inside instructions internal into is it
    its just keep last letter like literal made make manner markdown mark marked means mind monologue must my need needs
    new newline next no not nothing number numerical of on once one only open opening option or order other otherwise out output
    outputs outside own part parts place placed please pattern precise prefix present problem procedure process processes
    produce properly provide provided provides put question questions rationale read reason reasoned reasoning reply replies
    respectively respond responding response responses result results return rigorous rigorously same section sections
    separate separated should show shown shows single so solution solutions solve solves solving start starting starts
    state stated step steps step-by-step strictly structure structured style such summarize summary sure surround surrounded
    surrounding syntax tag tags tagged template text that the their them then there these they thing think thinker thinking
    thinks this thorough thoroughly thought thoughts through time to token tokens turn two types under until up use user
    user's used uses using value via wait want way we well when where which while whole will with within without words
    json yaml xml object valid key keys field fields heading headings title titles named called name names labels label string
    strings schema level-two finish conclude under curly braces
    let's lets remember note important every hidden chain deep long extended extensive speak goes internally silently
    reflect reflection think-aloud intermediate monolog scratchpad
    work would wrap wrapped wrapping wraps write writes writing written you your yours yourself
    """.split()
)
"""Words that speak of the form of a response: a sentence made of them alone, and tags, asks no question of its own."""
_CHARACTERS = frozenset(
    "请先将把你的您思考推理过程放在写于到之间内中里并和与然后再最终最后答案回答给出用使用标签包裹括起来输出格式以为以下是按照照步骤一"
    "逐步分析问题详细完整必须应该需要都置首接着随后其入部分内容结果提供开始结束需要要求如所有你再作头字段个两第键值名含对象标题下面"
)


def without_requests(example: Example) -> Example:
    """Return the example without requests for other tags in its prompts, and with a note where there were some.

    An example with a response that is kept as the text it is (`malformed: keep`) stays as it is: it may have the tags.
    """
    turns = (*example.history, example)
    prompts = [turn.question for turn in turns] + ([example.system] if example.system else [])
    if not any(map(_may_request, prompts)):
        return example

    if not all(isinstance(turn.response, LongThought) for turn in turns if turn.learned):
        return example

    system = without_request(example.system or "", True) or None
    history = tuple(replace(turn, question=without_request(turn.question)) for turn in example.history)
    question = without_request(example.question)
    if (system, history, question) == (example.system, example.history, example.question):
        return example

    notes = (*example.notes, TAKEN_OUT)
    return replace(example, system=system, history=history, question=question, notes=notes)


def without_request(text: str, may_be_empty: bool = False) -> str:
    r"""Return a prompt without its requests for other tags; the text itself where it has none.

    `may_be_empty`: whether it may consist of nothing else; a question that does stays as it is.

    >>> without_request("How many? Put it in <think> </think> and then <answer> </answer> tags.")
    'How many?'
    >>> without_request("Reason in <think></think> and put the answer in \\boxed{}. What is 1 + 1?")
    'Put the final answer in \\boxed{}. What is 1 + 1?'
    """
    if not _may_request(text):
        return text

    left = text
    for pattern in (*(pattern for word, pattern in _FIXED.items() if word in text), None, _SWITCH):
        if pattern is None:
            cuts = _requests(left, bool(_THINKS.search(text)))
        else:
            cuts = [(*found.span(), "") for found in pattern.finditer(left)]

        left = _cut(left, cuts) if cuts else left

    return left if may_be_empty or left.replace(IMAGE, "").strip() else text


def _may_request(text: str) -> bool:
    """Whether a prompt has one of the words or tags that all requests have; most prompts do not."""
    lower = text.lower()
    if "think" in lower or "reasoning" in lower or "###" in text:
        return True

    return occurs(text, _BEGINS) or _names_thought(lower) and _names_parts(text)


def _names_thought(lower: str) -> bool:
    return (
        "thought" in lower or "reason" in lower or "thinking" in lower or "rationale" in lower or "analysis" in lower
        or "explanation" in lower or not lower.isascii() and ("\u601d\u8003" in lower or "\u63a8\u7406" in lower)
    )  # fmt: skip


def _may_speak_of_tags(text: str) -> bool:
    """Whether a text has one of the words or signs that every sentence has which `asks_for_tags` returns."""
    lower = text.lower()
    return (
        not text.isascii() and ("\u76f4\u63a5" in text or "\u89e3\u91ca" in text) or "think" in lower or "expla" in lower or "[/" in text or "{/" in text or _names_thought(lower)
        or occurs(text, _BEGINS)
    )  # fmt: skip


@functools.lru_cache(64)
def asks_for_tags(text: str) -> str:
    """Return the sentence of a prompt that speaks of tags of thoughts, or of a mode; "" where there is none.

    The four markers are not meant, but for one that the response was to go on from: they are what the target has.
    """
    if not _may_speak_of_tags(text):
        return ""

    if text.rstrip().endswith(MARKERS[0]):  # of a template: the response would begin with another
        return MARKERS[0]

    for marker in MARKERS:
        text = text.replace(marker, "")

    has_parts = _names_parts(text)
    if has_parts:
        text = _PATTERN.sub(lambda found: found.group().replace("`", " "), text)

    text = _hidden(text, _FENCE) if "```" in text else text
    pieces = _sentences(text) if has_parts else ()
    lower = text.lower()
    found = (
        (
            ("<" in text or "[" in text or "{/" in text or "\u25c1" in text)
            and (_THINKS.search(text) or _SECTIONS.search(text))
        )
        or (("mode" in lower or "thinking" in lower or "/think" in lower or "/no" in lower) and _MODE.search(text))
        or (
            ("not " in lower or "don't" in lower or "without" in lower or not text.isascii())
            and _NO_THOUGHT.search(text)
        )
        or next((text[slice(*piece)] for piece in pieces if _names_parts(text[slice(*piece)])), None)
        or ("<answer>" in text and not _is_markup(text) and re.search("<answer>[^<]{0,40}</answer>", text))
    )
    if not found:
        return ""

    if isinstance(found, str):
        return " ".join(found.split())[:160]

    start = max((end.end() for end in _END.finditer(text, 0, found.start())), default=0)
    return " ".join(text[start : found.end() + 80].split())[:160]


def _requests(text: str, has_thinks: bool) -> list[tuple[int, int, str]]:
    """Return the sentences of a text that ask for tags, as `_cut` takes them."""
    has_parts = _names_parts(text)
    if not has_parts and not _TAG.search(text):
        return []

    sentences = _sentences(text)
    is_markup = _is_markup(text)
    boxes = len(_BOXED.findall(text))
    cuts = []
    for number, (start, end) in enumerate(sentences):
        sentence = text[start:end]
        if not _is_request(sentence, has_thinks, is_markup, has_parts):
            continue

        if number and _MONOLOGUE.fullmatch(text[slice(*sentences[number - 1])].strip()):
            start = sentences[number - 1][0]

        own = len(_BOXED.findall(sentence))
        cuts.append((start, end, "Put the final answer in \\boxed{}." if own and own == boxes else ""))

    return cuts


def _is_request(sentence: str, has_thinks: bool, is_markup: bool, has_parts: bool) -> bool:
    """Whether a sentence speaks of nothing but the form of the response, and names one of its tags."""
    has_tag = bool(_TAG.search(sentence))
    is_labelled = has_parts and _names_parts(sentence)
    if not (is_labelled or has_tag) or sentence.rstrip().endswith(("?", "？")):
        return False

    if (
        not is_labelled
        and not _THINKS.search(sentence)
        and (is_markup or not (has_thinks or _asks_for_answer(sentence)))
    ):
        return False

    bare = _BOXED.sub(
        " ", _PARENTHESES.sub(" ", _TAG.sub(" ", _SPAN.sub(" ", _PATTERN.sub(" ", _ABBREVIATION.sub(" ", sentence)))))
    )
    words = {word.lower() for word in _LATIN.findall(_CHINESE.sub(" ", bare))}
    characters = set("".join(_CHINESE.findall(bare)))
    return words <= _WORDS and characters <= _CHARACTERS and not re.search(r"\d(?![.)])|[=+^$]", bare)


def _names_parts(text: str) -> bool:
    """Whether a text names a thought and an answer as parts of a response: headings, quoted words, keys of JSON."""
    lower = text.lower()
    if not _names_thought(lower) or not any(word in lower for word in _ANSWER_WORDS):
        return False

    if all(label.search(text) for label in _LABELS):
        return True

    return bool(_KEYS.search(text)) and all(word.search(text) for word in _KEY_WORDS)


def _asks_for_answer(text: str) -> bool:
    return bool(
        re.search("<answer>[^<]*</answer>|<answer> and </answer>|答案", text) or "answer" in _TAG.sub("", text).lower()
    )


def _is_markup(text: str) -> bool:
    """Whether a text speaks of HTML, XML or the like, in which `<answer>` may be anything."""
    return bool(_MARKUP.search(_TAG.sub("", text.replace(IMAGE, ""))))


def _hidden(text: str, pattern: re.Pattern[str]) -> str:
    """Return the text with what a pattern finds blotted out, at the same length."""
    return pattern.sub(lambda found: "\x00" * len(found.group()), text)


def _sentences(text: str) -> list[tuple[int, int]]:
    """Return where the sentences of a text are, code left out; a pattern of tags belongs to the sentence before it."""
    hidden = text
    patterns = (_FENCE, _SPAN, _ABBREVIATION)
    for pattern in (_PATTERN, *patterns) if _names_thought(text.lower()) else patterns:
        hidden = _hidden(hidden, pattern)

    pieces, start = [], 0
    for end in [*_END.finditer(hidden), None]:
        stop = end.end() if end else len(text)
        is_place = end is not None and end.group() in (IMAGE,)
        piece = (start, end.start() if is_place else stop)
        start = stop
        inside = text[slice(*piece)]
        if not inside.strip():
            continue

        if pieces and not is_place and _continues(text[slice(*pieces[-1])], inside):
            pieces[-1] = (pieces[-1][0], piece[1])
        else:
            pieces.append(piece)

    if "```" not in text:
        return pieces

    code = _hidden(_PATTERN.sub(lambda found: " " * len(found.group()), text), _FENCE)
    return [piece for piece in pieces if "\x00" not in code[slice(*piece)]]


def _continues(before: str, piece: str) -> bool:
    """Whether a piece is nothing but a pattern of tags, which the sentence before it has announced."""
    bare = _TAG.sub("", _PATTERN.sub("", _SPAN.sub("", piece)))
    if len(before) > 2000 or bare == piece or re.search(r"\w", bare):
        return False

    return bool(_TAG.search(before)) or before.rstrip().endswith((":", "：", "format", "template"))


def _cut(text: str, cuts: list[tuple[int, int, str]]) -> str:
    """Return a text without some stretches; what stood around one is parted by the widest of the gaps there.

    `cuts`: where each stretch begins and ends, in rising order, and what is put into its place.
    """
    kept, start = [], 0
    for begin, end, instead in cuts:
        before, start = text[start:begin], end
        spaces = (before[len(before.rstrip()) :], text[begin:end][-1:], _SPACES.match(text, end).group())
        gap = next((gap for gap in ("\n\n", "\n") if any(gap in space for space in spaces)), " ")
        kept += [before.strip(), "" if before.endswith(IMAGE) else gap, *([instead, gap] if instead else [])]

    kept.append(text[start:].strip())
    left: list[str] = []
    for piece in kept:  # no gap at an edge, nor behind another
        if piece and (piece.strip() or left and left[-1].strip()):
            left.append(piece)

    return "".join(left).strip()
