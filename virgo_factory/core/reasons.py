"""Reasons of dropping a row that more than one room must understand; formats have further ones of their own, as text."""

from enum import Enum


class Reason(Enum):
    """Why a row is not trained on: its text, in which {} is a limit or a place.

    Texts are what accounts hold and people read; `Reason.of` finds the reason of one again.
    """

    TOO_SHORT = "response < {} tokens"
    TOO_LONG = "response > {} tokens"
    NOT_DRAWN = "not drawn"
    OTHER_DIFFICULTY = "difficulty is not {}"
    MARKED_WRONG = "the response is marked wrong"
    NO_CORRECT = "no correct response"
    NOT_LEARNED = "nothing in it is marked to be learned"
    OVERLONG = "overlong > {} tokens"
    CONTROL_TOKEN = "control token in the {}"
    PREFIX = "assistant_prefix"
    UNREADABLE = "image unreadable"

    def text(self, of: object = "") -> str:
        """Return its text.

        >>> Reason.OVERLONG.text(1024)
        'overlong > 1024 tokens'
        """
        return self.value.format(of)

    @classmethod
    def of(cls, text: str) -> "Reason | None":
        """Return the reason with this text, or None for one of a format.

        >>> Reason.of("overlong > 1024 tokens"), Reason.of("no column text")
        (<Reason.OVERLONG: 'overlong > {} tokens'>, None)
        """
        return next((reason for reason in cls if text.startswith(reason.value.partition("{")[0])), None)

    @property
    def is_selection(self) -> bool:
        """Whether the row is well and was only not asked for."""
        return self in (Reason.TOO_SHORT, Reason.TOO_LONG, Reason.NOT_DRAWN, Reason.OTHER_DIFFICULTY)

    @property
    def is_mark(self) -> bool:
        """Whether the row says itself that it is not to be learned: usual in rollouts."""
        return self in (Reason.MARKED_WRONG, Reason.NO_CORRECT, Reason.NOT_LEARNED)
