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
    rf"(?: (?:closely|carefully|again))?,?|{WHERE},?|{_LOOK} (?:very )?(?:closely|carefully|again),|(?:overall|in total"
    rf"|counting (?:everything|all of them|all)(?: in view| visible| shown)?),"
    r"|(?:on|at|upon) (?:a )?closer (?:look|inspection),) "
)
_TAIL = re.compile(
    rf"(?<!largest)(?<!biggest)(?<!smallest)(?<!larger)(?<!bigger)(?<!smaller) (?:{WHERE}|altogether|in total|in all"
    rf"|overall|combined|put together|at all)$"
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
            r"^(?:name|identify) (?:the|an|a) (?:object|thing|item|shape)(?: (?:that|which) (?:is|stands|lies))? ",
            "which is ",
        ),
        (
            r"^(?:which|what) side of (?P<other>.+) (?:is|does) (?P<one>.+?)(?: (?:stand|lie|sit))? on$",
            r"on which side of \g<other> is \g<one>",
        ),
        (
            r"^(?:counting|going|starting|numbered)? ?from (?P<side>the (?:left|right|top|bottom)),? (?P<which>which|what|who)(?P<some>.*?) "
            r"(?:is|comes|stands) (?:the )?(?P<nth>first|second|third|fourth|fifth|sixth)(?: one)?$",
            r"\g<which>\g<some> is \g<nth> from \g<side>",
        ),
        (
            r"^(?:moving|going|looking|scanning|reading|counting),? from (?P<first>left|right|top|bottom) to \w+, (?P<which>which"
            r"|what|who)(?P<some>.*?) "
            r"(?:is|comes|stands|do you (?:see|reach|meet)) (?:the )?(?P<nth>first|second|third|fourth|fifth|sixth)(?: one)?$",
            r"\g<which>\g<some> is \g<nth> from the \g<first>",
        ),
        (
            rf"^(?:which|what) (?P<part>corner|part|half|side|area|quarter) of (?:the|this) {PICTURE} (?:contains|holds|shows|has"
            rf"|features) (?P<one>.+)$",
            r"in which \g<part> is \g<one>",
        ),
        (r"^where (?:would|can|do|could|might|will) (?:you|one|we) (?:find|see|spot|locate|look for) ", "where is "),
        (
            r"^(?P<place>(?:to|on|above|below|between) .+?),? there (?P<verb>are|is) (?P<asked>how many .+)$",
            r"\g<asked> \g<verb> \g<place>",
        ),
        (
            r"\b(?P<to>to|on|at) (?P<other>(?:the )?[\w ]+?)'s (?P<side>left|right)(?:-hand)?(?: side)?\b",
            r"\g<to> the \g<side> of \g<other>",
        ),
        (
            r"^compared (?:to|with) (?:the )?(?P<other>[\w ]+), (?P<more>how many (?:more|fewer)) (?P<some>[\w ]+?) (?:are there"
            r"|does .*|can .*|do .*)$",
            r"\g<more> \g<some> than \g<other> are there",
        ),
        (
            r"^by how many (?:do|does) (?P<some>.+?) (?:exceed|outnumber)s? (?P<other>.+)$",
            r"how many more \g<some> than \g<other> are there",
        ),
        (
            r"(?:closer|nearer) to the (?P<side>left|right)(?: edge| side| border)?(?: of (?:the|this) \w+)? (?=than )",
            r"farther to the \g<side> ",
        ),
        (r"(?:closer|nearer) to the top(?: edge| side| border)?(?: of (?:the|this) \w+)? (?=than )", "higher "),
        (r"(?:closer|nearer) to the bottom(?: edge| side| border)?(?: of (?:the|this) \w+)? (?=than )", "lower "),
        (r"(?:to the )?(?P<side>left|right) of the other(?: one)?$", r"farther to the \g<side>"),
        (r"\b(?:above|over) the other(?: one)?$", "higher"),
        (r"\b(?:below|under|underneath|beneath) the other(?: one)?$", "lower"),
        (r"(?<= than )there (?:are|is) ", ""),
        (r"^(?P<one>the .+) is which(?: (?:one|of (?:these|them)))?$", r"which is \g<one>"),
        (
            r"^(?:which|what|who)(?: one)? is the (?P<end>\w+-?most|highest|lowest) of (?P<some>(?:the |these |all ).+)$",
            r"which of \g<some> is the \g<end>",
        ),
        (
            r"^in (?P<which>which|what) direction (?:would|do|must|should|does) (?:you|one) (?:have to |need to )?(?:move|go|look|walk|travel) from "
            r"(?P<other>.+) to (?:get to|reach|find|see|arrive at|look at) (?P<one>.+)$",
            r"in \g<which> direction from \g<other> is \g<one>",
        ),
        (
            r"^if (?:you|one|we) (?:count|add up|add|put) (?:up )?(?:all )?(?:of )?(?:the )?(?P<some>.+?)(?: together)?, how many (?:\w+ )?"
            r"(?:are there|do you get|are they|would there be)$",
            r"how many \g<some> are there",
        ),
        (r" in the middle,? (?=between )", " "),
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
            rf"^does (?:the|this) {PICTURE} (?:show|contain|have) (?P<some>(?:more|fewer|as many|twice|the same number|an equal number)\b.+)$",
            r"are there \g<some>",
        ),
        (
            r"^(?P<one>.+) (?P<verb>is|are)(?: (?:located|placed|positioned))? where (?P<to>(?:in relation|relative|compared|with respect) .+)$",
            r"where \g<verb> \g<one> \g<to>",
        ),
        (r"^(?:exactly|and|so|now) (?=how many|which|what|where)", ""),
        (r"^who (?=is|are|stands?|lies|sits)", "which "),
        (r"(?<=^how many )(?:individual|separate|distinct|different) ", ""),
        (
            r" (?:altogether|in total|in all|overall|combined|put together|together)(?= (?:are|is|can|do|does|appear)\b)",
            "",
        ),
        (
            r"^(?:of|among|out of) (?P<some>.+), (?P<which>which|what)(?: (?:one|thing|shape|object))? (?P<rest>(?:is|are|stands?|lies?) .+)$",
            r"\g<which> of \g<some> \g<rest>",
        ),
        (
            rf"^(?P<asked>(?:which|what)\b[^,:]*? {STANDS} [^,:]+?)(?:, |: | among | out of )(?!.* (?:of"
            rf"|from) )(?:the )?[\w ,-]+ (?:and|or) [\w -]+$",
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
            r"^(?P<one>.+) (?:is|are|stands?|lies|sits?)(?: (?:located|placed|positioned))? (?P<side>(?:on|to|at) (?:which"
            r"|what) side of) (?P<other>.+)$",
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
