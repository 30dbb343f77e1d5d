"""How prose is made up: statements, and the clauses of each with what they do: state, conclude, turn, deny, suppose, explain."""

import functools
import re
from dataclasses import dataclass

from virgo_factory.answers.patterns import P


STATES, CONCLUDES, TURNS, RESTATES, CONTRASTS = "states", "concludes", "turns", "restates", "contrasts"
DENIES, SUPPOSES, BESIDE, ASIDE = "denies", "supposes", "beside", "aside"
"""What a clause does: says what is so, what follows ("so ..."), what is so against what stands before ("but ..."), the same in other
words ("i.e. ..."), what is so of another thing ("while ..."); says what is not so ("not ..."), what would be ("if ..."), why or when
("because ..."), or has no verb ("from ...")."""
_COMMITS = (STATES, CONCLUDES, TURNS)
_LIST_NUMBER = re.compile(r"[\s*_#>]*(?:\d{1,2}\.(?=\s+\S)|\(\d\)(?=.*[^\W\d_]))")


_SAYS = re.compile(r"[^\s.*:#>|\u2000-\u206f\u2600-\u27bf\ufe0f\U0001f000-\U0001ffff_-]")
"""A sign that says something: no mark of a list, no emoji."""


@dataclass(frozen=True)
class Clause:
    """A part of a statement, without and with the word that leads it."""

    role: str
    text: str
    led: str


@functools.lru_cache(4)
def statements(text: str) -> tuple[str, ...]:
    """Return the statements of a text in order, blank ones left out: sentences, lines, and formulas that stand by themselves.

    >>> statements("It is so. Then\\n$$\\nx = 5.\\n$$")
    ('It is so', ' Then', '$$\\nx = 5.\\n$$')
    """
    found, start = [], 0
    for end in P.STATEMENT_END.finditer(text):
        number = _LIST_NUMBER.match(text, start) if end[0][0] == "." else None
        if not end["block"] and not (number and number.end() == end.end()):
            found.append(text[start : end.start()])
            start = end.end()
    told = (
        part
        for part in (*found, text[start:])
        if part.strip(" \t\n.*_:#>-|") and (part.isascii() or _SAYS.search(part))
    )
    return tuple(part[number.end() :] if (number := _LIST_NUMBER.match(part)) else part for part in told)


@functools.lru_cache(64)
def clauses(statement: str) -> tuple[Clause, ...]:
    """Return the clauses of a statement.

    >>> [(one.role, one.text) for one in clauses("While A is 5, B is 7 and not 9, so it is B")]
    [('contrasts', 'A is 5'), ('states', 'B is 7'), ('denies', '9'), ('concludes', 'it is B')]
    """
    found, role, begun, start = [], STATES, 0, 0
    for lead in P.CLAUSE.finditer(statement):
        name = lead.lastgroup.rstrip("234")
        if name in ("resumes", "pauses"):
            has_value = name == "pauses" and any(
                P.VALUE.search(one.text) or re.search(r"\d", one.text) for one in found
            )
            if role in _COMMITS or has_value:
                continue
            name = TURNS if role == DENIES else STATES
        found += _clause(role, statement[start : lead.start()], statement[begun : lead.start()])
        role, begun, start = name, lead.start(), lead.end()
    found += _clause(role, statement[start:], statement[begun:])
    if len(found) == 1 and found[0].role in (BESIDE, ASIDE):
        return (Clause(STATES, statement.strip(), statement),)
    return tuple(found)


def _clause(role: str, text: str, led: str) -> list[Clause]:
    role = STATES if role == ASIDE and P.VALUE.search(text) else role  # "from the chart the value is 5"
    return [Clause(role, text.strip(), led)] if text.strip() else []


def committed(statement: str, denials: bool = False) -> list[list[str]]:
    """Return what a statement commits to, the most certain first: what it concludes or turns to, then what it states.

    Each of them with what is said beside it: in other words, and of other things; and with `denials` with what it denies, in its place.

    >>> committed("It was 12 at first, but now it is 9"), committed("It is 9, not 12"), committed("It is not 9")
    ([['now it is 9'], ['It was 12 at first']], [['It is 9']], [['It']])
    """
    runs: list[tuple[list[str], list[str]]] = [([], [])]
    for one in clauses(statement):
        if one.role in (CONCLUDES, TURNS):
            runs.append(([], []))
        if one.role in _COMMITS or one.role == DENIES and denials:
            runs[-1][0].append(one.led if denials and (runs[-1][0] or one.role == DENIES) else one.text)
        elif one.role in (RESTATES, CONTRASTS):
            runs[-1][1].append(one.text)
    return [[("" if denials else ", ").join(main), *beside] for main, beside in reversed(runs) if main or beside]
