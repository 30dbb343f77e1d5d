"""A seeded draw of questions from a stream: which are held depends on what there is, not on the order it comes in."""

import hashlib
import heapq
import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from virgo_factory.distill.question import VisualQuestion


NOT_DRAWN = "not drawn"
DUPLICATE = "the same question on the same picture"
SAME_PICTURE = "another question on its picture is asked"


def place_in_draw(seed: int, question: VisualQuestion) -> int:
    """Return the number by which questions are drawn and ordered, the smallest first: the same everywhere."""
    named = json.dumps([seed, question.id, question.question, question.gold], sort_keys=True)
    return int.from_bytes(hashlib.blake2b(named.encode("utf-8", "replace"), digest_size=8).digest(), "big")


@dataclass(frozen=True)
class Held:
    """A question that is drawn for now: where its line stands in the spool, and its place in the source."""

    text: bytes
    start: int
    number: int


class Draw:
    """The questions of the smallest numbers: at most `wanted`, at most `per_picture` on a picture, none twice.

    These sets are the independent sets of a matroid (laminar: question on picture, picture, all), so that holding the
    best one while questions come and go gives the same in whatever order they come.
    """

    def __init__(self, wanted: int, per_picture: int) -> None:
        self.wanted, self.per_picture = wanted, per_picture
        self.held: dict[tuple[int, bytes], Held] = {}
        self._largest: list[tuple[int, bytes]] = []
        self._by_text: dict[tuple[bytes, bytes], tuple[int, bytes]] = {}
        self._by_picture: defaultdict[bytes, list[tuple[int, bytes]]] = defaultdict(list)

    def has_room(self, place: int) -> bool:
        """Whether a question with this number would be held, as far as can be told without its picture."""
        if len(self.held) < self.wanted:
            return True

        self._forget()
        return bool(self._largest) and place < -self._largest[0][0]

    def offer(self, place: int, picture: bytes, held: Held) -> str | None:
        """Hold a question if it belongs to the best, and return why it, or the one it drove out, is not held."""
        key = (place, picture)
        same = self._by_text.get((picture, held.text))
        if same is not None and same <= key:
            return DUPLICATE

        if same is not None:
            self._remove(same)
            self._add(key, held)
            return DUPLICATE

        self._add(key, held)
        others = self._by_picture[picture]
        if len(others) > self.per_picture:
            self._remove(max(others))
            return SAME_PICTURE

        if len(self.held) > self.wanted:
            self._forget()
            number, picture = self._largest[0]
            self._remove((-number, picture))
            return NOT_DRAWN

        return None

    def drop(self, numbers: Mapping[int, str]) -> list[Held]:
        """Let go of the questions at these places in the source, and return them."""
        gone = {key: held for key, held in self.held.items() if held.number in numbers}
        for key in gone:
            self._remove(key)

        return list(gone.values())

    def best(self, count: int) -> list[tuple[int, bytes]]:
        """Return the keys of the held questions, the smallest numbers first."""
        return sorted(self.held)[:count]

    def _add(self, key: tuple[int, bytes], held: Held) -> None:
        self.held[key] = held
        self._by_text[key[1], held.text] = key
        self._by_picture[key[1]].append(key)
        heapq.heappush(self._largest, (-key[0], key[1]))

    def _remove(self, key: tuple[int, bytes]) -> None:
        held = self.held.pop(key)
        del self._by_text[key[1], held.text]
        self._by_picture[key[1]].remove(key)

    def _forget(self) -> None:
        """Take what is no longer held from the top of the heap."""
        while self._largest and (-self._largest[0][0], self._largest[0][1]) not in self.held:
            heapq.heappop(self._largest)
