"""Physics, chemistry and biology of the demo."""

from fractions import Fraction
from itertools import pairwise, product
from random import Random

from demo_rows.problem import Problem, Task, check, joined, number
from virgo_factory.demo.visual_rows import closing, opening


MASSES = {"H": 1, "C": 12, "N": 14, "O": 16, "Na": 23, "Mg": 24, "S": 32, "Ca": 40, "Fe": 56}
"""Rounded molar masses in g/mol."""

COMPOUNDS = {
    "H2O": {"H": 2, "O": 1},
    "CO2": {"C": 1, "O": 2},
    "NH3": {"N": 1, "H": 3},
    "CH4": {"C": 1, "H": 4},
    "O2": {"O": 2},
    "H2": {"H": 2},
    "N2": {"N": 2},
    "MgO": {"Mg": 1, "O": 1},
    "Mg": {"Mg": 1},
    "H2SO4": {"H": 2, "S": 1, "O": 4},
    "CaCO3": {"Ca": 1, "C": 1, "O": 3},
    "Fe2O3": {"Fe": 2, "O": 3},
    "NaOH": {"Na": 1, "O": 1, "H": 1},
    "C6H12O6": {"C": 6, "H": 12, "O": 6},
}
REACTIONS = (
    (((2, "H2"), (1, "O2")), ((2, "H2O"),)),
    (((1, "N2"), (3, "H2")), ((2, "NH3"),)),
    (((2, "Mg"), (1, "O2")), ((2, "MgO"),)),
    (((1, "CH4"), (2, "O2")), ((1, "CO2"), (2, "H2O"))),
)
"""Balanced reactions: coefficients and compounds on both sides."""


def molar_mass(compound: str) -> int:
    """Return g/mol.

    >>> molar_mass("H2SO4")
    98
    """
    return sum(MASSES[atom] * count for atom, count in COMPOUNDS[compound].items())


def braking(rng: Random, slip: bool) -> Problem:
    """Stopping distance of a car; the slip calculates in km/h, found by its size."""
    kmh, brake = 18 * rng.randint(2, 8), rng.choice((2, 4, 5, 8))
    reaction = rng.choice((1, 2))
    speed = Fraction(kmh * 10, 36)
    first, second = speed * reaction, speed**2 / (2 * brake)
    thought = [opening(rng), f"The car drives {kmh} km/h, reacts for {reaction} s and brakes with {brake} m/s^2."]
    if slip:
        wrong = Fraction(kmh**2, 2 * brake)
        thought += [
            f"The braking distance is v^2 / (2a) = {kmh}^2 / {2 * brake} = {number(wrong)} m.",
            f"Wait, {number(wrong)} m would be very far. The speed is in km/h and the braking in m/s^2: convert first.",
        ]
    thought += [
        f"{kmh} km/h = {kmh} / 3.6 m/s = {number(speed)} m/s.",
        f"During the reaction it drives {number(speed)} x {reaction} = {number(first)} m.",
        f"Braking: {number(speed)}^2 / (2 x {brake}) = {number(speed**2)} / {2 * brake} = {number(second)} m.",
        f"Together {number(first)} + {number(second)} = {number(first + second)} m.",
        (
            f"{check(rng)} It brakes for {number(speed)} / {brake} = {number(speed / brake)} s at a mean speed of "
            f"{number(speed / 2)} m/s, that is {number(speed / brake * speed / 2)} m. {closing(rng)}"
        ),
    ]
    question = (
        f"A car drives at {kmh} km/h. The driver reacts after {reaction} s and then brakes with {brake} m/s^2. "
        "How many metres does the car need to stop?"
    )
    solution = f"With {number(speed)} m/s the two parts are {number(first)} m and {number(second)} m."
    return Problem(question, tuple(thought), solution, number(first + second))


def resistors(rng: Random, slip: bool) -> Problem:
    """Two resistors in parallel and one in series; the slip adds all, found because parallel must be smaller."""
    while True:
        r1, r2, r3 = rng.randint(2, 30), rng.randint(2, 30), rng.randint(1, 20)
        parallel = Fraction(r1 * r2, r1 + r2)
        if parallel.denominator == 1:
            break
    total = parallel + r3
    volts = int(total) * rng.randint(1, 6)
    thought = [opening(rng), f"{r1} ohm and {r2} ohm are in parallel, {r3} ohm in series with them."]
    if slip:
        thought += [
            f"The parallel part is {r1} + {r2} = {r1 + r2} ohm.",
            f"Wait, a parallel pair must have less than its smaller part, {min(r1, r2)} ohm. I added as if in series.",
        ]
    thought += [
        f"Parallel: {r1} x {r2} / ({r1} + {r2}) = {r1 * r2} / {r1 + r2} = {number(parallel)} ohm.",
        f"With the series part: {number(parallel)} + {r3} = {number(total)} ohm.",
        f"The current is {volts} / {number(total)} = {number(volts / total)} A.",
    ]
    share = volts - volts / total * r3
    thought.append(
        f"{check(rng)} The series part takes {number(volts / total * r3)} V, which leaves {number(share)} V. The branches "
        f"carry {number(share / r1)} A and {number(share / r2)} A, together {number(share / r1 + share / r2)} A. "
        f"{closing(rng)}"
    )
    question = (
        f"Resistors of {r1} ohm and {r2} ohm are connected in parallel, and {r3} ohm in series with the pair. "
        f"The voltage is {volts} V. What is the total current in ampere?"
    )
    solution = f"The total resistance is {number(total)} ohm."
    return Problem(question, tuple(thought), solution, number(volts / total))


def decay(rng: Random, slip: bool) -> Problem:
    """Half-life; the slip divides by the number of half-lives, found by doubling back."""
    halves, life, left = rng.randint(3, 7), rng.randint(2, 30), rng.randint(3, 40)
    start = left * 2**halves
    unit = rng.choice(("days", "hours", "minutes"))
    thought = [opening(rng), f"{halves * life} {unit} are {halves * life} / {life} = {halves} half-lives."]
    doubled = [left * 2**i for i in range(halves + 1)]
    if slip:
        wrong = Fraction(start, halves)
        back = [wrong * 2**i for i in range(halves + 1)]
        thought += [
            f"So {start} / {halves} = {number(wrong)} mg are left.",
            f"{check(rng)} Doubling {halves} times: {joined(map(number, back))}.",
            f"Wait, that ends at {number(back[-1])}, not at {start}. Each half-life halves what is left.",
        ]
    steps = [start // 2**i for i in range(halves + 1)]
    thought.append(f"{joined((f'{a} / 2 = {b}' for a, b in pairwise(steps)), ', ')}.")
    thought.append(f"{check(rng)} Doubling {left} mg {halves} times: {joined(doubled)}. {closing(rng)}")
    question = (
        f"A sample holds {start} mg of a substance with a half-life of {life} {unit}. "
        f"How many mg are left after {halves * life} {unit}?"
    )
    return Problem(question, tuple(thought), f"{halves} half-lives divide by 2^{halves} = {2**halves}.", str(left))


def falling(rng: Random, slip: bool) -> Problem:
    """Speed after a fall; the slip loses a factor two, found by energy."""
    k = rng.randint(1, 9)
    height, speed, mass = 5 * k * k, 10 * k, rng.randint(1, 20)
    thought = [opening(rng), f"A body of {mass} kg falls {height} m, g = 10 m/s^2."]
    if slip:
        square = 10 * height
        thought += [
            f"v^2 = g h = 10 x {height} = {square}.",
            (
                f"{check(rng)} The motion energy would be {mass} x {square} / 2 = {number(Fraction(mass * square, 2))} J, "
                f"but the fall gives {mass} x 10 x {height} = {mass * 10 * height} J."
            ),
            "Wait, that is only half. From m g h = m v^2 / 2 follows v^2 = 2 g h.",
        ]
    thought += [
        f"v^2 = 2 g h = 2 x 10 x {height} = {20 * height}, so v = {speed} m/s, since {speed} x {speed} = {speed**2}.",
        (
            f"{check(rng)} {mass} x {speed**2} / 2 = {mass * speed**2 // 2} J and {mass} x 10 x {height} = "
            f"{mass * 10 * height} J. {closing(rng)}"
        ),
    ]
    question = (
        f"A stone of {mass} kg falls from a height of {height} m. With g = 10 m/s^2 and no air, "
        "how fast is it at the ground, in m/s?"
    )
    return Problem(question, tuple(thought), "All energy of the height becomes energy of motion.", str(speed))


def weigh(rng: Random, slip: bool) -> Problem:
    """Mass of some moles; the slip forgets an index, found by summing atom by atom."""
    fitting = [name for name, atoms in COMPOUNDS.items() if len(atoms) > 1 and (not slip or max(atoms.values()) > 1)]
    compound = rng.choice(fitting)
    moles = Fraction(rng.randint(1, 20), rng.choice((1, 2, 4)))
    atoms = COMPOUNDS[compound]
    several = [atom for atom, count in atoms.items() if count > 1]
    thought = [opening(rng), f"{compound} consists of {joined(f'{count} {atom}' for atom, count in atoms.items())}."]
    if slip:
        atom = several[0]
        wrong = molar_mass(compound) - MASSES[atom] * (atoms[atom] - 1)
        thought += [
            f"The molar mass is {wrong} g/mol.",
            f"{check(rng)} There are {atoms[atom]} atoms of {atom}, not 1.",
            f"Wait, I forgot the index of {atom}: {atoms[atom]} x {MASSES[atom]} = {atoms[atom] * MASSES[atom]}.",
        ]
    parts = joined((f"{count} x {MASSES[atom]}" for atom, count in atoms.items()), " + ")
    mass = moles * molar_mass(compound)
    thought += [
        f"The molar mass is {parts} = {molar_mass(compound)} g/mol.",
        f"{number(moles)} mol have {number(moles)} x {molar_mass(compound)} = {number(mass)} g.",
        f"{check(rng)} {number(mass)} / {molar_mass(compound)} = {number(mass / molar_mass(compound))} mol. {closing(rng)}",
    ]
    known = joined((f"{atom} = {MASSES[atom]}" for atom in atoms), ", ")
    question = f"What is the mass in g of {number(moles)} mol of {compound}? Use {known} g/mol."
    solution = f"The molar mass is {molar_mass(compound)} g/mol."
    return Problem(question, tuple(thought), solution, number(mass))


def reaction(rng: Random, slip: bool) -> Problem:
    """Product of a reaction; the slip ignores the coefficients, found by the conservation of mass."""
    left, right = rng.choice(REACTIONS)
    given, wanted = rng.randrange(len(left)), rng.randrange(len(right))
    if slip:
        given, wanted = next((i, j) for i in range(len(left)) for j in range(len(right)) if left[i][0] != right[j][0])
    times = rng.randint(1, 12)
    moles = {compound: count * times for count, compound in (*left, *right)}
    (count, start), (made, end) = left[given], right[wanted]
    grams = moles[start] * molar_mass(start)
    text = f"{_side(left)} -> {_side(right)}"
    thought = [
        opening(rng),
        f"The reaction is {text}.",
        f"{grams} g of {start} are {grams} / {molar_mass(start)} = {moles[start]} mol.",
    ]

    def balance(amount: Fraction) -> str:
        before = [(compound, moles[compound] * molar_mass(compound)) for _, compound in left]
        after = [(compound, moles[compound] * molar_mass(compound)) for _, compound in right]
        after[wanted] = (end, amount * molar_mass(end))
        shown = [joined((f"{number(mass)} g {name}" for name, mass in side), " + ") for side in (before, after)]
        sums = [number(sum(mass for _, mass in side)) for side in (before, after)]
        return f"Before: {shown[0]} = {sums[0]} g. After: {shown[1]} = {sums[1]} g."

    if slip:
        thought += [
            (
                f"So {moles[start]} mol of {end} form, {moles[start]} x {molar_mass(end)} = "
                f"{moles[start] * molar_mass(end)} g."
            ),
            f"{check(rng)} Mass must be conserved. {balance(Fraction(moles[start]))}",
            f"Wait, the masses differ. {count} {start} give {made} {end}, so I must use the coefficients.",
        ]
    thought += [
        f"{count} {start} give {made} {end}: {moles[start]} x {made} / {count} = {moles[end]} mol of {end}.",
        f"{moles[end]} x {molar_mass(end)} = {moles[end] * molar_mass(end)} g.",
        f"{check(rng)} {balance(Fraction(moles[end]))} {closing(rng)}",
    ]
    atoms = sorted({atom for _, compound in (*left, *right) for atom in COMPOUNDS[compound]})
    question = (
        f"In the reaction {text}, {grams} g of {start} react completely. How many g of {end} form? "
        f"Use {joined(f'{atom} = {MASSES[atom]}' for atom in atoms)} g/mol."
    )
    solution = f"{moles[start]} mol of {start} give {moles[end]} mol of {end}."
    return Problem(question, tuple(thought), solution, str(moles[end] * molar_mass(end)))


def _side(side: tuple[tuple[int, str], ...]) -> str:
    return joined((f"{count} {compound}" if count > 1 else compound for count, compound in side), " + ")


def dilution(rng: Random, slip: bool) -> Problem:
    """Water to add; the slip answers the whole volume, found by counting the salt."""
    factor, volume, low = rng.randint(2, 8), 10 * rng.randint(2, 40), rng.randint(1, 8)
    high, total = low * factor, volume * factor
    salt = Fraction(high * volume, 1000)
    thought = [
        opening(rng),
        f"{volume} ml with {high} g/l hold {high} x {volume} / 1000 = {number(salt)} g of salt.",
        f"With {low} g/l that salt fills {number(salt)} / {low} x 1000 = {total} ml.",
    ]
    if slip:
        thought += [
            f"So I add {total} ml of water.",
            f"{check(rng)} Then there would be {volume} + {total} = {volume + total} ml.",
            f"Wait, {total} ml is the whole volume afterwards, and {volume} ml are there already.",
        ]
    thought += [
        f"Water to add: {total} - {volume} = {total - volume} ml.",
        f"{check(rng)} {number(salt)} g in {volume} + {total - volume} = {total} ml is {low} g/l. {closing(rng)}",
    ]
    question = (
        f"How many ml of water must be added to {volume} ml of a salt solution with {high} g/l "
        f"to bring it to {low} g/l?"
    )
    return Problem(question, tuple(thought), f"The same salt fills {total} ml in the end.", str(total - volume))


def cross(rng: Random, slip: bool) -> Problem:
    """A dihybrid cross; the slip misses some fields of the square, found because the parts must add up."""
    parents = [joined((rng.choice((f"{g}{g.lower()}",) * 3 + (g.lower() * 2,)) for g in "AB"), "") for _ in range(2)]
    wanted = (rng.random() < 0.5, rng.random() < 0.5)

    def gametes(parent: str) -> list[str]:
        return [one + two for one, two in product(parent[:2], parent[2:])]

    rows, counts = [], {}
    for mother in gametes(parents[0]):
        children = []
        for father in gametes(parents[1]):
            child = "".join("".join(sorted(pair)) for pair in zip(mother, father, strict=True))
            children.append(child)
            key = ("A" in child, "B" in child)
            counts[key] = counts.get(key, 0) + 1
        rows.append(f"{mother}: {joined(children)}.")

    def trait(has: tuple[bool, bool]) -> str:
        return f"{'purple' if has[0] else 'white'} and {'tall' if has[1] else 'short'}"

    found = counts.get(wanted, 0)
    thought = [
        opening(rng),
        f"The gametes are {joined(gametes(parents[0]))} and {joined(gametes(parents[1]))}.",
        *rows,
    ]
    parts = [counts.get(key, 0) for key in product((True, False), repeat=2)]
    names = joined(
        (f"{trait(key)} {count}" for key, count in zip(product((True, False), repeat=2), parts, strict=True)), ", "
    )
    if slip:
        wrong = found - 1 if found else 1
        thought += [
            f"I count {wrong} of 16 that are {trait(wanted)}.",
            f"{check(rng)} The other kinds are {16 - found} of 16, together {16 - found + wrong}.",
            "Wait, all kinds together must be 16. I miscounted; once more.",
        ]
    thought += [
        f"Counts: {names}, together {sum(parts)}. {closing(rng)}",
        f"So {found} of 16 are {trait(wanted)}.",
    ]
    share = Fraction(found, 16)
    answer = str(share.numerator) if share.denominator == 1 else f"{share.numerator}/{share.denominator}"
    question = (
        f"Peas {parents[0]} and {parents[1]} are crossed. A makes purple (a white), B makes tall (b short). "
        f"Which share of the offspring is {trait(wanted)}? Give a fraction."
    )
    return Problem(question, tuple(thought), f"{found} of the 16 equally likely fields fit.", answer)


def growth(rng: Random, slip: bool) -> Problem:
    """Doubling bacteria; the slip multiplies by the number of doublings, found by halving back."""
    doublings, every, start = rng.randint(3, 8), 5 * rng.randint(3, 12), rng.randint(2, 90)
    values = [start * 2**i for i in range(doublings + 1)]
    time = doublings * every
    thought = [opening(rng), f"{time} minutes are {time} / {every} = {doublings} doublings."]
    if slip:
        wrong = start * 2 * doublings
        back = [Fraction(wrong, 2**i) for i in range(doublings + 1)]
        thought += [
            f"So there are {start} x 2 x {doublings} = {wrong}.",
            f"{check(rng)} Halving {doublings} times: {joined(map(number, back))}.",
            f"Wait, that does not lead back to {start}. Every doubling doubles what is there by then.",
        ]
    thought += [
        f"Step by step: {joined(values)}.",
        f"{check(rng)} 2^{doublings} = {2**doublings} and {start} x {2**doublings} = {values[-1]}. {closing(rng)}",
    ]
    question = f"A culture of {start} bacteria doubles every {every} minutes. How many are there after {time} minutes?"
    return Problem(question, tuple(thought), f"There are {doublings} doublings.", str(values[-1]))


PHYSICS: dict[str, Task] = {task.__name__: task for task in (braking, resistors, decay, falling)}
CHEMISTRY: dict[str, Task] = {task.__name__: task for task in (weigh, reaction, dilution)}
BIOLOGY: dict[str, Task] = {task.__name__: task for task in (cross, growth)}
