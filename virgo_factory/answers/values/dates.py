"""Moments: times of day, weekdays and dates, one value for every way to write them."""

import re
from dataclasses import dataclass, replace

from virgo_factory.answers.patterns import P
from virgo_factory.answers.values.latex import tidy
from virgo_factory.answers.values.numbers import from_chinese, read_number


def _names(names: str, further: dict[str, int]) -> dict[str, int]:
    found = {name[:length]: number for number, name in enumerate(names.split(), start=1) for length in (3, len(name))}
    return found | further


_MONTHS = _names("january february march april may june july august september october november december", {"sept": 9})
_WEEKDAYS = _names("monday tuesday wednesday thursday friday saturday sunday", {"tues": 2, "thur": 4, "thurs": 4})
_MONTH = "|".join(sorted(_MONTHS, key=len, reverse=True))
_WEEKDAY = "|".join(sorted(_WEEKDAYS, key=len, reverse=True))
_PART = "上午|早上|早晨|清晨|凌晨|下午|傍晚|晚上|夜里|中午"

_HALF = r"(?P<half>[ap])\.?\s?m\b\.?"
_PIECES = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"(?P<hour>\d{{1,2}})(?:[:.h](?P<minute>\d{{2}}))?(?::(?P<second>\d{{2}}))?\s*(?:{_HALF}|(?:in the |at )?(?P<part>morning|afternoon"
        rf"|evening|night)\b)",
        r"(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2}))?(?:\s*(?P<clock>h|hours?|o'clock)\b)?",
        r"(?P<hour>\d{1,2})\s?(?P<clock>o'clock)(?:\s+in the (?P<part>morning|afternoon|evening)\b)?",
        r"(?:12\s*)?(?P<part>noon|midday|midnight|中午|正午|午夜)(?!\s*\d)",
        rf"(?P<part>{_PART})?(?P<hour>\d{{1,2}})[点时](?P<minute>\d{{1,2}})分?(?![\d刻])",
        rf"(?P<part>{_PART})(?P<hour>\d{{1,2}}):(?P<minute>\d{{2}})",
        rf"(?:(?P<part>{_PART})(?P<hour>\d{{1,2}})[点时]|(?P<bare>\d{{1,2}})点)钟?整?(?P<minutes>半|[13]刻)?(?!\d)",
        r"(?P<month>\d{1,2})/(?P<day>\d{1,2})/(?P<year>\d{4})",
        r"(?P<year>\d{4})[-/年.](?P<month>\d{1,2})[-/月.](?P<day>\d{1,2})(?:日|号)?",
        r"(?:(?P<year>\d{4})年)?(?P<month>\d{1,2})月(?:份|(?P<day>\d{1,2})(?:日|号)?)?",
        rf"(?P<day>\d{{1,2}})(?:st|nd|rd|th)?\s+(?:of\s+)?(?P<name>{_MONTH})\b\.?(?:,?\s*(?P<year>\d{{4}}))?",
        rf"(?P<name>{_MONTH})\b\.?\s+(?P<day>\d{{1,2}})(?:st|nd|rd|th)?\b(?!:)(?:,?\s*(?P<year>\d{{4}}))?",
        rf"(?P<name>{_MONTH})\b\.?(?:,?\s*(?P<year>\d{{4}}))?",
        rf"(?P<weekday>{_WEEKDAY})\b\.?(?:,?\s+(?:the\s+)?(?P<date>\d{{1,2}})(?:st|nd|rd|th)?(?=$|\.|,))?",
        r"(?:星期|周|礼拜)(?P<weekday>[1-6日天])",
    )
)
_MAY_BE = re.compile(r"[点时月日号年:周]|[a-z]{3}|\d\s?[ap]\.?m|[星礼午夜]|\d{4}[-/.]\d|/\d{4}", re.IGNORECASE)
_BETWEEN = re.compile(r"(?:\s*,\s*|\s+(?:on|at|of|in)\s+|\s+)?(?:the\s+)?", re.IGNORECASE)
_MORNING, _AFTERNOON = (
    frozenset("morning a 上午 早上 早晨 清晨 凌晨".split()),
    frozenset("afternoon evening night p 下午 傍晚 晚上 夜里".split()),
)


def _clock(found: re.Match[str]) -> str:
    """A time in words in digits: half past four, a quarter to eleven, four o'clock."""
    hour, minutes = read_number(found["hour"] or found["full"]), found["minutes"]
    if hour is None or found["full"]:
        return str(hour.value) if hour else found[0]
    minutes = {"half": 30, "quarter": 15}.get(minutes.lower()) or int(read_number(minutes).value)
    late = found["way"].lower() in ("to", "before")
    return f"{(int(hour.value) - 2) % 12 + 1 if late else hour.value}:{60 - minutes if late else minutes:02d}"


@dataclass(frozen=True)
class Moment:
    """A time of day, a weekday, a date, or several of them.

    Attributes:
        seconds: of the day, None without a time.
        definite: whether morning and afternoon are told apart.
        weekday: 1 is Monday.
    """

    seconds: int | None = None
    definite: bool = False
    weekday: int | None = None
    year: int | None = None
    month: int | None = None
    day: int | None = None


def read_moment(text: str) -> Moment | None:
    """Return the moment that the whole text is, or None.

    >>> (
    ...     read_moment("2:35 P.M.") == read_moment("下午2点35分"),
    ...     read_moment("March 5th, 2012") == read_moment("2012-3-5"),
    ... )
    (True, True)
    """
    if len(text) > 60 or not _MAY_BE.search(text) or text in ("sun", "sat", "wed", "mar", "may", "march", "dec"):
        return None  # the last are words as well
    text = P.SPOKEN.sub(_clock, tidy(text)) + ("." if text.rstrip().endswith("m.") else "")
    text = P.WEEKDAY_DIGIT.sub(lambda found: digits(found[0]), text)
    text = re.sub(r"^(?:on|in|at)\s+", "", text.strip(), flags=re.IGNORECASE)
    found, at = Moment(), 0
    while at < len(text):
        piece = next((match for pattern in _PIECES if (match := pattern.match(text, at))), None)
        if piece is None or not piece[0]:
            return None
        parts = piece.groupdict()
        changes = _time(parts) if "hour" in parts or "part" in parts else _date(parts)
        if changes is None or any(getattr(found, name) not in (None, False) for name in changes):
            return None
        found, at = replace(found, **changes), piece.end()
        if not text[at:].strip(" ."):
            return found
        between = _BETWEEN.match(text, at)
        at = between.end()
    return None


def digits(signs: str) -> str:
    """Return a small Chinese numeral in digits: "十五" -> "15"; digits stay."""
    return signs if signs.isascii() else str(from_chinese(signs))


def _time(parts: dict) -> dict | None:
    part = (parts.get("part") or parts.get("half") or "").lower()
    parts["hour"] = parts.get("hour") or parts.get("bare")
    if not parts["hour"]:
        return {"seconds": 0 if part in ("midnight", "午夜") else 43_200, "definite": True}
    quarters = {"半": 30, "1刻": 15, "3刻": 45}
    hour, minute = int(parts["hour"]), quarters.get(parts.get("minutes")) or int(parts.get("minute") or 0)
    second = int(parts.get("second") or 0)
    if hour > 24 or minute > 59 or second > 59:
        return None
    definite = bool(part) or hour > 12 or parts["hour"][0] == "0"
    if part in _AFTERNOON and hour < 12:
        hour += 12
    elif part in _MORNING | {"night", "晚上", "夜里"} and hour == 12:
        hour = 0
    return {"seconds": (hour % 24) * 3600 + minute * 60 + second, "definite": definite}


def _date(parts: dict) -> dict | None:
    if day := parts.get("weekday"):
        named = 7 if day in "日天" else int(day) if day.isdigit() else _WEEKDAYS[day.lower()]
        return {"weekday": named} | ({"day": int(parts["date"])} if parts.get("date") else {})
    month = _MONTHS[parts["name"].lower()] if parts.get("name") else int(parts["month"])
    day = int(parts["day"]) if parts.get("day") else None
    if not 1 <= month <= 12 or not 1 <= (day or 1) <= 31:
        return None
    return {"year": int(parts["year"]) if parts.get("year") else None, "month": month, "day": day}


def same_moment(gold: Moment, answer: Moment) -> bool:
    """Return whether two moments are the same; a time that may be before or after noon is either."""
    if replace(gold, seconds=None, definite=False) != replace(answer, seconds=None, definite=False):
        return False
    if None in (gold.seconds, answer.seconds) or gold.definite and answer.definite:
        return gold.seconds == answer.seconds
    return gold.seconds % 43_200 == answer.seconds % 43_200
