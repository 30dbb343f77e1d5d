"""The long thoughts of the demo: always the same bytes, and every boxed answer right when computed another way."""

import itertools
import json
import math
import re
import subprocess
import sys
from collections import Counter
from fractions import Fraction
from pathlib import Path
from random import Random

import pytest

from demo_rows import long_thoughts as thoughts
from virgo_factory.core.thought import LongThought, MalformedThought


ROOT = Path(__file__).parents[2]
ROWS = [json.loads(line) for line in thoughts.PATH.read_text(encoding="utf-8").splitlines()]
ATOMS = {"H": 1, "C": 12, "N": 14, "O": 16, "Na": 23, "Mg": 24, "S": 32, "Ca": 40, "Fe": 56}


def integers(text: str) -> list[int]:
    return [int(found) for found in re.findall(r"(?<![\w.)])-?\d+", text)]


def boxed(row: dict) -> str:
    """The answer in the solution: exactly one box, no braces inside."""
    found = re.findall(r"\\boxed\{([^{}]*)\}", LongThought.parse(row["combined_text"]).solution)
    assert len(found) == 1
    return found[0]


def is_cut(row: dict) -> bool:
    try:
        LongThought.parse(row["combined_text"])
    except MalformedThought:
        return True
    return False


WHOLE = [row for row in ROWS if not is_cut(row)]


# Each function computes an answer from the text of the question alone, by another way than the generator.


def addition(question):
    return sum(integers(question))


def multiplication(question):
    a, b = integers(question.replace(" x ", " * "))
    return sum(a for _ in range(b))


def division(question):
    a, b = integers(question)
    count = 0
    while a >= b:
        a, count = a - b, count + 1
    return a if "remainder" in question else count


def linear(question):
    left, right = question.removeprefix("Solve for x: ").split(" = ")
    found = [x for x in range(-50, 51) if evaluate(left, {"x": x}) == evaluate(right, {"x": x})]
    assert len(found) == 1
    return found[0]


def evaluate(side: str, values: dict[str, int]) -> int:
    """A sum of terms such as -3x + 4."""
    total = 0
    for sign, digits, name in re.findall(r"([+-]?)\s*(\d*)([a-z]?)", side):
        if digits or name:
            total += (-1 if sign == "-" else 1) * int(digits or 1) * values.get(name, 1)
    return total


def euclid(question):
    a, b = integers(question)
    if "divisor" in question:
        return max(d for d in range(1, min(a, b) + 1) if a % d == 0 and b % d == 0)
    return next(m for m in itertools.count(a, a) if m % b == 0)


def fractions(question):
    a, b, sign, c, d = re.search(r"(\d+)/(\d+) ([+-]) (\d+)/(\d+)", question).groups()
    one, two = Fraction(int(a), int(b)), Fraction(int(c), int(d))
    return one + two if sign == "+" else one - two


def quadratic(question):
    left = re.search(r"x\^2 (.*) = 0", question).group(1)
    return max(x for x in range(-200, 201) if x * x + evaluate(left, {"x": x}) == 0)


def divisors(question):
    (n,) = integers(question)
    return sum(1 if d * d == n else 2 for d in range(1, math.isqrt(n) + 1) if n % d == 0)


def power(question):
    base, exponent, m = map(int, re.search(r"(\d+)\^(\d+) is divided by (\d+)", question).groups())
    return base**exponent % m


def series(question):
    first, second, _, last = integers(question.replace("(", " ").replace(")", " "))
    return sum(range(first, last + 1, second - first))


def system(question):
    one, two = re.search(r"if (.*)\.", question).group(1).split(" and ")
    sides = [side.split(" = ") for side in (one, two)]
    found = [
        x + y
        for x, y in itertools.product(range(-20, 21), repeat=2)
        if all(evaluate(left, {"x": x, "y": y}) == int(right) for left, right in sides)
    ]
    assert len(found) == 1
    return found[0]


def convert(question):
    """The answer is text: what reads back as the number in that base."""
    n, base = integers(question)
    digits = ""
    while n:
        n, digit = divmod(n, base)
        digits = str(digit) + digits
    return digits


def either(question):
    _, n, a, b = integers(question)
    return len(set(range(a, n + 1, a)) | set(range(b, n + 1, b)))


def area(question):
    points = [tuple(map(int, found)) for found in re.findall(r"\((-?\d+), (-?\d+)\)", question)]
    assert len(points) == 4
    # Two triangles from the first corner, each by the determinant of its edge vectors.
    (ox, oy), *rest = points
    doubled = [(ax - ox) * (by - oy) - (bx - ox) * (ay - oy) for (ax, ay), (bx, by) in itertools.pairwise(rest)]
    return Fraction(abs(sum(doubled)), 2)


def percent(question):
    price, up, down = integers(question)
    return Fraction(price) * (1 + Fraction(up, 100)) * (1 - Fraction(down, 100))


def braking(question):
    kmh, reaction, brake = (int(n) for n in re.findall(r"(\d+) (?:km/h|s |m/s)", question))
    speed, way, dt = Fraction(kmh, 1) / Fraction(36, 10), Fraction(0), Fraction(1, 40)
    way += speed * reaction
    while speed > 0:  # exact for a constant force when the steps end at rest
        step = min(dt, speed / brake)
        way += (speed + speed - brake * step) / 2 * step
        speed -= brake * step
    return way


def resistors(question):
    r1, r2, r3, volts = integers(question)
    return volts / (1 / (Fraction(1, r1) + Fraction(1, r2)) + r3)


def decay(question):
    left, life, time = integers(question)
    while time > 0:
        left, time = Fraction(left, 2), time - life
    assert time == 0
    return left


def falling(question):
    mass, height, _ = integers(question.replace("10 m/s^2", "10"))
    return next(v for v in range(1, 1000) if v * v == 2 * 10 * height and mass)


def mass_of(compound: str) -> int:
    return sum(ATOMS[atom] * int(count or 1) for atom, count in re.findall(r"([A-Z][a-z]?)(\d*)", compound))


def weigh(question):
    amount, compound = re.search(r"of ([\d.]+) mol of (\w+)\?", question).groups()
    return Fraction(amount) * mass_of(compound)


def reaction(question):
    text, grams, given, wanted = re.search(
        r"reaction (.*), (\d+) g of (\w+) react completely\. How many g of (\w+) form", question
    ).groups()
    left, right = text.split(" -> ")
    counts = {name: int(count or 1) for count, name in re.findall(r"(\d+)? ?([A-Z]\w*)", f"{left} + {right}")}
    for atom in ATOMS:  # balanced
        sides = [
            sum(
                counts[name] * int(count or 1)
                for name in side.split()
                if name in counts
                for found, count in re.findall(r"([A-Z][a-z]?)(\d*)", name)
                if found == atom
            )
            for side in (left, right)
        ]
        assert sides[0] == sides[1], (text, atom)
    return Fraction(int(grams), mass_of(given)) * Fraction(counts[wanted], counts[given]) * mass_of(wanted)


def dilution(question):
    volume, high, low = (int(n) for n in re.findall(r"(\d+) (?:ml of a|g/l)", question))
    return Fraction(volume * high, low) - volume


def cross(question):
    one, two = re.search(r"Peas (\w{4}) and (\w{4})", question).groups()
    wanted = re.search(r"offspring is (\w+) and (\w+)", question).groups()

    def share(pair: str, other: str, dominant: bool) -> Fraction:
        """Each parent passes on one of its two letters with the same chance."""
        recessive = Fraction(sum(c.islower() for c in pair), 2) * Fraction(sum(c.islower() for c in other), 2)
        return 1 - recessive if dominant else recessive

    return share(one[:2], two[:2], wanted[0] == "purple") * share(one[2:], two[2:], wanted[1] == "tall")


def growth(question):
    start, every, time = integers(question)
    for _ in range(0, time, every):
        start += start
    return start


def loop(question):
    """Runs the program of the question, which the project generated itself."""
    program = re.search(r"```python\n(.*)\n```", question, re.S).group(1)
    assert re.fullmatch(r"[\w\s=+*%():,.-]*", program)
    done = subprocess.run([sys.executable, "-I", "-c", program], capture_output=True, text=True, check=True)
    return int(done.stdout)


def bubble(question):
    numbers = integers(re.search(r"\[(.*)\]", question).group(1))
    return sum(a > b for a, b in itertools.combinations(numbers, 2))


def stack(question):
    words = re.search(r"expression (.*) \?", question).group(1).split()

    def read() -> int:
        """From the right: an operator, then its right operand, then its left one."""
        word = words.pop()
        if word.isdigit():
            return int(word)
        right, left = read(), read()
        return {"+": left + right, "-": left - right, "*": left * right}[word]

    value = read()
    assert not words
    return value


def knights(question):
    said = re.findall(r'(\w+) says: "(.*?)\."', question)
    people = [name for name, _ in said]
    found = set()
    for kinds in itertools.product((True, False), repeat=3):
        world = dict(zip(people, kinds, strict=True))

        def true(claim: str, world: dict[str, bool] = world) -> bool:
            if pair := re.fullmatch(r"(\w+) and (\w+) are of (.*)", claim):
                one, two, how = pair.groups()
                return (world[one] == world[two]) == (how == "the same kind")
            name, kind = re.fullmatch(r"(\w+) is a (\w+)", claim).groups()
            return world[name] == (kind == "knight")

        if all(true(claim) == world[name] for name, claim in said):
            found.add(sum(kinds))
    assert len(found) == 1
    return found.pop()


def race(question):
    people = question.split(" ran ")[0].split(", ")
    place = int(re.search(r"in place (\d)", question).group(1))
    found = set()
    for order in itertools.permutations(people):
        rank = {name: i for i, name in enumerate(order)}
        clues = [
            *(rank[a] < rank[b] for a, b in re.findall(r"(\w+) finished before (\w+)\.", question)),
            *(rank[a] + 1 == rank[b] for a, b in re.findall(r"(\w+) finished directly before (\w+)\.", question)),
            *(rank[a] > 0 for a in re.findall(r"(\w+) did not win\.", question)),
        ]
        assert len(clues) >= 3
        if all(clues):
            found.add(order[place - 1])
    assert len(found) == 1
    return found.pop()


def several(question):
    total = 0
    for part in question.split("\n")[1:]:
        text = re.sub(r"^\d+\. ", "", part)
        total += recompute(text)
    return total


def recompute(text: str):
    """The answer of one part of a composed question, recognised by its words."""
    for pattern, compute in (
        (r"^(Compute \d+ \+|What is the sum|Add)", addition),
        (r"^(Compute \d+ x|What is the product)", multiplication),
        (r"common", euclid),
        (r"^Find the sum", series),
        (r"positive divisors", divisors),
        (r"\^", power),
        (r"^How many of the integers", either),
        (r"^Find x \+ y", system),
    ):
        if re.search(pattern, text):
            return compute(text)
    raise AssertionError(text)


def test_the_shipped_file_is_what_the_generator_makes(tmp_path):
    code = f"from demo_rows import long_thoughts; from pathlib import Path; long_thoughts.write(Path({str(tmp_path)!r}) / 'a')"
    environment = {"PYTHONHASHSEED": "7", "PATH": "", "PYTHONPATH": f"{ROOT / 'tools'}:{ROOT}"}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)
    assert (tmp_path / "a").read_bytes() == thoughts.PATH.read_bytes()
    assert thoughts.to_jsonl(thoughts.make_rows()).encode() == thoughts.PATH.read_bytes()
    assert thoughts.PATH.stat().st_size < 700_000


def test_another_seed_gives_other_rows():
    asked = {row["question"] for row in ROWS}
    assert len(asked & {row["question"] for row in thoughts.make_rows(seed=1)}) < 5


def test_rows_are_in_the_public_form():
    assert all(list(row) == ["id", "question", "combined_text", "domain"] for row in ROWS)
    assert len({row["id"] for row in ROWS}) == len({row["question"] for row in ROWS}) == len(ROWS) == 320


def test_domains_stand_in_the_proportion_of_the_paper():
    counts = Counter(row["domain"] for row in ROWS)
    shares = {
        "math": counts["math"],
        "science": counts["physics"] + counts["chemistry"] + counts["biology"],
        "code": counts["code"],
        "puzzle": counts["puzzle"],
    }
    for domain, paper in {"math": 3.7, "science": 0.9, "code": 0.2, "puzzle": 0.1}.items():
        assert shares[domain] / len(ROWS) == pytest.approx(paper / 4.9, abs=0.01)


def is_right(row: dict) -> bool:
    """Whether a row's only box has the answer, and its text is a long thought's, with no box in the thought."""
    expected, answer = globals()[row["id"].split("-")[1]](row["question"]), boxed(row)
    parsed = LongThought.parse(row["combined_text"])
    same = answer == expected if isinstance(expected, str) else Fraction(answer) == expected
    return same and parsed.render() == row["combined_text"] and "\\boxed" not in parsed.thought


@pytest.mark.slow
def test_every_boxed_answer_is_right():
    assert [row["id"] for row in WHOLE if not is_right(row)] == []


def test_every_task_is_in_the_file():
    names = {name for tasks in thoughts.TASKS.values() for name in tasks} | {"several"}
    assert {row["id"].split("-")[1] for row in WHOLE} == names


def test_only_the_rows_meant_to_be_cut_are_malformed():
    cut = [int(row["id"].split("-")[-1]) for row in ROWS if is_cut(row)]
    assert tuple(cut) == thoughts.CUT
    for number in cut:
        with pytest.raises(MalformedThought) as error:
            LongThought.parse(ROWS[number - 1]["combined_text"])
        assert error.value.reason == "thought_not_closed"


def test_a_share_of_the_thoughts_holds_a_corrected_mistake():
    share = sum("Wait, " in row["combined_text"] for row in WHOLE) / len(WHOLE)
    assert 0.2 < share < 0.4


TERM = r"(?:-?\d+|\(-\d+\))"
SIDE = rf"{TERM}(?: [x+*-] {TERM})*"
EQUATION = re.compile(
    rf"(?<![\d^/)*%x+=-] )(?<![\w.^/(*+=%-]){SIDE}(?: = {SIDE})+"
    r"(?!\.\d|[\d/\w%^]| [x+*/%^=-]| mod| (?:mol|A|V|ohm|m|s|g)\b)"
)


def value_of(side: str) -> int:
    """An integer expression with x or * for the product; no division."""
    return sum(
        (-1 if sign == "-" else 1) * math.prod(int(factor.strip("()")) for factor in re.split(" [x*] ", term))
        for sign, term in re.findall(rf"(?:^| )([+-]? ?)({TERM}(?: [x*] {TERM})*)", side)
        for sign in [sign.strip()]
    )


def test_equations_in_the_thoughts_are_true_unless_corrected():
    """Every "a x b + c = d" holds; a false one is the slip that the same thought corrects afterwards."""
    true = wrong = 0
    for row in WHOLE:
        thought = LongThought.parse(row["combined_text"]).thought
        for found in EQUATION.finditer(thought):
            if len({value_of(side) for side in found.group().split(" = ")}) == 1:
                true += 1
            else:
                wrong += 1
                assert "Wait, " in thought[found.end() :], (row["id"], found.group())
    assert true > 900
    assert 0 < wrong < 60


@pytest.mark.slow
@pytest.mark.parametrize("domain", thoughts.TASKS)
def test_tasks_slip_exactly_when_asked(domain):
    """Many draws of every task: the mistake is there when asked for, and only then."""
    for name, task in thoughts.TASKS[domain].items():
        for seed in range(40):
            for slip in (False, True):
                problem = task(Random(f"{name}-{seed}"), slip)
                assert ("Wait, " in "\n".join(problem.thought)) == slip, (name, seed)
                expected = globals()[name](problem.question) if name != "loop" or seed < 2 else None
                if expected is not None:
                    right = (
                        problem.answer == expected
                        if isinstance(expected, str)
                        else Fraction(problem.answer) == expected
                    )
                    assert right, (name, seed, slip, problem.question)
