"""Names of columns by which rows say something about their response: that it is wrong, cut off, not to be learned.

Names are compared in snake_case (`finishReason` is `finish_reason`, `是否正确` is `is_correct`) and read word by word: one
of ASPECTS is what is judged, `is` and the like say nothing, `not` turns it round, and all other words must be of
_SUBJECTS, so that `llm_judge_score` judges the response and `home_score` or `image_quality` something else. The last word
decides: `answer_correct` is a verdict, `correct_answer` an answer.
"""

import functools
from enum import Enum, auto

from virgo_factory.core.lazy_pattern import LazyPattern


class Kind(Enum):
    """What a column says, and how its value is read."""

    __hash__ = object.__hash__  # Enum's is slow

    RIGHT = auto()
    """A verdict: yes is right, no is wrong, anything else is not understood."""
    WRONG = auto()
    """The opposite."""
    FIT = auto()
    """Whether it is to be used: a no is as good as wrong, anything else says nothing."""
    UNFIT = auto()
    """The opposite: a yes is as good as wrong."""
    MAYBE_RIGHT = auto()
    """A no may be that nobody has looked, that the row is poor otherwise, or speak of another response."""
    MAYBE_WRONG = auto()
    """A yes may say that the row is not to be used."""
    OUTCOME = auto()
    """Holds all kinds of things: only words such as "incorrect" and "failed" are looked for."""
    OPINION = auto()
    """As OUTCOME, but a no is one, and 0 is not understood: it may be the end of a scale."""
    REMARK = auto()
    """As OPINION, but a no may be that there is none."""
    RATE = auto()
    """How often, or how much of it, is right: 0 is not understood, anything else speaks of the question."""
    GRADE = auto()
    """A number of a scale that is not known."""
    LABEL = auto()
    """The gold answer, or a verdict."""
    BALANCE = auto()
    """How much more is for it than against it, such as votes: less than nothing is against it."""
    STEPS = auto()
    """Verdicts on its steps, or steps with theirs: of a wrong one it may take itself back, or not."""
    CATEGORY = auto()
    """Words, of which one may say that the row is not to be used; a no may be the name of a class (`False`)."""
    SPLIT = auto()
    """The part of a dataset that the row is of."""
    VERIFIER = auto()
    """One of several verifiers: RIGHT, but a no of those of MISSES counts only where no other says yes."""
    TROUBLE = auto()
    """What went wrong, in words."""
    ERROR = auto()
    """As TROUBLE, but a clear yes is as good as wrong, and one word or a number may be anything."""
    COMMENT = auto()
    """A text may end in a verdict, or blame: of what is not certain."""
    CUT = auto()
    WHOLE = auto()
    ENDED = auto()
    """Why the generation ended."""
    STATUS = auto()
    """As ENDED, but holds all kinds of things."""
    LEARN = auto()
    LEAVE = auto()
    LIKE_LEARN = auto()
    """Has a word of LEARN among others that are not known: a yes or no is not understood."""
    TURNS = auto()
    """Numbers of turns or messages, from 0 or from 1: which of them is not certain."""
    LAST_ONLY = auto()
    """Of several turns only the last is to be learned (LLaMA-Factory's `mask_history`)."""
    PROMPT_TOO = auto()
    """The prompt is to be learned as well, which it never is here."""
    SPANS = auto()
    """Marks of pieces of a message (axolotl), which are not read."""
    NESTED = auto()
    """An object with marks in it."""


VERDICTS = frozenset({Kind.RIGHT, Kind.VERIFIER})
ENDS = frozenset({Kind.CUT, Kind.WHOLE, Kind.ENDED, Kind.STATUS})
LEARNS = frozenset({Kind.LEARN, Kind.LEAVE, Kind.TURNS})

MISSES = ("correctness_math_verify",)
"""Verifiers who compare by rule and miss right answers: of a no of theirs another verifier is asked (OpenR1)."""

_ASPECTS = {
    Kind.RIGHT: "correct correctly correctness verdict verdicts judgment judgement judgments judgements right passed pass "
    "passes accepted accept success successful succeeded solved hit match matched matches equal equiv equivalent em exact score scores "
    "reward rewards accuracy acc verifications richtig korrekt correcto correcta correto",
    Kind.WRONG: "wrong incorrect failed fail failure mistaken erroneous mismatch mismatched falsch",
    Kind.FIT: "verified valid validity validated approved desirable good ok usable use keep kept include included",
    Kind.UNFIT: "bad discard discarded drop dropped filter filtered flagged error hallucinated hallucination hallucinations "
    "refusal refused delete deleted trash junk garbage unusable remove removed reject rejected contaminated corrupt corrupted "
    "invalid unverified undesirable cancelled canceled mistake removal deletion garbled repetitive blacklisted quarantined aborted",
    Kind.MAYBE_RIGHT: "selected chosen best true consistent consistency truthful factual helpful preferred clean checked graded positive",
    Kind.MAYBE_WRONG: "exception timeout noisy outlier deprecated overflow negative partial false unsolved",
    Kind.OUTCOME: "result results status outcome state votes annotator annotators reviewer rater",
    Kind.OPINION: "grade grading grader verifier judge judger check checks verify verification",
    Kind.REMARK: "review feedback marking thumbs preference",
    Kind.GRADE: "quality rating ratings vote stars likert",
    Kind.CUT: "truncated truncation trunc unfinished incomplete overlong clipped cut cutoff",
    Kind.WHOLE: "complete completed finish finished done ended terminated eos",
}
_ASPECT_OF = {word: kind for kind, words in _ASPECTS.items() for word in words.split()}
_OPPOSITE = {
    one: other
    for pair in ((Kind.RIGHT, Kind.WRONG), (Kind.FIT, Kind.UNFIT), (Kind.MAYBE_RIGHT, Kind.MAYBE_WRONG), (Kind.CUT, Kind.WHOLE))
    for one, other in (pair, pair[::-1])
}  # fmt: skip
_NOT = ("not", "isnt", "no", "non")
_TO_DO = ("need", "needs", "requires", "to", "should")
"""First words of a name that make an opinion one that is still to come (`needs_review`)."""
_SPEAKERS = frozenset(
    "judge judged judges judger llm gpt verifier verify verification check checker grader grading".split()
)
TEACHERS = ("r1", "deepseek")
"""Models whose long thoughts are trained on: what is said of them is said of the response."""
MODELS = (*TEACHERS, "gemini", "claude", "gpt", "qwen", "qwq", "llama")
"""Models whose responses stand in columns called after them (`gemini_attempt`): what is said of them is said of those."""
_SUBJECTS = _SPEAKERS.union(TEACHERS) | frozenset(
    "answer answers answered ans final response responses resp output outputs completion generation generations generated "
    "prediction pred predicted solution result overall total model symbolic sympy math rule teacher eval evaluation evaluator "
    "reward outcome human reasoning think thinking thought thoughts cot rationale trace sample trajectory auto automatic orm prm "
    "rm process value all tests gold api user expert qa".split()
)
_ASKED = ("problem", "question", "row", "data", "example")
"""Others, of which a doubt is one of the row as well (`problem_is_valid`)."""
_NOT_OF_RESPONSE = frozenset((*_ASKED, *"answer answers solution gold human expert user".split()))
"""Words by which an aspect of FIT may be one of the question or the gold answer, or a no that nobody has looked."""
_TESTS = frozenset("test tests unit case cases".split())
_PASSED = ("passed", "pass", "passes", "failed", "fail", "success", "correct", "status", "result", "results")
"""Aspects of a program's tests; `test_score` may be a pupil's."""
_FLAGS = ("is", "are", "was", "were", "be", "got", "marked", "if", "whether", "should", "must", "need", "needs")
"""First words of a name after which the aspect need not be the last one."""
_FILL = frozenset((*_FLAGS, "the", "a", "of", "by", "on", "with", "to", "in", "flag", "reached"))
_OF = ("by", "of", "on", "with", "to", "in", "for", "from", "at")
"""Last words of names that tell more than whether (`verified_by`)."""
_HAS = ("has", "have", "had", "contains")
_NOUNS = frozenset("score scores reward rewards accuracy acc verdict verdicts judgment judgement".split())
"""Aspects of which `is` and `has` make something else (`has_score`)."""
_DIGITS = LazyPattern(r"(?<=[a-z])\d+[a-z]?$|^v?\d+[a-z]?$")
_SPELLINGS = (("cut_off", "cutoff"), ("timed_out", "timeout"), ("time_out", "timeout"), ("filtered_out", "filtered"))
_CHINESE = {
    "是否": "is", "被": "is", "已": "is", "答案": "answer", "回答": "response", "模型": "model", "正确性": "correctness", "正确": "correct",
    "对错": "correctness", "答对": "correct", "做对": "correct", "答错": "wrong", "做错": "wrong", "错误": "wrong", "采纳": "accepted", "审核": "review",
    "质检": "check", "结果": "result", "可用": "usable", "判断": "verdict", "判定": "verdict", "通过": "passed", "有效": "valid", "合格": "valid",
    "无效": "invalid", "保留": "keep", "丢弃": "discarded", "删除": "deleted", "过滤": "filtered", "得分": "score", "评分": "score",
    "分数": "score", "质量": "quality", "截断": "truncated", "完整": "complete", "参与": "in", "训练": "train", "状态": "status",
    "备注": "note", "标注": "review", "верно": "correct", "правильно": "correct", "评语": "comment", "评价": "evaluation",
}  # fmt: skip
_IN_CHINESE = LazyPattern("|".join(sorted(_CHINESE, key=len, reverse=True)))

_WHY = r"(?:excluded?|exclusion|drop(?:ped)?|reject(?:ed|ion)?|filter(?:ed)?|discard(?:ed)?|removed|removal|failure|fail(?:ed)?|invalid)_reasons?"
_IS_WHY = LazyPattern(_WHY)
_CHECKS = r"(?:filter|verification|validation|quality|review|gate|qc|check|test|judge)s?"
_ROWS = "(?:row|sample|example|item|record|it)"
_GOLD = r"(?:gt|gold|golden|ground_truth|reference|ref|target|answer|label)(?:_answer|_label)?"
_ERRORS = r"(?:errors?|mistakes?|hallucinations?|flaws?)"
_LAST = r"last(?:_(?:turn|round|message|response|assistant))?"
_BEFORE = (
    r"(?:is|are|be|do|to|has|have|in|use|used|with|for|include|included|compute|calc|calculate|enable|need|needs|require|requires|"
    r"should|apply|keep|selected|usable|ok|the)_"
)
_WHO = r"(?:assistant|response|message|turn|output|completion|sample|example|importance|step)s?"
_LOSS = r"(?:loss|train|training|learn|label)_?(?:mask|weight|scale)(?:e?s)?"
_WHOLE_NAMES = [
    (Kind.COMMENT, "comments?|notes?|remarks?|critiques?|issues?|bugs?"),
    (Kind.ERROR, "error|err|mistake|refusal"),
    (Kind.OPINION, "thumbs_up|reward_model|evaluation|(?:gpt_|llm_|model_|auto_)?eval"),
    (Kind.RIGHT, "math_verify|verification_result|has_correct_answer|correct_or_not|right_or_wrong|correct_or_wrong|true_false|kto_tag"),
    (Kind.MAYBE_RIGHT, "all_correct|is_gold|used_in_training|decision|action|sample_type|row_type"),
    (Kind.MAYBE_WRONG, "wrong_(?:answer|response|output)|cancelled_annotations"  # or a distractor
                       "|false_positive|(?:is_)?too_long|is_noise|(?:is_)?truncate"),  # or a setting
    (Kind.CUT, "(?:is_)?over_?length|stopped_limit|not_closed|truncated_at"),
    (Kind.WHOLE, "is_end|is_full"),
    (Kind.RATE, "marks?|hits|agreement"),
    (Kind.OUTCOME, "majority_vote|final_vote|consensus"),  # or an answer
    (Kind.STEPS, "steps"),
    (Kind.BALANCE, "advantage"),
    (Kind.TROUBLE, "exception|error_message|error_msg|api_error|traceback|errors|error_list|mistakes|failures|defects|error_types?"
                   "|(?:first_)?error_step|mistake_step|error_category|error_reason"),
    (Kind.LABEL, "label"),
    (Kind.CATEGORY, "tags?|flags|category|categories|type|class|kind|group|bucket|tier|emoji|reaction"
                    "|response_(?:type|class|category)|answer_type"),
    (Kind.SPANS, "train(?:ing)?_detail"),
    (Kind.STATUS, "stop|stopped|was_stopped"),
    (Kind.LAST_ONLY,
     r"mask(?:ed)?_(?:history|(?:earlier|previous|prior|past)_(?:turns|rounds|messages))|history_masked"
     rf"|(?:(?:train|learn|loss)_)?(?:on_)?(?:only_)?{_LAST}_only"
     rf"|(?:(?:train|learn|loss)_)?(?:on_)?only_(?:on_)?(?:the_)?{_LAST}(?:_(?:loss|learned|trained|training))?"
     rf"|(?:train|loss)_on_(?:the_)?{_LAST}"),
    (Kind.LEAVE,  # also run together (`lossweight`)
     (r"(?:is_|should_|to_)?(?:mask(?:ed)?_(?:out|loss)|loss_masked|masked|(?:should|to)_mask|context_only"
      r"|(?:ignored?|excluded?|skip|skipped)(?:_(?:from_|in_)?(?:the_)?(?:loss|train|training))?)"
      r"|(?:no|not)_(?:loss|train|trained|learned)|is_context").replace("_", "_?")),
    (Kind.LEARN,
     (rf"(?:(?:{_BEFORE}|{_WHO}_)*(?:{_LOSS}|loss|train|training|trainable|trained|learn|learned|learnable|supervised?|grad|sft|weight)"
      rf"(?:_flag|_enabled|_on(?:_(?:this|it|{_WHO}))?)?|(?:{_WHO}_)+(?:mask|weight)(?:e?s)?|is_target|r(?:ow|ole)_weight|masks?|weights|labels)"
      ).replace("_", "_?")),
    (Kind.TURNS,
     r"(?:(?:loss|train|trainable|trained|training|learn|learned|ignore|ignored|skip|skipped|mask|masked|context|supervised|target)_)"
     r"(?:on_)?(?:(?:turn|message|msg|round|response)s?|(?:(?:turn|message|msg|round|response)s?_)?(?:idx|idxs|ids|index|indexes|indices|positions))"),
    (Kind.PROMPT_TOO,
     r"(?:train|loss|learn)_on_(?:the_)?(?:inputs?|prompts?|questions?|users?|sources?|instructions?)"
     r"|(?:prompt|input|user|question)_loss(?:_weight)?|(?:include|learn|train)_(?:prompts?|inputs?)"),
    (Kind.SPLIT, r"(?:(?:data|dataset|original|source|subset)_?)?(?:split|subset|fold|partition)(?:_name)?"),
    (Kind.MAYBE_WRONG, r"(?:is|in)_(?:the_)?(?:test|eval|evaluation|val|validation|dev|benchmark)(?:_set|_split)?|(?:is_)?held_?out"),
    (Kind.WHOLE,
     r"(?:is_|has_)?(?:think|thinking|thoughts?|reasoning|cot|think_tags?|tags?)_(?:is_|are_|tags?_)?(?:closed|balanced)"
     r"|has_(?:end|ended|close|closed|closing|final)_(?:of_)?(?:think|thinking|thought|reasoning|tags?)(?:_(?:tags?|token))?"
     r"|has_(?:eos|eot|end)(?:_token)?|(?:closed|balanced)_(?:think|thinking|tags?)(?:_tags?)?"),
    (Kind.RIGHT,
     rf"(?:is_)?(?:match|matches|matched|matching|same|equal|equals|agree|agrees|agreed|consistent)_(?:as_|with_|to_)?(?:the_)?{_GOLD}"
     rf"|{_GOLD}_(?:match|matches|matched|equal|equals|agree|agrees|agreed|same)"),
    (Kind.WRONG, rf"(?:disagrees?|disagreed|differs?|mismatch(?:es)?|contradicts?)_(?:with_|from_)?(?:the_)?{_GOLD}"),
    (Kind.BALANCE, r"(?:votes_)?(?:against|down|incorrect|wrong)_?votes?|votes?_(?:against|down|incorrect|wrong)|dislikes"),
    (Kind.STEPS, r"(?:steps?|process|completions|stepwise|step_level)_(?:labels|correctness|ratings|rewards|verdicts|grades|judge?ments)"),
    (Kind.TROUBLE, rf"(?:num|n|nr|number|total|count)_(?:of_)?{_ERRORS}(?:_found)?|{_ERRORS}_(?:count|found|num)"),
    (Kind.RIGHT,
     rf"(?:pass|passes|passed)_(?:the_|all_|unit_|quality_|sanity_)*{_CHECKS}"
     rf"|(?:(?:all|unit|quality|sanity|format|consistency|data|final|llm)_)*{_CHECKS}_(?:pass|passed|ok)"
     r"|(?:orm|accept|acceptance|correctness|verdict)_label"),
    (Kind.WRONG, rf"(?:fail|fails|failed)_(?:the_|unit_|quality_|sanity_)*{_CHECKS}"),
    (Kind.FIT, rf"(?:keep|use)_{_ROWS}|(?:good|valid)_(?:{_ROWS}|response|reasoning|generation)"),
    (Kind.UNFIT,
     rf"(?:drop|discard|delete|remove|exclude|reject)_{_ROWS}|(?:bad|invalid)_(?:{_ROWS}|response|reasoning|generation)"
     r"|(?:is_)?(?:low|bad|poor)_quality"),
    (Kind.TROUBLE, _WHY),
    (Kind.GRADE, r"(?:human|annotator|expert|quality|grade|rm|prm|reward|eval|verifier|\w*judge|\w*llm|gpt\w*)_label"),
    (Kind.OPINION, r"(?:qwen|claude|gemini|llama|mistral|gemma|o\d)\w*?_(?:judge|judge?ment|verdict)"),
    (Kind.MAYBE_RIGHT,  # how GPT itself answered the question, or what it says as a judge
     r"(?:is_)?(?:chat)?gpt[\d._]*o?(?:_mini|_turbo)?_(?:is_|was_|answer_|got_)?(?:correct|correctness|right|wrong|incorrect|solved|passed|pass)"
     r"|(?:is_)?(?:in)?correct_(?:chat)?gpt[\d._]*o?(?:_mini|_turbo)?"),
    (Kind.OPINION, r"(?:\w+_)?(?:judge|grader|verifier)_(?:output|response|decision|answer|label|text|reply|raw|conclusion|opinion)"),
    (Kind.ENDED,
     r"(?:\w+_)?(?:finish|finished|stop|stopped|done|end|ended|termination|stopping|complete|completion|exit)_?reasons?"
     r"|(?:\w+_)?(?:finish|stop|termination|completion|end)_?(?:type|state|status|details)|incomplete_details|termination"
     r"|(?:stopped|truncated|terminated)_by"),
    (Kind.CUT,
     r"(?:hit|reached|exceeds|exceeded)_(?:\w+_)?(?:limit|length|len|tokens|steps|turns)"
     r"|(?:\w+_)?(?:limit|length|len|tokens)_(?:hit|reached|exceeded|capped)"),
    (Kind.VERIFIER, r"correctness_(?!count|num|rate|ratio|score|reward|flag).*"),
    (Kind.RATE,
     r"(?:pass|maj|avg|mean|acc|accuracy|best|cons)_?(?:@|at_?)_?\w+|f1(?:_score)?|bleu\w*|rouge\w*|anls|iou"
     r"|(?=.*(?:^|_)(?:num|n|nr|number|count|counts|times|percent|percentage|pct|ratio|rate|avg|average|mean|most|any|fraction|freq)(?:_|$))"
     r"(?:.*_)?(?:correct|correctness|pass|passes|passed|solve|solved|success|acc|accuracy|win|reward|rewards|verified)(?:_.*)?"),
]  # fmt: skip
"""What a whole name says; the first that it fits counts."""
_WHOLE_NAMES = [(kind, LazyPattern(pattern)) for kind, pattern in _WHOLE_NAMES]
_CORRECT = LazyPattern(r"\w+_correct(?:ness)?|is_correct_\w+|\w+_(?:grade|grading|verdict|judge?ment|judge)")
"""Other columns called so say it of something else, or of another response."""

_LEARNING = frozenset("loss mask masked train trained trainable learn learned supervised unmasked".split())
_FOR = (("incorrect", "correct"), ("wrong", "right"), ("against", "for"), ("down", "up"), ("dislikes", "likes"))
ANYTHING = ("mask", "masks", "weights", "labels")
"""Columns of a row that may hold anything, from a picture's mask to masses: only a list that fits the turns is read, of
`labels`, which may be classes, one of true and false, or of 0 and 1 as long as the turns."""

_USUAL = frozenset(
    "conversations messages from value role content system id image images question problem prompt instruction input thought".split()
)
"""Names of columns that say nothing of the response, for most rows all that they have."""
_OBJECTS = frozenset(
    "metadata meta extra info additional verification evaluation evaluations eval evals result results response generation "
    "grading grade annotation annotations choices choice raw api judge verify score scores reward usage detail details "
    "responses gen gens gpt claude qwen llama deepseek gemini run sampling inference completion completions trace teacher verifier grader quality "
    "assessment scoring graders outcome report validator verifications logs metrics metric judges checks rewards breakdown votes validation suggestions "
    "properties attributes stats statistics labels feedback verdict verdicts output outputs model other misc llm debug log".split()
)
"""Words of the names of columns whose objects are looked into, also as JSON text."""

_WORD_EDGE = LazyPattern(r"(?<=[a-z0-9])(?=[A-Z])|[\s.-]+")
_AROUND = "?!*: _"
"""What may stand around a column's name (`Correct?`)."""


_COLUMNS = {
    "问题": "question", "题目": "question", "提问": "question", "指令": "instruction", "输入": "input", "思考": "thinking", "思维链": "cot",
    "思考过程": "thinking_process", "推理": "reasoning", "推理过程": "reasoning_process", "回答": "response", "回复": "response",
    "答案": "answer", "解答": "solution", "最终答案": "final_answer", "输出": "output", "选项": "options",
}  # fmt: skip


def snake(name: str) -> str:
    """Return a column's name in snake_case, of the usual Chinese ones in English.

    >>> snake("finishReason"), snake("Is-Correct"), snake("问题")
    ('finish_reason', 'is_correct', 'question')
    """
    words = _WORD_EDGE.sub("_", name.strip(_AROUND)).lower()
    return _COLUMNS.get(words, words)


@functools.lru_cache(4096)
def kinds_of(name: str) -> frozenset[Kind]:
    """Return what a column, called so in snake_case, may say of the row's response; empty for most.

    >>> [sorted(kind.name for kind in kinds_of(name)) for name in ("llm_judge_score", "home_score", "correct_answer")]
    [['NESTED', 'RIGHT'], [], []]
    """
    if name in _USUAL:
        return frozenset()

    is_rejected = name.startswith("rejected_") or name.endswith("_rejected") and not name.startswith(_FLAGS)
    if is_rejected and not _IS_WHY.fullmatch(name):
        return frozenset()  # of a preference pair: that response is not learned

    for spelling, usual in _SPELLINGS:
        name = name.replace(spelling, usual)

    if not name.isascii():
        name = "_".join(filter(None, _IN_CHINESE.sub(lambda found: f"_{_CHINESE[found[0]]}_", name).split("_")))

    words = name.split("_")
    kinds = {_kind(name, words)} - {None}
    if name == "labels":  # of classes, which one may be
        kinds.add(Kind.CATEGORY)

    if (
        _OBJECTS.issuperset(_DIGITS.sub("", word) for word in words) and name != "response" or name == "final"
    ):  # whose log is read by itself
        kinds.add(Kind.NESTED)
    if Kind.OUTCOME in kinds and words[-1] in ("status", "state"):
        kinds.add(Kind.STATUS)

    return frozenset(kinds)


def corrects(name: str) -> bool:
    """Whether a column of what annotators said, called so, holds what should stand there instead."""
    return name.startswith(("corrected", "correction", "revis", "edit", "fix", "rewrit", "improve")) and not kinds_of(
        name
    )


def opposed(name: str) -> str:
    """Return the column that counts the votes for it, of one that counts those against it; "" of any other.

    >>> opposed("downvotes"), opposed("votes_against")
    ('upvotes', 'votes_for')
    """
    return next((name.replace(no, yes) for no, yes in _FOR if no in name), "")


def _kind(name: str, words: list[str]) -> Kind | None:
    for kind, pattern in _WHOLE_NAMES:
        if pattern.fullmatch(name):
            return kind

    if kind := _aspect(words):
        return kind

    if _LEARNING.intersection(words):
        return Kind.LIKE_LEARN

    return Kind.MAYBE_RIGHT if _CORRECT.fullmatch(name) else None


def _aspect(words: list[str]) -> Kind | None:
    """Return what the words of a name judge, where they judge the response; `not` among them turns it round."""
    if words[-1] in _OF:
        return None

    is_not = words[-1] == "free" or any(word in _NOT for word in words)
    kind = _judged([word for word in words if word not in _NOT and not (is_not and word == "free")])
    return _OPPOSITE.get(kind) if is_not else kind


def _judged(words: list[str]) -> Kind | None:
    core = [_DIGITS.sub("", word) if word not in TEACHERS else word for word in words if word not in _FILL]
    has = core[:1] and core[0] in _HAS
    core = [word for word in core if word and word not in _HAS]
    is_flag = words[:1] and words[0] in _FLAGS or has
    places = range(len(core) - 1, -1, -1) if is_flag else range(len(core) - 1, max(len(core) - 2, -1), -1)
    for at in places:
        kind, others = _ASPECT_OF.get(core[at]), core[:at] + core[at + 1 :]
        if (
            kind is None
            or (is_flag and core[at] in _NOUNS)
            or (has and kind in (Kind.RIGHT, Kind.OUTCOME, Kind.GRADE))
        ):
            continue

        known = _SUBJECTS | _TESTS if core[at] in _PASSED else _SUBJECTS
        is_use = kind in (Kind.FIT, Kind.UNFIT, Kind.MAYBE_RIGHT, Kind.MAYBE_WRONG)
        if not all(
            other in known or other in _ASPECT_OF or (is_use or kind is Kind.OUTCOME) and other in _ASKED
            for other in others
        ):
            continue

        judged = set(map(_ASPECT_OF.get, others))
        if (
            Kind.GRADE in judged
            or kind is Kind.RIGHT
            and judged & {Kind.WRONG, Kind.UNFIT, Kind.MAYBE_WRONG, Kind.CUT}
        ):
            return Kind.GRADE  # 0 may be good: `error_score`, `overlong_reward`

        if words[0] in _TO_DO and kind in (Kind.OPINION, Kind.REMARK):
            return Kind.MAYBE_WRONG

        if kind is Kind.OUTCOME:
            return Kind.OPINION if _SPEAKERS.intersection(others) else kind

        if _NOT_OF_RESPONSE.intersection(others):
            return {Kind.FIT: Kind.MAYBE_RIGHT, Kind.UNFIT: Kind.MAYBE_WRONG}.get(kind, kind)

        return kind

    return Kind.CUT if _ASPECT_OF.get(core[0] if core else "") is Kind.CUT and _SUBJECTS.issuperset(core[1:]) else None
