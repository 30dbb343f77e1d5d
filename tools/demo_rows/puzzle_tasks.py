"""Small logic puzzles of the demo, solved by going through all cases."""

from itertools import permutations, product
from random import Random

from demo_rows.problem import Problem, Task, check, joined
from virgo_factory.demo.visual_rows import closing, opening


NAMES = ("Ann", "Ben", "Cleo", "Dan", "Eva", "Finn")


def knights(rng: Random, slip: bool) -> Problem:
    """Knights tell the truth and knaves lie; the slip takes a lie for the truth, found in the check."""
    while True:
        people = rng.sample(NAMES, 3)
        claims = []
        for speaker in people:
            one, two = rng.sample([name for name in people if name != speaker], 2)
            claims.append(rng.choice((("knave", one), ("knight", one), ("same", one, two), ("different", one, two))))
        worlds = [dict(zip(people, kinds, strict=True)) for kinds in product((True, False), repeat=3)]
        fits = [world for world in worlds if _clash(people, claims, world) is None]
        if len(fits) == 1:
            break
    truth = fits[0]
    said = [f'{name} says: "{_claim(claim)}"' for name, claim in zip(people, claims, strict=True)]
    thought = [opening(rng), "Each of the three is a knight or a knave, which makes 8 cases.", *said]
    for index, world in enumerate(worlds, start=1):
        shown = joined(f"{name} {_kind(world[name])}" for name in people)
        clash = _clash(people, claims, world)
        if clash is None:
            thought.append(f"Case {index}: {shown}. Everything fits.")
            continue

        held = _holds(claims[people.index(clash)], world)
        reason = f"{clash} is a {_kind(world[clash])} but says something {'true' if held else 'false'}"
        if slip:
            slip = False
            thought.append(f"Case {index}: {shown}. That seems to fit.")
            thought.append(f"Wait, {reason}. So this case is out.")
        else:
            thought.append(f"Case {index}: {shown}. Out, because {reason}.")
    who = [name for name in people if truth[name]]
    told = joined(f"{name} {'speaks the truth' if truth[name] else 'lies'}" for name in people)
    thought.append(f"{check(rng)} In the case that is left, {told}. {closing(rng)}")
    thought.append(f"The number of knights is {len(who)}{f': {joined(who)}' if who else ''}.")
    question = (
        f"On an island knights always tell the truth and knaves always lie. {joined(said, ' ')} "
        f"How many of {people[0]}, {people[1]} and {people[2]} are knights?"
    )
    return Problem(question, tuple(thought), f"Only one case fits: {told}.", str(len(who)))


def _kind(knight: bool) -> str:
    return "knight" if knight else "knave"


def _claim(claim: tuple[str, ...]) -> str:
    if len(claim) == 2:
        return f"{claim[1]} is a {claim[0]}."
    return f"{claim[1]} and {claim[2]} are of {'the same kind' if claim[0] == 'same' else 'different kinds'}."


def _holds(claim: tuple[str, ...], world: dict[str, bool]) -> bool:
    if len(claim) == 2:
        return world[claim[1]] == (claim[0] == "knight")
    return (world[claim[1]] == world[claim[2]]) == (claim[0] == "same")


def _clash(people: list[str], claims: list[tuple[str, ...]], world: dict[str, bool]) -> str | None:
    """Return the first speaker whose claim does not fit what the speaker is, or None."""
    for name, claim in zip(people, claims, strict=True):
        if _holds(claim, world) != world[name]:
            return name
    return None


def race(rng: Random, slip: bool) -> Problem:
    """Who finished where; the slip overlooks a clue, found when all clues are read again."""
    while True:
        people = rng.sample(NAMES, 4)
        order = rng.sample(people, 4)
        one, two = order.index(people[0]), order.index(people[1])
        clues = [("before", people[0], people[1]) if one < two else ("before", people[1], people[0])]
        clues.append(("next", order[1], order[2]) if rng.random() < 0.5 else ("next", order[2], order[3]))
        clues.append(("place", rng.choice([name for name in people if name != order[0]])))
        if rng.random() < 0.5:
            clues.append(("before", order[0], order[3]))
        fits = [p for p in permutations(sorted(people)) if all(_true(clue, p) for clue in clues)]
        if len(fits) == 1 and len(set(clues)) == len(clues):
            break
    thought = [opening(rng), f"There are 24 orders of {joined(sorted(people))}.", *map(_clue, clues)]
    left = list(permutations(sorted(people)))
    for clue in clues:
        kept = [p for p in left if _true(clue, p)]
        thought.append(f'"{_clue(clue)}" leaves {len(kept)} of {len(left)}.')
        if slip and len(kept) < len(left) and len(kept) < 8:
            out = next(p for p in left if not _true(clue, p))
            thought.append(f"So the order could be {joined(out)}.")
            thought.append(f'Wait, in that order "{_clue(clue)}" is not true. It is out.')
            slip = False
        left = kept
        if len(left) <= 4:
            thought.append(f"Left: {joined((joined(p, ' ') for p in left), '; ')}.")
    place = rng.randrange(4)
    thought.append(f"{check(rng)} In the order {joined(fits[0])} all {len(clues)} clues are true. {closing(rng)}")
    question = (
        f"{joined(sorted(people))} ran a race without ties. {joined(map(_clue, clues), ' ')} "
        f"Who finished in place {place + 1}?"
    )
    return Problem(question, tuple(thought), f"The only order is {joined(fits[0])}.", fits[0][place])


def _clue(clue: tuple[str, ...]) -> str:
    return {
        "before": "{} finished before {}.",
        "next": "{} finished directly before {}.",
        "place": "{} did not win.",
    }[clue[0]].format(*clue[1:])


def _true(clue: tuple[str, ...], order: tuple[str, ...]) -> bool:
    places = [order.index(name) for name in clue[1:]]
    if clue[0] == "place":
        return places[0] != 0
    return places[0] < places[1] if clue[0] == "before" else places[0] + 1 == places[1]


TASKS: dict[str, Task] = {task.__name__: task for task in (knights, race)}
