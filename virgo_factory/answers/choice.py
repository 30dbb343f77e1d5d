"""Which options an answer names, and which the gold does."""

import re

from virgo_factory.answers.choosing import option_letter
from virgo_factory.answers.grading import GradingConfig
from virgo_factory.answers.latex import compact, tidy, words
from virgo_factory.answers.numbers import as_float, read_number
from virgo_factory.answers.options import LETTERS


_SPLIT = re.compile(r"\s*(?:,|;|\band\b|\bor\b|&|/|\s)\s*")


def same_option_text(option: str, answer: str) -> bool:
    """Return whether an answer is the text of an option: as words, as a formula, or as the same number and unit."""
    if words(option) and words(option) == words(answer):
        return _same_signs(option, answer)
    if compact(option) == compact(answer):
        return True
    one, other = read_number(option), read_number(answer)
    if one is None or other is None or one.percent != other.percent:
        return False
    if one.unit and other.unit and one.unit != other.unit:
        return False
    if one.value == other.value:
        return True
    left, right = as_float(one.value), as_float(other.value)
    rounded = (one.literal and one.approximate) or (other.literal and other.approximate)
    return abs(left - right) <= max(abs(left), abs(right)) * (1e-6 if rounded else 1e-25)


def _same_signs(option: str, answer: str) -> bool:
    """Words drop punctuation, which in formulas is the answer: `-x` is not `x`."""
    signs = r"[-+*/^<>=!|()\[\]\\]"
    return (
        not re.search(signs, option + answer)
        or re.findall(signs, compact(option)) == re.findall(signs, compact(answer))
        or (not re.search(r"[\\^=<>]", option + answer) and re.findall(r"-\d", option) == re.findall(r"-\d", answer))
    )


def gold_options(gold: str, options: tuple[str, ...], config: GradingConfig) -> set[int]:
    """Return the options a gold stands for: its index where the dataset gives indices, its letter, or its text."""
    text = gold.strip()
    if config.option_base is not None and re.fullmatch(r"\d+(?:\.0+)?", text):
        index = int(float(text)) - config.option_base
        return {index} if 0 <= index < len(options) else set()
    exact = {index for index, option in enumerate(options) if option.strip() == text}
    if exact and not (config.letters == "label" and re.fullmatch(r"[A-Z]", text)):
        return exact
    if re.fullmatch(r"\(?[A-Za-z]\)?\.?", text):
        letter = option_letter(text, len(options))
        if letter:
            return {LETTERS.index(letter)}
    same = {index for index, option in enumerate(options) if same_option_text(option, text)}
    if same:
        return same
    letter = option_letter(text, len(options))
    return {LETTERS.index(letter)} if letter else set()


def answered_options(answer: str, options: tuple[str, ...], config: GradingConfig) -> set[int]:
    """Return every option an answer names; more than one means that it cannot be decided.

    A letter with a text names the letter's option, and the text's where that is another one.
    """
    text = tidy(answer) or answer.strip()
    if config.option_base is not None and re.fullmatch(r"\d+(?:\.0+)?", text):
        index = int(float(text)) - config.option_base
        as_text = {place for place, option in enumerate(options) if option.strip() == text}
        return {index} if 0 <= index < len(options) and not as_text else as_text
    lettered = option_letter(text, len(options))
    same = {index for index, option in enumerate(options) if same_option_text(option, text)}
    if lettered:
        if len(tidy(text).strip("()[]{}.:$* ")) == 1:
            label = {LETTERS.index(lettered)}
            if not same or config.letters == "label":
                return label
            return same if text.islower() else label | same
        if same:
            return same
        rest = re.sub(
            r"^(?:(?:option|choice)\s+)?[(\[{]?\s*[A-Za-z]\s*[)\]}.:]?\s*", "", text.strip("$* "), flags=re.IGNORECASE
        )
        other = {index for index, option in enumerate(options) if rest and same_option_text(option, rest)}
        own = LETTERS.index(lettered)
        return {own} if own in other or not other else {own} | other
    if same:
        return same
    several = [part for part in _SPLIT.split(text) if part]
    if 1 < len(several) <= len(options) and not re.fullmatch(r"\([^()]*,[^()]*\)", text):
        letters = [option_letter(part, len(options)) for part in several]
        if all(letter and len(part.strip("().")) == 1 for letter, part in zip(letters, several, strict=True)):
            return {LETTERS.index(letter) for letter in letters}
    if stripped := re.sub(r"^.{1,40}?(?:=|\bis\b|:)\s*", "", text):
        if stripped != text:
            return {index for index, option in enumerate(options) if same_option_text(option, stripped)}
    if bare := [re.sub(r"^.{1,20}?=\s*", "", option) for option in options]:
        return {
            index for index, option in enumerate(bare) if option != options[index] and same_option_text(option, text)
        }
    return set()
