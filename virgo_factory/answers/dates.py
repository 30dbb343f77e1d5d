"""Dates, times of day and durations: one value for every way to write them."""

import re

from virgo_factory.answers.latex import tidy


_MONTHS = {
    name[:length]: number
    for number, name in enumerate(
        "january february march april may june july august september october november december".split(), start=1
    )
    for length in {3, len(name)}
} | {"sept": 9}
_WEEKDAYS = {
    name[:length]: number
    for number, name in enumerate("monday tuesday wednesday thursday friday saturday sunday".split())
    for length in {3, len(name)}
} | {"tues": 1, "thur": 3, "thurs": 3}
_MONTH = "|".join(sorted(_MONTHS, key=len, reverse=True))

_TIME = re.compile(
    r"(?:at )?(\d{1,2})(?:[:.](\d{2}))?(?::(\d{2}))?\s*(?:([ap])\.?\s?m\b\.?|(o'clock|noon|midnight|hours?)?)",
    re.IGNORECASE,
)
_DURATION = re.compile(
    r"(\d+(?:\.\d+)?)\s*(days?|hours?|hrs?|h|minutes?|mins?|min|m|seconds?|secs?|sec|s)\b\.?(?:\s*(?:,|and|&)\s*|\s+|$)",
    re.IGNORECASE,
)
_SECONDS = {"d": 86400, "h": 3600, "m": 60, "s": 1}
_DAY_MONTH = re.compile(rf"(\d{{1,2}})(?:st|nd|rd|th)?\s+(?:of\s+)?({_MONTH})\b\.?,?\s*(\d{{4}})?", re.IGNORECASE)
_MONTH_DAY = re.compile(rf"({_MONTH})\b\.?\s+(\d{{1,2}})(?:st|nd|rd|th)?\b(?:,?\s*(\d{{4}}))?", re.IGNORECASE)
_MONTH_YEAR = re.compile(rf"({_MONTH})\b\.?,?\s*(\d{{4}})?", re.IGNORECASE)
_ISO = re.compile(r"(\d{4})[-/](\d{1,2})[-/](\d{1,2})")


def read_date(text: str) -> tuple | None:
    """Return a value that two spellings of a date, time or duration share, or None; `same_date` compares two.

    >>> read_date("2:35 P.M."), read_date("2 hours and 45 minutes"), read_date("March 5th, 2012")
    (('time', 875, True), ('duration', 9900.0), ('date', 2012, 3, 5))
    """
    text = tidy(text[:80]) + ("." if text.rstrip().endswith("m.") else "")
    text = re.sub(r"^(?:on|in|at)\s+", "", text.strip(), flags=re.IGNORECASE)
    if not text or len(text) > 60:
        return None
    bare = text.strip(" .").lower()
    if bare in _WEEKDAYS:
        return ("weekday", _WEEKDAYS[bare])
    if bare in ("noon", "midnight"):
        return ("time", 720 if bare == "noon" else 0, True)
    if (found := _TIME.fullmatch(text)) and (found[2] or found[4] or found[5] in ("o'clock",)):
        hour, minute, half = int(found[1]), int(found[2] or 0), (found[4] or "").lower()
        if "." in text[:3] and not half:
            return None  # 3.20 without A.M. or P.M. is a number
        if hour > 24 or minute > 59 or (half and not 1 <= hour <= 12):
            return None
        if half:
            hour = hour % 12 + (12 if half == "p" else 0)
        return ("time", hour * 60 + minute, bool(half))
    if re.fullmatch(rf"(?:{_DURATION.pattern})+", text, re.IGNORECASE):
        found = _DURATION.findall(text)
        if len(found) > 1 or found[0][1].lower() not in ("m", "s", "h"):
            return ("duration", sum(float(amount) * _SECONDS[unit[0].lower()] for amount, unit in found))
    if found := _ISO.fullmatch(text):
        return ("date", int(found[1]), int(found[2]), int(found[3]))
    if found := _DAY_MONTH.fullmatch(text):
        return ("date", int(found[3]) if found[3] else None, _MONTHS[found[2].lower()], int(found[1]))
    if found := _MONTH_DAY.fullmatch(text):
        return ("date", int(found[3]) if found[3] else None, _MONTHS[found[1].lower()], int(found[2]))
    if found := _MONTH_YEAR.fullmatch(text):
        return ("date", int(found[2]) if found[2] else None, _MONTHS[found[1].lower()], None)
    return None


def same_date(gold: tuple, answer: tuple) -> bool:
    """Return whether two values of `read_date` are the same; a time without A.M. or P.M. may be either."""
    if gold[0] != answer[0]:
        return False
    if gold[0] == "time" and gold[2] != answer[2]:
        return gold[1] % 720 == answer[1] % 720
    return gold == answer
