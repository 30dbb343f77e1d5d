"""Whether what a model answers can be trained on at all: told at its first responses, not when all are paid for."""

from collections import Counter
from collections.abc import Iterable

from virgo_factory.core.errors import UserError
from virgo_factory.formats.layouts.tags import format_of
from virgo_factory.rollouts.config import AUTO, RESPONSE_FORMATS
from virgo_factory.rollouts.long_thoughts import read_thought
from virgo_factory.rollouts.store.rollout import GREEDY, Rollout


ENOUGH = 10
"""Finished responses that do not even show the format that is expected, before a run stops: most of all, none readable."""

ENOUGH_BROKEN = 40
"""All of them, where the others show it, but broken: of a model that writes it well one time in five, 40 in a row fail in one run
of 7,500."""

_SHOWN = 160


class UnreadableResponses(UserError):
    """No response of a run can be read in its `response_format`."""


class FirstResponses:
    """The finished responses of a run of `model`, until one can be trained on."""

    def __init__(self, response_format: str, model: str) -> None:
        self._format, self._model = response_format, model
        self._is_settled = False
        self._reasons: Counter[str] = Counter()
        self._readable: Counter[str] = Counter()
        self._first = ""
        self._shown = 0

    def add(self, rollout: Rollout) -> None:
        """Look at one rollout (one of the greedy pass, or cut off, does not count); UnreadableResponses after so many that cannot be read."""
        if self._is_settled or rollout.finish_reason != "stop" or rollout.sample == GREEDY:
            return

        reason = read_thought(rollout.response, self._format)[1]
        if not reason:
            self._is_settled = True
            return

        self._reasons[reason] += 1
        self._shown += shows_format(rollout.response, self._format)
        self._readable.update(name for name in self._others(rollout.response))
        self._first = self._first or rollout.response.strip()
        total = self._reasons.total()
        others = total - self._shown
        if total >= ENOUGH_BROKEN or (others >= ENOUGH and others > 2 * self._shown):
            raise UnreadableResponses(self._message())

    def add_all(self, rollouts: Iterable[Rollout]) -> None:
        """Look at those that a folder has already, as far as is needed."""
        for rollout in rollouts:
            if self._is_settled:
                return

            self.add(rollout)

    def _others(self, response: str) -> list[str]:
        """Return the formats that would read a response: the one it shows, or else QVQ's."""
        names = [name for name in (format_of(response), "virgo_dqvq") if name and name != self._format]
        return [name for name in names if read_thought(response, name)[0]][:1]

    def _message(self) -> str:
        count = self._reasons.total()
        reasons = ", ".join(f"{number} {reason}" for reason, number in self._reasons.most_common(3))
        begin = (
            f"none of the first {count} finished responses of {self._model} can be read with "
            f"response_format: {self._format} ({reasons}), so no row could be selected. "
        )
        if self._readable:
            (name, number), *_ = self._readable.most_common(1)
            remedy = f"{number} of them are in the format {name}: set response_format={name}. "
        else:
            remedy = (
                "They are in no format that is read: ask the model for one in question_prefix, or see whether its "
                f"template is the right one. response_format is one of {', '.join(RESPONSE_FORMATS)}. "
            )

        text = " ".join(self._first.split())
        shown = text if len(text) <= 2 * _SHOWN else f"{text[:_SHOWN]} ... {text[-_SHOWN:]}"
        return f"{begin}{remedy}The first of them: {shown!r}"


def shows_format(response: str, response_format: str) -> bool:
    """Whether a response has tags of the format that is expected, whole or broken."""
    shown = format_of(response)
    return shown is not None and response_format in (AUTO, shown)


def told_before(response_format: str) -> str:
    """Return the line of a dry run: what is expected of the responses."""
    expected = {
        AUTO: "any format that the rows of a dataset may have (<think>, four markers, ...), recognised in each",
        "four_markers": "Virgo's four markers, as a model trained on them writes",
        "virgo_dqvq": "untagged, split at the final answer",
    }.get(response_format, f"{response_format} only")
    return (
        f"Responses expected: {expected} (response_format: {response_format}). If none of the first {ENOUGH} finished "
        "ones can be read so, the run stops there"
    )
