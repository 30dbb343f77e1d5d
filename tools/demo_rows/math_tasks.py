"""Mathematics of the demo: every step is computed by the program that writes it down."""

from fractions import Fraction
from math import gcd, lcm
from random import Random

from demo_rows.problem import Problem, Task, bracket, check, joined, number, signed, term
from virgo_factory.demo.visual_rows import closing, opening


def addition(rng: Random, slip: bool) -> Problem:
    """Column addition; the slip is a forgotten carry, found by casting out nines."""
    size = rng.randint(3, 7)
    carried: list[int] = []
    while not carried:
        a, b = (rng.randrange(10 ** (size - 1), 10**size) for _ in range(2))
        carried = [i for i in range(1, size) if a % 10**i + b % 10**i >= 10**i]

    def columns(start: int, forget: int | None) -> tuple[list[str], int]:
        lines, carry, total = [], int(start > 0 and a % 10**start + b % 10**start >= 10**start), 0
        if start:
            total = (a % 10**start + b % 10**start) % 10**start
        for i in range(start, size):
            if i == forget:
                carry = 0
            one, two = a // 10**i % 10, b // 10**i % 10
            column = one + two + carry
            with_carry = f" + {carry}" if carry else ""
            carry, digit = divmod(column, 10)
            total += digit * 10**i
            lines.append(f"Column {i + 1}: {one} + {two}{with_carry} = {column}, write {digit}, carry {carry}.")
        if carry:
            lines.append(f"The last carry {carry} goes in front.")
        return lines, total + carry * 10**size

    def nines(value: int) -> str:
        digits = joined(str(value), " + ")
        return f"{value}: {digits} = {sum(map(int, str(value)))}, remainder {value % 9} when divided by 9."

    forget = rng.choice(carried) if slip else None
    lines, total = columns(0, forget)
    thought = [opening(rng), f"I add {a} and {b} column by column from the right.", *lines, f"So I get {total}."]
    thought += [f"{check(rng)} I cast out nines.", nines(a), nines(b), nines(total)]
    wanted = (a + b) % 9
    if forget is not None:
        lines, right = columns(forget, None)
        thought += [
            f"{a % 9} + {b % 9} leaves {wanted}, but my sum leaves {total % 9}.",
            (
                f"Wait, these do not agree, so a column is wrong. In column {forget + 1} I forgot the carry 1 "
                f"from column {forget}. Once more from there."
            ),
            *lines,
            f"Now the sum is {right}.",
            nines(right),
        ]
        total = right
    thought.append(f"{a % 9} + {b % 9} leaves {wanted} as well. {closing(rng)}")
    question = rng.choice((f"Compute {a} + {b}.", f"What is the sum of {a} and {b}?", f"Add {a} to {b}."))
    return Problem(question, tuple(thought), f"Adding the columns with their carries gives {a} + {b}.", str(a + b))


def multiplication(rng: Random, slip: bool) -> Problem:
    """Long multiplication; the slip is a wrong entry of the times table, found modulo nine."""
    while True:
        a, b = rng.randint(12, 9876), rng.randint(12, 987)
        places = [i for i, digit in enumerate(reversed(str(b))) if digit not in "09"]
        if places and a % 10:
            break
    wrong = rng.choice(places) if slip else None

    def partial(i: int, mistake: bool) -> tuple[str, int]:
        digit = b // 10**i % 10
        parts = [int(d) * 10**k * digit for k, d in enumerate(str(a)[::-1]) if d != "0"]
        if mistake:
            parts[0] += digit
        pieces = [f"{int(d) * 10**k} x {digit}" for k, d in enumerate(str(a)[::-1]) if d != "0"]
        total = sum(parts)
        text = f"{a} x {digit} = {joined(pieces, ' + ')} = {joined(parts, ' + ')} = {total}"
        return (f"{text}, times {10**i} is {total * 10**i}." if i else f"{text}."), total * 10**i

    rows = [(i, *partial(i, i == wrong)) for i in range(len(str(b))) if b // 10**i % 10]
    total = sum(value for _, _, value in rows)
    thought = [opening(rng), f"I multiply {a} by each digit of {b} and add up.", *(text for _, text, _ in rows)]
    thought.append(f"{joined((value for _, _, value in rows), ' + ')} = {total}.")
    thought.append(
        f"{check(rng)} Modulo 9, {a} is {a % 9} and {b} is {b % 9}, so the product must be {a * b % 9}. "
        f"My result {total} is {total % 9} modulo 9."
    )
    if wrong is not None:
        text, _ = partial(wrong, False)
        values = [partial(i, False)[1] for i, _, _ in rows]
        digit = b // 10**wrong % 10
        thought += [
            (
                f"Wait, {total % 9} is not {a * b % 9}. In the row of the digit {digit} I took {a % 10} x {digit} "
                f"for {a % 10 * digit + digit}, but it is {a % 10 * digit}."
            ),
            text,
            f"{joined(values, ' + ')} = {a * b}, and {a * b} is {a * b % 9} modulo 9.",
        ]
    thought.append(closing(rng))
    question = rng.choice((f"Compute {a} x {b}.", f"What is the product of {a} and {b}?"))
    return Problem(question, tuple(thought), f"Adding the partial products gives {a} x {b}.", str(a * b))


def division(rng: Random, slip: bool) -> Problem:
    """Long division; the slip is a zero left out of the quotient, found by multiplying back."""
    while True:
        divisor, quotient = rng.randint(3, 29), rng.randint(101, 9999)
        if not slip or "0" in str(quotient)[1:-1]:
            break
    rest = rng.randrange(divisor)
    dividend = divisor * quotient + rest
    lines, remainder, seen = [], 0, False
    for digit in str(dividend):
        value = remainder * 10 + int(digit)
        times, remainder = divmod(value, divisor)
        if times or seen:
            seen = True
            lines.append(f"Bring down {digit}: {value} = {times} x {divisor} + {remainder}, write {times}.")
        else:
            lines.append(f"{value} is smaller than {divisor}, so I take the next digit.")
    thought = [opening(rng), f"I divide {dividend} by {divisor} digit by digit.", *lines]
    if slip:
        short = int(str(quotient)[0] + str(quotient)[1:-1].replace("0", "", 1) + str(quotient)[-1])
        thought += [
            f"The quotient is {short}, remainder {rest}.",
            f"{check(rng)} {short} x {divisor} + {rest} = {short * divisor + rest}.",
            f"Wait, that is not {dividend}. I skipped a 0 when I read the digits off. The quotient is {quotient}.",
        ]
    else:
        thought += [f"The quotient is {quotient}, remainder {rest}.", check(rng)]
    thought.append(f"{quotient} x {divisor} = {quotient * divisor}, plus {rest} is {dividend}. {closing(rng)}")
    question = f"Divide {dividend} by {divisor}. What is the remainder?"
    answer, name = str(rest), "remainder"
    if rng.random() < 0.5 or slip:
        question, answer, name = f"What is the integer quotient of {dividend} divided by {divisor}?", str(quotient), ""
    solution = f"{dividend} = {quotient} x {divisor} + {rest}, so the {name or 'quotient'} can be read off."
    return Problem(question, tuple(thought), solution, answer)


def linear(rng: Random, slip: bool) -> Problem:
    """One linear equation; the slip is a sign lost when a term changes sides, found by substitution."""
    while True:
        a, c, x = rng.randint(-9, 12), rng.randint(-9, 9), rng.randint(-15, 15)
        b = rng.randint(-40, 40)
        d = a * x + b - c * x
        if a and c and a != c and a != -c and b and d and x:
            break

    def solve(left: int) -> tuple[list[str], Fraction]:
        value = Fraction(d - b, left)
        return [
            f"{term(left, 'x')} {signed(b)} = {d}.",
            f"Subtract {bracket(b)} on both sides: {term(left, 'x')} = {d - b}.",
            f"Divide by {bracket(left)}: x = {number(value)}.",
        ], value

    def sides(value: Fraction) -> str:
        return (
            f"Left: {a} x {bracket(value)} {signed(b)} = {number(a * value + b)}. "
            f"Right: {c} x {bracket(value)} {signed(d)} = {number(c * value + d)}."
        )

    thought = [opening(rng), f"The equation is {term(a, 'x')} {signed(b)} = {term(c, 'x')} {signed(d)}."]
    if slip:
        lines, wrong = solve(a + c)
        thought += [f"Bring {term(c, 'x')} to the left:", *lines, check(rng), sides(wrong)]
        thought += [
            (
                "Wait, the two sides differ. When I moved "
                f"{term(c, 'x')} to the left I kept its sign. It must be {term(a, 'x')} {signed(-c, 'x')}."
            ),
        ]
    else:
        thought.append(f"Subtract {term(c, 'x')} on both sides:")
    lines, _ = solve(a - c)
    thought += [*lines, check(rng), sides(Fraction(x)), closing(rng)]
    question = f"Solve for x: {term(a, 'x')} {signed(b)} = {term(c, 'x')} {signed(d)}"
    return Problem(question, tuple(thought), f"Collecting x gives {term(a - c, 'x')} = {d - b}.", str(x))


def euclid(rng: Random, slip: bool) -> Problem:
    """Greatest common divisor or least common multiple; the slip is a quotient one too small."""
    while True:
        common = rng.randint(2, 60)
        a, b = common * rng.randint(5, 90), common * rng.randint(5, 90)
        if a > b and a % b and (not slip or b % (a % b)):
            break
    thought, first, one, two = [opening(rng), "I use the Euclidean algorithm."], slip, a, b
    while two:
        times, rest = divmod(one, two)
        if first:
            thought.append(f"{one} = {times - 1} x {two} + {one - (times - 1) * two}.")
            thought.append(
                f"Wait, the remainder {one - (times - 1) * two} is not smaller than {two}, so {two} goes in once more."
            )
            first = False
        thought.append(f"{one} = {times} x {two} + {rest}.")
        one, two = two, rest
    divisor = one
    thought.append(f"The last remainder before 0 is {divisor}, so the gcd is {divisor}.")
    thought.append(
        f"{check(rng)} {a} / {divisor} = {a // divisor} and {b} / {divisor} = {b // divisor}, "
        f"and {a // divisor} and {b // divisor} share no factor."
    )
    if rng.random() < 0.6:
        thought.append(closing(rng))
        question = f"What is the greatest common divisor of {a} and {b}?"
        return Problem(question, tuple(thought), f"The Euclidean algorithm on {a} and {b} ends here.", str(divisor))
    multiple = a // divisor * b
    thought.append(f"The least common multiple is {a} x {b} / {divisor} = {a // divisor} x {b} = {multiple}.")
    thought.append(f"{multiple} / {a} = {multiple // a} and {multiple} / {b} = {multiple // b}. {closing(rng)}")
    question = f"What is the least common multiple of {a} and {b}?"
    return Problem(question, tuple(thought), f"With gcd {divisor}, lcm = {a} x {b} / {divisor}.", str(multiple))


def fractions(rng: Random, slip: bool) -> Problem:
    """Sum or difference of fractions; the slip is a numerator that was not scaled, found with decimals."""
    while True:
        b, d = rng.randint(3, 24), rng.randint(3, 24)
        a, c, sign = rng.randrange(1, b), rng.randrange(1, d), rng.choice((1, -1))
        base = lcm(b, d)
        if b != d and gcd(a, b) == 1 and gcd(c, d) == 1 and base != d:
            break
    up, right = a * (base // b), c * (base // d)
    name, value = "+" if sign > 0 else "-", Fraction(a, b) + sign * Fraction(c, d)

    def decimal(fraction: Fraction) -> str:
        return f"{float(fraction):.3f}"

    def combine(second: int) -> tuple[str, Fraction]:
        top = up + sign * second
        reduced = Fraction(top, base)
        shown = f"{reduced.numerator}/{reduced.denominator}" if reduced.denominator > 1 else str(reduced.numerator)
        common = gcd(top, base)
        tail = f" Divide by {common}: {shown}." if common > 1 and top else ""
        return f"{up}/{base} {name} {second}/{base} = {top}/{base}.{tail}", reduced

    thought = [
        opening(rng),
        f"The denominators are {b} and {d}; their least common multiple is {base}.",
        f"{a}/{b} = {up}/{base}, since {base} / {b} = {base // b} and {a} x {base // b} = {up}.",
    ]
    if slip:
        text, wrong = combine(c)
        thought += [text, f"{check(rng)} In decimals, {a}/{b} is about {decimal(Fraction(a, b))}, {c}/{d} is about "]
        thought[-1] += f"{decimal(Fraction(c, d))}, together about {decimal(value)}. Mine is {decimal(wrong)}."
        thought.append(f"Wait, that is off. I did not scale the numerator {c}.")
    thought.append(f"{c}/{d} = {right}/{base}, since {base} / {d} = {base // d} and {c} x {base // d} = {right}.")
    text, _ = combine(right)
    thought += [
        text,
        (
            f"In decimals {decimal(Fraction(a, b))} {name} {decimal(Fraction(c, d))} is about {decimal(value)}. "
            f"{closing(rng)}"
        ),
    ]
    answer = number(value) if value.denominator == 1 else f"{value.numerator}/{value.denominator}"
    question = f"Compute {a}/{b} {name} {c}/{d} and give the answer in lowest terms."
    return Problem(question, tuple(thought), f"Over the common denominator {base} this is direct.", answer)


def quadratic(rng: Random, slip: bool) -> Problem:
    """A quadratic with integer roots by factor pairs; the slip flips the signs of the roots."""
    while True:
        r, s = rng.randint(-12, 12), rng.randint(-12, 12)
        if r and s and abs(r) != abs(s):
            break
    p, q, large = -(r + s), r * s, max(r, s)

    def value(x: int) -> int:
        return x * x + p * x + q

    def substitute(x: int) -> str:
        return f"x = {x}: {x * x} {signed(p * x)} {signed(q)} = {value(x)}."

    thought = [opening(rng), f"I look for two numbers with product {q} and sum {p}."]
    for m in [m for m in range(1, abs(q) + 1) if abs(q) % m == 0 and m * m <= abs(q)]:
        n = abs(q) // m
        found = next(
            ((i, j) for i, j in ((m, n), (-m, -n), (-m, n), (m, -n)) if i * j == q and i + j == p),
            None,
        )
        if found:
            thought.append(f"{found[0]} and {found[1]}: product {q}, sum {p}. That is it.")
            break
        pairs = [(i, j) for i, j in ((m, n), (-m, -n), (-m, n), (m, -n)) if i * j == q]
        thought.append(f"{joined((f'{i} and {j} have sum {i + j}' for i, j in pairs), '; ')}. No.")
    i, j = found
    thought.append(f"So x^2 {signed(p, 'x')} {signed(q)} = (x {signed(i)})(x {signed(j)}).")
    if slip:
        thought += [f"The roots are {i} and {j}, the larger is {max(i, j)}.", check(rng), substitute(max(i, j))]
        thought.append("Wait, that is not 0. The factor x + k is zero at x = -k, so I must flip both signs.")
    thought += [f"The roots are {-i} and {-j}.", substitute(-i), substitute(-j)]
    thought.append(f"{closing(rng)} The larger root is {large}.")
    question = f"What is the larger solution of x^2 {signed(p, 'x')} {signed(q)} = 0?"
    return Problem(question, tuple(thought), f"It factors as (x {signed(i)})(x {signed(j)}) = 0.", str(large))


def divisors(rng: Random, slip: bool) -> Problem:
    """Number of divisors by prime factors; the slip multiplies the exponents, found by listing."""
    while True:
        n = rng.randint(24, 900)
        powers: dict[int, int] = {}
        rest, lines, p = n, [], 2
        while rest > 1:
            if rest % p == 0:
                lines.append(f"{rest} / {p} = {rest // p}.")
                powers[p], rest = powers.get(p, 0) + 1, rest // p
            else:
                p += 1
        if len(powers) > 1:
            break
    form = joined((f"{p}^{k}" if k > 1 else str(p) for p, k in powers.items()), " x ")
    wrong, count = 1, 1
    for k in powers.values():
        wrong, count = wrong * k, count * (k + 1)
    listed = [d for d in range(1, n + 1) if n % d == 0]
    thought = [opening(rng), f"I factor {n} first.", *lines, f"So {n} = {form}."]
    if slip:
        thought += [
            f"The number of divisors is the product of the exponents: {joined(powers.values(), ' x ')} = {wrong}.",
            f"{check(rng)} The divisors are {joined(listed)}: {count} of them.",
            f"Wait, I listed {count}, not {wrong}. Each exponent k leaves k + 1 choices, from 0 to k.",
        ]
    choices = joined((f"({k} + 1)" for k in powers.values()), " x ")
    thought.append(f"The number of divisors is {choices} = {count}.")
    if not slip:
        thought.append(f"{check(rng)} The divisors are {joined(listed)}. That is {len(listed)}.")
    thought.append(closing(rng))
    question = f"How many positive divisors does {n} have?"
    return Problem(question, tuple(thought), f"Since {n} = {form}, the count is {choices}.", str(count))


def power(rng: Random, slip: bool) -> Problem:
    """A power modulo m by repeated squaring; the slip leaves out one factor, found through the cycle of powers."""
    while True:
        base, exponent, m = rng.randint(2, 19), rng.randint(9, 120), rng.randint(7, 37)
        if gcd(base, m) > 1:
            continue
        bits = [i for i in range(exponent.bit_length()) if exponent >> i & 1]
        dropped = rng.choice(bits)
        short = pow(base, exponent - (1 << dropped), m)
        if len(bits) > 1 and short != pow(base, exponent, m):
            break
    squares = [base % m]
    lines = [f"{base}^1 = {squares[0]} mod {m}."]
    for i in range(1, exponent.bit_length()):
        square = squares[-1] ** 2
        lines.append(f"{base}^{1 << i} = {squares[-1]}^2 = {square} = {square % m} mod {m}.")
        squares.append(square % m)

    def multiply(chosen: list[int]) -> tuple[list[str], int]:
        result, rows = squares[chosen[0]], []
        for i in chosen[1:]:
            product = result * squares[i]
            rows.append(f"{result} x {squares[i]} = {product} = {product % m} mod {m}.")
            result = product % m
        return rows, result

    cycle = [base % m]
    while cycle[-1] != 1:
        cycle.append(cycle[-1] * base % m)
    result = pow(base, exponent, m)
    thought = [opening(rng), f"I square repeatedly modulo {m}.", *lines]
    thought.append(f"{exponent} = {joined((1 << i for i in bits), ' + ')}.")
    cycle_text = (
        f"The powers of {base} modulo {m} are {joined(cycle)}, then they repeat every {len(cycle)}. "
        f"{exponent} = {exponent // len(cycle)} x {len(cycle)} + {exponent % len(cycle)}, "
        f"so the value must be {cycle[exponent % len(cycle) - 1]}."
    )
    if slip:
        rows, wrong = multiply([i for i in bits if i != dropped])
        thought += [*rows, f"So the result is {wrong}.", f"{check(rng)} {cycle_text}"]
        thought.append(f"Wait, I have {wrong}. I left out the factor {base}^{1 << dropped} = {squares[dropped]}.")
    rows, _ = multiply(bits)
    thought += [*rows, f"So the result is {result}."]
    if not slip:
        thought.append(f"{check(rng)} {cycle_text}")
    thought.append(closing(rng))
    question = f"What is the remainder when {base}^{exponent} is divided by {m}?"
    return Problem(question, tuple(thought), f"By repeated squaring modulo {m} this is quick.", str(result))


def series(rng: Random, slip: bool) -> Problem:
    """An arithmetic series; the slip is a term count one too small, found at the last term."""
    start, step, count = rng.randint(-20, 30), rng.randint(2, 9), rng.randint(8, 60)
    last = start + (count - 1) * step
    thought = [opening(rng), f"The terms start at {start}, grow by {step} and end at {last}."]
    if slip:
        thought += [
            f"The number of terms is ({last} - {bracket(start)}) / {step} = {count - 1}.",
            f"{check(rng)} Term number {count - 1} is {start} + {count - 2} x {step} = {last - step}.",
            f"Wait, that is not the last term {last}. The first term counts too, so there is one more.",
        ]
    thought += [
        f"The number of terms is ({last} - {bracket(start)}) / {step} + 1 = {count}.",
        f"Term number {count} is {start} + {count - 1} x {step} = {last}. Right.",
        f"First and last together are {start} + {last} = {start + last}.",
        (
            f"The sum is {count} x {bracket(start + last)} / 2 = {count * (start + last)} / 2 "
            f"= {count * (start + last) // 2}."
        ),
    ]
    if count <= 14:
        total, lines = 0, []
        for i in range(count):
            total += start + i * step
            lines.append(str(total))
        thought.append(f"{check(rng)} Adding one by one: {joined(lines)}.")
    thought.append(closing(rng))
    question = f"Find the sum {start} + {bracket(start + step)} + {bracket(start + 2 * step)} + ... + {last}."
    return Problem(question, tuple(thought), f"There are {count} terms.", str(count * (start + last) // 2))


def system(rng: Random, slip: bool) -> Problem:
    """Two equations in two unknowns; the slip is a sign in the elimination, found in the second equation."""
    while True:
        a, b, d, e = (rng.choice([i for i in range(-7, 8) if i]) for _ in range(4))
        x, y = rng.randint(-9, 9), rng.randint(-9, 9)
        c, f = a * x + b * y, d * x + e * y
        if a * e != b * d and a * e != -b * d and f * a - c * d and x and y and d * b:
            break
    first, second = f"{term(a, 'x')} {signed(b, 'y')} = {c}", f"{term(d, 'x')} {signed(e, 'y')} = {f}"
    thought = [
        opening(rng),
        f"(1) {first} and (2) {second}. I remove x: multiply (1) by {bracket(d)} and (2) by {bracket(a)}.",
        (
            f"(1) becomes {term(a * d, 'x')} {signed(b * d, 'y')} = {c * d}. "
            f"(2) becomes {term(a * d, 'x')} {signed(a * e, 'y')} = {f * a}."
        ),
    ]

    def back(value: Fraction) -> tuple[list[str], Fraction]:
        other = (c - b * value) / a
        return [
            (
                f"From (1), {term(a, 'x')} = {c} - {bracket(b)} x {bracket(value)} = {number(c - b * value)}, "
                f"so x = {number(other)}."
            ),
            f"In (2): {d} x {bracket(other)} + {bracket(e)} x {bracket(value)} = {number(d * other + e * value)}.",
        ], other

    if slip:
        wrong = Fraction(f * a - c * d, a * e + b * d)
        lines, _ = back(wrong)
        thought += [f"(2) minus (1): {term(a * e + b * d, 'y')} = {f * a - c * d}, so y = {number(wrong)}.", *lines]
        thought.append(
            f"Wait, the right side of (2) is {f}. When I subtracted I took {signed(b * d, 'y')} with the wrong sign."
        )
    lines, _ = back(Fraction(y))
    thought += [f"(2) minus (1): {term(a * e - b * d, 'y')} = {f * a - c * d}, so y = {y}.", *lines]
    thought.append(f"That is {f}, as it must be. {closing(rng)} x + y = {x} + {bracket(y)} = {x + y}.")
    question = f"Find x + y if {first} and {second}."
    return Problem(question, tuple(thought), f"Elimination gives x = {x} and y = {y}.", str(x + y))


def convert(rng: Random, slip: bool) -> Problem:
    """A number in another base; the slip reads the remainders the wrong way round, found by expansion."""
    while True:
        n, base = rng.randint(30, 4000), rng.randint(2, 9)
        lines, rest, found = [], n, []
        while rest:
            rest, digit = divmod(rest, base)
            found.append(digit)
            lines.append(f"{rest * base + digit} = {rest} x {base} + {digit}.")
        if found != found[::-1]:
            break

    def expand(digits: list[int]) -> str:
        places = range(len(digits) - 1, -1, -1)
        value = sum(digit * base**i for digit, i in zip(digits, places, strict=True))
        return f"{joined((f'{d} x {base**i}' for d, i in zip(digits, places, strict=True)), ' + ')} = {value}"

    thought = [opening(rng), f"I divide by {base} again and again and keep the remainders.", *lines]
    if slip:
        thought += [f"The digits are {joined(found, '')}.", f"{check(rng)} {expand(found)}."]
        thought.append(f"Wait, that is not {n}. The last remainder is the first digit, so I read them backwards.")
    right = found[::-1]
    thought += [f"The digits are {joined(right, '')}.", f"{expand(right)}. {closing(rng)}"]
    question = f"Write the number {n} in base {base}."
    return Problem(
        question, tuple(thought), f"The remainders, last one first, are {joined(right)}.", joined(right, "")
    )


def either(rng: Random, slip: bool) -> Problem:
    """How many numbers are divisible by a or b; the slip counts the common ones twice, found period by period."""
    while True:
        a, b, n = rng.randint(2, 9), rng.randint(3, 12), rng.randint(40, 400)
        period = lcm(a, b)
        if a < b and b % a and period <= 60 and n >= period:
            break
    one, two, both = n // a, n // b, n // period
    inside = [i for i in range(1, period + 1) if i % a == 0 or i % b == 0]
    full, rest = divmod(n, period)
    tail = [i for i in inside if i <= rest]
    thought = [
        opening(rng),
        f"Multiples of {a} up to {n}: {n} / {a} gives {one}. Multiples of {b}: {n} / {b} gives {two}.",
    ]
    other = (
        f"From 1 to {period} the numbers are {joined(inside)}: {len(inside)}. {n} = {full} x {period} + {rest}, "
        f"and in the rest there are {len(tail)}. Together {full} x {len(inside)} + {len(tail)} "
        f"= {full * len(inside) + len(tail)}."
    )
    if slip:
        thought += [f"Together that is {one} + {two} = {one + two}.", f"{check(rng)} {other}"]
        thought.append(f"Wait, I have {one + two}. The multiples of {period} were counted twice.")
    thought.append(
        f"Multiples of both are multiples of {period}: {both}. So {one} + {two} - {both} = {one + two - both}."
    )
    if not slip:
        thought.append(f"{check(rng)} {other}")
    thought.append(closing(rng))
    question = f"How many of the integers from 1 to {n} are divisible by {a} or by {b}?"
    solution = f"Inclusion and exclusion: {one} + {two} - {both}."
    return Problem(question, tuple(thought), solution, str(one + two - both))


def area(rng: Random, slip: bool) -> Problem:
    """Area of a quadrilateral by the shoelace rule; the slip is a sign, found by cutting corners off a rectangle."""
    while True:
        w, h = rng.randint(4, 14), rng.randint(4, 14)
        left, low = rng.randint(-6, 6), rng.randint(-6, 6)
        i, j, k, m = rng.randrange(1, w), rng.randrange(1, h), rng.randrange(1, w), rng.randrange(1, h)
        points = [(left + i, low), (left + w, low + j), (left + k, low + h), (left, low + m)]
        pairs = list(zip(points, points[1:] + points[:1], strict=True))
        terms = [x * v - u * y for (x, y), (u, v) in pairs]
        negative = [index for index, value in enumerate(terms) if value < 0]
        if not slip or (negative and i != k and j != m):
            break
    double = sum(terms)
    corners = [(w - i) * j, (w - k) * (h - j), k * (h - m), i * m]
    cut = Fraction(sum(corners), 2)
    thought = [opening(rng), "I use the shoelace rule, x1*y2 - x2*y1 for each side."]
    for ((x, y), (u, v)), value in zip(pairs, terms, strict=True):
        thought.append(f"({x}, {y}) to ({u}, {v}): {x * v} - {bracket(u * y)} = {value}.")
    rectangle = (
        f"The quadrilateral stands in a rectangle of {w} x {h} = {w * h}. The four corners cut off have the doubled "
        f"areas {joined(corners)}, together {sum(corners)} / 2 = {number(cut)}. {w * h} - {number(cut)} = "
        f"{number(w * h - cut)}."
    )
    if slip:
        wrong = [abs(value) if index == negative[0] else value for index, value in enumerate(terms)]
        half = number(Fraction(sum(wrong), 2))
        thought.append(f"The sum is {joined(map(bracket, wrong), ' + ')} = {sum(wrong)}, its half {half}.")
        thought += [
            f"{check(rng)} {rectangle}",
            f"Wait, the side with {terms[negative[0]]} has a minus that I dropped.",
        ]
    half = number(Fraction(double, 2))
    thought.append(f"The sum is {joined(map(bracket, terms), ' + ')} = {double}, its half {half}.")
    if not slip:
        thought.append(f"{check(rng)} {rectangle}")
    thought.append(closing(rng))
    question = f"What is the area of the quadrilateral with the corners {joined(points)}, in this order?"
    solution = f"The shoelace sum is {double}, and the area is half of it."
    return Problem(question, tuple(thought), solution, half)


def percent(rng: Random, slip: bool) -> Problem:
    """Two changes of a price; the slip adds the percentages, found by following the price."""
    price, up, down = 20 * rng.randint(2, 60), 5 * rng.randint(1, 12), 5 * rng.randint(1, 10)
    raised = Fraction(price * (100 + up), 100)
    final = raised * (100 - down) / 100
    thought = [opening(rng)]
    if slip:
        change = up - down
        wrong = Fraction(price * (100 + change), 100)
        thought += [
            f"Up {up} percent and down {down} percent is {change} percent in all, so the price is {number(wrong)}.",
            (
                f"{check(rng)} After the first change the price is {price} + {number(Fraction(price * up, 100))} "
                f"= {number(raised)}."
            ),
            f"Wait, the {down} percent are taken from {number(raised)}, not from {price}.",
        ]
    else:
        thought.append(
            f"{up} percent of {price} is {number(Fraction(price * up, 100))}, so the price rises to {number(raised)}."
        )
    thought += [
        f"{down} percent of {number(raised)} is {number(raised * down / 100)}.",
        f"{number(raised)} - {number(raised * down / 100)} = {number(final)}.",
        (
            f"{check(rng)} The factors are {number(Fraction(100 + up, 100))} and {number(Fraction(100 - down, 100))}, "
            f"together {number(Fraction((100 + up) * (100 - down), 10000))}, and {price} times that is {number(final)}. "
            f"{closing(rng)}"
        ),
    ]
    question = f"A price of {price} dollars rises by {up} percent and then falls by {down} percent. What is it now?"
    return Problem(question, tuple(thought), f"It rises to {number(raised)} and then falls.", number(final))


TASKS: dict[str, Task] = {
    task.__name__: task
    for task in (
        addition,
        multiplication,
        division,
        linear,
        euclid,
        fractions,
        quadratic,
        divisors,
        power,
        series,
        system,
        convert,
        either,
        area,
        percent,
    )
}
