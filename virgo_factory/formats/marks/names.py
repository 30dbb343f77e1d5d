"""Names of columns by which rows say something about their response: that it is wrong, cut off, not to be learned.

Names are compared in snake_case (`finishReason` is `finish_reason`) and read word by word: one of ASPECTS is what is
judged, `is` and the like say nothing, and all other words must be of _SUBJECTS, so that `llm_judge_score` judges the
response and `home_score` or `image_quality` something else. The last word decides: `answer_correct` is a verdict,
`correct_answer` an answer.
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
    MAYBE_RIGHT = auto()
    """A no may be that nobody has looked, that the row is poor otherwise, or speak of another response."""
    MAYBE_WRONG = auto()
    """A yes may say that the row is not to be used."""
    OUTCOME = auto()
    """Holds all kinds of things: only words such as "incorrect" and "failed" are looked for."""
    OPINION = auto()
    """As OUTCOME, but a no or 0 is not understood: the column may as well hold the name of a verifier."""
    RATE = auto()
    """How often, or how much of it, is right: 0 is not understood, anything else speaks of the question."""
    GRADE = auto()
    """A number of a scale that is not known."""
    LABEL = auto()
    """The gold answer, or a verdict."""
    TAGS = auto()
    """Words, of which one may say that the row is not to be used."""
    CATEGORY = auto()
    """As TAGS, but a no may be the name of a class (`False`)."""
    SPLIT = auto()
    """The part of a dataset that the row is of."""
    VERIFIER = auto()
    """One of several verifiers: RIGHT, but a no of those of MISSES counts only where no other says yes."""
    TROUBLE = auto()
    """What went wrong, in words."""
    CUT = auto()
    WHOLE = auto()
    ENDED = auto()
    """Why the generation ended."""
    STATUS = auto()
    """As ENDED, but holds all kinds of things."""
    LEARN = auto()
    LEAVE = auto()
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
_TURNS = LazyPattern(
    r"mask(?:ed)?_(?:history|(?:earlier|previous|prior|past)_(?:turns|rounds|messages))|history_masked"
    r"|(?:(?:train|learn|loss)_)?(?:on_)?(?:only_)?last(?:_(?:turn|round|message|response|assistant))?_only"
    r"|(?:(?:train|learn|loss)_)?(?:on_)?only_(?:on_)?(?:the_)?last(?:_(?:turn|round|message|response|assistant))?"
    r"(?:_(?:loss|learned|trained|training))?"
    r"|(?:train|loss)_on_(?:the_)?last(?:_(?:turn|round|message|response|assistant))?"
)
"""Columns that say whether only the last turn is learned."""
_PROMPTS = LazyPattern(
    r"(?:train|loss|learn)_on_(?:the_)?(?:inputs?|prompts?|questions?|users?|sources?|instructions?|all)"
    r"|(?:prompt|input|user|question)_loss(?:_weight)?|(?:include|learn|train)_(?:prompts?|inputs?)"
)
"""Columns that say whether the prompt is learned, too."""

MISSES = ("correctness_math_verify",)
"""Verifiers who compare by rule and miss right answers: of a no of theirs another verifier is asked (OpenR1)."""

_ASPECTS = {
    Kind.RIGHT: "correct correctly correctness verdict verdicts judgment judgement judgments judgements right passed pass "
    "passes accepted accept success successful solved hit match matched matches equal equiv equivalent em exact score scores "
    "reward rewards accuracy acc verifications",
    Kind.WRONG: "wrong incorrect failed mistaken erroneous",
    Kind.MAYBE_RIGHT: "verified valid validity validated approved good usable use keep kept include included selected "
    "chosen best true consistent consistency truthful factual helpful preferred clean",
    Kind.MAYBE_WRONG: "bad discard discarded drop dropped filter filtered flagged error hallucinated hallucination "
    "hallucinations refusal refused delete trash junk garbage unusable remove removed reject rejected exception contaminated corrupt corrupted invalid noisy timeout "
    "unverified",
    Kind.OUTCOME: "result results status outcome state",
    Kind.OPINION: "grade graded grading grader verifier judge judger check checked review feedback marking verify "
    "verification thumbs preference",
    Kind.GRADE: "quality rating ratings vote",
    Kind.CUT: "truncated truncation trunc unfinished incomplete overlong clipped cut cutoff",
    Kind.WHOLE: "complete completed finish finished done ended terminated eos",
}
_ASPECT_OF = {word: kind for kind, words in _ASPECTS.items() for word in words.split()}
_SPEAKERS = frozenset(
    "judge judged judges judger llm gpt verifier verify verification check checker grader grading".split()
)
_SUBJECTS = _SPEAKERS | frozenset(
    "answer answers answered ans final response responses resp output outputs completion generation generations generated "
    "prediction pred predicted solution result overall total model symbolic sympy math rule teacher eval evaluation evaluator "
    "reward outcome human reasoning think thinking thought thoughts cot rationale trace sample trajectory auto automatic orm prm "
    "rm process value all tests gold api user expert".split()
)
_ASKED = ("problem", "question", "row", "data", "example")
"""Others, of which a doubt is one of the row as well (`problem_is_valid`)."""
_FLAGS = ("is", "are", "was", "were", "be", "got", "marked")
"""First words of a name after which the aspect need not be the last one."""
_FILL = frozenset((*_FLAGS, "the", "a", "of", "by", "on", "with", "to", "in", "flag", "reached"))
_HAS = ("has", "have", "had", "contains")
_NOUNS = frozenset("score scores reward rewards accuracy acc verdict verdicts judgment judgement match".split())
"""Aspects of which `is` and `has` make something else (`has_score`)."""
_DIGITS = LazyPattern(r"(?<=[a-z])\d+[a-z]?$|^v?\d+[a-z]?$")
_SPELLINGS = (("cut_off", "cutoff"), ("timed_out", "timeout"), ("time_out", "timeout"), ("filtered_out", "filtered"))

_NAMED = {
    **dict.fromkeys(("evaluation", "eval"), Kind.OUTCOME),
    **dict.fromkeys(("human_label", "thumbs_up", "reward_model", "gpt_eval", "llm_eval", "model_eval", "auto_eval"), Kind.OPINION),
    **dict.fromkeys(("not_correct", "is_not_correct", "isnt_correct", "not_right", "is_not_right", "not_passed", "not_solved"), Kind.WRONG),
    **dict.fromkeys(("not_verified", "is_not_verified", "not_valid", "not_usable", "false_positive", "is_false", "marked_false"), Kind.MAYBE_WRONG),
    **dict.fromkeys(("not_finished", "not_complete", "not_completed", "is_not_finished", "not_closed"), Kind.CUT),
    **dict.fromkeys(
        (
            "math_verify",
            "verification_result",
            "match_gold",
            "match_ground_truth",
            "match_answer",
            "matches_gold",
            "matches_ground_truth",
            "matches_answer",
            "has_correct_answer",
            "is_correct_answer",
        ),
        Kind.RIGHT,
    ),
    **dict.fromkeys(("correct_or_not", "right_or_wrong", "correct_or_wrong", "kto_tag"), Kind.RIGHT),
    **dict.fromkeys(("all_correct", "is_gold", "ok", "is_ok", "positive", "is_positive"), Kind.MAYBE_RIGHT),
    **dict.fromkeys(
        ("wrong_answer", "wrong_response", "wrong_output"),
        Kind.MAYBE_WRONG,  # or a distractor
    ),
    **dict.fromkeys(("negative", "is_negative", "mistake", "is_mistake", "partial", "is_partial", "deleted", "is_deleted"), Kind.MAYBE_WRONG),
    **dict.fromkeys(("over_length", "overlength", "is_overlength", "too_long", "is_too_long"), Kind.MAYBE_WRONG),
    **dict.fromkeys(("is_end", "is_full"), Kind.WHOLE),
    **dict.fromkeys(("mark", "marks"), Kind.RATE),
    **dict.fromkeys(("exception", "error_message", "error_msg", "api_error", "traceback"), Kind.TROUBLE),
    **dict.fromkeys(("errors", "error_list", "mistakes", "failures", "defects", "error_type", "error_types"), Kind.TROUBLE),
    **dict.fromkeys(("error_step", "first_error_step", "mistake_step", "error_category", "error_reason"), Kind.TROUBLE),
    "label": Kind.LABEL,
    "quality_label": Kind.GRADE,
    "truncated_at": Kind.CUT,
    **dict.fromkeys(("tags", "tag", "flags", "issues"), Kind.TAGS),
    **dict.fromkeys(("category", "categories", "type", "class", "kind", "group", "bucket", "subset"), Kind.CATEGORY),
    **dict.fromkeys(("response_type", "answer_type", "sample_type", "row_type", "response_class", "response_category"), Kind.CATEGORY),
    **dict.fromkeys(("split", "subset_split", "data_split"), Kind.SPLIT),
    "train_detail": Kind.SPANS,
    **dict.fromkeys(("truncate", "is_truncate"), Kind.MAYBE_WRONG),  # or a setting
    **dict.fromkeys(("stopped_limit", "max_tokens_exceeded", "is_trunc", "no_eos"), Kind.CUT),
    **dict.fromkeys(("stop", "stopped", "was_stopped"), Kind.STATUS),
    **dict.fromkeys(("正确", "是否正确", "正确性", "回答正确", "答案正确", "答案是否正确", "回答是否正确", "判断", "判定", "是否通过"), Kind.RIGHT),
    **dict.fromkeys(("错误", "是否错误", "答案错误"), Kind.WRONG),
    **dict.fromkeys(("得分", "评分", "分数", "质量"), Kind.GRADE),
    **dict.fromkeys(("截断", "是否截断", "被截断"), Kind.CUT),
    **dict.fromkeys(("是否训练", "参与训练"), Kind.LEARN),
}  # fmt: skip
_ONE_OF = LazyPattern(r"correctness_(?!count|num|rate|ratio|score|reward|flag)")
_RATE = LazyPattern(
    r"(?:pass|maj|avg|mean|acc|accuracy|best|cons)_?(?:@|at_?)_?\w+|f1(?:_score)?|bleu\w*|rouge\w*|anls|iou"
    r"|(?=.*(?:^|_)(?:num|n|nr|number|count|counts|times|percent|percentage|pct|ratio|rate|avg|average|mean|most|any|fraction|freq)(?:_|$))"
    r"(?:.*_)?(?:correct|correctness|pass|passes|passed|solve|solved|success|acc|accuracy|win|reward|rewards|verified)(?:_.*)?"
)
_GOLD = r"(?:gt|gold|golden|ground_truth|reference|ref|target|answer|label)(?:_answer|_label)?"
_AS_GOLD = LazyPattern(
    rf"(?:is_)?(?:match|matches|matched|matching|same|equal|equals|agree|agrees|agreed|consistent)_(?:as_|with_|to_)?(?:the_)?{_GOLD}"
    rf"|{_GOLD}_(?:match|matches|matched|equal|equals|agree|agrees|agreed|same)"
)
_OF_JUDGES = LazyPattern(
    r"(?:\w+_)?(?:judge|grader|verifier)_(?:output|response|decision|answer|label|text|reply|raw|conclusion|opinion)"
)
_CLOSED = LazyPattern(
    r"(?:is_|has_)?(?:think|thinking|thoughts?|reasoning|cot|think_tags?|tags?)_(?:is_|are_|tags?_)?(?:closed|balanced)"
    r"|has_(?:end|ended|close|closed|closing|final)_(?:of_)?(?:think|thinking|thought|reasoning|tags?)(?:_(?:tags?|token))?"
    r"|has_(?:eos|eot|end)(?:_token)?|(?:closed|balanced)_(?:think|thinking|tags?)(?:_tags?)?"
)
_ENDED = LazyPattern(
    r"(?:\w+_)?(?:finish|finished|stop|stopped|done|end|ended|termination|stopping|complete|completion|exit)_?reasons?"
    r"|(?:\w+_)?(?:finish|stop|termination|completion|end)_?(?:type|state|status|details)|incomplete_details|termination"
)
_AT_LIMIT = LazyPattern(
    r"(?:hit|reached|exceeds|exceeded)_(?:\w+_)?(?:limit|length|len|tokens|steps|turns)"
    r"|(?:\w+_)?(?:limit|length|len|tokens)_(?:hit|reached|exceeded)"
)
_CORRECT = LazyPattern(r"\w+_correct(?:ness)?|is_correct_\w+|\w+_(?:grade|grading|verdict|judge?ment|judge)")
"""Other columns called so say it of something else, or of another response."""

LEARN = frozenset({
    *("loss", "loss_mask", "loss_weight", "loss_scale", "weight", "train", "trainable", "training", "train_on"),
    *("is_train", "is_training", "is_trained", "is_trainable", "do_train", "to_train", "for_training", "train_on_turn"),
    *("train_mask", "learn", "learnable", "is_learned", "supervised", "is_supervised", "is_target", "label_mask"),
    *("has_loss", "in_loss", "use_loss", "use_for_loss", "include_in_loss", "with_loss", "need_loss", "requires_loss"),
    *("calculate_loss", "compute_loss", "calc_loss", "do_loss", "enable_loss", "mask", "selected_for_training"),
    *("supervise", "to_learn", "is_learnable", "should_train", "should_learn", "use_for_training", "sample_weight"),
    *("loss_masks", "loss_weights", "train_masks", "weights", "masks", "example_weight", "importance_weight"),
    *("is_loss", "loss_flag", "train_flag", "loss_enabled", "requires_grad", "grad", "labels"),
})  # fmt: skip
_LEARN = LazyPattern(
    r"(?:include|included|include_in|use_in|used_for|apply|keep_for|selected_for|requires|needs)_(?:the_)?(?:loss|training|train|sft)"
    r"|train_on_(?:this|it|response|message|output|completion)"
    r"|(?:assistant|response|turn|message)s?_(?:(?:loss|train|training|learn)_?)?(?:mask|weight|loss|train|trainable)(?:e?s)?"
)
_NUMBERS = LazyPattern(
    r"(?:(?:loss|train|trainable|trained|training|learn|learned|ignore|ignored|skip|skipped|mask|masked|context|supervised|target)_)"
    r"(?:on_)?(?:(?:turn|message|msg|round|response)s?|(?:(?:turn|message|msg|round|response)s?_)?(?:idx|idxs|ids|index|indexes|indices|positions))"
)
LEAVE = frozenset({
    *("masked", "is_masked", "mask_loss", "loss_masked", "should_mask", "mask_out", "masked_out", "ignore_loss", "no_loss", "skip_loss"),
    *("ignore", "ignored", "exclude", "excluded", "exclude_from_loss", "exclude_from_training", "ignore_in_loss", "no_train", "skip_train", "skip_training"),
    *("is_context", "context_only", "skip", "skipped", "is_skipped"),
})  # fmt: skip
_RUN_TOGETHER = {
    name.replace("_", ""): kind
    for names, kind in ((LEARN, Kind.LEARN), (LEAVE, Kind.LEAVE))
    for name in names
    if "_" in name
}
"""The same without the line (`lossweight`)."""
ANYTHING = ("mask", "masks", "weights", "labels")
"""Columns of a row that may hold anything, from a picture's mask to masses: only a list that fits the turns is read, of
`labels`, which may be classes, one of true and false, or of 0 and 1 as long as the turns."""

_OBJECTS = frozenset(
    "metadata meta extra info additional verification evaluation evaluations eval evals result results response generation "
    "grading grade annotation annotations choices choice raw api judge verify score scores reward usage detail details "
    "gen gens gpt claude qwen llama deepseek gemini run sampling inference completion completions trace teacher verifier grader quality "
    "properties attributes stats statistics labels feedback verdict verdicts output outputs model other misc llm debug log".split()
)
"""Words of the names of columns whose objects are looked into, also as JSON text."""

_WORD_EDGE = LazyPattern(r"(?<=[a-z0-9])(?=[A-Z])|[\s.-]+")
_AROUND = "?!*: _"
"""What may stand around a column's name (`Correct?`)."""


def snake(name: str) -> str:
    """Return a column's name in snake_case.

    >>> snake("finishReason"), snake("Is-Correct")
    ('finish_reason', 'is_correct')
    """
    return _WORD_EDGE.sub("_", name.strip(_AROUND)).lower()


@functools.lru_cache(4096)
def kinds_of(name: str) -> frozenset[Kind]:
    """Return what a column, called so in snake_case, may say of the row's response; empty for most.

    >>> [sorted(kind.name for kind in kinds_of(name)) for name in ("llm_judge_score", "home_score", "correct_answer")]
    [['NESTED', 'RIGHT'], [], []]
    """
    if name.startswith("rejected_") or name.endswith("_rejected") and not name.startswith(_FLAGS):
        return frozenset()  # of a preference pair: that response is not learned

    for spelling, usual in _SPELLINGS:
        name = name.replace(spelling, usual)

    words = name.split("_")
    kinds = {_kind(name, words)} - {None}
    if (
        _OBJECTS.issuperset(_DIGITS.sub("", word) for word in words) and name != "response"
    ):  # whose log is read by itself
        kinds.add(Kind.NESTED)
    if Kind.OUTCOME in kinds and words[-1] == "status":
        kinds.add(Kind.STATUS)

    return frozenset(kinds)


def _kind(name: str, words: list[str]) -> Kind | None:
    if _TURNS.fullmatch(name):
        return Kind.LAST_ONLY

    if name in LEARN or name in LEAVE or _LEARN.fullmatch(name):
        return Kind.LEAVE if name in LEAVE else Kind.LEARN

    if name in _RUN_TOGETHER:
        return _RUN_TOGETHER[name]

    if _NUMBERS.fullmatch(name):
        return Kind.TURNS

    if name in _NAMED:
        return _NAMED[name]

    for pattern, kind in (
        (_PROMPTS.fullmatch, Kind.PROMPT_TOO),
        (_CLOSED.fullmatch, Kind.WHOLE),
        (_AS_GOLD.fullmatch, Kind.RIGHT),
        (_OF_JUDGES.fullmatch, Kind.OPINION),
        (_ONE_OF.match, Kind.VERIFIER),
        (_ENDED.fullmatch, Kind.ENDED),
        (_AT_LIMIT.fullmatch, Kind.CUT),
        (_RATE.fullmatch, Kind.RATE),
    ):
        if pattern(name):
            return kind

    kind = _aspect(words)
    return kind or (Kind.MAYBE_RIGHT if _CORRECT.fullmatch(name) else None)


def _aspect(words: list[str]) -> Kind | None:
    """Return what the words of a name judge, where they judge the response."""
    core = [_DIGITS.sub("", word) for word in words if word not in _FILL]
    has = core[:1] and core[0] in _HAS
    core = [word for word in core if word and word not in _HAS]
    is_flag = words[0] in _FLAGS or has
    places = range(len(core) - 1, -1, -1) if is_flag else range(len(core) - 1, max(len(core) - 2, -1), -1)
    for at in places:
        kind, others = _ASPECT_OF.get(core[at]), core[:at] + core[at + 1 :]
        if (
            kind is None
            or (is_flag and core[at] in _NOUNS)
            or (has and kind in (Kind.RIGHT, Kind.OUTCOME, Kind.GRADE))
        ):
            continue

        is_doubt = kind in (Kind.MAYBE_RIGHT, Kind.MAYBE_WRONG)
        if not all(other in _SUBJECTS or other in _ASPECT_OF or is_doubt and other in _ASKED for other in others):
            continue

        judged = set(map(_ASPECT_OF.get, others))
        if Kind.GRADE in judged or kind is Kind.RIGHT and judged & {Kind.WRONG, Kind.MAYBE_WRONG, Kind.CUT}:
            return Kind.GRADE  # 0 may be good: `error_score`, `overlong_reward`

        return Kind.OPINION if kind is Kind.OUTCOME and _SPEAKERS & set(others) else kind

    return Kind.CUT if _ASPECT_OF.get(core[0] if core else "") is Kind.CUT and _SUBJECTS.issuperset(core[1:]) else None
