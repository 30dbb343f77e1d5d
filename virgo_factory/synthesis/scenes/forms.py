"""A question in plain words, whatever stands around it, and what a form of question makes of its options. Pure."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from virgo_factory.synthesis.scenes.english import plain
from virgo_factory.synthesis.scenes.facts import Holds


PICTURE = r"(?:picture|image|scene|photo|photograph|view|frame)"
WHERE = rf"(?:in|within|across|throughout|from|of|on) (?:this|the) (?:whole |entire )?{PICTURE}"
STANDS = (
    r"(?:(?:is|are|was|were)(?: (?:located|placed|positioned|situated|found|standing|lying|sitting|visible|there|shown))?|"
    r"stands?|lies|lie|sits?|appears?|hangs?|rests?|flies|fly|floats?|can be (?:seen|found))"
)
_LOOK = r"(?:looking|seen|viewed|if you look|when (?:you|one) looks?)"
_LEAD = re.compile(
    rf"^(?:(?:{_LOOK} (?:closely |carefully )?at|based on|judging by|according to) (?:this|the) {PICTURE}"
    rf"(?: (?:closely|carefully|again))?,?|{WHERE},?|{_LOOK} (?:very )?(?:closely|carefully|again),|(?:overall|in total|counting (?:everything|all of them|all)(?: in view| visible| shown)?),"
    r"|(?:on|at|upon) (?:a )?closer (?:look|inspection),) "
)
_TAIL = re.compile(
    rf"(?<!largest)(?<!biggest)(?<!smallest)(?<!larger)(?<!bigger)(?<!smaller) (?:{WHERE}|altogether|in total|in all|overall|at all)$"
)


@dataclass(frozen=True)
class Told:
    """What a form of question makes of the options.

    Attributes:
        holds: whether an option holds.
        said: what the boxes say where the answer does not hold.
        is_clear: whether an option that is not the answer holds so clearly that there are two answers.
    """

    holds: Callable[[str], Holds]
    said: str = ""
    is_clear: Callable[[str], Holds] | None = None


_REWRITTEN = tuple(
    (re.compile(pattern), written)
    for pattern, written in (
        (
            rf"^(?:the|this) {PICTURE} (?:shows|contains|has|depicts|includes) (?P<asked>how many .+)$",
            r"\g<asked> are there",
        ),
        (
            r"^is the number of (?P<some>.+) (?:greater|larger|higher|bigger) than (?:the number of |that of )?(?P<other>.+)$",
            r"are there more \g<some> than \g<other>",
        ),
        (
            r"^is the number of (?P<some>.+) (?:smaller|lower|less) than (?:the number of |that of )?(?P<other>.+)$",
            r"are there fewer \g<some> than \g<other>",
        ),
        (
            r"^(?:name|identify) (?:the|an|a) (?:object|thing|item|shape)(?: (?:that|which) (?:is|stands|lies))? ",
            "which is ",
        ),
        (
            r"^(?:which|what) side of (?P<other>.+) (?:is|does) (?P<one>.+?)(?: (?:stand|lie|sit))? on$",
            r"on which side of \g<other> is \g<one>",
        ),
        (r"^(?P<word>what|where|who|which)'s ", r"\g<word> is "),
        (r"^(?:please|can you|could you),? (?=count|name|tell)", ""),
        (r"^count (?:all )?(?:the )?(?P<some>[\w -]+)\. how many (?P<rest>.+)$", r"how many \g<some> \g<rest>"),
        (r"^what is the (?:sum|total) of the (?:numbers?|counts?) of (?P<some>.+)$", r"how many \g<some> are there"),
        (
            r"^(?:relative to|in relation (?:to|with)|with respect to) (?P<other>.+), (?P<side>(?:on|to) (?:which|what) side) "
            r"(?:is|does) (?P<one>.+)$",
            r"\g<side> of \g<other> is \g<one>",
        ),
        (
            r"^from (?P<way>left to right|right to left|top to bottom|bottom to top), (?P<asked>(?:what is|which is|in which|in what) .*order.*)$",
            r"\g<asked> from \g<way>",
        ),
        (rf"(?<=^how many )(?P<some>.+?) {WHERE}(?= (?:are|is|stands?|lies?|sits?)\b)", r"\g<some>"),
        (r"^counting only (?:the )?(?P<some>[\w -]+), how many (?=are|can|do)", r"how many \g<some> "),
        (rf"^there (?:are|is) (?P<asked>how many .+?)(?: {WHERE})?$", r"\g<asked> are there"),
        (
            rf"^does (?:the|this) {PICTURE} (?:show|contain|have) (?P<some>(?:more|fewer) .+ than .+)$",
            r"are there \g<some>",
        ),
        (
            r"^(?P<one>.+) (?P<verb>is|are)(?: (?:located|placed|positioned))? where (?P<to>(?:in relation|relative|compared|with respect) .+)$",
            r"where \g<verb> \g<one> \g<to>",
        ),
        (r"^(?:exactly|and|so|now) (?=how many|which|what|where)", ""),
        (r"^who (?=is|are|stands?|lies|sits)", "which "),
        (r"(?<=^how many )(?:individual|separate|distinct|different) ", ""),
        (r" (?:altogether|in total|in all|overall|together)(?= (?:are|is|can|do|does|appear)\b)", ""),
        (
            r"^(?:of|among|out of) (?P<some>.+), (?P<which>which|what)(?: (?:one|thing|shape|object))? (?P<rest>(?:is|are|stands?|lies?) .+)$",
            r"\g<which> of \g<some> \g<rest>",
        ),
        (
            rf"^(?P<asked>(?:which|what)\b[^,:]*? {STANDS} [^,:]+?)(?:, |: | among | out of )(?!.* (?:of|from) )(?:the )?[\w ,-]+ (?:and|or) [\w -]+$",
            r"\g<asked>",
        ),
        (
            r"^count (?:all )?(?:of )?(?:the )?(?P<some>[\w -]+?)(?:[:;,.]| and (?:say|tell)(?: me)?) how many (?:of them )?(?P<rest>.+)$",
            r"how many \g<some> \g<rest>",
        ),
        (
            r"^(?P<to>relative to|in relation (?:to|with)|compared (?:to|with)|with respect to|as seen from|from) (?P<other>.+), "
            r"(?P<asked>where (?:is|are|does|do) .+)$",
            r"\g<asked> \g<to> \g<other>",
        ),
        (
            r"^(?P<one>.+) (?:is|are|stands?|lies|sits?)(?: (?:located|placed|positioned))? (?P<side>(?:on|to|at) (?:which|what) side of) (?P<other>.+)$",
            r"\g<side> \g<other> is \g<one>",
        ),
    )
)
"""Orders of words that mean what another one does."""


def asked_for(text: str) -> str:
    """A question without what stands around it, and with what it is about behind its first words."""
    text = plain(text)
    while (shorter := _LEAD.sub("", text)) != text:
        text = shorter

    for pattern, written in _REWRITTEN:
        text = pattern.sub(written, text)

    while (shorter := _TAIL.sub("", text)) != text:
        text = shorter

    return text
