"""Solutions that say nothing, or that nothing will be said, in the languages that models answer in."""

import re

from virgo_factory.core.lazy_pattern import LazyPattern


_LONGEST = 240
_NOTHING = LazyPattern(
    r"\W*(?:n/a|undefined|todo|tbd|placeholder|not available|no (?:answer|response|solution|output)(?: (?:found|available|given))?)\W*|\.{3,}|…+|[-–—_]{2,}|\?{2,}",
    re.IGNORECASE,
)
_FRAME = LazyPattern(
    r"(?P<tag><answer>)?[\s*$]*(?P<said>(?:(?:so|thus|hence|therefore),? )?(?:the |my |our )?(?:final |correct )?answer\b(?: is)?[\s*:：]*)?[\s*$]*"
    r"(?P<box>\\boxed\s*\{(?:\\text\s*\{)?)?(?P<core>[^\n]*?)(?(box)\}{1,2})[\s.*$]*(?(tag)</answer>)\s*",
    re.IGNORECASE,
)
"""A solution that is an answer and nothing else: behind "The answer is", in a box or a tag."""
_BLANK = LazyPattern(
    r"(?P<word>none|null|nil|nan|n/?a|undefined)|\?*|\.{3}|…|_+|(?:the |your )?(?:final )?(?:answer|solution)(?: here)?|[\[<{]{1,2}(?:your[ _])?(?:answer|solution)[\]>}]{1,2}",
    re.IGNORECASE,
)
"""What stands there for an answer that was not found, or not filled in."""
_BLANK_ENDS = tuple("none null nil nan /a na defined ? . … _ { answer solution here".split())
_REFUSALS = [
    # (one of these is in every such sentence, the sentence in small letters): it cannot help, answer, or see the picture
    (("n't", "n’t", "not", "cant", "unable"),
     r"(?:i|i['’]m|sorry|i apologi[sz]e|unfortunately|as an ai)\b.{0,80}?\b(?:can(?:['’]?t|not| not)|unable to|won['’]t|not able to|do not see|don['’]t see|(?:don['’]t|do not) have)\b.{0,60}?"
     r"\b(?:help|assist|comply|fulfil|process|engage|continue|answer (?:that|this|your|the) (?:question|request)|any (?:image|picture|figure)|do that"
     r"|enough information|(?:see|view|access) (?:the |an? )?(?:images?|pictures?|figures?))\b.{0,160}"),
    (("no ",), r".{0,40}\bno (?:image|picture|figure|photo|attachment|file) (?:was|is|has been) (?:attached|provided|uploaded|given|included)\b.{0,160}"),
    (("无法", "不能", "看不到", "没有", "不足"),
     r"(?:很?抱歉|对不起|不好意思|作为一个?(?:ai|人工智能)).{0,20}(?:无法|不能|看不到|没有看到).{0,60}"
     r"|.{0,20}(?:我(?:无法|不能)(?:查看|看到|回答|帮)|我?看不到(?:图|任何图|您)|(?:没有|未)(?:提供|上传|收到)(?:任何)?图(?!书)|信息不足.{0,4}(?:无法|不能)(?:作答|回答|解答|求解)).{0,40}"),
    (("nicht", "kein"), r".{0,40}\b(?:ich kann|kann ich)\b.{0,60}\bnicht\b.{0,20}(?:sehen|helfen|beantworten|öffnen|anzeigen)\b.{0,60}|.{0,40}\bkein bild (?:sehen|angehängt|beigefügt|vorhanden).{0,60}"),
    (("ne peux", "ne vois", "ne suis"), r".{0,40}\bje ne (?:peux|vois|suis)\b.{0,30}\b(?:répondre|aider|voir|image|afficher)\b.{0,60}"),
    (("no puedo", "no veo"), r".{0,30}\bno (?:puedo|veo)\b.{0,20}\b(?:ayudar\w*|responder|ver|imagen)\b.{0,60}"),
    (("não consigo", "não posso", "não vejo"), r".{0,30}\bnão (?:consigo|posso|vejo)\b.{0,20}\b(?:ajudar|responder|ver|imagem)\b.{0,60}"),
    (("non posso", "non riesco", "non vedo"), r".{0,30}\bnon (?:posso|riesco|vedo)\b.{0,20}(?:aiutar|rispond|veder|immagin).{0,60}"),
    (("ません", "かねます"), r".{0,30}(?:申し訳|すみません|ごめんなさい|画像).{0,30}(?:でき(?:ません|かねます)|見えません|見られません|ありません).{0,40}"),
    (("수 없", "수가 없"), r".{0,20}(?:죄송|미안|이미지|사진|그림).{0,40}(?:볼|도울|도와드릴|답변할|대답할|답할|확인할|풀) 수가? ?없.{0,40}"),
    (("не могу", "не вижу"), r".{0,30}\bя не (?:могу|вижу)\b.{0,30}(?:помочь|ответить|увидеть|изображени|картинк|рисун).{0,60}"),
    (("لا أستطيع", "لا يمكنني", "لا أرى"), r".{0,30}(?:عذر|آسف|أعتذر|للأسف).{0,20}لا (?:أستطيع|يمكنني|أرى).{0,60}"),
    (("nie mogę", "nie widzę"), r".{0,30}\bnie (?:mogę|widzę)\b.{0,20}(?:pomóc|odpowiedzieć|zobaczyć|obraz|zdjęci).{0,60}"),
    (("amam", "emem", "amıyorum", "emiyorum"), r".{0,10}(?:üzgünüm|maalesef|özür dilerim).{0,40}(?:olamam|olamıyorum|göremiyorum|(?:cevap|yanıt)lay?(?:amam|amıyorum)).{0,40}"),
    (("không thể", "không thấy"), r".{0,20}xin lỗi.{0,30}không (?:thể|thấy).{0,20}(?:giúp|trả lời|xem|nhìn|hình|ảnh)?.{0,40}"),
    (("नहीं",), r".{0,10}(?:क्षमा|माफ़|खेद).{0,40}नहीं.{0,10}(?:सकत|देख).{0,40}"),
    (("tidak bisa", "tidak dapat"), r".{0,20}maaf.{0,20}tidak (?:bisa|dapat).{0,20}(?:membantu|menjawab|melihat).{0,60}"),
]  # fmt: skip
_REFUSALS = [(words, LazyPattern(sentence)) for words, sentence in _REFUSALS]
_WORDS = tuple(word for words, _ in _REFUSALS for word in words)
_ASCII_WORDS = tuple(filter(str.isascii, _WORDS))


def no_answer(solution: str, question: str, thought: str = "") -> str:
    r"""Return a solution that says nothing or refuses to answer, where question and thought do not have its words; else "".

    >>> (
    ...     no_answer(r"\boxed{}", "1 + 1?"),
    ...     no_answer("The answer is None.", "1 + 1?", "So 2."),
    ...     no_answer("No.", "Is it?"),
    ... )
    ('\\boxed{}', 'The answer is None.', '')
    """
    if len(solution) > _LONGEST:
        return ""

    said = solution.casefold()
    end = said.removesuffix("</answer>").rstrip(" \n.$*)}]>")
    if (not end or len(end) < 80 and end.endswith(_BLANK_ENDS)) and (framed := _FRAME.fullmatch(solution)):
        is_answer = framed["box"] or framed["said"] and framed["core"]
        blank = is_answer and _BLANK.fullmatch(framed["core"])
        if blank and not (blank["word"] and _has_word(f"{question}\n{thought}", blank["word"])):
            return " ".join(solution.split())

    is_none = _NOTHING.fullmatch(solution) or "\\boxed" not in solution and _refuses(said)
    is_meant = is_none and (said.strip(" .") or said) in f"{question}\n{thought}".casefold()
    return " ".join(solution.split())[:100] if is_none and not is_meant else ""


def _refuses(said: str) -> bool:
    """Whether a text in small letters is a sentence that refuses."""
    if not any(map(said.__contains__, _ASCII_WORDS if said.isascii() else _WORDS)):
        return False

    return any(any(map(said.__contains__, words)) and sentence.fullmatch(said) for words, sentence in _REFUSALS)


def _has_word(text: str, word: str) -> bool:
    return bool(re.search(rf"\b{re.escape(word)}\b", text, re.IGNORECASE))
