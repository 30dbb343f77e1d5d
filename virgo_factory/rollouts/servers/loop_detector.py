"""Recognising while a response is streamed that it has begun to repeat itself, in time linear in its length."""

from virgo_factory.data.rows.repetition import find_loop


TAILS = (4_000, 16_000, 64_000)
"""Characters at the end of the response that are looked at, each whenever a quarter of it is new: a short tail shows a loop
of a sentence early, a long one a loop of several paragraphs."""


class LoopWatch:
    """Takes a response piece by piece and tells when it loops."""

    def __init__(self) -> None:
        self._tail = ""
        self._length = 0
        self._looked = dict.fromkeys(TAILS, 0)

    def feed(self, piece: str) -> bool:
        """Return whether the response loops, `piece` being what is new of it."""
        self._length += len(piece)
        self._tail = (self._tail + piece)[-TAILS[-1] :]
        for size in TAILS:
            if self._length - self._looked[size] >= size // 4:
                self._looked[size] = self._length
                if find_loop(self._tail[-size:]):
                    return True

        return False
