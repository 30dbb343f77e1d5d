"""A seeded draw of questions from a stream: which are held depends on what there is, not on the order it comes in."""

import hashlib
import json
import sqlite3
from collections.abc import Mapping
from typing import NamedTuple

from virgo_factory.rollouts.question import VisualQuestion


NOT_DRAWN = "not drawn"
DUPLICATE = "the same question on the same picture"
SAME_PICTURE = "another question on its picture is asked"


def place_in_draw(seed: int, question: VisualQuestion) -> int:
    """Return the number by which questions are drawn and ordered, the smallest first: the same everywhere."""
    named = json.dumps([seed, question.id, question.question, question.gold], sort_keys=True)
    return int.from_bytes(hashlib.blake2b(named.encode("utf-8", "replace"), digest_size=8).digest(), "big")


class Held(NamedTuple):
    """A question that is drawn for now: where its line stands in the spool, and its place in the source."""

    place: int
    picture: bytes
    text: bytes
    start: int
    number: int


class Draw:
    """The questions of the smallest numbers: at most `wanted`, at most `per_picture` on a picture, none twice.

    These sets are the independent sets of a matroid (laminar: question on picture, picture, all), so that holding the
    best one while questions come and go gives the same in whatever order they come.
    """

    def __init__(self, wanted: int, per_picture: int) -> None:
        self.wanted, self.per_picture, self._count = wanted, per_picture, 0
        self._db = sqlite3.connect("", isolation_level=None)  # on disk, gone when it is closed
        self._db.execute(f"CREATE TABLE held ({', '.join(Held._fields)}, PRIMARY KEY (place, picture)) WITHOUT ROWID")
        self._db.execute("CREATE INDEX held_by_picture ON held (picture, place)")

    def __len__(self) -> int:
        return self._count

    def has_room(self, place: int) -> bool:
        """Whether a question with this number would be held, as far as can be told without its picture."""
        return len(self) < self.wanted or (
            bool(self) and place < self._held("place = (SELECT max(place) FROM held)")[0].place
        )

    def offer(self, held: Held) -> str | None:
        """Hold a question if it belongs to the best, and return why it, or the one it drove out, is not held."""
        same = self._held("picture = ? AND text = ?", held.picture, held.text)
        if same:
            if held.place < same[0].place:
                self._remove(same[0])
                self._add(held)

            return DUPLICATE

        self._add(held)
        others = self._held("picture = ? ORDER BY place", held.picture)
        if len(others) > self.per_picture:
            self._remove(others[-1])
            return SAME_PICTURE

        if len(self) > self.wanted:
            self._remove(self._held("place = (SELECT max(place) FROM held) ORDER BY picture")[-1])
            return NOT_DRAWN

        return None

    def drop(self, numbers: Mapping[int, str]) -> list[Held]:
        """Let go of the questions at these places in the source, and return them."""
        gone = [held for held in self._held("1") if held.number in numbers]
        for held in gone:
            self._remove(held)

        return gone

    def best(self, count: int) -> list[Held]:
        """Return the held questions, the smallest numbers first."""
        return self._held("1 ORDER BY place, picture LIMIT ?", count)

    def _held(self, where: str, *values: object) -> list[Held]:
        found = map(Held._make, self._db.execute(f"SELECT * FROM held WHERE {where}", values))
        return [held._replace(place=held.place + _MIDDLE) for held in found]

    def _add(self, held: Held) -> None:
        self._db.execute("INSERT INTO held VALUES (?, ?, ?, ?, ?)", held._replace(place=held.place - _MIDDLE))
        self._count += 1

    def _remove(self, held: Held) -> None:
        self._db.execute("DELETE FROM held WHERE place = ? AND picture = ?", (held.place - _MIDDLE, held.picture))
        self._count -= 1


_MIDDLE = 1 << 63  # SQLite's numbers have a sign
